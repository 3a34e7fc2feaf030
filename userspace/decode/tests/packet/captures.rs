//! The decoder and tshark agree, frame by frame and column by column.

use crate::rows::{self, Row, decode};
use crate::tshark::dissect;
use harness::captures::packet_files;
use harness::{samples, wireshark};
use std::collections::BTreeSet;
use tapline_decode::{Frame, LinkType};

/// Columns that tshark does not have, or not in this form.
const NOT_COMPARED: [&str; 3] = ["ts", "interface", "payload"];

/// Where we differ from tshark 4.0: file and frame, or sample; columns; and why.
const DIFFERENCES: &[(&str, &[&str], &str)] = &[
    (
        "fuzz-2006-06-26-2594.pcap 669",
        &["protocol", "tunnel_kind"],
        "the options header does not fit into the packet, so that what follows it is not known",
    ),
    ("provider tag", &["ethertype"], "tshark has no field for the type behind a lone 802.1ad tag"),
    ("provider backbone, tagged", &["ethertype"], "likewise"),
    ("PPP, received", &["frame_octets"], "tshark does not count the octet that says the direction"),
    ("PPP, sent", &["frame_octets"], "likewise"),
    (
        "jumbogram",
        &["octets", "protocol", "src_port", "dst_port"],
        "the option's length is below 2^16, which is not worth a frame of a test",
    ),
];

/// Microseconds; also tells the byte order.
const CLASSIC_MAGIC: u32 = 0xa1b2_c3d4;

/// What the file formats call the link types.
const LINKS: [(u32, LinkType); 10] = [
    (0, LinkType::BsdNull),
    (1, LinkType::Ethernet),
    (9, LinkType::Ppp),
    (51, LinkType::PppOverEthernet),
    (204, LinkType::PppWithDirection),
    (239, LinkType::Nflog),
    (101, LinkType::RawIp),
    (108, LinkType::BsdLoop),
    (113, LinkType::LinuxSll),
    (276, LinkType::LinuxSll2),
];

/// A frame, and what to call it.
struct Captured {
    name: String,
    original_octets: u32,
    bytes: Vec<u8>,
}

#[test]
fn captures() {
    let mut frames = 0;
    let files = packet_files();
    for path in &files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scratch = tempfile::tempdir().unwrap();
        let classic = scratch.path().join("classic.pcap");
        let arguments = ["-F".as_ref(), "pcap".as_ref(), path.as_os_str(), classic.as_os_str()];
        let Some(expected) = wireshark::run("editcap", &arguments).and_then(|_| dissect(&classic, &[]))
        else {
            return;
        };
        let (link, captured) = read_classic(&name, &std::fs::read(&classic).unwrap());
        frames += captured.len();
        compare(link, &captured, &expected);
    }
    assert!(frames > 0 || files.is_empty(), "no frame in any capture");
}

#[test]
fn samples_of_every_protocol() {
    for (number, link) in LINKS {
        let samples = samples::all().into_iter().filter(|(_, sample_link, _)| *sample_link == link);
        let captured: Vec<_> = samples.map(|(name, _, bytes)| Captured::whole(name, bytes)).collect();
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("samples.pcap");
        std::fs::write(&path, write_classic(number, &captured)).unwrap();
        let Some(expected) = dissect(&path, &["udp.port==8472,vxlan"]) else { return };
        compare(link, &captured, &expected);
    }
}

fn compare(link: LinkType, captured: &[Captured], expected: &[Row]) {
    assert_eq!(captured.len(), expected.len(), "frames");
    let pairs = captured.iter().zip(expected);
    let differences: Vec<_> = pairs.flat_map(|(frame, expected)| frame.differences(link, expected)).collect();
    let shown = differences[..differences.len().min(40)].join("\n");
    assert!(differences.is_empty(), "{} differences\n{shown}", differences.len());
}

impl Captured {
    fn whole(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), original_octets: u32::try_from(bytes.len()).unwrap(), bytes }
    }

    /// One line a column in which `expected` is not what we find.
    fn differences(&self, link: LinkType, expected: &Row) -> Vec<String> {
        let frame = Frame { original_octets: self.original_octets, ..rows::whole(link, &self.bytes) };
        let (mut row, damage) = decode(&frame);
        row.retain(|column, _| !NOT_COMPARED.contains(column));
        let columns: BTreeSet<_> = row.keys().chain(expected.keys()).copied().collect();
        let unequal = columns.into_iter().filter(|column| row.get(column) != expected.get(column));
        let unknown = unequal.filter(|column| !self.is_known_difference(column));
        let line = |column| {
            let (ours, theirs) = (row.get(column), expected.get(column));
            format!("{}, {column}: {ours:?}, tshark {theirs:?}, {damage:?}", self.name)
        };
        unknown.map(line).collect()
    }

    fn is_known_difference(&self, column: &str) -> bool {
        DIFFERENCES.iter().any(|(name, columns, _)| *name == self.name && columns.contains(&column))
    }
}

/// Frames of a file that editcap wrote: microseconds, the byte order of this machine.
fn read_classic(name: &str, file: &[u8]) -> (LinkType, Vec<Captured>) {
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), CLASSIC_MAGIC, "a classic capture file");
    let link = LINKS.iter().find(|(number, _)| *number == word(20));
    let mut frames = vec![];
    let mut at = 24;
    while at + 16 <= file.len() {
        let (octets, original_octets) = (word(at + 8) as usize, word(at + 12));
        let bytes = file[at + 16..at + 16 + octets].to_vec();
        frames.push(Captured { name: format!("{name} {}", frames.len() + 1), original_octets, bytes });
        at += 16 + octets;
    }
    (link.map_or(LinkType::Other(word(20)), |(_, link)| *link), frames)
}

/// The opposite of [`read_classic`].
fn write_classic(link: u32, frames: &[Captured]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[CLASSIC_MAGIC, 2 | 4 << 16, 0, 0, 1 << 18, link]);
    for frame in frames {
        let octets = u32::try_from(frame.bytes.len()).unwrap();
        file.extend(words(&[0, 0, octets, frame.original_octets]));
        file.extend(&frame.bytes);
    }
    file
}

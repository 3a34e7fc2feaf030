//! The same frames, filtered by tcpdump and by tapline.
//!
//! Filters in pcap syntax run over synthetic traffic and over sound frames of every protocol that the decoder knows. Both
//! programs must keep the same frames, one by one; where they do not, what the filter's line names must be true of the
//! frame, and is a difference that is meant (docs/decisions/0058-filters-over-keys.md).

#![expect(clippy::unwrap_used, reason = "a test may end where it cannot go on")]

use harness::scenario::SEED;
use harness::{samples, wireshark};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Cursor};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tapline_capture::CaptureFile;
use tapline_decode::{Depth, LinkType, decode};
use tapline_filter::pcap::parse;
use tapline_record::{PacketColumn, PacketRow};
use tapline_trafficgen::pcap::{PcapFormat, PcapWriter, Precision};
use tapline_trafficgen::scenario::branch_office;

/// Of the office every so many frames: guests with tags, both versions of IP, ARP, connections that begin and end.
const STEP: usize = 20;
/// The time of the first frame; the others follow one microsecond after the other, so that a time is a number.
const FIRST_US: u64 = 1_700_000_000_000_000;

/// Why the two may differ on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// There is something else in front of IP than so many tags, which is looked through.
    Behind(usize),
    /// There are tags, and `or` asks for either.
    Tagged,
    /// It is ARP, whose addresses no column holds.
    Arp,
    /// There are extension headers of IPv6, which are looked through.
    Extended,
    /// A header over IPv6 is looked at.
    OverV6,
    /// There is another Ethernet frame within it (FabricPath), whose addresses the columns hold.
    Enclosing,
}

use Because::{Arp, Behind, Enclosing, Extended, OverV6, Tagged};

const LINK: &[Because] = &[Behind(0)];
const PORT: &[Because] = &[Behind(0), Extended];
const HOST: &[Because] = &[Behind(0), Arp];
const OCTETS: &[Because] = &[Behind(0), OverV6];

const FILTERS: [(&str, &[Because]); 64] = [
    ("ip", LINK),
    ("ip6", LINK),
    ("arp", LINK),
    ("not ip and not ip6", LINK),
    ("tcp", PORT),
    ("udp", PORT),
    ("not tcp", PORT),
    ("icmp", LINK),
    ("icmp6", PORT),
    ("sctp", PORT),
    ("esp", PORT),
    ("proto 17", PORT),
    ("ip proto 17", LINK),
    ("ip6 proto 17", PORT),
    ("ip proto \\tcp", LINK),
    ("ether proto 0x0806", LINK),
    ("ether proto \\ip6", LINK),
    ("port 53", PORT),
    ("not port 53", PORT),
    ("src port 53", PORT),
    ("dst port 443", PORT),
    ("src and dst port 123", PORT),
    ("tcp port 443", PORT),
    ("udp port 53 or 443", PORT),
    ("port (53 or 443)", PORT),
    ("port domain", PORT),
    ("tcp port http or https", PORT),
    ("portrange 50-60", PORT),
    ("dst portrange 400-450", PORT),
    ("tcp or udp and port 443", PORT),
    ("tcp or (udp and port 443)", PORT),
    ("tcp and not port 443 and not port 80", PORT),
    ("host 10.20.0.53", HOST),
    ("src host 10.20.0.53", HOST),
    ("host 10.20.0.53 or 10.20.0.9", HOST),
    ("not host 10.20.0.53", HOST),
    ("ip host 10.0.0.1", LINK),
    ("host 2001:db8::1", LINK),
    ("ip6 host 2001:db8::1", LINK),
    ("net 10.20.0.0/16", HOST),
    ("net 10.20", HOST),
    ("src net 10.20.40.0 mask 255.255.255.0", HOST),
    ("dst net 198.51.100.0/24 and tcp", &[Behind(0), Arp, Extended]),
    ("tcp port 443 and not net 10.0.0.0/8", &[Behind(0), Arp, Extended]),
    ("src and dst net 10.0.0.0/8", HOST),
    ("net 2001:db8::/32", LINK),
    ("not src net 2001:db8:20::/48", LINK),
    ("ether broadcast", &[]),
    ("broadcast", &[]),
    ("ether src 02:00:00:00:00:02", &[Enclosing]),
    ("not ether host 02:00:00:00:00:02", &[Enclosing]),
    ("less 100", &[]),
    ("greater 1000", &[]),
    ("len > 60 and len <= 1000", &[]),
    ("tcp[tcpflags] & (tcp-syn|tcp-ack) != 0", OCTETS),
    ("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", OCTETS),
    ("not tcp[13] & 2 != 0", OCTETS),
    ("tcp[2:2] = 443 and tcp[14:2] > 0", OCTETS),
    ("udp[0:2] = 53", OCTETS),
    ("icmp[icmptype] = icmp-echo", LINK),
    ("ip[8] = 64 and ip[9] = 17", LINK),
    ("ip[6:2] & 0x1fff != 0", LINK),
    ("vlan and port 443", &[Behind(1), Extended]),
    ("vlan 5 or vlan 6", &[Tagged, Behind(0)]),
];

struct Traffic {
    path: PathBuf,
    frames: Vec<(Vec<u8>, PacketRow)>,
}

static TRAFFIC: LazyLock<Traffic> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("filters.pcap");
    write(&path);
    let frames = read(CaptureFile::open(&path).unwrap()).into_iter().map(|(_, frame)| frame);
    Traffic { frames: frames.collect(), path }
});

/// Writes the frames, each with its number as its time.
fn write(path: &Path) {
    let format = PcapFormat { precision: Precision::Micro, snap_length_octets: 256, ..PcapFormat::default() };
    let mut writer = PcapWriter::new(BufWriter::new(File::create(path).unwrap()), format).unwrap();
    let office = branch_office(SEED).frames.into_iter().step_by(STEP).map(|seen| {
        let mut bytes = vec![];
        seen.frame.write(&mut bytes);
        bytes
    });
    let samples = samples::all().into_iter().filter(|(_, link, _)| *link == LinkType::Ethernet);
    for (number, bytes) in (0..).zip(office.chain(samples.map(|(_, _, bytes)| bytes))) {
        writer.write((FIRST_US + number) * 1000, &bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// The frames of a file: the number of each, its octets and its row.
fn read(mut file: CaptureFile) -> Vec<(usize, (Vec<u8>, PacketRow))> {
    let mut frames = vec![];
    while file.end().is_none() {
        file.read(8192, &mut |frame| {
            let mut row = PacketRow::default();
            decode(frame, Depth::Transport, &mut row);
            let number = frame.ts.0 as u64 / 1000 - FIRST_US;
            frames.push((number as usize, (frame.bytes.to_vec(), row)));
        });
    }
    frames
}

/// The numbers of the frames that tcpdump keeps; `None`, and a line that says so, without it.
fn kept_by_tcpdump(filter: &str) -> Option<BTreeSet<usize>> {
    let file = TRAFFIC.path.to_str().unwrap();
    let output = wireshark::run("tcpdump", &["-r", file, "-w", "-", "--", filter])?;
    assert!(output.status.success(), "{filter}: {}", String::from_utf8_lossy(&output.stderr));
    let kept = CaptureFile::from_reader("tcpdump", Cursor::new(output.stdout)).unwrap();
    Some(read(kept).into_iter().map(|(number, _)| number).collect())
}

/// The number of tags, and the EtherType behind them.
fn link_of(bytes: &[u8]) -> (usize, u16) {
    let ethertype = |tags: usize| {
        let at = 12 + 4 * tags;
        bytes.get(at..at + 2).map_or(0, |octets| u16::from_be_bytes(octets.try_into().unwrap()))
    };
    let tags = (0..).take_while(|tags| matches!(ethertype(*tags), 0x8100 | 0x88a8 | 0x9100)).count();
    (tags, ethertype(tags))
}

fn is_true(because: Because, bytes: &[u8], row: &PacketRow) -> bool {
    let (tags, ethertype) = link_of(bytes);
    match because {
        Behind(seen) => tags != seen || !matches!(ethertype, 0x0800 | 0x86dd | 0x0806),
        Tagged => tags > 0,
        Arp => ethertype == 0x0806,
        Extended => {
            ethertype == 0x86dd
                && bytes.get(20).is_some_and(|next| [0, 43, 44, 51, 60, 135, 140].contains(next))
        }
        Enclosing => ethertype == 0x8903,
        OverV6 => row.has(PacketColumn::IpVersion) && row.ip_version == 6,
    }
}

#[test]
fn tcpdump_and_tapline_keep_the_same_frames() {
    let frames = &TRAFFIC.frames;
    assert!(frames.len() > 5000, "{}", frames.len());
    let mut report = String::new();
    for (filter, reasons) in FILTERS {
        let Some(expected) = kept_by_tcpdump(filter) else { return };
        let predicate = parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).predicate();
        let kept = frames.iter().enumerate().filter(|(_, (_, row))| predicate.holds(row));
        let kept: BTreeSet<usize> = kept.map(|(number, _)| number).collect();
        assert!(!kept.is_empty() && kept.len() < frames.len(), "{filter} keeps {} frames", kept.len());
        for number in expected.symmetric_difference(&kept) {
            let (bytes, row) = &frames[*number];
            if !reasons.iter().any(|because| is_true(*because, bytes, row)) {
                let who = if kept.contains(number) { "tapline" } else { "tcpdump" };
                report += &format!("{filter}: only {who} keeps frame {number}: {bytes:02x?}\n");
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn the_traffic_has_what_filters_look_for() {
    let has = |is: &dyn Fn(&PacketRow) -> bool| TRAFFIC.frames.iter().any(|(_, row)| is(row));
    assert!(has(&|row| row.has(PacketColumn::Vlan) && row.ip_version == 4));
    assert!(has(&|row| row.has(PacketColumn::FragmentOffset) && row.fragment_offset > 0));
    assert!(has(&|row| row.ip_version == 6 && row.has(PacketColumn::TcpFlags)));
    for flags in [0x02, 0x12, 0x10, 0x11] {
        assert!(has(&|row| row.has(PacketColumn::TcpFlags) && row.tcp_flags == flags), "{flags:#x}");
    }
}

/// The product itself, over the same file.
#[test]
fn the_command_keeps_the_same_frames() {
    let file = TRAFFIC.path.to_str().unwrap();
    for filter in ["tcp port 443 and not net 10.0.0.0/8", "vlan and udp", "not ip"] {
        let predicate = parse(filter).unwrap().predicate();
        let kept = TRAFFIC.frames.iter().filter(|(_, row)| predicate.holds(row)).count();
        let sql = "SELECT count(*) AS packets FROM packets";
        let run = harness::tapline(&["query", "--pcap", file, "--filter", filter, "--format", "csv", sql]);
        assert_eq!(run.success(), format!("packets\n{kept}\n"), "{filter}");
    }
}

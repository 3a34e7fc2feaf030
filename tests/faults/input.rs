//! What a case asks: a file of the folder of faults, or octets of our own.

use harness::scenario::Office;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tapline_trafficgen::frame::{Body, Frame, Link, Mac, Packet, Transport, Udp};
use tapline_trafficgen::payload::Payload;
use tapline_trafficgen::pcap::{LINK_TYPE_ETHERNET, PcapFormat, PcapWriter};
use toml_edit::{Item, Table, Value};

/// The first frame's time where a case says nothing else, in seconds since 1970; each frame comes a second later.
const START_S: f64 = 1_700_000_000.0;

/// The whole branch office.
static OFFICE: LazyLock<Office> =
    LazyLock::new(|| Office::write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.pcap"), usize::MAX));

/// What a case asks.
#[derive(Debug)]
pub(crate) enum Input {
    /// `input = "packets/NAME"` or `"exports/NAME"`: a file of the folder of faults.
    Shared(String),
    /// `frames = [{ hex, at }]`, their link type being `link`, cut off behind `snap` octets.
    Frames { frames: Vec<Octets>, link: u32, snap: u32 },
    /// `datagrams = [{ hex, at, from, port }]`: flow exports in UDP.
    Datagrams(Vec<Octets>),
    /// `file = "…"`: a whole file, in hex; `exports = true` where it holds datagrams.
    File { octets: Vec<u8>, is_exports: bool },
    /// `office = true`: the capture of the branch office.
    Office,
}

/// A frame or a datagram.
#[derive(Debug)]
pub(crate) struct Octets {
    octets: Vec<u8>,
    time_ns: u64,
    /// Who sent the datagram.
    from: std::net::IpAddr,
    port: u16,
}

impl Input {
    /// The keys of a case that say what is asked.
    pub(crate) const KEYS: [&str; 8] =
        ["input", "frames", "link", "snap", "datagrams", "file", "exports", "office"];

    pub(crate) fn of(name: &str, case: &Table) -> Self {
        let number = |key, default| case.get(key).map_or(default, |item| item.as_integer().unwrap() as u32);
        let is_set = |key| case.get(key).and_then(Item::as_bool).unwrap_or(false);
        if let Some(path) = case.get("input").and_then(Item::as_str) {
            Self::Shared(path.to_owned())
        } else if let Some(frames) = case.get("frames") {
            let (link, snap) = (number("link", LINK_TYPE_ETHERNET), number("snap", 262_144));
            Self::Frames { frames: all_octets(frames), link, snap }
        } else if let Some(datagrams) = case.get("datagrams") {
            Self::Datagrams(all_octets(datagrams))
        } else if let Some(file) = case.get("file").and_then(Item::as_str) {
            Self::File { octets: unhex(file), is_exports: is_set("exports") }
        } else {
            assert!(is_set("office"), "{name}: a case has an input");
            Self::Office
        }
    }

    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Where the input is, as the command line has it; `None` without the folder of faults.
    pub(crate) fn arguments(&self, folder: &Path) -> Option<Vec<String>> {
        let own = folder.join("own.pcap");
        let (flag, path) = match self {
            Self::Shared(path) => {
                let root = std::env::var_os("TAPLINE_FAULTS").unwrap_or_else(|| "../../shared/faults".into());
                let flag = if path.starts_with("exports/") { "--exports" } else { "--pcap" };
                (flag, Some(PathBuf::from(root)).filter(|root| root.is_dir())?.join(path))
            }
            Self::Frames { frames, link, snap } => {
                write(&own, *link, *snap, frames.iter().map(|frame| (frame.time_ns, frame.octets.clone())));
                ("--pcap", own)
            }
            Self::Datagrams(datagrams) => {
                write(&own, LINK_TYPE_ETHERNET, 262_144, datagrams.iter().map(in_udp));
                ("--exports", own)
            }
            Self::File { octets, is_exports } => {
                let own = folder.join(if *is_exports { "own.dat" } else { "own.pcap" });
                std::fs::write(&own, octets).unwrap();
                (if *is_exports { "--exports" } else { "--pcap" }, own)
            }
            Self::Office => ("--pcap", OFFICE.capture.clone()),
        };
        Some(vec![flag.to_owned(), path.to_str().unwrap().to_owned()])
    }
}

fn all_octets(list: &Item) -> Vec<Octets> {
    let list = list.as_array().unwrap().iter().enumerate();
    list.map(|(number, one)| octets_of(one.as_inline_table().unwrap(), number)).collect()
}

fn octets_of(one: &toml_edit::InlineTable, number: usize) -> Octets {
    let seconds = |value: &Value| value.as_float().unwrap_or_else(|| value.as_integer().unwrap() as f64);
    let at = one.get("at").map_or(START_S + number as f64, seconds);
    Octets {
        octets: unhex(one.get("hex").unwrap().as_str().unwrap()),
        time_ns: (at * 1e6).round() as u64 * 1000,
        from: one.get("from").map_or("192.0.2.1", |from| from.as_str().unwrap()).parse().unwrap(),
        port: one.get("port").map_or(50_000, |port| port.as_integer().unwrap() as u16),
    }
}

/// Octets of hexadecimal digits; white space means nothing.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "an octet is two digits");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn write(path: &Path, link_type: u32, snap_length_octets: u32, frames: impl Iterator<Item = (u64, Vec<u8>)>) {
    let format = PcapFormat { link_type, snap_length_octets, ..PcapFormat::default() };
    let mut writer = PcapWriter::new(BufWriter::new(File::create(path).unwrap()), format).unwrap();
    frames.for_each(|(time_ns, frame)| writer.write(time_ns, &frame).unwrap());
    writer.finish().unwrap();
}

/// The frame that carries a datagram to a collector.
fn in_udp(datagram: &Octets) -> (u64, Vec<u8>) {
    let collector = if datagram.from.is_ipv4() { "198.51.100.1" } else { "2001:db8::1" };
    let packet = Packet {
        src_ip: datagram.from,
        dst_ip: collector.parse().unwrap(),
        ttl: 64,
        transport: Transport::Udp(Udp { src_port: datagram.port, dst_port: 2055 }),
        payload: Payload::from(datagram.octets.clone()),
    };
    let link = Link { src_mac: Mac::local(1), dst_mac: Mac::local(2), vlan: None };
    let mut frame = vec![];
    Frame { link, body: Body::Ip(packet) }.write(&mut frame);
    (datagram.time_ns, frame)
}

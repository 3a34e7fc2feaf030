//! Flow records by tshark's cflow dissector and by tapline, value by value.

use crate::csv::read_csv;
use crate::dissection::OPTIONS;
use crate::{tapline, wireshark};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use tapline_trafficgen::frame::{Body, Frame, Link, Mac, Packet, Transport, Udp};
use tapline_trafficgen::payload::Payload;
use tapline_trafficgen::pcap::{PcapFormat, PcapWriter};

/// The port of what [`write_capture`] writes.
pub const PORT: u16 = 2055;

/// How often a value occurs.
pub type Counts = BTreeMap<String, usize>;

/// tshark's fields and the columns that hold the same.
const FIELDS: [(&str, &str); 16] = [
    ("cflow.srcaddr", "src_ip"),
    ("cflow.dstaddr", "dst_ip"),
    ("cflow.srcaddrv6", "src_ip"),
    ("cflow.dstaddrv6", "dst_ip"),
    ("cflow.srcport", "src_port"),
    ("cflow.dstport", "dst_port"),
    ("cflow.protocol", "protocol"),
    ("cflow.tos", "tos"),
    ("cflow.inputint", "input_interface"),
    ("cflow.outputint", "output_interface"),
    ("cflow.srcas", "src_as"),
    ("cflow.dstas", "dst_as"),
    ("cflow.srcmask", "src_mask"),
    ("cflow.dstmask", "dst_mask"),
    ("cflow.nexthop", "next_hop"),
    ("cflow.nexthopv6", "next_hop"),
];

/// Puts each file's octets into a datagram, a second apart.
///
/// # Panics
/// When a file cannot be read or written.
pub fn write_capture(capture: &Path, files: &[PathBuf]) {
    let file = std::fs::File::create(capture).expect("files can be read and written");
    let mut writer = PcapWriter::new(file, PcapFormat::default()).expect("files can be read and written");
    for (second, path) in files.iter().enumerate() {
        let packet = Packet {
            src_ip: Ipv4Addr::new(192, 0, 2, 1).into(),
            dst_ip: Ipv4Addr::new(192, 0, 2, 2).into(),
            ttl: 64,
            transport: Transport::Udp(Udp { src_port: PORT, dst_port: PORT }),
            payload: Payload::from(std::fs::read(path).expect("files can be read and written")),
        };
        let link = Link { src_mac: Mac::local(1), dst_mac: Mac::local(2), vlan: None };
        let mut octets = vec![];
        Frame { link, body: Body::Ip(packet) }.write(&mut octets);
        writer
            .write((1_700_000_000 + second as u64) * 1_000_000_000, &octets)
            .expect("files can be read and written");
    }
    writer.finish().expect("files can be read and written");
}

/// The values of each column, as tshark finds them in datagrams to or from these ports; `None` without tshark.
///
/// # Panics
/// When tshark prints what it should not.
#[must_use]
pub fn by_tshark(capture: &Path, ports: &[u16]) -> Option<BTreeMap<&'static str, Counts>> {
    let decode_as: Vec<_> = ports.iter().map(|port| format!("udp.port=={port},cflow")).collect();
    let options = decode_as.iter().flat_map(|port| ["-d", port]);
    let options: Vec<_> = OPTIONS.into_iter().chain(options).collect();
    let output = wireshark::fields(capture, &options, &FIELDS.map(|(field, _)| field))?;
    let text = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
    let mut columns: BTreeMap<&str, Counts> = BTreeMap::new();
    for line in text.lines() {
        for ((_, column), values) in FIELDS.iter().zip(line.split('\t')) {
            for value in values.split('|').filter(|value| !value.is_empty()) {
                let value = value
                    .strip_prefix("0x")
                    .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                    .map_or_else(|| value.to_owned(), |number| number.to_string());
                *columns.entry(column).or_default().entry(value).or_default() += 1;
            }
        }
    }
    Some(columns)
}

/// The values of each column, as tapline finds them.
///
/// # Errors
/// When it fails, with what it says.
///
/// # Panics
/// When it prints what it should not.
pub fn by_tapline(file: &Path) -> Result<BTreeMap<String, Counts>, String> {
    let columns = BTreeSet::from(FIELDS.map(|(_, column)| column));
    let columns = Vec::from_iter(columns).join(", ");
    let sql = format!("SELECT {columns} FROM flows");
    let (format, sql) = (OsStr::new("csv"), OsStr::new(&sql));
    let run = tapline(&[
        "query".as_ref(),
        "--exports".as_ref(),
        file.as_os_str(),
        "--format".as_ref(),
        format,
        sql,
    ]);
    if run.code != Some(0) {
        return Err(run.stderr);
    }
    let csv = read_csv(run.text());
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for row in &csv.rows {
        for (column, value) in csv.header.iter().zip(row).filter(|(_, value)| !value.is_empty()) {
            *counts.entry(column.clone()).or_default().entry(value.clone()).or_default() += 1;
        }
    }
    Ok(counts)
}

//! What tshark says about the packets of a capture file.
//!
//! Takes a file, gives for each frame the columns of `packets` that tshark knows, as tapline prints
//! them: outermost headers, no reassembly.

use crate::dissection::{Dissection, OPTIONS, PROTOCOLS};
use crate::table::Table;
use crate::wireshark;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// One frame: column names to values; what the frame does not carry is left out.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Capture time, nanoseconds since the epoch.
    pub ts: i64,
    /// Octets of the IP packet, `None` without an IP header.
    pub octets: Option<u64>,
    /// tshark's list of protocols.
    pub protocols: String,
    /// Octets on the wire.
    pub frame_octets: u64,
    /// Whether the capture has less of it.
    pub is_cut: bool,
    columns: BTreeMap<&'static str, String>,
}

impl Frame {
    /// A frame of which only the protocols are known.
    #[must_use]
    pub fn of_protocols(protocols: &str) -> Self {
        Self { protocols: protocols.to_owned(), ..Self::default() }
    }

    /// Says that tshark is wrong about a column.
    pub fn correct(&mut self, column: &'static str, value: &str) {
        self.columns.insert(column, value.to_owned());
    }

    /// The column's value, empty for NULL.
    #[must_use]
    pub fn value(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }
}

/// Frames of a file; `None`, and a line that says so, without tshark.
///
/// # Panics
/// When tshark prints what it should not.
#[must_use]
pub fn frames(file: &Path) -> Option<Vec<Frame>> {
    Some(read(file)?.unwrap_or_default())
}

/// Frames of a file, as far as it can be read, or why it cannot be read at all; `None` without tshark.
///
/// # Panics
/// When tshark prints what it should not.
#[must_use]
pub fn read(file: &Path) -> Option<Result<Vec<Frame>, String>> {
    let preferences = "-o ip.defragment:FALSE -o ipv6.defragment:FALSE -o tcp.desegment_tcp_streams:FALSE";
    let options: Vec<_> = OPTIONS.into_iter().chain(preferences.split(' ')).collect();
    let output = wireshark::fields(file, &options, &FIELDS)?;
    if !output.status.success() && output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.lines().find(|line| line.starts_with("tshark:")).unwrap_or("tshark cannot read it");
        return Some(Err(reason.to_owned()));
    }
    let text = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
    Some(Ok(text.lines().map(|line| Told(Dissection::new(line, &FIELDS)).frame()).collect()))
}

/// `SELECT keys, count(*), sum(octets), sum(frame_octets) … GROUP BY keys` over the frames.
#[must_use]
pub fn grouped(frames: &[Frame], keys: &[&str]) -> Table {
    let mut groups: BTreeMap<Vec<String>, (u64, Option<u64>, u64)> = BTreeMap::new();
    for frame in frames {
        let key = keys.iter().map(|column| frame.value(column).to_owned()).collect();
        let (count, octets, frame_octets) = groups.entry(key).or_default();
        *count += 1;
        *octets = octets.map_or(frame.octets, |sum| Some(sum + frame.octets.unwrap_or(0)));
        *frame_octets += frame.frame_octets;
    }
    let mut table = Table::default();
    for (key, (count, octets, frame_octets)) in groups {
        let octets = octets.map_or_else(String::new, |sum| sum.to_string());
        table.insert(key, vec![count.to_string(), octets, frame_octets.to_string()]);
    }
    table
}

const FIELDS: [&str; 36] = [
    PROTOCOLS,
    "frame.len",
    "frame.cap_len",
    "frame.time_epoch",
    "eth.src",
    "sll.src.eth",
    "vlan.id",
    "ieee8021ad.id",
    "mpls.label",
    "ip.version",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.len",
    "ip.ttl",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.plen",
    "ipv6.hlim",
    "ipv6.hopopts.nxt",
    "ipv6.routing.nxt",
    "ipv6.fraghdr.nxt",
    "ipv6.dstopts.nxt",
    "ah.next_header",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
];

/// Extension headers, and the field that names what follows.
const EXTENSIONS: [(&str, &str); 5] = [
    ("0", "ipv6.hopopts.nxt"),
    ("43", "ipv6.routing.nxt"),
    ("44", "ipv6.fraghdr.nxt"),
    ("51", "ah.next_header"),
    ("60", "ipv6.dstopts.nxt"),
];

/// Columns of the headers below IP: the first of these protocols says it, in this field.
const LINK_COLUMNS: [(&str, [(&str, &str); 2]); 2] = [
    ("src_mac", [("eth", "eth.src"), ("sll", "sll.src.eth")]),
    ("vlan", [("vlan", "vlan.id"), ("ieee8021ad", "ieee8021ad.id")]),
];

/// Octets of the headers below IP.
const LINK_HEADERS: [(&str, u64); 8] = [
    ("eth", 14),
    ("vlan", 4),
    ("ieee8021ad", 4),
    ("mpls", 4),
    ("pppoes", 6),
    ("ppp", 2),
    ("sll", 16),
    ("null", 4),
];

/// FIN to AE; tshark's field has the three reserved bits too.
const TCP_FLAGS: u64 = 0x1ff;

/// Protocols between an IP header and the packet that it tunnels.
const TUNNELS: [&str; 4] = ["vxlan", "geneve", "gre", "gtp"];

/// One line of tshark's output, to be told in columns.
struct Told<'a>(Dissection<'a>);

impl<'a> Told<'a> {
    fn number(&self, field: &str) -> Option<u64> {
        self.0.number(field, 0)
    }

    fn frame(&self) -> Frame {
        let frame_octets = self.number("frame.len").unwrap_or(0);
        let ts = self.0.nth("frame.time_epoch", 0).map_or(0, nanoseconds);
        let is_cut = self.number("frame.cap_len").is_some_and(|captured| captured < frame_octets);
        let mut frame = Frame { ts, frame_octets, is_cut, ..Frame::default() };
        self.0.protocols.join(":").clone_into(&mut frame.protocols);
        let headers = self.headers();
        let link = &self.0.protocols[..headers.first().copied().unwrap_or(self.0.protocols.len())];
        for (column, headers) in LINK_COLUMNS {
            let header = link.iter().find_map(|protocol| headers.iter().find(|(name, _)| name == protocol));
            frame.set(column, header.and_then(|(_, field)| self.0.nth(field, 0)));
        }
        frame.set("inner_vlan", self.inner_vlan(link));
        frame.set("mpls_label", self.0.nth("mpls.label", 0).filter(|_| link.contains(&"mpls")));
        match headers[..] {
            [] => frame.set("ip_version", self.0.nth("ip.version", 0).filter(|&version| version == "4")),
            [outer] => self.read_ip(&mut frame, outer),
            [outer, inner, ..] => {
                self.read_ip(&mut frame, outer);
                self.read_tunnelled(&mut frame, outer, inner);
            }
        }
        frame
    }

    /// The id of the second tag.
    fn inner_vlan(&self, link: &[&str]) -> Option<&'a str> {
        let field = |protocol: &&str| match *protocol {
            "vlan" => Some("vlan.id"),
            "ieee8021ad" => Some("ieee8021ad.id"),
            _ => None,
        };
        let tags: Vec<_> = link.iter().filter_map(field).collect();
        let [first, second, ..] = tags[..] else { return None };
        self.0.nth(second, usize::from(first == second))
    }

    /// Places of the IP headers in the list of protocols; a header without addresses is none.
    fn headers(&self) -> Vec<usize> {
        (0..self.0.protocols.len()).filter(|&at| self.address("src", at).is_some()).collect()
    }

    fn read_ip(&self, frame: &mut Frame, at: usize) {
        let is_v4 = self.0.protocols[at] == "ip";
        let either = |v4, v6| self.0.nth(if is_v4 { v4 } else { v6 }, 0);
        frame.set("src_ip", self.address("src", at));
        frame.set("dst_ip", self.address("dst", at));
        frame.set("ip_version", Some(if is_v4 { "4" } else { "6" }));
        frame.set("ttl", either("ip.ttl", "ipv6.hlim"));
        frame.octets = Some(self.octets(at));
        let claimed = either("ip.proto", "ipv6.nxt");
        let protocol = claimed.and_then(|protocol| self.behind_extensions(protocol));
        let protocol = protocol.or(claimed.filter(|_| is_v4));
        frame.set("protocol", protocol);
        self.read_transport(frame, protocol.unwrap_or_default());
    }

    fn read_tunnelled(&self, frame: &mut Frame, outer: usize, inner: usize) {
        let between = &self.0.protocols[outer + 1..inner];
        let is_extension = |protocol: &&str| protocol.starts_with("ipv6.");
        if between.iter().all(is_extension) || between.iter().any(|protocol| TUNNELS.contains(protocol)) {
            frame.set("inner_src_ip", self.address("src", inner));
            frame.set("inner_dst_ip", self.address("dst", inner));
        }
    }

    fn read_transport(&self, frame: &mut Frame, protocol: &str) {
        let [source, destination] = match protocol {
            "6" => ["tcp.srcport", "tcp.dstport"],
            "17" => ["udp.srcport", "udp.dstport"],
            "132" => ["sctp.srcport", "sctp.dstport"],
            "1" => return self.read_icmp(frame, ["icmp.type", "icmp.code"]),
            "58" => return self.read_icmp(frame, ["icmpv6.type", "icmpv6.code"]),
            _ => return,
        };
        frame.set("src_port", self.0.nth(source, 0));
        frame.set("dst_port", self.0.nth(destination, 0));
        if protocol == "6" {
            frame.set("tcp_flags", self.number("tcp.flags").map(|flags| (flags & TCP_FLAGS).to_string()));
        }
    }

    fn read_icmp(&self, frame: &mut Frame, [kind, code]: [&str; 2]) {
        frame.set("icmp_type", self.0.nth(kind, 0));
        frame.set("icmp_code", self.0.nth(code, 0));
    }

    /// The address in the IP header at this place of the list of protocols, in canonical form.
    fn address(&self, side: &str, at: usize) -> Option<String> {
        let family = Some(self.0.protocols[at]).filter(|protocol| matches!(*protocol, "ip" | "ipv6"))?;
        let text = self.0.nth(&format!("{family}.{side}"), self.0.occurrence(at))?;
        let ip: IpAddr = text.parse().expect("tshark prints addresses");
        Some(ip.to_canonical().to_string())
    }

    /// What the header claims; when that is nothing, what is left of the frame, but for IPv6 that nothing follows.
    fn octets(&self, at: usize) -> u64 {
        let claim = match self.0.protocols[at] {
            "ip" => self.number("ip.len"),
            _ if self.0.nth("ipv6.nxt", 0) == Some("59") => {
                self.number("ipv6.plen").map(|payload| 40 + payload)
            }
            _ => self.number("ipv6.plen").filter(|&payload| payload > 0).map(|payload| 40 + payload),
        };
        let link_octets =
            |protocol: &&str| LINK_HEADERS.iter().find(|(name, _)| name == protocol).map_or(0, |link| link.1);
        let left = || {
            let before = self.0.protocols[..at].iter().map(link_octets).sum::<u64>();
            self.number("frame.len").unwrap_or(0).saturating_sub(before)
        };
        claim.filter(|&claim| claim > 0).unwrap_or_else(left)
    }

    /// The protocol after the extension headers, which IPv4 may have too; `None` when they are cut.
    fn behind_extensions(&self, mut protocol: &'a str) -> Option<&'a str> {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        while let Some((_, field)) = EXTENSIONS.iter().find(|(number, _)| *number == protocol) {
            let occurrence = seen.entry(field).or_default();
            protocol = self.0.nth(field, *occurrence)?;
            *occurrence += 1;
        }
        Some(protocol)
    }
}

/// Nanoseconds of `SECONDS.FRACTION` with nine digits.
fn nanoseconds(epoch: &str) -> i64 {
    let digits: String = epoch.chars().filter(|&character| character != '.').collect();
    digits.parse().expect("tshark prints nine digits of a second")
}

impl Frame {
    fn set(&mut self, column: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.columns.insert(column, value.into());
        }
    }
}

//! tshark as an oracle: what it says of each frame, in the words of the stream `packets`.
//!
//! Takes a capture, gives a row for each frame; columns that tshark says nothing of are left out.

use crate::rows::Row;
use harness::dissection::{Dissection, OPTIONS, number};
use harness::wireshark;
use std::path::Path;

/// Fields that are asked for.
const FIELDS: &[&str] = &[
    "frame.protocols",
    "frame.len",
    "frame.p2p_dir",
    "eth.src",
    "eth.dst",
    "eth.type",
    "sll.src.eth",
    "sll.etype",
    "sll.pkttype",
    "vlan.id",
    "vlan.etype",
    "ieee8021ad.id",
    "llc.type",
    "mpls.label",
    "ip.version",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.ttl",
    "ip.dsfield.dscp",
    "ip.dsfield.ecn",
    "ip.id",
    "ip.frag_offset",
    "ip.len",
    "ipv6.version",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.hlim",
    "ipv6.tclass.dscp",
    "ipv6.tclass.ecn",
    "ipv6.flow",
    "ipv6.plen",
    "ipv6.fraghdr.ident",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.nxt",
    "ipv6.hopopts.nxt",
    "ipv6.routing.nxt",
    "ipv6.dstopts.nxt",
    "ah.next_header",
    "mip6.proto",
    "hip.proto",
    "shim6.nxt",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.window_size_value",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "dccp.srcport",
    "dccp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
    "vxlan.vni",
    "geneve.vni",
    "gre.key",
    "gre.key.call_id",
    "gtp.message",
    "gtp.teid",
];

/// Extension headers: the protocol's name, and its field with the next one.
const EXTENSIONS: &[(&str, &str)] = &[
    ("ipv6.hopopts", "ipv6.hopopts.nxt"),
    ("ipv6.routing", "ipv6.routing.nxt"),
    ("ipv6.dstopts", "ipv6.dstopts.nxt"),
    ("ipv6.fraghdr", "ipv6.fraghdr.nxt"),
    ("ah", "ah.next_header"),
    ("mipv6", "mip6.proto"),
    ("hip", "hip.proto"),
    ("shim6", "shim6.nxt"),
];

/// Transport protocols, and the prefix of their ports' fields.
const TRANSPORTS: &[(&str, &str)] =
    &[("tcp", "tcp"), ("udp", "udp"), ("udplite", "udp"), ("sctp", "sctp"), ("dccp", "dccp")];

/// Tunnel protocols, their names in the stream, and the field with their id.
const TUNNELS: &[(&str, &str, &str)] = &[
    ("vxlan", "vxlan", "vxlan.vni"),
    ("geneve", "geneve", "geneve.vni"),
    ("gre", "gre", "gre.key"),
    ("gtp", "gtpu", "gtp.teid"),
];

const VLAN_TYPES: [u64; 3] = [0x8100, 0x88a8, 0x9100];

/// What tshark says of every frame of a capture file; `None` where it is not installed.
pub(crate) fn dissect(capture: &Path, preferences: &[&str]) -> Option<Vec<Row>> {
    let fixed = ["ip.defragment:FALSE", "ipv6.defragment:FALSE"];
    let switch = |preference: &&str| if preference.contains("==") { "-d" } else { "-o" };
    let preferences = fixed.iter().chain(preferences);
    let preferences = preferences.flat_map(|preference| [switch(preference), preference]);
    let options: Vec<_> = OPTIONS.into_iter().chain(preferences).collect();
    let text = wireshark::field_text(capture, &options, FIELDS)?;
    Some(text.lines().map(|line| Told(Dissection::new(line, FIELDS)).row()).collect())
}

/// One frame as tshark prints it, to be told in the words of the stream.
struct Told<'a>(Dissection<'a>);

impl Told<'_> {
    fn row(&self) -> Row {
        let mut row = Row::new();
        self.fill_link(&mut row);
        if let Some(ip) = self.next_ip(0) {
            self.fill_network(ip, &mut row);
            self.fill_transport(ip, &mut row);
            self.fill_tunnel(ip, &mut row);
        }
        row
    }

    fn put(&self, row: &mut Row, column: &'static str, field: &str, occurrence: usize) {
        if let Some(value) = self.0.number(field, occurrence) {
            row.insert(column, value.to_string());
        }
    }

    fn put_text(&self, row: &mut Row, column: &'static str, field: &str, occurrence: usize) {
        if let Some(text) = self.0.nth(field, occurrence) {
            row.insert(column, text.to_owned());
        }
    }

    fn fill_link(&self, row: &mut Row) {
        self.put(row, "frame_octets", "frame.len", 0);
        self.put_text(row, "src_mac", "sll.src.eth", 0);
        self.put_text(row, "src_mac", "eth.src", 0);
        self.put_text(row, "dst_mac", "eth.dst", 0);
        if let Some(kind) = self.0.number("sll.pkttype", 0) {
            row.insert("direction", u64::from(kind == 4).to_string());
        }
        // 0 is sent there.
        if let Some(direction) = self.0.number("frame.p2p_dir", 0) {
            row.insert("direction", (1 - direction).to_string());
        }
        let types = ["eth.type", "sll.etype", "vlan.etype", "llc.type"];
        let mut types = types.iter().flat_map(|field| self.0.values(field));
        if let Some(ethertype) = types.find(|text| !VLAN_TYPES.contains(&number(text))) {
            row.insert("ethertype", number(ethertype).to_string());
        }
        let outside = self.next_ip(0).unwrap_or(self.0.protocols.len());
        if self.0.protocols[..outside].contains(&"mpls") {
            self.put(row, "mpls_label", "mpls.label", 0);
        }
        let tags = self.0.protocols[..outside].iter().filter(|name| ["vlan", "ieee8021ad"].contains(name));
        let ids = ["ieee8021ad.id", "vlan.id"].iter().flat_map(|field| self.0.values(field));
        for (column, (_, id)) in ["vlan", "inner_vlan"].into_iter().zip(tags.zip(ids)) {
            row.insert(column, number(id).to_string());
        }
    }

    /// Position of the next IP header among the protocols.
    ///
    /// tshark's IPv4 hands packets of version 6 on to IPv6.
    fn next_ip(&self, from: usize) -> Option<usize> {
        let rest = &self.0.protocols[from..];
        let position = from + rest.iter().position(|name| ["ip", "ipv6"].contains(name))?;
        let is_handed_on =
            self.0.protocols[position..].starts_with(&["ip", "ipv6"]) && !self.is_real_ipv4(position);
        Some(position + usize::from(is_handed_on))
    }

    fn is_real_ipv4(&self, position: usize) -> bool {
        self.0.number("ip.proto", self.0.occurrence(position)).is_some()
    }

    /// Protocols behind the IP header at `position`, up to the next IP header.
    fn behind(&self, position: usize) -> std::ops::Range<usize> {
        position + 1..self.next_ip(position + 1).unwrap_or(self.0.protocols.len())
    }

    fn fill_network(&self, position: usize, row: &mut Row) {
        let at = self.0.occurrence(position);
        if self.0.protocols[position] == "ip" {
            self.fill_ipv4(at, row);
        } else {
            self.fill_ipv6(position, at, row);
        }
        if let Some(protocol) = self.protocol(position) {
            row.insert("protocol", protocol.to_string());
        }
    }

    fn fill_ipv4(&self, at: usize, row: &mut Row) {
        // An unknown version is shown; ours are 4 and 6.
        if self.0.number("ip.version", 0) == Some(4) {
            row.insert("ip_version", "4".to_owned());
        }
        for (column, field) in [("src_ip", "ip.src"), ("dst_ip", "ip.dst")] {
            self.put_text(row, column, field, at);
        }
        for (column, field) in [
            ("ttl", "ip.ttl"),
            ("dscp", "ip.dsfield.dscp"),
            ("ecn", "ip.dsfield.ecn"),
            ("ip_id", "ip.id"),
            ("octets", "ip.len"),
        ] {
            self.put(row, column, field, at);
        }
        if let Some(units) = self.0.number("ip.frag_offset", at) {
            row.insert("fragment_offset", (8 * units).to_string());
        }
    }

    fn fill_ipv6(&self, position: usize, at: usize, row: &mut Row) {
        if self.0.number("ipv6.version", at) == Some(6) {
            row.insert("ip_version", "6".to_owned());
        }
        for (column, field) in [("src_ip", "ipv6.src"), ("dst_ip", "ipv6.dst")] {
            self.put_text(row, column, field, at);
        }
        for (column, field) in [
            ("ttl", "ipv6.hlim"),
            ("dscp", "ipv6.tclass.dscp"),
            ("ecn", "ipv6.tclass.ecn"),
            ("flow_label", "ipv6.flow"),
        ] {
            self.put(row, column, field, at);
        }
        if let Some(payload_length) = self.0.number("ipv6.plen", at) {
            row.insert("octets", (40 + payload_length).to_string());
        }
        if let Some(fragment) = self.behind(position).find(|&at| self.0.protocols[at] == "ipv6.fraghdr") {
            let at = self.0.occurrence(fragment);
            self.put(row, "ip_id", "ipv6.fraghdr.ident", at);
            let units = self.0.number("ipv6.fraghdr.offset", at);
            row.extend(units.map(|units| ("fragment_offset", (8 * units).to_string())));
        }
    }

    /// The protocol of IPv4, or the last one that IPv6 and its extension headers name.
    fn protocol(&self, position: usize) -> Option<u64> {
        let at = self.0.occurrence(position);
        if self.0.protocols[position] == "ip" {
            return self.0.number("ip.proto", at);
        }
        let last = self.behind(position).rev().find_map(|extension| {
            let (_, field) = EXTENSIONS.iter().find(|(name, _)| *name == self.0.protocols[extension])?;
            self.0.number(field, self.0.occurrence(extension))
        });
        last.or_else(|| self.0.number("ipv6.nxt", at))
    }

    fn fill_transport(&self, position: usize, row: &mut Row) {
        self.fill_ports(position, ["src_port", "dst_port"], row);
        for at in self.behind(position) {
            match self.0.protocols[at] {
                "tcp" => self.fill_tcp(self.0.occurrence(at), row),
                name @ ("icmp" | "icmpv6") => {
                    self.put(row, "icmp_type", &format!("{name}.type"), self.0.occurrence(at));
                    self.put(row, "icmp_code", &format!("{name}.code"), self.0.occurrence(at));
                }
                _ => {}
            }
        }
    }

    /// Ports of the first transport header; UDP and UDP-Lite share their fields.
    fn fill_ports(&self, position: usize, [src, dst]: [&'static str; 2], row: &mut Row) {
        let transport = self.behind(position).find_map(|at| {
            let transport = TRANSPORTS.iter().find(|(name, _)| *name == self.0.protocols[at])?;
            Some((at, transport.1))
        });
        if let Some((at, prefix)) = transport {
            self.put(row, src, &format!("{prefix}.srcport"), self.0.occurrence(at));
            self.put(row, dst, &format!("{prefix}.dstport"), self.0.occurrence(at));
        }
    }

    fn fill_tcp(&self, at: usize, row: &mut Row) {
        self.put(row, "tcp_seq", "tcp.seq_raw", at);
        self.put(row, "tcp_ack", "tcp.ack_raw", at);
        self.put(row, "tcp_window", "tcp.window_size_value", at);
        // tshark counts three reserved bits among the flags.
        let flags = self.0.number("tcp.flags", at);
        row.extend(flags.map(|flags| ("tcp_flags", (flags & 0x1ff).to_string())));
    }

    fn fill_tunnel(&self, outer: usize, row: &mut Row) {
        let Some(start) = self.tunnel_start(outer, row) else { return };
        let Some(inner) = self.next_ip(start) else { return };
        let at = self.0.occurrence(inner);
        let family = self.0.protocols[inner];
        for (column, field) in [("inner_src_ip", "src"), ("inner_dst_ip", "dst")] {
            self.put_text(row, column, &format!("{family}.{field}"), at);
        }
        row.extend(self.protocol(inner).map(|protocol| ("inner_protocol", protocol.to_string())));
        self.fill_ports(inner, ["inner_src_port", "inner_dst_port"], row);
    }

    /// Notes the tunnel behind the IP header at `outer`, and where what it carries begins.
    fn tunnel_start(&self, outer: usize, row: &mut Row) -> Option<usize> {
        for at in self.behind(outer) {
            let Some((name, kind, id)) = TUNNELS.iter().find(|(name, ..)| *name == self.0.protocols[at])
            else {
                continue;
            };
            if *name == "gtp" && self.0.number("gtp.message", 0) != Some(255) {
                return None;
            }
            row.insert("tunnel_kind", (*kind).to_owned());
            self.put(row, "tunnel_id", "gre.key.call_id", 0);
            self.put(row, "tunnel_id", id, 0);
            return Some(at + 1);
        }
        let behind = self.behind(outer);
        let is_direct = self.0.protocols[behind.clone()]
            .iter()
            .all(|name| EXTENSIONS.iter().any(|(extension, _)| extension == name));
        let is_tunnel = [4, 41].contains(&self.protocol(outer)?);
        if is_tunnel && is_direct && row.get("fragment_offset").is_none_or(|offset| offset == "0") {
            row.insert("tunnel_kind", "ipip".to_owned());
            return Some(behind.end);
        }
        None
    }
}

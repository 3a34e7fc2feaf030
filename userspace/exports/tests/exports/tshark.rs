//! UDP payloads of real captures, in pieces or not, are those that tshark sees.

use std::path::Path;

use harness::captures::packet_files;
use harness::wireshark;

use crate::files::read;

/// Ports and payload length of a UDP datagram.
type Seen = (u16, u16, usize);

/// The outermost UDP datagrams as tshark sees them; says so and gives none where it is not installed.
fn tshark(path: &Path) -> Option<Vec<Seen>> {
    let options = "-o ip.defragment:TRUE -o ipv6.defragment:TRUE -E occurrence=f".split(' ');
    let options: Vec<_> = options.chain(["-Y", "udp && !icmp && !icmpv6"]).collect();
    let output = wireshark::fields(path, &options, &["udp.srcport", "udp.dstport", "udp.length"])?;
    let seen = |line: &str| {
        let fields: Vec<usize> = line.split('\t').map(|field| field.parse().unwrap()).collect();
        (fields[0] as u16, fields[1] as u16, fields[2] - 8)
    };
    Some(String::from_utf8(output.stdout).unwrap().lines().map(seen).collect())
}

/// Captures with UDP that is sound; of the first, a good part is in pieces, IPv4 and IPv6.
const NAMES: [&str; 5] =
    ["dns_fragmented.pcap", "1kxun.pcap", "teams.pcap", "alexa-app.pcapng", "vxlan.pcap"];

#[test]
fn every_udp_payload_is_as_tshark_says() {
    let mut fragments = 0;
    for path in packet_files().iter().filter(|path| NAMES.iter().any(|name| path.ends_with(name))) {
        let Some(expected) = tshark(path) else { return };
        let mut ports: Vec<u16> = expected.iter().map(|(_, port, _)| *port).collect();
        ports.sort_unstable();
        ports.dedup();
        let read = read(&[path], &ports);
        let messages: Vec<_> =
            read.messages.iter().map(|seen| (seen.sender.port, seen.payload.len())).collect();
        let expected: Vec<_> = expected.iter().map(|(port, _, octets)| (*port, *octets)).collect();
        assert_eq!(messages, expected, "{}", path.display());
        fragments += read.counters.fragments;
    }
    println!("{fragments} fragments were among them");
}

//! Interfaces of every kind are read as what they are: the same packets give the same answers as in a file.

use crate::answers::{By, ask, ask_file, rows};
use crate::tun::Tun;
use harness::frames;

/// Keys of the flow table, and sums.
const KEYS: &str = "SELECT ip_version, vlan, src_ip, dst_ip, protocol, src_port, dst_port, icmp_type, count(*), \
                    sum(octets), sum(frame_octets) FROM packets \
                    GROUP BY ip_version, vlan, src_ip, dst_ip, protocol, src_port, dst_port, icmp_type";
/// What only packets have besides.
const MORE: &str = "SELECT ethertype, src_mac, ttl, src_ip, inner_src_ip, count(*), sum(octets), sum(frame_octets) \
                    FROM packets GROUP BY ethertype, src_mac, ttl, src_ip, inner_src_ip";
const FLOWS: &str = "SELECT src_ip, dst_ip, src_port, vlan, sum(packets), sum(octets) FROM flows \
                     GROUP BY src_ip, dst_ip, src_port, vlan";
/// What only packets have of them.
const MORE_FLOWS: &str = "SELECT src_ip, dst_ip, src_port, tos, sum(packets), sum(octets) FROM flows \
                          GROUP BY src_ip, dst_ip, src_port, tos";

/// The link type of packets with nothing in front (`LINKTYPE_RAW`).
const RAW: u32 = 101;

/// Packets that are more than they seem: one has at its addresses, and behind, what looks like a header of IP behind
/// Ethernet's; others are of IPv6, in a tunnel, fragments, or end early.
fn packets() -> Vec<Vec<u8>> {
    let disguised =
        "4500002c0001000040112d84 0800 4500003c00014000401100 00c0000242c000024d 029a 0309 000a 0000 7a7a";
    let mut packets = vec![
        frames::ipv4(frames::UDP, &frames::udp(1, 53, &[b'a'; 30])),
        frames::hex(disguised),
        frames::small_ipv6(),
        frames::ipv4(1, &frames::icmp()),
        frames::ipv4(4, &frames::small_ipv4()),
        frames::ipv4(6, &frames::tcp(b"hello")),
    ];
    packets.push(packets[0][..24].to_vec());
    packets.push(packets[0][..11].to_vec());
    packets.push(packets[2][..30].to_vec());
    packets
}

fn assert_like_the_file(hardware: u16, by: By, sql: &str, (keys, sums): (usize, usize)) -> bool {
    let Some(tun) = Tun::make(hardware) else { return false };
    let packets = packets();
    let live = ask(sql, by, || packets.iter().for_each(|packet| tun.send(packet)));
    let file = ask_file(sql, RAW, &packets);
    let (expected, found) = (rows(&file, keys, sums), rows(&live, keys, sums));
    assert!(expected.len() > 3, "{expected:?}");
    assert_eq!(found, expected, "hardware {hardware}, {by:?}: {}", live.stderr);
    let mode = if by == By::Table { "XDP" } else { "AF_PACKET" };
    assert!(live.stderr.contains(mode), "{}", live.stderr);
    true
}

/// tun and WireGuard; raw IP of modems; IP in IP; SIT.
const RAW_IP: [u16; 4] = [65534, 519, 768, 776];

#[test]
fn bare_ip_is_counted_as_what_it_is() {
    for hardware in RAW_IP {
        if !assert_like_the_file(hardware, By::Table, KEYS, (8, 3)) {
            return;
        }
        assert!(assert_like_the_file(hardware, By::Table, FLOWS, (4, 2)));
    }
}

#[test]
fn bare_ip_is_read_as_what_it_is() {
    for (hardware, sql, columns) in [(65534, MORE, (5, 3)), (776, MORE, (5, 3)), (769, MORE_FLOWS, (4, 2))] {
        if !assert_like_the_file(hardware, By::Copies, sql, columns) {
            return;
        }
    }
}

/// PPP, GRE, Infiniband: only the kernel knows where their packets begin, so that the table is not asked.
#[test]
fn other_interfaces_are_read_from_where_the_kernel_says() {
    for (hardware, sql, columns) in
        [(512, KEYS, (8, 3)), (512, MORE, (5, 3)), (778, KEYS, (8, 3)), (32, FLOWS, (4, 2))]
    {
        if !assert_like_the_file(hardware, By::Copies, sql, columns) {
            return;
        }
    }
}

#[test]
fn why_the_table_is_not_asked_is_said() {
    let Some(_tun) = Tun::make(512) else { return };
    let sql = format!("{KEYS}, tumble('1 second')");
    let run = harness::tapline(&["query", "--interface", "far", "--explain", &sql]);
    let reason = "reads packets: only AF_PACKET knows where the IP header is on `far`";
    assert!(run.success().contains(reason), "{}", run.text());
}

//! VLAN tags beside the frames: put back, taken from the driver, or what leaves them out is told with what really mends it.
//!
//! A bridge takes the tag out of each frame that comes in, and hands it on beside the frame.

use std::collections::BTreeMap;

use harness::frames;
use harness::run::{Finished, tapline_during};
use tapline_interface::doctor;
use tapline_interface::link;
use tapline_interface::live::PacketSender;

use crate::answers::{By, ask, ask_file, ask_on, rows};
use crate::namespace::{FAR, NEAR, ip, is_attached, unshare, wait_for_carrier};
use crate::queries::wait_for;
use crate::rights::load;
use crate::segments::{drained, options};

const BRIDGE: &str = "middle";
/// Near's other end, a port of the bridge.
const NEAR_PORT: &str = "nearport";
/// Far's other end, a port of the bridge.
const FAR_PORT: &str = "farport";

/// Connects near and far by a bridge.
fn enter() -> bool {
    if !unshare() {
        return false;
    }
    let made = [
        &["link", "add", NEAR, "type", "veth", "peer", "name", NEAR_PORT][..],
        &["link", "add", FAR, "type", "veth", "peer", "name", FAR_PORT],
        &["link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0"],
        &["link", "set", NEAR_PORT, "master", BRIDGE],
        &["link", "set", FAR_PORT, "master", BRIDGE],
    ];
    if !made.iter().all(|arguments| ip(arguments)) {
        println!("skipped: no veth interfaces or bridges: ip(8) or the kernel lacks them");
        return false;
    }
    // Some kernels let the firewall look at bridged packets, and drop those without a checksum.
    let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
    for link in [NEAR, NEAR_PORT, FAR, FAR_PORT, BRIDGE] {
        assert!(
            ip(&["link", "set", link, "addrgenmode", "none"]) && ip(&["link", "set", link, "up"]),
            "{link}"
        );
    }
    wait_for_carrier();
    true
}

/// Two frames without a tag, three in VLAN 100, five in VLAN 7 within 200 of a provider.
fn sent() -> Vec<Vec<u8>> {
    let packet = frames::ipv4(frames::UDP, &frames::udp(1000, 53, &[b'x'; 60]));
    assert_eq!(packet.len(), 88);
    let inner = frames::tag(7, frames::IPV4, &packet);
    let kinds = [
        (2, frames::ethernet(frames::IPV4, &packet)),
        (3, frames::ethernet(0x8100, &frames::tag(100, frames::IPV4, &packet))),
        (5, frames::ethernet(0x88a8, &frames::tag(200, 0x8100, &inner))),
    ];
    kinds.into_iter().flat_map(|(count, frame)| vec![frame; count]).collect()
}

fn send() {
    let sender = PacketSender::open(NEAR, false).unwrap();
    sent().iter().for_each(|frame| sender.send(frame).unwrap());
}

/// Whether the driver tells programs of the tags beside frames, as that of these pairs does since Linux 6.8.
fn is_told() -> bool {
    link::tells_tags(&link::find(FAR).unwrap().unwrap())
}

/// Questions, who answers them, how many keys and sums they have, and what is right.
type Asked = (&'static str, By, (usize, usize), [&'static str; 3]);

const ASKED: [Asked; 4] = [
    (BY_VLAN, By::Table, (1, 3), [",2,176,204", "100,3,264,318", "200,5,440,550"]),
    (BY_BOTH, By::Mirror, (3, 2), [",,64,2,204", "100,,64,3,318", "200,7,64,5,550"]),
    (FLOWS, By::Table, (1, 2), [",2,176", "100,3,264", "200,5,440"]),
    (FLOWS_OF_PACKETS, By::Mirror, (1, 2), [",2,176", "100,3,264", "200,5,440"]),
];

const BY_VLAN: &str = "SELECT vlan, count(*), sum(octets), sum(frame_octets) FROM packets GROUP BY vlan";
const BY_BOTH: &str = "SELECT vlan, inner_vlan, ttl, count(*), sum(frame_octets) FROM packets \
                       GROUP BY vlan, inner_vlan, ttl";
const FLOWS: &str = "SELECT vlan, sum(packets), sum(octets) FROM flows GROUP BY vlan";
const FLOWS_OF_PACKETS: &str =
    "SELECT vlan, sum(packets), sum(octets) FROM flows WHERE src_mac IS NOT NULL GROUP BY vlan";
const WITHOUT_TAGS: &str = "SELECT dst_port, count(*), sum(octets) FROM packets GROUP BY dst_port";

const INSTEAD: &str = "watch the interfaces below it instead";

fn is_warned(run: &Finished) -> bool {
    run.stderr.contains("VLAN tags may be left out of account in")
}

#[test]
fn copies_have_their_tags_back() {
    if !enter() {
        return;
    }
    let run = ask(BY_BOTH, By::Copies, send);
    assert_eq!(rows(&run, 3, 2), [",,64,2,204", "100,,64,3,318", "200,7,64,5,550"], "{}", run.stderr);
    let flows = ask(FLOWS_OF_PACKETS, By::Copies, send);
    assert_eq!(rows(&flows, 1, 2), [",2,176", "100,3,264", "200,5,440"], "{}", flows.stderr);
    assert!(!is_warned(&run) && !is_warned(&flows), "{}", run.stderr);
}

#[test]
fn tags_beside_frames_are_in_all_answers_where_the_driver_tells_them() {
    for (sql, by, (keys, sums), expected) in ASKED {
        if !enter() {
            return;
        }
        if !is_told() {
            println!("skipped: tells no tags beside frames, which veth does since Linux 6.8");
            return;
        }
        let run = ask(sql, by, send);
        assert_eq!(rows(&run, keys, sums), expected, "{sql}: {}", run.stderr);
        assert!(!is_warned(&run) && run.stderr.contains("from the card: VLAN tags"), "{}", run.stderr);
        let file = ask_file(sql, 1, &sent());
        assert_eq!(rows(&file, keys, sums), expected, "{sql}: {}", file.stderr);
    }
    let found = |text: &str| doctor::interface(FAR).unwrap().iter().any(|found| found.what.contains(text));
    assert!(found("VLAN tags beside frames are read from its driver") && !found("hands VLAN tags over"));
}

#[test]
fn a_program_that_says_what_happens_in_it_answers_the_same() {
    if !enter() || !is_told() {
        return;
    }
    let sql = format!("{BY_VLAN}, tumble('24 hours')");
    let arguments = ["query", "--interface", FAR, "--log-kernel", "info", "--format", "csv", &sql];
    let run = tapline_during(&arguments, || {
        wait_for(is_attached);
        send();
    });
    assert_eq!(rows(&run, 1, 3), [",2,176,204", "100,3,264,318", "200,5,440,550"], "{}", run.stderr);
    assert!(!run.stderr.contains("the kernel program says"), "nothing has happened: {}", run.stderr);
}

#[test]
fn a_filter_in_the_kernel_sees_tags_beside_frames() {
    for by in [By::Table, By::Mirror] {
        if !enter() || !is_told() {
            return;
        }
        let columns = if by == By::Table { "vlan" } else { "vlan, ttl" };
        let sql = format!("SELECT {columns}, count(*) FROM packets WHERE vlan = 100 GROUP BY {columns}");
        let run = ask(&sql, by, send);
        let expected = if by == By::Table { "100,3" } else { "100,64,3" };
        let keys = if by == By::Table { 1 } else { 2 };
        assert_eq!(rows(&run, keys, 1), [expected], "{}", run.stderr);
        assert!(run.stderr.contains("filtered in the kernel: WHERE vlan = 100"), "{}", run.stderr);
    }
}

/// No driver tells a program on the bridge itself what its ports took out; `AF_PACKET`, by which its packets are read,
/// puts it back.
#[test]
fn what_xdp_leaves_out_is_told_with_where_to_look_instead() {
    for (sql, by, (keys, sums), expected) in ASKED.into_iter().filter(|asked| asked.1 == By::Table) {
        if !enter() {
            return;
        }
        let above = ask_on(BRIDGE, sql, by, send);
        assert!(rows(&above, keys, sums) != expected, "{sql}: {}", above.stderr);
        let is_told = is_warned(&above) && above.stderr.contains(&format!("to mend it: {INSTEAD}"));
        assert!(is_told, "{}", above.stderr);
        let findings = doctor::interface(BRIDGE).unwrap();
        assert!(findings.iter().any(|found| found.mend.as_deref() == Some(INSTEAD)), "{findings:?}");
        let below = ask_on(NEAR_PORT, sql, by, send);
        assert_eq!(rows(&below, keys, sums), expected, "{}", below.stderr);
        assert!(!is_warned(&below), "{}", below.stderr);
    }
}

#[test]
fn nothing_is_told_of_answers_that_do_not_look_at_tags() {
    if !enter() {
        return;
    }
    let run = ask(WITHOUT_TAGS, By::Table, send);
    assert_eq!(rows(&run, 1, 2), ["53,10,880"], "{}", run.stderr);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

/// The bridge sends them on with the tag beside, and its port puts it into none: the program that counts what is sent sees
/// both.
#[test]
fn sent_frames_are_counted_with_the_tags_beside_them() {
    if !enter() {
        return;
    }
    let Some(mut kernel) = load(&options()) else { return };
    kernel.attach_to_sent(FAR_PORT).unwrap();
    send();
    let mut found: BTreeMap<Option<u16>, [u64; 3]> = BTreeMap::new();
    for (key, sums) in drained(&mut kernel) {
        found.entry(key.vlan()).or_default().iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
    }
    let expected = [(None, [2, 176, 204]), (Some(100), [3, 264, 318]), (Some(200), [5, 440, 550])];
    assert_eq!(found, BTreeMap::from(expected));
}

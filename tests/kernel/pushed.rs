//! Filters in the kernel: they say of frames what they say of rows, are a part of the account, and change while frames
//! come.

use std::path::Path;

use harness::node::Node;
use harness::samples;
use serde_json::Value;
use tapline_decode::{Depth, Frame, LinkType, decode};
use tapline_filter::{Comparison, Condition, Field, Predicate, pcap};
use tapline_interface::kernel::{FilterState, FrameReader, KernelCapture, KernelOptions, PaneGrid};
use tapline_interface::live::PacketSender;
use tapline_record::{EventTime, PacketRow};
use tapline_trafficgen::random::Random;
use tapline_trafficgen::scenario::branch_office;

use crate::account::template;
use crate::changing::change_while_sending;
use crate::namespace::{self, FAR, NEAR};
use crate::node::{json, until};
use crate::rights::load;
use crate::several::{enter, send};
use harness::frames;

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
/// The kernel runs a program on no shorter frame.
const FRAME_OCTETS_MIN: usize = 14;

/// Filters over all that the kernel's program parses.
const FILTERS: [&str; 9] = [
    "tcp port 443 and not net 10.0.0.0/8",
    "udp port 53 or 853",
    "icmp or icmp6",
    "vlan",
    "not vlan and ip6",
    "host 10.0.0.1 or net 2001:db8::/32",
    "tcp[13] & 2 != 0",
    "len > 100",
    "not (tcp or udp) and not icmp",
];

pub(crate) fn tell(kernel: &KernelCapture, reader: FrameReader, wanted: Predicate) -> FilterState {
    kernel.filter().lock().unwrap().set(reader, Some(wanted))
}

fn is_to_port(port: u128) -> Predicate {
    Condition::compare(Field::DstPort, Comparison::Equal, port).predicate()
}

/// Whether a predicate holds of a frame, as the decoder reads it.
pub(crate) fn holds(predicate: &Predicate, bytes: &[u8]) -> bool {
    let mut row = PacketRow::default();
    let frame = Frame {
        ts: EventTime(0),
        link: LinkType::Ethernet,
        direction: None,
        interface: None,
        original_octets: bytes.len() as u32,
        bytes,
    };
    decode(&frame, Depth::Transport, &mut row);
    predicate.holds(&row)
}

/// Samples of every protocol, some of them cut short, some that lie, and an office's.
fn all_frames() -> Vec<Vec<u8>> {
    let samples = samples::all().into_iter().filter(|(_, link, _)| *link == LinkType::Ethernet);
    let is_long_enough = |frame: &Vec<u8>| frame.len() >= FRAME_OCTETS_MIN;
    let mut all: Vec<Vec<u8>> = samples.map(|(_, _, bytes)| bytes).filter(is_long_enough).collect();
    let mut random = Random::new(5, "filters");
    for frame in all.clone() {
        for _ in 0..8 {
            let mut lie = frame.clone();
            let at = 12 + random.below(lie.len() as u64 - 12) as usize;
            lie[at] = random.below(256) as u8;
            lie.truncate(lie.len() - random.below(6) as usize);
            all.push(lie);
        }
    }
    for timed in branch_office(5).frames.iter().step_by(11).take(3000) {
        let mut bytes = Vec::new();
        timed.frame.write(&mut bytes);
        all.push(bytes);
    }
    all.retain(is_long_enough);
    all
}

#[test]
fn a_filter_says_of_a_frame_what_it_says_of_its_row() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let all = all_frames();
    for filter in FILTERS {
        let predicate = pcap::parse(filter).unwrap().predicate();
        let state = tell(&kernel, FrameReader::Table, predicate.clone());
        assert!(matches!(state, FilterState::Placed { .. }), "{filter}: {state:?}");
        let mut kept = 0;
        for frame in &all {
            let before = kernel.counters();
            assert_eq!(kernel.test(frame, 1).unwrap().action, XDP_PASS);
            let counted = kernel.counters().since(&before);
            // Of a frame with more headers than the program looks through whoever reads it may find more.
            let is_kept = counted.too_deep_packets > 0 || holds(&predicate, frame);
            assert_eq!(
                (counted.seen_packets, counted.unwanted_packets),
                (1, u64::from(!is_kept)),
                "{filter}: {frame:02x?}"
            );
            kept += usize::from(is_kept);
        }
        assert!(kept > 0 && kept < all.len(), "{filter}: {kept} of {}", all.len());
    }
}

#[test]
fn the_table_and_who_reads_packets_have_filters_of_their_own() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    kernel.set_mirror(true);
    kernel.set_packets_wanted(true);
    // The frame goes to port 53. No socket takes it: what would be redirected is counted as not.
    for (table, packets, expected) in [
        (53, 53, [1, 1, 0, 0, 0]),
        (53, 9, [1, 0, 0, 0, 1]),
        (9, 53, [0, 1, 0, 1, 0]),
        (9, 8, [0, 0, 1, 0, 0]),
    ] {
        tell(&kernel, FrameReader::Table, is_to_port(table));
        tell(&kernel, FrameReader::Packets, is_to_port(packets));
        let before = kernel.counters();
        assert_eq!(kernel.test(&template(), 1).unwrap().action, XDP_DROP);
        let mut in_table = 0;
        kernel.table().drain(PaneGrid::default(), |flow| in_table += flow.packets).unwrap();
        let counted = kernel.counters().since(&before);
        let found = [
            in_table,
            counted.unredirected_packets,
            counted.unwanted_packets,
            counted.uncounted_packets,
            counted.unread_packets,
        ];
        assert_eq!(found, expected, "{table} {packets}: {counted:?}");
    }
    tell(&kernel, FrameReader::Table, Predicate::ALWAYS);
    assert_eq!(tell(&kernel, FrameReader::Packets, Predicate::ALWAYS), FilterState::Open);
}

#[test]
fn who_wants_nothing_has_nothing_and_needs_no_filter() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    kernel.set_mirror(true);
    kernel.set_packets_wanted(true);
    for (table, packets, expected) in [
        (Predicate::ALWAYS, Predicate::NEVER, [1, 0, 0, 1]),
        (Predicate::NEVER, Predicate::ALWAYS, [0, 1, 1, 0]),
        (Predicate::NEVER, Predicate::NEVER, [0, 0, 1, 1]),
        (Predicate::ALWAYS, Predicate::ALWAYS, [1, 1, 0, 0]),
    ] {
        tell(&kernel, FrameReader::Table, table);
        assert_eq!(tell(&kernel, FrameReader::Packets, packets), FilterState::Open);
        let before = kernel.counters();
        assert_eq!(kernel.test(&template(), 1).unwrap().action, XDP_DROP);
        let mut in_table = 0;
        kernel.table().drain(PaneGrid::default(), |flow| in_table += flow.packets).unwrap();
        let counted = kernel.counters().since(&before);
        let found =
            [in_table, counted.unredirected_packets, counted.uncounted_packets, counted.unread_packets];
        assert_eq!(found, expected, "{counted:?}");
    }
}

#[test]
fn tcp_flags_tell_no_flows_apart_that_a_filter_has_looked_at() {
    let options = KernelOptions { with_tcp_flags: false, ..KernelOptions::default() };
    let Some(mut kernel) = load(&options) else { return };
    let syn = pcap::parse("tcp[13] & 2 != 0").unwrap().predicate();
    let segment = frames::ethernet(frames::IPV4, &frames::ipv4(6, &frames::tcp(b"")));
    for wanted in [Predicate::ALWAYS, syn] {
        tell(&kernel, FrameReader::Table, wanted);
        kernel.test(&segment, 1).unwrap();
        let mut flags = vec![];
        kernel
            .table()
            .drain(PaneGrid::default(), |flow| flags.push((flow.key.tcp_flags(), flow.tcp_flags)))
            .unwrap();
        assert_eq!(flags, [(None, Some(0x112))]);
    }
}

#[test]
fn a_filter_that_is_too_large_lets_more_through_and_is_told() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let address = |port: u16| 0x0a00_0000 + 2 * u32::from(port);
    let pair = |port: u16| {
        let src = Condition::is_in(Field::SrcIp, [0xffff_0000_0000 | u128::from(address(port))]);
        Condition::All(vec![src, Condition::is_in(Field::DstPort, [port.into()])])
    };
    let large = Condition::Any((0..1000).map(pair).collect()).predicate();
    let state = tell(&kernel, FrameReader::Table, large);
    let FilterState::Placed { widened: Some(why), .. } = state else { panic!("{state:?}") };
    let why = why.to_string();
    assert!(why.starts_with("without conditions on dst_port ("), "{why}");
    assert!(why.ends_with("instructions, and the kernel takes 4096"), "{why}");
    for (src, port, is_kept) in [
        (address(0), 0, true),
        (address(53), 53, true),
        (address(999), 999, true),
        (address(53) + 1, 53, false),
        (address(1000), 999, false),
    ] {
        let mut frame = template();
        frame[26..30].copy_from_slice(&u32::to_be_bytes(src));
        frame[36..38].copy_from_slice(&u16::to_be_bytes(port));
        let before = kernel.counters();
        kernel.test(&frame, 1).unwrap();
        let unwanted = kernel.counters().since(&before).unwanted_packets;
        assert_eq!(unwanted, u64::from(!is_kept), "{src:x} {port}");
    }
}

#[test]
fn a_filter_of_which_nothing_is_left_leaves_nothing_out() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let addresses = Condition::is_in(Field::SrcIp, (0..=1 << 20).map(|number| 2 * number)).predicate();
    assert!(matches!(tell(&kernel, FrameReader::Table, is_to_port(9)), FilterState::Placed { .. }));
    let state = tell(&kernel, FrameReader::Table, addresses);
    let FilterState::Refused(why) = state else { panic!("{state:?}") };
    assert!(why.starts_with("nothing of it is left without conditions on src_ip (1): "), "{why}");
    let before = kernel.counters();
    kernel.test(&template(), 1).unwrap();
    assert_eq!(kernel.counters().since(&before).unwanted_packets, 0);
}

#[test]
fn filters_of_every_size_are_taken() {
    let Some(kernel) = load(&KernelOptions::default()) else { return };
    for (addresses, parts) in [(1, 1), (64, 1), (64, 8), (1, 100)] {
        let part = |number: u128| {
            let addresses = (0..addresses).map(|address| (number << 64) + 3 * address);
            let ports = Condition::is_in(Field::DstPort, (0..64).map(|port| port * 3 + number));
            Condition::All(vec![
                Condition::is_in(Field::SrcIp, addresses),
                ports,
                Condition::IsNull(Field::Vlan),
            ])
        };
        let wanted = Condition::Any((0..parts).map(part).collect()).predicate();
        match tell(&kernel, FrameReader::Table, wanted) {
            FilterState::Placed { instructions, lists, .. } => {
                println!("{addresses} × {parts}: {instructions}, {lists} lists");
            }
            other @ (FilterState::Refused(_) | FilterState::Open) => {
                panic!("{addresses} × {parts}: {other:?}")
            }
        }
    }
}

/// Says in a file that a node reads the far end as a mirror, and what else.
fn write_mirror(file: &Path, more: &str) {
    let source = format!("[[source]]\ninterface = \"{FAR}\"\nmirror = true\nallowed_lateness_ms = 200\n");
    std::fs::write(file, format!("{source}{more}\n")).unwrap();
}

/// A node that reads the far end as a mirror.
pub(crate) fn mirror_node(folder: &Path) -> Node {
    let file = folder.join("node.toml");
    write_mirror(&file, "");
    Node::start(&["--config", file.to_str().unwrap(), "--bare"])
}

/// Nothing was dropped, and the fates of each source add up.
pub(crate) fn check_fates(node: &Node) {
    let sources = json(node, &["sources"]);
    for source in sources.as_array().unwrap() {
        let fate = |name: &str| source[name].as_u64().unwrap_or(0);
        assert_eq!(fate("dropped"), 0, "{source}");
        assert_eq!(fate("offered"), fate("delivered") + fate("filtered"), "{source}");
    }
}

/// How many rows of a query had this fate.
pub(crate) fn rows_of(node: &Node, name: &str, fate: &str) -> u64 {
    let queries = json(node, &["queries", "list"]);
    let find = |query: &&Value| query["name"] == name;
    queries.as_array().unwrap().iter().find(find).and_then(|query| query[fate].as_u64()).unwrap_or(0)
}

/// How many rows a query has used.
pub(crate) fn used(node: &Node, name: &str) -> u64 {
    rows_of(node, name, "used")
}

pub(crate) fn packets_to(port: u64) -> String {
    format!("SELECT ttl, count(*) AS n FROM packets WHERE dst_port = {port} GROUP BY ttl, tumble('1 second')")
}

#[test]
fn queries_that_come_and_go_cost_no_other_a_frame() {
    const FLOWS: u16 = 60;
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let node = mirror_node(folder.path());
    let add = |name: &str, sql: &str| assert_eq!(node.ask(&["queries", "add", name, sql]).code, Some(0));
    add("dns", &packets_to(53));
    until(&node, || namespace::has_program(FAR));
    let change = |number| {
        add("other", &packets_to(1000 + number));
        assert_eq!(node.ask(&["queries", "drop", "other"]).code, Some(0));
    };
    // All go to port 53.
    let sent = 100 * u64::from(FLOWS) * change_while_sending(20, change, || send(NEAR, FLOWS));
    until(&node, || used(&node, "dns") == sent);
    // Whoever was added has all that comes from then on.
    add("late", &packets_to(77));
    let sender = PacketSender::open(NEAR, false).unwrap();
    for number in 0..500_u16 {
        let datagram = frames::udp(1 + number % 7, 77, b"data");
        sender.send(&frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, &datagram))).unwrap();
    }
    until(&node, || used(&node, "late") == 500);
    assert_eq!(used(&node, "dns"), sent);
    check_fates(&node);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn filters_that_change_cost_no_frame_that_each_keeps() {
    const FLOWS: u16 = 60;
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    write_mirror(&file, "filter = \"udp dst port 53\"");
    let node = Node::start(&["--config", file.to_str().unwrap(), "--bare"]);
    let by_table = "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('1 second')";
    for (name, sql) in [("dns", packets_to(53).as_str()), ("all", by_table)] {
        assert_eq!(node.ask(&["queries", "add", name, sql]).code, Some(0));
    }
    until(&node, || namespace::has_program(FAR));
    let change = |number: u64| {
        let other = if number.is_multiple_of(2) { "udp dst port 53" } else { "dst port 53 or dst port 99" };
        write_mirror(&file, &format!("filter = \"{other}\""));
        let told = node.ask(&["reload"]);
        assert!(told.success().contains(&format!("only what `{other}` keeps is read")), "{}", told.text());
    };
    // All go to port 53.
    let sent = 100 * u64::from(FLOWS) * change_while_sending(20, change, || send(NEAR, FLOWS));
    until(&node, || ["dns", "all"].iter().all(|name| used(&node, name) == sent));
    check_fates(&node);
    // What the one that holds in the end does not keep is nobody's.
    let sender = PacketSender::open(NEAR, false).unwrap();
    for _ in 0..500 {
        let datagram = frames::udp(1, 77, b"data");
        sender.send(&frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, &datagram))).unwrap();
    }
    let total = 2 * (sent + 500);
    until(&node, || json(&node, &["sources"])[0]["offered"] == total);
    assert_eq!(["dns", "all"].map(|name| used(&node, name)), [sent; 2]);
    check_fates(&node);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn explain_says_what_the_kernel_leaves_out() {
    if !enter() {
        return;
    }
    let sql = packets_to(53);
    let run = harness::tapline(&["query", "--interface", FAR, "--mirror", "--explain", &sql]);
    assert!(run.success().contains("kernel filter: WHERE dst_port = 53, "), "{}", run.text());
    let copies = harness::tapline(&["query", "--interface", FAR, "--explain", &sql]);
    assert!(!copies.success().contains("kernel filter"), "{}", copies.text());
    let folder = tempfile::tempdir().unwrap();
    let node = mirror_node(folder.path());
    let told = node.ask(&["queries", "explain", &sql]);
    assert!(told.success().contains("kernel filter: WHERE dst_port = 53, "), "{}", told.text());
    assert_eq!(node.stop().code, Some(0));
}

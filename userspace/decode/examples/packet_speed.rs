//! How long a frame takes from octets to columns: `cargo run --release --example packet_speed [PART-OF-NAME]`.
//!
//! Frames of 64 octets on the wire (Ethernet, IPv4, UDP) from 4096 different sources, all in the
//! second-level cache; then the same number of tagged IPv6 frames with TCP. Prints nanoseconds a frame, the best of a thousand short rounds, which other work disturbs least, for several sets of
//! columns.

use std::hint::black_box;
use std::time::Instant;
use tapline_decode::{Depth, Frame, LinkType, PacketBatcher};
use tapline_record::{EventTime, PACKETS};

const FRAMES: usize = 4096;
/// Without the checksum.
const IPV4_FRAME_OCTETS: usize = 60;
const IPV6_FRAME_OCTETS: usize = 78;
const BATCH_ROWS: usize = 8192;
const ROUNDS: usize = 1000;
const FRAMES_A_ROUND: usize = 2 * BATCH_ROWS;

const FIVE_TUPLE: &[&str] = &["src_ip", "dst_ip", "protocol", "src_port", "dst_port", "octets"];

const COLUMNS: [(&str, &[&str]); 6] = [
    ("count(*)", &[]),
    ("protocol", &["protocol"]),
    ("src_ip, octets", &["src_ip", "octets"]),
    ("five-tuple, octets", FIVE_TUPLE),
    ("ts, five-tuple, octets", &["ts", "src_ip", "dst_ip", "protocol", "src_port", "dst_port", "octets"]),
    ("tunnel_id, inner_src_ip", &["tunnel_id", "inner_src_ip"]),
];

fn main() {
    let (ipv4, ipv6) = (frames(ipv4_frame), frames(ipv6_frame));
    let ipv4 = Workload { memory: &ipv4, frame_octets: IPV4_FRAME_OCTETS };
    let ipv6 = Workload { memory: &ipv6, frame_octets: IPV6_FRAME_OCTETS };
    for (name, columns) in COLUMNS {
        report(name, batcher(columns), ipv4);
    }
    let every_column: Vec<&str> = PACKETS.columns.iter().map(|column| column.name).collect();
    report("all columns", batcher(&every_column), ipv4);
    report("rows alone", batcher(&[]).with_depth(Depth::Transport), ipv4);
    report("rows alone, tagged IPv6 with TCP", batcher(&[]).with_depth(Depth::Transport), ipv6);
    report("five-tuple, tagged IPv6 with TCP", batcher(FIVE_TUPLE), ipv6);
}

fn batcher(columns: &[&str]) -> PacketBatcher {
    let positions: Vec<usize> = columns.iter().filter_map(|column| PACKETS.position(column)).collect();
    PacketBatcher::new(&positions, BATCH_ROWS)
}

/// Frames of one length, one behind the other.
#[derive(Clone, Copy)]
struct Workload<'a> {
    memory: &'a [u8],
    frame_octets: usize,
}

fn report(name: &str, mut batcher: PacketBatcher, workload: Workload<'_>) {
    if std::env::args().nth(1).is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let best = (0..ROUNDS).map(|_| round(&mut batcher, workload)).fold(f64::INFINITY, f64::min);
    println!("{best:6.2} ns a frame: {name}");
}

fn round(batcher: &mut PacketBatcher, workload: Workload<'_>) -> f64 {
    let start = Instant::now();
    for bytes in workload.memory.chunks_exact(workload.frame_octets).cycle().take(FRAMES_A_ROUND) {
        batcher.push(&frame(bytes));
        if batcher.is_full()
            && let Some(batch) = batcher.finish()
        {
            batcher.recycle(black_box(batch));
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / FRAMES_A_ROUND as f64
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        ts: EventTime(1_700_000_000_000_000_000),
        link: LinkType::Ethernet,
        direction: None,
        interface: None,
        original_octets: bytes.len() as u32,
        bytes,
    }
}

fn frames(frame: fn(u8, u8) -> Vec<u8>) -> Vec<u8> {
    let bytes = (0..FRAMES).map(usize::to_be_bytes).flat_map(|[.., high, low]| frame(high, low));
    bytes.collect()
}

fn ipv4_frame(high: u8, low: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 46, high, low, 0, 0, 64, 17, 0, 0, 10, 0, high, low, 10, 1, 0, 1]);
    frame.extend([high | 0x80, low, 0, 53, 0, 26, 0, 0]);
    frame.resize(IPV4_FRAME_OCTETS, 0);
    frame
}

fn ipv6_frame(high: u8, low: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 5, 0x86, 0xdd];
    frame.extend([0x60, 0, 0, 0, 0, 20, 6, 64]);
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low]);
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend([high | 0x80, low, 1, 187, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 16, 2, 0, 0, 0, 0, 0]);
    frame
}

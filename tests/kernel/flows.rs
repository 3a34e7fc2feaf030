//! Flows of the same traffic as the kernel's table, `AF_XDP` and a file of the same frames tell of them, record by
//! record: over the active and the inactive timeout, FIN, RST and ports that are used again. No packet comes where the table may
//! end a record and packets do not yet (docs/decisions/0059-flows-from-the-table.md).

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::csv::read_csv;
use harness::frames;
use harness::run::tapline_during;
use harness::tapline;
use tapline_interface::kernel::KernelOptions;
use tapline_interface::live::PacketSender;

use crate::namespace::{self, FAR, NEAR};
use crate::queries::wait_for;
use crate::rights::load;

/// Frames are sent at these intervals, in the middle between two at which a record may end.
const TICK_NS: u64 = 250_000_000;
const TICKS: u32 = 256;
const SECOND_NS: u64 = 1_000_000_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What the table knows, and what it does not.
const BY_TABLE: &str = "SELECT src_port, protocol, tcp_flags, flow_end_reason, packets, octets, start_time, end_time, \
                        direction, ip_version FROM flows";
const BY_PACKETS: &str = "SELECT src_port, protocol, tcp_flags, flow_end_reason, packets, octets, start_time, end_time, \
                          direction, ip_version FROM flows WHERE src_mac IS NOT NULL";
/// Columns that are the same however the frames are read.
const SAME: usize = 6;

/// Octets of the IP packets of UDP and TCP.
const UDP_OCTETS: u64 = 20 + 8 + 4;
const TCP_OCTETS: u64 = 20 + 24 + 4;

fn udp(src_port: u16) -> Vec<u8> {
    let datagram = frames::udp(src_port, 53, b"data");
    frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, &datagram))
}

fn tcp(src_port: u16, flags: u8) -> Vec<u8> {
    let segment = frames::patched(frames::tcp(b"data"), 0, &format!("{src_port:04x}"));
    let segment = frames::patched(segment, 12, &format!("60{flags:02x}"));
    frames::ethernet(frames::IPV4, &frames::ipv4(6, &segment))
}

/// What is sent at a tick.
fn frames_of(tick: u32) -> Vec<Vec<u8>> {
    // It lasts for longer than the active timeout, which is over at 60 s by the table, and by packets at 60.125 s: there it
    // sends nothing.
    let mut frames = vec![];
    frames.extend((tick != 240).then(|| udp(1)));
    // It is silent for longer than the inactive one.
    frames.extend(matches!(tick, 0..=8 | 73..=75).then(|| udp(2)));
    // It ends, its port is used again, that one is reset, and used again at once.
    let of_three = match tick {
        0 | 20 | 25 => Some(SYN),
        1..=3 | 5 | 21..=23 => Some(ACK),
        4 => Some(FIN | ACK),
        24 => Some(RST),
        _ => None,
    };
    frames.extend(of_three.map(|flags| tcp(3, flags)));
    // It has said all, and goes on listening; but not at 3.125 s, when its linger is over by packets, which by the table it
    // is at 3 s.
    let of_four = match tick {
        4 => Some(FIN | ACK),
        12 => None,
        0..=32 => Some(ACK),
        _ => None,
    };
    frames.extend(of_four.map(|flags| tcp(4, flags)));
    if tick == 40 {
        frames.extend(vec![udp(5); 300]);
    }
    frames
}

/// The records of all that: what is the same however it is read.
fn expected() -> Vec<Vec<String>> {
    let udp = |port, reason, packets: u64| (port, 17, None, reason, packets, packets * UDP_OCTETS);
    let tcp =
        |port, flags, reason, packets: u64| (port, 6, Some(flags), reason, packets, packets * TCP_OCTETS);
    let records: [(u16, u8, Option<u8>, u8, u64, u64); 9] = [
        udp(1, 2, 240),
        udp(1, 4, 15),
        udp(2, 1, 9),
        udp(2, 1, 3),
        tcp(3, SYN | ACK | FIN, 3, 6),
        tcp(3, SYN | ACK | RST, 3, 6),
        tcp(4, ACK | FIN, 3, 12),
        tcp(4, ACK, 1, 20),
        udp(5, 1, 300),
    ];
    let texts = records.map(|(port, protocol, flags, reason, packets, octets)| {
        let flags = flags.map_or_else(String::new, |flags| flags.to_string());
        [port.to_string(), protocol.to_string(), flags, reason.to_string()]
            .into_iter()
            .chain([packets.to_string(), octets.to_string()])
            .collect::<Vec<String>>()
    });
    sorted(texts.to_vec())
}

fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.sort_unstable();
    rows
}

/// The rows of a result, in an order of their own.
fn rows(text: &str) -> Vec<Vec<String>> {
    sorted(read_csv(text).rows)
}

/// The first columns of rows.
fn same(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    sorted(rows.iter().map(|row| row[..SAME].to_vec()).collect())
}

fn now_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Sends all frames out of the near end, at their times; gives when each was sent.
fn send() -> Vec<(u64, Vec<u8>)> {
    let (sender, mut sent) = (PacketSender::open(NEAR, false).unwrap(), vec![]);
    let begin = (now_ns() / SECOND_NS + 1) * SECOND_NS + TICK_NS / 2;
    for tick in 0..TICKS {
        let due = begin + u64::from(tick) * TICK_NS;
        sleep(Duration::from_nanos(due.saturating_sub(now_ns())));
        for frame in frames_of(tick) {
            let now = now_ns();
            sender.send(&frame).unwrap();
            sent.push((now, frame));
        }
    }
    sent
}

/// Writes frames into a capture file.
fn write(path: &Path, sent: &[(u64, Vec<u8>)]) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    // Times are in nanoseconds.
    let header = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 1 << 18, 1_u32];
    file.write_all(header.map(u32::to_le_bytes).as_flattened()).unwrap();
    for (time_ns, frame) in sent {
        let octets = frame.len() as u32;
        let record = [(time_ns / SECOND_NS) as u32, (time_ns % SECOND_NS) as u32, octets, octets];
        file.write_all(record.map(u32::to_le_bytes).as_flattened()).unwrap();
        file.write_all(frame).unwrap();
    }
    file.flush().unwrap();
}

#[test]
fn the_table_packets_and_a_file_tell_of_the_same_flows() {
    if !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (output, mut sent) = (folder.path().to_str().unwrap(), vec![]);
    let arguments = ["query", "--interface", FAR, "--mirror", "--format", "csv", "--output", output];
    let run = tapline_during(&[&arguments[..], &[BY_TABLE, BY_PACKETS]].concat(), || {
        wait_for(namespace::is_attached);
        sent = send();
    });
    let _ = run.success();
    assert!(run.stderr.contains("native XDP") && run.stderr.contains("AF_XDP"), "{}", run.stderr);
    let live = [1, 2].map(|number| {
        rows(&std::fs::read_to_string(folder.path().join(format!("query_{number}.csv"))).unwrap())
    });
    let capture = folder.path().join("frames.pcap");
    write(&capture, &sent);
    let file = tapline(&["query", "--pcap", capture.to_str().unwrap(), "--format", "csv", BY_PACKETS]);
    let expected = expected();
    for (what, found) in [("file", &rows(file.success())), ("table", &live[0]), ("AF_XDP", &live[1])] {
        assert_eq!(same(found), expected, "{what}: {}", run.stderr);
    }
    // The rest is the same, too, but for when a frame was sent and when it came.
    let [by_table, by_packets] = &live;
    for (one, other) in by_table.iter().zip(by_packets) {
        assert_eq!(
            (&one[SAME + 2..], &other[SAME + 2..]),
            (&["0", "4"].map(String::from)[..], &one[SAME + 2..])
        );
        for time in [SAME, SAME + 1] {
            // To the second: each knows the calendar to within some microseconds.
            assert_eq!(one[time][..19], other[time][..19], "{one:?}, {other:?}");
        }
    }
}

#[test]
fn the_table_alone_makes_flows_while_it_is_emptied() {
    if !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    const FLOWS: u16 = 20_000;
    let sql =
        "SELECT count(*), sum(packets), count(DISTINCT src_port) FROM flows GROUP BY tumble('24 hours')";
    let run = tapline_during(&["query", "--interface", FAR, "--mirror", "--format", "csv", sql], || {
        wait_for(namespace::is_attached);
        let sender = PacketSender::open(NEAR, false).unwrap();
        for round in 0..3 {
            for port in 1..=FLOWS {
                sender.send(&udp(port)).unwrap();
                if usize::from(port) % crate::queries::FRAMES_A_NAP == 0 {
                    sleep(crate::queries::NAP);
                }
            }
            sleep(Duration::from_millis(100 * round));
        }
    });
    let found = crate::queries::totals(run.success(), 0, 3);
    let flows = i64::from(FLOWS);
    assert_eq!(found.into_values().collect::<Vec<_>>(), [[flows, 3 * flows, flows]], "{}", run.stderr);
    assert!(!run.stderr.contains("AF_XDP"), "nobody reads packets: {}", run.stderr);
    assert!(run.stderr.contains("flows: 20"), "{}", run.stderr);
}

#[test]
fn who_makes_flows_is_said_and_why() {
    if !namespace::enter() {
        return;
    }
    let explain = |sql: &str| {
        let run = tapline(&["query", "--interface", FAR, "--explain", sql]);
        run.success().to_owned()
    };
    let text = explain("SELECT src_ip, sum(octets) FROM flows GROUP BY src_ip, tumble('1 second')");
    assert!(text.contains("over the kernel's flow table") && text.contains("table flows ("), "{text}");
    assert!(!text.contains("reads packets"), "{text}");
    let text = explain("SELECT tos, sum(octets) FROM flows GROUP BY tos, tumble('1 second')");
    assert!(text.contains("reads packets: tos of flows is not in the kernel's flow table"), "{text}");
}

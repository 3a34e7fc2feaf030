//! Queues of an interface that several threads share out: each frame is read once, in one account, whoever reads it.

use std::path::Path;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

use harness::csv::read_csv;
use harness::node::Node;
use harness::run::{tapline_during, tapline_while};
use serde_json::Value;
use tapline_interface::kernel::KernelOptions;
use tapline_interface::live::{FrameSource, LiveOptions};

use crate::changing::change_while_sending;
use crate::live_source::{open, read_all};
use crate::namespace::{self, FAR, NEAR, ip};
use crate::node::{json, until};
use crate::pushed::{check_fates, packets_to, used};
use crate::queries::{totals, wait_for};
use crate::rights::load;
use crate::several::{send, send_to};

const QUEUES: u32 = 4;
/// Flows that are sent, a hundred frames of each: the sender's kernel takes a queue by a hash of the flow.
const FLOWS: u16 = 40;
const FRAMES: u64 = 100 * FLOWS as u64;

/// No table tells packets apart by these.
const BY_PACKETS: &str = "SELECT source, src_port, ttl, count(*), sum(octets) FROM packets \
                          GROUP BY source, src_port, ttl, tumble('24 hours')";
/// The kernel's table has no `tos`: these are metered from packets.
const FLOWS_OF_PACKETS: &str = "SELECT tos, count(*) AS n FROM flows GROUP BY tos, tumble('1 second')";

fn mirror() -> LiveOptions {
    LiveOptions { is_mirror: true, is_promiscuous: true, ..LiveOptions::default() }
}

/// Two readers of a pair's far end.
fn open_two(options: &LiveOptions) -> Option<[Box<dyn FrameSource>; 2]> {
    if !namespace::enter_with("4") {
        return None;
    }
    let mut readers = open(FAR, options)?.share_out(2).into_iter();
    Some([(), ()].map(|()| readers.next().unwrap()))
}

/// Reads what each of them has; gives how many frames that were.
fn read_both(readers: &mut [Box<dyn FrameSource>; 2]) -> [u64; 2] {
    readers.each_mut().map(|reader| read_all(reader.as_mut()).len() as u64)
}

fn dropped(readers: &mut [Box<dyn FrameSource>; 2]) -> u64 {
    readers.iter_mut().map(|reader| reader.counters().unwrap().drops.sum()).sum()
}

#[test]
fn two_readers_read_each_frame_once() {
    let Some(mut readers) = open_two(&mirror()) else { return };
    for reader in &readers {
        let description = reader.description();
        assert_eq!((description.queues, description.readers), (QUEUES, 2), "{description:?}");
    }
    send(NEAR, FLOWS);
    let read = read_both(&mut readers);
    assert!(read.iter().all(|frames| *frames > 0), "all came on the queues of one: {read:?}");
    assert_eq!((read.iter().sum::<u64>(), dropped(&mut readers)), (FRAMES, 0), "{read:?}");
}

#[test]
fn there_are_no_more_readers_than_queues() {
    if !namespace::enter_with("2") {
        return;
    }
    let Some(source) = open(FAR, &mirror()) else { return };
    assert_eq!(source.share_out(7).len(), 2);
    // Who reads copies reads all of them.
    let Some(copies) = open(FAR, &LiveOptions::default()) else { return };
    assert_eq!(copies.share_out(7).len(), 1);
}

#[test]
fn what_two_readers_have_no_room_for_is_counted_once() {
    let Some(mut readers) = open_two(&LiveOptions { umem_frames: 1 << 8, ..mirror() }) else { return };
    send(NEAR, FLOWS);
    let read: u64 = read_both(&mut readers).iter().sum();
    let lost = dropped(&mut readers);
    assert!(lost > 0);
    assert_eq!(read + lost, FRAMES);
    // Whose queue it is by then does not matter.
    readers.iter_mut().for_each(|reader| reader.gather(true));
    assert_eq!((read_both(&mut readers), dropped(&mut readers)), ([0, 0], lost));
}

#[test]
fn queues_go_to_the_first_reader_and_come_back_with_what_waits_in_them() {
    let Some(mut readers) = open_two(&mirror()) else { return };
    let may_gather = |readers: &[Box<dyn FrameSource>; 2], are_gathered: bool| {
        readers.each_ref().map(|reader| reader.may_gather(are_gathered))
    };
    send(NEAR, FLOWS);
    assert_eq!(may_gather(&readers, true), [true, false], "the first one takes no queues yet");
    readers[0].gather(true);
    assert_eq!(may_gather(&readers, false), [false, true], "it has not been given them");
    assert!(!readers[1].may_gather(true), "it has not looked up");
    let first = readers[0].read(1, &mut |_| ()).unwrap() as u64;
    assert!(readers[1].may_gather(true));
    readers[1].gather(true);
    let [rest, of_other] = read_both(&mut readers);
    assert_eq!((first + rest, of_other), (FRAMES, 0));
    assert_eq!(may_gather(&readers, false), [true; 2]);
    // Who is to have them back rests: they are read as before.
    readers[0].gather(false);
    send(NEAR, FLOWS);
    assert_eq!(read_all(readers[0].as_mut()).len() as u64, FRAMES);
    readers[1].gather(false);
    assert_eq!(may_gather(&readers, true), [false; 2], "queues are with who does not keep them");
    assert_eq!(read_both(&mut readers), [0, 0]);
    // The first one has heard of who takes them, who takes them now.
    assert_eq!(read_both(&mut readers), [0, 0]);
    assert_eq!(may_gather(&readers, false), [true; 2]);
    send(NEAR, FLOWS);
    let read = read_both(&mut readers);
    assert!(read.iter().all(|frames| *frames > 0), "{read:?}");
    assert_eq!((read.iter().sum::<u64>(), dropped(&mut readers)), (FRAMES, 0), "{read:?}");
}

/// What all readers of an interface are told.
#[derive(Default)]
struct Said {
    /// How often queues are to go to the first one, and to come back.
    moves: AtomicU64,
    /// How far each has followed.
    followed: [AtomicU64; 2],
    /// Whether nothing more is sent.
    is_enough: AtomicBool,
}

/// Reads what one of them has, and follows what is said as soon as it may; rests for so long each time while the first one is
/// to read all. Gives how many frames it read.
fn follow(reader: &mut dyn FrameSource, place: usize, said: &Said, rest: Duration) -> u64 {
    let (mut read, mut followed, begun) = (0, 0_u64, Instant::now());
    let mut last = begun;
    // Where another thread has failed, nobody says that it is enough.
    while begun.elapsed() < Duration::from_secs(120)
        && (!said.is_enough.load(Acquire) || last.elapsed() < Duration::from_millis(500))
    {
        let are_gathered = followed.is_multiple_of(2);
        if followed < said.moves.load(Acquire) && reader.may_gather(are_gathered) {
            reader.gather(are_gathered);
            followed += 1;
            said.followed[place].store(followed, Release);
        }
        let frames = reader.read(256, &mut |_| ()).unwrap();
        read += frames as u64;
        if frames > 0 || !said.is_enough.load(Acquire) {
            last = Instant::now();
        }
        if !followed.is_multiple_of(2) {
            sleep(rest);
        }
    }
    read
}

#[test]
fn who_sleeps_without_queues_costs_no_frame() {
    /// In so long a time more comes than a queue has room for.
    const REST: Duration = Duration::from_millis(200);
    /// Sixty thousand frames in a row.
    const FLOWS: u16 = 600;
    let Some(mut readers) = open_two(&LiveOptions { umem_frames: 1 << 10, ..mirror() }) else { return };
    let said = Said::default();
    let (sent, read) = thread::scope(|scope| {
        let [first, other] = readers.each_mut();
        let said = &said;
        let reading = [
            scope.spawn(move || follow(first.as_mut(), 0, said, Duration::ZERO)),
            scope.spawn(move || follow(other.as_mut(), 1, said, REST)),
        ];
        let change = |_| {
            let moves = 1 + said.moves.fetch_add(1, AcqRel);
            while said.followed.iter().any(|followed| followed.load(Acquire) < moves) {
                assert!(!reading.iter().any(ScopedJoinHandle::is_finished), "a reader has ended");
                sleep(Duration::from_millis(1));
            }
        };
        let times = change_while_sending(20, change, || send(NEAR, FLOWS));
        said.is_enough.store(true, Release);
        (100 * u64::from(FLOWS) * times, reading.map(|reading| reading.join().unwrap()))
    });
    assert!(read.iter().all(|frames| *frames > 0), "{read:?}");
    assert_eq!((read.iter().sum::<u64>(), dropped(&mut readers)), (sent, 0), "{read:?}");
}

#[test]
fn each_reader_hears_that_the_interface_is_gone_with_queues_and_without() {
    for are_gathered in [false, true] {
        let Some(mut readers) = open_two(&mirror()) else { return };
        readers.iter_mut().for_each(|reader| reader.gather(are_gathered));
        assert_eq!(read_both(&mut readers), [0, 0]);
        assert!(ip(&["link", "del", FAR]));
        for reader in &mut readers {
            let gone = (0..5).find_map(|_| reader.read(10, &mut |_| ()).err()).expect("an error");
            assert_eq!(gone.to_string(), format!("interface `{FAR}` is gone"));
        }
    }
}

/// A network of a pair with several queues and a loopback.
fn enter() -> bool {
    namespace::enter_with("4") && load(&KernelOptions::default()).is_some() && {
        assert!(ip(&["link", "set", "lo", "up"]));
        true
    }
}

/// Asks the far end by so many readers, while frames are sent; answers go to the folder. Gives the account.
fn ask(folder: &Path, readers: &str, queries: &[&str]) -> Value {
    let output = folder.to_str().unwrap();
    let common = ["query", "--interface", FAR, "--mirror", "--readers", readers, "--summary", "json"];
    let arguments = [&common[..], &["--format", "csv", "--output", output], queries].concat();
    let run = tapline_during(&arguments, || {
        wait_for(namespace::is_attached);
        send(NEAR, FLOWS);
    });
    let _ = run.success();
    serde_json::from_str(run.stderr.lines().last().unwrap_or_default()).unwrap()
}

#[test]
fn several_readers_are_one_source_with_one_account() {
    const LEDGER: &str = "SELECT source, sum(offered), sum(delivered), sum(dropped) FROM ledger \
                          WHERE unit = 'frames' GROUP BY source, tumble('24 hours')";
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let account = ask(folder.path(), "2", &[BY_PACKETS, LEDGER]);
    let answer = |number: u32, keys, sums| {
        let text = std::fs::read_to_string(folder.path().join(format!("query_{number}.csv"))).unwrap();
        totals(&text, keys, sums)
    };
    let by_packets = answer(1, 3, 2);
    assert_eq!(by_packets.len(), usize::from(FLOWS), "{by_packets:?}");
    for (keys, sums) in &by_packets {
        assert_eq!((keys[0].as_str(), keys[2].as_str(), sums[0]), (FAR, "64", 100), "{by_packets:?}");
    }
    let ledger: Vec<_> = answer(2, 1, 3).into_iter().collect();
    let frames = i64::try_from(FRAMES).unwrap();
    assert_eq!(ledger, [(vec![FAR.to_owned()], vec![frames, frames, 0])]);
    let sources = account["sources"].as_array().unwrap();
    let [source] = &sources[..] else { panic!("one source: {account}") };
    let number = |name: &str| source[name].as_u64().unwrap();
    assert_eq!(["queues", "readers"].map(number), [u64::from(QUEUES), 2], "{account}");
    assert_eq!(["offered", "delivered", "dropped"].map(number), [FRAMES, FRAMES, 0], "{account}");
}

#[test]
fn flows_of_packets_are_metered_by_one_reader() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let flows = "SELECT source, tos, count(*), sum(packets) FROM flows \
                 GROUP BY source, tos, tumble('24 hours')";
    let account = ask(folder.path(), "4", &[flows]);
    let text = std::fs::read_to_string(folder.path().join("query.csv")).unwrap();
    let found: Vec<_> = totals(&text, 2, 2).into_iter().collect();
    let [(_, sums)] = &found[..] else { panic!("{text}") };
    assert_eq!(sums[..], [i64::from(FLOWS), 100 * i64::from(FLOWS)], "{account}");
    assert_eq!(account["sources"][0]["readers"], 1, "{account}");
}

#[test]
fn windows_close_while_nothing_comes_on_the_queues_of_one_reader() {
    if !enter() {
        return;
    }
    let sql = BY_PACKETS.replace("24 hours", "1 second");
    let reading = ["query", "--interface", FAR, "--mirror", "--readers", "4"];
    let ending = ["--allowed-lateness-ms", "300", "--windows", "2", "--format", "csv", &sql];
    let run = tapline_while(&[&reading[..], &ending[..]].concat(), || {
        // One flow comes on one queue.
        send(NEAR, 1);
        sleep(Duration::from_millis(50));
    });
    let rows = read_csv(run.success()).rows;
    assert!(rows.iter().filter(|row| row.last().unwrap() == "final").count() >= 2, "{}", run.text());
}

/// Says in a file that a node reads the far end by two readers, and what else.
fn write_config(file: &Path, more: &str) {
    let source = format!("[[source]]\ninterface = \"{FAR}\"\nmirror = true\nreaders = 2\n");
    std::fs::write(file, format!("{source}allowed_lateness_ms = 200\n{more}\n")).unwrap();
}

/// A node that does, and a query of it over packets to port 53.
fn start(file: &Path, more: &str) -> Node {
    write_config(file, more);
    let node = Node::start(&["--config", file.to_str().unwrap(), "--bare"]);
    assert_eq!(node.ask(&["queries", "add", "dns", &packets_to(53)]).code, Some(0));
    until(&node, || namespace::has_program(FAR));
    node
}

#[test]
fn filters_change_for_all_readers_and_cost_no_frame_that_each_keeps() {
    const FLOWS: u16 = 60;
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let node = start(&file, "filter = \"udp dst port 53\"");
    // The table's, and those of two readers.
    assert_eq!(json(&node, &["sources"])[0]["threads"].as_array().unwrap().len(), 3);
    let change = |number: u64| {
        let other = if number.is_multiple_of(2) { "udp dst port 53" } else { "dst port 53 or dst port 99" };
        write_config(&file, &format!("filter = \"{other}\""));
        assert_eq!(node.ask(&["reload"]).code, Some(0));
        let sql = packets_to(1000 + number);
        assert_eq!(node.ask(&["queries", "add", "other", &sql]).code, Some(0));
        assert_eq!(node.ask(&["queries", "drop", "other"]).code, Some(0));
    };
    let sent = 100 * u64::from(FLOWS) * change_while_sending(20, change, || send(NEAR, FLOWS));
    until(&node, || used(&node, "dns") == sent);
    check_fates(&node);
    // What no query needs is nobody's, whichever queue it comes on.
    send_to(77, NEAR, FLOWS);
    let total = 2 * (sent + 100 * u64::from(FLOWS));
    until(&node, || json(&node, &["sources"])[0]["offered"] == total);
    assert_eq!(used(&node, "dns"), sent);
    check_fates(&node);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn who_says_more_readers_than_there_are_is_told_so() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder.path().join("node.toml"), "filter = \"len > 10\"");
    let by_one = "by one thread, and not by 2, since its filter looks at single frames";
    node.wait_for(&format!("packets of {FAR} are read {by_one}"));
    let explained = node.ask(&["queries", "explain", BY_PACKETS]);
    assert!(
        explained.success().contains(&format!("reads packets of {FAR} {by_one}")),
        "{}",
        explained.text()
    );
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn flows_that_come_and_go_cost_no_other_query_a_frame() {
    const FLOWS: u16 = 60;
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder.path().join("node.toml"), "");
    let change = |_| {
        assert_eq!(node.ask(&["queries", "add", "flows", FLOWS_OF_PACKETS]).code, Some(0));
        assert_eq!(node.ask(&["queries", "drop", "flows"]).code, Some(0));
    };
    let sent = 100 * u64::from(FLOWS) * change_while_sending(20, change, || send(NEAR, FLOWS));
    until(&node, || used(&node, "dns") == sent);
    check_fates(&node);
    let explained = node.ask(&["queries", "explain", FLOWS_OF_PACKETS]);
    let by_one = format!("reads packets of {FAR} by one thread, as flows are metered from them");
    assert!(explained.success().contains(&by_one), "{}", explained.text());
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn explain_says_how_many_threads_read_packets() {
    if !enter() {
        return;
    }
    let explain = |sql: &str| {
        let arguments = ["query", "--interface", FAR, "--mirror", "--readers", "3", "--explain", sql];
        harness::tapline(&arguments).success().to_owned()
    };
    let text = explain(BY_PACKETS);
    assert!(text.contains("packets of far are read by 3 threads, which share out 4 queues"), "{text}");
    let text = explain(FLOWS_OF_PACKETS);
    let by_one = "are read by one thread, as flows are metered from them, on all of 4 queues";
    assert!(text.contains(by_one), "{text}");
    let run = harness::tapline(&["query", "--interface", FAR, "--readers", "3", BY_PACKETS]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("--readers share out the queues of a mirror port"), "{}", run.stderr);
}

//! Frames of a mirror, read through `AF_XDP`: all of them, as they were, with the program's time.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use tapline_decode::Direction;
use tapline_interface::kernel::{AttachMode, Clock, KernelOptions, PaneGrid, Sender, monotonic_ns};
use tapline_interface::link;
use tapline_interface::live::{self, FrameSource, LiveCounters, LiveMode, LiveOptions};

use crate::account::{FRAME_OCTETS, SRC_IP, template};
use crate::live_source::{ReadFrame, assert_read, now_ns, numbered, open, read_all, send};
use crate::namespace::{self, FAR, NEAR, ip, wait_for};
use crate::rights::{load, or_skipped};

const FRAMES: u32 = 5000;

fn mirror() -> LiveOptions {
    LiveOptions { is_mirror: true, is_promiscuous: true, ..LiveOptions::default() }
}

/// A pair of interfaces, the far one of which is read as a mirror.
fn open_mirror(options: &LiveOptions) -> Option<Box<dyn FrameSource>> {
    if !namespace::enter() {
        return None;
    }
    open(FAR, options)
}

/// Sends, and reads what came in.
fn exchange(source: &mut dyn FrameSource) -> (Vec<ReadFrame>, [i64; 2]) {
    let before_ns = now_ns();
    send(NEAR, 0..FRAMES);
    let read = read_all(source);
    let counted = source.counters().unwrap();
    assert_eq!((counted.frames, counted.drops.sum()), (FRAMES.into(), 0), "{counted:?}");
    assert!(read.iter().all(|frame| frame.direction == Some(Direction::Ingress)));
    (read, [before_ns, now_ns()])
}

#[test]
fn frames_of_one_queue_are_read_as_they_were_sent() {
    if !namespace::enter_with("1") {
        return;
    }
    let Some(mut source) = open(FAR, &mirror()) else { return };
    let description = source.description().clone();
    assert_eq!((description.mode, description.queues), (LiveMode::XdpCopy, 1), "{description:?}");
    assert_eq!(description.reasons, ["the driver `veth` has no AF_XDP without copying"]);
    let (read, span_ns) = exchange(&mut *source);
    assert_read(&read, 0..FRAMES, span_ns);
}

#[test]
fn frames_of_all_queues_are_read() {
    let Some(mut source) = open_mirror(&mirror()) else { return };
    assert_eq!(source.description().queues, 2);
    let (mut read, _) = exchange(&mut *source);
    let mut sent: Vec<_> = (0..FRAMES).map(numbered).collect();
    sent.sort();
    read.sort_by(|one, other| one.bytes.cmp(&other.bytes));
    assert!(read.iter().map(|frame| &frame.bytes).eq(&sent));
}

#[test]
fn frames_at_the_rate_of_the_kernel_are_read_or_counted() {
    let options = LiveOptions { umem_frames: 1 << 11, ..mirror() };
    let Some(mut source) = open_mirror(&options) else { return };
    let Some(counted) = flood(&mut *source) else { return };
    assert_eq!(counted.frames + counted.drops.sum(), u64::from(flood_frames()), "{counted:?}");
}

#[test]
fn a_program_keeps_flows_while_its_frames_are_read() {
    for is_mirror in [true, false] {
        let panes = Clock::measure().grid(PaneGrid::LENGTH_NS_MAX, monotonic_ns());
        let kernel = KernelOptions { panes, ..KernelOptions::default() };
        let Some(mut program) = load(&kernel).filter(|_| namespace::enter()) else { return };
        program.attach(FAR, AttachMode::Native).unwrap();
        let options = LiveOptions { is_mirror, ..mirror() };
        let mut source = live::open_on(&mut program, FAR, &options).unwrap();
        let expected = if is_mirror { LiveMode::XdpCopy } else { LiveMode::Packet };
        assert_eq!(source.description().mode, expected);
        let Some(counted) = flood(&mut *source) else { return };
        let mut flows = 0;
        program.table().drain(panes, |flow| flows += flow.packets).unwrap();
        let seen = program.counters();
        assert_eq!((seen.seen_packets, seen.lost_packets), (flows, 0), "{seen:?}");
        assert_eq!(flows, u64::from(flood_frames()));
        assert_eq!(counted.frames + counted.drops.sum(), flows, "{counted:?} {seen:?}");
    }
}

/// How many frames a flood has; more where the environment's `TAPLINE_LIVE_FACTOR` says so.
fn flood_frames() -> u32 {
    let factor = std::env::var("TAPLINE_LIVE_FACTOR").ok().and_then(|factor| factor.parse().ok());
    1_000_000 * factor.unwrap_or(1_u32)
}

/// What this thread has used of its CPU.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and the kernel fills in the time.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Sends frames as fast as the kernel can, reads meanwhile, and gives what was counted.
fn flood(source: &mut dyn FrameSource) -> Option<LiveCounters> {
    let mut sender = or_skipped(Sender::load(1 << 10, SRC_IP))?;
    sender.open(NEAR).unwrap();
    let mut octets = 0;
    let (start, busy) = (Instant::now(), cpu_seconds());
    // The program on the near end goes with its sender; so that stays until all has been read.
    let _sender = thread::scope(|scope| {
        let sending = scope.spawn(move || {
            sender.send(NEAR, &template(), flood_frames()).unwrap();
            sender
        });
        let mut last = 0;
        while last > 0 || !sending.is_finished() {
            last = source.read(1000, &mut |frame| octets += frame.bytes.len() as u64).unwrap();
        }
        sending.join().unwrap()
    });
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(source.read(1, &mut |_| {}).unwrap(), 0, "all has been read");
    let counted = source.counters().unwrap();
    let cpu_ns = (cpu_seconds() - busy) * 1e9 / counted.frames as f64;
    let frames_a_second = counted.frames as f64 / seconds;
    println!("{frames_a_second:.0} frames read a second, {cpu_ns:.0} ns of CPU each: {counted:?}");
    assert_eq!((octets, counted.octets), (counted.frames * FRAME_OCTETS, counted.frames * FRAME_OCTETS));
    Some(counted)
}

#[test]
fn what_finds_no_memory_is_counted() {
    let options = LiveOptions { umem_frames: 1 << 8, ..mirror() };
    let Some(mut source) = open_mirror(&options) else { return };
    send(NEAR, 0..FRAMES);
    let read = read_all(&mut *source).len() as u64;
    let counted = source.counters().unwrap();
    assert!(counted.drops.memory > 0 && counted.starved > 0, "{counted:?}");
    assert_eq!(read + counted.drops.sum(), u64::from(FRAMES), "{counted:?}");
    send(NEAR, 0..100);
    assert_eq!(read_all(&mut *source).len(), 100);
}

#[test]
fn frames_wait_for_the_next_read() {
    let Some(mut source) = open_mirror(&mirror()) else { return };
    send(NEAR, 0..100);
    let mut read = 0;
    for _ in 0..100 {
        read += source.read(1, &mut |_| ()).unwrap();
    }
    assert_eq!(read, 100);
}

#[test]
fn nothing_is_left_behind() {
    if !namespace::enter() {
        return;
    }
    let before = link::find(FAR).unwrap().unwrap();
    let Some(source) = open(FAR, &mirror()) else { return };
    let meanwhile = link::find(FAR).unwrap().unwrap();
    assert!(meanwhile.xdp.is_some() && meanwhile.promiscuity == before.promiscuity + 1, "{meanwhile:?}");
    drop(source);
    wait_for(|link| link.xdp.is_none() && link.promiscuity == before.promiscuity);
    // And the same again.
    assert!(open(FAR, &mirror()).is_some());
}

/// Names the environment of the process that is killed.
const HOLD: &str = "TAPLINE_HOLD_MIRROR";

#[test]
#[ignore = "is what the test below kills"]
fn hold_a_mirror() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let mut source = open(FAR, &mirror()).unwrap();
    loop {
        source.read(1000, &mut |_| ()).unwrap();
    }
}

#[test]
fn a_process_that_is_killed_leaves_nothing_behind() {
    if !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    let before = link::find(FAR).unwrap().unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", "xdp_source::hold_a_mirror", "--ignored"]).env(HOLD, "1");
    let mut other = other.stdout(Stdio::null()).spawn().unwrap();
    wait_for(|link| link.xdp.is_some() && link.promiscuity > before.promiscuity);
    send(NEAR, 0..100);
    other.kill().unwrap();
    other.wait().unwrap();
    // The kernel clears away behind a process, though not at once.
    wait_for(|link| link.xdp.is_none() && link.promiscuity == before.promiscuity);
    // And another one goes on.
    let mut source = open(FAR, &mirror()).unwrap();
    send(NEAR, 0..100);
    assert_eq!(read_all(&mut *source).len(), 100);
}

#[test]
fn the_end_of_an_interface_is_an_error() {
    let Some(mut source) = open_mirror(&mirror()) else { return };
    assert!(ip(&["link", "del", FAR]));
    let gone = (0..5).find_map(|_| source.read(10, &mut |_| ()).err()).expect("an error");
    assert_eq!(gone.to_string(), format!("interface `{FAR}` is gone"));
}

#[test]
fn frames_that_are_too_long_for_it_are_read_as_copies() {
    if !namespace::enter() {
        return;
    }
    assert!(ip(&["link", "set", NEAR, "mtu", "9000"]) && ip(&["link", "set", FAR, "mtu", "9000"]));
    let Some(mut source) = open(FAR, &mirror()) else { return };
    assert_eq!(source.description().mode, LiveMode::Packet);
    assert!(source.description().reasons[0].contains("an MTU of 9000 octets"), "{:?}", source.description());
    send(NEAR, 0..100);
    assert_eq!(read_all(&mut *source).len(), 100);
}

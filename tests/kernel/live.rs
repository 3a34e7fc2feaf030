//! Frames on the wire of a veth pair, while the table is emptied again and again: none is missing, none is twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tapline_filter::{Comparison, Condition, Field, Predicate};
use tapline_interface::kernel::{
    AttachMode, Clock, Counters, FilterState, FrameReader, KernelCapture, KernelOptions, Rule, Sender,
    Verdict, monotonic_ns,
};

use crate::account::{Received, SRC_IP, template};
use crate::namespace::{self, FAR, NEAR};
use crate::rights::{load, or_skipped};

/// Traffic, and how much of it the table can hold.
#[derive(Clone, Copy)]
struct Load {
    /// Sending CPUs.
    cpus: usize,
    /// A power of two; each CPU sends to all.
    flows: u32,
    /// Frames that each CPU sends to each flow.
    a_flow: u32,
    /// Entries of a half of a CPU.
    entries: u32,
    /// Octets of the ring buffer.
    ring_octets: u32,
    /// Whether rules of the pre-filter, and the length of panes, come and go meanwhile.
    is_restless: bool,
    /// Whether filters come and go meanwhile, all of which want the first half of the flows.
    has_filters: bool,
}

const CALM: Load = Load {
    cpus: 1,
    flows: 1 << 12,
    a_flow: 500,
    entries: 1 << 16,
    ring_octets: 1 << 24,
    is_restless: false,
    has_filters: false,
};

/// Frames that a sending CPU makes in one call of the kernel.
const FRAMES_A_CALL: u32 = 1 << 16;
/// Length of a pane.
const PANE_NS: u64 = 100_000_000;
/// Time between two times that the table is emptied.
const PAUSE: Duration = Duration::from_millis(20);

/// Sends, empties the table meanwhile, and gives what came out, what was counted and what never came in; `None` where the rights are missing.
fn run(traffic: Load) -> Option<(Received, Counters, u64)> {
    if !namespace::enter() {
        return None;
    }
    let panes = Clock::measure().grid(PANE_NS, monotonic_ns());
    let mut kernel = load(&KernelOptions {
        flow_entries_max: traffic.entries,
        ring_octets: traffic.ring_octets,
        panes,
        ..KernelOptions::default()
    })?;
    let senders: Vec<_> =
        (0..traffic.cpus).map(|_| or_skipped(Sender::load(traffic.flows, SRC_IP))).collect();
    let mut senders = senders.into_iter().collect::<Option<Vec<_>>>()?;
    senders[0].open(NEAR).unwrap();
    kernel.attach(FAR, AttachMode::Native).unwrap();
    let mut received = Received::default();
    let sending = AtomicUsize::new(traffic.cpus);
    thread::scope(|scope| {
        for (cpu, mut sender) in senders.into_iter().enumerate() {
            let sending = &sending;
            scope.spawn(move || {
                send(&mut sender, cpu, traffic);
                sending.fetch_sub(1, Ordering::Release);
                // The program on the near end goes with its sender; so it stays until all have sent.
                while sending.load(Ordering::Acquire) > 0 {
                    thread::sleep(PAUSE);
                }
            });
        }
        for round in 0.. {
            if sending.load(Ordering::Acquire) == 0 {
                break;
            }
            let is_odd = traffic.is_restless && round % 2 == 1;
            kernel.set_rule(Rule::Port(53), is_odd.then_some(Verdict::Deny)).unwrap();
            if traffic.has_filters {
                change_filter(&kernel, traffic.flows, round);
            }
            empty(&mut kernel, &mut received, if is_odd { PANE_NS / 9 } else { PANE_NS });
            thread::sleep(PAUSE);
        }
    });
    empty(&mut kernel, &mut received, PANE_NS);
    empty(&mut kernel, &mut received, PANE_NS);
    Some((received, kernel.counters(), namespace::dropped()))
}

/// Puts another filter in the place of the one before, or none.
fn change_filter(kernel: &KernelCapture, flows: u32, round: usize) {
    let from = |flow: u32| 0xffff_0000_0000 + u128::from(SRC_IP + flow);
    let compare = |comparison, flow| Condition::compare(Field::SrcIp, comparison, from(flow));
    let first_half = || compare(Comparison::Less, flows / 2);
    let (wanted, is_open) = match round % 3 {
        0 => (first_half().predicate(), false),
        1 => {
            let last = compare(Comparison::GreaterOrEqual, flows / 4 * 3);
            (Condition::Any(vec![first_half(), last]).predicate(), false)
        }
        _ => (Predicate::ALWAYS, true),
    };
    let state = kernel.filter().lock().unwrap().set(FrameReader::Table, Some(wanted));
    let is_as_told =
        if is_open { state == FilterState::Open } else { matches!(state, FilterState::Placed { .. }) };
    assert!(is_as_told, "{state:?}");
}

fn send(sender: &mut Sender, cpu: usize, load: Load) {
    assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
    let template = template();
    let mut left = load.flows * load.a_flow;
    while left > 0 {
        let frames = left.min(FRAMES_A_CALL);
        sender.send(NEAR, &template, frames).unwrap();
        left -= frames;
    }
}

fn empty(kernel: &mut KernelCapture, received: &mut Received, pane_ns: u64) {
    let panes = Clock::measure().grid(pane_ns, monotonic_ns());
    kernel.table().drain(panes, |flow| received.take(flow)).unwrap();
}

/// CPUs that there are, two at the most; one, and a line that says so, where there is no other.
fn two_cpus() -> usize {
    let cpus = core_affinity::get_core_ids().map_or(1, |cores| cores.len());
    if cpus < 2 {
        println!("skipped: two sending CPUs need two CPUs");
    }
    cpus.min(2)
}

/// How many times as much is sent, where the environment's `TAPLINE_LIVE_FACTOR` says so.
fn factor() -> u32 {
    std::env::var("TAPLINE_LIVE_FACTOR").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

fn assert_complete(load: Load) -> Option<Counters> {
    let load = Load { a_flow: load.a_flow * factor(), ..load };
    let (received, counted, dropped) = run(load)?;
    let a_flow = u64::from(load.a_flow) * load.cpus as u64;
    received.assert_complete(&counted, load.flows, a_flow, dropped);
    println!("{counted:?}, {dropped} dropped by the interface");
    Some(counted)
}

#[test]
fn one_cpu_sends_and_nothing_is_missing() {
    let Some(counted) = assert_complete(CALM) else { return };
    assert_eq!(counted.lost_packets, 0);
}

#[test]
fn two_cpus_send_and_nothing_is_missing() {
    let load = Load { cpus: two_cpus(), ..CALM };
    let Some(counted) = assert_complete(load) else { return };
    assert_eq!(counted.lost_packets, 0);
}

#[test]
fn with_ten_times_as_many_flows_as_entries_nothing_is_missing() {
    let load =
        Load { cpus: two_cpus(), flows: 1 << 14, a_flow: 60, entries: 1600, ring_octets: 1 << 27, ..CALM };
    let Some(counted) = assert_complete(load) else { return };
    assert!(counted.evicted_entries > 0 && counted.lost_packets == 0, "{counted:?}");
}

#[test]
fn what_finds_the_ring_buffer_full_is_counted() {
    let load =
        Load { cpus: two_cpus(), flows: 1 << 14, a_flow: 30, entries: 1600, ring_octets: 1 << 12, ..CALM };
    let Some(counted) = assert_complete(load) else { return };
    assert!(counted.lost_packets > 0, "{counted:?}");
}

#[test]
fn while_rules_and_panes_come_and_go_nothing_is_missing() {
    let load = Load { cpus: two_cpus(), is_restless: true, ..CALM };
    let Some(counted) = assert_complete(load) else { return };
    assert!(counted.filtered_packets > 0 && counted.lost_packets == 0, "{counted:?}");
}

#[test]
fn while_filters_come_and_go_nothing_is_missing_that_all_want() {
    let load = Load { cpus: two_cpus(), has_filters: true, ..CALM };
    let Some((received, counted, dropped)) = run(load) else { return };
    let a_flow = u64::from(load.a_flow) * load.cpus as u64;
    received.assert_complete(&counted, load.flows, a_flow, dropped);
    let of_flow = |flow| received.frames.get(&flow).copied().unwrap_or(0);
    let missing: u64 = (0..load.flows / 2).map(|flow| a_flow - of_flow(flow)).sum();
    assert!(missing <= dropped, "{missing} are missing: {counted:?}, {dropped} dropped by the interface");
    assert!(counted.unwanted_packets > 0 && counted.lost_packets == 0, "{counted:?}");
}

//! The other flow table: for each CPU a hash map in an array of maps, which user space swaps for an empty one.

use aya_ebpf::btf_maps::{ArrayOfMaps, HashMap};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{CpuState, FlowEntry, FlowKey, RingRecord, flags};

use super::frame::{self, LinearFrame};
use super::maps::{self, Wanted};
use crate::flow::{self, Sighting};
use crate::pane;
use crate::parse::parse;

#[btf_map]
static SWAP: ArrayOfMaps<HashMap<FlowKey, [u32; 6], 1>, 64> = ArrayOfMaps::new();
const NOEXIST: u64 = 1;

/// As `classify`, without a pre-filter.
#[inline(always)]
pub fn classify_swapped(context: &XdpContext) -> Option<()> {
    let wanted = Wanted::read()?;
    // SAFETY: the helpers take nothing.
    let (cpu, now_ns) = unsafe { (bpf_get_smp_processor_id(), bpf_ktime_get_ns()) };
    let state = maps::cpu_state(cpu)?;
    let frame_octets = frame::octets(context);
    let parsed = parse(&LinearFrame::new(context), wanted.flags & flags::TCP_FLAGS != 0);
    state.counters.seen_packets += 1;
    state.counters.seen_octets += u64::from(frame_octets);
    let at = pane::place(&mut state.pane, wanted.epoch, wanted.panes, now_ns);
    count(&wanted, cpu, state, &Sighting { key: parsed.key, octets: parsed.octets, frame_octets, at });
    Some(())
}

#[inline(always)]
fn count(wanted: &Wanted, cpu: u32, state: &mut CpuState, seen: &Sighting) {
    let Some(map) = SWAP.get(cpu) else { return lose(state, seen) };
    let one = [seen.at.pane, 1, seen.octets, seen.frame_octets, seen.at.us, seen.at.us];
    let Some(value) = map.get_ptr_mut(&seen.key) else {
        if map.insert(&seen.key, one, NOEXIST).is_err() && !send(wanted, state, flow::begin(seen)) {
            lose(state, seen);
        }
        return;
    };
    // SAFETY: only this CPU writes to its map, one program at a time.
    let value = unsafe { &mut *value };
    if value[0] != seen.at.pane || (value[2] | value[3]) >= 1 << 31 {
        let [pane, packets, octets, frame_octets, first_us, last_us] = *value;
        let entry = FlowEntry { key: seen.key, pane, packets, octets, frame_octets, first_us, last_us };
        if !send(wanted, state, entry) {
            return lose(state, seen);
        }
        *value = one;
        return;
    }
    value[1] += 1;
    value[2] += seen.octets;
    value[3] += seen.frame_octets;
    value[5] = seen.at.us;
}

#[inline(always)]
fn send(wanted: &Wanted, state: &mut CpuState, entry: FlowEntry) -> bool {
    let is_sent = maps::send(RingRecord { entry, pane_start_ns: wanted.panes.start_ns(entry.pane) });
    if is_sent {
        state.counters.sent_packets += u64::from(entry.packets);
    }
    is_sent
}

#[inline(always)]
fn lose(state: &mut CpuState, seen: &Sighting) {
    state.counters.lost_packets += 1;
    state.counters.lost_octets += u64::from(seen.frame_octets);
}

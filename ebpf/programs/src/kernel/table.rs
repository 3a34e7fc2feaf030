//! The flow table: one frame into its entry.

use tapline_ebpf_common::{CpuState, FlowEntry, Part, RingRecord, Way};

use super::maps::{self, Wanted};
use crate::flow::{self, Place, Sighting};
use crate::hash;

/// Counts a frame in its flow's entry; what stands in its way is sent out first. `None` when user space has made
/// no room for this part.
#[inline(always)]
pub fn count(wanted: &Wanted, part: Part, state: &mut CpuState, seen: &Sighting) -> Option<()> {
    let half = wanted.epoch & 1;
    let first = (part.index << 1 | half) << (wanted.set_bits & 31);
    let (set, entry) = hash::place(&seen.key, wanted.set_bits);
    let set = maps::flow_set(first + set)?;
    match flow::find(set, entry as usize, &seen.key) {
        Place::Own(way) => count_own(wanted, part.way, state, set.get_mut(way)?, seen),
        Place::Free(way) => *set.get_mut(way)? = flow::begin(seen),
        Place::Taken(way) => {
            if replace(wanted, part.way, state, set.get_mut(way)?, seen) {
                state.counters.evicted_entries += 1;
            }
        }
    }
    Some(())
}

#[inline(always)]
fn count_own(wanted: &Wanted, way: Way, state: &mut CpuState, entry: &mut FlowEntry, seen: &Sighting) {
    if flow::takes(entry, seen.at) {
        return flow::add(entry, seen);
    }
    if replace(wanted, way, state, entry, seen) {
        state.counters.restarted_entries += 1;
    }
}

/// Sends an entry out and begins another in its place; without room in the ring buffer the frame is lost, and
/// the entry stays.
#[inline(always)]
fn replace(wanted: &Wanted, way: Way, state: &mut CpuState, entry: &mut FlowEntry, seen: &Sighting) -> bool {
    let pane_start_ns = wanted.panes.start_ns(entry.pane);
    let record = RingRecord { entry: *entry, pane_start_ns, way: way as u32, reserved: 0 };
    let is_sent = maps::send(record);
    if is_sent {
        state.counters.sent_packets += u64::from(entry.packets());
        *entry = flow::begin(seen);
    } else {
        state.counters.lost_packets += u64::from(FlowEntry::frames(seen.frames));
        state.counters.lost_octets += u64::from(seen.frame_octets);
    }
    is_sent
}

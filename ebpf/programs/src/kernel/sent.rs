//! The program that counts what the host sends: one packet, as many frames as it becomes.
//!
//! It runs where a packet has left the host's stack and comes to its interface's queue, with the CPU's soft interrupts off,
//! and leaves it as it is. It counts into a part of the table of its own, so that what receives on this CPU and what sends
//! never have an entry in common. What stands in the slot of the filter is of received frames: all that is sent is counted
//! that the pre-filter keeps.

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::programs::TcContext;
use tapline_ebpf_common::{CpuState, FlowEntry, Part, flags};

use super::maps::{self, Wanted};
use super::packet::Packet;
use super::rules::MappedRules;
use super::table;
use crate::filter;
use crate::flow::Sighting;
use crate::pane;
use crate::parse::{Parsed, parse_within};
use crate::segments::{Segments, Train};

/// Counts a packet; `None` when user space has not set the program up.
#[inline(always)]
pub fn count_sent(context: &TcContext) -> Option<()> {
    maps::mention_quiesce();
    let wanted = Wanted::read()?;
    if wanted.flags & flags::FLOWS == 0 {
        return Some(());
    }
    // SAFETY: the helper takes nothing.
    let part = Part::sent(unsafe { bpf_get_smp_processor_id() }, wanted.cpus);
    let state = maps::cpu_state(part.index)?;
    let packet = Packet::new(context.skb.skb);
    let outgoing = packet.outgoing();
    let parsed = parse_within(&packet, outgoing.octets, wanted.flags | flags::TCP_FLAGS, packet.vlan());
    let segments = Segments::of(&parsed, &outgoing);
    note(state, &parsed, &segments.all);
    if wanted.flags & flags::FILTER != 0 && !filter::keeps(&MappedRules, &parsed.key, wanted.flags) {
        state.counters.filtered_packets += u64::from(segments.all.frames);
        state.counters.filtered_octets += u64::from(segments.all.frame_octets);
        return Some(());
    }
    // SAFETY: the helper takes nothing.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let at = pane::place(&mut state.pane, wanted.epoch, wanted.panes, now_ns);
    let tells_apart = wanted.flags & flags::TCP_FLAGS != 0;
    let key = if tells_apart { parsed.key } else { parsed.key.without_tcp_flags() };
    let trains = if tells_apart { segments.trains() } else { segments.together() };
    for Train { frames, octets, frame_octets, is_tcp, tcp_flags } in trains {
        if frames != 0 {
            let key = key.with_tcp_flags(tcp_flags);
            let counted = FlowEntry::several(frames, is_tcp.then_some(tcp_flags));
            let seen = Sighting { key, frames: counted, octets, frame_octets, at };
            if !count(&wanted, &part, state, &seen) {
                state.counters.lost_packets += u64::from(frames);
                state.counters.lost_octets += u64::from(frame_octets);
            }
        }
    }
    Some(())
}

/// Counts frames of one flow into the table; whether there is a part of it for them. A function of its own, so that it is
/// there once: it has no more arguments than such may have.
#[inline(never)]
fn count(wanted: &Wanted, part: &Part, state: &mut CpuState, seen: &Sighting) -> bool {
    table::count(wanted, *part, state, seen).is_some()
}

#[inline(always)]
fn note(state: &mut CpuState, parsed: &Parsed, all: &Train) {
    let (counters, frames) = (&mut state.counters, u64::from(all.frames));
    counters.seen_packets += frames;
    counters.seen_octets += u64::from(all.frame_octets);
    if !parsed.is_ip {
        counters.not_ip_packets += frames;
    }
    if parsed.is_too_deep {
        counters.too_deep_packets += frames;
    }
}

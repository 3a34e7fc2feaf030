//! The program that captures: one frame, one verdict.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{Counters, CpuState, FlowEntry, flags};

use super::frame::{self, LinearFrame};
use super::maps::{self, Wanted};
use super::rules::MappedRules;
use super::{stamp, table};
use crate::filter;
use crate::flow::Sighting;
use crate::pane::{self, PaneTime};
use crate::parse::{Parsed, parse};

/// Accounts a frame and says what becomes of it; `None` when user space has not set the program up.
#[inline(always)]
pub fn classify(context: &XdpContext) -> Option<u32> {
    maps::mention_quiesce();
    let wanted = Wanted::read()?;
    // SAFETY: the helpers take nothing.
    let (cpu, now_ns) = unsafe { (bpf_get_smp_processor_id(), bpf_ktime_get_ns()) };
    let state = maps::cpu_state(cpu)?;
    let frame_octets = frame::octets(context);
    let parsed = parse(&LinearFrame::new(context), frame_octets, wanted.flags);
    note(&mut state.counters, &parsed, frame_octets);
    if wanted.flags & flags::FILTER != 0 && !filter::keeps(&MappedRules, &parsed.key, wanted.flags) {
        state.counters.filtered_packets += 1;
        state.counters.filtered_octets += u64::from(frame_octets);
        return Some(verdict(&wanted));
    }
    let at = pane::place(&mut state.pane, wanted.epoch, wanted.panes, now_ns);
    if wanted.flags & flags::FLOWS != 0 {
        let (key, one) = (parsed.key, FlowEntry::one(parsed.tcp_flags));
        let seen = Sighting { key, one, octets: parsed.octets, frame_octets, at };
        if table::count(&wanted, cpu, state, &seen).is_none() {
            state.counters.lost_packets += 1;
            state.counters.lost_octets += u64::from(frame_octets);
        }
    }
    if wanted.flags & (flags::MIRROR | flags::PACKETS) == flags::MIRROR | flags::PACKETS {
        return Some(redirect(context, state, at));
    }
    Some(verdict(&wanted))
}

#[inline(always)]
fn note(counters: &mut Counters, parsed: &Parsed, frame_octets: u32) {
    counters.seen_packets += 1;
    counters.seen_octets += u64::from(frame_octets);
    if !parsed.is_ip {
        counters.not_ip_packets += 1;
    }
    if parsed.is_too_deep {
        counters.too_deep_packets += 1;
    }
}

/// A port that only receives copies drops what it has seen; any other one takes nothing from its host.
#[inline(always)]
fn verdict(wanted: &Wanted) -> u32 {
    if wanted.flags & flags::MIRROR != 0 { XDP_DROP } else { XDP_PASS }
}

#[inline(always)]
fn redirect(context: &XdpContext, state: &mut CpuState, at: PaneTime) -> u32 {
    let ts_ns = state.pane.start_ns + u64::from(at.us) * 1000;
    let is_stamped = stamp::write(context, ts_ns).is_some();
    match maps::redirect(context.rx_queue_index(), XDP_DROP) {
        Ok(action) if is_stamped => {
            state.counters.redirected_packets += 1;
            action
        }
        _ => {
            state.counters.unredirected_packets += 1;
            XDP_DROP
        }
    }
}

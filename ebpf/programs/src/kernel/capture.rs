//! The program that captures: one frame, one verdict.
//!
//! Where there is a filter, what comes before it and what comes behind it are two programs: the first one leaves what it
//! has parsed with its CPU, and the filter, which is made while this runs, goes on with the second one or ends the frame.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{Counters, CpuState, FlowEntry, Part, Scratch, flags, wants};

use super::card::Beside;
use super::frame::{self, LinearFrame};
use super::log::{Event, say};
use super::maps::{self, Wanted};
use super::rules::MappedRules;
use super::stamp::Told;
use super::{card, stamp, table};
use crate::arrival::{Arrival, arrival};
use crate::cut::unneeded_octets;
use crate::filter;
use crate::flow::Sighting;
use crate::pane::{self, PaneTime};
use crate::parse::{Parsed, parse_within};

/// Accounts a frame and says what becomes of it; `None` when user space has not set the program up. Without `FILTERS`
/// there is no place for a filter in it.
#[inline(always)]
pub fn classify<const FILTERS: bool>(context: &XdpContext) -> Option<u32> {
    maps::mention_quiesce();
    let wanted = Wanted::read()?;
    // SAFETY: the helper takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let state = maps::cpu_state(cpu)?;
    let (Beside { tag, vlan, missing_octets }, card_ns) = (card::beside(context), card::time_ns(context));
    let octets_within = frame::octets(context);
    let frame_octets = octets_within + missing_octets;
    // A filter looks at TCP flags, whether or not these tell flows apart.
    let parsed =
        parse_within(&LinearFrame::new(context), octets_within, wanted.flags | flags::TCP_FLAGS, vlan);
    note(&mut state.counters, &parsed, frame_octets);
    let verdict = verdict(&wanted);
    if wanted.flags & flags::FILTER != 0 && !filter::keeps(&MappedRules, &parsed.key, wanted.flags) {
        state.counters.filtered_packets += 1;
        state.counters.filtered_octets += u64::from(frame_octets);
        return Some(verdict);
    }
    let Parsed { key, octets, headers, .. } = parsed;
    let by_whom = wants::ALL & !(wanted.flags >> flags::UNWANTED);
    let transport_at = headers.transport_at;
    let seen = Scratch { key, octets, frame_octets, wanted: by_whom, verdict, tag, transport_at };
    state.scratch.transport_at = transport_at;
    // Of a frame that is too deep whoever reads it may find more.
    if FILTERS && wanted.flags & flags::FILTERED != 0 && !parsed.is_too_deep {
        (state.scratch, state.card_ns) = (seen, card_ns);
        maps::filter(context);
        state.counters.unshown_packets += 1;
        say(Event::Unshown, state.counters.unshown_packets);
    }
    Some(take(context, &wanted, cpu, state, (&seen, card_ns)))
}

/// Goes on behind a filter with a frame that somebody wants; `None` when user space has not set the program up.
#[inline(always)]
pub fn take_wanted(context: &XdpContext) -> Option<u32> {
    maps::mention_quiesce();
    let wanted = Wanted::read()?;
    // SAFETY: the helper takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let state = maps::cpu_state(cpu)?;
    let (seen, card_ns) = (state.scratch, state.card_ns);
    Some(take(context, &wanted, cpu, state, (&seen, card_ns)))
}

/// Counts a frame into the table and redirects it, each if it is wanted there. The clock is read behind the name of the
/// half in use, as who empties the other one counts on.
#[inline(always)]
fn take(
    context: &XdpContext,
    wanted: &Wanted,
    cpu: u32,
    state: &mut CpuState,
    (seen, card_ns): (&Scratch, u64),
) -> u32 {
    // SAFETY: the helper takes nothing.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Arrival { ns, card_ns: believed_ns } = arrival(now_ns, card_ns, wanted.utc_offset_ns);
    if believed_ns != 0 {
        state.counters.stamped_packets += 1;
    }
    if believed_ns != card_ns {
        state.counters.mistrusted_packets += 1;
        say(Event::Mistrusted, state.counters.mistrusted_packets);
    }
    let at = pane::place(&mut state.pane, wanted.epoch, wanted.panes, ns);
    if wanted.flags & flags::FLOWS != 0 {
        if seen.wanted & wants::TABLE != 0 {
            count(wanted, cpu, state, seen, at);
        } else {
            state.counters.uncounted_packets += 1;
        }
    }
    if wanted.flags & (flags::MIRROR | flags::PACKETS) == flags::MIRROR | flags::PACKETS {
        if seen.wanted & wants::PACKETS != 0 {
            let may_cut = wanted.flags & flags::HEADERS_ONLY != 0;
            let cut_octets = if may_cut { cut(context, state) } else { 0 };
            return redirect(context, state, at, Told { tag: seen.tag, card_ns: believed_ns, cut_octets });
        }
        state.counters.unread_packets += 1;
    }
    verdict(wanted)
}

/// Cuts off what nobody needs of a frame; gives how many octets that is.
#[inline(always)]
fn cut(context: &XdpContext, state: &CpuState) -> u32 {
    // Read from memory, of which the verifier knows nothing: so it need not tell apart how the number came about.
    // SAFETY: a number of this CPU's own state.
    let transport_at = unsafe { (&raw const state.scratch.transport_at).read_volatile() };
    match frame::octets_of_one_part(context) {
        Some(octets) => frame::cut(context, unneeded_octets(transport_at, octets)),
        None => 0,
    }
}

#[inline(always)]
fn count(wanted: &Wanted, cpu: u32, state: &mut CpuState, seen: &Scratch, at: PaneTime) {
    let tells_apart = wanted.flags & flags::TCP_FLAGS != 0;
    let key = if tells_apart { seen.key } else { seen.key.without_tcp_flags() };
    let (octets, frame_octets) = (seen.octets, seen.frame_octets);
    let seen = Sighting { key, frames: FlowEntry::one(seen.key.tcp_flags()), octets, frame_octets, at };
    let lost = state.counters.lost_packets;
    if table::count(wanted, Part::received(cpu), state, &seen).is_none() {
        state.counters.lost_packets += 1;
        state.counters.lost_octets += u64::from(frame_octets);
    }
    if state.counters.lost_packets != lost {
        say(Event::Lost, state.counters.lost_packets);
    }
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
fn redirect(context: &XdpContext, state: &mut CpuState, at: PaneTime, told: Told) -> u32 {
    let ts_ns = state.pane.start_ns.wrapping_add(u64::from(at.us) * 1000);
    let is_stamped = stamp::write(context, ts_ns, told).is_some();
    match maps::redirect(context.rx_queue_index(), XDP_DROP) {
        Ok(action) if is_stamped => {
            state.counters.redirected_packets += 1;
            action
        }
        _ => {
            state.counters.unredirected_packets += 1;
            say(Event::Unredirected, state.counters.unredirected_packets);
            XDP_DROP
        }
    }
}

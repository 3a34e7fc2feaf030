//! Builds flow records from packets.
//!
//! Takes packets, or counts of packets of one flow, roughly in the order of time; gives one record
//! a flow and timeout. Always: the packets and octets of the records given are those taken in, and
//! every record given later ends at [`FlowMeter::watermark`] or after it, unless one of its packets
//! was that late itself.
//!
//! A flow is unidirectional; its key is [`tapline_record::FlowKey`]. A packet joins the flow of its
//! key unless it comes at the flow's deadline or later; then it begins the next record. The deadline
//! is the earliest of
//! - the last packet + inactive timeout (15 s),
//! - the first packet + active timeout (60 s),
//! - the first FIN or RST + linger (2 s), so that the last ACK is no flow of its own.
//!
//! Of packets that were counted by flow and second ([`DrainedMeter`]), the latter two count from the beginning of the second
//! in which that packet came ([`FLOW_BORDERS_NS`]): no such border is within a count.
//!
//! A packet that is older than the watermark says that the clock stepped back: every flow ends there, and time goes
//! on from that packet. So no flow lasts for longer than the active timeout, whatever the clock does.
//!
//! A flow whose record was given by its age goes on with its next packet, if that comes before the inactive timeout: what
//! it was until then is remembered at its place, for whoever reads the flows that are active ([`FlowMeter::read`]).
//!
//! Flows whose deadline has passed are given when time enters a new tick: 1/128 to 1/64 of the inactive timeout. Ticks belong to event time, so the same
//! packets give the same records in the same order, however they are cut into batches.
//!
//! How this compares: nfpcapd has the same key (without VLAN, with the ICMP type and code as
//! destination port), 300 s and 60 s by default, and writes a flow out at its FIN or RST, so that
//! the last ACK is another one. softflowd counts both directions in one entry, exports them as two
//! records, waits 5 minutes after FIN by default, and over a file lets no flow time out.

mod active;
mod batcher;
mod drained;
mod entry;
mod limits;
mod table;
#[cfg(test)]
mod tests;
mod update;
mod wheel;

pub use active::{ActiveFlow, FlowPlace, without_active_timeout};
pub use batcher::FlowBatcher;
pub use drained::DrainedMeter;
pub use entry::FlowEndReason;
pub use limits::{FLOW_BORDERS_NS, FlowMeterLimits};
pub use update::FlowUpdate;
pub(crate) use update::columns_of;

use active::{Ended, Past, goes_on, paused_max};
use entry::{FlowEntry, Timeouts};
use std::ops::RangeInclusive;
use table::{FlowTable, LOOKAHEAD_PACKETS, Node};
use tapline_record::column::Symbol;
use tapline_record::{EventTime, FlowKey, FlowRow, PacketColumn, PacketRow};
use update::{has_addresses, key_of};
use wheel::{WHEEL_TICKS, Wheel};

/// What a meter did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowMeterCounters {
    /// Packets that belong to a flow.
    pub packets: u64,
    /// Frames without an IP header.
    pub frames_without_ip: u64,
    /// Frames whose IP header ends, or is not to be trusted, before its addresses.
    pub frames_with_damaged_ip: u64,
    /// Records given.
    pub flows: u64,
    /// Records given early because the table was full, which are counted in `flows` too.
    pub flows_given_early: u64,
    /// Times that the clock stepped back by more than the inactive timeout.
    pub clock_steps: u64,
    /// The furthest of these steps, in nanoseconds, to within a tick.
    pub clock_step_max_ns: u64,
}

/// Flows from packets.
#[derive(Debug)]
pub struct FlowMeter {
    timeouts: Timeouts,
    flows_max: usize,
    table: FlowTable,
    wheel: Wheel,
    /// A tick has 2^`tick_bits` nanoseconds.
    tick_bits: u32,
    /// Flows whose deadline is at or before the start of this tick are out.
    tick: i64,
    /// No flow is scheduled before this tick.
    earliest: i64,
    /// What the packets that come now are of.
    source: Symbol,
    /// The watermark when the clock last stepped back.
    watermark_before: EventTime,
    /// Since when no flow was let go but at its end.
    began: EventTime,
    /// When a flow was last let go for want of room.
    lacked_room: Option<EventTime>,
    /// Of flows that have given records, what these were, by node.
    past: Vec<Past>,
    /// Those of them that wait for their next packet.
    paused: usize,
    /// Flows that ended lately, where somebody wants them.
    ended: Option<Ended>,
    counters: FlowMeterCounters,
}

/// Before the first packet.
const NO_TICK: i64 = i64::MIN;
const FLOWS_MAX: u32 = 1 << 30;

impl FlowMeter {
    /// A meter without flows.
    #[must_use]
    pub fn new(limits: FlowMeterLimits) -> Self {
        let timeouts = Timeouts::from(&limits);
        let tick_ns = (timeouts.inactive / 64).max(1_000_000);
        Self {
            timeouts,
            flows_max: limits.flows_max.clamp(1, FLOWS_MAX) as usize,
            table: FlowTable::new(),
            wheel: Wheel::new(),
            tick_bits: tick_ns.ilog2(),
            tick: NO_TICK,
            earliest: NO_TICK,
            source: Symbol::default(),
            watermark_before: EventTime::MIN,
            began: EventTime::MIN,
            lacked_room: None,
            past: vec![],
            paused: 0,
            ended: None,
            counters: FlowMeterCounters::default(),
        }
    }

    /// A meter whose flows end by age and after FIN or RST at whole multiples of [`FLOW_BORDERS_NS`].
    pub(crate) fn at_borders(limits: FlowMeterLimits) -> Self {
        let mut meter = Self::new(limits);
        meter.timeouts.borders = FLOW_BORDERS_NS;
        meter
    }

    /// Says of which source the packets are that come now; a flow is of that of its first packet.
    pub const fn set_source(&mut self, source: Symbol) {
        self.source = source;
    }

    /// Counts a packet into its flow; records that are complete by now go to `emit`.
    pub fn update(&mut self, packet: &PacketRow, emit: &mut impl FnMut(&FlowRow)) {
        self.update_burst(std::slice::from_ref(packet), emit);
    }

    /// Counts packets into their flows one after the other, as [`Self::update`] does, but faster: the
    /// burst's flows are looked up together first, so that their memory is waited for at once.
    pub fn update_burst(&mut self, packets: &[PacketRow], emit: &mut impl FnMut(&FlowRow)) {
        for packets in packets.chunks(LOOKAHEAD_PACKETS) {
            let mut keys = [FlowKey::default(); LOOKAHEAD_PACKETS];
            let mut hashes = [0; LOOKAHEAD_PACKETS];
            for ((key, hash), packet) in keys.iter_mut().zip(&mut hashes).zip(packets) {
                *key = key_of(packet);
                *hash = self.table.hash(key);
            }
            self.table.warm(&hashes[..packets.len()]);
            for ((packet, key), &hash) in packets.iter().zip(&keys).zip(&hashes) {
                self.count(packet, key, hash, emit);
            }
        }
    }

    /// Counts some packets into their flow, as if all had come at the time of the first one; records that are complete by
    /// now go to `emit`.
    ///
    /// They make the records that their packets would make one by one, if each update is of one second, and updates come
    /// in the order of their first packets, those of all packets until [`Self::advance`] says so.
    pub fn add(&mut self, update: &FlowUpdate, emit: &mut impl FnMut(&FlowRow)) {
        self.add_hashed(update, self.table.hash(&update.key), emit);
    }

    /// Counts updates into their flows one after the other, as [`Self::add`] does, but faster, as bursts of packets are.
    pub(crate) fn add_burst(&mut self, updates: &[FlowUpdate], emit: &mut impl FnMut(&FlowRow)) {
        for updates in updates.chunks(LOOKAHEAD_PACKETS) {
            let mut hashes = [0; LOOKAHEAD_PACKETS];
            for (hash, update) in hashes.iter_mut().zip(updates) {
                *hash = self.table.hash(&update.key);
            }
            self.table.warm(&hashes[..updates.len()]);
            for (update, &hash) in updates.iter().zip(&hashes) {
                self.add_hashed(update, hash, emit);
            }
        }
    }

    /// Tells that time has come this far; the packets' own times do so by themselves.
    #[inline]
    pub fn advance(&mut self, now: EventTime, emit: &mut impl FnMut(&FlowRow)) {
        let tick = now.0 >> self.tick_bits;
        if tick > self.tick {
            self.enter(tick, emit);
        }
    }

    /// The input has ended: every flow goes to `emit`.
    pub fn finish(&mut self, emit: &mut impl FnMut(&FlowRow)) {
        self.end_all(emit);
    }

    fn end_all(&mut self, emit: &mut impl FnMut(&FlowRow)) {
        for tick in self.coming_ticks() {
            self.wheel.take(tick);
            while let Some(node) = self.wheel.pop_taken() {
                self.end_flow(node, FlowEndReason::Forced, emit);
            }
        }
    }

    /// No flow ends before this time, but for packets that are themselves older.
    #[must_use]
    pub fn watermark(&self) -> EventTime {
        self.own_watermark().max(self.watermark_before)
    }

    /// The watermark of what came since the clock last stepped back.
    const fn own_watermark(&self) -> EventTime {
        if self.tick == NO_TICK {
            return EventTime::MIN;
        }
        EventTime(self.tick << self.tick_bits).plus(-self.timeouts.inactive)
    }

    /// What was done so far.
    #[must_use]
    pub const fn counters(&self) -> FlowMeterCounters {
        self.counters
    }

    /// Flows that are being metered: those of which a record is to come.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.table.len() - self.paused
    }

    #[inline]
    fn count(&mut self, packet: &PacketRow, key: &FlowKey, hash: u32, emit: &mut impl FnMut(&FlowRow)) {
        if has_addresses(packet) {
            self.add_hashed(&FlowUpdate::of_packet(packet, *key, self.source), hash, emit);
        } else {
            let has_ip = packet.has(PacketColumn::IpVersion);
            self.counters.frames_without_ip += u64::from(!has_ip);
            self.counters.frames_with_damaged_ip += u64::from(has_ip);
            self.follow(EventTime(packet.ts), emit);
        }
    }

    #[inline]
    fn add_hashed(&mut self, update: &FlowUpdate, hash: u32, emit: &mut impl FnMut(&FlowRow)) {
        self.follow(EventTime(update.first), emit);
        self.counters.packets = self.counters.packets.saturating_add(update.packets);
        match self.table.find(hash, &update.key) {
            Some(node) => self.continue_flow(node, update, emit),
            None => self.begin_flow(hash, update, emit),
        }
    }

    /// Goes to the time of a packet, which may be back.
    #[inline]
    fn follow(&mut self, time: EventTime, emit: &mut impl FnMut(&FlowRow)) {
        let tick = time.0 >> self.tick_bits;
        if tick > self.tick {
            self.enter(tick, emit);
        } else if tick < self.tick && time < self.own_watermark() {
            self.step_back(tick, emit);
        }
    }

    /// The clock stepped back: what was metered until now has ended.
    #[cold]
    fn step_back(&mut self, tick: i64, emit: &mut impl FnMut(&FlowRow)) {
        let step_ns = self.tick.abs_diff(tick).saturating_mul(1 << self.tick_bits);
        self.counters.clock_steps += 1;
        self.counters.clock_step_max_ns = self.counters.clock_step_max_ns.max(step_ns);
        self.watermark_before = self.watermark();
        self.end_all(emit);
        self.tick = tick;
        self.began = self.now();
    }

    #[inline]
    fn continue_flow(&mut self, node: Node, update: &FlowUpdate, emit: &mut impl FnMut(&FlowRow)) {
        let entry = &mut self.table[node];
        if !entry.takes(update, &self.timeouts) {
            return self.begin_next(node, update, emit);
        }
        entry.absorb(update, &self.timeouts);
        if self.due_tick(node) < self.table[node].scheduled {
            self.schedule(node);
        }
    }

    /// Begins the next record of a key: of the same flow, if only its age ended the last one.
    #[cold]
    fn begin_next(&mut self, node: Node, update: &FlowUpdate, emit: &mut impl FnMut(&FlowRow)) {
        let entry = self.table[node];
        if entry.is_paused() {
            return self.wake(node, &entry, update, emit);
        }
        let reason = entry.timeout_reason(&self.timeouts);
        let next = FlowEntry::new(update, &self.timeouts);
        let goes_on = reason == FlowEndReason::Active;
        if goes_on {
            self.remember(node, &entry);
        } else {
            self.note_end(node, &entry, reason);
        }
        self.table[node] = if goes_on { next.continued() } else { next };
        self.schedule(node);
        self.give(&entry.row(reason), emit);
    }

    /// Begins the next record of a flow that waited for it, or that of another one of its key.
    fn wake(&mut self, node: Node, entry: &FlowEntry, update: &FlowUpdate, emit: &mut impl FnMut(&FlowRow)) {
        let goes_on = goes_on(entry, update.first, &self.timeouts);
        if !goes_on || self.flows() >= self.flows_max {
            self.forget(node);
            return self.begin_flow(self.table.hash(&update.key), update, emit);
        }
        self.paused -= 1;
        self.table[node] = FlowEntry::new(update, &self.timeouts).continued();
        self.schedule(node);
    }

    fn begin_flow(&mut self, hash: u32, update: &FlowUpdate, emit: &mut impl FnMut(&FlowRow)) {
        if self.flows() >= self.flows_max {
            self.make_room(emit);
        }
        let node = self.table.insert(hash, FlowEntry::new(update, &self.timeouts));
        self.schedule(node);
    }

    /// Gives the flows whose deadline has passed when `tick` begins.
    fn enter(&mut self, tick: i64, emit: &mut impl FnMut(&FlowRow)) {
        let passed = self.coming_ticks().take_while(|&coming| coming <= tick);
        let is_first = self.tick == NO_TICK;
        self.tick = tick;
        if is_first {
            self.began = self.now();
        }
        for passed in passed {
            self.wheel.take(passed);
            while let Some(node) = self.wheel.pop_taken() {
                self.end_or_reschedule(node, emit);
            }
        }
    }

    fn end_or_reschedule(&mut self, node: Node, emit: &mut impl FnMut(&FlowRow)) {
        let (entry, now) = (&self.table[node], self.tick << self.tick_bits);
        if entry.is_paused() {
            return if entry.idle_at(&self.timeouts) <= now {
                self.forget(node);
            } else {
                self.await_next(node);
            };
        }
        if entry.deadline(&self.timeouts) > now {
            return self.schedule(node);
        }
        let reason = entry.timeout_reason(&self.timeouts);
        if reason == FlowEndReason::Active {
            if self.paused < paused_max(self.flows_max) {
                return self.pause(node, emit);
            }
            self.lacked_room = Some(self.now());
        }
        self.end_flow(node, reason, emit);
    }

    /// Gives the record of a flow that has lasted for long, and waits for its next packet.
    fn pause(&mut self, node: Node, emit: &mut impl FnMut(&FlowRow)) {
        let entry = self.table[node];
        self.remember(node, &entry);
        self.table[node].pause();
        self.paused += 1;
        self.await_next(node);
        self.give(&entry.row(FlowEndReason::Active), emit);
    }

    /// Puts a flow that waits for its next packet where the wheel comes by when it has waited for too long.
    fn await_next(&mut self, node: Node) {
        self.schedule_at(node, self.tick_behind(self.table[node].idle_at(&self.timeouts)));
    }

    /// Takes out a flow that waits for its next packet: its records were given.
    fn forget(&mut self, node: Node) {
        let entry = self.table[node];
        self.note_end(node, &entry, FlowEndReason::Idle);
        self.table.remove(node);
        self.wheel.remove(node);
        self.paused -= 1;
    }

    /// Gives the flow that is next to end.
    fn make_room(&mut self, emit: &mut impl FnMut(&FlowRow)) {
        let coming = self.coming_ticks();
        for tick in self.earliest.max(*coming.start())..=*coming.end() {
            self.earliest = tick;
            while let Some(node) = self.wheel.pop_at(tick) {
                if self.table[node].is_paused() {
                    self.forget(node);
                    continue;
                }
                if self.due_tick(node) <= tick {
                    self.counters.flows_given_early += 1;
                    self.lacked_room = Some(self.now());
                    return self.end_flow(node, FlowEndReason::LackOfResources, emit);
                }
                self.schedule(node);
            }
        }
    }

    /// Puts a flow where the wheel will come by at its deadline, as it is now, or before.
    fn schedule(&mut self, node: Node) {
        self.schedule_at(node, self.due_tick(node));
    }

    fn schedule_at(&mut self, node: Node, tick: i64) {
        self.table[node].scheduled = tick;
        self.earliest = self.earliest.min(tick);
        self.wheel.place(tick, node);
    }

    /// The tick at whose start the deadline has passed, or as near to it as the wheel reaches.
    #[inline]
    fn due_tick(&self, node: Node) -> i64 {
        self.tick_behind(self.table[node].deadline(&self.timeouts))
    }

    #[inline]
    fn tick_behind(&self, deadline: i64) -> i64 {
        let tick = (deadline.saturating_sub(1) >> self.tick_bits) + 1;
        tick.clamp(self.tick + 1, self.tick + WHEEL_TICKS)
    }

    const fn coming_ticks(&self) -> RangeInclusive<i64> {
        self.tick + 1..=self.tick + WHEEL_TICKS
    }

    fn end_flow(&mut self, node: Node, reason: FlowEndReason, emit: &mut impl FnMut(&FlowRow)) {
        let entry = self.table[node];
        if entry.is_paused() {
            return self.forget(node);
        }
        let reason = entry.reason_unless_closing(reason);
        self.note_end(node, &entry, reason);
        self.table.remove(node);
        self.give(&entry.row(reason), emit);
    }

    fn give(&mut self, row: &FlowRow, emit: &mut impl FnMut(&FlowRow)) {
        self.counters.flows += 1;
        emit(row);
    }
}

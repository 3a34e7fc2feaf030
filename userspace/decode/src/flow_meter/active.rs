//! The flows of a meter before they end, for whoever asks.
//!
//! Takes a place in the meter, gives the flows from there on, and the place behind them. A flow stays at its place for
//! as long as it is active, over its records; so whoever reads on from place to place misses none that was active when
//! he began. One that ends meanwhile may come twice: as it was, and as it ended. Nothing of this is done per packet.

use super::entry::{FlowEndReason, FlowEntry, Timeouts};
use super::table::Node;
use super::{FlowMeter, FlowMeterLimits};
use std::collections::VecDeque;
use tapline_record::{EventTime, FlowKey, PacketColumn};

/// Flows that have ended and are kept for a while.
const ENDED_MAX: usize = 8192;
/// How long they are kept, in nanoseconds of event time.
const ENDED_NS: i64 = 30_000_000_000;

/// A flow from its first packet on, over all its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveFlow {
    /// Its packets' key.
    pub key: FlowKey,
    /// Time of the first packet.
    pub start: EventTime,
    /// Time of the last packet so far.
    pub last: EventTime,
    /// Packets so far.
    pub packets: u64,
    /// Octets of the IP packets so far.
    pub octets: u64,
    /// Those of the packets that are in records which were given.
    pub packets_sent: u64,
    /// Octets of these.
    pub octets_sent: u64,
    /// TCP flags so far, joined by OR; `None` where packets have none.
    pub tcp_flags: Option<u16>,
    /// 0 ingress, 1 egress, as the first packet was; `None` where that is not known.
    pub direction: Option<u8>,
    /// Why it ended, if it has.
    pub end_reason: Option<FlowEndReason>,
}

/// How far somebody has read the flows of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowPlace {
    /// Those that are active, up to here.
    Active(usize),
    /// All of these, and so many of those that have ended.
    Ended(u64),
}

impl FlowPlace {
    /// Nothing was read.
    pub const BEGINNING: Self = Self::Active(0);
}

/// What a flow was in records that were given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    start: i64,
    packets: u64,
    octets: u64,
    tcp_flags: u16,
    direction: Option<u8>,
}

/// Flows that have ended, and when, oldest first.
#[derive(Debug)]
pub(super) struct Ended {
    flows: VecDeque<(i64, ActiveFlow)>,
    /// Those that stood before them.
    forgotten: u64,
}

impl Ended {
    fn new() -> Self {
        Self { flows: VecDeque::with_capacity(ENDED_MAX), forgotten: 0 }
    }

    fn push(&mut self, at: i64, flow: ActiveFlow) {
        if self.flows.len() == ENDED_MAX {
            self.flows.pop_front();
            self.forgotten += 1;
        }
        self.flows.push_back((at, flow));
    }

    /// Gives those that ended at a time or later, so many at the most; and how many were passed, if there are more.
    fn read(&self, from: u64, places: usize, since: i64, visit: &mut impl FnMut(&ActiveFlow)) -> Option<u64> {
        let from = from.max(self.forgotten);
        let skipped = usize::try_from(from - self.forgotten).unwrap_or(usize::MAX);
        let part = self.flows.iter().skip(skipped).take(places);
        part.filter(|(at, _)| *at >= since).for_each(|(_, flow)| visit(flow));
        let passed = skipped.saturating_add(places);
        (passed < self.flows.len()).then(|| self.forgotten + passed as u64)
    }
}

impl FlowEntry {
    fn open(&self) -> ActiveFlow {
        let total = self.total();
        let has = |column: PacketColumn| total.present & column.bit() != 0;
        ActiveFlow {
            key: total.key,
            start: EventTime(total.first),
            last: EventTime(total.last),
            packets: total.packets,
            octets: total.octets,
            packets_sent: 0,
            octets_sent: 0,
            tcp_flags: has(PacketColumn::TcpFlags).then_some(total.tcp_flags),
            direction: has(PacketColumn::Direction).then_some(total.direction),
            end_reason: None,
        }
    }
}

impl Past {
    fn add_to(&self, flow: &mut ActiveFlow) {
        flow.start = flow.start.min(EventTime(self.start));
        flow.packets = flow.packets.saturating_add(self.packets);
        flow.octets = flow.octets.saturating_add(self.octets);
        (flow.packets_sent, flow.octets_sent) = (self.packets, self.octets);
        flow.tcp_flags = flow.tcp_flags.map(|flags| flags | self.tcp_flags);
        flow.direction = self.direction;
    }
}

impl FlowMeter {
    /// Keeps flows that end from now on for half a minute, or does so no longer.
    pub fn keep_ended(&mut self, keeps: bool) {
        self.ended = if keeps { self.ended.take().or_else(|| Some(Ended::new())) } else { None };
    }

    /// Gives flows from a place on, looking at so many places at the most; and the place behind them, `None` at the
    /// end: first those that are active, then those that ended lately, as far as they are kept.
    pub fn read(
        &self,
        from: FlowPlace,
        places: usize,
        visit: &mut impl FnMut(&ActiveFlow),
    ) -> Option<FlowPlace> {
        match from {
            FlowPlace::Active(first) => {
                let (part, has_more) = self.table.part(first, places);
                part.for_each(|(node, entry)| visit(&self.active(node, entry)));
                let behind = FlowPlace::Active(first.saturating_add(places));
                Some(if has_more { behind } else { FlowPlace::Ended(0) })
            }
            FlowPlace::Ended(passed) => {
                let since = self.now().0.saturating_sub(ENDED_NS);
                let ended = self.ended.as_ref()?;
                ended.read(passed, places, since, visit).map(FlowPlace::Ended)
            }
        }
    }

    /// Since when no flow was let go but at its end: from the first packet on, or from the last one before which the
    /// clock stepped back.
    #[must_use]
    pub const fn began(&self) -> EventTime {
        self.began
    }

    /// Whether a flow that may be active was let go lately for want of room.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        let is_lately = |at: EventTime| self.now().0.saturating_sub(at.0) < self.timeouts.inactive;
        self.lacked_room.is_some_and(is_lately)
    }

    /// How long a flow may be silent, in nanoseconds.
    #[must_use]
    pub const fn inactive_timeout_ns(&self) -> i64 {
        self.timeouts.inactive
    }

    /// The start of the tick that is now.
    pub(super) const fn now(&self) -> EventTime {
        EventTime(self.tick.saturating_mul(1 << self.tick_bits))
    }

    fn active(&self, node: Node, entry: &FlowEntry) -> ActiveFlow {
        let mut flow = entry.open();
        if entry.is_continued()
            && let Some(past) = self.past.get(node as usize)
        {
            past.add_to(&mut flow);
        }
        flow
    }

    /// Keeps what a flow is whose record is given, but which goes on.
    pub(super) fn remember(&mut self, node: Node, entry: &FlowEntry) {
        let ActiveFlow { start, packets, octets, tcp_flags, direction, .. } = self.active(node, entry);
        let place = node as usize;
        if self.past.len() <= place {
            self.past.resize(place + 1, Past::default());
        }
        let tcp_flags = tcp_flags.unwrap_or_default();
        self.past[place] = Past { start: start.0, packets, octets, tcp_flags, direction };
    }

    /// Keeps a flow that has ended, where somebody wants that.
    pub(super) fn note_end(&mut self, node: Node, entry: &FlowEntry, reason: FlowEndReason) {
        if self.ended.is_none() {
            return;
        }
        let flow = self.active(node, entry);
        let ActiveFlow { packets, octets, .. } = flow;
        let flow =
            ActiveFlow { packets_sent: packets, octets_sent: octets, end_reason: Some(reason), ..flow };
        let now = self.now().0;
        self.ended.iter_mut().for_each(|ended| ended.push(now, flow));
    }
}

/// Flows between two records that are remembered: they take room besides those that are active.
pub(super) const fn paused_max(flows_max: usize) -> usize {
    flows_max / 4
}

/// As a flow that is only watched is metered: in one record, however long it lasts.
#[must_use]
pub const fn without_active_timeout(limits: FlowMeterLimits) -> FlowMeterLimits {
    FlowMeterLimits { active_timeout_ms: u32::MAX, ..limits }
}

/// Whether a flow between two records goes on with a packet of this time.
pub(super) const fn goes_on(entry: &FlowEntry, time: i64, timeouts: &Timeouts) -> bool {
    time < entry.idle_at(timeouts)
}

#[cfg(test)]
mod tests {
    use super::super::FlowUpdate;
    use super::*;
    use tapline_record::FlowRow;

    const SECOND: i64 = 1_000_000_000;

    /// Some packets of the flow from this port, of 100 octets each.
    fn packets(port: u16, second: i64, packets: u64) -> FlowUpdate {
        let key = FlowKey { src_port: port, ..FlowKey::default() };
        let (first, present) = (second * SECOND, PacketColumn::Direction.bit());
        let direction = (second > 0).into();
        FlowUpdate {
            key,
            present,
            packets,
            octets: 100 * packets,
            first,
            last: first,
            direction,
            ..FlowUpdate::default()
        }
    }

    /// All flows, so many places at a time.
    fn flows(meter: &FlowMeter, places: usize) -> Vec<ActiveFlow> {
        let (mut found, mut place) = (vec![], Some(FlowPlace::BEGINNING));
        while let Some(from) = place {
            place = meter.read(from, places, &mut |flow| found.push(*flow));
        }
        found
    }

    fn metered(updates: &[FlowUpdate]) -> (FlowMeter, Vec<FlowRow>) {
        let (mut meter, mut rows) = (FlowMeter::new(FlowMeterLimits::default()), vec![]);
        meter.keep_ended(true);
        updates.iter().for_each(|update| meter.add(update, &mut |row| rows.push(*row)));
        (meter, rows)
    }

    #[test]
    fn a_flow_is_seen_before_it_ends() {
        let (meter, rows) = metered(&[packets(1, 0, 2), packets(2, 1, 1), packets(1, 9, 3)]);
        assert!(rows.is_empty());
        for places in [1, 2, 3, 100] {
            let found = flows(&meter, places);
            let found: Vec<_> = found
                .iter()
                .map(|flow| (flow.key.src_port, flow.start.0 / SECOND, flow.last.0 / SECOND, flow.packets))
                .collect();
            assert_eq!(found, [(1, 0, 9, 5), (2, 1, 1, 1)], "an idle one, too");
        }
    }

    #[test]
    fn a_flow_goes_on_over_its_records() {
        // A packet each ten seconds, for five minutes.
        let updates: Vec<_> = (0..30).map(|number| packets(1, 10 * number, 7)).collect();
        for so_far in 1..=updates.len() {
            let (meter, rows) = metered(&updates[..so_far]);
            let found = flows(&meter, 10);
            let [flow] = found[..] else { panic!("{found:?}") };
            assert_eq!(flow.packets, 7 * so_far as u64);
            assert_eq!(flow.octets, 700 * so_far as u64);
            assert_eq!((flow.start, flow.direction), (EventTime(0), Some(0)), "as its first packet was");
            assert_eq!(flow.packets_sent, rows.iter().map(|row| row.packets).sum::<u64>());
            assert_eq!(flow.octets_sent, rows.iter().map(|row| row.octets).sum::<u64>());
            assert_eq!((flow.end_reason, meter.counters().flows), (None, rows.len() as u64));
        }
    }

    #[test]
    fn a_flow_between_two_records_is_active_until_it_was_silent_for_too_long() {
        let (mut meter, mut rows) = metered(&[packets(1, 0, 1), packets(1, 14, 1), packets(1, 28, 1)]);
        let updates = [packets(1, 42, 1), packets(1, 56, 1)];
        updates.iter().for_each(|update| meter.add(update, &mut |row| rows.push(*row)));
        meter.advance(EventTime(61 * SECOND), &mut |row| rows.push(*row));
        assert_eq!((rows.len(), meter.flows()), (1, 0));
        let [flow] = flows(&meter, 10)[..] else { panic!() };
        assert_eq!((flow.packets, flow.packets_sent, flow.end_reason), (5, 5, None));
        meter.advance(EventTime(72 * SECOND), &mut |row| rows.push(*row));
        let [flow] = flows(&meter, 10)[..] else { panic!() };
        assert_eq!((flow.packets, flow.end_reason), (5, Some(FlowEndReason::Idle)));
        assert_eq!(rows.len(), 1, "there is no record of nothing");
        meter.add(&packets(1, 73, 1), &mut |row| rows.push(*row));
        let starts: Vec<_> = flows(&meter, 10).iter().map(|flow| flow.start.0 / SECOND).collect();
        assert_eq!(starts, [73, 0], "another one, and the one that has ended");
    }

    #[test]
    fn those_that_ended_are_kept_for_a_while_and_for_those_who_want_it() {
        let closing = FlowUpdate { tcp_flags: 1, ..packets(1, 0, 3) };
        let (mut meter, _) = metered(&[closing]);
        meter.advance(EventTime(3 * SECOND), &mut |_| ());
        let [flow] = flows(&meter, 1)[..] else { panic!() };
        assert_eq!(flow.end_reason, Some(FlowEndReason::EndOfFlow));
        assert_eq!((flow.octets, flow.octets_sent), (300, 300));
        meter.advance(EventTime(34 * SECOND), &mut |_| ());
        assert!(flows(&meter, 1).is_empty());
        meter.keep_ended(false);
        meter.add(&closing, &mut |_| ());
        meter.finish(&mut |_| ());
        assert!(flows(&meter, 1).is_empty());
    }

    #[test]
    fn whoever_was_let_go_for_want_of_room_is_missing_until_he_would_have_ended() {
        let limits = FlowMeterLimits { flows_max: 4, ..FlowMeterLimits::default() };
        let mut meter = FlowMeter::new(limits);
        assert!(meter.began() == EventTime::MIN && !meter.lacks_room());
        (0..4).for_each(|port| meter.add(&packets(port, 100, 1), &mut |_| ()));
        assert!((99..=100).contains(&(meter.began().0 / SECOND)) && !meter.lacks_room());
        meter.add(&packets(4, 101, 1), &mut |_| ());
        assert!(meter.lacks_room());
        meter.advance(EventTime(110 * SECOND), &mut |_| ());
        assert!(meter.lacks_room(), "the first one may be active still");
        meter.advance(EventTime(117 * SECOND), &mut |_| ());
        assert!(!meter.lacks_room());
        // The clock steps back.
        meter.add(&packets(1, 50, 1), &mut |_| ());
        assert!((49..=50).contains(&(meter.began().0 / SECOND)));
    }

    #[test]
    fn many_that_ended_are_read_part_by_part() {
        let mut ended = Ended::new();
        let flow = |port| FlowEntry::new(&packets(port, 0, 1), &timeouts()).open();
        (0..10_000).for_each(|port| ended.push(i64::from(port), flow(port)));
        let (mut ports, mut from) = (vec![], Some(0));
        while let Some(place) = from {
            from = ended.read(place, 1000, 9_000, &mut |flow| ports.push(flow.key.src_port));
        }
        assert_eq!(ports, (9_000..10_000).collect::<Vec<_>>());
        assert_eq!(ended.flows.len(), ENDED_MAX);
    }

    fn timeouts() -> Timeouts {
        Timeouts::from(&FlowMeterLimits::default())
    }
}

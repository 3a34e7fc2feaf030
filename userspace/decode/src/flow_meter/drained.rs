//! Feeds a meter with what a flow table has counted.
//!
//! Takes counts of packets by flow in the order in which the table gives them up, which is none, and the times before
//! which all has come out of it; gives the records that the packets themselves would make, if records
//! ended by age, and after FIN or RST, at whole seconds. That is so as long as no count
//! spans a whole multiple of [`super::FLOW_BORDERS_NS`]: whatever the table's drains and CPUs are, a border of a record is
//! then either between two counts, or silence, whose ends are the times of counted packets.

use super::{FlowMeter, FlowMeterLimits, FlowUpdate};
use tapline_record::{EventTime, FlowRow};

/// A meter behind a flow table.
#[derive(Debug)]
pub struct DrainedMeter {
    meter: FlowMeter,
    /// Counts that wait until all that came before them has come out, the first `held` of them since before `until`.
    waiting: Vec<FlowUpdate>,
    held: usize,
    /// All packets before this time have come out.
    until: EventTime,
}

impl DrainedMeter {
    /// A meter without flows.
    #[must_use]
    pub fn new(limits: FlowMeterLimits) -> Self {
        Self { meter: FlowMeter::at_borders(limits), waiting: vec![], held: 0, until: EventTime::MIN }
    }

    /// Takes what was counted of a flow, none of it in two seconds.
    pub fn add(&mut self, update: FlowUpdate) {
        self.waiting.push(update);
    }

    /// All packets before this time have come out: records that are complete by now go to `emit`.
    pub fn advance(&mut self, until: EventTime, emit: &mut impl FnMut(&FlowRow)) {
        if until < self.until {
            // The clock was set back: what was held is of the time before.
            self.meter.add_burst(&self.waiting[..self.held], emit);
            self.waiting.drain(..self.held);
        }
        self.feed(until, emit);
        self.meter.advance(until, emit);
        (self.held, self.until) = (self.waiting.len(), until);
    }

    /// Gives the meter what was counted before a time.
    fn feed(&mut self, until: EventTime, emit: &mut impl FnMut(&FlowRow)) {
        self.waiting.sort_by_cached_key(|update| update.first);
        let ready = self.waiting.partition_point(|update| update.first < until.0);
        self.meter.add_burst(&self.waiting[..ready], emit);
        self.waiting.drain(..ready);
    }

    /// Nothing more comes out: every flow goes to `emit`.
    pub fn finish(&mut self, emit: &mut impl FnMut(&FlowRow)) {
        let last = self.waiting.iter().map(|update| update.last).max();
        self.feed(EventTime::MAX, emit);
        self.meter.advance(last.map_or(EventTime::MIN, EventTime), emit);
        self.meter.finish(emit);
    }

    /// The meter, without what waits.
    #[must_use]
    pub const fn meter(&self) -> &FlowMeter {
        &self.meter
    }

    /// Keeps flows that end from now on for half a minute, or does so no longer.
    pub fn keep_ended(&mut self, keeps: bool) {
        self.meter.keep_ended(keeps);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Record, Step, flows_of, packets_of, sorted, steps, tcp};
    use super::super::update::key_of;
    use super::super::{FLOW_BORDERS_NS, FlowMeterCounters};
    use super::*;
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
    use std::collections::BTreeMap;
    use std::mem::take;
    use tapline_record::PacketRow;
    use tapline_record::column::Symbol;

    /// A flow table of several CPUs, whose entries end with their second.
    #[derive(Default)]
    struct Table {
        tells_flags_apart: bool,
        entries: BTreeMap<(u16, u16, u8), FlowUpdate>,
        /// Entries that left the table at the end of their second.
        left: Vec<FlowUpdate>,
    }

    impl Table {
        fn count(&mut self, packet: &PacketRow, cpu: u8) {
            let update = FlowUpdate::of_packet(packet, key_of(packet), Symbol::default());
            let flags = if self.tells_flags_apart { packet.tcp_flags } else { 0 };
            let place = (packet.src_port, flags, cpu);
            let second_of = |time: i64| time.div_euclid(FLOW_BORDERS_NS);
            match self.entries.get_mut(&place) {
                Some(entry) if second_of(entry.first) == second_of(packet.ts) => {
                    entry.packets += 1;
                    entry.octets += update.octets;
                    entry.last = update.last;
                    entry.tcp_flags |= update.tcp_flags;
                }
                _ => self.left.extend(self.entries.insert(place, update)),
            }
        }

        /// All entries, by their keys and not by time.
        fn drain(&mut self) -> Vec<FlowUpdate> {
            let mut all = take(&mut self.left);
            all.extend(take(&mut self.entries).into_values());
            all
        }
    }

    /// What happens: a packet on a CPU, and whether the table is emptied, and the time told, before it.
    type Happening = (Step, u8, bool);

    fn happenings() -> impl Strategy<Value = Vec<Happening>> {
        // The table is emptied seldom, now and then, or all the time.
        let how_often = prop::sample::select(vec![0.003, 0.1, 0.7]);
        (steps(0..20_000), how_often).prop_flat_map(|(steps, how_often)| {
            let others = prop::collection::vec((0_u8..3, prop::bool::weighted(how_often)), steps.len());
            others.prop_map(move |others| {
                let each = steps.iter().zip(others);
                each.map(|(step, (cpu, is_emptied))| (*step, cpu, is_emptied)).collect::<Vec<_>>()
            })
        })
    }

    /// The records by packets, and by the table; and what both meters say of themselves.
    fn both(happenings: &[Happening], tells_flags_apart: bool) -> [(Vec<Record>, FlowMeterCounters); 2] {
        let steps: Vec<Step> = happenings.iter().map(|(step, ..)| *step).collect();
        let mut table = Table { tells_flags_apart, ..Table::default() };
        let limits = FlowMeterLimits::default();
        let (mut by_packets, mut by_table) = (FlowMeter::at_borders(limits), DrainedMeter::new(limits));
        let (mut of_packets, mut of_table) = (vec![], vec![]);
        for (packet, (_, cpu, is_emptied)) in packets_of(&steps).iter().zip(happenings) {
            if *is_emptied {
                let now = EventTime(packet.ts);
                by_packets.advance(now, &mut |row| of_packets.push(*row));
                table.drain().into_iter().for_each(|update| by_table.add(update));
                by_table.advance(now, &mut |row| of_table.push(*row));
            }
            by_packets.update(packet, &mut |row| of_packets.push(*row));
            table.count(packet, *cpu);
        }
        by_packets.finish(&mut |row| of_packets.push(*row));
        table.drain().into_iter().for_each(|update| by_table.add(update));
        by_table.finish(&mut |row| of_table.push(*row));
        let counters = [by_packets.counters(), by_table.meter().counters()];
        [(sorted(&of_packets), counters[0]), (sorted(&of_table), counters[1])]
    }

    proptest! {
        #[test]
        fn a_table_makes_the_records_that_its_packets_make(
            happenings in happenings(),
            tells_flags_apart in any::<bool>(),
        ) {
            let [by_packets, by_table] = both(&happenings, tells_flags_apart);
            prop_assert_eq!(by_packets, by_table);
        }
    }

    #[test]
    fn what_is_younger_than_what_has_come_out_waits_for_it() {
        let mut meter = DrainedMeter::new(FlowMeterLimits::default());
        let packet = |src_port, second: i64| {
            let row = PacketRow { ts: second * FLOW_BORDERS_NS, ..tcp(0, src_port, 0) };
            FlowUpdate::of_packet(&row, key_of(&row), Symbol::default())
        };
        let mut rows = vec![];
        meter.add(packet(1, 100));
        meter.advance(EventTime(101 * FLOW_BORDERS_NS), &mut |row| rows.push(*row));
        // One that left the table early, long behind another one that stands in it still.
        meter.add(packet(2, 116));
        meter.advance(EventTime(113 * FLOW_BORDERS_NS), &mut |row| rows.push(*row));
        assert_eq!((rows.len(), meter.meter().flows()), (0, 1));
        meter.add(packet(1, 114));
        meter.advance(EventTime(117 * FLOW_BORDERS_NS), &mut |row| rows.push(*row));
        meter.finish(&mut |row| rows.push(*row));
        assert_eq!(sorted(&rows).iter().map(|record| record.3).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn age_and_linger_end_with_a_second() {
        let (fin, syn, ack) = (1, 2, 16);
        let cases = [
            (vec![(900, fin), (1_999, ack), (2_000, syn)], vec![(900, 1_999, 2, 3), (2_000, 2_000, 1, 4)]),
            (
                vec![(900, ack), (15_000, ack), (29_000, ack), (43_000, ack), (57_000, ack), (60_000, ack)],
                vec![(900, 57_000, 5, 2), (60_000, 60_000, 1, 4)],
            ),
        ];
        for (packets, flows) in cases {
            let (mut meter, mut rows) = (FlowMeter::at_borders(FlowMeterLimits::default()), vec![]);
            for (ms, flags) in packets {
                meter.update(&tcp(ms, 1, flags), &mut |row| rows.push(*row));
            }
            meter.finish(&mut |row| rows.push(*row));
            assert_eq!(flows_of(&rows), flows);
        }
    }

    #[test]
    fn nothing_is_held_where_the_clock_is_set_back() {
        let mut meter = DrainedMeter::new(FlowMeterLimits::default());
        let packet = |second: i64| {
            let row = PacketRow { ts: second * FLOW_BORDERS_NS, ..tcp(0, 1, 0) };
            FlowUpdate::of_packet(&row, key_of(&row), Symbol::default())
        };
        let mut rows = vec![];
        meter.add(packet(7_200));
        meter.advance(EventTime(7_200 * FLOW_BORDERS_NS), &mut |row| rows.push(*row));
        meter.add(packet(3_600));
        meter.advance(EventTime(3_601 * FLOW_BORDERS_NS), &mut |row| rows.push(*row));
        assert_eq!((rows.len(), meter.meter().flows(), meter.meter().counters().clock_steps), (1, 1, 1));
    }
}

//! What is known of active flows from one answer to the next: the last one, and what flows were some seconds ago.
//!
//! Takes the flows that sources tell, gives them with their rates. A rate is the difference to what the same flow was in
//! an answer of about so long ago; so it costs nothing where packets are counted, and is not known where nobody asked
//! then. All that is kept has a cap, and goes when nobody asks any more.

use crate::active_flows::{ActiveFlows, FlowOrder, Rates, SeenFlow};
use std::cmp::{Ordering, Reverse};
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_decode::flow_meter::{ActiveFlow, FlowEndReason};
use tapline_record::{EventTime, PacketColumn};

/// Flows of an answer; of more, the largest.
pub(crate) const FLOWS_MAX: usize = 1 << 17;
/// For so long an answer is given to others who ask.
const FRESH: Duration = Duration::from_millis(250);
const SECOND_NS: i64 = 1_000_000_000;
/// Between two samples, in nanoseconds.
const APART_NS: i64 = 900_000_000;
/// How old a sample is that a rate is the difference to, for rates over a second and over ten, in nanoseconds.
const AGES_NS: [[i64; 2]; 2] = [[800_000_000, 2_500_000_000], [8 * SECOND_NS, 15 * SECOND_NS]];
/// Flows in all samples together.
const SAMPLED_MAX: usize = 1 << 20;

/// A flow, and which input tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// Its place among the inputs.
    pub(crate) input: usize,
    pub(crate) flow: ActiveFlow,
}

/// An input, and what time it is there.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    pub(crate) name: Arc<str>,
    pub(crate) now: EventTime,
}

/// All that was told.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) as_of: EventTime,
    pub(crate) reasons: Vec<String>,
    pub(crate) tellers: Vec<Teller>,
    pub(crate) flows: Vec<(Told, Rates)>,
    /// How many there are besides.
    pub(crate) left_out: usize,
}

/// What flows were at some moment.
#[derive(Debug)]
struct Sample {
    at: EventTime,
    /// Octets and packets, by a hash that is wrong for one of 2⁴⁴ or so.
    totals: HashMap<u64, [u64; 2]>,
}

/// What is known from one answer to the next.
#[derive(Debug, Default)]
pub(crate) struct FlowDesk {
    last: Option<(Instant, Arc<Reading>)>,
    /// Oldest first.
    samples: VecDeque<Sample>,
    hashes: RandomState,
}

/// Flows while they come; of many, the largest.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    flows: Vec<Told>,
    left_out: usize,
}

impl Gathering {
    pub(crate) fn push(&mut self, told: Told) {
        self.flows.push(told);
        if self.flows.len() == 2 * FLOWS_MAX {
            self.keep_largest();
        }
    }

    fn keep_largest(&mut self) {
        if self.flows.len() > FLOWS_MAX {
            self.flows.select_nth_unstable_by_key(FLOWS_MAX, |told| Reverse(told.flow.octets));
            self.left_out += self.flows.len() - FLOWS_MAX;
            self.flows.truncate(FLOWS_MAX);
        }
    }
}

impl FlowDesk {
    /// The last answer, if it is one of now.
    pub(crate) fn fresh(&self) -> Option<Arc<Reading>> {
        let (read, reading) = self.last.as_ref()?;
        (read.elapsed() < FRESH).then(|| Arc::clone(reading))
    }

    /// Makes an answer of what was told.
    pub(crate) fn take(
        &mut self,
        as_of: EventTime,
        mut gathered: Gathering,
        tellers: Vec<Teller>,
        mut reasons: Vec<String>,
    ) -> Arc<Reading> {
        gathered.keep_largest();
        let Gathering { mut flows, left_out } = gathered;
        if left_out > 0 {
            let all = flows.len() + left_out;
            reasons.push(format!("{all} flows are known, and only the {FLOWS_MAX} largest are told"));
        }
        self.drop_those_that_ended(&tellers, &mut flows);
        self.samples.retain(|sample| (0..AGES_NS[1][1]).contains(&(as_of.0 - sample.at.0)));
        let rated = flows.iter().map(|told| (*told, self.rates(as_of, &tellers, told))).collect();
        self.sample(as_of, &tellers, &flows);
        let reading = Arc::new(Reading { as_of, reasons, tellers, flows: rated, left_out });
        self.last = Some((Instant::now(), Arc::clone(&reading)));
        reading
    }

    /// Of flows that ended while they were told, keeps how they ended.
    fn drop_those_that_ended(&self, tellers: &[Teller], flows: &mut Vec<Told>) {
        let has_ended = |told: &Told| told.flow.end_reason.is_some();
        let ended: HashSet<u64> =
            flows.iter().filter(|told| has_ended(told)).map(|told| self.id(tellers, told)).collect();
        if !ended.is_empty() {
            flows.retain(|told| has_ended(told) || !ended.contains(&self.id(tellers, told)));
        }
    }

    fn id(&self, tellers: &[Teller], told: &Told) -> u64 {
        let name = tellers.get(told.input).map(|teller| &*teller.name);
        self.hashes.hash_one((name, told.flow.key, told.flow.start.0))
    }

    fn rates(&self, as_of: EventTime, tellers: &[Teller], told: &Told) -> Rates {
        let mut rates = Rates::default();
        for (place, [youngest, oldest]) in AGES_NS.into_iter().enumerate() {
            let age = |sample: &Sample| as_of.0 - sample.at.0;
            let is_meant = |sample: &&Sample| (youngest..=oldest).contains(&age(sample));
            let Some(sample) = self.samples.iter().rev().find(is_meant) else { continue };
            let before = sample.totals.get(&self.id(tellers, told)).copied();
            // One that was not there began since; what it was is not known where it began before.
            let is_new = told.flow.start.0 >= sample.at.0 - SECOND_NS;
            let Some([octets, packets]) = before.or_else(|| is_new.then_some([0; 2])) else { continue };
            let a_second =
                |all: u64, before: u64| all.saturating_sub(before) as f64 * 1e9 / age(sample) as f64;
            rates.octets[place] = Some(a_second(told.flow.octets, octets));
            rates.packets[place] = Some(a_second(told.flow.packets, packets));
        }
        rates
    }

    /// Keeps what flows are now, a second or so apart.
    fn sample(&mut self, as_of: EventTime, tellers: &[Teller], flows: &[Told]) {
        if self.samples.back().is_some_and(|sample| as_of.0 - sample.at.0 < APART_NS) {
            return;
        }
        let total = |told: &Told| (self.id(tellers, told), [told.flow.octets, told.flow.packets]);
        let totals = flows.iter().map(total).collect();
        self.samples.push_back(Sample { at: as_of, totals });
        let sampled =
            |samples: &VecDeque<Sample>| samples.iter().map(|sample| sample.totals.len()).sum::<usize>();
        while self.samples.len() > 1 && sampled(&self.samples) > SAMPLED_MAX {
            self.samples.pop_front();
        }
    }
}

impl Reading {
    /// So many of the flows at the most, the first ones in this order.
    pub(crate) fn answer(&self, limit: usize, order: FlowOrder) -> ActiveFlows {
        let mut chosen: Vec<&(Told, Rates)> = self.flows.iter().collect();
        let compare = |a: &&(Told, Rates), b: &&(Told, Rates)| before(order, a, b);
        if limit < chosen.len() {
            chosen.select_nth_unstable_by(limit, compare);
            chosen.truncate(limit);
        }
        chosen.sort_unstable_by(compare);
        ActiveFlows {
            as_of: self.as_of,
            complete: self.reasons.is_empty(),
            reasons: self.reasons.clone(),
            total: self.flows.len() + self.left_out,
            flows: chosen.into_iter().filter_map(|(told, rates)| self.seen(told, *rates)).collect(),
        }
    }

    fn seen(&self, told: &Told, rates: Rates) -> Option<SeenFlow> {
        let Teller { name, now } = self.tellers.get(told.input)?;
        let ActiveFlow { key, start, last, .. } = told.flow;
        let octet = |column, value: u8| key.carries(column).then_some(value);
        let wide = |column, value: u16| key.carries(column).then_some(value);
        Some(SeenFlow {
            source: Arc::clone(name),
            ip_version: (key.ip_version > 0).then_some(key.ip_version),
            src_ip: key.src_ip,
            dst_ip: key.dst_ip,
            src_port: wide(PacketColumn::SrcPort, key.src_port),
            dst_port: wide(PacketColumn::DstPort, key.dst_port),
            protocol: octet(PacketColumn::Protocol, key.protocol),
            icmp_type: octet(PacketColumn::IcmpType, key.icmp_type),
            icmp_code: octet(PacketColumn::IcmpCode, key.icmp_code),
            vlan: wide(PacketColumn::Vlan, key.vlan),
            start_time: start,
            last_time: last,
            age_ns: now.0.saturating_sub(start.0).max(0),
            idle_ns: now.0.saturating_sub(last.0).max(0),
            packets: told.flow.packets,
            octets: told.flow.octets,
            packets_sent: told.flow.packets_sent,
            records_sent: told.flow.octets_sent,
            rates,
            tcp_flags: told.flow.tcp_flags,
            direction: told.flow.direction,
            end_reason: told.flow.end_reason.map(reason_name),
        })
    }
}

/// Which of two flows is told first.
fn before(order: FlowOrder, (a, a_rates): &(Told, Rates), (b, b_rates): &(Told, Rates)) -> Ordering {
    let lately = |rates: &Rates| rates.octets[0].or(rates.octets[1]).unwrap_or(-1.0);
    let first = match order {
        FlowOrder::Octets => b.flow.octets.cmp(&a.flow.octets),
        FlowOrder::Packets => b.flow.packets.cmp(&a.flow.packets),
        FlowOrder::Rate => lately(b_rates).total_cmp(&lately(a_rates)),
        FlowOrder::Newest => b.flow.start.cmp(&a.flow.start),
        FlowOrder::Idle => a.flow.last.cmp(&b.flow.last),
    };
    first.then(b.flow.octets.cmp(&a.flow.octets)).then(a.flow.start.cmp(&b.flow.start))
}

const fn reason_name(reason: FlowEndReason) -> &'static str {
    match reason {
        FlowEndReason::Idle => "idle",
        FlowEndReason::Active => "active",
        FlowEndReason::EndOfFlow => "end of flow",
        FlowEndReason::Forced => "forced",
        FlowEndReason::LackOfResources => "lack of resources",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_record::FlowKey;

    fn told(src_port: u16, start: i64, octets: u64) -> Told {
        let key = FlowKey { src_port, carried: PacketColumn::SrcPort.bit() as u32, ..FlowKey::default() };
        let flow = ActiveFlow {
            key,
            start: EventTime(start * SECOND_NS),
            last: EventTime((start + 1) * SECOND_NS),
            packets: octets / 100,
            octets,
            packets_sent: 0,
            octets_sent: 0,
            tcp_flags: None,
            direction: None,
            end_reason: None,
        };
        Told { input: 0, flow }
    }

    fn read(desk: &mut FlowDesk, second: i64, flows: &[Told]) -> Arc<Reading> {
        let mut gathered = Gathering::default();
        flows.iter().for_each(|told| gathered.push(*told));
        let now = EventTime(second * SECOND_NS);
        desk.take(now, gathered, vec![Teller { name: "far".into(), now }], vec![])
    }

    #[test]
    fn rates_are_the_difference_to_an_earlier_answer() {
        let mut desk = FlowDesk::default();
        let rates = |reading: &Reading| reading.answer(1, FlowOrder::Octets).flows[0].rates;
        let mut last = Rates::default();
        for second in 100_i64..=110 {
            let octets = 5_000 + 1_000 * (second.cast_unsigned() - 100);
            let reading = read(&mut desk, second, &[told(1, 0, octets), told(2, second, 700)]);
            last = rates(&reading);
            let expected = (second > 100).then_some(1_000.0);
            assert_eq!((last.octets[0], last.packets[0]), (expected, expected.map(|rate| rate / 100.0)));
            let new = reading.answer(2, FlowOrder::Octets).flows[1].rates;
            assert_eq!(new.octets[0], (second > 100).then_some(700.0), "it began since");
        }
        assert_eq!(last.octets[1], Some(1_000.0));
        let much_later = rates(&read(&mut desk, 200, &[told(1, 0, 50_000)]));
        assert_eq!(much_later, Rates::default(), "nobody asked lately");
    }

    #[test]
    fn flows_are_told_in_the_order_that_is_asked_for() {
        let mut desk = FlowDesk::default();
        let reading = read(&mut desk, 50, &[told(1, 10, 300), told(2, 30, 100), told(3, 20, 200)]);
        let ports = |limit, order| {
            let flows = reading.answer(limit, order).flows;
            flows.iter().filter_map(|flow| flow.src_port).collect::<Vec<_>>()
        };
        assert_eq!(ports(9, FlowOrder::Octets), [1, 3, 2]);
        assert_eq!(ports(2, FlowOrder::Newest), [2, 3]);
        assert_eq!(ports(1, FlowOrder::Idle), [1]);
        assert!(ports(0, FlowOrder::Octets).is_empty());
        let all = reading.answer(1, FlowOrder::Octets);
        assert_eq!((all.total, all.complete, all.flows[0].dst_port), (3, true, None));
        assert_eq!((all.flows[0].age_ns, all.flows[0].idle_ns), (40 * SECOND_NS, 39 * SECOND_NS));
        assert!(desk.fresh().is_some());
    }

    #[test]
    fn a_flow_that_ended_meanwhile_is_told_once() {
        let mut ended = told(1, 10, 300);
        ended.flow.end_reason = Some(FlowEndReason::EndOfFlow);
        let reading = read(&mut FlowDesk::default(), 50, &[told(1, 10, 200), told(2, 10, 100), ended]);
        let flows = reading.answer(9, FlowOrder::Octets).flows;
        let found: Vec<_> = flows.iter().map(|flow| (flow.octets, flow.end_reason)).collect();
        assert_eq!(found, [(300, Some("end of flow")), (100, None)]);
    }

    #[test]
    fn of_too_many_the_largest_are_told() {
        let mut gathered = Gathering::default();
        let all = 3 * FLOWS_MAX as u64;
        (0..all).for_each(|octets| gathered.push(told(1, 0, octets)));
        let mut desk = FlowDesk::default();
        let reading = desk.take(EventTime(0), gathered, vec![], vec![]);
        assert_eq!((reading.flows.len(), reading.left_out), (FLOWS_MAX, 2 * FLOWS_MAX));
        assert!(reading.flows.iter().all(|(told, _)| told.flow.octets >= 2 * FLOWS_MAX as u64));
        assert!(!reading.answer(1, FlowOrder::Octets).complete);
    }
}

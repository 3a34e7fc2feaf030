//! Three sensors and an aggregator, as whoever has links and disks drives them.

use crate::answer::Answer;
use crate::sensor::Sensor;
use crate::traffic::SECOND_NS;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use tapline_aggregate::{Merging, PartMaker, Results, half_id, half_specs};
use tapline_delivery::{
    Aggregator, AggregatorLimits, AggregatorOptions, Given, Head, Incarnation, Kind, Lineage, Manifest,
    Moment, NewPart, Outgoing, OutgoingLimits, Patience, Role, SensorName, Stamp, Verdict,
};
use tapline_engine::{QueryId, QueryLimits};
use tapline_operators::OperatorLimits;
use tapline_query::{ContinuousQuery, Window};
use tapline_record::{EventTime, PacketRow};
use tapline_trafficgen::random::Random;

/// The query on the wire.
pub(crate) const QUERY: u64 = 77;

const SENSORS: usize = 3;
const LIFE: Incarnation = Incarnation(1);
const HOUR_NS: i64 = 3600 * SECOND_NS;

/// A record on its way.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) sensor: usize,
    pub(crate) head: Head,
    pub(crate) payload: Vec<u8>,
}

impl Record {
    /// Records of sources that it accounts for.
    pub(crate) fn records(&self) -> u64 {
        match &self.head.kind {
            Kind::Part(part) => part.records,
            Kind::Gone(_) => 0,
        }
    }
}

pub(crate) struct World {
    query: Arc<ContinuousQuery>,
    limits: QueryLimits,
    outgoing: Vec<Outgoing>,
    merging: Merging,
    aggregator: Aggregator<Merging>,
    results: Results,
    manifest: Vec<u8>,
    bundles: BTreeMap<Stamp, Vec<u8>>,
    now: Moment,
    pub(crate) answer: Answer,
    /// Cuts of a sensor, at most.
    pub(crate) cuts_max: u64,
    /// Records that are missing at each sensor in each second in which it has some.
    pub(crate) missing_each_second: f64,
    pub(crate) whole_after: i64,
    /// Seconds in which each sensor has rows.
    seconds: Vec<BTreeSet<i64>>,
}

fn options() -> AggregatorOptions {
    AggregatorOptions {
        role: Role::Final,
        limits: AggregatorLimits::default(),
        patience: Patience::default(),
    }
}

fn name_of(sensor: usize) -> SensorName {
    SensorName::new(&format!("pop-{sensor}"))
}

fn results_of(query: &ContinuousQuery, limits: &QueryLimits) -> Results {
    let mut results = Results::new(Patience::default().revisable_ns);
    results.add_query(QUERY, QueryId(5), query, limits).unwrap();
    results
}

impl World {
    pub(crate) fn new(query: &Arc<ContinuousQuery>, limits: QueryLimits) -> Self {
        let now = Moment { steady_ns: 0, wall_ns: crate::traffic::BEGIN_NS + 2 * HOUR_NS };
        let merging = Merging::default();
        merging.add_query(QUERY, query, &limits).unwrap();
        let epoch = Stamp::claim(None).epoch;
        let mut aggregator = Aggregator::new(merging.clone(), options(), epoch, Lineage(9));
        for (half, spec) in half_specs(QUERY, query, None).unwrap() {
            aggregator.add_half(half, spec);
        }
        let manifest = aggregator.first_checkpoint().octets;
        let outgoing = (0..SENSORS).map(|sensor| {
            let limits = OutgoingLimits { window_records: 1 << 20, ..OutgoingLimits::default() };
            let mut outgoing = Outgoing::new(Lineage(sensor as u64), LIFE, limits);
            let hello = outgoing.hello(name_of(sensor));
            outgoing.welcomed(&aggregator.hello(&name_of(sensor), &hello, now).unwrap());
            outgoing
        });
        Self {
            query: Arc::clone(query),
            limits,
            outgoing: outgoing.collect(),
            merging,
            results: results_of(query, &limits),
            aggregator,
            manifest,
            bundles: BTreeMap::new(),
            now,
            answer: Answer::default(),
            cuts_max: 7,
            missing_each_second: 0.0,
            whole_after: i64::MIN,
            seconds: vec![BTreeSet::new(); SENSORS],
        }
    }

    /// Deals rows out to sensors, which cut them; gives what these send, sensor by sensor.
    pub(crate) fn cut(&mut self, rows: &[PacketRow], random: &mut Random) -> Vec<Record> {
        let query = Arc::clone(&self.query);
        self.cut_as(&query, rows, random)
    }

    /// The same, where they take another query for ours.
    pub(crate) fn cut_as(
        &mut self,
        query: &Arc<ContinuousQuery>,
        rows: &[PacketRow],
        random: &mut Random,
    ) -> Vec<Record> {
        let width = query.pane_width().unwrap();
        let pane_of = |time: i64| EventTime(time).align_down(width).0;
        let (size, _) = query.window.and_then(Window::size_and_slide).unwrap();
        let first = rows.iter().map(|row| pane_of(row.ts)).min().unwrap();
        // Time goes on until the last window is over.
        let end = rows.iter().map(|row| pane_of(row.ts) + size).max().unwrap();
        let mut dealt = vec![vec![]; SENSORS];
        rows.iter().for_each(|row| dealt[random.below(SENSORS as u64) as usize].push(*row));
        let limits = OperatorLimits { groups_max: self.limits.groups_max, is_only_worker: false };
        let maker = PartMaker::new(QUERY, query, &self.limits).unwrap();
        let mut records = vec![];
        for (sensor, rows) in dealt.iter().enumerate() {
            let (panes, missing_each_second) = (first..end, self.missing_each_second);
            let whole_after = EventTime(self.whole_after);
            let engine = Sensor { query, limits, panes, missing_each_second, whole_after };
            for cut in engine.cuts(rows, self.cuts_max, random) {
                let parts = maker.parts(cut).unwrap();
                let (heads, payloads): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                let octets = payloads.iter().map(|payload| payload.len() as u64);
                let parts = heads.into_iter().zip(octets).map(|(part, octets)| NewPart { part, octets });
                let heads = self.outgoing[sensor].cut(parts.collect());
                heads.last().into_iter().for_each(|last| self.outgoing[sensor].safe(last.position));
                let of_cut = heads.into_iter().zip(payloads);
                records.extend(of_cut.map(|(head, payload)| Record { sensor, head, payload }));
            }
            self.seconds[sensor].extend(rows.iter().map(|row| row.ts.div_euclid(SECOND_NS)));
        }
        records
    }

    /// What is missing in a stretch of time.
    pub(crate) fn missing_in(&self, span: &Range<i64>) -> f64 {
        let seconds = self.seconds.iter().flatten().filter(|second| span.contains(&(*second * SECOND_NS)));
        seconds.count() as f64 * self.missing_each_second
    }

    fn receive(&mut self, record: &Record) -> Verdict {
        let head = Head::decode(&record.head.encode()).unwrap();
        self.aggregator.receive(&name_of(record.sensor), LIFE, (&head, &record.payload), self.now)
    }

    /// Sends records until all are taken.
    pub(crate) fn send(&mut self, records: &[Record]) {
        let mut left: Vec<&Record> = records.iter().collect();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|record| match self.receive(record) {
                Verdict::Taken | Verdict::Seen => false,
                Verdict::Later => true,
                Verdict::Refused(why) | Verdict::Closed(why) => unreachable!("{why}"),
            });
            assert!(left.len() < before, "some of {before} are taken");
        }
    }

    /// Sends records; gives why some are refused.
    pub(crate) fn try_send(&mut self, records: &[Record]) -> Vec<String> {
        let verdicts = records.iter().map(|record| self.receive(record));
        let why = |verdict: Verdict| match verdict {
            Verdict::Refused(why) => Some(why.to_string()),
            Verdict::Taken | Verdict::Seen | Verdict::Later | Verdict::Closed(_) => None,
        };
        verdicts.filter_map(why).collect()
    }

    /// Waits for nobody any longer, and gives all that came.
    pub(crate) fn give(&mut self) {
        self.now.steady_ns += HOUR_NS;
        loop {
            self.write();
            if !self.take() {
                return;
            }
        }
    }

    /// Ends the aggregator behind a checkpoint; what it gave is taken before that, or is not. Another one goes on.
    pub(crate) fn restart(&mut self, is_taken: bool) {
        self.write();
        if is_taken {
            self.take();
            self.write();
        }
        let stamp = Stamp::claim(Some(Manifest::stamp_of(&self.manifest).unwrap()));
        let claimed = Manifest::claimed(&self.manifest, stamp).unwrap();
        let get = |bundle| self.bundles.get(&bundle).cloned().ok_or_else(|| "it is missing".to_owned());
        let restored = Aggregator::restore(self.merging.clone(), options(), &claimed.octets, get, self.now);
        (self.aggregator, self.manifest) = (restored.unwrap(), claimed.octets);
        self.results = results_of(&self.query, &self.limits);
        for half in 0..self.query.lowers.len() {
            let kept = self.aggregator.kept(half_id(QUERY, half)).unwrap();
            self.results.resume(&kept).unwrap();
        }
    }

    /// Lets go of the query everywhere.
    pub(crate) fn forget_query(&mut self) {
        for half in 0..self.query.lowers.len() {
            self.aggregator.drop_half(half_id(QUERY, half));
        }
        self.merging.drop_query(QUERY);
        self.results.drop_query(QUERY);
        assert_eq!(self.merging.octets_held(QUERY), 0);
    }

    fn write(&mut self) {
        let checkpoint = self.aggregator.checkpoint(self.now);
        if let Some(bundle) = &checkpoint.bundle {
            self.bundles.insert(bundle.stamp(), bundle.pieces().collect::<Vec<_>>().concat());
        }
        self.bundles.retain(|bundle, _| !checkpoint.leaves(*bundle));
        self.aggregator.written(checkpoint.manifest.stamp);
        self.manifest = checkpoint.manifest.octets;
    }

    /// Takes what a checkpoint has; says whether there was anything.
    fn take(&mut self) -> bool {
        let given: Vec<Given> = self.aggregator.results().cloned().collect();
        for (query, result) in self.results.take(&given) {
            assert_eq!(query, QUERY);
            self.answer.take(result.unwrap());
        }
        self.aggregator.taken(given.len());
        !given.is_empty()
    }
}

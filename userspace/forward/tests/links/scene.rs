//! What the tests share: states that are lists of numbers, sensors, aggregators, and what came of them.

use crate::proxy::Proxy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tapline_delivery::{
    AggregatorLimits, AggregatorOptions, Fingerprint, Given, HalfId, HalfSpec, Merge, PartHead, Patience,
    Role, SensorName, Span, Told,
};
use tapline_forward::{
    Entrance, FolderStore, Part, Receiver, ReceiverOptions, Sender, SenderEvents, SenderOptions, SpoolPlan,
    Taker, Upstream,
};

pub(crate) const HALF: HalfId = HalfId(1);
pub(crate) const WIDTH_NS: i64 = 10_000_000_000;
const WAITED_MAX: Duration = Duration::from_secs(60);

/// States are lists of numbers, which nothing makes fewer.
pub(crate) struct Lists;

impl Merge for Lists {
    type State = Vec<u64>;

    fn empty(&self, _: HalfId) -> Vec<u64> {
        vec![]
    }

    fn merge(&self, _: HalfId, state: &mut Vec<u64>, payload: &[u8]) -> Result<(), String> {
        let (numbers, rest) = payload.as_chunks::<8>();
        if !rest.is_empty() {
            return Err("it is no list of numbers".to_owned());
        }
        state.extend(numbers.iter().map(|number| u64::from_le_bytes(*number)));
        Ok(())
    }

    fn encode(&self, _: HalfId, state: &Vec<u64>) -> Arc<[u8]> {
        let mut sorted = state.clone();
        sorted.sort_unstable();
        encode(&sorted).into()
    }
}

pub(crate) fn encode(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(crate) fn decode(octets: &[u8]) -> Vec<u64> {
    octets.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)).collect()
}

/// Where panes of a test begin: an hour ago.
pub(crate) fn begin_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
    (now - 3600 * 1_000_000_000) / WIDTH_NS * WIDTH_NS
}

/// A part of a pane, by its place behind a begin.
pub(crate) fn part(begin_ns: i64, pane: i64, numbers: &[u64], watermark: i64) -> Part {
    let start = begin_ns + pane * WIDTH_NS;
    let head = PartHead {
        half: HALF,
        fingerprint: Fingerprint(4),
        pane: Span { start, end: start + WIDTH_NS },
        watermark,
        records: numbers.len() as u64,
        told: Told::default(),
        behind: vec![],
    };
    (head, encode(numbers))
}

/// What was taken, and told.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) panes: BTreeMap<i64, Given>,
    pub(crate) said: Vec<String>,
    pub(crate) ended: Option<String>,
    pub(crate) assigned: Vec<u8>,
}

impl Taken {
    /// All numbers of all panes; panics where one is there twice.
    pub(crate) fn numbers(&self) -> BTreeSet<u64> {
        let mut all = BTreeSet::new();
        for given in self.panes.values() {
            for number in decode(&given.state) {
                assert!(all.insert(number), "{number} is there twice");
            }
        }
        all
    }

    pub(crate) fn missing(&self) -> u64 {
        self.panes.values().map(|given| given.told.records()).sum()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Results(pub(crate) Arc<Mutex<Taken>>);

impl Taker for Results {
    fn take(&mut self, given: &[Given]) {
        let mut taken = self.0.lock().unwrap();
        for given in given {
            let known = taken.panes.get(&given.pane.start).map(|known| known.revision);
            if known.is_none_or(|known| known < given.revision) {
                taken.panes.insert(given.pane.start, given.clone());
            }
        }
    }

    fn assigned(&mut self, octets: &[u8]) {
        self.0.lock().unwrap().assigned = octets.to_vec();
    }

    fn ended(&mut self, why: &str) {
        self.0.lock().unwrap().ended = Some(why.to_owned());
    }

    fn tell(&mut self, sentence: &str) {
        self.0.lock().unwrap().said.push(sentence.to_owned());
    }
}

impl SenderEvents for Results {
    fn assigned(&mut self, octets: &[u8]) {
        Taker::assigned(self, octets);
    }

    fn ended(&mut self, why: &str) {
        Taker::ended(self, why);
    }

    fn tell(&mut self, sentence: &str) {
        Taker::tell(self, sentence);
    }
}

/// Options of an aggregator on a port of its own, open to this machine.
pub(crate) fn options() -> ReceiverOptions {
    let patience =
        Patience { idle_after_ns: 3_000_000_000, stragglers_ns: 1_000_000_000, ..Patience::default() };
    let spec = HalfSpec { fingerprint: Fingerprint(4), width_ns: WIDTH_NS, sensors: None };
    ReceiverOptions {
        entrance: Entrance {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            clients_ca: None,
            tokens: None,
        },
        aggregator: AggregatorOptions { role: Role::Final, limits: AggregatorLimits::default(), patience },
        forward: None,
        halves: vec![(HALF, spec)],
        version: "1.2.3".to_owned(),
        states: "states 1".to_owned(),
    }
}

/// An aggregator with its store in a folder.
pub(crate) fn start(options: ReceiverOptions, folder: &Path, results: &Results) -> Result<Receiver, String> {
    let store = FolderStore::open(folder)?;
    Receiver::start(options, Lists, Box::new(store), Box::new(results.clone()))
}

pub(crate) fn upstream(url: String) -> Upstream {
    Upstream { url, ca: None, own: None, token_file: None }
}

/// Options of a sensor with its spool in a folder.
pub(crate) fn sensor(name: &str, to: Upstream, folder: &Path) -> SenderOptions {
    SenderOptions {
        name: SensorName::new(name),
        to,
        spool: SpoolPlan {
            folder: folder.to_owned(),
            octets_max: 1 << 30,
            age_max: Duration::from_secs(86_400),
        },
        version: "1.2.3".to_owned(),
        states: "states 1".to_owned(),
    }
}

/// A sensor that goes through a proxy.
pub(crate) fn through(proxy: &Proxy, name: &str, folder: &Path) -> Sender {
    let events = Box::<Results>::default();
    Sender::start(sensor(name, upstream(proxy.url()), folder), events).unwrap().0
}

/// Hands over a cut, however long that takes.
pub(crate) fn cut(sender: &Sender, mut parts: Vec<Part>, mut positions: Vec<u8>) {
    let begun = Instant::now();
    while let Err(not_kept) = sender.cut(parts, positions) {
        assert!(begun.elapsed() < WAITED_MAX, "{not_kept}");
        (parts, positions) = (not_kept.parts, not_kept.positions);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is so.
pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAITED_MAX, "{what} takes too long");
        thread::sleep(Duration::from_millis(20));
    }
}

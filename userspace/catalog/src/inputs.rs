//! The inputs of a node while it runs: opened when a query needs them, closed when none does, and opened anew when
//! they are back. For one that is not there, something stands in that lets time go on.

use crate::catalog::{Level, Log};
use crate::input::{Gap, Input, Meters};
use crate::kept::Kept;
use crate::status::{SourceState, SourceStatus};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_engine::{CoveredSecond, Engine, Snapshot, SourceId, SourceSnapshot, Span, capture_thread};
use tapline_record::ledger::SourceLedger;
use tapline_record::{EventTime, StreamId};
use tapline_sources::{AbsentSource, Clock, Demand, Source};

/// Between two tries to open what is not there.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Rules of a source that are shown by themselves.
const RULES_SHOWN_MAX: usize = 64;

/// The inputs of a node.
pub(crate) struct Inputs {
    slots: Vec<Slot>,
    /// Whether they may be opened yet.
    is_started: bool,
    clock: Arc<dyn Clock>,
    log: Log,
}

struct Slot {
    input: Box<dyn Input>,
    state: SourceState,
    since: EventTime,
    /// What reads it, or stands in for it.
    sources: Vec<SourceId>,
    tried: Instant,
    /// What was counted by sources that have ended, and by others.
    past: Counted,
    now: Vec<(SourceId, Counted)>,
    unit: &'static str,
}

/// What reading others changed.
#[derive(Debug, Default)]
pub(crate) struct ChangedInputs {
    /// Names of those that came, and of those that went.
    pub(crate) came: Vec<String>,
    pub(crate) gone: Vec<String>,
    /// What else is wanted of those that stay, in sentences; and why not all of it.
    pub(crate) wanted: Vec<String>,
    pub(crate) refused: Vec<String>,
}

impl ChangedInputs {
    /// Notes what is wanted of an input, which may be read as several.
    fn note(&mut self, is: &dyn Input, was: &dyn Input) {
        let name = is.name();
        let Some((is, was)) = is.wanted().zip(was.wanted()) else { return };
        for news in is.news(was, &name) {
            if !self.wanted.contains(&news) {
                self.wanted.push(news);
            }
        }
    }
}

/// An input whose flows may be metered.
pub(crate) struct MeteringInput {
    pub(crate) name: Arc<str>,
    pub(crate) meters: Meters,
    pub(crate) state: SourceState,
    /// What reads it.
    pub(crate) sources: Vec<SourceId>,
}

/// What was counted of a source.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    ledger: SourceLedger,
    octets: u64,
    messages: u64,
    rows_dropped: u64,
    records_missing: u64,
    /// Of the source that is furthest behind.
    batches_waiting: [u64; 2],
}

impl Counted {
    fn of(source: &SourceSnapshot) -> Self {
        Self {
            ledger: source.ledger,
            octets: source.progress.octets,
            messages: source.progress.frames,
            rows_dropped: source.rows_dropped,
            records_missing: source.records_missing,
            batches_waiting: [source.batches_waiting, source.batches_waiting_max],
        }
    }

    /// The same of a source that has ended.
    fn at_its_end(self) -> Self {
        Self { batches_waiting: [0; 2], ..self }
    }

    fn add(&mut self, other: &Self) {
        self.ledger += other.ledger;
        self.octets += other.octets;
        self.messages += other.messages;
        self.rows_dropped += other.rows_dropped;
        self.records_missing += other.records_missing;
        self.batches_waiting = self.batches_waiting.max(other.batches_waiting);
    }
}

impl Inputs {
    pub(crate) fn new(inputs: Vec<Box<dyn Input>>, clock: Arc<dyn Clock>, log: Log) -> Self {
        let slots = inputs.into_iter().map(|input| Slot::new(input, clock.now())).collect();
        Self { slots, is_started: false, clock, log }
    }

    /// Whether all that carry one of these streams can say what went missing since what was kept.
    pub(crate) fn know_gap(&self, streams: &[StreamId], kept: &Kept) -> bool {
        let mut slots = self.slots.iter().filter(|slot| slot.carries(streams));
        slots.all(|slot| slot.input.gap(kept.memory_of(&slot.key())) != Gap::Unknown)
    }

    /// What they want to know at the next start.
    pub(crate) fn memories(&self) -> Vec<(String, String)> {
        self.slots.iter().filter_map(|slot| Some((slot.key(), slot.input.memory()?))).collect()
    }

    /// Lets those that are read under these names go on from there when they are opened; gives what is of one that is
    /// there.
    pub(crate) fn go_on_from(&mut self, mut positions: Vec<(String, String)>) -> Vec<(String, String)> {
        positions.retain(|(name, position)| {
            let mut is_there = false;
            for slot in self.slots.iter_mut().filter(|slot| slot.input.is_read_as(name)) {
                slot.input.go_on_from(position);
                is_there = true;
            }
            is_there
        });
        positions
    }

    /// Whether all that carry one of these streams can say what went missing since the positions that they go on from.
    pub(crate) fn know_gap_behind(&self, streams: &[StreamId]) -> bool {
        let is_known = |stream: &StreamId| {
            let mut slots = self.slots.iter().filter(|slot| slot.carries(&[*stream]));
            slots.all(|slot| slot.input.gap_behind(*stream) != Gap::Unknown)
        };
        // What an account had become goes with its process.
        !streams.contains(&StreamId::Ledger) && streams.iter().all(is_known)
    }

    /// No record of one of these streams that was given before, or that nobody will give any more, is later.
    pub(crate) fn given_until(&self, streams: &[StreamId], now: EventTime) -> EventTime {
        let carrying = self.slots.iter().filter(|slot| slot.carries(streams));
        carrying.map(|slot| slot.input.given_until(now)).max().unwrap_or(now)
    }

    /// What is to be kept of them, in files of their own.
    pub(crate) fn take_unkept(&mut self) -> Vec<(PathBuf, String)> {
        self.slots.iter_mut().filter_map(|slot| slot.input.take_unkept()).collect()
    }

    /// Tells what went missing since what was kept, or since the position that they go on from, of those that were opened
    /// now.
    fn tell_missed(&self, engine: &mut Engine, kept: Option<&Kept>) {
        let now = self.clock.now();
        for slot in self.slots.iter().filter(|slot| slot.state == SourceState::Open) {
            let of_kept = kept.and_then(|kept| slot.missed_since(kept));
            let Some((start, records)) = of_kept.or_else(|| slot.missed_behind()) else { continue };
            let span = Span { start, end: now };
            for stream in slot.input.streams() {
                engine.miss(CoveredSecond::missing(stream.id, span, records as f64).collect());
            }
            let name = slot.input.name();
            self.log.say(Level::Info, &format!("{records} frames passed {name} since the node stopped"));
        }
    }

    /// Reads these from now on: those that were read before in the same way stay as they are, but for what is wanted of
    /// them.
    pub(crate) fn change_to(
        &mut self,
        inputs: Vec<Box<dyn Input>>,
        engine: &mut Engine,
        demand: &Demand,
    ) -> ChangedInputs {
        let mut changed = ChangedInputs::default();
        let is_read_now = |slot: &Slot| inputs.iter().find(|input| input.identity() == slot.input.identity());
        for slot in &mut self.slots {
            if let Some(now) = is_read_now(slot) {
                slot.want_as(now.as_ref(), &mut changed);
            }
        }
        let known: Vec<String> = self.slots.iter().map(|slot| slot.input.identity()).collect();
        let gone: Vec<Slot> = self.slots.extract_if(.., |slot| is_read_now(slot).is_none()).collect();
        let now = self.clock.now();
        for input in inputs.into_iter().filter(|input| !known.contains(&input.identity())) {
            let before = gone.iter().find(|slot| slot.input.name() == input.name());
            before.into_iter().for_each(|slot| changed.note(input.as_ref(), slot.input.as_ref()));
            changed.came.push(input.name());
            self.slots.push(Slot::new(input, now));
        }
        for mut slot in gone {
            slot.close(engine);
            changed.gone.push(slot.input.name());
        }
        self.settle(engine, demand);
        changed
    }

    /// Looks whether all can be opened, as far as that can be said before.
    ///
    /// # Errors
    /// The first that cannot, and why.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.slots.iter().try_for_each(|slot| slot.input.check())
    }

    /// Opens those that are always open, and those that queries need, from now on; with what was kept of an earlier
    /// run, tells what went missing since.
    ///
    /// # Errors
    /// The first that cannot, and why.
    pub(crate) fn start(
        &mut self,
        engine: &mut Engine,
        demand: &Demand,
        kept: Option<&Kept>,
    ) -> Result<(), String> {
        self.is_started = true;
        self.settle(engine, demand);
        self.tell_missed(engine, kept);
        let absent = self.slots.iter().find_map(|slot| match &slot.state {
            SourceState::Absent(why) if !slot.input.may_come_later() => Some(why.clone()),
            SourceState::Absent(_) | SourceState::Open | SourceState::Unused => None,
        });
        absent.map_or(Ok(()), Err)
    }

    /// Opens what queries need now, and closes what they do not.
    pub(crate) fn settle(&mut self, engine: &mut Engine, demand: &Demand) {
        if !self.is_started {
            return;
        }
        let streams = self.slots.iter().flat_map(|slot| slot.input.streams());
        engine.expect(&streams.map(|stream| stream.id).collect::<Vec<_>>());
        let (log, clock) = (Arc::clone(&self.log), Arc::clone(&self.clock));
        for slot in &mut self.slots {
            let is_needed = slot.is_needed(demand);
            match (&slot.state, is_needed) {
                (SourceState::Unused, true) => slot.open(engine, demand, &log, &clock),
                (SourceState::Open | SourceState::Absent(_), false) => {
                    slot.close(engine);
                    slot.turn_to(SourceState::Unused, clock.now());
                }
                _ => {}
            }
        }
    }

    /// Whether some are not there.
    pub(crate) fn is_any_absent(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, SourceState::Absent(_)))
    }

    /// Tries those that are not there, now and then.
    pub(crate) fn try_again(&mut self, engine: &mut Engine, demand: &Demand) {
        let (log, clock) = (Arc::clone(&self.log), Arc::clone(&self.clock));
        for slot in &mut self.slots {
            if matches!(slot.state, SourceState::Absent(_)) && slot.tried.elapsed() >= TRY_EVERY {
                slot.open(engine, demand, &log, &clock);
            }
        }
    }

    /// Keeps what was counted of each source so far.
    pub(crate) fn note(&mut self, snapshot: &Snapshot) {
        for source in &snapshot.sources {
            self.slots.iter_mut().for_each(|slot| slot.note(source));
        }
    }

    /// Looks for sources that have ended though nobody asked them to: their inputs are not there any more.
    pub(crate) fn look(&mut self, engine: &mut Engine, snapshot: &Snapshot) {
        let (log, clock) = (Arc::clone(&self.log), Arc::clone(&self.clock));
        for source in snapshot.sources.iter().filter(|source| source.has_ended) {
            for slot in self.slots.iter_mut().filter(|slot| slot.sources.contains(&source.id)) {
                let why = source.failure.clone().unwrap_or_else(|| "it has ended".to_owned());
                slot.close(engine);
                slot.be_absent(engine, why, &log, &clock);
            }
        }
    }

    /// The names of those that carry one of these streams.
    pub(crate) fn carrying(&self, streams: &[StreamId]) -> Vec<String> {
        let carrying = self.slots.iter().filter(|slot| slot.carries(streams));
        let mut names: Vec<String> = carrying.map(|slot| slot.input.name()).collect();
        names.dedup();
        names
    }

    /// What filters keep of those that carry one of these streams, in sentences.
    pub(crate) fn filters(&self, streams: &[StreamId]) -> Vec<String> {
        let mut filters: Vec<String> = vec![];
        for slot in self.slots.iter().filter(|slot| slot.carries(streams)) {
            if let Some(filter) = slot.input.wanted().and_then(|wanted| wanted.filter.as_ref()) {
                filters.push(format!("of {} only what `{}` keeps", slot.input.name(), filter.text));
            }
        }
        // An interface may be read as two.
        filters.dedup();
        filters
    }

    /// How many threads read the packets of those that carry one of these streams, where they may be several, or were said to
    /// be, in sentences.
    pub(crate) fn readers(&self, streams: &[StreamId]) -> Vec<String> {
        let sentence = |slot: &Slot| {
            let (name, readers) = (slot.input.name(), slot.input.readers());
            if let Some(how) = slot.input.lacks_readers() {
                return Some(format!("packets of {name} {how}"));
            }
            if readers == 1 {
                return None;
            }
            let by_one = || format!("packets of {name} by one thread, as flows are metered from them");
            let by_several = || {
                format!(
                    "packets of {name} by {readers} threads, or by one while some query has flows metered from them"
                )
            };
            let are_metered = streams.contains(&StreamId::Flows).then(by_one);
            are_metered.or_else(|| streams.contains(&StreamId::Packets).then(by_several))
        };
        self.slots.iter().filter(|slot| slot.carries(streams)).filter_map(sentence).collect()
    }

    /// Whether some bring flows that are none of an interface's packets.
    pub(crate) fn give_flows_of_others(&self) -> bool {
        self.slots.iter().any(|slot| gives_flows_of_others(slot.input.as_ref()))
    }

    /// Whether the kernel is told what queries need of packets of some, and of what it counts of some.
    pub(crate) fn tell_kernel(&self) -> [bool; 2] {
        [StreamId::Packets, StreamId::PacketFlows]
            .map(|stream| self.slots.iter().any(|slot| slot.input.tells_kernel(stream)))
    }

    /// Whether there is one for each of these streams.
    pub(crate) fn are_carried(&self, streams: &[StreamId]) -> bool {
        let is_carried = |stream: &StreamId| {
            *stream == StreamId::Ledger
                || self
                    .slots
                    .iter()
                    .any(|slot| slot.input.streams().iter().any(|carried| carried.id == *stream))
        };
        streams.iter().all(is_carried)
    }

    /// Whether one that is open carries one of these streams, or all do.
    pub(crate) fn has_open(&self, streams: &[StreamId]) -> bool {
        let carries = |slot: &Slot| streams.contains(&StreamId::Ledger) || slot.carries(streams);
        self.slots.iter().any(|slot| slot.state == SourceState::Open && carries(slot))
    }

    /// Whether there are some that can be metered, all of them for whoever asks.
    pub(crate) fn may_be_metered(&self) -> bool {
        let mut metering = self.slots.iter().map(|slot| slot.input.meters());
        metering.clone().any(|meters| meters == Meters::WhenAsked)
            && metering.all(|meters| meters != Meters::WhileRead)
    }

    /// All of them, as far as that matters to whoever asks for active flows.
    pub(crate) fn metering(&self) -> Vec<MeteringInput> {
        let metering = |slot: &Slot| MeteringInput {
            name: slot.input.name().into(),
            meters: slot.input.meters(),
            state: slot.state.clone(),
            sources: slot.sources.clone(),
        };
        self.slots.iter().map(metering).collect()
    }

    /// How they stand.
    pub(crate) fn statuses(&self) -> Vec<SourceStatus> {
        self.slots.iter().map(Slot::status).collect()
    }
}

impl Slot {
    fn new(input: Box<dyn Input>, since: EventTime) -> Self {
        Self {
            input,
            state: SourceState::Unused,
            since,
            sources: vec![],
            tried: Instant::now(),
            past: Counted::default(),
            now: vec![],
            unit: "",
        }
    }

    /// What is the same in another run.
    fn key(&self) -> String {
        format!("{} {}", self.input.kind(), self.input.name())
    }

    /// Records that went missing since what was kept, and when that was.
    fn missed_since(&self, kept: &Kept) -> Option<(EventTime, u64)> {
        match self.input.gap(kept.memory_of(&self.key())) {
            Gap::Missed(records) => Some((kept.stopped(), records)),
            Gap::Unknown | Gap::Told => None,
        }
    }

    /// Records that went missing since the position that it goes on from, and when it was there.
    fn missed_behind(&self) -> Option<(EventTime, u64)> {
        match self.input.gap_behind(StreamId::Packets) {
            Gap::Missed(records) => Some((self.input.was_there()?, records)),
            Gap::Unknown | Gap::Told => None,
        }
    }

    fn carries(&self, streams: &[StreamId]) -> bool {
        self.input.streams().iter().any(|stream| streams.contains(&stream.id))
    }

    fn is_needed(&self, demand: &Demand) -> bool {
        !self.input.is_on_demand()
            || self.input.streams().iter().any(|stream| demand.columns(stream.id).is_some())
    }

    fn open(&mut self, engine: &mut Engine, demand: &Demand, log: &Log, clock: &Arc<dyn Clock>) {
        self.tried = Instant::now();
        let opened = self.input.open(demand);
        let added = opened.and_then(|sources| {
            let (unit, ids) =
                (sources.first().map_or("", |source| source.unit()), engine.add_sources(sources));
            Ok((unit, ids.map_err(|error| error.to_string())?))
        });
        match added {
            Ok((unit, ids)) => {
                // What stood in goes when the source is there.
                self.close(engine);
                if matches!(self.state, SourceState::Absent(_)) {
                    log.say(Level::Info, &format!("{} is back", self.input.name()));
                }
                if let Some(how) = self.input.lacks_readers() {
                    log.say(Level::Warning, &format!("packets of {} are read {how}", self.input.name()));
                }
                (self.sources, self.unit) = (ids, unit);
                self.turn_to(SourceState::Open, clock.now());
            }
            Err(why) if self.state == SourceState::Absent(why.clone()) => {}
            Err(why) => {
                self.close(engine);
                self.be_absent(engine, why, log, clock);
            }
        }
    }

    /// Lets something stand in for it.
    fn be_absent(&mut self, engine: &mut Engine, why: String, log: &Log, clock: &Arc<dyn Clock>) {
        let name = self.input.name();
        log.say(Level::Error, &format!("{name} is not read: {why}; it is tried again each second"));
        let stands_still = self.input.may_come_later();
        let streams = if stands_still { vec![] } else { self.input.streams() };
        let lateness_ns = self.input.lateness_ns();
        let source: Box<dyn Source> =
            Box::new(AbsentSource::new(&name, streams, lateness_ns, Arc::clone(clock)));
        // Without it, time does not go on here: windows wait for the source.
        self.sources = engine.add_sources(vec![source]).unwrap_or_default();
        self.tried = Instant::now();
        self.turn_to(SourceState::Absent(why), clock.now());
    }

    /// Wants of it what is wanted of another one that reads the same.
    fn want_as(&mut self, now: &dyn Input, changed: &mut ChangedInputs) {
        let Some(frames) = now.wanted().filter(|frames| Some(*frames) != self.input.wanted()) else { return };
        let before = changed.wanted.len();
        changed.note(now, self.input.as_ref());
        if let Err(why) = self.input.want(frames) {
            changed.wanted.truncate(before);
            changed.refused.push(why);
        }
    }

    /// Asks what reads it to end.
    fn close(&mut self, engine: &mut Engine) {
        self.sources.drain(..).for_each(|source| engine.remove_source(source));
    }

    fn turn_to(&mut self, state: SourceState, now: EventTime) {
        (self.state, self.since) = (state, now);
    }

    fn note(&mut self, source: &SourceSnapshot) {
        let is_ours = self.sources.contains(&source.id);
        match self.now.iter().position(|(id, _)| *id == source.id) {
            Some(place) if source.has_ended && !is_ours => {
                self.now.swap_remove(place);
                self.past.add(&Counted::of(source).at_its_end());
            }
            Some(place) => self.now[place].1 = Counted::of(source),
            None if is_ours && self.state == SourceState::Open => {
                self.now.push((source.id, Counted::of(source)));
            }
            None => {}
        }
    }

    fn status(&self) -> SourceStatus {
        let mut all = self.past;
        self.now.iter().for_each(|(_, counted)| all.add(counted));
        // What stands in for a source that is not there reads nothing.
        let reading = self.sources.iter().filter(|_| self.state == SourceState::Open);
        let threads = reading.map(|&source| capture_thread(source)).collect();
        let wanted = self.input.wanted();
        SourceStatus {
            name: self.input.name(),
            kind: self.input.kind(),
            state: self.state.clone(),
            since: self.since,
            ledger: all.ledger,
            unit: self.unit,
            octets: all.octets,
            messages: all.messages,
            rows_dropped: all.rows_dropped,
            records_missing: all.records_missing,
            batches_waiting: all.batches_waiting,
            threads,
            filter: wanted.and_then(|wanted| wanted.filter.as_ref()).map(|filter| filter.text.clone()),
            rules: wanted.map_or_else(Vec::new, |wanted| wanted.rule_texts(RULES_SHOWN_MAX)),
            rules_in_force: wanted.map_or(0, |wanted| wanted.rules.len() as u64),
        }
    }
}

/// Whether an input brings flows that are none of an interface's packets.
pub(crate) fn gives_flows_of_others(input: &dyn Input) -> bool {
    input.meters() != Meters::WhenAsked && input.streams().iter().any(|stream| stream.id == StreamId::Flows)
}

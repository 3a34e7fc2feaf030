//! The queries of a node by name, and the engine that runs them.

mod alerts;
pub(crate) mod asked;
mod counted;
mod edit;
mod flows;
pub(crate) mod forwarded;
mod known;
mod launch;
mod leaving;
pub(crate) mod picture;
pub(crate) mod reload;
mod resume;
mod standing;
mod work;

use crate::alert::ConfiguredAlert;
use crate::definition::Definition;
use crate::error::{CatalogError, nearest};
use crate::fleet::Fleet;
use crate::flow_desk::FlowDesk;
use crate::folder::QueryFolder;
use crate::input::InputSet;
use crate::inputs::Inputs;
use crate::kept::Kept;
use crate::limits::Allowance;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::query::{self, Explained, Planned};
use crate::results::Results;
use crate::safety::Safety;
use counted::Counted;
use forwarded::{Forwarded, Forwarding};
use leaving::Leaving;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tapline_engine::{
    EndReason, Engine, EngineOptions, Event, QueryId, QueryLimits, ResultColumns, Snapshot as EngineSnapshot,
    Subscriber, Subscription, WhenFull, WindowResult, demand_of, subscription,
};
use tapline_lookup::Tables;
use tapline_query::{ContinuousQuery, FlowTable, Identity, Planner, check_elements};
use tapline_record::ledger::QueryLedger;
use tapline_record::{EventTime, StreamId};
use tapline_sinks::Outlet;
use tapline_sources::{Clock, Notice};

/// Results that wait to be kept.
const EVENTS_CAPACITY: usize = 4096;
/// Between two looks at what is not there.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long whoever adds a query waits for sources to send what it reads, and between two looks.
const JOINS_WITHIN: Duration = Duration::from_millis(250);
const JOIN_LOOK: Duration = Duration::from_millis(1);

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Somebody may want to know.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Records are being lost.
    Error,
}

/// Where a node tells what happens, in sentences.
pub trait Tell: Send + Sync {
    /// Tells a sentence, without its full stop.
    fn say(&self, level: Level, what: &str);

    /// Tells what somebody should hear of a source.
    fn notice(&self, notice: &Notice);
}

/// The same, as several have it.
pub type Log = Arc<dyn Tell>;

/// Tells what is to be read, as a file says it now, and in sentences what of it does not hold before the next start.
pub type Reread = Box<dyn Fn() -> Result<(InputSet, Vec<String>), String> + Send + Sync>;

/// Reads anew what is not the catalog's, but is to be read when it is: gives what has changed, or why nothing does.
pub type Renew = Box<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;

/// What a catalog is started with.
pub struct CatalogOptions {
    /// Limits of its engine.
    pub engine: EngineOptions,
    /// What queries may look up.
    pub tables: Arc<Tables>,
    /// Who the node is that reads the inputs.
    pub identity: Identity,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// Queries that may run at once.
    pub queries_max: usize,
    /// What each of them may take.
    pub allowance: Allowance,
    /// What tells anew what is to be read, where a file says it.
    pub reread: Option<Reread>,
    /// Where queries are kept; without it they are forgotten at the end.
    pub folder: Option<QueryFolder>,
    /// The file in which open windows are kept from one run to the next; without it they are given at the end.
    pub windows: Option<PathBuf>,
    /// Who stores or sends what queries answer.
    pub outlets: Vec<Outlet>,
    /// What makes rows of which queries alarms, besides what these say themselves.
    pub alerts: Vec<ConfiguredAlert>,
    /// The sensors that run its queries, where these do it in place of the engine.
    pub fleet: Option<Box<dyn Fleet>>,
    /// Where it tells what happens.
    pub log: Log,
}

/// Queries by name, while they run.
pub struct Catalog {
    core: Mutex<Core>,
    /// One query is planned at a time: what is read needs the other cores.
    planning: Mutex<()>,
    results: RwLock<HashMap<QueryId, Arc<Results>>>,
    has_ended: AtomicBool,
    collector: Mutex<Option<JoinHandle<()>>>,
    /// What somebody asked who has gone.
    left: Mutex<Vec<QueryId>>,
    /// What was dropped, and may have given something that is on its way.
    leaving: Mutex<Leaving>,
    flows: Mutex<FlowDesk>,
    tables: Arc<Tables>,
    identity: Identity,
    has_sensors: bool,
    clock: Arc<dyn Clock>,
    log: Log,
    reread: Option<Reread>,
    renew: OnceLock<Vec<Renew>>,
    windows: Option<PathBuf>,
    /// Who stores or sends what queries answer.
    safety: Safety,
    configured: Vec<ConfiguredAlert>,
    forwarding: OnceLock<Forwarding>,
    started: EventTime,
}

/// What whoever changes something has to himself.
struct Core {
    /// Until the end.
    engine: Option<Engine>,
    inputs: Inputs,
    table: Option<FlowTable>,
    queries: BTreeMap<String, Entry>,
    /// What somebody asks who watches it: none of the node's queries, but for what they may take together.
    asked: BTreeMap<QueryId, Entry>,
    asked_so_far: u64,
    flows_asked: flows::FlowsAsked,
    /// What an aggregator asks, and how much was given of it: by its numbers, up to when, and before when it may lack rows.
    forwarded: Vec<Forwarded>,
    given: BTreeMap<u64, (i64, i64)>,
    /// Where sources were that say so in cuts, when they said it last.
    places: Vec<(String, String)>,
    /// Who runs all that is asked of an aggregator.
    fleet: Option<Box<dyn Fleet>>,
    subscriber: Subscriber,
    queries_max: usize,
    allowance: Allowance,
    /// What the engine takes for what the allowance does not say.
    limits: QueryLimits,
    folder: Option<QueryFolder>,
    /// What an earlier run held, until inputs are opened.
    kept: Option<Kept>,
    /// Whether they were: before, not all queries are there.
    is_open: bool,
}

/// A query of the catalog.
struct Entry {
    definition: Definition,
    id: QueryId,
    query: Arc<ContinuousQuery>,
    results: Arc<Results>,
    metrics: Option<Arc<Metrics>>,
    since: EventTime,
    counted: Counted,
    meter: Meter,
    failure: Option<String>,
}

impl Catalog {
    /// Starts an engine that reads these inputs from [`Self::open`] on; queries that are added before go on where they
    /// were in an earlier run. Those of the folder are taken up by [`Self::reload`].
    ///
    /// # Errors
    /// When an input is not there, or there is no room for threads.
    pub fn start(options: CatalogOptions, inputs: InputSet) -> Result<Arc<Self>, String> {
        let CatalogOptions { engine, tables, clock, queries_max, allowance, reread, .. } = options;
        let CatalogOptions { identity, folder, windows, outlets, alerts, fleet, log, .. } = options;
        let InputSet { inputs, table } = inputs;
        let (subscriber, events) = subscription(EVENTS_CAPACITY, WhenFull::Lose);
        let sources = inputs.iter().map(|input| input.readers()).sum();
        let (engine, limits) = (EngineOptions { sources, ..engine }, engine.limits);
        let engine = Engine::start(engine, Arc::clone(&clock), subscriber.clone())
            .map_err(|error| error.to_string())?;
        let inputs = Inputs::new(inputs, Arc::clone(&clock), Arc::clone(&log));
        inputs.check()?;
        let kept = resume::load(windows.as_deref(), clock.now(), log.as_ref());
        let has_sensors = fleet.is_some();
        let core = Core {
            engine: Some(engine),
            inputs,
            table,
            queries: BTreeMap::new(),
            asked: BTreeMap::new(),
            asked_so_far: 0,
            flows_asked: flows::FlowsAsked::default(),
            forwarded: vec![],
            given: BTreeMap::new(),
            places: vec![],
            fleet,
            subscriber,
            queries_max,
            allowance,
            limits,
            folder,
            kept,
            is_open: false,
        };
        let catalog = Arc::new(Self {
            core: Mutex::new(core),
            planning: Mutex::default(),
            results: RwLock::default(),
            has_ended: AtomicBool::new(false),
            collector: Mutex::default(),
            left: Mutex::default(),
            leaving: Mutex::default(),
            flows: Mutex::default(),
            tables,
            identity,
            has_sensors,
            started: clock.now(),
            safety: Safety::of(outlets, Arc::clone(&clock)),
            configured: alerts,
            clock,
            log,
            reread,
            renew: OnceLock::new(),
            windows,
            forwarding: OnceLock::new(),
        });
        let collector = Arc::clone(&catalog);
        let spawned =
            thread::Builder::new().name("results".to_owned()).spawn(move || collector.collect(&events));
        let spawned = spawned.map_err(|error| format!("a thread cannot be started: {error}"))?;
        *lock(&catalog.collector) = Some(spawned);
        Ok(catalog)
    }

    /// Reads these anew, too, whenever it is told to; only the first ones count.
    pub fn renew_by(&self, renew: Vec<Renew>) {
        let _ = self.renew.set(renew);
    }

    /// Adds a query, which runs from the next batches on.
    ///
    /// # Errors
    /// When it is wrong, its name is taken, or it cannot be kept; then nothing changes.
    pub fn add(&self, definition: Definition) -> Result<Explained, CatalogError> {
        self.add_one(definition, false)
    }

    /// The same; it `is_kept` where its file is there already.
    fn add_one(&self, definition: Definition, is_kept: bool) -> Result<Explained, CatalogError> {
        let planned = self.plan(&definition)?;
        self.add_planned(definition, planned, is_kept)
    }

    /// Adds a query; it `is_kept` where its file is there already.
    fn add_planned(
        &self,
        definition: Definition,
        planned: Planned,
        is_kept: bool,
    ) -> Result<Explained, CatalogError> {
        let mut core = self.core();
        if core.queries.contains_key(&definition.name) {
            return Err(CatalogError::Exists(definition.name));
        }
        self.let_go(&mut core);
        core.check_room()?;
        if !is_kept {
            self.check_sinks(&definition.options.alerts)?;
            core.save(&definition)?;
        }
        let name = definition.name.clone();
        match self.run(&mut core, definition, planned) {
            Ok((id, explained)) => {
                drop(core);
                self.wait_for(id);
                Ok(explained)
            }
            Err(error) => {
                if !is_kept {
                    core.forget_saved(&name)?;
                }
                Err(error)
            }
        }
    }

    /// Adds a query if some source of this node carries what it reads; says whether it was added.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub fn add_if_carried(&self, definition: Definition) -> Result<bool, CatalogError> {
        let planned = self.plan(&definition)?;
        let is_carried = self.core().inputs.are_carried(&streams_of(&planned.query));
        if is_carried {
            self.add_planned(definition, planned, false)?;
        }
        Ok(is_carried)
    }

    /// Puts a query in the place of another one of its name; says what it does.
    ///
    /// # Errors
    /// As for [`Self::add`], or when there is none; then the other one runs on.
    pub fn replace(&self, definition: Definition) -> Result<Explained, CatalogError> {
        self.replace_one(definition, false)
    }

    /// The same; it `is_kept` where its file is there already.
    fn replace_one(&self, definition: Definition, is_kept: bool) -> Result<Explained, CatalogError> {
        let planned = self.plan(&definition)?;
        let mut core = self.core();
        let Some(before) = core.queries.get(&definition.name) else {
            return Err(core.unknown(&definition.name));
        };
        let (before, old) = (before.id, before.definition.clone());
        if !is_kept {
            self.check_sinks(&definition.options.alerts)?;
            core.save(&definition)?;
        }
        match self.run(&mut core, definition, planned) {
            Ok((id, explained)) => {
                self.end(&mut core, before);
                drop(core);
                self.wait_for(id);
                Ok(explained)
            }
            Err(error) => {
                if !is_kept {
                    core.save(&old)?;
                }
                Err(error)
            }
        }
    }

    /// Drops a query.
    ///
    /// # Errors
    /// When there is none of this name, or its file cannot be removed; then it runs on.
    pub fn drop_query(&self, name: &str) -> Result<(), CatalogError> {
        let mut core = self.core();
        if !core.queries.contains_key(name) {
            return Err(core.unknown(name));
        }
        core.forget_saved(name)?;
        if let Some(dropped) = core.queries.remove(name) {
            self.end(&mut core, dropped.id);
        }
        Ok(())
    }

    /// The results of a query.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn results(&self, name: &str) -> Result<Arc<Results>, CatalogError> {
        let core = self.core();
        let entry = core.queries.get(name).ok_or_else(|| core.unknown(name))?;
        Ok(Arc::clone(&entry.results))
    }

    fn plan(&self, definition: &Definition) -> Result<Planned, CatalogError> {
        let (table, is_beside_flows, tells, starting) = {
            let core = self.core();
            let (is_beside_flows, tells) = (core.inputs.give_flows_of_others(), core.inputs.tell_kernel());
            let starting = core.fleet.as_ref().and_then(|fleet| fleet.starting(definition));
            (core.table, is_beside_flows, tells, starting)
        };
        let _turn = lock(&self.planning);
        let starting = starting.unwrap_or_else(|| self.clock.now());
        let planned = query::plan(definition, &self.planner(starting), starting)?;
        if self.has_sensors {
            return Ok(planned.of_sensors()?.over(table, is_beside_flows));
        }
        planned.query.check_names_no_sensors()?;
        Ok(planned.over(table, is_beside_flows).told_to_kernel(tells))
    }

    /// Plans queries that begin then, for this node, or where it has sensors, for what these give.
    fn planner(&self, starting: EventTime) -> Planner {
        let planner = Planner::with_tables(&self.tables).starting(starting);
        if self.has_sensors { planner } else { planner.with_identity(self.identity.clone()) }
    }

    /// Waits until a query sees all that comes, so that whoever added it may count on that; no longer than a source
    /// may take.
    fn wait_for(&self, query: QueryId) {
        let begun = Instant::now();
        let has_joined = || self.core().engine.as_ref().is_none_or(|engine| engine.has_joined(query));
        while !has_joined() && begun.elapsed() < JOINS_WITHIN {
            thread::sleep(JOIN_LOOK);
        }
    }

    /// Takes what the engine tells, until it has ended, and looks after the inputs now and then.
    fn collect(&self, events: &Subscription) {
        let mut looked = Instant::now();
        loop {
            match events.next(LOOK_EVERY) {
                Ok(Some(event)) => self.take(event),
                Ok(None) if self.has_ended.load(Ordering::Acquire) => return,
                Ok(None) => {}
                Err(_) => return,
            }
            if !lock(&self.left).is_empty() {
                self.let_go(&mut self.core());
            }
            if looked.elapsed() >= LOOK_EVERY {
                self.look_after_inputs();
                self.tell_known(events);
                looked = Instant::now();
            }
        }
    }

    fn look_after_inputs(&self) {
        self.forget_what_left();
        let to_keep = self.core().inputs.take_unkept();
        self.keep_files(&to_keep);
        self.look_after_metering();
        let core = &mut *self.core();
        let Some(snapshot) = core.look() else { return };
        core.look_after_work(&snapshot, self.clock.now(), self.log.as_ref());
        core.tell_failed();
        let Some(engine) = &mut core.engine else { return };
        core.inputs.look(engine, &snapshot);
        if core.inputs.is_any_absent() {
            let demand = core.demand();
            core.engine.iter_mut().for_each(|engine| core.inputs.try_again(engine, &demand));
        }
    }

    fn take(&self, event: Event) {
        match event {
            Event::Result(result) => {
                self.take_result(result);
                self.safety.note_handed();
            }
            Event::Notice(_, notice) => self.log.notice(&notice),
            Event::Ended { query, reason, ledger } => self.note_ended(query, reason, ledger),
            Event::SourceEnded { .. } => self.look_after_inputs(),
            Event::Satisfied(query) => {
                self.core().end_asked(query, &EndReason::Input);
            }
        }
    }

    fn take_result(&self, result: WindowResult) {
        let Some(results) = self.results_of(result.query) else { return };
        let result = Arc::new(result);
        results.take(&result);
        let Some(origin) = results.origin() else { return };
        self.safety.outlets().iter().for_each(|outlet| outlet.take(&origin, &result));
    }

    fn note_ended(&self, query: QueryId, reason: EndReason, ledger: QueryLedger) {
        if lock(&self.leaving).end(query) {
            return self.forget_results(query);
        }
        let mut core = self.core();
        if core.end_asked(query, &reason) {
            return;
        }
        let Core { queries, forwarded, .. } = &mut *core;
        let own = queries.values_mut().find(|entry| entry.id == query);
        let Some(entry) = own.or_else(|| forwarded::entry_of(forwarded, query)) else { return };
        entry.counted.ledger = ledger;
        if let EndReason::Failed(why) = reason {
            self.log.say(Level::Error, &format!("the query `{}` has ended: {why}", entry.definition.name));
            entry.failure = Some(why);
            core.settle();
        }
    }

    fn results_of(&self, query: QueryId) -> Option<Arc<Results>> {
        let find = || self.results.read().unwrap_or_else(PoisonError::into_inner).get(&query).cloned();
        find().or_else(|| {
            // Who adds it has it in hand still.
            drop(self.core());
            find()
        })
    }

    fn results_mut(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<QueryId, Arc<Results>>> {
        self.results.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }
}

impl Core {
    /// What all queries need.
    fn demand(&self) -> tapline_sources::Demand {
        let running = self.entries().filter(|entry| entry.failure.is_none());
        demand_of(running.map(|entry| entry.query.as_ref()))
    }

    /// Opens and closes inputs as the queries need them.
    fn settle(&mut self) {
        let demand = self.demand();
        if let Some(engine) = &mut self.engine {
            self.inputs.settle(engine, &demand);
        }
    }

    /// Keeps how everything stands, before the engine forgets what has ended; gives it, until the end.
    fn look(&mut self) -> Option<EngineSnapshot> {
        let mut snapshot = self.engine.as_ref()?.snapshot();
        snapshot.queries.extend(self.fleet.iter_mut().flat_map(|fleet| fleet.queries()));
        self.inputs.note(&snapshot);
        for query in &snapshot.queries {
            let entry = asked::entry_of(&mut self.queries, &mut self.asked, query)
                .or_else(|| forwarded::entry_of(&mut self.forwarded, query.id));
            if let Some(entry) = entry {
                entry.counted.note(query);
                if let Some(EndReason::Failed(why)) = &query.over {
                    entry.failure.get_or_insert_with(|| why.clone());
                }
            }
        }
        Some(snapshot)
    }

    /// What a query may take that can run beside the others.
    fn allowed(&self, definition: &Definition, query: &ContinuousQuery) -> Result<Allowance, CatalogError> {
        check_elements(self.entries().map(|entry| entry.query.as_ref()).chain([query]))?;
        definition.options.allowance.within(&self.allowance).map_err(CatalogError::wrong)
    }

    fn explained(&self, planned: &Planned, streams: &[StreamId]) -> Explained {
        let mut text = planned.describe();
        let ways = self.inputs.filters(streams).into_iter().chain(self.inputs.readers(streams));
        text.extend(ways.map(|way| format!("reads {way}\n")));
        Explained {
            text,
            diagram: planned.query.diagram(),
            columns: ResultColumns::of(&planned.query, true),
            streams: streams.iter().map(|id| id.stream().name).collect(),
            sources: self.carrying(streams),
        }
    }

    fn save(&self, definition: &Definition) -> Result<(), CatalogError> {
        self.folder.as_ref().map_or(Ok(()), |folder| folder.save(definition))
    }

    fn forget_saved(&self, name: &str) -> Result<(), CatalogError> {
        self.folder.as_ref().map_or(Ok(()), |folder| folder.remove(name))
    }

    fn unknown(&self, name: &str) -> CatalogError {
        let nearest = nearest(name, self.queries.keys().map(String::as_str));
        CatalogError::Unknown { name: name.to_owned(), nearest }
    }
}

fn ended() -> CatalogError {
    CatalogError::Failed("the node is about to end".to_owned())
}

/// The streams that a query reads.
fn streams_of(query: &ContinuousQuery) -> Vec<StreamId> {
    StreamId::ALL.into_iter().filter(|id| query.columns_of(id.stream()).is_some()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

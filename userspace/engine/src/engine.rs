//! The engine: whoever has it adds and removes sources and queries while it runs.

mod cuts;
mod queries;
mod suspend;

pub use queries::NewQuery;

use crate::account_source::AccountSource;
use crate::accounts::Accounts;
use crate::affinity::Affinity;
use crate::coverage::CoveredSecond;
use crate::cut::{Cut, CutQueue};
use crate::demand;
use crate::dispatcher::{Dispatched, Dispatcher, WorkerLink};
use crate::error::EngineError;
use crate::feed::Feed;
use crate::forwarded::Forwarded;
use crate::machine::Runner;
use crate::merger::{Merger, MergerOrder, MergerParts};
use crate::options::EngineOptions;
use crate::outlet::OpenOutlets;
use crate::positions::Positions;
use crate::query_state::QueryState;
use crate::reader::{Reader, SourceOrder, Surroundings};
use crate::ring::{Flags, Patience, Unparker};
use crate::run::{Memory, RunId};
use crate::shared::Sharing;
use crate::snapshot::{QuerySnapshot, Snapshot, SourceSnapshot};
use crate::source_state::SourceState;
use crate::subscription::Subscriber;
use crate::threads::Threads;
use crate::worker::{Worker, WorkerInput, WorkerOrder};
use rtrb::{Producer, RingBuffer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tapline_operators::{QueryId, SourceId, StreamBatch, WorkerId};
use tapline_query::ContinuousQuery;
use tapline_record::{Epoch, LEDGER, Layout, StreamId, Watermarks};
use tapline_sources::{Clock, Demand, FlowsAnswer, Progress, Source, ask_flows};

/// Messages on the way from one worker to the merger.
const MESSAGES_CAPACITY: usize = 256;
/// Orders on the way to one thread.
const ORDERS_CAPACITY: usize = 1024;

/// The number of what makes rows of the accounts of queries, which is no source to anybody else.
const ACCOUNTS: SourceId = SourceId(u32::MAX);

/// What an engine did until its end.
#[derive(Clone, Debug)]
pub struct Report {
    /// How everything stood at the end.
    pub snapshot: Snapshot,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub rows_dropped: u64,
    /// Whether the input was ended before its time.
    pub is_cut: bool,
    /// Cuts that were not taken, in their order; the last one has all that was left of queries that are forwarded.
    pub cuts: Vec<Cut>,
}

/// What the thread is called that reads a source.
#[must_use]
pub fn capture_thread(source: SourceId) -> String {
    format!("capture-{}", source.0)
}

/// Sources, queries and the threads between them.
pub struct Engine {
    options: EngineOptions,
    clock: Arc<dyn Clock>,
    /// Who hears notices of sources, and of ends of queries that are forwarded.
    observer: Subscriber,
    runner: Box<dyn Runner>,
    affinity: Affinity,
    flags: Arc<Flags>,
    workers: Vec<WorkerEnd>,
    merger: Producer<MergerOrder>,
    merger_parker: Unparker,
    outlets: Arc<OpenOutlets>,
    sources: BTreeMap<SourceId, SourceEnd>,
    queries: BTreeMap<QueryId, QueryEnd>,
    memory: Memory,
    /// What the merger knew, at its end, of how much arrived.
    covered: Arc<Mutex<Vec<CoveredSecond>>>,
    /// What goes out of queries that are forwarded, and how far sources are with that.
    cuts: Arc<CutQueue>,
    positions: Arc<Positions>,
    sharing: Sharing,
    /// Runs that still have what only queries that are over asked for.
    stale: Vec<RunId>,
    accounts: Arc<Accounts>,
    /// What makes rows of them, once some query has read `ledger`.
    account_source: Option<SourceEnd>,
    demand: Demand,
    layout: Arc<Layout>,
    sources_so_far: u32,
    queries_so_far: u32,
    /// Records that sources dropped which were forgotten since.
    rows_dropped: u64,
}

/// The engine's end of a worker.
struct WorkerEnd {
    orders: Producer<WorkerOrder>,
    parker: Unparker,
}

/// The engine's end of a source.
struct SourceEnd {
    orders: Producer<SourceOrder>,
    state: Arc<SourceState>,
}

/// The engine's end of a query.
struct QueryEnd {
    name: Arc<str>,
    query: Arc<ContinuousQuery>,
    state: Arc<QueryState>,
    is_forwarded: bool,
}

impl Engine {
    /// Starts the workers and the merger; `observer` hears what somebody should hear of sources, and when queries end that
    /// are forwarded.
    ///
    /// # Errors
    /// When the system has no room for threads.
    pub fn start(
        options: EngineOptions,
        clock: Arc<dyn Clock>,
        observer: Subscriber,
    ) -> Result<Self, EngineError> {
        let threads = Threads::new(options.finishing).map_err(EngineError::Thread)?;
        Self::start_on(Box::new(threads), options, clock, observer)
    }

    /// The same, on whatever runs machines.
    pub(crate) fn start_on(
        mut runner: Box<dyn Runner>,
        options: EngineOptions,
        clock: Arc<dyn Clock>,
        observer: Subscriber,
    ) -> Result<Self, EngineError> {
        let affinity = Affinity::new(&options.cores, options.workers.max(1) + options.sources.max(1));
        let (flags, merger_parker) = (Arc::new(Flags::default()), Unparker::default());
        let workers = options.workers.max(1);
        let memory = Memory::new(options.octets_held_max, workers);
        let (mut ends, mut messages) = (vec![], vec![]);
        for number in 0..workers {
            let (to_merger, from_worker) = RingBuffer::new(MESSAGES_CAPACITY);
            let (orders, to_worker) = RingBuffer::new(ORDERS_CAPACITY);
            let parker = Unparker::default();
            let (id, parkers) = (WorkerId(number as u32), [parker.clone(), merger_parker.clone()]);
            let worker = Worker::new(id, to_worker, to_merger, Arc::clone(&flags), parkers);
            let worker = worker.charging(memory.charge());
            let core = affinity.core(number + 1);
            let started = runner.start(format!("operator-{number}"), core, Box::new(worker));
            started.map_err(EngineError::Thread)?;
            messages.push(from_worker);
            ends.push(WorkerEnd { orders, parker });
        }
        let (merger, orders) = RingBuffer::new(ORDERS_CAPACITY);
        let covered: Arc<Mutex<Vec<CoveredSecond>>> = Arc::default();
        let (cuts, positions) = (Arc::<CutQueue>::default(), Arc::<Positions>::default());
        let parts = MergerParts {
            octets_held_max: memory.octets_max,
            covered: Arc::clone(&covered),
            clock: Arc::clone(&clock),
            forwarded: Forwarded::new(workers, Arc::clone(&cuts), Arc::clone(&positions), observer.clone()),
        };
        let machine = Merger::new(orders, messages, Arc::clone(&flags), merger_parker.clone(), parts);
        runner.start("merger".to_owned(), None, Box::new(machine)).map_err(EngineError::Thread)?;
        Ok(Self {
            options,
            clock,
            observer,
            runner,
            affinity,
            flags,
            workers: ends,
            merger,
            merger_parker,
            outlets: Arc::default(),
            sources: BTreeMap::new(),
            queries: BTreeMap::new(),
            memory,
            covered,
            cuts,
            positions,
            sharing: Sharing::default(),
            stale: vec![],
            accounts: Arc::default(),
            account_source: None,
            demand: Demand::default(),
            layout: Arc::default(),
            sources_so_far: 0,
            queries_so_far: 0,
            rows_dropped: 0,
        })
    }

    /// Adds sources, all before the first row of any.
    ///
    /// # Errors
    /// When one of them cannot prepare for what the queries need, or there is no room for its thread.
    pub fn add_sources(&mut self, sources: Vec<Box<dyn Source>>) -> Result<Vec<SourceId>, EngineError> {
        self.check_is_open()?;
        let mut sources = sources;
        sources.iter_mut().try_for_each(|source| source.bind(&self.demand)).map_err(EngineError::Source)?;
        let (mut inputs, mut readers) = (self.no_inputs(), vec![]);
        for source in sources {
            let id = SourceId(self.sources_so_far);
            self.sources_so_far += 1;
            let (reader, end) = self.wire(id, source, &mut inputs, None);
            self.accounts.add_source(Arc::clone(&end.state));
            self.sources.insert(id, end);
            readers.push((id, reader));
        }
        if self.demand.columns(StreamId::Ledger).is_some() {
            // Not before the others: what it does not carry would be at the end of time.
            self.tell_of_accounts(&mut inputs)?;
        }
        self.give_to_workers(inputs);
        let start = |(id, reader): (SourceId, Reader)| {
            let number = id.0 as usize;
            let core = self.affinity.core(if number == 0 { 0 } else { self.workers.len() + number });
            let started = self.runner.start(capture_thread(id), core, Box::new(reader));
            started.map(|()| id).map_err(EngineError::Thread)
        };
        readers.into_iter().map(start).collect()
    }

    /// Asks a source to end; what it has read is still worked on. It stands in snapshots until it has.
    pub fn remove_source(&mut self, source: SourceId) {
        if let Some(removed) = self.sources.get(&source) {
            removed.state.leave();
        }
    }

    /// Asks all sources to bring their accounts up to date.
    pub fn ask_for_reports(&mut self) {
        self.sources.values_mut().for_each(|source| order(&mut source.orders, SourceOrder::Report));
    }

    /// Asks all sources for the flows that are active: what the kernel counts, or who reads packets. Each answers when it
    /// comes to it; one that cannot be asked now has an answer that is broken off.
    pub fn ask_flows(&mut self, of_table: bool) -> Vec<(SourceId, FlowsAnswer)> {
        let asked = self.sources.iter_mut().map(|(id, source)| {
            let (ask, answer) = ask_flows(of_table);
            // Nobody waits for one that takes no orders.
            let _ = source.orders.push(SourceOrder::TellFlows(ask));
            (*id, answer)
        });
        asked.collect()
    }

    /// Nobody asks for active flows any more: sources keep nothing for that.
    pub fn forget_flows(&mut self) {
        self.sources.values_mut().for_each(|source| order(&mut source.orders, SourceOrder::ForgetFlows));
    }

    /// How everything stands at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let sources = self.sources.iter().map(|(id, source)| self.source_snapshot(*id, &source.state));
        let queries = self.queries.iter().map(|(id, query)| QuerySnapshot {
            id: *id,
            name: Arc::clone(&query.name),
            ledger: query.state.ledger(),
            octets_held: query.state.octets_held().get(),
            groups_held: query.state.groups_held().get(),
            work_ns: query.state.work_ns(),
            window_work_ns: query.state.window_work_ns(),
            rows_beyond: query.state.rows_beyond(),
            results_lost: query.state.results_lost(),
            watermark: query.state.watermark(),
            settled: query.state.settled(),
            over: query.state.over().cloned(),
        });
        Snapshot { sources: sources.collect(), queries: queries.collect() }
    }

    fn source_snapshot(&self, id: SourceId, state: &SourceState) -> SourceSnapshot {
        let Dispatched { rows_dropped, records_missing, batches_waiting } = state.dispatched();
        SourceSnapshot {
            id,
            name: state.name().to_owned(),
            ledger: state.fates(),
            unit: state.unit(),
            progress: state.progress(),
            rows_dropped,
            records_missing,
            batches_waiting,
            batches_waiting_max: self.options.ring_capacity_batches as u64,
            has_ended: state.has_ended(),
            failure: state.failure().map(str::to_owned),
        }
    }

    /// Whether all sources that were there before it send what this query reads: from then on it misses nothing. So
    /// it is with one that is over.
    #[must_use]
    pub fn has_joined(&self, query: QueryId) -> bool {
        self.queries.get(&query).is_none_or(|query| query.state.has_joined() || query.state.over().is_some())
    }

    /// How far all sources were read.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut sum = Progress { total_octets: Some(0), ..Progress::default() };
        for progress in self.sources.values().map(|source| source.state.progress()) {
            sum.octets += progress.octets;
            sum.frames += progress.frames;
            sum.total_octets = sum.total_octets.zip(progress.total_octets).map(|(sum, octets)| sum + octets);
        }
        sum
    }

    /// Says which streams some source carries, or is to carry. Of others nothing is to come: whoever reads one of these and one
    /// of those waits for the former only.
    pub fn expect(&self, streams: &[StreamId]) {
        // An account is there when it is asked for.
        let is_silent = |stream: &StreamId| *stream != StreamId::Ledger && !streams.contains(stream);
        self.flags.silence(StreamId::ALL.into_iter().filter(is_silent).collect());
    }

    /// Takes no more sources and queries: when the sources that there are have ended, each query gives what is left
    /// of it, and ends.
    pub fn drain(&mut self) {
        self.flags.drain();
        self.wake_workers();
    }

    /// Ends the input before its time: what was read so far is all of it; windows that are open then are partial.
    pub fn end_input(&mut self) {
        self.flags.end_input();
        self.drain();
    }

    /// Ends everything as it is.
    pub fn stop(&mut self) {
        self.flags.stop();
        self.wake_workers();
        self.merger_parker.unpark();
    }

    /// Waits until all sources have ended, and all that they gave is worked on and told.
    ///
    /// # Errors
    /// When a thread died.
    pub fn join(mut self) -> Result<Report, EngineError> {
        self.drain();
        if !self.runner.join() {
            return Err(EngineError::ThreadDied);
        }
        self.outlets.wait();
        let dropped = self.sources.values().map(|source| source.state.rows_dropped());
        let rows_dropped = self.rows_dropped + dropped.sum::<u64>();
        let cuts = std::iter::from_fn(|| self.cuts.take()).collect();
        Ok(Report { snapshot: self.snapshot(), rows_dropped, is_cut: self.flags.input_ends(), cuts })
    }

    fn check_is_open(&self) -> Result<(), EngineError> {
        if self.flags.drains() { Err(EngineError::Drains) } else { Ok(()) }
    }

    /// Forgets sources that have ended, and queries that are over; what only these needed is not demanded any more.
    fn forget_what_ended(&mut self) {
        for (_, ended) in self.sources.extract_if(.., |_, source| source.state.has_ended()) {
            self.rows_dropped += ended.state.rows_dropped();
        }
        let over = self.queries.extract_if(.., |_, query| query.state.over().is_some());
        let over: Vec<QueryId> = over.map(|(id, _)| id).collect();
        if !over.is_empty() {
            self.stale.extend(self.sharing.remove(&over));
            self.demand = demand::demand_of(self.queries.values().map(|query| query.query.as_ref()));
        }
    }

    /// Tells all sources of the layout, which they need for this query, if for any.
    fn tell_sources(&mut self, query: Option<&Arc<QueryState>>) {
        let demand = Arc::new(self.demand.clone());
        for source in self.sources.values_mut().chain(&mut self.account_source) {
            let (layout, demand) = (Arc::clone(&self.layout), Arc::clone(&demand));
            order(&mut source.orders, SourceOrder::Layout { layout, demand, query: query.cloned() });
        }
    }

    /// Starts what makes rows of the accounts of queries, unless it runs.
    fn tell_of_accounts(&mut self, inputs: &mut [Vec<WorkerInput>]) -> Result<(), EngineError> {
        if self.account_source.is_some() {
            return Ok(());
        }
        let (accounts, flags) = (Arc::clone(&self.accounts), Arc::clone(&self.flags));
        let mut source = Box::new(AccountSource::new(accounts, flags, Arc::clone(&self.clock)));
        source.bind(&self.demand).map_err(EngineError::Source)?;
        let (reader, end) = self.wire(ACCOUNTS, source, inputs, Some(Unparker::default()));
        let started = self.runner.start("accounts".to_owned(), None, Box::new(reader));
        started.map_err(EngineError::Thread)?;
        self.account_source = Some(end);
        Ok(())
    }

    /// Of each worker, its ends of the rings of new sources.
    fn no_inputs(&self) -> Vec<Vec<WorkerInput>> {
        self.workers.iter().map(|_| vec![]).collect()
    }

    /// Gives each worker its ends of the rings of new sources.
    fn give_to_workers(&mut self, inputs: Vec<Vec<WorkerInput>>) {
        for (worker, inputs) in self.workers.iter_mut().zip(inputs) {
            order(&mut worker.orders, WorkerOrder::AddSources(inputs));
            worker.parker.unpark();
        }
    }

    /// Puts the rings between a source and all workers; one that waits here, not by itself, is no input.
    fn wire(
        &self,
        id: SourceId,
        source: Box<dyn Source>,
        inputs: &mut [Vec<WorkerInput>],
        parker: Option<Unparker>,
    ) -> (Reader, SourceEnd) {
        let lateness_ns = StreamId::ALL.map(|stream| source.lateness_ns(stream));
        let ends = inputs.iter_mut().zip(&self.workers);
        let links = ends.map(|(inputs, worker)| {
            let capacity_batches = self.options.ring_capacity_batches;
            let (link, mut input) = ring_of_batches((id, lateness_ns), &worker.parker, capacity_batches);
            input.epoch = self.layout.epoch();
            input.open = parker.is_none().then(|| self.accounts.open_input());
            inputs.push(input);
            link
        });
        let state = Arc::new(SourceState::new(source.as_ref()));
        let layout = Arc::clone(&self.layout);
        let dispatcher = Dispatcher::new(id, source.as_ref(), links.collect(), layout);
        let (orders, to_source) = RingBuffer::new(ORDERS_CAPACITY);
        let end = SourceEnd { orders, state: Arc::clone(&state) };
        let surroundings = Surroundings {
            orders: to_source,
            state,
            positions: Arc::clone(&self.positions),
            flags: Arc::clone(&self.flags),
            outlets: Arc::clone(&self.outlets),
            clock: Arc::clone(&self.clock),
            observer: self.observer.clone(),
            parker,
        };
        (Reader::new(id, source, dispatcher, surroundings), end)
    }

    fn wake_workers(&self) {
        self.workers.iter().for_each(|worker| worker.parker.unpark());
    }
}

impl Drop for Engine {
    /// An engine that is let go ends as it is.
    fn drop(&mut self) {
        self.stop();
        self.runner.join();
    }
}

fn reads_ledger(query: &ContinuousQuery) -> bool {
    query.columns_of(&LEDGER).is_some()
}

/// Gives an order; where many wait already, when there is room.
fn order<T>(orders: &mut Producer<T>, order: T) {
    let (mut order, mut patience) = (order, Patience::default());
    while let Err(rtrb::PushError::Full(back)) = orders.push(order) {
        if orders.is_abandoned() {
            return;
        }
        order = back;
        patience.pause();
    }
}

/// The rings between one source and one worker.
fn ring_of_batches(
    (source, lateness_ns): (SourceId, [i64; StreamId::COUNT]),
    worker: &Unparker,
    capacity_batches: usize,
) -> (WorkerLink, WorkerInput) {
    let (to_worker, feed) = RingBuffer::<Feed>::new(capacity_batches.max(1));
    // Batches may be in the ring, with the worker, which takes a ring of them, or on their way back.
    let (used, to_source) = RingBuffer::<StreamBatch>::new(2 * capacity_batches + 2);
    let (told, barriers) = (Watermarks::BEGINNING, VecDeque::new());
    let link = WorkerLink { feed: to_worker, used: to_source, worker: worker.clone(), told, barriers };
    let watermarks = Watermarks::BEGINNING;
    let epoch = Epoch::default();
    (link, WorkerInput { source, feed, used, watermarks, lateness_ns, epoch, has_ended: false, open: None })
}

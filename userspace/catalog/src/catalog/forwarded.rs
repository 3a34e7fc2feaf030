//! Queries of an aggregator, which this node runs for it as one of its sensors, or lets sensors of its own run.
//!
//! They run as the node's own queries do, under the same limits, but give their lower halves in cuts, and no results.
//! They stand in no folder, and nobody here changes them. What cannot be run is told to who asked for it.

use super::launch::{Gives, Terms};
use super::{Catalog, Core, Entry, lock, streams_of};
use crate::definition::{Definition, QueryOptions};
use crate::error::CatalogError;
use crate::query::{self, Planned};
use crate::sensors::{
    Assigned, Assignments, ForwardStatus, ReportedQuery, ReportedSource, SensorReport, Versions,
};
use crate::status::{QueryRunState, QueryStatus, SourceStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_engine::{Beginning, Cut, CutQuery, Engine, QueryId, QueryLimits, RowLimits};
use tapline_query::{ContinuousQuery, Identity, Planner};
use tapline_record::ledger::QueryLedger;
use tapline_record::{EventTime, StreamId};

/// Says how a node stands with whom it forwards to.
pub(super) type Forwarding = Box<dyn Fn() -> ForwardStatus + Send + Sync>;

/// What a sensor compares with an aggregator whose queries it takes.
#[derive(Clone, Copy, Debug)]
pub struct SensorEnd<'a> {
    /// What it is called there.
    pub name: &'a str,
    /// What the lower halves of a query are.
    pub fingerprints: fn(&ContinuousQuery) -> Result<Vec<u64>, String>,
}

/// Where a sensor is behind a cut, as another run of it wants to know that goes on there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CutPositions {
    /// What each source wants to know, by its name.
    pub sources: Vec<(String, String)>,
    /// Of queries, by their numbers: up to when all was given, and before when rows may be missing, in nanoseconds since
    /// the epoch.
    pub queries: BTreeMap<u64, (i64, i64)>,
}

/// What all sources had given by one moment, and no cut before had.
#[derive(Debug)]
pub struct ForwardedCut {
    /// Where it ends.
    pub positions: CutPositions,
    /// What came of each query.
    pub queries: Vec<ForwardedQuery>,
}

/// What came of one query.
#[derive(Debug)]
pub struct ForwardedQuery {
    /// Which one, as the aggregator calls it.
    pub id: u64,
    /// As the aggregator has it.
    pub query: Arc<ContinuousQuery>,
    /// What it may take.
    pub limits: QueryLimits,
    /// What came of it.
    pub cut: CutQuery,
}

/// A query of an aggregator.
pub(super) struct Forwarded {
    assigned: Assigned,
    /// What runs of it, or why it cannot be run, and since when.
    taken: Result<Running, (String, EventTime)>,
}

/// A query of an aggregator that runs, or did until it failed.
struct Running {
    entry: Entry,
    /// As the aggregator has it: what gives its parts knows which sensor it runs on, and may read the kernel's table.
    as_asked: Arc<ContinuousQuery>,
    limits: QueryLimits,
    /// How far it came without an input that carries what it reads.
    passed: EventTime,
}

impl Catalog {
    /// Runs what an aggregator asks of this sensor, and nothing else for it: what runs already goes on, what could not be
    /// run is tried again.
    pub fn assign(&self, assignments: &Assignments, end: SensorEnd<'_>) {
        // Whom of its own sensors it is for, whoever has some tells these.
        let is_for = |assigned: &&Assigned| self.has_sensors || assigned.is_for(end.name);
        let wanted = || assignments.queries.iter().filter(is_for);
        let ids: Vec<u64> = wanted().map(|assigned| assigned.id).collect();
        self.leave_others(&ids);
        self.core().given.retain(|id, _| ids.contains(id));
        for assigned in wanted() {
            let runs = |forwarded: &Forwarded| forwarded.assigned.id == assigned.id;
            if self.core().forwarded.iter().any(runs) {
                continue;
            }
            if let Err(why) = self.take_up_assigned(assigned, &assignments.by, end) {
                let (assigned, taken) = (assigned.clone(), Err((why, self.clock.now())));
                self.core().forwarded.push(Forwarded { assigned, taken });
            }
        }
    }

    /// Ends what is not asked any more, and forgets what could not be run.
    fn leave_others(&self, wanted: &[u64]) {
        let mut core = self.core();
        let stays = |one: &Forwarded| one.taken.is_ok() && wanted.contains(&one.assigned.id);
        let left: Vec<Forwarded> = core.forwarded.extract_if(.., |one| !stays(one)).collect();
        for running in left.into_iter().filter_map(|one| one.taken.ok()) {
            self.end(&mut core, running.entry.id);
        }
    }

    fn take_up_assigned(&self, assigned: &Assigned, by: &Versions, end: SensorEnd<'_>) -> Result<(), String> {
        let said = |error: CatalogError| error.to_string();
        let options = QueryOptions { allowance: assigned.allowance()?, ..QueryOptions::default() };
        let definition = Definition { name: name_of(assigned), sql: assigned.sql.clone(), options };
        let starting = EventTime(assigned.starting_ns);
        let planner = || Planner::with_tables(&self.tables).starting(starting);
        let identity = Identity { sensor: end.name.to_owned(), site: self.identity.site.clone() };
        let [as_asked, planned] = {
            let _turn = lock(&self.planning);
            // Sensors know who they are by themselves.
            let own = if self.has_sensors { planner() } else { planner().with_identity(identity) };
            let plan = |planner| query::plan(&definition, &planner, starting).and_then(Planned::of_sensors);
            [planner(), own].map(plan)
        };
        let (as_asked, planned) = (as_asked.map_err(said)?.query, planned.map_err(said)?);
        if (end.fingerprints)(&as_asked)? != assigned.fingerprints {
            return Err(format!(
                "its lower halves are others here: this sensor runs {}, the aggregator {by}; let both run the same version",
                Versions::own()
            ));
        }
        let as_asked = Arc::new(as_asked);
        let mut core = self.core();
        core.check_room().map_err(said)?;
        let planned = planned.over(core.table, core.inputs.give_flows_of_others());
        let planned = planned.told_to_kernel(core.inputs.tell_kernel());
        let allowance = core.allowed(&definition, &planned.query).map_err(said)?;
        let from = core.beginning_behind(assigned.id, &planned.query, self.clock.now());
        let limits = allowance.limits(core.limits);
        let terms = Terms { allowance, from, gives: Gives::Forwarded(assigned) };
        let (entry, _) = self.launch(&mut core, definition, planned, terms).map_err(said)?;
        let taken = Ok(Running { entry, as_asked, limits, passed: EventTime::MIN });
        core.forwarded.push(Forwarded { assigned: assigned.clone(), taken });
        core.settle();
        Ok(())
    }

    /// Begins a cut of what is forwarded, unless nothing is, or one is under way or was not taken yet; says whether it has.
    #[must_use]
    pub fn begin_cut(&self) -> bool {
        let mut core = self.core();
        let Core { engine, forwarded, .. } = &mut *core;
        forwarded.iter().any(|one| one.taken.is_ok()) && engine.as_mut().is_some_and(Engine::cut)
    }

    /// The next cut that is whole, if there is one now.
    #[must_use]
    pub fn take_cut(&self) -> Option<ForwardedCut> {
        let mut core = self.core();
        let mut cut = core.engine.as_mut()?.take_cut()?;
        core.pass(&mut cut, self.clock.now());
        Some(core.forwarded_cut(cut))
    }

    /// The same of those that the engine left at its end.
    #[must_use]
    pub fn forwarded_cuts(&self, cuts: Vec<Cut>) -> Vec<ForwardedCut> {
        let mut core = self.core();
        cuts.into_iter().map(|cut| core.forwarded_cut(cut)).collect()
    }

    /// Ends a query of an aggregator, of which no parts can be made any more.
    pub fn fail_forwarded(&self, id: u64, why: &str) {
        let mut core = self.core();
        let Core { engine, forwarded, .. } = &mut *core;
        let failed = forwarded.iter().find(|one| one.assigned.id == id).and_then(Forwarded::id);
        if let (Some(engine), Some(failed)) = (engine, failed) {
            engine.fail_query(failed, why.to_owned());
        }
    }

    /// What this node says of itself to an aggregator, but for what only its link knows.
    #[must_use]
    pub fn report(&self) -> SensorReport {
        let mut core = self.core();
        core.look();
        let sources = core.inputs.statuses().into_iter().map(ReportedSource::from).collect();
        let queries = core.forwarded.iter().map(|one| one.reported(&core)).collect();
        let entries = || core.forwarded.iter().filter_map(Forwarded::entry);
        let watermarks = entries().map(|entry| entry.counted.watermark);
        // Where one says nothing, nothing is known of all.
        let watermark = watermarks.collect::<Option<Vec<EventTime>>>().and_then(|all| all.into_iter().min());
        SensorReport {
            versions: Versions::own(),
            now_ns: self.clock.now().0,
            watermark_ns: watermark.map(|watermark| watermark.0),
            sources,
            queries,
            ..SensorReport::default()
        }
    }

    /// Lets sources and queries go on where they were at the end of the last cut that is safe: what would have come since is
    /// missing. It holds for what is opened, and assigned, later; until then, cuts have it as it was.
    pub fn go_on_from(&self, positions: CutPositions) {
        let CutPositions { sources, queries } = positions;
        let mut core = self.core();
        core.places = core.inputs.go_on_from(sources);
        core.given = queries;
    }

    /// Asks this how the node stands with whom it forwards to; only the first one counts.
    pub fn forwards(&self, says: impl Fn() -> ForwardStatus + Send + Sync + 'static) {
        let _ = self.forwarding.set(Box::new(says));
    }
}

impl Core {
    /// Lets queries come on of whose streams no input carries any, or that ask for nothing of this node: of them nothing
    /// comes, and nobody is to wait for it, or to miss it.
    fn pass(&mut self, cut: &mut Cut, now: EventTime) {
        let Self { forwarded, inputs, .. } = self;
        for one in &mut cut.queries {
            let mut running = forwarded.iter_mut().filter_map(|forwarded| forwarded.taken.as_mut().ok());
            let Some(running) = running.find(|running| running.entry.id == one.query) else { continue };
            let query = &running.entry.query;
            let streams = streams_of(query);
            if !streams.contains(&StreamId::Ledger) && inputs.carrying(&streams).is_empty() {
                one.pass(query, running.passed, now);
                running.passed = now;
            }
        }
    }

    fn forwarded_cut(&mut self, cut: Cut) -> ForwardedCut {
        let Cut { positions, queries, .. } = cut;
        for cut in &queries {
            let one = self.forwarded.iter().find(|one| one.id() == Some(cut.query));
            let given = one.zip(given_until(cut));
            self.given.extend(given.map(|(one, until)| (one.assigned.id, (until.0, cut.whole_after.0))));
        }
        // One that has not been opened yet is where it was.
        self.places.retain(|(known, _)| positions.iter().all(|(name, _)| name != known));
        self.places.extend(positions);
        let positions = CutPositions { sources: self.places.clone(), queries: self.given.clone() };
        let of = |cut: CutQuery| {
            let one = self.forwarded.iter().find(|one| one.id() == Some(cut.query))?;
            let Running { as_asked, limits, .. } = one.taken.as_ref().ok()?;
            Some(ForwardedQuery { id: one.assigned.id, query: Arc::clone(as_asked), limits: *limits, cut })
        };
        ForwardedCut { positions, queries: queries.into_iter().filter_map(of).collect() }
    }

    /// Where a query of an aggregator begins. Behind what was given of it, where some was: panes since then are told of, though
    /// nothing comes for them. At the start of a node, they are whole where all that is read says what went missing since.
    fn beginning_behind(&self, id: u64, query: &ContinuousQuery, now: EventTime) -> Beginning {
        let Some((given_until, whole_after)) = self.given.get(&id).copied() else {
            return self.beginning_anew(query, now);
        };
        let streams = streams_of(query);
        let is_known = !self.is_open && whole_after < i64::MAX && self.inputs.know_gap_behind(&streams);
        let whole_after = match EventTime(whole_after) {
            EventTime::MIN if is_known => EventTime::MIN,
            // It may have missed what is earlier than that.
            time if is_known => time.plus(-1),
            _ => self.inputs.given_until(&streams, now),
        };
        Beginning::Behind { given_until: EventTime(given_until), whole_after }
    }

    /// How the queries of an aggregator stand here.
    pub(super) fn forwarded_statuses(&self) -> Vec<QueryStatus> {
        self.forwarded.iter().map(|one| one.status(self)).collect()
    }
}

impl Running {
    fn status(&self, core: &Core) -> QueryStatus {
        let status = core.status(&self.entry);
        let beyond = self.entry.counted.rows_beyond;
        let RowLimits { rows_max, octets_max } = self.limits.sent_rows();
        let why = (beyond > 0).then(|| {
            format!(
                "{beyond} rows were more than the {rows_max} rows or {octets_max} octets that it may send of each second, \
                 and are missing"
            )
        });
        QueryStatus { held_back: status.held_back.or(why), ..status }
    }
}

impl Forwarded {
    /// The query, where it could be run.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.taken.as_ref().ok().map(|running| &running.entry)
    }

    fn id(&self) -> Option<QueryId> {
        self.entry().map(|entry| entry.id)
    }

    fn status(&self, core: &Core) -> QueryStatus {
        match &self.taken {
            Ok(running) => running.status(core),
            Err((why, since)) => {
                let (name, sql) = (name_of(&self.assigned), self.assigned.sql.clone());
                let definition = Definition { name, sql, options: QueryOptions::default() };
                QueryStatus::refused(definition, why.clone(), *since)
            }
        }
    }

    fn reported(&self, core: &Core) -> ReportedQuery {
        let status = self.status(core);
        let reason = status.reason();
        ReportedQuery { id: self.assigned.id, state: status.state.word().to_owned(), reason }
    }
}

/// Up to when a cut and those before have all that came of a query; `None` where nothing has come.
fn given_until(cut: &CutQuery) -> Option<EventTime> {
    if cut.watermark < EventTime::MAX {
        return Some(cut.watermark).filter(|watermark| *watermark > EventTime::MIN);
    }
    // At the end of all that is read, the last pane may go on in another run.
    cut.panes.iter().map(|pane| pane.pane.start).max()
}

/// What a query of an aggregator is called here, in `ledger` and lists: no query of a node has a name with a space in it.
fn name_of(assigned: &Assigned) -> String {
    format!("forwarded {}", assigned.name)
}

/// What runs under this number.
pub(super) fn entry_of(forwarded: &mut [Forwarded], query: QueryId) -> Option<&mut Entry> {
    let mut running = forwarded.iter_mut().filter_map(|one| one.taken.as_mut().ok());
    running.find(|running| running.entry.id == query).map(|running| &mut running.entry)
}

impl From<SourceStatus> for ReportedSource {
    fn from(status: SourceStatus) -> Self {
        let ledger = status.ledger;
        Self {
            state: status.state.word().to_owned(),
            offered: ledger.offered,
            delivered: ledger.delivered,
            dropped: ledger.dropped,
            lost: ledger.lost_before_us,
            name: status.name,
        }
    }
}

impl QueryStatus {
    /// One that could not be run.
    fn refused(definition: Definition, why: String, since: EventTime) -> Self {
        Self {
            definition,
            state: QueryRunState::Failed(why),
            since,
            ledger: QueryLedger::default(),
            octets_held: 0,
            groups_held: 0,
            work_ns: 0,
            window_work_ns: 0,
            ns_a_row: None,
            held_back: None,
            flaws: None,
            results_lost: 0,
            last_window: None,
            newest: vec![],
            watermark: None,
            metrics: None,
            streams: vec![],
            parts: vec![],
        }
    }
}

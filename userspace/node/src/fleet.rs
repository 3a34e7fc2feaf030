//! The sensors of an aggregator: its queries are assigned to them, what they send is merged, results go where those of any
//! query go.
//!
//! ```text
//! Catalog ──add, drop──► NodeFleet ──assignments──► Receiver ◄──► sensors
//!    ▲                       │ halves                  │ given, what a checkpoint has
//!    └──── results ──────────┴─────── Taking ◄─────────┘
//! ```
//! A query lives on over a restart of the node: it keeps its number on the wire, so that what sensors have of it still is
//! taken, and what the last checkpoint has is gone on with. A file says which query has which number.

mod lives;
mod standing;
mod taking;
mod tokens;

use crate::forward_plan::{AggregatorPlan, check_name};
use crate::forwarding::fingerprints;
use crate::tier::Upper;
use lives::Lives;
use standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use taking::{Shared, Taking};
use tapline_aggregate::{Merging, check_query_id, half_id, half_specs};
use tapline_catalog::{
    Assigned, Assignments, Definition, Fleet, FleetQuery, Joined, Level, Log, ReportedQuery, Safety,
    SensorStatus, Versions,
};
use tapline_delivery::{AggregatorLimits, AggregatorOptions, Patience, Role, SensorName};
use tapline_engine::{QueryId, QueryLimits, QuerySnapshot, Subscriber};
use tapline_forward::{Entrance, FolderStore, Receiver, ReceiverOptions};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;
use tapline_sources::{Clock as _, SystemClock};
use tokens::TokenFile;

/// The first number of a query here: none of the engine's.
const FIRST_QUERY: u32 = 1 << 31;

/// Panes that were given, and wait to be taken and to be safe.
const RESULTS_MAX: usize = 2 * taking::HELD_MAX;

/// The sensors of this node.
pub(crate) struct NodeFleet {
    plan: AggregatorPlan,
    limits: QueryLimits,
    lives: Lives,
    queries: BTreeMap<QueryId, Running>,
    queries_so_far: u32,
    /// Numbers of those that cannot go on, and are assigned no more.
    failed: BTreeSet<u64>,
    revision: u64,
    merging: Merging,
    shared: Arc<Shared>,
    standing: Standing,
    tokens: TokenFile,
    /// From [`Fleet::open`] on.
    receiver: Option<Arc<Receiver>>,
    /// Where this one forwards to, where it does.
    upper: Option<Arc<Upper>>,
    log: Log,
}

/// A query that sensors run.
struct Running {
    assigned: Assigned,
    query: Arc<ContinuousQuery>,
    is_kept: bool,
}

impl NodeFleet {
    /// Reads what an earlier run left. Sensors are let in by [`Fleet::open`].
    ///
    /// # Errors
    /// A sentence, when the folder cannot be written, or what is in it cannot be read.
    pub(crate) fn new(
        plan: &AggregatorPlan,
        limits: QueryLimits,
        upper: Option<Arc<Upper>>,
        log: &Log,
    ) -> Result<Self, String> {
        let folder = plan.folder.display();
        fs::create_dir_all(&plan.folder).map_err(|error| format!("{folder} cannot be made: {error}"))?;
        Ok(Self {
            lives: Lives::read(&plan.folder)?,
            tokens: TokenFile::open(&plan.tokens, plan.owns_tokens)?,
            plan: plan.clone(),
            limits,
            queries: BTreeMap::new(),
            queries_so_far: FIRST_QUERY,
            failed: BTreeSet::new(),
            // It grows over restarts, too, as the clock does.
            revision: SystemClock.now().0.unsigned_abs(),
            merging: Merging::default(),
            shared: Arc::new(Shared::new(nanoseconds(plan.revisable))),
            standing: Standing::default(),
            receiver: None,
            upper,
            log: Arc::clone(log),
        })
    }

    /// Where sensors are let in.
    fn entrance(plan: &AggregatorPlan) -> Entrance {
        Entrance {
            listen: plan.listen,
            tls: plan.tls.clone(),
            clients_ca: plan.ca_file.clone(),
            tokens: Some(plan.tokens.clone()),
        }
    }

    fn options(&self) -> Result<ReceiverOptions, String> {
        let versions = Versions::own();
        let mut halves = vec![];
        for Running { assigned, query, .. } in self.queries.values() {
            halves.extend(half_specs(assigned.id, query, names(assigned).as_ref())?);
        }
        let patience = Patience {
            idle_after_ns: nanoseconds(self.plan.idle_after),
            stragglers_ns: nanoseconds(self.plan.stragglers),
            revisable_ns: nanoseconds(self.plan.revisable),
            ..Patience::default()
        };
        let limits = AggregatorLimits {
            sensors_max: self.plan.sensors_max,
            results_max: RESULTS_MAX,
            ..AggregatorLimits::default()
        };
        let upwards = self.upper.as_ref().map(|upper| upper.upwards()).transpose()?;
        let (role, forward) = upwards.map_or((Role::Final, None), |(role, upstream)| (role, Some(upstream)));
        Ok(ReceiverOptions {
            entrance: Self::entrance(&self.plan),
            aggregator: AggregatorOptions { role, limits, patience },
            forward,
            halves,
            states: format!("{} with DataFusion {}", versions.states, versions.datafusion),
            version: versions.tapline,
        })
    }

    /// A query of this node as sensors are told of it: the life of it that goes on, or another one.
    fn life_of(&self, new: &FleetQuery<'_>) -> Result<Assigned, String> {
        let FleetQuery { definition, query, starting, is_kept, .. } = *new;
        if definition.options.early.is_some() {
            let mend = "leave early out: sensors send each second, and an aggregator gives whole windows";
            return Err(mend.to_owned());
        }
        let fingerprints = fingerprints(query)?;
        let known = self.lives.find(definition).filter(|known| is_kept && known.fingerprints == fingerprints);
        Ok(Assigned {
            id: known.map_or_else(|| self.lives.next(), |known| Ok(known.id))?,
            name: definition.name.clone(),
            sql: definition.sql.clone(),
            starting_ns: starting.0,
            limits: lives::limits(definition),
            sensors: query.sensors.as_ref().map(|all| all.iter().map(lives::pattern).collect()),
            fingerprints,
        })
    }

    /// Takes parts of a query, and makes results of it.
    fn run(&self, id: QueryId, running: &Running) -> Result<(), String> {
        let Running { assigned, query, .. } = running;
        let specs = half_specs(assigned.id, query, names(assigned).as_ref())?;
        let limits = assigned.query_limits(self.limits);
        self.merging.add_query(assigned.id, query, &limits)?;
        // Windows are made where nobody is above.
        if self.upper.is_none() {
            self.shared.add(id, assigned, query, &limits)?;
        }
        if let Some(receiver) = &self.receiver {
            specs.into_iter().for_each(|(half, spec)| receiver.add_half(half, spec));
        }
        Ok(())
    }

    /// Lets go of a query and of all that came of it.
    fn let_go(&self, id: u64, halves: usize) {
        if let Some(receiver) = &self.receiver {
            (0..halves).for_each(|half| receiver.drop_half(half_id(id, half)));
        }
        self.shared.drop_query(id);
        self.merging.drop_query(id);
    }

    /// Tells sensors what to run: nothing before all queries of this start are there.
    fn assign(&mut self) {
        let Some(receiver) = &self.receiver else { return };
        self.revision += 1;
        let going_on = self.queries.values().map(|running| &running.assigned);
        let going_on = going_on.filter(|assigned| !self.failed.contains(&assigned.id));
        let (by, queries) = (Versions::own(), going_on.cloned().collect());
        let assignments = Assignments { revision: self.revision, by, queries };
        let told = serde_json::to_vec(&assignments).map_err(|error| error.to_string());
        if let Err(why) = told.and_then(|octets| receiver.assign(octets)) {
            self.log.say(Level::Error, &format!("sensors are not told what to run: {why}"));
        }
    }

    /// Writes down which queries live on.
    fn keep(&self) -> Result<(), String> {
        let kept = self.queries.values().filter(|running| running.is_kept);
        self.lives.keep(kept.map(|running| &running.assigned))
    }
}

impl Fleet for NodeFleet {
    fn starting(&self, definition: &Definition) -> Option<EventTime> {
        self.lives.find(definition).map(|assigned| EventTime(assigned.starting_ns))
    }

    fn add(&mut self, new: FleetQuery<'_>) -> Result<QueryId, String> {
        let assigned = match (new.assigned, &self.upper) {
            (Some(assigned), Some(_)) => assigned.clone(),
            (_, Some(upper)) => return Err(upper.asks_itself()),
            (_, None) => self.life_of(&new)?,
        };
        check_query_id(assigned.id)?;
        let FleetQuery { query, is_kept, .. } = new;
        let id = QueryId(self.queries_so_far);
        let running = Running { assigned, query: Arc::clone(query), is_kept };
        self.lives.take(running.assigned.id);
        self.queries.insert(id, running);
        let kept = if is_kept { self.keep() } else { Ok(()) };
        let outcome = kept.and_then(|()| {
            let running = self.queries.get(&id).ok_or("it is gone")?;
            self.run(id, running)
        });
        if let Err(why) = outcome {
            self.drop_query(id);
            return Err(why);
        }
        self.queries_so_far += 1;
        self.assign();
        Ok(id)
    }

    fn drop_query(&mut self, query: QueryId) {
        let Some(Running { assigned, .. }) = self.queries.remove(&query) else { return };
        // Sensors stop before what they send is refused.
        self.assign();
        self.let_go(assigned.id, assigned.fingerprints.len());
        if let Err(why) = self.keep() {
            self.log.say(Level::Error, &why);
        }
    }

    fn open(&mut self, results: Subscriber, safety: Safety) -> Result<(), String> {
        let options = self.options()?;
        // What is in the checkpoints of one role the other one cannot go on with.
        let folder = if self.upper.is_some() { "handed-on" } else { "checkpoints" };
        let store = Box::new(FolderStore::open(&self.plan.folder.join(folder))?);
        let taking = Taking::new(&self.shared, (results, safety), self.upper.clone(), &self.log);
        let receiver = Arc::new(Receiver::start(options, self.merging.clone(), store, Box::new(taking))?);
        self.upper.iter().for_each(|upper| upper.opened(&receiver));
        for left in self.lives.leave() {
            let halves = left.fingerprints.len();
            (0..halves).for_each(|half| receiver.drop_half(half_id(left.id, half)));
        }
        self.log.say(Level::Info, &format!("sensors are answered at {}", receiver.address()));
        self.receiver = Some(receiver);
        self.keep()?;
        self.assign();
        Ok(())
    }

    fn queries(&mut self) -> Vec<QuerySnapshot> {
        self.standing.look(self.receiver.as_deref(), self.queries.values().map(|running| &running.assigned));
        let failed = self.shared.failed();
        if failed != self.failed {
            self.failed = failed;
            self.assign();
        }
        let snapshot = |(id, running): (&QueryId, &Running)| {
            let octets_held = self.merging.octets_held(running.assigned.id) as u64;
            self.shared.snapshot(*id, &running.assigned, octets_held)
        };
        self.queries.iter().map(snapshot).collect()
    }

    fn sensors(&self) -> Vec<SensorStatus> {
        self.standing.sensors().to_vec()
    }

    fn parts(&self, query: QueryId) -> Vec<(String, ReportedQuery)> {
        self.queries.get(&query).map(|running| self.standing.parts(&running.assigned)).unwrap_or_default()
    }

    fn flaws(&self, query: QueryId) -> Option<String> {
        self.shared.flaws(self.queries.get(&query)?.assigned.id)
    }

    fn join(&mut self, sensor: &str) -> Result<Joined, String> {
        check_name(sensor)?;
        let (token, line) = self.tokens.make(sensor)?;
        if line.is_none() {
            self.renew()?;
        }
        let file = self.plan.tokens.display().to_string();
        let to = self.plan.url_for_sensors(self.receiver.as_deref().map(Receiver::address));
        Ok(Joined { to, token, file, line })
    }

    fn rest(&mut self, sensor: &str) {
        self.receiver.iter().for_each(|receiver| receiver.rest(SensorName::new(sensor)));
    }

    fn renew(&mut self) -> Result<(), String> {
        let Some(receiver) = &self.receiver else { return Ok(()) };
        let warnings = receiver.renew(&Self::entrance(&self.plan))?;
        warnings.iter().for_each(|warning| self.log.say(Level::Warning, warning));
        Ok(())
    }

    fn stop(&mut self) -> Result<(), String> {
        let Some(receiver) = self.receiver.take() else { return Ok(()) };
        // What no checkpoint has, sensors send again.
        receiver.finish();
        let trouble = receiver.status().store_trouble;
        drop(receiver);
        trouble.map_or(Ok(()), Err)
    }
}

/// Patterns of the sensors that are asked.
fn names(assigned: &Assigned) -> Option<BTreeSet<SensorName>> {
    assigned
        .sensors
        .as_ref()
        .map(|patterns| patterns.iter().map(|pattern| SensorName::new(pattern)).collect())
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

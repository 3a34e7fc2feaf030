//! `tapline run`: a node.

use crate::arguments::RunArguments;
use crate::descriptors;
use crate::failure::Failure;
use crate::fleet::NodeFleet;
use crate::forwarding::Forwarding;
use crate::input::warn_of_hidden_tags;
use crate::log::NodeLog;
use crate::lookups;
use crate::message::say;
use crate::node_plan::{Memories, NodePlan};
use crate::outlets;
use crate::rights;
use crate::signals;
use crate::starting_set::STARTING_SET;
use crate::supervisor::Supervisor;
use crate::tags;
use crate::tier::{Tier, Upper};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_catalog::{
    Catalog, CatalogOptions, Definition, Fleet, InterfacePlan, Level, Log, QueryFolder, Renew, Reread,
    StateFolder, Tell,
};
use tapline_history::History;
use tapline_interface::link;
use tapline_lookup::Tables;
use tapline_psql::Access;
use tapline_serve::{Entrance, EntrancePlan, Server};
use tapline_sources::SystemClock;
use tapline_tables::Database;

/// Between two looks at signals.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command.
pub(crate) fn run(arguments: RunArguments) -> Result<(), Failure> {
    let plan = Arc::new(NodePlan::resolve(&arguments)?);
    arguments.frames.log_kernel();
    let arguments = Arc::new(arguments);
    let log: Log = Arc::new(NodeLog::new(plan.lateness_ms));
    if let Err(error) = descriptors::take_enough() {
        log.say(Level::Warning, &format!("the limit of open files cannot be raised: {error}"));
    }
    // Threads that are started from here on have no more rights than this one.
    if let Err(error) = rights::keep_only_those_of(&plan) {
        log.say(Level::Warning, &format!("rights that are not needed cannot be given up: {error}"));
    }
    let entrance = Entrance::open(plan.api, &plan.access, Arc::clone(&log)).map_err(Failure::Usage)?;
    let entrance = Arc::new(entrance);
    let psql = plan.psql.as_ref().map(|psql| Access::open(psql.address, &psql.access, Arc::clone(&log)));
    let psql = psql.transpose().map_err(Failure::Usage)?.map(Arc::new);
    let signals = signals::listen()?;
    let state = plan.state.as_deref().map(StateFolder::open).transpose().map_err(Failure::Run)?;
    let queries = plan.folder.clone().or_else(|| state.as_ref().map(StateFolder::queries));
    let folder = queries.as_deref().map(QueryFolder::open).transpose().map_err(Failure::Run)?;
    let tables = lookups::open(plan.lookups.clone())?;
    let memories = Arc::new(Memories::default());
    let inputs = plan.inputs(&memories);
    let history = plan.history.clone().map(History::new);
    let upper = Upper::of(&plan);
    let options = CatalogOptions {
        tables: Arc::clone(&tables),
        identity: plan.identity.clone(),
        engine: plan.engine(),
        clock: Arc::new(SystemClock),
        queries_max: plan.queries_max,
        allowance: plan.allowance,
        reread: has_files(&arguments).then(|| reread(Arc::clone(&arguments), Arc::clone(&plan), memories)),
        folder: folder.clone(),
        windows: state.as_ref().map(StateFolder::windows),
        outlets: outlets::open(&plan, history.as_ref(), &log)?,
        alerts: outlets::alerts(&plan),
        fleet: fleet_of(&plan, upper.as_ref(), &log)?,
        log: Arc::clone(&log),
    };
    let catalog = Catalog::start(options, inputs).map_err(Failure::Run)?;
    if plan.config.is_some() || plan.access != EntrancePlan::default() || psql.is_some() {
        catalog.renew_by(renew(&arguments, &entrance, psql.clone()));
    }
    let is_first = plan.folder.is_none() && state.as_ref().is_none_or(StateFolder::is_new);
    let (server, psql) = answer((&entrance, plan.socket.as_deref()), psql, &catalog, (&tables, history))?;
    lookups::follow(&tables, &log);
    begin(&catalog, folder.is_some(), is_first && !plan.is_bare, log.as_ref());
    // Sources go on behind what was forwarded.
    let forwards = Forwards::start(&plan, upper.as_ref(), &catalog, &log).map_err(Failure::Run)?;
    catalog.open().map_err(Failure::Run)?;
    let supervisor = Supervisor::of_environment();
    announce(&catalog, &server, folder.is_some());
    plan.interfaces.iter().for_each(warn_of_tags);
    psql.iter().for_each(announce_psql);
    supervisor.ready();
    let started = Instant::now();
    while !signals.ends.load(Ordering::Relaxed) && plan.duration.is_none_or(|time| started.elapsed() < time) {
        if signals.reloads.swap(false, Ordering::Relaxed) {
            reload(&catalog, log.as_ref());
        }
        supervisor.stay();
        sleep(LOOK);
    }
    supervisor.stopping();
    drop(psql);
    end(&catalog, forwards)?;
    drop(server);
    Ok(())
}

/// Ends what runs, and says what became of it.
fn end(catalog: &Catalog, forwards: Forwards) -> Result<(), Failure> {
    // What it is asked comes to an end before its sensors do.
    let forwarding = match forwards {
        Forwards::Nothing => None,
        Forwards::OfSensors(tier) => {
            tier.finish().map_err(Failure::Run)?;
            None
        }
        Forwards::Own(forwarding) => Some(forwarding),
    };
    let (report, kept) = catalog.stop().map_err(Failure::Run)?;
    let all = report.snapshot.queries.len();
    let (queries, fate) =
        kept.map_or((all, "were given as partial"), |queries| (queries, "are kept for the next start"));
    if let Some(forwarding) = forwarding {
        forwarding.finish(report.cuts).map_err(Failure::Run)?;
        say!("what came of forwarded queries is kept until the aggregator has it");
    }
    say!("ended; what was read is worked on, and the open windows of {queries} queries {fate}");
    Ok(())
}

/// What a node hands on to an aggregator, as long as it does.
enum Forwards {
    Nothing,
    /// What it has read.
    Own(Forwarding),
    /// What its sensors send.
    OfSensors(Tier),
}

impl Forwards {
    fn start(
        plan: &NodePlan,
        upper: Option<&Arc<Upper>>,
        catalog: &Arc<Catalog>,
        log: &Log,
    ) -> Result<Self, String> {
        let who = (&plan.identity, &plan.tags);
        match (upper, &plan.forward) {
            (Some(upper), _) => Tier::start(upper, catalog, who, log).map(Self::OfSensors),
            (None, Some(forward)) => Forwarding::start(forward, catalog, who, log).map(Self::Own),
            (None, None) => Ok(Self::Nothing),
        }
    }
}

/// The sensors of an aggregator.
fn fleet_of(
    plan: &NodePlan,
    upper: Option<&Arc<Upper>>,
    log: &Log,
) -> Result<Option<Box<dyn Fleet>>, Failure> {
    let Some(aggregator) = &plan.aggregator else { return Ok(None) };
    let fleet = NodeFleet::new(aggregator, plan.engine.limits, upper.cloned(), log);
    Ok(Some(Box::new(fleet.map_err(Failure::Run)?)))
}

/// Answers whoever asks: over HTTP, and where that is wanted, over PostgreSQL's protocol.
fn answer(
    (entrance, socket): (&Arc<Entrance>, Option<&Path>),
    psql: Option<Arc<Access>>,
    catalog: &Arc<Catalog>,
    (tables, history): (&Arc<Tables>, Option<History>),
) -> Result<(Server, Option<tapline_psql::Server>), Failure> {
    let database = Database::of_node(catalog, tables, history);
    let database = Arc::new(database.map_err(|error| Failure::Run(error.to_string()))?);
    let server = Server::start(entrance, socket, Arc::clone(catalog), Arc::clone(&database));
    let server = server.map_err(Failure::Run)?;
    let psql = psql.map(|access| tapline_psql::Server::start(&access, Arc::clone(catalog), database));
    Ok((server, psql.transpose().map_err(Failure::Run)?))
}

/// Whether what is read, and which frames of it, stands in files, which may be changed.
const fn has_files(arguments: &RunArguments) -> bool {
    arguments.config.is_some() || arguments.frames.rules.is_some()
}

/// Reads the files of a node anew.
fn reread(arguments: Arc<RunArguments>, plan: Arc<NodePlan>, memories: Arc<Memories>) -> Reread {
    Box::new(move || {
        let now = NodePlan::resolve(&arguments).map_err(|failure| failure.to_string())?;
        Ok((now.inputs(&memories), plan.later(&now)))
    })
}

/// Reads anew by what a node proves that it is the one, and who may ask it; over either protocol, whatever is wrong for
/// the other one.
fn renew(arguments: &Arc<RunArguments>, entrance: &Arc<Entrance>, psql: Option<Arc<Access>>) -> Vec<Renew> {
    let (of_api, entrance) = (Arc::clone(arguments), Arc::clone(entrance));
    let mut all: Vec<Renew> = vec![Box::new(move || {
        let now = NodePlan::resolve(&of_api).map_err(|failure| failure.to_string())?;
        entrance.renew(&now.access)
    })];
    if let Some(access) = psql {
        let of_psql = Arc::clone(arguments);
        all.push(Box::new(move || {
            let now = NodePlan::resolve(&of_psql).map_err(|failure| failure.to_string())?;
            // Where they are not answered any more, they are until the node is started anew.
            now.psql.map_or(Ok(vec![]), |now| access.renew(&now.access))
        }));
    }
    all
}

/// Adds the queries that a node begins with: those of its folder, or the starting set.
fn begin(catalog: &Catalog, has_folder: bool, with_starting_set: bool, log: &dyn Tell) {
    if with_starting_set {
        for (name, text) in STARTING_SET {
            let added = Definition::of_text(name, text).and_then(|query| catalog.add_if_carried(query));
            if let Err(error) = added {
                log.say(Level::Warning, &format!("{name} of the starting set is not run: {error}"));
            }
        }
    }
    if has_folder {
        reload(catalog, log);
    }
}

/// Reads the folder of queries anew.
fn reload(catalog: &Catalog, log: &dyn Tell) {
    match catalog.reload() {
        Ok(reloaded) => {
            for (what, names) in [
                ("read from now on", &reloaded.sources_added),
                ("not read any more", &reloaded.sources_removed),
                ("read anew", &reloaded.lookups),
                ("other than before", &reloaded.access),
                ("added", &reloaded.added),
                ("replaced", &reloaded.replaced),
                ("dropped", &reloaded.dropped),
            ] {
                names.iter().for_each(|name| log.say(Level::Info, &format!("{name} is {what}")));
            }
            reloaded.filters.iter().chain(&reloaded.later).for_each(|news| log.say(Level::Info, news));
            reloaded.refused.iter().for_each(|refused| log.say(Level::Warning, refused));
        }
        Err(error) => log.say(Level::Warning, &error.to_string()),
    }
}

/// Says what runs, and what to do next.
fn announce(catalog: &Catalog, server: &Server, keeps_queries: bool) {
    let snapshot = catalog.snapshot();
    let names: Vec<&str> = snapshot.sources.iter().map(|source| source.name.as_str()).collect();
    let names = if names.is_empty() { vec!["nothing but what sensors send"] } else { names };
    say!(
        "reading {} with {} queries; the API is at {}",
        names.join(", "),
        snapshot.queries.len(),
        server.url()
    );
    if !keeps_queries {
        say!("without --state DIR, queries that are added are forgotten at the end");
    }
    say!("next: tapline status; tapline queries list; tapline queries watch NAME");
}

/// Says that rules or the filter of an interface look at VLAN tags that XDP does not see, if that is so.
fn warn_of_tags(plan: &InterfacePlan) {
    let rules: Vec<_> = plan.wanted.rules.iter().map(|(rule, verdict)| (*rule, *verdict)).collect();
    let filter = plan.wanted.filter.as_ref().map(|filter| &*filter.predicate);
    // A program of XDP counts, unless the filter looks at each frame, or hands over what it reads of a mirror port.
    let is_by_xdp = plan.is_mirror || filter.is_some_and(|filter| filter.not_of_flows().is_none());
    let link = link::find(&plan.interface).ok().flatten();
    let are_told = !plan.directions.has_received() || link.is_some_and(|link| link::tells_tags(&link));
    let places = tags::left_out_of(&rules, &[], filter, is_by_xdp);
    warn_of_hidden_tags(&plan.interface, places.filter(|_| !are_told));
}

/// Says how tables are read.
fn announce_psql(server: &tapline_psql::Server) {
    let address = server.address();
    let (host, port) = (address.ip(), address.port());
    say!(
        "psql: psql \"host={host} port={port} user=tapline dbname=tapline\"; \\dt lists the queries as tables"
    );
}

//! A catalog in process, over inputs that are made up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tapline_catalog::{
    AlertCondition, AlertOption, Allowance, Catalog, CatalogError, CatalogOptions, Definition, FlowOrder,
    Input, InputSet, Level, Meters, Pace, QueryFolder, QueryOptions, QueryRunState, SourceState, Tell,
};
use tapline_engine::EngineOptions;
use tapline_query::Identity;
use tapline_record::{FLOWS, PACKETS, Stream};
use tapline_sources::{AbsentSource, Demand, Notice, Source, SystemClock};

/// What is told, line by line.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Tell for Told {
    fn say(&self, _: Level, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    fn notice(&self, _: &Notice) {}
}

/// Something that gives no rows, and is there or not.
#[derive(Clone)]
struct MadeUp {
    name: &'static str,
    stream: &'static Stream,
    is_on_demand: bool,
    meters: Meters,
    is_there: Arc<AtomicBool>,
    opened: Arc<AtomicU32>,
}

impl MadeUp {
    fn new(name: &'static str, stream: &'static Stream, is_on_demand: bool) -> Self {
        let (is_there, opened) = (Arc::new(AtomicBool::new(true)), Arc::default());
        Self { name, stream, is_on_demand, meters: Meters::Never, is_there, opened }
    }

    fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Input for MadeUp {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn identity(&self) -> String {
        self.name.to_owned()
    }

    fn kind(&self) -> &'static str {
        "made up"
    }

    fn streams(&self) -> Vec<&'static Stream> {
        vec![self.stream]
    }

    fn is_on_demand(&self) -> bool {
        self.is_on_demand
    }

    fn meters(&self) -> Meters {
        self.meters
    }

    fn lateness_ns(&self) -> i64 {
        0
    }

    fn open(&mut self, _: &Demand) -> Result<Vec<Box<dyn Source>>, String> {
        if !self.is_there.load(Ordering::Relaxed) {
            return Err("it is not there".to_owned());
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(vec![Box::new(AbsentSource::new(self.name, vec![self.stream], 0, Arc::new(SystemClock)))])
    }
}

fn set(inputs: &[&MadeUp]) -> InputSet {
    let boxed = |input: &&MadeUp| Box::new((*input).clone()) as Box<dyn Input>;
    InputSet { inputs: inputs.iter().map(boxed).collect(), table: None }
}

fn options(folder: Option<QueryFolder>, told: &Arc<Told>) -> CatalogOptions {
    CatalogOptions {
        engine: EngineOptions { workers: 2, ..EngineOptions::default() },
        tables: Arc::default(),
        identity: Identity { sensor: "here".to_owned(), site: None },
        clock: Arc::new(SystemClock),
        queries_max: 500,
        allowance: Allowance::default(),
        reread: None,
        folder,
        windows: None,
        outlets: vec![],
        alerts: vec![],
        fleet: None,
        log: told.clone(),
    }
}

fn catalog(inputs: &[&MadeUp], folder: Option<QueryFolder>) -> (Arc<Catalog>, Arc<Told>) {
    let told = Arc::new(Told::default());
    let catalog = Catalog::start(options(folder, &told), set(inputs)).unwrap();
    catalog.open().unwrap();
    (catalog, told)
}

fn query(name: &str, table: &str) -> Definition {
    let sql = format!("SELECT count(*) AS n FROM {table} GROUP BY tumble('1 second')");
    Definition::new(name, &sql, QueryOptions::default()).unwrap()
}

fn states(catalog: &Catalog) -> Vec<SourceState> {
    catalog.snapshot().sources.into_iter().map(|source| source.state).collect()
}

fn until(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_input_is_open_while_a_query_needs_it() {
    let (packets, flows) = (MadeUp::new("eth0", &PACKETS, true), MadeUp::new("udp", &FLOWS, false));
    let (catalog, _) = catalog(&[&packets, &flows], None);
    assert_eq!(states(&catalog), [SourceState::Unused, SourceState::Open]);
    let explained = catalog.add(query("a", "packets")).unwrap();
    assert_eq!((explained.streams, explained.sources), (vec!["packets"], vec!["eth0".to_owned()]));
    catalog.add(query("b", "packets")).unwrap();
    assert_eq!((packets.opened(), flows.opened()), (1, 1));
    catalog.drop_query("a").unwrap();
    assert_eq!(states(&catalog), [SourceState::Open, SourceState::Open]);
    catalog.replace(query("b", "flows")).unwrap();
    assert_eq!(states(&catalog), [SourceState::Unused, SourceState::Open]);
    assert_eq!(catalog.query("b").unwrap().state, QueryRunState::Running);
    catalog.stop().unwrap();
    assert!(catalog.stop().is_err());
    assert!(matches!(catalog.add(query("c", "flows")), Err(CatalogError::Failed(_))));
}

#[test]
fn what_is_not_there_is_told_and_tried_again() {
    let packets = MadeUp::new("eth0", &PACKETS, true);
    packets.is_there.store(false, Ordering::Relaxed);
    let (catalog, told) = catalog(&[&packets], None);
    catalog.add(query("a", "packets")).unwrap();
    catalog.add(query("b", "flows")).unwrap();
    assert_eq!(states(&catalog), [SourceState::Absent("it is not there".to_owned())]);
    assert_eq!(catalog.query("a").unwrap().state, QueryRunState::Waiting(vec!["eth0".to_owned()]));
    assert_eq!(catalog.query("b").unwrap().state, QueryRunState::Waiting(vec![]));
    packets.is_there.store(true, Ordering::Relaxed);
    until(|| states(&catalog) == [SourceState::Open]);
    assert_eq!(catalog.query("a").unwrap().state, QueryRunState::Running);
    let lines = told.0.lock().unwrap().clone();
    assert_eq!(lines, ["eth0 is not read: it is not there; it is tried again each second", "eth0 is back"]);
    catalog.stop().unwrap();
    let flows = MadeUp::new("udp", &FLOWS, false);
    flows.is_there.store(false, Ordering::Relaxed);
    let refused = Catalog::start(options(None, &told), set(&[&flows])).unwrap().open();
    assert_eq!(refused, Err("it is not there".to_owned()), "what is always open is to be there at the start");
}

#[test]
fn what_cannot_be_kept_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queries");
    let queries = QueryFolder::open(&path).unwrap();
    let (catalog, _) = catalog(&[&MadeUp::new("udp", &FLOWS, false)], Some(queries));
    catalog.add(query("kept", "flows")).unwrap();
    assert!(path.join("kept.sql").is_file());
    fs::remove_dir_all(&path).unwrap();
    assert!(matches!(catalog.add(query("lost", "flows")), Err(CatalogError::Failed(_))));
    assert!(matches!(catalog.replace(query("kept", "flows")), Err(CatalogError::Failed(_))));
    let names: Vec<String> =
        catalog.snapshot().queries.into_iter().map(|query| query.definition.name).collect();
    assert_eq!(names, ["kept"]);
    catalog.stop().unwrap();
}

#[test]
fn what_is_asked_runs_until_nobody_watches_it() {
    let folder = tempfile::tempdir().unwrap();
    let queries = QueryFolder::open(folder.path()).unwrap();
    let packets = MadeUp::new("eth0", &PACKETS, true);
    let (catalog, _) = catalog(&[&packets], Some(queries));
    let sql = query("any", "packets").sql;
    let ask = || catalog.ask(&sql, QueryOptions::default());
    let asked = ask().unwrap();
    assert_eq!(asked.explained().sources, ["eth0"]);
    assert_eq!(states(&catalog), [SourceState::Open]);
    assert!(catalog.snapshot().queries.is_empty(), "it is none of the node's");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let watcher = asked.results().watch(0, Pace::Each);
    drop(asked);
    until(|| states(&catalog) == [SourceState::Unused]);
    assert!(!watcher.is_ready());
    let mut several: Vec<_> = (0..32).map(|_| ask().unwrap()).collect();
    assert!(matches!(ask(), Err(CatalogError::FullOfPreviews(32))));
    several.pop();
    several.push(ask().unwrap());
    assert!(matches!(
        catalog.ask("SELECT nothing FROM packets", QueryOptions::default()),
        Err(CatalogError::Wrong { .. })
    ));
    let watcher = several[0].results().watch(0, Pace::Each);
    catalog.stop().unwrap();
    assert!(!watcher.is_ready() && several[0].results().failure().is_none());
    assert!(matches!(ask(), Err(CatalogError::FullOfPreviews(32))));
    several.clear();
    assert!(matches!(ask(), Err(CatalogError::Failed(_))));
}

#[test]
fn what_runs_is_shown_with_its_numbers() {
    let (catalog, _) = catalog(&[&MadeUp::new("udp", &FLOWS, false)], None);
    catalog.add(query("a", "flows")).unwrap();
    let picture = catalog.picture("a").unwrap();
    assert_eq!(picture.diagram, catalog.explain(&query("a", "flows")).unwrap().diagram);
    assert_eq!(picture.numbers.len(), picture.diagram.boxes.len());
    assert_eq!(picture.numbers[0], [("delivered", 0)]);
    assert_eq!(picture.numbers[1], [("used", 0), ("folded", 0), ("groups_held", 0)]);
    assert!(matches!(catalog.picture("b"), Err(CatalogError::Unknown { .. })));
    catalog.stop().unwrap();
}

#[test]
fn whoever_asks_for_active_flows_is_told_why_there_are_none() {
    let (catalog, _) = catalog(&[&MadeUp::new("udp", &FLOWS, false)], None);
    let active = catalog.active_flows(10, FlowOrder::Octets).unwrap();
    assert_eq!((active.complete, active.total, active.flows.len()), (false, 0, 0));
    assert!(active.reasons[0].starts_with("nothing that this node reads is metered"), "{active:?}");
    catalog.stop().unwrap();
    let metering = MadeUp { meters: Meters::WhenAsked, ..MadeUp::new("eth0", &FLOWS, true) };
    let (catalog, _) = self::catalog(&[&metering], None);
    assert_eq!(states(&catalog), [SourceState::Unused]);
    let active = catalog.active_flows(10, FlowOrder::Octets).unwrap();
    assert!(active.reasons[0].starts_with("no query reads flows of eth0"), "what was opened meters nothing");
    assert_eq!(states(&catalog), [SourceState::Open], "it is open for whoever asks");
    assert!(catalog.snapshot().queries.is_empty());
    catalog.stop().unwrap();
    assert!(catalog.active_flows(10, FlowOrder::Octets).is_err());
}

#[test]
fn alerts_come_and_go_while_a_query_runs_on_and_are_kept_with_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = QueryFolder::open(place.path()).unwrap();
    let (catalog, _) = catalog(&[&MadeUp::new("udp", &FLOWS, false)], Some(folder));
    catalog.add(query("a", "flows")).unwrap();
    let since = catalog.query("a").unwrap().since;
    let add = |query: &str, line: &str| catalog.add_alert(query, AlertOption::parse(line).unwrap());
    let said = || catalog.alerts().iter().map(|status| status.alert.text.clone()).collect::<Vec<_>>();
    add("a", "n > 5").unwrap();
    add("a", "n > 5, by whole").unwrap();
    assert_eq!(said(), ["n > 5, by whole"], "one with the same condition takes the place of the other");
    for (query, line, expected) in [
        ("b", "rows", "there is no query `b`"),
        ("a", "m > 5", "alert: the result has no column `m`"),
        ("a", "rows, to pager", "alert: no sink `pager` tells of alarms; this node has none"),
    ] {
        let refused = add(query, line).unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
    // By hand, too; a sink that is named may come with the next start.
    let path = place.path().join("a.sql");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("-- alert: n > 5, by whole\n"), "{text}");
    let edited = text.replace("n > 5, by whole", "n > 7, to pager");
    fs::write(&path, &edited).unwrap();
    let refused = add("a", "rows").unwrap_err().to_string();
    assert!(refused.contains("a.sql was edited since it was read; `tapline reload`"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), edited, "it is not written over");
    let reloaded = catalog.reload().unwrap();
    assert_eq!((reloaded.replaced, reloaded.refused.len()), (vec!["a".to_owned()], 0));
    assert!(reloaded.later[0].starts_with("a: alert: no sink `pager`"), "{:?}", reloaded.later);
    assert_eq!((said(), catalog.query("a").unwrap().since), (vec!["n > 7".to_owned()], since));
    let above = AlertCondition::parse("n > 7").unwrap();
    catalog.drop_alert("a", &above).unwrap();
    assert!(matches!(catalog.drop_alert("a", &above), Err(CatalogError::NoAlert { .. })));
    assert!(!fs::read_to_string(&path).unwrap().contains("alert"));
    catalog.stop().unwrap();
}

#[test]
fn many_change_it_at_once() {
    let (catalog, _) = catalog(&[&MadeUp::new("udp", &FLOWS, false)], None);
    catalog.add(query("stays", "flows")).unwrap();
    let change = |client: usize| {
        for number in 0..25 {
            let name = format!("q{client}_{number}");
            catalog.add(query(&name, "flows")).unwrap();
            assert!(matches!(catalog.add(query(&name, "flows")), Err(CatalogError::Exists(_))));
            catalog.replace(query(&name, "flows")).unwrap();
            assert!(catalog.results(&name).is_ok());
            if number % 5 > 0 {
                catalog.drop_query(&name).unwrap();
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|client| drop(scope.spawn(move || change(client)))));
    let snapshot = catalog.snapshot();
    assert_eq!(snapshot.queries.len(), 1 + 4 * 5);
    assert!(snapshot.queries.iter().all(|query| query.state == QueryRunState::Running));
    let (report, _) = catalog.stop().unwrap();
    assert_eq!(report.snapshot.queries.len(), 21);
}

//! Where the results of a node go: its history and its sinks, as a file of it says.

mod alarms;
mod destination;
mod keys;

pub(crate) use destination::parse_age;

use crate::config::{HistoryTable, RollupTable, SinkTable};
use crate::failure::Failure;
use crate::node_plan::NodePlan;
use destination::Destination;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tapline_catalog::{ConfiguredAlert, Level, Log};
use tapline_history::{BucketOptions, History, HistoryOptions, RollUp};
use tapline_sinks::{
    AlertMemory, AlertSink, Origin, Outlet, OutletOptions, QueueLimits, Sink, Spool, SpoolOptions, Told,
    Turn, Wanted, is_named,
};
use tapline_sources::SystemClock;

/// What the outlet of stored results is called.
const HISTORY: &str = "history";
/// What the one is called that shows all alarms, and the file of what fires.
const BOARD: &str = "alerts";
const BOARD_FILE: &str = "alerts.json";

/// Who takes the results of which queries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SinkPlan {
    name: String,
    /// Patterns of their names.
    queries: Vec<String>,
    destination: Destination,
    /// What it tells somebody of those queries.
    alert: Option<ConfiguredAlert>,
    /// Files that prove who is who.
    proof: Vec<PathBuf>,
    /// Where results wait for a server.
    spool: Option<SpoolOptions>,
}

impl SinkPlan {
    /// Folders that are written into.
    pub(crate) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let spool = self.spool.as_ref().map(|spool| spool.folder.clone());
        self.destination.folder().map(Path::to_path_buf).into_iter().chain(spool)
    }

    /// Files that are read, also while the node runs.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.proof.iter().cloned()
    }
}

/// What a file says of history; the folder of the command line takes precedence.
pub(crate) fn history_of(
    table: &HistoryTable,
    folder: Option<&Path>,
) -> Result<Option<HistoryOptions>, String> {
    let HistoryTable { folder: named, keep, octets_max, rollup, flush_after, .. } = table;
    let Some(folder) = folder.or(named.as_deref()) else {
        let is_said = *table != HistoryTable::default();
        let message = "[history]: it needs a folder: folder = \"/var/lib/tapline/history\"";
        return if is_said { Err(message.to_owned()) } else { Ok(None) };
    };
    let time = |key: &str, text: &Option<String>| {
        let time = text.as_deref().map(parse_age).transpose();
        time.map_err(|wrong| format!("[history] {key}: {wrong}"))
    };
    let mut options = HistoryOptions::new(folder);
    options.keep = time("keep", keep)?;
    options.octets_max = *octets_max;
    let rollup = (1..)
        .zip(rollup)
        .map(|(number, one)| rollup_of(one).map_err(|wrong| format!("[history] rollup {number}: {wrong}")));
    options.rollup = rollup.collect::<Result<_, _>>()?;
    options.flush_after = time("flush_after", flush_after)?.unwrap_or(options.flush_after);
    options.bucket = bucket_of(table, time("store_keep", &table.store_keep)?)?;
    Ok(Some(options))
}

/// What a file says of the bucket that history goes to.
fn bucket_of(table: &HistoryTable, keep: Option<Duration>) -> Result<Option<BucketOptions>, String> {
    let said = [
        ("store_endpoint", table.store_endpoint.is_some()),
        ("store_region", table.store_region.is_some()),
        ("store_credentials_file", table.store_credentials_file.is_some()),
        ("store_ca_file", table.store_ca_file.is_some()),
        ("store_keep", table.store_keep.is_some()),
    ];
    let Some(url) = &table.store else {
        return match said.iter().find(|(_, is_said)| *is_said) {
            Some((key, _)) => {
                Err(format!("[history] {key} means nothing without store = \"s3://BUCKET/FOLDER\""))
            }
            None => Ok(None),
        };
    };
    let mut options = BucketOptions::new(url).map_err(|wrong| format!("[history] store: {wrong}"))?;
    options.keep = keep;
    options.endpoint.clone_from(&table.store_endpoint);
    options.region.clone_from(&table.store_region);
    options.credentials_file.clone_from(&table.store_credentials_file);
    options.ca_file.clone_from(&table.store_ca_file);
    options.check().map(Some).map_err(|wrong| format!("[history] store_endpoint: {wrong}"))
}

fn rollup_of(table: &RollupTable) -> Result<RollUp, String> {
    let after = parse_age(&table.after).map_err(|wrong| format!("after: {wrong}"))?;
    let window = parse_age(&table.window).map_err(|wrong| format!("window: {wrong}"))?;
    RollUp { after, window }.check().map_err(|wrong| format!("window: {wrong}"))
}

/// What a file says of sinks; results for servers wait in the state folder.
pub(crate) fn sinks_of(tables: &[SinkTable], state: Option<&Path>) -> Result<Vec<SinkPlan>, String> {
    let sink = |(number, table): (u32, &SinkTable)| {
        sink_of(table, state).map_err(|wrong| format!("[[sink]] {number}: {wrong}"))
    };
    let plans: Vec<SinkPlan> = (1..).zip(tables).map(sink).collect::<Result<_, _>>()?;
    let mut folders: Vec<PathBuf> = vec![];
    for (place, plan) in plans.iter().enumerate() {
        if plans.iter().take(place).any(|before| before.name == plan.name) {
            return Err(format!("two sinks are called {}; give each a name of its own", plan.name));
        }
        let collides = |before: &SinkPlan| plan.destination.collides_with(&before.destination);
        if let Some(why) = plans.iter().take(place).find_map(collides) {
            return Err(why);
        }
        for folder in plan.folders() {
            if folders.contains(&folder) {
                let folder = folder.display();
                return Err(format!("two sinks write into {folder}; give each a folder of its own"));
            }
            folders.push(folder);
        }
    }
    Ok(plans)
}

fn sink_of(table: &SinkTable, state: Option<&Path>) -> Result<SinkPlan, String> {
    let destination = Destination::of(table)?;
    let name =
        table.name.clone().ok_or_else(|| format!("it needs a name: name = \"{}s\"", destination.kind()))?;
    check_name(&name)?;
    let spool = destination::spool(table, &name, state)?;
    let alert = if destination.is_told_alarms() { alarms::alert(table, &name)? } else { None };
    let unsaid = || match (destination.takes_all(), destination.is_told_alarms()) {
        (true, _) => Some(vec!["*".to_owned()]),
        (false, true) => Some(vec![]),
        (false, false) => None,
    };
    let queries = table.queries.clone().or_else(unsaid);
    let queries = queries.ok_or("it needs the names of queries: queries = [\"tcp_flows\"]")?;
    let proof =
        [&table.password_file, &table.token_file, &table.ca_file].into_iter().flatten().cloned().collect();
    Ok(SinkPlan { name, queries, destination, alert, proof, spool })
}

/// Refuses what cannot be told from other words, or from the name of stored results.
fn check_name(name: &str) -> Result<(), String> {
    let is_word = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic());
    match (is_word, name) {
        (false, _) => Err(format!("name: {name:?} is no name; write a word in ASCII, such as lines")),
        (true, HISTORY) => Err("name: stored results are called history; take another one".to_owned()),
        (true, BOARD) => Err("name: what shows all alarms is called alerts; take another one".to_owned()),
        (true, _) => Ok(()),
    }
}

/// Starts everything that takes results.
pub(crate) fn open(plan: &NodePlan, history: Option<&History>, log: &Log) -> Result<Vec<Outlet>, Failure> {
    // What an aggregator gave and nobody has stored is given again behind a crash.
    let (mut outlets, comes_again) = (vec![], plan.aggregator.is_some());
    if let Some(history) = history {
        let told = said(HISTORY, log);
        let sink = history.sink(Arc::new(SystemClock), told);
        let wanted = Box::new(|origin: &Origin| origin.is_stored);
        outlets.push(start(HISTORY, "parquet", sink, wanted, log)?);
    }
    for SinkPlan { name, queries, destination, spool, .. } in plan.sinks.clone() {
        let (kind, is_told_alarms) = (destination.kind(), destination.is_told_alarms());
        let sink = destination.sink(&name, (plan.state.as_deref(), comes_again), said(&name, log));
        let sink = sink.map_err(|why| Failure::Usage(format!("[[sink]] {name}: {why}")))?;
        let sink: Box<dyn Sink> = match spool {
            Some(options) => Box::new(Spool::new(options, sink, said(&name, log))),
            None => sink,
        };
        let wanted: Wanted = if is_told_alarms {
            let name = name.clone();
            Box::new(move |origin: &Origin| origin.alerts.iter().any(|alert| alert.sinks.contains(&name)))
        } else {
            Box::new(move |origin: &Origin| is_named(&queries, &origin.name))
        };
        outlets.push(start(&name, kind, sink, wanted, log)?);
    }
    let file = plan.state.as_ref().map(|state| state.join(BOARD_FILE));
    let board = Box::new(AlertSink::showing(AlertMemory { file, comes_again }, said(BOARD, log)));
    let wanted: Wanted = Box::new(|origin: &Origin| !origin.alerts.is_empty());
    outlets.push(start(BOARD, "board", board, wanted, log)?);
    Ok(outlets)
}

/// What the configuration says of queries whose rows somebody is to be told of.
pub(crate) fn alerts(plan: &NodePlan) -> Vec<ConfiguredAlert> {
    plan.sinks.iter().filter_map(|sink| sink.alert.clone()).collect()
}

fn start(
    name: &str,
    kind: &'static str,
    sink: Box<dyn Sink>,
    wanted: Wanted,
    log: &Log,
) -> Result<Outlet, Failure> {
    let options = OutletOptions {
        name: name.to_owned(),
        kind,
        wanted,
        limits: QueueLimits::default(),
        clock: Arc::new(SystemClock),
        told: said(name, log),
    };
    Outlet::start(options, sink).map_err(|error| Failure::Run(format!("a thread cannot be started: {error}")))
}

/// Tells what happens to an outlet under its name.
fn said(name: &str, log: &Log) -> Told {
    let (name, log) = (name.to_owned(), Arc::clone(log));
    Arc::new(move |turn, what| {
        let level = if turn == Turn::Worse { Level::Error } else { Level::Info };
        log.say(level, &format!("{name}: {what}"));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_history_is_checked() {
        let table = |folder: Option<&str>, keep: &str| HistoryTable {
            folder: folder.map(Into::into),
            keep: Some(keep.to_owned()),
            ..HistoryTable::default()
        };
        assert_eq!(history_of(&HistoryTable::default(), None), Ok(None));
        let options = history_of(&table(Some("/a"), "30d"), Some(Path::new("/b"))).unwrap().unwrap();
        assert_eq!(
            (options.folder.as_path(), options.keep),
            (Path::new("/b"), Some(Duration::from_secs(30 * 24 * 3600)))
        );
        let wrong = |table: &HistoryTable| history_of(table, None).unwrap_err();
        assert!(wrong(&table(None, "30d")).starts_with("[history]: it needs a folder"));
        for keep in ["soon", "0d", "-1d", "99999999999d"] {
            assert_eq!(
                wrong(&table(Some("/a"), keep)),
                "[history] keep: write a number with s, m, h or d, such as 30d",
                "{keep}"
            );
        }
    }

    #[test]
    fn wider_windows_are_parts_of_an_hour_or_a_day() {
        let table = |after: &str, window: &str| HistoryTable {
            folder: Some("/a".into()),
            rollup: vec![RollupTable { after: after.to_owned(), window: window.to_owned() }],
            ..HistoryTable::default()
        };
        let rollup = |after: &str, window: &str| {
            history_of(&table(after, window), None).map(|options| options.unwrap().rollup)
        };
        let hour = RollUp { after: Duration::from_secs(7 * 24 * 3600), window: Duration::from_secs(3600) };
        assert_eq!(rollup("7d", "1h"), Ok(vec![hour]));
        for window in ["1m", "6h", "1d"] {
            assert!(rollup("7d", window).is_ok(), "{window}");
        }
        for (after, window, said) in [
            ("7d", "7m", "[history] rollup 1: window: an hour has to consist of such windows"),
            ("7d", "5h", "[history] rollup 1: window: an hour has to consist of such windows"),
            ("7d", "90m", "[history] rollup 1: window: an hour has to consist of such windows"),
            ("7d", "2d", "[history] rollup 1: window: an hour has to consist of such windows"),
            ("soon", "1h", "[history] rollup 1: after: write a number with s, m, h or d"),
        ] {
            let wrong = rollup(after, window).unwrap_err();
            assert!(wrong.starts_with(said), "{wrong}");
        }
    }

    #[test]
    fn what_is_said_of_a_bucket_is_checked() {
        let table = |store: Option<&str>, endpoint: Option<&str>| HistoryTable {
            folder: Some("/a".into()),
            store: store.map(str::to_owned),
            store_endpoint: endpoint.map(str::to_owned),
            store_keep: store.map(|_| "2d".to_owned()),
            ..HistoryTable::default()
        };
        let bucket = |table: &HistoryTable| history_of(table, None).map(|options| options.unwrap().bucket);
        assert_eq!(bucket(&table(None, None)), Ok(None));
        let options = bucket(&table(Some("s3://results/office"), Some("http://127.0.0.1:8333")));
        let options = options.unwrap().unwrap();
        assert_eq!(options.endpoint.as_deref(), Some("http://127.0.0.1:8333"));
        assert_eq!(options.keep, Some(Duration::from_secs(2 * 24 * 3600)));
        for (table, said) in [
            (table(Some("results"), None), "[history] store: it names no bucket"),
            (table(Some("s3://a"), Some("host:1")), "[history] store_endpoint: write https://HOST"),
            (table(None, Some("http://a")), "[history] store_endpoint means nothing without store"),
        ] {
            let wrong = bucket(&table).unwrap_err();
            assert!(wrong.starts_with(said), "{wrong}");
        }
    }

    #[test]
    fn what_is_said_of_sinks_is_checked() {
        let table = |name: &str, folder: &str| SinkTable {
            name: Some(name.to_owned()),
            kind: Some("file".to_owned()),
            folder: Some(folder.into()),
            ..SinkTable::default()
        };
        let plans = sinks_of(&[table("a", "/a"), table("b", "/b")], None).unwrap();
        assert_eq!(plans[0].queries, ["*"]);
        assert_eq!(plans[1].folders().collect::<Vec<_>>(), [PathBuf::from("/b")]);
        let wrong = |tables: &[SinkTable]| sinks_of(tables, Some(Path::new("/state"))).unwrap_err();
        assert_eq!(
            wrong(&[SinkTable { format: Some("cvs".to_owned()), ..table("a", "/a") }]),
            "[[sink]] 1: there is no format `cvs`; did you mean `csv`?"
        );
        assert_eq!(
            wrong(&[SinkTable { kind: Some("postgresql".to_owned()), ..table("a", "/a") }]),
            "[[sink]] 1: folder is for file; leave it out"
        );
        for name in ["", "two words", "a\0b", "history", "alerts"] {
            assert!(wrong(&[table(name, "/a")]).starts_with("[[sink]] 1: name: "), "{name:?}");
        }
        assert!(wrong(&[SinkTable::default()]).starts_with("[[sink]] 1: it needs a kind"));
        assert!(
            wrong(&[SinkTable { name: None, ..table("a", "/a") }]).starts_with("[[sink]] 1: it needs a name")
        );
        assert!(wrong(&[table("a", "/a"), table("a", "/b")]).starts_with("two sinks are called a"));
        assert!(wrong(&[table("a", "/a"), table("b", "/a")]).starts_with("two sinks write into /a"));
        let server = |name: &str, spool: Option<&str>| SinkTable {
            name: Some(name.to_owned()),
            kind: Some("postgresql".to_owned()),
            url: Some("postgresql://a@b/c".to_owned()),
            spool: spool.map(Into::into),
            ..SinkTable::default()
        };
        let both = wrong(&[server("a", None), server("b", Some("/state/spool/a"))]);
        assert!(both.starts_with("two sinks write into /state/spool/a"), "{both}");
        let hook = SinkTable {
            kind: Some("webhook".to_owned()),
            folder: None,
            url: Some("http://127.0.0.1/".to_owned()),
            ..table("a", "")
        };
        assert!(sinks_of(std::slice::from_ref(&hook), None).unwrap()[0].alert.is_none());
        let flows = SinkTable {
            kind: Some("ipfix".to_owned()),
            folder: None,
            to: Some("udp://127.0.0.1:4739".to_owned()),
            ..table("a", "")
        };
        assert!(wrong(&[flows]).starts_with("[[sink]] 1: it needs the names of queries"));
        let hook = SinkTable { queries: Some(vec!["port_sweep".to_owned()]), ..hook };
        let plan = sinks_of(&[hook], None).unwrap().remove(0);
        assert_eq!(
            (plan.destination.kind(), plan.alert.unwrap().alert.sinks),
            ("webhook", vec!["a".to_owned()])
        );
    }
}

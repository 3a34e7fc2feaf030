//! Where the results of a node go: its history and its sinks, as a file of it says.

use crate::config::{HistoryTable, RollupTable, SinkTable};
use crate::failure::Failure;
use crate::node_plan::NodePlan;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tapline_catalog::{Level, Log, nearest, parse_duration};
use tapline_history::{History, HistoryOptions, RollUp};
use tapline_sinks::{
    FileFormat, FileOptions, FileSink, Origin, Outlet, OutletOptions, QueueLimits, Sink, Told, Turn, Wanted,
    is_named,
};
use tapline_sources::SystemClock;

/// A file of a sink, where nothing is said of it.
const ROTATE_OCTETS: u64 = 64 << 20;
const ROTATE_AFTER: Duration = Duration::from_secs(3600);

/// What the outlet of stored results is called.
const HISTORY: &str = "history";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Who takes the results of which queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SinkPlan {
    name: String,
    /// Patterns of their names.
    queries: Vec<String>,
    files: FileOptions,
}

impl SinkPlan {
    /// The folder that it writes to.
    pub(crate) fn folder(&self) -> &Path {
        &self.files.folder
    }
}

/// What a file says of history; the folder of the command line takes precedence.
pub(crate) fn history_of(
    table: &HistoryTable,
    folder: Option<&Path>,
) -> Result<Option<HistoryOptions>, String> {
    let HistoryTable { folder: named, keep, octets_max, rollup, flush_after } = table;
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
    let rollup = (1..).zip(rollup).map(|(number, one)| {
        rollup_of(one).map_err(|wrong| format!("[history] rollup {number}: {wrong}"))
    });
    options.rollup = rollup.collect::<Result<_, _>>()?;
    options.flush_after = time("flush_after", flush_after)?.unwrap_or(options.flush_after);
    Ok(Some(options))
}

fn rollup_of(table: &RollupTable) -> Result<RollUp, String> {
    let after = parse_age(&table.after).map_err(|wrong| format!("after: {wrong}"))?;
    let window = parse_age(&table.window).map_err(|wrong| format!("window: {wrong}"))?;
    RollUp { after, window }.check().map_err(|wrong| format!("window: {wrong}"))
}

/// What a file says of sinks.
pub(crate) fn sinks_of(tables: &[SinkTable]) -> Result<Vec<SinkPlan>, String> {
    let sink = |(number, table): (u32, &SinkTable)| {
        sink_of(table).map_err(|wrong| format!("[[sink]] {number}: {wrong}"))
    };
    let plans: Vec<SinkPlan> = (1..).zip(tables).map(sink).collect::<Result<_, _>>()?;
    for (place, plan) in plans.iter().enumerate() {
        if plans.iter().take(place).any(|before| before.name == plan.name) {
            return Err(format!("two sinks are called {}; give each a name of its own", plan.name));
        }
        if plans.iter().take(place).any(|before| before.files.folder == plan.files.folder) {
            let folder = plan.files.folder.display();
            return Err(format!("two sinks write into {folder}; give each a folder of its own"));
        }
    }
    Ok(plans)
}

fn sink_of(table: &SinkTable) -> Result<SinkPlan, String> {
    match table.kind.as_deref() {
        Some("file") => {}
        Some(kind) => return Err(format!("there is no kind `{kind}`; write file")),
        None => return Err("it needs a kind: kind = \"file\"".to_owned()),
    }
    let (Some(name), Some(folder)) = (table.name.clone(), table.folder.clone()) else {
        return Err(
            "it needs a name and a folder: name = \"lines\" and folder = \"/var/log/tapline\"".to_owned()
        );
    };
    check_name(&name)?;
    let time = table.rotate_after.as_deref().map(parse_age).transpose();
    let files = FileOptions {
        folder,
        format: format_of(table.format.as_deref().unwrap_or("json"))?,
        octets_max: table.rotate_octets.unwrap_or(ROTATE_OCTETS),
        rotate_after: time.map_err(|wrong| format!("rotate_after: {wrong}"))?.unwrap_or(ROTATE_AFTER),
    };
    let queries = table.queries.clone().unwrap_or_else(|| vec!["*".to_owned()]);
    Ok(SinkPlan { name, queries, files })
}

/// Refuses what cannot be told from other words, or from the name of stored results.
fn check_name(name: &str) -> Result<(), String> {
    let is_word = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic());
    match (is_word, name) {
        (false, _) => Err(format!("name: {name:?} is no name; write a word in ASCII, such as lines")),
        (true, HISTORY) => Err("name: stored results are called history; take another one".to_owned()),
        (true, _) => Ok(()),
    }
}

fn format_of(text: &str) -> Result<FileFormat, String> {
    match text {
        "json" => Ok(FileFormat::Json),
        "csv" => Ok(FileFormat::Csv),
        "parquet" => Ok(FileFormat::Parquet),
        other => Err(match nearest(other, ["json", "csv", "parquet"].into_iter()) {
            Some(nearest) => format!("there is no format `{other}`; did you mean `{nearest}`?"),
            None => format!("there is no format `{other}`; write json, csv or parquet"),
        }),
    }
}

/// A time that may have days.
fn parse_age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let time = days.map_or_else(|| parse_duration(text), |days| Ok(DAY.saturating_mul(days)));
    match time {
        Ok(time) if time > Duration::ZERO => Ok(time),
        _ => Err("write a number with s, m, h or d, such as 30d".to_owned()),
    }
}

/// Starts everything that takes results.
pub(crate) fn open(plan: &NodePlan, history: Option<&History>, log: &Log) -> Result<Vec<Outlet>, Failure> {
    let mut outlets = vec![];
    if let Some(history) = history {
        let told = said(HISTORY, log);
        let sink = history.sink(Arc::new(SystemClock), told);
        let wanted = Box::new(|origin: &Origin| origin.is_stored);
        outlets.push(start(HISTORY, "parquet", sink, wanted, log)?);
    }
    for SinkPlan { name, queries, files } in plan.sinks.clone() {
        let sink = Box::new(FileSink::new(files));
        let wanted = Box::new(move |origin: &Origin| is_named(&queries, &origin.name));
        outlets.push(start(&name, "file", sink, wanted, log)?);
    }
    Ok(outlets)
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
        assert_eq!((options.folder.as_path(), options.keep), (Path::new("/b"), Some(30 * DAY)));
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
    fn wider_windows_are_parts_of_an_hour() {
        let table = |after: &str, window: &str| HistoryTable {
            folder: Some("/a".into()),
            rollup: vec![RollupTable { after: after.to_owned(), window: window.to_owned() }],
            ..HistoryTable::default()
        };
        let rollup = |after: &str, window: &str| {
            history_of(&table(after, window), None).map(|options| options.unwrap().rollup)
        };
        let hour = RollUp { after: 7 * DAY, window: Duration::from_secs(3600) };
        assert_eq!(rollup("7d", "1h"), Ok(vec![hour]));
        for (after, window, said) in [
            ("7d", "7m", "[history] rollup 1: window: an hour has to consist of such windows"),
            ("7d", "1d", "[history] rollup 1: window: an hour has to consist of such windows"),
            ("soon", "1h", "[history] rollup 1: after: write a number with s, m, h or d"),
        ] {
            let wrong = rollup(after, window).unwrap_err();
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
        let plans = sinks_of(&[table("a", "/a"), table("b", "/b")]).unwrap();
        assert_eq!(
            (plans[0].queries.as_slice(), plans[1].files.format),
            (&["*".to_owned()][..], FileFormat::Json)
        );
        let wrong = |tables: &[SinkTable]| sinks_of(tables).unwrap_err();
        assert_eq!(
            wrong(&[SinkTable { format: Some("cvs".to_owned()), ..table("a", "/a") }]),
            "[[sink]] 1: there is no format `cvs`; did you mean `csv`?"
        );
        assert_eq!(
            wrong(&[SinkTable { kind: Some("kafka".to_owned()), ..table("a", "/a") }]),
            "[[sink]] 1: there is no kind `kafka`; write file"
        );
        for name in ["", "two words", "a\0b", "history"] {
            assert!(wrong(&[table(name, "/a")]).starts_with("[[sink]] 1: name: "), "{name:?}");
        }
        assert!(wrong(&[SinkTable::default()]).starts_with("[[sink]] 1: it needs a kind"));
        assert!(wrong(&[table("a", "/a"), table("a", "/b")]).starts_with("two sinks are called a"));
        assert!(wrong(&[table("a", "/a"), table("b", "/a")]).starts_with("two sinks write into /a"));
    }
}

//! Where the results of a node go: its history and its sinks, as a file of it says.

mod target;

use crate::config::{HistoryTable, SinkTable};
use crate::failure::Failure;
use crate::node_plan::NodePlan;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tapline_catalog::{Level, Log, parse_duration};
use tapline_history::{History, HistoryOptions};
use tapline_sinks::{Asked, Outlet, OutletOptions, QueueLimits, Sink, Told, Turn, Wanted, is_named};
use tapline_sources::SystemClock;
use target::Target;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Who takes the results of which queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SinkPlan {
    name: String,
    /// Patterns of their names.
    queries: Vec<String>,
    target: Target,
}

/// What a file says of history; the folder of the command line takes precedence.
pub(crate) fn history_of(
    table: &HistoryTable,
    folder: Option<&Path>,
) -> Result<Option<HistoryOptions>, String> {
    let HistoryTable { folder: named, keep, octets_max, flush_after } = table;
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
    options.flush_after = time("flush_after", flush_after)?.unwrap_or(options.flush_after);
    Ok(Some(options))
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
        let collides = |before: &SinkPlan| plan.target.collides_with(&before.target);
        if let Some(why) = plans.iter().take(place).find_map(collides) {
            return Err(why);
        }
    }
    Ok(plans)
}

fn sink_of(table: &SinkTable) -> Result<SinkPlan, String> {
    let target = Target::of(table)?;
    let Some(name) = table.name.clone() else {
        return Err(format!("it needs a name: name = \"{}s\"", target.kind()));
    };
    let queries = table.queries.clone().or_else(|| target.takes_all().then(|| vec!["*".to_owned()]));
    let queries = queries.ok_or("it needs the names of queries: queries = [\"port_sweep\"]")?;
    Ok(SinkPlan { name, queries, target })
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
        let told = said("history", log);
        let sink = history.sink(Arc::new(SystemClock), told);
        outlets.push(start("history", "parquet", sink, Box::new(|asked: &Asked| asked.is_stored), log)?);
    }
    for SinkPlan { name, queries, target } in plan.sinks.clone() {
        let kind = target.kind();
        let sink = target.open(&name, plan.state.as_deref(), said(&name, log));
        let sink = sink.map_err(|why| Failure::Usage(format!("the sink {name}: {why}")))?;
        let wanted = Box::new(move |asked: &Asked| is_named(&queries, &asked.name));
        outlets.push(start(&name, kind, sink, wanted, log)?);
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
    fn what_is_said_of_sinks_is_checked() {
        let table = |name: &str, folder: &str| SinkTable {
            name: Some(name.to_owned()),
            kind: Some("file".to_owned()),
            folder: Some(folder.into()),
            ..SinkTable::default()
        };
        let plans = sinks_of(&[table("a", "/a"), table("b", "/b")]).unwrap();
        assert_eq!(plans[0].queries, ["*"]);
        let wrong = |tables: &[SinkTable]| sinks_of(tables).unwrap_err();
        assert!(wrong(&[SinkTable::default()]).starts_with("[[sink]] 1: it needs a kind"));
        assert!(wrong(&[SinkTable { name: None, ..table("a", "/a") }]).starts_with("[[sink]] 1: it needs a name"));
        assert!(wrong(&[table("a", "/a"), table("a", "/b")]).starts_with("two sinks are called a"));
        assert!(wrong(&[table("a", "/a"), table("b", "/a")]).starts_with("two sinks write into /a"));
        let hook = SinkTable {
            kind: Some("webhook".to_owned()),
            folder: None,
            url: Some("http://127.0.0.1/".to_owned()),
            ..table("a", "")
        };
        assert!(wrong(&[hook.clone()]).starts_with("[[sink]] 1: it needs the names of queries"));
        let hook = SinkTable { queries: Some(vec!["port_sweep".to_owned()]), ..hook };
        assert_eq!(sinks_of(&[hook]).unwrap()[0].target.kind(), "webhook");
    }
}

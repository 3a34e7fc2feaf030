//! Flags that say how exports are read and what the engine may take, the same for all commands that run queries.

use crate::config::{LimitsTable, SourceTable};
use clap::{Args, ValueEnum};
use tapline_decode::export::{EventTimeSource, ExportOptions, ExporterIdentity};
use tapline_engine::{EngineOptions, QueryLimits, WaitingLimits, workers_for};
use tapline_sources::SourceOptions;

const RECEIVE_BUFFER: usize = 64 << 20;
const WORKERS_MAX: u16 = 256;
const GROUPS_MAX: u32 = 1 << 20;
const WAITING_ROWS_MAX: u32 = 1 << 20;

/// How exports are read.
#[derive(Debug, Args)]
pub(crate) struct ReadingArguments {
    /// Octets of the kernel's queue of each listener.
    #[arg(long, value_name = "OCTETS", default_value_t = RECEIVE_BUFFER)]
    pub(crate) receive_buffer: usize,
    /// How exporters are told apart: by address and source port, or by address alone.
    #[arg(long, value_enum, default_value_t = Identity::AddressAndPort)]
    exporter_identity: Identity,
    /// One packet in so many was sampled, by exporters that do not say.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sampling_rate: Option<u64>,
    /// What the event time of an exported flow is; export and receive do without the times of flows, where an
    /// exporter tells none of any use.
    #[arg(long, value_enum, default_value_t = EventTime::Flow)]
    event_time: EventTime,
    /// How far records of a live source or of standard input may be late [default: 2000 for packets, 60000 for
    /// exports]. A flow is exported after the inactive timeout of its exporter, often 15 s: for exports, allow that
    /// and some seconds more, or say --event-time receive.
    #[arg(long, value_name = "MS")]
    allowed_lateness_ms: Option<u32>,
}

/// What the engine may take.
#[derive(Debug, Args)]
pub(crate) struct EngineArguments {
    /// Run on these cores, such as 2 or 0,4-7: the first is for the first source, the next for the operators
    /// [default: a core for each thread, where there are enough].
    #[arg(long, value_name = "LIST", value_parser = parse_cores)]
    cores: Option<Cores>,
    /// Operator threads [default: cores but one, at most 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    workers: Option<u16>,
    /// Groups of one aggregate in one pane; rows beyond go into one folded row.
    #[arg(long, value_name = "N", default_value_t = GROUPS_MAX, value_parser = clap::value_parser!(u32).range(1..))]
    groups_max: u32,
    /// Rows of a query without an aggregate that may wait for rows of a live source that come before them; where
    /// more wait, those before them are dropped when they come.
    #[arg(long, value_name = "N", default_value_t = WAITING_ROWS_MAX, value_parser = clap::value_parser!(u32).range(1..))]
    waiting_rows_max: u32,
    /// Octets that all queries together may hold for open windows [default: 4 GiB]. Where they are full, rows of new
    /// groups go into the folded row, too.
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u64).range(1..))]
    octets_max: Option<u64>,
}

/// Numbers of cores, each of which this process may run on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cores(Vec<usize>);

/// How exporters are told apart.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Identity {
    AddressAndPort,
    Address,
}

/// What the event time of an exported flow is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EventTime {
    /// Its end, by the exporter's clock, corrected when that is off by more than 30 s.
    Flow,
    /// When its message was sent, by the same clock.
    Export,
    /// When its message was received, by ours.
    Receive,
}

impl ReadingArguments {
    /// What a file says of a source.
    pub(crate) fn of(source: &SourceTable) -> Result<Self, String> {
        let wrong = |key: &str, known: &str| format!("{key}: write {known}");
        let event_time =
            source.event_time.as_deref().map(|text| EventTime::from_str(text, false)).transpose();
        let identity =
            source.exporter_identity.as_deref().map(|text| Identity::from_str(text, false)).transpose();
        if source.sampling_rate == Some(0) {
            return Err(wrong("sampling_rate", "a number from 1"));
        }
        Ok(Self {
            receive_buffer: source.receive_buffer.unwrap_or(RECEIVE_BUFFER),
            exporter_identity: identity
                .map_err(|_| wrong("exporter_identity", "\"address-and-port\" or \"address\""))?
                .unwrap_or(Identity::AddressAndPort),
            sampling_rate: source.sampling_rate,
            event_time: event_time
                .map_err(|_| wrong("event_time", "\"flow\", \"export\" or \"receive\""))?
                .unwrap_or(EventTime::Flow),
            allowed_lateness_ms: source.allowed_lateness_ms,
        })
    }

    /// How sources read.
    pub(crate) fn source_options(&self) -> SourceOptions {
        let exports = ExportOptions {
            identity: match self.exporter_identity {
                Identity::AddressAndPort => ExporterIdentity::AddressAndPort,
                Identity::Address => ExporterIdentity::Address,
            },
            sampling_rate: self.sampling_rate,
            event_time: match self.event_time {
                EventTime::Flow => EventTimeSource::Flow,
                EventTime::Export => EventTimeSource::Export,
                EventTime::Receive => EventTimeSource::Receive,
            },
            ..ExportOptions::default()
        };
        SourceOptions { allowed_lateness_ms: self.allowed_lateness_ms, exports, ..SourceOptions::default() }
    }
}

impl EngineArguments {
    /// What a file says.
    pub(crate) fn of(limits: &LimitsTable) -> Result<Self, String> {
        let zero = [
            ("workers", limits.workers.map(u64::from)),
            ("groups_max", limits.groups_max.map(u64::from)),
            ("waiting_rows_max", limits.waiting_rows_max.map(u64::from)),
            ("queries_max", limits.queries_max.map(u64::from)),
            ("octets_max", limits.octets_max),
        ];
        if let Some((key, _)) = zero.into_iter().find(|(_, value)| *value == Some(0)) {
            return Err(format!("[limits] {key}: write a number from 1"));
        }
        if limits.workers.is_some_and(|workers| workers > WORKERS_MAX) {
            return Err(format!("[limits] workers: write a number from 1 to {WORKERS_MAX}"));
        }
        let cores = limits.cores.as_deref().map(parse_cores).transpose();
        Ok(Self {
            cores: cores.map_err(|wrong| format!("[limits] cores: {wrong}"))?,
            workers: limits.workers,
            groups_max: limits.groups_max.unwrap_or(GROUPS_MAX),
            waiting_rows_max: limits.waiting_rows_max.unwrap_or(WAITING_ROWS_MAX),
            octets_max: limits.octets_max,
        })
    }

    /// Limits of the engine.
    pub(crate) fn options(&self) -> EngineOptions {
        let defaults = EngineOptions::default();
        let cores = self.cores.as_ref().map_or_else(Vec::new, |Cores(cores)| cores.clone());
        let workers = if cores.is_empty() { defaults.workers } else { workers_for(cores.len()) };
        EngineOptions {
            workers: self.workers.map_or(workers, usize::from),
            cores,
            octets_held_max: self
                .octets_max
                .map_or(defaults.octets_held_max, |octets| usize::try_from(octets).unwrap_or(usize::MAX)),
            limits: QueryLimits { groups_max: self.groups_max as usize, ..defaults.limits },
            waiting: WaitingLimits { rows_max: self.waiting_rows_max as usize, ..defaults.waiting },
            ..defaults
        }
    }
}

/// Numbers and ranges of cores, such as `0,4-7`.
fn parse_cores(text: &str) -> Result<Cores, String> {
    let there: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let wrong = || "write numbers of cores, such as 2 or 0,4-7".to_owned();
    let mut cores = vec![];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        if let Some(missing) = [first, last].into_iter().find(|core| !there.contains(core)) {
            return Err(format!("core {missing} is none of those that this process may run on: {there:?}"));
        }
        cores.extend((first..=last).filter(|core| there.contains(core)));
    }
    Ok(Cores(cores))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_numbers_and_ranges_of_those_that_are_there() {
        let there = core_affinity::get_core_ids().unwrap();
        let (first, last) = (there[0].id, there[there.len() - 1].id);
        let all = there.iter().map(|core| core.id).collect();
        assert_eq!(parse_cores(&format!("{first}-{last}")), Ok(Cores(all)));
        assert_eq!(parse_cores(&format!("{last}, {first}")), Ok(Cores(vec![last, first])));
        for wrong in ["", "x", "0-", "-", "1-0", "0,,1"] {
            assert_eq!(parse_cores(wrong), Err("write numbers of cores, such as 2 or 0,4-7".to_owned()));
        }
        assert!(parse_cores("999999").unwrap_err().starts_with("core 999999 is none of those"));
    }

    #[test]
    fn a_file_has_the_bounds_of_the_command_line() {
        let workers =
            |workers| EngineArguments::of(&LimitsTable { workers: Some(workers), ..LimitsTable::default() });
        assert!([1, 256].into_iter().all(|of| workers(of).is_ok()));
        assert_eq!(workers(257).map(drop), Err("[limits] workers: write a number from 1 to 256".to_owned()));
        assert_eq!(workers(0).map(drop), Err("[limits] workers: write a number from 1".to_owned()));
    }
}

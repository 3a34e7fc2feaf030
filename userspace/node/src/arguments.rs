//! The command line: parsed here, resolved into what the commands work with.

use crate::failure::Failure;
use crate::flags::Given;
use crate::output::Format;
use crate::rules::RulePlan;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapline_catalog::parse_duration;
use tapline_decode::export::{EventTimeSource, ExportOptions, ExporterIdentity};
use tapline_engine::{EngineOptions, WaitingLimits, workers_for};
use tapline_exports::ListenerUrl;
use tapline_interface::kernel::{Rule, Verdict};
use tapline_query::split_statements;
use tapline_sources::SourceOptions;

/// SQL at line rate on live network traffic.
#[derive(Debug, Parser)]
#[command(name = "tapline", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask capture files, a live interface, flow exports in files, or flow exports as they arrive.
    Query(Box<QueryArguments>),
    /// Print the tables, or the columns of one, with their types, units and sources.
    Schema {
        /// The table.
        table: Option<String>,
    },
    /// Say what this machine can do for a live capture, and what would help.
    Doctor {
        /// The interface to look at, in place of all.
        interface: Option<String>,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tapline query --pcap a.pcap \"SELECT protocol, count(*) FROM packets GROUP BY protocol\"
  tapline query --pcap a.pcap \"SELECT src_ip, sum(octets) AS octets FROM packets
      GROUP BY src_ip, hop('1 second', '10 seconds') ORDER BY octets DESC LIMIT 10\"
  tcpdump -w - | tapline query --pcap - \"SELECT * FROM flows\"
  tapline query --interface eth0 \"SELECT protocol, count(*), sum(octets) FROM packets
      GROUP BY protocol, tumble('1 second')\"
  tapline query --interface eth0 --interface eth1 --listen udp://0.0.0.0:2055 \"SELECT source, count(*) FROM flows
      GROUP BY source, tumble('60 seconds')\"
  tapline query --listen udp://0.0.0.0:2055 \"SELECT src_as, dst_as, sum(octets) AS octets FROM flows
      GROUP BY src_as, dst_as, tumble('60 seconds')\"")]
pub(crate) struct QueryArguments {
    /// A capture file: pcap or pcapng, also .gz and .zst; - reads standard input. Several are merged by time.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pcap: Vec<PathBuf>,
    /// Flow exports in a capture (any UDP port that holds them), a .dat file of raw datagrams, or an IPFIX file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "pcap")]
    exports: Vec<PathBuf>,
    /// Take only exports that were sent to this port, of captures.
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// Listen for NetFlow, IPFIX and sFlow on udp://HOST:PORT, for IPFIX on tcp://HOST:PORT, until Ctrl-C, --for
    /// or --windows.
    #[arg(long, value_name = "URL", conflicts_with_all = ["pcap", "exports"])]
    listen: Vec<ListenerUrl>,
    /// Watch the packets that this interface receives, until Ctrl-C, --for or --windows; nothing is taken from the
    /// host. Several are watched at once, beside listeners too.
    #[arg(long, value_name = "IF", conflicts_with_all = ["pcap", "exports"])]
    interface: Vec<String>,
    /// The interfaces only receive copies: its packets may be taken from the host, which is faster.
    #[arg(long)]
    mirror: bool,
    /// Keep only frames that this names: a prefix such as 10.0.0.0/8, port:53, protocol:17, vlan:100 or vlan:none;
    /// the program in the kernel leaves the others out. Several of one kind add up, several kinds must all agree.
    #[arg(long, value_name = "RULE")]
    allow: Vec<Rule>,
    /// Leave out frames that this names, likewise.
    #[arg(long, value_name = "RULE")]
    deny: Vec<Rule>,
    /// Read such rules from a file too, a line each: allow RULE or deny RULE. Changes of the file hold at once.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    rules: Option<PathBuf>,
    /// End after so long, such as 30s, 5m or 1h; windows that are open then are marked partial.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    r#for: Option<Duration>,
    /// End when every query has given so many final windows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    windows: Option<u64>,
    /// Give each window so far, each time that so much of it has passed, such as 5s; status says early.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    early: Option<Duration>,
    /// Octets of the kernel's queue of each listener.
    #[arg(long, value_name = "OCTETS", default_value_t = 64 << 20)]
    receive_buffer: usize,
    /// Keep the templates of exporters in this folder, and start with those that are there.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
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
    /// Read queries from a file, separated by semicolons.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    query_file: Vec<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write each query's results to a file of its name in this folder.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Print both halves of each query, its panes and the columns that are built, and run nothing.
    #[arg(long)]
    explain: bool,
    /// Run on these cores, such as 2 or 0,4-7: the first is for the first source, the next for the operators
    /// [default: a core for each thread, where there are enough].
    #[arg(long, value_name = "LIST", value_parser = parse_cores)]
    cores: Option<Cores>,
    /// Operator threads [default: cores but one, at most 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Groups of one aggregate in one pane; rows beyond go into one folded row.
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    groups_max: u32,
    /// Rows of a query without an aggregate that may wait for rows of a live source that come before them; where
    /// more wait, those before them are dropped when they come.
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    waiting_rows_max: u32,
    /// How far records of a live source or of standard input may be late [default: 2000 for packets, 60000 for
    /// exports]. A flow is exported after the inactive timeout of its exporter, often 15 s: for exports, allow that
    /// and some seconds more, or say --event-time receive.
    #[arg(long, value_name = "MS")]
    allowed_lateness_ms: Option<u32>,
    /// How the account of the run is printed on standard error.
    #[arg(long, value_enum, default_value_t = SummaryFormat::Text, conflicts_with = "quiet")]
    summary: SummaryFormat,
    /// No progress bar and no summary.
    #[arg(long, short)]
    quiet: bool,
    /// The queries.
    #[arg(value_name = "SQL")]
    sql: Vec<String>,
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

/// How the account of a run is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    /// Sentences for a person.
    Text,
    /// One object on one line, the last one of standard error.
    Json,
}

/// What a run reads.
#[derive(Clone, Debug)]
pub(crate) enum InputPlan {
    Nothing,
    Packets(Vec<PathBuf>),
    Exports { files: Vec<PathBuf>, ports: Vec<u16> },
    Live(LivePlan),
}

/// Interfaces and listeners, in any number.
#[derive(Clone, Debug)]
pub(crate) struct LivePlan {
    pub(crate) interfaces: Vec<String>,
    /// Of all interfaces.
    pub(crate) is_mirror: bool,
    pub(crate) rules: RulePlan,
    pub(crate) listeners: Vec<ListenerUrl>,
    /// Of each listener.
    pub(crate) receive_buffer_octets: usize,
    pub(crate) state: Option<PathBuf>,
}

impl InputPlan {
    /// Whether it never ends by itself.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// The interfaces among it.
    pub(crate) fn interfaces(&self) -> &[String] {
        if let Self::Live(live) = self { &live.interfaces } else { &[] }
    }

    /// Whether it may hold packets.
    pub(crate) fn has_packets(&self) -> bool {
        matches!(self, Self::Nothing | Self::Packets(_)) || !self.interfaces().is_empty()
    }

    /// Whether it may hold flow exports.
    pub(crate) fn has_exports(&self) -> bool {
        match self {
            Self::Nothing | Self::Packets(_) => false,
            Self::Exports { .. } => true,
            Self::Live(live) => !live.listeners.is_empty(),
        }
    }
}

/// What `tapline query` is to do.
#[derive(Debug)]
pub(crate) struct QueryPlan {
    pub(crate) input: InputPlan,
    /// When to end the input.
    pub(crate) duration: Option<Duration>,
    /// After how many final windows of each query to end it.
    pub(crate) windows: Option<u64>,
    /// How often each window is given before it closes, if it is.
    pub(crate) early: Option<Duration>,
    /// Names and texts.
    pub(crate) queries: Vec<(String, String)>,
    pub(crate) format: Format,
    pub(crate) output: Option<PathBuf>,
    pub(crate) explain: bool,
    pub(crate) summary: SummaryFormat,
    pub(crate) quiet: bool,
    pub(crate) options: EngineOptions,
    pub(crate) source_options: SourceOptions,
}

impl QueryArguments {
    /// Reads query files and checks what belongs together.
    pub(crate) fn resolve(self, given: &Given) -> Result<QueryPlan, Failure> {
        let queries = self.queries()?;
        if queries.is_empty() {
            let help =
                "no query; give one, e.g. \"SELECT protocol, count(*) FROM packets GROUP BY protocol\"";
            return Err(Failure::Usage(help.to_owned()));
        }
        if queries.len() > 1 && self.output.is_none() && self.format.is_one_table_a_file() && !self.explain {
            let message =
                "several queries in csv or arrow need a file each; add --output DIR, or take --format json";
            return Err(Failure::Usage(message.to_owned()));
        }
        check_names(&queries)?;
        check_interfaces(&self.interface)?;
        let (options, source_options) = (self.options(), self.source_options());
        let (format, output, summary) = (self.format, self.output.clone(), self.summary);
        let (duration, windows, early) = (self.r#for, self.windows, self.early);
        let (explain, quiet) = (self.explain, self.quiet);
        let input = self.input();
        given.check(&input)?;
        Ok(QueryPlan {
            input,
            duration,
            windows,
            early,
            queries,
            format,
            output,
            explain,
            summary,
            quiet,
            options,
            source_options,
        })
    }

    /// What is to be read.
    fn input(self) -> InputPlan {
        if !self.interface.is_empty() || !self.listen.is_empty() {
            let allowed = self.allow.into_iter().map(|rule| (rule, Verdict::Allow));
            let denied = self.deny.into_iter().map(|rule| (rule, Verdict::Deny));
            return InputPlan::Live(LivePlan {
                interfaces: self.interface,
                is_mirror: self.mirror,
                rules: RulePlan { fixed: allowed.chain(denied).collect(), file: self.rules },
                listeners: self.listen,
                receive_buffer_octets: self.receive_buffer,
                state: self.state,
            });
        }
        if !self.exports.is_empty() {
            return InputPlan::Exports { files: self.exports, ports: self.port };
        }
        if self.pcap.is_empty() { InputPlan::Nothing } else { InputPlan::Packets(self.pcap) }
    }

    fn options(&self) -> EngineOptions {
        let defaults = EngineOptions::default();
        let cores = self.cores.as_ref().map_or_else(Vec::new, |Cores(cores)| cores.clone());
        let workers = if cores.is_empty() { defaults.workers } else { workers_for(cores.len()) };
        EngineOptions {
            workers: self.workers.map_or(workers, usize::from),
            cores,
            groups_max: self.groups_max as usize,
            waiting: WaitingLimits { rows_max: self.waiting_rows_max as usize, ..defaults.waiting },
            ..defaults
        }
    }

    fn source_options(&self) -> SourceOptions {
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

    /// Every query with its name: the file's, or its place on the command line.
    fn queries(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut queries = vec![];
        for file in &self.query_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::Usage(format!("--query-file {}: {error}", file.display())))?;
            name_all(&stem(file), split_statements(without_mark(&text)), &mut queries);
        }
        let statements = self.sql.iter().flat_map(|sql| split_statements(without_mark(sql))).collect();
        name_all("query", statements, &mut queries);
        Ok(queries)
    }
}

/// The text without the mark of its encoding that editors put before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The arguments, so that SQL which begins with a comment is no option: those have no white space in their names.
pub(crate) fn with_comments(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments.map(|argument| {
        let name = argument.to_string_lossy();
        let name = name.split('=').next().unwrap_or_default();
        if name.starts_with("--") && name.contains(char::is_whitespace) {
            let mut sql = OsString::from(" ");
            sql.push(&argument);
            return sql;
        }
        argument
    })
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

/// One query keeps the name, several get numbers.
fn name_all(name: &str, texts: Vec<String>, queries: &mut Vec<(String, String)>) {
    let is_one = texts.len() == 1;
    for (number, text) in texts.into_iter().enumerate() {
        let name = if is_one { name.to_owned() } else { format!("{name}_{}", number + 1) };
        queries.push((name, text));
    }
}

/// Refuses an interface that is named twice: each of its packets would count twice.
fn check_interfaces(names: &[String]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => {
            Err(Failure::Usage(format!("--interface {name} is given twice; name each interface once")))
        }
    }
}

/// Refuses two queries of one name: their results could not be told apart.
fn check_names(queries: &[(String, String)]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    match queries.iter().find(|(name, _)| !names.insert(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!(
                "two queries are called {name}; give their files other names, which are the queries' names too"
            );
            Err(Failure::Usage(message))
        }
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "query".to_owned(), |stem| stem.to_string_lossy().into_owned())
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
}

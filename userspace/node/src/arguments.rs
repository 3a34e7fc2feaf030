//! The command line: parsed here, resolved into what the commands work with.

mod alerts;
mod flows;
mod frames;
mod queries;
mod sensors;
mod stored;

use crate::access::AccessArguments;
use crate::client::NodeArguments;
use crate::direction::DirectionText;
use crate::failure::Failure;
use crate::flags::{Given, is_pipe};
use crate::forward_plan::ForwardArguments;
use crate::frame_filter::FrameFilter;
use crate::limits::{EngineArguments, ReadingArguments};
use crate::lookups::{self, LookupArguments};
use crate::output::Format;
use crate::psql::PsqlArguments;
use crate::rules::RulePlan;
use crate::terminal;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tapline_catalog::parse_duration;
use tapline_engine::EngineOptions;
use tapline_exports::ListenerUrl;
use tapline_interface::Directions;
use tapline_lookup::Tables;
use tapline_query::split_statements;
use tapline_sources::SourceOptions;

pub(crate) use alerts::{AlertsCommand, NewAlertArguments};
pub(crate) use flows::FlowsArguments;
pub(crate) use frames::FrameArguments;
pub(crate) use queries::{NewQueryArguments, QueriesCommand, Shape};
pub(crate) use sensors::SensorsCommand;
pub(crate) use stored::{StoredPlace, StoredPlan};

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
    /// Run a node: read interfaces, listeners and captures that appear until it is stopped, and answer queries that come and go.
    Run(Box<RunArguments>),
    /// Add, list, show, watch, replace and drop the queries of a node that runs.
    Queries {
        #[command(subcommand)]
        command: QueriesCommand,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Say what a node reads, and whether it is there.
    Sources {
        #[command(flatten)]
        node: NodeArguments,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = Shape::Table)]
        format: Shape,
    },
    /// Say which sensors send parts to an aggregator and how each stands, or let one join.
    Sensors {
        #[command(subcommand)]
        command: Option<SensorsCommand>,
        #[command(flatten)]
        node: NodeArguments,
        /// How they are printed.
        #[arg(long, value_enum, default_value_t = Shape::Table)]
        format: Shape,
    },
    /// Say what became of every record that a node read, by source and by query.
    Ledger {
        #[command(flatten)]
        node: NodeArguments,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = Shape::Table)]
        format: Shape,
    },
    /// Say which alarms of a node fire, or let rows of its queries be alarms.
    Alerts {
        #[command(subcommand)]
        command: Option<AlertsCommand>,
        #[command(flatten)]
        node: NodeArguments,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = Shape::Table, global = true)]
        format: Shape,
    },
    /// Say how a node stands: its sources, its queries, and what is wrong.
    Status {
        #[command(flatten)]
        node: NodeArguments,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = Shape::Table)]
        format: Shape,
    },
    /// Show a node, refreshed each second: rates, what is wrong, and the newest windows of some queries.
    Watch {
        /// Queries to show in place of top_talkers and protocols.
        names: Vec<String>,
        #[command(flatten)]
        node: NodeArguments,
        /// Show it so many times, a second apart [default: until Ctrl-C].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        times: Option<u64>,
    },
    /// Show which flows a node sees now, before they end: refreshed each second on a terminal, once as JSON elsewhere.
    Flows {
        #[command(flatten)]
        node: NodeArguments,
        #[command(flatten)]
        flows: FlowsArguments,
    },
    /// Let a node read its folder of queries anew.
    Reload {
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Ask a node line by line, on a terminal.
    Shell {
        #[command(flatten)]
        node: NodeArguments,
    },
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
    /// Write the pages of the manual into a folder.
    #[command(hide = true)]
    Manual {
        /// The folder.
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tapline run --listen udp://0.0.0.0:2055
  tapline run --interface eth0 --listen udp://0.0.0.0:2055 --state /var/lib/tapline
  tapline run --captures /var/captures --state /var/lib/tapline
  tapline run --config configs/collector.toml
  tapline run --config configs/aggregator.toml
  tapline queries list
  tapline queries watch top_talkers
  tapline queries add dns \"SELECT src_ip, count(*) AS n FROM flows WHERE dst_port = 53
      GROUP BY src_ip, tumble('10 seconds')\"")]
pub(crate) struct RunArguments {
    /// Watch the packets that this interface receives; nothing is taken from the host. --direction both has those that it
    /// sends, too. Several may be given.
    #[arg(long, value_name = "IF")]
    pub(crate) interface: Vec<String>,
    /// The interfaces only receive copies: its packets may be taken from the host, which is faster.
    #[arg(long, requires = "interface")]
    pub(crate) mirror: bool,
    #[command(flatten)]
    pub(crate) frames: FrameArguments,
    /// Listen for NetFlow, IPFIX and sFlow on udp://HOST:PORT, for IPFIX on tcp://HOST:PORT. Several may be given.
    #[arg(long, value_name = "URL")]
    pub(crate) listen: Vec<ListenerUrl>,
    /// Read the captures that appear in this folder, also while they are written, such as those of tcpdump -G or dumpcap
    /// -b. Several may be given.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) captures: Vec<PathBuf>,
    /// Keep queries, templates of exporters, and what was read of captures in this folder; without it they are forgotten at the end.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// Store results of queries as Parquet files in this folder; `tapline query --history DIR` reads them.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) history: Option<PathBuf>,
    /// Where the API listens [default: 127.0.0.1:8790]. Another address than one of this machine alone needs TLS and a
    /// token.
    #[arg(long, value_name = "ADDR")]
    pub(crate) api: Option<SocketAddr>,
    /// Listen at this path, too, for users of this machine whose group may write it: `--node unix:PATH` of commands.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) psql: PsqlArguments,
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    #[command(flatten)]
    pub(crate) forward: ForwardArguments,
    /// Read all of this from a file; configs/ has examples.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = [
        "interface", "mirror", "readers", "direction", "filter", "allow", "deny", "rules", "listen", "captures", "lookup", "queries_max",
        "receive_buffer", "exporter_identity", "sampling_rate", "event_time", "allowed_lateness_ms", "cores", "workers",
        "groups_max", "octets_max", "waiting_rows_max",
    ])]
    pub(crate) config: Option<PathBuf>,
    /// Begin without the starting set of queries; a state folder that has queries begins with those.
    #[arg(long)]
    pub(crate) bare: bool,
    /// Queries that may run at once [default: 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) queries_max: Option<u32>,
    /// End after so long, such as 30s, 5m or 1h; windows that are open then are given as partial.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) r#for: Option<Duration>,
    #[command(flatten)]
    pub(crate) lookups: LookupArguments,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
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
    /// host. --direction both has those that it sends, too. Several are watched at once, beside listeners too.
    #[arg(long, value_name = "IF", conflicts_with_all = ["pcap", "exports"])]
    interface: Vec<String>,
    /// Ask the results that a node stored in this folder, or in a bucket, as s3://BUCKET/FOLDER; each of its queries is a
    /// table of its name.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["pcap", "exports", "listen", "interface"])]
    history: Option<PathBuf>,
    #[command(flatten)]
    bucket: stored::BucketArguments,
    /// The interfaces only receive copies: its packets may be taken from the host, which is faster.
    #[arg(long)]
    mirror: bool,
    #[command(flatten)]
    frames: FrameArguments,
    /// End after so long, such as 30s, 5m or 1h; windows that are open then are marked partial.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    r#for: Option<Duration>,
    /// End when every query has given so many final windows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    windows: Option<u64>,
    /// Give each window so far, each time that so much of it has passed, such as 5s; status says early.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    early: Option<Duration>,
    /// Keep the templates of exporters in this folder, and start with those that are there.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
    #[command(flatten)]
    lookups: LookupArguments,
    #[command(flatten)]
    reading: ReadingArguments,
    #[command(flatten)]
    engine: EngineArguments,
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
    /// How the account of the run is printed on standard error.
    #[arg(long, value_enum, default_value_t = SummaryFormat::Text, conflicts_with = "quiet")]
    summary: SummaryFormat,
    /// No progress bar and no summary.
    #[arg(long, short)]
    quiet: bool,
    /// The queries; without one, files are asked line by line on a terminal.
    #[arg(value_name = "SQL")]
    sql: Vec<String>,
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
    /// How many threads read each of them, at most; `None` for as many as there are cores for.
    pub(crate) readers: Option<u16>,
    /// Which of their frames are read.
    pub(crate) directions: Directions,
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

    /// Whether it has interfaces, which only receive copies.
    pub(crate) const fn is_mirror(&self) -> bool {
        matches!(self, Self::Live(live) if live.is_mirror)
    }

    /// Which frames of its interfaces are read.
    pub(crate) const fn directions(&self) -> Directions {
        if let Self::Live(live) = self { live.directions } else { Directions::In }
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
    /// Which frames are looked at; that of the sources' options.
    pub(crate) filter: Option<FrameFilter>,
    pub(crate) format: Format,
    pub(crate) output: Option<PathBuf>,
    pub(crate) explain: bool,
    pub(crate) summary: SummaryFormat,
    pub(crate) quiet: bool,
    /// Whether it is shown how far the input was read.
    pub(crate) has_progress: bool,
    pub(crate) options: EngineOptions,
    pub(crate) source_options: SourceOptions,
    /// What may be looked up.
    pub(crate) tables: Arc<Tables>,
}

impl QueryPlan {
    /// Refuses queries of one name, and several in one file that can hold one table only.
    pub(crate) fn check_queries(&self) -> Result<(), Failure> {
        if self.queries.len() > 1
            && self.output.is_none()
            && self.format.is_one_table_a_file()
            && !self.explain
        {
            let message = "several queries in csv, arrow or parquet need a file each; add --output DIR, or take --format json";
            return Err(Failure::Usage(message.to_owned()));
        }
        check_names(&self.queries)
    }
}

impl QueryArguments {
    /// Reads query files and checks what belongs together.
    pub(crate) fn resolve(self, given: &Given) -> Result<QueryPlan, Failure> {
        let queries = self.queries()?;
        if queries.is_empty() && !self.opens_prompt() {
            let help =
                "no query; give one, e.g. \"SELECT protocol, count(*) FROM packets GROUP BY protocol\"";
            return Err(Failure::Usage(help.to_owned()));
        }
        check_interfaces(&self.interface)?;
        self.frames.log_kernel();
        let filter = self.frames.filter.as_deref().map(FrameFilter::parse).transpose()?;
        let (options, source_options) = (self.engine.options(), self.reading.source_options());
        source_options.selection.set(filter.as_ref().map(FrameFilter::predicate));
        let (format, output, summary) = (self.format, self.output.clone(), self.summary);
        let (duration, windows, early) = (self.r#for, self.windows, self.early);
        let (explain, quiet) = (self.explain, self.quiet);
        let lookups = self.lookups.lookup.clone();
        let input = self.input();
        given.check(&input)?;
        let tables = lookups::open(lookups)?;
        let plan = QueryPlan {
            input,
            duration,
            windows,
            early,
            queries,
            filter,
            format,
            output,
            explain,
            summary,
            quiet,
            has_progress: !quiet,
            options,
            source_options,
            tables,
        };
        plan.check_queries()?;
        Ok(plan)
    }

    /// Whether there is no query, and somebody at a terminal who may ask about files.
    fn opens_prompt(&self) -> bool {
        let files = || self.pcap.iter().chain(&self.exports);
        let is_asked =
            self.sql.is_empty() && self.query_file.is_empty() && self.output.is_none() && !self.explain;
        // What is read once answers once.
        let has_files = files().next().is_some() && !files().any(|file| is_pipe(file));
        is_asked && has_files && terminal::is_interactive()
    }

    /// What is to be read.
    fn input(self) -> InputPlan {
        if !self.interface.is_empty() || !self.listen.is_empty() {
            return InputPlan::Live(LivePlan {
                interfaces: self.interface,
                is_mirror: self.mirror,
                readers: self.frames.readers,
                directions: DirectionText::directions(self.frames.direction),
                rules: self.frames.rules(),
                listeners: self.listen,
                receive_buffer_octets: self.reading.receive_buffer,
                state: self.state,
            });
        }
        if !self.exports.is_empty() {
            return InputPlan::Exports { files: self.exports, ports: self.port };
        }
        if self.pcap.is_empty() { InputPlan::Nothing } else { InputPlan::Packets(self.pcap) }
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

/// The statements of a text, with names.
pub(crate) fn name_statements(sql: &str) -> Vec<(String, String)> {
    let mut queries = vec![];
    name_all("query", split_statements(sql), &mut queries);
    queries
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

/// One query keeps the name, several get numbers.
fn name_all(name: &str, texts: Vec<String>, queries: &mut Vec<(String, String)>) {
    let is_one = texts.len() == 1;
    for (number, text) in texts.into_iter().enumerate() {
        let name = if is_one { name.to_owned() } else { format!("{name}_{}", number + 1) };
        queries.push((name, text));
    }
}

/// Refuses an interface that is named twice: each of its packets would count twice.
pub(crate) fn check_interfaces(names: &[String]) -> Result<(), Failure> {
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

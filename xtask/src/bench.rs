//! `cargo xtask bench`: sees to the programs that are measured, and starts what measures them.
//!
//! Takes a command line, installs the programs that tapline is compared with, builds the rest and hands the arguments
//! over.

use std::ffi::OsString;
use std::process::Command as Program;

use anyhow::{Result, bail, ensure};
use clap::Subcommand;
use tapline_programs::{folders, style};

use crate::setup::{self, Purpose};
use crate::{ebpf, process, workspace};

/// The whole workspace is named for the same reason as where tapline is built.
const BENCH_LOWER: [&str; 4] = ["bench", "--workspace", "--bench", "lower"];
const BENCH_LOOKUP: [&str; 4] = ["bench", "--workspace", "--bench", "lookup"];
const BENCH_HISTORY: [&str; 4] = ["bench", "--workspace", "--bench", "history"];
const BENCH_CHANGES: [&str; 4] = ["bench", "--workspace", "--bench", "changes"];
const BENCH_EXPORTS: [&str; 4] = ["bench", "--workspace", "--bench", "exports"];
const BUILD: [&str; 5] = ["build", "--release", "--workspace", "--bin", "tapline-bench"];

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// CPU time over one capture file, tapline and other programs in turn
    #[command(disable_help_flag = true)]
    Offline(Arguments),
    /// Up to a thousand queries over one capture file, at once and one at a time
    #[command(disable_help_flag = true)]
    Queries(Arguments),
    /// CPU time of collecting flow exports, tapline and other collectors in turn
    #[command(disable_help_flag = true)]
    Ingress(Arguments),
    /// BackStreamDB's first experiment: records counted in windows, exact at rates up to 1.2 M records/s
    #[command(name = "backstreamdb", disable_help_flag = true)]
    BackStreamDb(Arguments),
    /// CPU time of the traffic matrix over stored flow exports, tapline and nfdump in turn
    #[command(disable_help_flag = true)]
    Exports(Arguments),
    /// What a frame costs in the kernel, part by part, by test runs and on the wire
    #[command(disable_help_flag = true)]
    Kernel(Arguments),
    /// Packets counted on an interface, tapline and other programs in turn; and what SQL costs over AF_XDP
    #[command(disable_help_flag = true)]
    Live(Arguments),
    /// A day in the life of a node, compressed: what it says must be what was sent
    #[command(disable_help_flag = true)]
    Node(Arguments),
    /// A node under a flood of ten times what it has room for: memory, totals and heavy hitters
    #[command(disable_help_flag = true)]
    Flood(Arguments),
    /// What requests to a node cost its records: CPU time of one, with requests and without in turn, and losses
    #[command(disable_help_flag = true)]
    Api(Arguments),
    /// Queries that come and go by many hands at full load: accounts, losses, and what a record takes afterwards
    #[command(disable_help_flag = true)]
    Churn(Arguments),
    /// Five hundred who watch: how soon they see a window, psql too, and what they cost the records
    #[command(disable_help_flag = true)]
    Viewers(Arguments),
    /// Rows that leave by each sink, beside what the servers take by themselves
    #[command(disable_help_flag = true)]
    Sinks(Arguments),
    /// One picture from many boxes: exact, what it costs, and what becomes of it on bad links; takes some twelve minutes
    #[command(disable_help_flag = true)]
    Sensors(Arguments),
    /// Decoding of flow exports against netflow_parser, in memory
    #[command(disable_help_flag = true)]
    Decode(Arguments),
    /// The lower half of a query against whole-batch SQL, in memory
    #[command(disable_help_flag = true)]
    Lower(Arguments),
    /// Addresses in a table of a million prefixes, against a hash table and maxminddb, in memory
    #[command(disable_help_flag = true)]
    Lookup(Arguments),
    /// A day of results stored, octets a row, and questions over it beside DuckDB; takes some twenty minutes
    #[command(disable_help_flag = true)]
    History(Arguments),
    /// How soon a query sees its first rows beside others under full load, in memory
    Changes,
}

/// What to measure, and whether it has to be enough.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Options {
    /// Measure all that has a floor, and fail when a ratio is below its own; takes about an hour
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How to measure; --help says more
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.command {
        Some(command) => run_one(command),
        None => check_all(),
    }
}

/// Measures all that has a floor; what fails does not keep the rest from being measured.
fn check_all() -> Result<()> {
    type Measurement = fn(Arguments) -> Command;
    const ALL: [(&str, Measurement); 14] = [
        ("offline", Command::Offline),
        ("queries", Command::Queries),
        ("exports", Command::Exports),
        ("ingress", Command::Ingress),
        ("live", Command::Live),
        ("api", Command::Api),
        ("churn", Command::Churn),
        ("viewers", Command::Viewers),
        ("sinks", Command::Sinks),
        ("sensors", Command::Sensors),
        ("decode", Command::Decode),
        ("lower", Command::Lower),
        ("lookup", Command::Lookup),
        ("history", Command::History),
    ];
    let check = |(name, measurement): (&'static str, Measurement)| {
        println!("\n## {name}\n");
        let outcome = run_one(&measurement(Arguments { arguments: vec!["--check".into()] }));
        outcome.inspect_err(|error| eprintln!("{} {error:#}", style::error("error:"))).err().map(|_| name)
    };
    let missed: Vec<_> = ALL.into_iter().filter_map(check).collect();
    ensure!(missed.is_empty(), "not as it has to be: {}", missed.join(", "));
    Ok(())
}

fn run_one(command: &Command) -> Result<()> {
    match command {
        Command::Offline(arguments) => beside_others("offline", arguments),
        Command::Queries(arguments) => of_tapline("queries", arguments),
        Command::Ingress(arguments) => beside_others("ingress", arguments),
        Command::BackStreamDb(arguments) => of_tapline("backstreamdb", arguments),
        Command::Exports(arguments) => beside_others("exports", arguments),
        Command::Kernel(arguments) => kernel(arguments),
        Command::Live(arguments) => live(arguments),
        Command::Node(arguments) => node("node", arguments),
        Command::Flood(arguments) => node("flood", arguments),
        Command::Api(arguments) => api("api", arguments),
        Command::Churn(arguments) => api("churn", arguments),
        Command::Viewers(arguments) => api("viewers", arguments),
        Command::Sinks(arguments) => sinks(arguments),
        Command::Sensors(arguments) => sensors(arguments),
        Command::Decode(arguments) => in_memory(BENCH_EXPORTS, arguments),
        Command::Lower(arguments) => in_memory(BENCH_LOWER, arguments),
        Command::Lookup(arguments) => in_memory(BENCH_LOOKUP, arguments),
        Command::History(arguments) => history(arguments),
        Command::Changes => process::run(process::cargo().args(BENCH_CHANGES)),
    }
}

fn in_memory(benchmark: [&str; 4], arguments: &Arguments) -> Result<()> {
    process::run(process::cargo().args(benchmark).arg("--").args(&arguments.arguments))
}

/// Without DuckDB, tapline is asked alone.
fn history(arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help()
        && let Err(error) = setup::duckdb()
    {
        eprintln!("{} {error:#}", style::warning("warning:"));
    }
    in_memory(BENCH_HISTORY, arguments)
}

fn beside_others(name: &str, arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help() {
        setup::try_for(Purpose::Bench);
    }
    of_tapline(name, arguments)
}

/// Measures tapline; where it cannot be built, the others are measured without it.
fn of_tapline(name: &str, arguments: &Arguments) -> Result<()> {
    let is_wanted = !arguments.ask_for_help() && !arguments.name_tapline();
    if is_wanted && let Err(error) = workspace::build_tapline() {
        eprintln!("{} {error:#}", style::warning("warning:"));
    }
    start(name, arguments)
}

fn kernel(arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help() {
        ebpf::prepare();
        build_example("kernel_parts")?;
    }
    start("kernel", arguments)
}

fn live(arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help() {
        if !setup::is_root() {
            bail!("network namespaces and XDP programs need root: sudo cargo xtask bench live");
        }
        ebpf::prepare();
        build_example("live_reader")?;
        workspace::build_load()?;
    }
    beside_others("live", arguments)
}

fn node(name: &str, arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help() {
        if !setup::is_root() {
            bail!("network namespaces and XDP programs need root: sudo cargo xtask bench {name}");
        }
        ebpf::prepare();
        workspace::build_load()?;
        if !arguments.name_tapline() {
            workspace::build_tapline()?;
        }
    }
    start(name, arguments)
}

fn api(name: &str, arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help() {
        workspace::build_load()?;
    }
    of_tapline(name, arguments)
}

/// With Kafka, unless that cannot be built here.
fn sinks(arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help() {
        setup::try_for(Purpose::Test);
    }
    if let Err(error) = process::run(process::cargo().args(BUILD).args(workspace::ALL_WITH_KAFKA)) {
        eprintln!("{} {error:#}", style::warning("warning:"));
        return start("sinks", arguments);
    }
    start_built("sinks", arguments)
}

/// Where nfdump or openssl cannot be had, what needs them says so, or does without.
fn sensors(arguments: &Arguments) -> Result<()> {
    if !arguments.ask_for_help() {
        workspace::build_load()?;
    }
    beside_others("sensors", arguments)
}

fn build_example(name: &str) -> Result<()> {
    process::run(process::cargo().args(["build", "--release", "--workspace", "--example", name]))
}

fn start(name: &str, arguments: &Arguments) -> Result<()> {
    process::run(process::cargo().args(BUILD))?;
    start_built(name, arguments)
}

fn start_built(name: &str, arguments: &Arguments) -> Result<()> {
    process::run(Program::new(folders::built("tapline-bench")?).arg(name).args(&arguments.arguments))
}

impl Arguments {
    fn ask_for_help(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "--help" || argument == "-h")
    }

    /// Whether another tapline than that of this checkout is to be measured.
    fn name_tapline(&self) -> bool {
        self.arguments.iter().any(|argument| argument.as_encoded_bytes().starts_with(b"--tapline"))
    }
}

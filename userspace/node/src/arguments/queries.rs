//! The command line of `tapline queries`.

use crate::allowance::AllowanceArguments;
use crate::output::Format;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;
use std::time::Duration;
use tapline_catalog::parse_duration;

/// How what a node says is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// For a person.
    Table,
    /// One object.
    Json,
}

/// What to do with the queries of a node.
#[derive(Debug, Subcommand)]
pub(crate) enum QueriesCommand {
    /// Add a query; it runs from now on, and nothing else is disturbed.
    Add(NewQueryArguments),
    /// Put a query in the place of another one of its name.
    Replace(NewQueryArguments),
    /// List all queries with their states.
    List {
        /// How they are printed.
        #[arg(long, value_enum, default_value_t = Shape::Table)]
        format: Shape,
    },
    /// Show one query: its text, its state, and what became of its rows.
    Show {
        /// Its name.
        name: String,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = Shape::Table)]
        format: Shape,
    },
    /// Say what a query would do: both halves, panes, columns, and the sources that it reads.
    Explain {
        /// The query.
        sql: String,
    },
    /// Print the newest window of a query, and those that come, until Ctrl-C or --windows.
    Watch {
        /// Its name.
        name: String,
        /// How results are printed.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// End behind so many windows that are whole.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        windows: Option<u64>,
    },
    /// Drop a query.
    Drop {
        /// Its name.
        name: String,
    },
}

/// A query for a node.
#[derive(Debug, Args)]
pub(crate) struct NewQueryArguments {
    /// What it is called: letters, digits, - and _.
    pub(crate) name: String,
    /// The query; without it, it is read from --file.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) sql: Option<String>,
    /// Read it from a file, with its note and options in comments before it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Give each window so far, each time that so much of it has passed, such as 10s; status says early.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "file")]
    pub(crate) early: Option<Duration>,
    /// Give the newest window as metrics to Prometheus, at /metrics of the node: numbers as gauges, keys as labels.
    #[arg(long, conflicts_with = "file")]
    pub(crate) metrics: bool,
    /// What it is for.
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    pub(crate) note: Option<String>,
    /// Whether history keeps its results: on or off [default: on where it has windows].
    #[arg(long, value_name = "WHAT", conflicts_with = "file")]
    pub(crate) history: Option<String>,
    #[command(flatten)]
    pub(crate) allowance: AllowanceArguments,
}

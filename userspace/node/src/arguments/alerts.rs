//! The command line of `tapline alerts`.

use clap::{Args, Subcommand};
use std::time::Duration;
use tapline_catalog::{AlertCondition, parse_by, parse_cool_down};
use tapline_sinks::AlertBy;

/// What to do about the alerts of a node, besides to say which alarms fire.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Let rows of a query be alarms, or say it otherwise of the alert with this condition; the query runs on.
    Add(NewAlertArguments),
    /// List all alerts: those that were added, and those that the node's configuration says.
    List,
    /// Drop an alert of a query.
    Drop {
        /// The query.
        query: String,
        /// The condition of the alert.
        #[arg(value_parser = AlertCondition::parse)]
        condition: AlertCondition,
    },
}

/// An alert of a query.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tapline alerts add port_sweep rows --sink pager
  tapline alerts add top_talkers \"octets > 1_000_000_000\" --cool-down 1h")]
pub(crate) struct NewAlertArguments {
    /// The query.
    pub(crate) query: String,
    /// Which of its rows are alarms: rows, for all of them, or a column, >, >=, <, <=, = or <>, and a number.
    #[arg(value_parser = AlertCondition::parse)]
    pub(crate) condition: AlertCondition,
    /// A sink of the node's configuration that tells somebody of it. Several may be given; without one, it is shown only.
    #[arg(long, value_name = "NAME")]
    pub(crate) sink: Vec<String>,
    /// What is one alarm: key, each group by itself, or whole, the query [default: key].
    #[arg(long, value_name = "WHAT", value_parser = parse_by)]
    pub(crate) by: Option<AlertBy>,
    /// How long an alarm that goes on is not told again, such as 1h [default: 5m].
    #[arg(long, value_name = "TIME", value_parser = parse_cool_down)]
    pub(crate) cool_down: Option<Duration>,
    /// After so many windows without such rows it is over [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) resolve_after: Option<u32>,
}

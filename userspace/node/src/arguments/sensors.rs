//! The command line of `tapline sensors`.

use clap::Subcommand;

/// What to do about the sensors of an aggregator, besides to list them.
#[derive(Debug, Subcommand)]
pub(crate) enum SensorsCommand {
    /// Make a token for a sensor, and print the command by which it joins.
    Join {
        /// What it is called: letters, digits, ., _ and -.
        name: String,
        /// The URL of the aggregator as that sensor reaches it [default: as the aggregator says it].
        #[arg(long, value_name = "URL")]
        to: Option<String>,
    },
    /// Wait for a sensor no more, nor miss it, until it comes back; what it sent stays.
    Rest {
        /// Its name.
        name: String,
    },
}

//! The command line of `tapline flows`.

use super::Shape;
use clap::Args;
use tapline_catalog::FlowOrder;

/// Which flows of a node are shown, and how.
#[derive(Debug, Args)]
pub(crate) struct FlowsArguments {
    /// So many of them.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) limit: u32,
    /// Which come first: octets, packets, rate, newest or idle.
    #[arg(long, value_name = "WHAT", default_value_t = FlowOrder::Octets)]
    pub(crate) order: FlowOrder,
    /// Show them so many times, a second apart [default: until Ctrl-C on a terminal, else once].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) times: Option<u64>,
    /// How they are printed [default: table on a terminal, else json].
    #[arg(long, value_enum)]
    pub(crate) format: Option<Shape>,
}

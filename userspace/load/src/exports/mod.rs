//! `cargo xtask load exports`: flow exports of synthetic routers.
//!
//! Takes a seed, a rate and faults, sends over UDP or writes a capture file. What was sent stands on standard
//! output, as a query gives it; a summary stands on standard error.

mod ask;
pub mod collect;
pub mod compare;
mod report;
pub mod sender;
pub mod socket;
mod sockets;

use std::io::{self, BufWriter};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tapline_programs::folders;
use tapline_trafficgen::exports::{ExportPlan, Faults, Protocol};

use crate::pace::{Limit, Rate};
use sender::{Options, Sent};

/// What the command's table is.
const AFTER_HELP: &str = "\
What was sent stands on standard output, as `tapline query --format csv` answers
    SELECT src_as, dst_as, count(*) AS records, sum(packets) AS packets, sum(octets) AS octets
    FROM flows GROUP BY src_as, dst_as
with the rows sorted: without what was lost, and twice what was duplicated.
With --ask, tapline answers this in windows of ten seconds, and the exit code is 1 when something differs that
tapline does not count as lost.";

/// Flow exports of synthetic routers.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The protocol of the exports
    #[arg(long, value_enum)]
    protocol: ProtocolName,
    /// Where to send, such as 127.0.0.1:2055
    #[arg(long, value_name = "ADDR:PORT", required_unless_present = "write")]
    to: Option<SocketAddr>,
    /// Write a capture file instead; the same seed and rate give the same octets
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    write: Option<PathBuf>,
    /// Records in a second, of all exporters together, or max
    #[arg(long, value_name = "N|max", default_value = "100000")]
    rate: Rate,
    /// End after so many seconds; 10 when there is no other end
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// End after so many records, at the end of a datagram
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// Exporters; each sends from its own loopback address, or its own port where the target is elsewhere
    #[arg(long, value_name = "K", default_value_t = 1)]
    exporters: u32,
    /// Another seed makes other records
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Announce that one packet in so many is sampled
    #[arg(long, value_name = "N")]
    sampling: Option<u32>,
    /// Autonomous systems on each side; every pair of them occurs, up to 1000 on each side
    #[arg(long, value_name = "N", default_value_t = 200)]
    systems: u32,
    /// Send templates, or interface counters, again after so many datagrams of an exporter
    #[arg(long, value_name = "N", default_value_t = 1000)]
    template_every: u64,
    /// Send them again after so many seconds, too
    #[arg(long, value_name = "S", default_value_t = 10)]
    template_seconds: u64,
    /// Send one datagram a system call, as routers do, instead of many with segmentation offload
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    faults: FaultArguments,
    /// Compare what was sent with what a query found, as CSV; `-` for standard input, read when all is sent
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Start this tapline, or without a name the one of this checkout, let it listen at the address that is sent
    /// to, and compare what was sent with what it found; records that it counts as lost may be missing
    #[arg(long, value_name = "TAPLINE", num_args = 0..=1, conflicts_with_all = ["compare", "write"])]
    ask: Option<Option<PathBuf>>,
}

/// What goes wrong on purpose.
#[derive(Debug, clap::Args)]
struct FaultArguments {
    /// Generate so many of a hundred datagrams, but do not send them
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    lose: u64,
    /// Send so many of a hundred datagrams after some of their successors
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    reorder: u64,
    /// Send so many of a hundred datagrams twice
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    duplicate: u64,
    /// Restart every exporter after so many of its datagrams
    #[arg(long, value_name = "N", default_value_t = 0)]
    restart_every: u64,
    /// Redefine the template after so many datagrams of an exporter
    #[arg(long, value_name = "N", default_value_t = 0)]
    redefine_every: u64,
    /// Send no template before so many datagrams of an exporter
    #[arg(long, value_name = "N", default_value_t = 0)]
    withhold: u64,
    /// Let so many of a hundred exporters claim times of no use: clocks never set, ahead, behind or stepping, flows
    /// of long ago
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    nonsense: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProtocolName {
    V5,
    V7,
    V9,
    Ipfix,
    Sflow,
}

/// Sends what the command line says, and tells what that was.
///
/// # Errors
/// When it cannot be sent, or what was found is not what was sent.
pub fn run(arguments: &Arguments) -> Result<()> {
    let options = arguments.options();
    if let (Some(tapline), Some(target)) = (&arguments.ask, arguments.to) {
        let tapline = tapline.clone().map_or_else(|| folders::built("tapline"), Ok)?;
        let (sent, answer) = ask::ask(&tapline, target, &options)?;
        tell(&options, &sent)?;
        return answer.compare(&sent.truth);
    }
    let sent = arguments.send(&options)?;
    tell(&options, &sent)?;
    let Some(found) = &arguments.compare else { return Ok(()) };
    compare::compare(&sent.truth.pairs, &compare::read(found)?, 0)
}

/// Says what was sent.
fn tell(options: &Options, sent: &Sent) -> Result<()> {
    let stdout = BufWriter::new(io::stdout().lock());
    sent.truth.write_csv(stdout).context("standard output cannot be written")?;
    eprint!("{}", report::summary(&options.plan, sent));
    Ok(())
}

impl Arguments {
    fn send(&self, options: &Options) -> Result<Sent> {
        match (self.to, &self.write) {
            (Some(target), _) => sender::send(target, options),
            (None, Some(path)) => sender::write(path, options),
            (None, None) => bail!("say where to send with --to, or which file to write with --write"),
        }
    }

    fn options(&self) -> Options {
        Options {
            plan: self.plan(),
            exporters: self.exporters,
            rate: self.rate,
            limit: self.limit(),
            plain: self.plain,
        }
    }

    fn plan(&self) -> ExportPlan {
        const BLOCK_RECORDS_MAX: u32 = 1_000_000;
        let plan = ExportPlan::new(self.protocol.resolve(), self.seed);
        let pairs = self.systems.saturating_mul(self.systems).min(BLOCK_RECORDS_MAX);
        ExportPlan {
            block_records: plan.block_records.max(pairs),
            autonomous_systems: self.systems,
            sampling_rate: self.sampling,
            control_every_datagrams: self.template_every,
            control_every_ms: self.template_seconds.saturating_mul(1000),
            faults: self.faults.resolve(),
            ..plan
        }
    }

    fn limit(&self) -> Limit {
        const SECONDS: u64 = 10;
        let seconds = match (self.seconds, self.records) {
            (Some(seconds), _) => Duration::from_secs(seconds),
            (None, None) => Duration::from_secs(SECONDS),
            (None, Some(_)) => Duration::MAX,
        };
        Limit { duration: seconds, records: self.records.unwrap_or(u64::MAX) }
    }
}

impl FaultArguments {
    fn resolve(&self) -> Faults {
        Faults {
            lose_percent: self.lose,
            reorder_percent: self.reorder,
            duplicate_percent: self.duplicate,
            restart_every_datagrams: self.restart_every,
            redefine_every_datagrams: self.redefine_every,
            withhold_datagrams: self.withhold,
            nonsense_percent: self.nonsense,
        }
    }
}

impl ProtocolName {
    fn resolve(self) -> Protocol {
        match self {
            Self::V5 => Protocol::NetflowV5,
            Self::V7 => Protocol::NetflowV7,
            Self::V9 => Protocol::NetflowV9,
            Self::Ipfix => Protocol::Ipfix,
            Self::Sflow => Protocol::Sflow,
        }
    }
}

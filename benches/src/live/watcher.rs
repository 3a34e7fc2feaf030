//! The watchers that are compared: how each is started, ended, and asked what it counted.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use tapline_programs::cable::{Cable, FAR};
use tapline_trafficgen::csv::Csv;

use super::{Setting, WATCHES};
use crate::ingress::collector::find;
use crate::peers::{PMACCTD_TABLE, pmacctd_configuration};

/// A program that counts what an interface receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watcher {
    /// tapline, by the kernel's flow table.
    FlowTable,
    /// tapline, flows of the kernel's flow table.
    Flows,
    /// tapline, flows of packets through `AF_XDP`.
    FlowsOfPackets,
    /// tapline, by packets through `AF_XDP`.
    Xdp,
    /// tapline, by copies through `AF_PACKET`.
    Copies,
    Pmacctd,
    Softflowd,
    /// tapline counts all packets through `AF_XDP`.
    XdpCount,
    /// The same of a few flows, where the kernel leaves out the others.
    XdpFew,
    /// The same where their condition is one that the kernel is not told.
    XdpFewUntold,
    /// Reads packets through `AF_XDP` and does nothing with them.
    XdpNothing,
}

/// Packets by source address: keys that the flow table has, and one more that it has not.
const BY_TABLE: &str = "SELECT src_ip, count(*) AS packets FROM packets GROUP BY src_ip, tumble('1 second')";
const BY_PACKETS: &str =
    "SELECT src_ip, count(ttl) AS packets FROM packets GROUP BY src_ip, tumble('1 second')";
/// The same of flows: columns that the flow table has, and one more that it has not.
const FLOWS: &str = "SELECT src_ip, sum(packets) AS packets FROM flows GROUP BY src_ip, tumble('1 second')";
const FLOWS_OF_PACKETS: &str = "SELECT src_ip, sum(packets) AS packets FROM flows WHERE tos IS NOT NULL \
                                GROUP BY src_ip, tumble('1 second')";
const COUNT: &str = "SELECT count(ttl) AS packets FROM packets GROUP BY tumble('1 second')";
/// A few of the flows, by a condition that can be said of a field, and by one that cannot: about one packet in a hundred
/// where there are a thousand flows.
const FEW_FLOWS: u64 = 10;
const FEW: &str =
    "SELECT count(ttl) AS packets FROM packets WHERE src_ip < '10.0.0.10' GROUP BY tumble('1 second')";
const FEW_UNTOLD: &str = "SELECT count(ttl) AS packets FROM packets WHERE coalesce(src_ip, dst_ip) < '10.0.0.10' \
                          GROUP BY tumble('1 second')";

impl Watcher {
    pub(super) const ALL: [Self; 11] = [
        Self::FlowTable,
        Self::Flows,
        Self::FlowsOfPackets,
        Self::Xdp,
        Self::Copies,
        Self::Pmacctd,
        Self::Softflowd,
        Self::XdpCount,
        Self::XdpFew,
        Self::XdpFewUntold,
        Self::XdpNothing,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FlowTable => "tapline, flow table",
            Self::Flows => "tapline, flows of the table",
            Self::FlowsOfPackets => "tapline, flows by AF_XDP",
            Self::Xdp => "tapline, AF_XDP",
            Self::Copies => "tapline, AF_PACKET",
            Self::Pmacctd => "pmacctd",
            Self::Softflowd => "softflowd",
            Self::XdpCount => "tapline, AF_XDP, count",
            Self::XdpFew => "tapline, AF_XDP, a few flows",
            Self::XdpFewUntold => "tapline, AF_XDP, a few flows, not told",
            Self::XdpNothing => "AF_XDP, nothing",
        }
    }

    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Pmacctd => "pmacctd",
            Self::Softflowd => "softflowd",
            _ => "tapline",
        }
    }

    /// The signal that ends it.
    pub(super) const fn signal(self) -> &'static str {
        match self {
            Self::Softflowd => "TERM",
            _ => "INT",
        }
    }

    /// The command that watches the far end and writes into the folder.
    pub(super) fn command(self, cable: &Cable, setting: &Setting) -> Result<Command> {
        let program = match self {
            Self::Pmacctd | Self::Softflowd => find(self.program())?,
            Self::XdpNothing => setting.reader.clone(),
            _ => setting.tapline.clone(),
        };
        let mut command = cable.far("taskset".as_ref());
        command.args(["--cpu-list", WATCHES]).arg(program);
        match self {
            Self::FlowTable => tapline(&mut command, &["--mirror", BY_TABLE]),
            Self::Flows => tapline(&mut command, &["--mirror", FLOWS]),
            Self::FlowsOfPackets => tapline(&mut command, &["--mirror", FLOWS_OF_PACKETS]),
            Self::Xdp => tapline(&mut command, &["--mirror", BY_PACKETS]),
            Self::Copies => tapline(&mut command, &[BY_PACKETS]),
            Self::XdpCount => tapline(&mut command, &["--mirror", COUNT]),
            Self::XdpFew => tapline(&mut command, &["--mirror", FEW]),
            Self::XdpFewUntold => tapline(&mut command, &["--mirror", FEW_UNTOLD]),
            Self::XdpNothing => command.arg(FAR),
            Self::Softflowd => {
                let entries = (setting.flows * 2).max(8192).to_string();
                command.args(["-d", "-i", FAR, "-m", &entries, "-p", "pid", "-c", "control"])
            }
            Self::Pmacctd => {
                let configuration = setting.folder.join("pmacctd.conf");
                let source = format!("pcap_interface: {FAR}");
                let text = pmacctd_configuration(&source, "src_host", &setting.folder);
                fs::write(&configuration, text)
                    .with_context(|| format!("{} cannot be written", configuration.display()))?;
                command.arg("-f").arg(configuration)
            }
        };
        Ok(command)
    }

    /// What it says before its end when it is asked.
    pub(super) fn tell(self, setting: &Setting) -> Result<String> {
        if self != Self::Softflowd {
            return Ok(String::new());
        }
        let mut control = Command::new(find("softflowctl")?);
        let output = control.args(["-c", "control", "statistics"]).current_dir(&setting.folder).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// How many frames it counted; who looks at a few flows, of how many frames it was given theirs.
    pub(super) fn counted(self, output: &Output, told: &str, setting: &Setting) -> Result<u64> {
        match self {
            Self::Softflowd => {
                let number = told.lines().find_map(|line| line.strip_prefix("Packets processed: "));
                number
                    .and_then(|number| number.trim().parse().ok())
                    .with_context(|| format!("it told: {told}"))
            }
            Self::Pmacctd => {
                let file = setting.folder.join(PMACCTD_TABLE);
                let text = fs::read_to_string(&file)
                    .with_context(|| format!("{} was not written", file.display()))?;
                Ok(Csv::parse_loosely(&text)?.sum("PACKETS")?)
            }
            Self::XdpFew | Self::XdpFewUntold => {
                // Flows come in rounds, the last of which may not be whole.
                let counted = Csv::parse_loosely(&String::from_utf8_lossy(&output.stdout))?.sum("packets")?;
                let flows = u64::from(setting.flows);
                Ok(counted.saturating_sub(FEW_FLOWS) * flows / FEW_FLOWS.min(flows))
            }
            _ => Ok(Csv::parse_loosely(&String::from_utf8_lossy(&output.stdout))?.sum("packets")?),
        }
    }
}

fn tapline<'a>(command: &'a mut Command, arguments: &[&str]) -> &'a mut Command {
    command.args(["query", "--interface", FAR, "--cores", WATCHES, "--format", "csv"]).args(arguments)
}

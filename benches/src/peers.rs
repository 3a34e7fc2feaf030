//! The programs that `bench offline` runs, and what it expects of them.
//!
//! Each entry knows its command line, how to see in its output that it read every packet, and by what factor
//! tapline is to need less CPU time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tapline_trafficgen::csv::Csv;
use tapline_trafficgen::workload::Workload;

use super::ingress::collector::find;

/// What every program is given.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) capture: PathBuf,
    /// The program `tapline`.
    pub(super) tapline: PathBuf,
    /// An empty folder of its own, for what it writes.
    pub(super) scratch: PathBuf,
    pub(super) workload: Workload,
}

/// A query of tapline that others are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Query {
    /// Packets and octets of every flow.
    FiveTuple,
    /// Packets of every protocol.
    Protocols,
}

/// What a program is in the comparison.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// tapline itself.
    Tapline(Query),
    /// A program that does the work of a query.
    Peer(Query),
    /// For orientation.
    Reference,
}

/// A program and its command line.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) role: Role,
    pub(super) command: fn(&Setting, Command) -> Result<Command>,
    pub(super) check: fn(&Setting, &Output) -> Result<()>,
}

pub(super) const CONTESTANTS: &[Contestant] = &[
    Contestant {
        name: "tapline, five-tuple",
        program: "tapline",
        role: Role::Tapline(Query::FiveTuple),
        command: |setting, command| Ok(tapline(setting, command, FIVE_TUPLE_SQL)),
        check: check_five_tuple,
    },
    Contestant {
        name: "tapline, protocols",
        program: "tapline",
        role: Role::Tapline(Query::Protocols),
        command: |setting, command| Ok(tapline(setting, command, PROTOCOLS_SQL)),
        check: check_protocols,
    },
    Contestant {
        name: "softflowd, table for all flows",
        program: "softflowd",
        role: Role::Peer(Query::FiveTuple),
        command: |setting, mut command| {
            let entries = (setting.workload.flows * 2).to_string();
            command.args(["-d", "-c", "none", "-m", &entries, "-r"]).arg(&setting.capture);
            Ok(command)
        },
        check: check_softflowd,
    },
    Contestant {
        name: "softflowd, default table",
        program: "softflowd",
        role: Role::Peer(Query::FiveTuple),
        command: |setting, mut command| {
            command.args(["-d", "-c", "none", "-r"]).arg(&setting.capture);
            Ok(command)
        },
        check: check_softflowd,
    },
    Contestant {
        name: "pmacctd",
        program: "pmacctd",
        role: Role::Peer(Query::FiveTuple),
        command: pmacctd,
        check: check_pmacctd,
    },
    Contestant {
        name: "nfpcapd",
        program: "nfpcapd",
        role: Role::Peer(Query::FiveTuple),
        command: |setting, mut command| {
            command.arg("-r").arg(&setting.capture).arg("-w").arg(&setting.scratch);
            Ok(command)
        },
        check: |setting, output| says(output, &format!("Total: Processed: {},", setting.workload.packets)),
    },
    Contestant {
        name: "tshark -z conv,udp",
        program: "tshark",
        role: Role::Peer(Query::FiveTuple),
        command: |setting, mut command| {
            command.args(["-n", "-q", "-z", "conv,udp", "-r"]).arg(&setting.capture);
            Ok(command)
        },
        check: check_tshark,
    },
    Contestant {
        name: "tcpdump -w /dev/null",
        program: "tcpdump",
        role: Role::Peer(Query::Protocols),
        command: |setting, mut command| {
            command.arg("-r").arg(&setting.capture).args(["-w", "/dev/null"]);
            Ok(command)
        },
        check: |_, _| Ok(()),
    },
    Contestant {
        name: "capinfos",
        program: "capinfos",
        role: Role::Reference,
        command: |setting, mut command| {
            command.args(["-T", "-M", "-r", "-c", "-d"]).arg(&setting.capture);
            Ok(command)
        },
        check: |setting, output| {
            let Workload { packets, frame_octets, .. } = setting.workload;
            says(output, &format!("\t{packets}\t{}", packets * frame_octets as u64))
        },
    },
];

const FIVE_TUPLE_SQL: &str = "SELECT src_ip, dst_ip, src_port, dst_port, protocol, count(*) AS packets, \
     sum(octets) AS octets FROM packets GROUP BY src_ip, dst_ip, src_port, dst_port, protocol";

const PROTOCOLS_SQL: &str = "SELECT protocol, count(*) AS packets FROM packets GROUP BY protocol";

fn tapline(setting: &Setting, mut command: Command, sql: &str) -> Command {
    command.args(["query", "--format", "csv", "--pcap"]).arg(&setting.capture).arg(sql);
    command
}

/// The file that pmacctd prints its table to, in a folder.
pub(super) const PMACCTD_TABLE: &str = "pmacctd.csv";

/// What pmacctd is to read and to group by; it prints once, at its end, into a folder.
pub(super) fn pmacctd_configuration(source: &str, keys: &str, folder: &Path) -> String {
    format!(
        "daemonize: false\n\
         {source}\n\
         aggregate: {keys}\n\
         plugins: print\n\
         print_output: csv\n\
         print_output_file: {}\n\
         print_refresh_time: 3600\n\
         print_cache_entries: 131071\n\
         plugin_pipe_size: 67108864\n\
         plugin_buffer_size: 65536\n",
        folder.join(PMACCTD_TABLE).display()
    )
}

/// pmacctd takes all but its configuration's path from its configuration.
fn pmacctd(setting: &Setting, mut command: Command) -> Result<Command> {
    let configuration = setting.scratch.join("pmacctd.conf");
    let source = format!("pcap_savefile: {}", setting.capture.display());
    let text = pmacctd_configuration(&source, "src_host,dst_host,src_port,dst_port,proto", &setting.scratch);
    fs::write(&configuration, text)
        .with_context(|| format!("{} cannot be written", configuration.display()))?;
    command.arg("-f").arg(configuration);
    Ok(command)
}

fn check_softflowd(setting: &Setting, output: &Output) -> Result<()> {
    says(output, &format!("Packets processed: {}\n", setting.workload.packets))
}

fn check_pmacctd(setting: &Setting, _: &Output) -> Result<()> {
    let file = setting.scratch.join(PMACCTD_TABLE);
    let text = fs::read_to_string(&file).with_context(|| format!("{} was not written", file.display()))?;
    check_rows(&text, &[("PACKETS", setting.workload.packets)], setting.workload.flows)
}

fn check_five_tuple(setting: &Setting, output: &Output) -> Result<()> {
    let Workload { packets, flows, .. } = setting.workload;
    let octets = packets * setting.workload.octets() as u64;
    check_rows(&String::from_utf8_lossy(&output.stdout), &[("packets", packets), ("octets", octets)], flows)
}

fn check_protocols(setting: &Setting, output: &Output) -> Result<()> {
    check_rows(&String::from_utf8_lossy(&output.stdout), &[("packets", setting.workload.packets)], 1)
}

fn check_tshark(setting: &Setting, output: &Output) -> Result<()> {
    let conversations = String::from_utf8_lossy(&output.stdout).matches("<->").count();
    let flows = setting.workload.flows as usize;
    ensure!(conversations == flows, "{conversations} conversations instead of {flows}");
    Ok(())
}

/// Whether the output holds a text.
fn says(output: &Output, text: &str) -> Result<()> {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(said.contains(text), "its output does not hold {text:?}:\n{said}");
    Ok(())
}

/// Whether a CSV text has so many rows and these sums of columns.
fn check_rows(text: &str, sums: &[(&str, u64)], rows: u32) -> Result<()> {
    let table = Csv::parse_loosely(text)?;
    ensure!(table.rows.len() == rows as usize, "{} rows instead of {rows}", table.rows.len());
    for &(column, sum) in sums {
        let found = table.sum(column)?;
        ensure!(found == sum, "the sum of {column} is {found} instead of {sum}");
    }
    Ok(())
}

/// Where a program is.
pub(super) fn path(program: &str, setting: &Setting) -> Result<PathBuf> {
    if program == "tapline" {
        let path = &setting.tapline;
        ensure!(path.is_file(), "{} is not there", path.display());
        return Ok(path.clone());
    }
    find(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_benches::floors;

    #[test]
    fn rows_and_sums_are_checked() {
        let text = "a,packets\nx,3\ny,4\n";
        assert!(check_rows(text, &[("packets", 7)], 2).is_ok());
        let wrong = check_rows(text, &[("packets", 8)], 2).unwrap_err();
        assert_eq!(wrong.to_string(), "the sum of packets is 7 instead of 8");
        assert!(check_rows(text, &[], 3).is_err());
        assert!(check_rows("", &[], 0).is_err());
    }

    #[test]
    fn every_query_has_its_tapline() {
        for contestant in CONTESTANTS {
            let Role::Peer(query) = contestant.role else { continue };
            let is_own = |other: &Contestant| matches!(other.role, Role::Tapline(own) if own == query);
            assert!(CONTESTANTS.iter().any(is_own), "{}", contestant.name);
        }
    }

    #[test]
    fn every_peer_has_a_floor_and_every_floor_a_peer() {
        let peers = CONTESTANTS.iter().filter(|contestant| matches!(contestant.role, Role::Peer(_)));
        assert!(peers.map(|peer| peer.name).eq(floors::names_of("offline")));
    }
}

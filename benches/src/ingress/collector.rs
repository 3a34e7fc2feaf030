//! The collectors that are compared: how each is started, ended, and asked what it got.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use tapline_programs::summary::{self, Summary};
use tapline_programs::{process, tools};
use tapline_trafficgen::csv::Csv;
use tapline_trafficgen::exports::Amount;

/// Octets of the queue that peers are asked to have, which is what the kernel grants without asking back.
const QUEUE_OCTETS: u32 = 4 << 20;

const SQL: &str = "SELECT src_as, dst_as, sum(octets) AS octets FROM flows \
     GROUP BY src_as, dst_as, tumble('10 seconds')";

/// A program that receives flow exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collector {
    /// Traffic matrix in windows of ten seconds.
    Tapline,
    /// Stores records on disk, and nothing else.
    Nfcapd,
    /// Traffic matrix, printed once at the end.
    Nfacctd,
}

/// What a collector says that it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) records: u64,
    pub(super) octets: u64,
}

impl Collector {
    pub(super) const ALL: [Self; 3] = [Self::Tapline, Self::Nfcapd, Self::Nfacctd];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tapline => "tapline",
            Self::Nfcapd => "nfcapd",
            Self::Nfacctd => "nfacctd",
        }
    }

    /// Records in a second that it takes without losing them inside, where that is less than all.
    pub(super) const fn rate_max(self) -> Option<u64> {
        match self {
            Self::Nfacctd => Some(200_000),
            _ => None,
        }
    }

    /// The signal that ends it.
    pub(crate) const fn signal(self) -> &'static str {
        match self {
            Self::Nfcapd => "TERM",
            Self::Tapline | Self::Nfacctd => "INT",
        }
    }

    /// The command that listens at `address` and writes into `folder`.
    pub(crate) fn command(self, tapline: &Path, address: SocketAddr, folder: &Path) -> Result<Command> {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = match self {
            Self::Tapline => Command::new(tapline),
            _ => Command::new(find(self.name())?),
        };
        match self {
            Self::Tapline => {
                let listen = format!("udp://{address}");
                command
                    .args(["query", "--listen", &listen, "--format", "csv"])
                    .args(summary::ARGUMENTS)
                    .arg(SQL);
            }
            Self::Nfcapd => {
                let queue = QUEUE_OCTETS.to_string();
                command.args(["-b", &ip, "-p", &port, "-B", &queue, "-t", "3600", "-w"]).arg(folder);
            }
            Self::Nfacctd => {
                let configuration = folder.join("nfacctd.conf");
                fs::write(&configuration, nfacctd_configuration(address, folder))
                    .with_context(|| format!("{} cannot be written", configuration.display()))?;
                command.arg("-f").arg(configuration);
            }
        }
        command.current_dir(folder);
        Ok(command)
    }

    /// What it says that it got.
    pub(super) fn found(self, output: &Output, folder: &Path, sent: &Amount) -> Result<Found> {
        match self {
            Self::Tapline => found_by_tapline(output),
            Self::Nfcapd => found_by_nfcapd(folder),
            Self::Nfacctd => found_by_nfacctd(folder, sent),
        }
    }
}

/// Where a peer is.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    process::find(program).with_context(|| tools::advice(program).unwrap_or_default())
}

fn nfacctd_configuration(address: SocketAddr, folder: &Path) -> String {
    format!(
        "daemonize: false\n\
         nfacctd_ip: {}\n\
         nfacctd_port: {}\n\
         nfacctd_pipe_size: {QUEUE_OCTETS}\n\
         nfacctd_as: netflow\n\
         plugins: print[a]\n\
         aggregate[a]: src_as,dst_as\n\
         print_refresh_time[a]: 3600\n\
         print_output[a]: csv\n\
         print_output_file[a]: {}\n\
         print_cache_entries[a]: 131071\n\
         plugin_pipe_size: 67108864\n\
         plugin_buffer_size: 65536\n",
        address.ip(),
        address.port(),
        folder.join("nfacctd.csv").display()
    )
}

/// The summary counts records, the windows add up to octets.
fn found_by_tapline(output: &Output) -> Result<Found> {
    let [said, windows] = [&output.stderr, &output.stdout].map(|octets| String::from_utf8_lossy(octets));
    let records = Summary::of(&said)?.of_query("query", "delivered")?;
    Ok(Found { records, octets: Csv::parse_loosely(&windows)?.sum("octets")? })
}

/// The file that was written says both.
fn found_by_nfcapd(folder: &Path) -> Result<Found> {
    let mut found = Found { records: 0, octets: 0 };
    for file in stored_files(folder)? {
        let output = Command::new(find("nfdump")?).arg("-r").arg(file).arg("-I").output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).and_then(digits);
        let numbers = number("Flows:").zip(number("Bytes:"));
        let (records, octets) = numbers.with_context(|| format!("nfdump says: {text}"))?;
        found.records += records;
        found.octets += octets;
    }
    Ok(found)
}

/// The files that nfcapd has written into a folder.
pub(crate) fn stored_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_stored = |name: &OsStr| name.to_string_lossy().starts_with("nfcapd.");
    let entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    Ok(entries.iter().filter(|entry| is_stored(&entry.file_name())).map(fs::DirEntry::path).collect())
}

/// The table has no records, but octets in proportion to them.
fn found_by_nfacctd(folder: &Path, sent: &Amount) -> Result<Found> {
    let path = folder.join("nfacctd.csv");
    let text = fs::read_to_string(&path).with_context(|| format!("{} was not written", path.display()))?;
    let octets = Csv::parse_loosely(&text)?.sum("BYTES")?;
    let records = u128::from(sent.records) * u128::from(octets) / u128::from(sent.octets.max(1));
    Ok(Found { records: records as u64, octets })
}

/// A number, whatever separates its digits.
fn digits(text: &str) -> Option<u64> {
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_separators() {
        assert_eq!(digits(" 5 000\u{202f}016 "), Some(5_000_016));
        assert_eq!(digits("none"), None);
    }
}

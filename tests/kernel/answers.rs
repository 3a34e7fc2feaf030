//! What the product answers about the far interface, and about a file of the same frames.

use std::io::Write as _;
use std::path::Path;

use harness::run::{Finished, tapline_during};
use harness::tapline;

use crate::namespace::{FAR, has_program};
use crate::queries::{has_packet_socket, totals, wait_for};

/// Who answers a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The flow table.
    Table,
    /// `AF_PACKET`.
    Copies,
    /// `AF_XDP`.
    Mirror,
}

/// Runs a query, whose last columns are sums, on the far interface while frames are sent.
pub(crate) fn ask(sql: &str, by: By, send: impl FnOnce()) -> Finished {
    ask_on(FAR, sql, by, send)
}

/// Runs a query, whose last columns are sums, on an interface while frames are sent.
pub(crate) fn ask_on(interface: &str, sql: &str, by: By, send: impl FnOnce()) -> Finished {
    let sql = format!("{sql}, tumble('24 hours')");
    let mut arguments = vec!["query", "--interface", interface, "--format", "csv", &sql];
    if by == By::Mirror {
        arguments.push("--mirror");
    }
    let is_ready = || if by == By::Copies { has_packet_socket() } else { has_program(interface) };
    tapline_during(&arguments, || {
        wait_for(is_ready);
        send();
    })
}

/// Rows of a query of so many keys and sums, each in one text; windows of two days are one.
pub(crate) fn rows(run: &Finished, keys: usize, sums: usize) -> Vec<String> {
    let row = |(keys, sums): (Vec<String>, Vec<i64>)| {
        keys.into_iter().chain(sums.iter().map(i64::to_string)).collect::<Vec<_>>().join(",")
    };
    totals(run.success(), keys, sums).into_iter().map(row).collect()
}

/// Runs a query over a file of frames of this link type (a number of the registry of tcpdump.org).
pub(crate) fn ask_file(sql: &str, link_type: u32, frames: &[Vec<u8>]) -> Finished {
    let mut file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
    let header = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 1 << 18, link_type];
    file.write_all(header.map(u32::to_le_bytes).as_flattened()).unwrap();
    for frame in frames {
        let record = [1_700_000_000, 0, frame.len() as u32, frame.len() as u32];
        file.write_all(record.map(u32::to_le_bytes).as_flattened()).unwrap();
        file.write_all(frame).unwrap();
    }
    let path: &Path = file.path();
    tapline(&["query", "--pcap", path.to_str().unwrap(), "--format", "csv", sql])
}

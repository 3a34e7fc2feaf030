//! Exporters whose times were too late, of no use, or told by a clock that is off: a line each, with what helps.

use super::exports::whose;
use super::grouped;
use crate::message::say;
use tapline_decode::export::{ExportAccount, version_name};

/// Exporters that are named of those whose rows are late, and of the others; the worst come first, more are only counted.
const EXPORTERS_NAMED_MAX: usize = 16;
/// Clocks that are off by less are not worth a word.
const CLOCK_NS_MIN: u64 = 2_000_000_000;
/// Nobody waits longer than this for records.
const LATENESS_MS_MAX: u64 = 600_000;

/// Prints a line for each of them.
pub(super) fn print(accounts: &[ExportAccount], allowed_lateness_ms: u32) {
    lines(accounts, allowed_lateness_ms).iter().for_each(|line| say!("{line}"));
}

fn lines(accounts: &[ExportAccount], allowed_lateness_ms: u32) -> Vec<String> {
    let mut troubled: Vec<_> = accounts.iter().filter(|account| rows(account) > 0).collect();
    troubled.sort_by_key(|account| std::cmp::Reverse((account.extract.rows_late, rows(account))));
    let (late, others) = troubled.split_at(troubled.partition_point(|account| account.extract.rows_late > 0));
    let named = [late, others].into_iter().flat_map(|accounts| accounts.iter().take(EXPORTERS_NAMED_MAX));
    let mut lines: Vec<_> = named.map(|account| line(account, allowed_lateness_ms)).collect();
    let more = troubled.len() - lines.len();
    if more > 0 {
        lines.push(format!(
            "times of {} exporters and domains more were too late, or of no use",
            grouped(more as u64)
        ));
    }
    lines
}

/// Rows whose times something was wrong with.
const fn rows(account: &ExportAccount) -> u64 {
    let extract = &account.extract;
    extract.rows_late + extract.rows_shifted + extract.times_mended
}

/// What is wrong with the times of an exporter, and what helps.
pub(super) fn line(account: &ExportAccount, allowed_lateness_ms: u32) -> String {
    let extract = &account.extract;
    let parts = [
        clock(account),
        count(extract.rows_shifted, "rows moved by that"),
        count(extract.times_mended, "rows with times of no use, or out of order, mended"),
        count(extract.rows_late, "rows too late")
            .map(|late| format!("{late}, {}", advice(account, allowed_lateness_ms))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("times of {}, {}: {}", whose(account), version_name(account.version), parts.join("; "))
}

/// How far the clock is off.
fn clock(account: &ExportAccount) -> Option<String> {
    let behind_ns = account.clock_behind_ns.filter(|behind| behind.unsigned_abs() >= CLOCK_NS_MIN)?;
    let side = if behind_ns > 0 { "behind" } else { "ahead of" };
    Some(format!("its clock is {} s {side} ours", grouped(behind_ns.unsigned_abs() / 1_000_000_000)))
}

fn count(rows: u64, what: &str) -> Option<String> {
    (rows > 0).then(|| format!("{} {what}", grouped(rows)))
}

/// By how much rows were too late, and what would have let them in.
fn advice(account: &ExportAccount, allowed_lateness_ms: u32) -> String {
    let late_s = account.extract.late_ns_max.unsigned_abs().div_ceil(1_000_000_000);
    let enough_ms = late_s.saturating_mul(1000).saturating_add(allowed_lateness_ms.into());
    let lateness = match enough_ms {
        0..=LATENESS_MS_MAX => format!("--allowed-lateness-ms {enough_ms} or "),
        _ => String::new(),
    };
    format!("by {} s at the most: {lateness}--event-time receive lets them in", grouped(late_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use tapline_decode::export::{Datagram, ExportDecoder, ExportOptions, Sender};
    use tapline_record::EventTime;

    const NOW_S: i64 = 1_750_000_000;

    /// A v5 message with one flow that ended when the exporter had been up for so many milliseconds of a hundred
    /// seconds, by a clock that is so far behind.
    fn message(behind_s: i64, end_ms: u32) -> Vec<u8> {
        let mut message = vec![0; 72];
        message[1] = 5;
        message[3] = 1;
        message[4..8].copy_from_slice(&100_000_u32.to_be_bytes());
        message[8..12].copy_from_slice(&((NOW_S - behind_s) as u32).to_be_bytes());
        message[48..52].copy_from_slice(&end_ms.to_be_bytes());
        message[52..56].copy_from_slice(&end_ms.to_be_bytes());
        message
    }

    fn told(messages: &[(u16, i64, u32)]) -> Vec<String> {
        let mut decoder = ExportDecoder::new(&[], 8, ExportOptions::default());
        decoder.note_closed(EventTime::from_parts(NOW_S - 60, 0));
        for &(port, behind_s, end_ms) in messages {
            let sender = Sender::udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port);
            let received = EventTime::from_parts(NOW_S, 0);
            decoder.push(&Datagram { received, sender, payload: &message(behind_s, end_ms) });
        }
        lines(&decoder.accounts().collect::<Vec<_>>(), 60_000)
    }

    #[test]
    fn every_exporter_is_named_with_what_is_wrong_and_what_helps() {
        let whose = |port: u16| format!("times of 192.0.2.1 port {port} domain 0, NetFlow v5: ");
        assert_eq!(told(&[(7, 0, 99_000), (8, 25, 90_000)]), Vec::<String>::new());
        let messages = [(1, 500, 99_000), (2, -7200, 99_000), (3, 0, 0), (4, 20, 59_500)];
        let expected = [
            "its clock is 20 s behind ours; 1 rows too late, by 1 s at the most: --allowed-lateness-ms 61000 or \
             --event-time receive lets them in",
            "its clock is 500 s behind ours; 1 rows moved by that",
            "its clock is 7 200 s ahead of ours; 1 rows moved by that",
            "1 rows with times of no use, or out of order, mended",
        ];
        let expected: Vec<_> =
            [4, 1, 2, 3].into_iter().zip(expected).map(|(port, text)| whose(port) + text).collect();
        assert_eq!(told(&messages), expected);
    }

    #[test]
    fn of_very_many_the_worst_are_named() {
        let messages: Vec<_> = (1..=20).map(|port| (port, 500, 99_000)).collect();
        let lines = told(&messages);
        assert_eq!(lines.len(), 17);
        assert_eq!(lines[16], "times of 4 exporters and domains more were too late, or of no use");
    }
}

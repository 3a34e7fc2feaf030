//! The account of flow exports.

use super::account::ExportsRead;
use super::{Remark, grouped, rate, texts};
use crate::message::say;
use std::time::Duration;
use tapline_decode::export::{ExportAccount, ScopeName, SentBy, UndecodableCounts, Unit, version_name};
use tapline_exports::{ExportCounters, TcpCounters};
use tapline_record::address::to_ip;
use tapline_sources::{ListenerReport, TemplateReport};

/// Exporters that are printed one by one; more are only counted.
const EXPORTERS_PRINTED_MAX: usize = 16;

/// What may help an exporter that sends its templates from another port.
const OTHER_PORT: &str =
    "sets whose template came from another port of that address: --exporter-identity address takes it";

/// Prints what came in all, and the fates of every exporter's units.
pub(super) fn print(elapsed: Duration, read: &ExportsRead) {
    let ExportsRead { accounts, strays, rows, .. } = read;
    let dropped = rows.dropped;
    let seconds = elapsed.as_secs_f64();
    let sum = |of: fn(&ExportAccount) -> u64| accounts.iter().map(of).sum::<u64>();
    say!(
        "{} flow records in {} messages, {} octets in {seconds:.3} s{}",
        grouped(sum(|account| account.counts.records)),
        grouped(sum(|account| account.counts.messages)),
        grouped(sum(|account| account.counts.octets)),
        rate(rows.delivered + dropped, elapsed, "rows")
    );
    accounts.iter().take(EXPORTERS_PRINTED_MAX).for_each(print_account);
    if accounts.len() > EXPORTERS_PRINTED_MAX {
        say!("and {} exporters and domains more", grouped((accounts.len() - EXPORTERS_PRINTED_MAX) as u64));
    }
    if strays.messages > 0 {
        say!("{} messages of no exporter: {}", grouped(strays.messages), reasons(&strays.reasons));
    }
    if dropped > 0 {
        say!("dropped: {} rows between capture and operators, since those were too slow", grouped(dropped));
    }
}

fn print_account(account: &ExportAccount) {
    let ledger = account.ledger();
    say!(
        "{} of {}, in {}: offered {} = delivered {} + control {} + undecodable {} + lost {}",
        version_name(account.version),
        whose(account),
        account.unit.name(),
        grouped(ledger.offered),
        grouped(ledger.delivered),
        grouped(ledger.control),
        grouped(ledger.undecodable),
        grouped(ledger.lost_before_us)
    );
    let mut remarks = texts(&of_account(account));
    let rates = of_rates(account);
    remarks.extend(rates.iter().map(|(rates, what)| format!("{} {what}", grouped(*rates))));
    if account.counts.reasons != UndecodableCounts::default() {
        remarks.push(format!("undecodable: {}", reasons(&account.counts.reasons)));
    }
    if !remarks.is_empty() {
        say!("  {}", remarks.join("; "));
    }
}

/// Who sent the messages.
pub(super) fn whose(account: &ExportAccount) -> String {
    let (port, domain) = (account.port, account.domain);
    let by = match account.sent_by {
        SentBy::One(sender) if Some(sender) != account.exporter => format!(", sent by {}", to_ip(sender)),
        SentBy::Several => ", sent by several addresses".to_owned(),
        _ => String::new(),
    };
    match account.exporter.map(to_ip) {
        Some(exporter) if port > 0 => format!("{exporter} port {port} domain {domain}"),
        Some(exporter) => format!("{exporter} domain {domain}{by}"),
        None => "exporters that were silent for long".to_owned(),
    }
}

/// What else is to be said of an exporter, if anything.
pub(super) fn of_account(account: &ExportAccount) -> Vec<Remark> {
    let (counts, sequence, extract) = (&account.counts, &account.sequence, &account.extract);
    let is_estimate = matches!(account.unit, Unit::Datagrams | Unit::Messages);
    let lost_records = if is_estimate { account.lost_records() } else { 0 };
    let odd = |unit| account.unit == unit && unit.is_odd_for(account.version);
    vec![
        (lost_records, "records lost, by estimate"),
        (
            u64::from(odd(Unit::Messages)) * counts.messages,
            "messages, which it numbers instead of their records",
        ),
        (
            u64::from(odd(Unit::Records)) * counts.records,
            "records, which it numbers instead of its datagrams",
        ),
        (account.sets_of_other_ports, OTHER_PORT),
        (counts.samples.counters, "samples of counters"),
        (counts.samples.drops, "notifications of discarded packets"),
        (counts.samples.others, "samples of vendors' formats"),
        (sequence.reordered, "messages out of order"),
        (sequence.duplicates, "messages that came twice"),
        (sequence.restarts, "restarts"),
        (sequence.uncertain, "stretches of unknown length"),
        (counts.sets_provisional, "sets by a template of an earlier run"),
        (counts.sets_replayed, "sets that waited for their template"),
        (counts.sets_expired, "sets whose template never came"),
        (counts.redefined, "templates redefined"),
        (counts.withdrawn, "templates withdrawn"),
        (counts.trailing_octets, "octets behind the last set"),
        (extract.rates_unknown, "rows scaled by 1, for want of a sampling rate"),
        (account.rates.refused, "announcements of sampling rates beyond what is kept"),
        (
            extract.totals_only,
            "records with totals only, which are no deltas: ask element(85) and element(86)",
        ),
        (extract.frames_only, "records whose octets are those of frames, link layer included"),
    ]
}

/// Sampling rates whose scope no record tells.
pub(super) fn of_rates(account: &ExportAccount) -> Vec<(u64, String)> {
    let text = |scope: &ScopeName| {
        format!("sampling rates by {}, which no record tells, hence applied to nothing", scope.text())
    };
    account.rates.unfollowed.iter().map(|(scope, &rates)| (rates, text(scope))).collect()
}

fn reasons(counts: &UndecodableCounts) -> String {
    texts(&of_reasons(counts)).join(", ")
}

/// Why octets of exports gave no rows.
pub(super) fn of_reasons(counts: &UndecodableCounts) -> Vec<Remark> {
    counts.iter().map(|(reason, count)| (count, reason.text())).collect()
}

/// Prints what capture files held besides exports, and what files of any kind held of them in part only.
pub(super) fn print_files(counters: &ExportCounters) {
    if counters.frames > 0 {
        say!(
            "frames: {} = datagrams {} + fragments {} + TCP segments {} + others {}",
            grouped(counters.frames),
            grouped(counters.datagrams),
            grouped(counters.fragments),
            grouped(counters.segments),
            grouped(counters.other)
        );
    }
    let parts = texts(&parts(counters));
    if !parts.is_empty() {
        say!("not whole in the files: {}", parts.join("; "));
    }
}

/// What files held in part only, if anything.
pub(super) fn parts(counters: &ExportCounters) -> Vec<Remark> {
    vec![
        (counters.fragments_lost, "fragments of datagrams whose other fragments are missing"),
        (counters.cut, "messages and segments cut short"),
        (counters.stream_gaps, "gaps in TCP streams"),
        (counters.stream_lost_octets, "octets of TCP streams in no whole message"),
    ]
}

/// Prints how well a listener kept up.
pub(super) fn print_listener(listener: &ListenerReport) {
    let messages = grouped(listener.messages);
    match (listener.receive_buffer_octets, &listener.connections) {
        (Some(octets), _) => say!(
            "{}: {messages} messages read, {} packets dropped by the kernel (queue of {} octets)",
            listener.address,
            grouped(listener.socket_drops),
            grouped(octets as u64)
        ),
        (None, Some(counters)) => say!(
            "{}: {messages} messages read of {} connections; {} turned away, {} sent something else, {} were too slow{}",
            listener.address,
            grouped(counters.connections),
            grouped(counters.refused),
            grouped(counters.foreign),
            grouped(counters.timed_out),
            half_messages(counters)
        ),
        (None, None) => {}
    }
}

/// What connections ended in the middle of.
pub(super) const fn of_connections(counters: &TcpCounters) -> Remark {
    (counters.half_messages, "messages broke off")
}

fn half_messages(counters: &TcpCounters) -> String {
    texts(&[of_connections(counters)]).iter().map(|text| format!("; {text}")).collect()
}

/// Prints what became of the templates of an earlier run.
pub(super) fn print_templates(report: &TemplateReport) {
    let (templates, refused) = (report.restored.templates, report.restored.refused);
    if templates + refused > 0 {
        say!("{} templates of an earlier run, {} lines of no use", grouped(templates), grouped(refused));
    }
    if let Some(failure) = &report.failure {
        say!("warning: templates could not be kept: {failure}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_said() {
        let mut counters = ExportCounters { frames: 9, datagrams: 9, ..ExportCounters::default() };
        assert!(texts(&parts(&counters)).is_empty());
        (counters.fragments_lost, counters.cut) = (1, 2);
        (counters.stream_gaps, counters.stream_lost_octets) = (3, 4000);
        let expected = "1 fragments of datagrams whose other fragments are missing; 2 messages and segments cut short; \
             3 gaps in TCP streams; 4 000 octets of TCP streams in no whole message";
        assert_eq!(texts(&parts(&counters)).join("; "), expected);
    }

    #[test]
    fn messages_that_broke_off_are_said() {
        let texts = [0, 7].map(|half_messages| TcpCounters { half_messages, ..TcpCounters::default() });
        assert_eq!(texts.map(|counters| half_messages(&counters)), ["", "; 7 messages broke off"]);
    }
}

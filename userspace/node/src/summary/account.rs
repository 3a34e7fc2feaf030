//! The account of a run and of what it read.

use crate::outcome::Outcome;
use std::time::Duration;
use tapline_capture::{End, ExportCounters};
use tapline_decode::export::{ExportAccount, Strays};
use tapline_record::ledger::QueryLedger;
use tapline_sources::{ExportReport, KernelReport, ListenerReport, PacketReport, Reported, TemplateReport};

/// Where the sources of a run tell their accounts.
pub(crate) enum Accounts {
    /// Packets of files.
    Packets(Reported<PacketReport>),
    /// Packets of an interface: as the kernel counted them, as they are, or both.
    Interface { kernel: Option<Reported<KernelReport>>, frames: Option<Reported<PacketReport>> },
    /// Flow exports, of files or of each listener.
    Exports(Vec<Reported<ExportReport>>),
}

/// What was read, by kind.
pub(crate) enum SourceSummary {
    /// Packets of files.
    Packets(PacketReport),
    /// Packets of an interface.
    Interface {
        /// As the kernel counted them.
        kernel: Option<KernelReport>,
        /// As they are.
        frames: Option<PacketReport>,
    },
    /// Flow exports.
    Exports {
        /// Every exporter and domain.
        accounts: Vec<ExportAccount>,
        /// Messages that belong to no exporter.
        strays: Strays,
        /// What the files held.
        files: Option<ExportCounters>,
        /// What was listened on.
        listeners: Vec<ListenerReport>,
        /// What became of the templates of an earlier run, where they are kept.
        templates: Vec<TemplateReport>,
    },
}

/// The account of a run.
pub(crate) struct Account {
    /// Wall time.
    pub(crate) elapsed: Duration,
    /// What was read.
    pub(crate) source: SourceSummary,
    /// How far records lay behind the latest one, in nanoseconds, where that was measured.
    pub(crate) disorder_ns: Option<i64>,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub(crate) rows_dropped: u64,
    /// Fates of each query's rows; empty when every LIMIT was reached before the input's end.
    pub(crate) queries: Vec<QueryLedger>,
    /// Whether the input was ended before its time.
    pub(crate) is_cut: bool,
    /// How each file ended; `None` when it was not read to its end.
    pub(crate) files: Vec<(String, Option<End>)>,
}

impl Account {
    /// That of a run which has ended, and of what its sources told; `None` when one of them told nothing.
    pub(crate) fn of(outcome: Outcome, accounts: &Accounts, disorder_ns: Option<i64>) -> Option<Self> {
        let (source, files) = read(accounts)?;
        let Outcome { elapsed, rows_dropped, queries, is_cut } = outcome;
        Some(Self { elapsed, source, disorder_ns, rows_dropped, queries, is_cut, files })
    }
}

type Files = Vec<(String, Option<End>)>;

fn read(accounts: &Accounts) -> Option<(SourceSummary, Files)> {
    Some(match accounts {
        Accounts::Packets(reported) => {
            let mut report = reported.last()?;
            let files = std::mem::take(&mut report.files);
            (SourceSummary::Packets(report), files)
        }
        Accounts::Interface { kernel, frames } => {
            let (kernel, frames) = (kernel.as_ref(), frames.as_ref());
            let (kernel, frames) = (kernel.and_then(Reported::last), frames.and_then(Reported::last));
            (SourceSummary::Interface { kernel, frames }, vec![])
        }
        Accounts::Exports(reported) => exports(reported.iter().filter_map(Reported::last)),
    })
}

/// All export sources together.
fn exports(reports: impl Iterator<Item = ExportReport>) -> (SourceSummary, Files) {
    let (mut accounts, mut strays) = (vec![], Strays::default());
    let (mut counters, mut listeners, mut templates, mut files) = (None, vec![], vec![], vec![]);
    for report in reports {
        accounts.extend(report.accounts);
        strays += report.strays;
        counters = counters.or(report.counters);
        listeners.extend(report.listener);
        templates.extend(report.templates);
        files.extend(report.files);
    }
    (SourceSummary::Exports { accounts, strays, files: counters, listeners, templates }, files)
}

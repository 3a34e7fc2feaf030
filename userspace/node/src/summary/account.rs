//! The account of a run and of what it read.

use crate::outcome::Outcome;
use std::time::Duration;
use tapline_capture::End;
use tapline_decode::export::{ExportAccount, Strays};
use tapline_engine::{QuerySnapshot, SourceSnapshot};
use tapline_exports::ExportCounters;
use tapline_record::ledger::SourceLedger;
use tapline_sources::{ExportReport, KernelReport, ListenerReport, PacketReport, Reported, TemplateReport};

/// Where a source of a run tells its account.
pub(crate) enum Telling {
    /// Packets, of files or of an interface.
    Packets(Reported<PacketReport>),
    /// Packets of an interface, as the kernel counted them.
    Table(Reported<KernelReport>),
    /// Flow exports, of files or of a listener.
    Exports(Reported<ExportReport>),
}

/// Packets that one source read.
pub(crate) enum PacketsRead {
    /// As they are, of files or of an interface.
    Frames(Box<PacketReport>),
    /// Of an interface, as the kernel counted them.
    Table(Box<KernelReport>),
}

/// Flow exports of all sources.
#[derive(Default)]
pub(crate) struct ExportsRead {
    /// Every exporter and domain, source by source.
    pub(crate) accounts: Vec<ExportAccount>,
    /// The source of each.
    pub(crate) sources: Vec<String>,
    /// Messages that belong to no exporter.
    pub(crate) strays: Strays,
    /// What the files held.
    pub(crate) files: Option<ExportCounters>,
    /// What was listened on.
    pub(crate) listeners: Vec<ListenerReport>,
    /// What became of the templates of an earlier run, where they are kept.
    pub(crate) templates: Vec<TemplateReport>,
    /// Rows of all sources, and their fates; dropped are those that the workers had no room for.
    pub(crate) rows: SourceLedger,
}

/// The account of a run.
pub(crate) struct Account {
    /// Wall time.
    pub(crate) elapsed: Duration,
    /// What was read of packets, each source apart.
    pub(crate) packets: Vec<PacketsRead>,
    /// What was read of flow exports, if anything was to be.
    pub(crate) exports: Option<ExportsRead>,
    /// How far records lay behind the latest one, in nanoseconds, where that was measured.
    pub(crate) disorder_ns: Option<i64>,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub(crate) rows_dropped: u64,
    /// How each query stood at the end; empty when every LIMIT was reached before the input's end.
    pub(crate) queries: Vec<QuerySnapshot>,
    /// Why sources ended before their input did, each with its name.
    pub(crate) failures: Vec<(String, String)>,
    /// Whether the input was ended before its time.
    pub(crate) is_cut: bool,
    /// How each file ended; `None` when it was not read to its end.
    pub(crate) files: Vec<(String, Option<End>)>,
}

impl Account {
    /// The account of a run which has ended, and of what its sources told; `None` when one of them told nothing.
    pub(crate) fn of(outcome: Outcome, told: &[Telling], disorder_ns: Option<i64>) -> Option<Self> {
        let Outcome { elapsed, rows_dropped, sources, queries, is_cut } = outcome;
        let mut account = Self {
            elapsed,
            packets: vec![],
            exports: None,
            disorder_ns,
            rows_dropped,
            queries,
            failures: vec![],
            is_cut,
            files: vec![],
        };
        for (source, told) in sources.into_iter().zip(told) {
            account.add(source, told)?;
        }
        Some(account)
    }

    /// Adds a source: its fates as they were published, and what it tells besides.
    fn add(&mut self, source: SourceSnapshot, told: &Telling) -> Option<()> {
        let SourceSnapshot { name, ledger, failure, .. } = source;
        match told {
            Telling::Packets(reported) => self.add_packets(PacketReport { ledger, ..reported.last()? }),
            Telling::Table(reported) => {
                let report = KernelReport { ledger, ..reported.last()? };
                self.packets.push(PacketsRead::Table(Box::new(report)));
            }
            Telling::Exports(reported) => self.add_exports(ExportReport { rows: ledger, ..reported.last()? }),
        }
        // Of several that read an interface all say that it is gone.
        let failed = failure.map(|failure| (name, failure)).filter(|failed| !self.failures.contains(failed));
        self.failures.extend(failed);
        Some(())
    }

    /// Adds what one who reads packets tells; those who share an interface have one account.
    fn add_packets(&mut self, mut report: PacketReport) {
        self.files.append(&mut report.files);
        let beside = self.packets.iter_mut().find_map(|read| match read {
            PacketsRead::Frames(other) if other.is_beside(&report) => Some(other),
            PacketsRead::Frames(_) | PacketsRead::Table(_) => None,
        });
        match beside {
            Some(other) => other.add(report),
            None => self.packets.push(PacketsRead::Frames(Box::new(report))),
        }
    }

    fn add_exports(&mut self, mut report: ExportReport) {
        report.listener.iter_mut().for_each(|listener| listener.rows = report.rows);
        let exports = self.exports.get_or_insert_default();
        exports.sources.extend(report.accounts.iter().map(|_| report.source.clone()));
        exports.accounts.extend(report.accounts);
        exports.strays += report.strays;
        exports.files = exports.files.or(report.counters);
        exports.listeners.extend(report.listener);
        exports.templates.extend(report.templates);
        exports.rows += report.rows;
        self.files.extend(report.files);
    }

    /// What was read packet by packet.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &PacketReport> {
        self.packets.iter().filter_map(|read| match read {
            PacketsRead::Frames(report) => Some(report.as_ref()),
            PacketsRead::Table(_) => None,
        })
    }

    /// What the kernel counted.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &KernelReport> {
        self.packets.iter().filter_map(|read| match read {
            PacketsRead::Table(report) => Some(report.as_ref()),
            PacketsRead::Frames(_) => None,
        })
    }
}

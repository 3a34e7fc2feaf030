//! The account of a run.

use crate::exports::{ExportReport, ListenerReport, TemplateReport};
use crate::kernel::KernelReport;
use crate::packets::{InterfaceReport, PacketReport};
use crate::source::AnySource;
use std::time::Duration;
use tapline_capture::{CaptureFile, CaptureSet, End, ExportCounters};
use tapline_decode::export::{ExportAccount, Strays};
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{DamageCounts, UnreadCounts};
use tapline_record::ledger::{QueryLedger, SourceLedger};

/// The account of a run.
#[derive(Debug)]
pub struct Summary {
    /// Wall time.
    pub elapsed: Duration,
    /// What was read.
    pub source: SourceSummary,
    /// How far records lay behind the latest one, in nanoseconds, where that was measured.
    pub disorder_ns: Option<i64>,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub rows_dropped: u64,
    /// Fates of each query's rows; empty when every LIMIT was reached before the input's end.
    pub queries: Vec<QueryLedger>,
    /// Whether the input was ended before its time.
    pub is_cut: bool,
    /// How each file ended; `None` when it was not read to its end.
    pub files: Vec<(String, Option<End>)>,
}

/// What was read frame by frame.
#[derive(Debug)]
pub struct FrameSummary {
    /// Frames and their fates.
    pub ledger: SourceLedger,
    /// Octets that the frames had on the wire.
    pub frame_octets: u64,
    /// Damaged frames by reason; they are rows all the same.
    pub damage: DamageCounts,
    /// Frames of link types, EtherTypes and the like that are not read; they are rows all the same.
    pub unread: UnreadCounts,
    /// Flows that were built, if some query asked for them.
    pub flows: Option<FlowMeterCounters>,
    /// How an interface was read; `None` of files.
    pub interface: Option<InterfaceReport>,
}

/// What was read, by kind.
#[derive(Debug)]
pub enum SourceSummary {
    /// Packets of files.
    Packets(FrameSummary),
    /// Packets of an interface.
    Interface {
        /// As the kernel counted them.
        kernel: Option<KernelReport>,
        /// As they are.
        frames: Option<FrameSummary>,
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

/// What was read, of all sources together.
pub(crate) fn summarise(readers: Vec<(AnySource, u64)>) -> Summary {
    let mut summary = Summary {
        elapsed: Duration::ZERO,
        source: SourceSummary::Exports {
            accounts: vec![],
            strays: Strays::default(),
            files: None,
            listeners: vec![],
            templates: vec![],
        },
        disorder_ns: None,
        rows_dropped: 0,
        queries: vec![],
        is_cut: false,
        files: vec![],
    };
    for (source, dropped) in readers {
        summary.rows_dropped += dropped;
        match source {
            AnySource::Packets(source) => summarise_packets(source.report(), &mut summary),
            AnySource::Exports(source) => summarise_exports(source.report(), &mut summary),
            AnySource::Kernel(source) => {
                summary.source = SourceSummary::Interface { kernel: Some(source.report()), frames: None };
            }
        }
    }
    summary
}

fn summarise_packets(report: PacketReport, summary: &mut Summary) {
    let PacketReport { ledger, files, interface, damage, unread, frame_octets, flows } = report;
    let is_live = interface.is_some();
    let read = FrameSummary { ledger, frame_octets, damage, unread, flows, interface };
    let end = |file: &CaptureFile| (file.name().to_owned(), file.end().cloned());
    summary.files = files.iter().flat_map(CaptureSet::files).map(end).collect();
    match &mut summary.source {
        SourceSummary::Interface { frames, .. } => *frames = Some(read),
        source if is_live => *source = SourceSummary::Interface { kernel: None, frames: Some(read) },
        source => *source = SourceSummary::Packets(read),
    }
}

fn summarise_exports(report: ExportReport, summary: &mut Summary) {
    let SourceSummary::Exports { accounts, strays, files, listeners, templates } = &mut summary.source else {
        return;
    };
    accounts.extend(report.accounts);
    *strays += report.strays;
    listeners.extend(report.listener);
    templates.extend(report.templates);
    if let Some((set, counters)) = report.files {
        *files = Some(counters);
        let end = |(name, end): (&str, Option<&End>)| (name.to_owned(), end.cloned());
        summary.files = set.files().map(end).collect();
    }
}

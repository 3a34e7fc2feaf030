//! What all exporters and domains share: where their rows go, and what they hold together.

use super::gather::Gatherer;
use super::options::ExportOptions;
use super::records::Span;
use super::room::Room;
use super::sflow::counters::InterfaceRows;
use tapline_record::column::Symbol;
use tapline_record::{BatchBuilder, EventTime};

/// Where rows go, and what is shared by all domains.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) columns: Vec<usize>,
    pub(super) batch: BatchBuilder,
    /// Rows of `interface_counters`, if some query reads them.
    pub(super) interfaces: Option<InterfaceRows>,
    pub(super) gatherer: Gatherer,
    pub(super) spans: Vec<Span>,
    pub(super) options: ExportOptions,
    /// What the messages that come now are of.
    pub(super) source: Symbol,
    pub(super) held: Held,
    /// The latest event time of any row.
    pub(super) latest: Option<EventTime>,
    /// Rows before then come too late.
    pub(super) closed_until: EventTime,
}

/// What all domains hold together; each has its limit.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Octets of sets that wait for their template.
    pub(super) waiting_octets: Room,
    /// Fields of templates.
    pub(super) template_fields: Room,
    /// Sources of sFlow's samples.
    pub(super) sources: usize,
    /// Sampling rates of samplers and interfaces.
    pub(super) rates: usize,
}

//! Limits and assumptions of a decoder of exports.

/// How exporters are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExporterIdentity {
    /// By address and source port, as RFC 7011 has it.
    #[default]
    AddressAndPort,
    /// By address alone: for exporters whose source port changes while they run.
    Address,
}

/// What a row's event time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventTimeSource {
    /// The flow's end, by the exporter's clock; moved when that clock is off.
    #[default]
    Flow,
    /// When the message was sent, by the exporter's clock; moved when that clock is off.
    Export,
    /// When the message was received; always so for sFlow, which tells no time.
    Receive,
}

/// Limits and assumptions of a decoder, all taken at its start.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// Exporters and domains; messages of further ones are undecodable, as long as none can be given up.
    pub domains_max: usize,
    /// How long an exporter or domain must have been silent to be given up for a new one, in nanoseconds.
    pub domain_idle_ns: i64,
    /// How long one that sent no more than a few messages, as forged senders do, must have been silent to be given up,
    /// in nanoseconds.
    pub guest_idle_ns: i64,
    /// Templates of one domain.
    pub templates_max: usize,
    /// Fields of one template.
    pub template_fields_max: usize,
    /// Fields of all templates of all domains, and 16 more for each template.
    pub template_fields_all_max: usize,
    /// Octets of all sets that wait for their template, and 128 more for each set.
    pub waiting_octets_max: usize,
    /// How long a set waits, in nanoseconds.
    pub waiting_ns_max: i64,
    /// How exporters are told apart.
    pub identity: ExporterIdentity,
    /// The sampling rate of exporters that say none.
    pub sampling_rate: Option<u64>,
    /// What a row's event time is.
    pub event_time: EventTimeSource,
    /// How far an exporter's clock may be off before its times are moved, in nanoseconds.
    pub skew_ns_max: i64,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            domains_max: 4096,
            domain_idle_ns: 1_800_000_000_000,
            guest_idle_ns: 60_000_000_000,
            templates_max: 1024,
            template_fields_max: 512,
            template_fields_all_max: 1 << 20,
            waiting_octets_max: 16 << 20,
            waiting_ns_max: 1_800_000_000_000,
            identity: ExporterIdentity::default(),
            sampling_rate: None,
            event_time: EventTimeSource::default(),
            skew_ns_max: 30_000_000_000,
        }
    }
}

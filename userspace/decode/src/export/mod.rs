//! Flow exports: NetFlow, IPFIX and sFlow messages in, rows of `flows` out.
//!
//! Templates are compiled into plans (`plan.rs`), which run column by column over the records of a set
//! (`extract.rs`) into the batch that is being filled. Every unit of an exporter has one fate, in the unit
//! that its protocol counts in (`account.rs`). No octets from the network reach a panic, and all that is
//! kept for exporters has a limit.

mod account;
mod append;
mod believed;
mod clock;
mod counting;
mod datagram;
mod domain;
mod domain_key;
mod domains;
mod element_values;
mod elements;
mod enterprise;
mod extract;
mod extract_counts;
mod family;
mod gather;
mod head;
mod information_element;
mod ipfix;
mod message;
mod missed;
mod netflow_v5;
mod netflow_v9;
mod options;
mod output;
mod plan;
mod plans;
mod rate_fields;
mod rate_remarks;
mod rate_scopes;
mod rate_tables;
mod records;
mod registry;
mod room;
mod sampled_packet;
mod sampling;
mod saved_number;
mod saved_template;
mod scope_name;
mod section;
mod selector_algorithm;
mod sequence;
mod set_id;
mod sets;
mod sflow;
mod slot;
mod template;
mod times;
mod undecodable;
mod unit;
mod uptimes;
mod v9_scope;
mod version;
mod wire;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use domain_key::DomainKey;
use domains::{Domains, Kept};
use gather::Gatherer;
use output::{Held, Output};
use plan::Plan;
use sflow::counters::InterfaceRows;
use std::ops::AddAssign;
use std::sync::Arc;
use tapline_record::column::Symbol;
use tapline_record::{BatchBuilder, EventTime, FLOWS};
use version::{IPFIX, NETFLOW_V5, NETFLOW_V7, NETFLOW_V9, SFLOW_V5};
use wire::u16_at;

pub use account::{ExportAccount, ExportCounts, SampleCounts, SentBy};
pub use datagram::{Datagram, Sender, Transport};
pub use extract_counts::ExtractCounts;
pub use missed::MissedRecords;
pub use options::{EventTimeSource, ExportOptions, ExporterIdentity};
pub use rate_remarks::{RateRemarks, UnfollowedRates};
pub use registry::element_form;
pub use saved_number::{NotANumber, SavedNumber};
pub use saved_template::{NotATemplate, SavedTemplate};
pub use scope_name::ScopeName;
pub use sequence::{Arrival, SequenceCounts, SequenceTracker};
pub use undecodable::{Undecodable, UndecodableCounts};
pub use unit::Unit;
pub use version::version_name;

/// Decodes export messages into batches of `flows`.
#[derive(Debug)]
pub struct ExportDecoder {
    domains: Domains,
    v5: Arc<Plan>,
    v7: Arc<Plan>,
    sflow: sflow::Sflow,
    output: Output,
    batch_rows: usize,
    strays: Strays,
    /// Records of all exporters that did not become rows.
    missing: u64,
    /// What exporters sent between an earlier run and this one, as it was found.
    missed: Vec<MissedRecords>,
    /// Whoever is new until then may have sent something since this time, when nobody listened.
    newcomers: Option<[EventTime; 2]>,
    /// Rows of flows so far, of all exporters.
    rows_decoded: u64,
}

/// Messages that belong to no exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// How many messages.
    pub messages: u64,
    /// Octets of these messages.
    pub octets: u64,
    /// Records of messages for which there was no room, as far as their headers tell.
    pub records: u64,
    /// Why messages gave no rows.
    pub reasons: UndecodableCounts,
}

impl Strays {
    fn note(&mut self, datagram: &Datagram<'_>, reason: Undecodable) {
        self.messages += 1;
        self.octets += datagram.payload.len() as u64;
        self.records += if reason == Undecodable::Cap { claimed_records(datagram.payload) } else { 0 };
        self.reasons.count(reason);
    }
}

impl AddAssign for Strays {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.octets += other.octets;
        self.records += other.records;
        self.reasons += other.reasons;
    }
}

impl ExportDecoder {
    /// Builds the columns at these positions of [`FLOWS`], information elements
    /// ([`tapline_record::ElementColumn`]) among them; a batch is full at `batch_rows`.
    #[must_use]
    pub fn new(columns: &[usize], batch_rows: usize, options: ExportOptions) -> Self {
        Self {
            domains: Domains::default(),
            v5: Arc::new(netflow_v5::v5_plan(columns)),
            v7: Arc::new(netflow_v5::v7_plan(columns)),
            sflow: sflow::Sflow::default(),
            output: Output {
                columns: columns.to_vec(),
                batch: BatchBuilder::new(&FLOWS, columns, batch_rows),
                interfaces: None,
                gatherer: Gatherer::default(),
                spans: vec![],
                options,
                source: Symbol::default(),
                held: Held::default(),
                latest: None,
                closed_until: EventTime::MIN,
            },
            batch_rows,
            strays: Strays::default(),
            missing: 0,
            missed: vec![],
            newcomers: None,
            rows_decoded: 0,
        }
    }

    /// Builds these columns of [`tapline_record::INTERFACE_COUNTERS`] besides.
    #[must_use]
    pub fn with_interface_counters(mut self, columns: &[usize]) -> Self {
        self.output.interfaces = Some(InterfaceRows::new(columns));
        self
    }

    /// Builds the columns at these positions of [`FLOWS`] instead, and these of `interface_counters`, if any, from
    /// empty batches on. Templates are compiled anew; accounts stay.
    pub fn relayout(&mut self, columns: &[usize], interfaces: Option<&[usize]>) {
        self.v5 = Arc::new(netflow_v5::v5_plan(columns));
        self.v7 = Arc::new(netflow_v5::v7_plan(columns));
        self.domains.iter_mut().for_each(|domain| domain.recompile(columns));
        self.output.columns = columns.to_vec();
        self.output.batch.relayout(columns);
        match (interfaces, &mut self.output.interfaces) {
            (Some(columns), Some(rows)) => rows.relayout(columns),
            (columns, rows) => *rows = columns.map(InterfaceRows::new),
        }
    }

    /// The rows of `interface_counters` since the last call, `None` when there are none.
    pub fn finish_interface_counters(&mut self) -> Option<RecordBatch> {
        let interfaces = self.output.interfaces.as_mut()?;
        interfaces.flush();
        (interfaces.batch.rows() > 0).then(|| interfaces.batch.finish())
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.output.batch.schema()
    }

    /// The symbol of a source's name, for [`Self::set_source`].
    pub fn intern_source(&mut self, name: &str) -> Symbol {
        let Output { batch, interfaces, .. } = &mut self.output;
        let symbol = batch.intern(name);
        // Both tables hold the names of sources and nothing else, so that they number them alike.
        let other = interfaces.as_mut().map(|interfaces| interfaces.batch.intern(name));
        debug_assert!(other.is_none_or(|other| other == symbol), "a name has one number");
        symbol
    }

    /// Says of which source the messages are that come now.
    pub const fn set_source(&mut self, source: Symbol) {
        self.output.source = source;
    }

    /// Decodes a message.
    pub fn push(&mut self, datagram: &Datagram<'_>) {
        let Self { domains, output, .. } = self;
        let kept = identify(datagram, output.options.identity)
            .and_then(|(key, unit)| domains.get(key, unit, datagram.received, output));
        let kept = match kept {
            Ok(kept) => kept,
            Err(reason) => return self.strays.note(datagram, reason),
        };
        let (version, domain) = (kept.key.version, &mut kept.domain);
        let (missing, rows) = (domain.missing_records(), domain.counts.rows);
        let (missed, was_cut_off) = (domain.missed_units(), domain.is_cut_off());
        if let Some([since, until]) = &mut self.newcomers
            && domain.is_new()
            && datagram.received < *until
        {
            let missed = MissedRecords { since: *since, until: datagram.received, records: None };
            // Of the next one what lies before is said already.
            *since = datagram.received.max(*since);
            self.missed.push(missed);
        }
        domain.received = datagram.received;
        domain.sent_by.note(datagram.sender.address);
        domain.counts.messages += 1;
        domain.counts.octets += datagram.payload.len() as u64;
        match version {
            NETFLOW_V5 => netflow_v5::decode(datagram, &self.v5, domain, output),
            NETFLOW_V7 => netflow_v5::decode(datagram, &self.v7, domain, output),
            NETFLOW_V9 => netflow_v9::decode(datagram, domain, output),
            SFLOW_V5 => self.sflow.decode(datagram, domain, output),
            _ => ipfix::decode(datagram, domain, output),
        }
        self.missing = self.missing - missing + domain.missing_records();
        self.rows_decoded += domain.counts.rows - rows;
        domain.note_missed(domain.missed_units() - missed);
        self.missed.extend(domain.take_missed());
        if domain.is_cut_off() && !was_cut_off {
            self.missed.push(domain.cut_off());
        }
        if domain.sampling.has_news() {
            domains.share_samplers();
        }
    }

    /// Forgets what a connection's end makes void.
    pub fn close(&mut self, sender: Sender) {
        let is_of_sender = |key: &DomainKey| {
            key.address == sender.address && key.port == sender.port && key.transport == sender.transport
        };
        self.domains.close(is_of_sender, &mut self.output);
        self.missing = self.accounts().map(|account| account.missing_records()).sum();
    }

    /// Templates of UDP exporters as they are now, for the next start.
    pub fn templates(&self) -> impl Iterator<Item = SavedTemplate> + '_ {
        let of_udp = self.domains.iter().filter(|kept| kept.key.transport == Transport::Udp);
        of_udp.flat_map(|kept| {
            let templates = kept.domain.plans().templates();
            templates.map(|template| SavedTemplate { key: kept.key, template: template.clone() })
        })
    }

    /// How often templates changed so far.
    #[must_use]
    pub fn template_changes(&self) -> u64 {
        self.domains.iter().map(|kept| kept.domain.plans().changes()).sum()
    }

    /// Takes a template of an earlier run in. It is provisional: it goes when the exporter announces another
    /// one, or when data do not fit. Gives `false` when there is no room for it.
    pub fn restore(&mut self, saved: SavedTemplate) -> bool {
        let unit = match saved.key.version {
            NETFLOW_V9 => Unit::Datagrams,
            IPFIX => Unit::Records,
            _ => return false,
        };
        let Self { domains, output, .. } = self;
        let kept = domains.get(saved.key, unit, EventTime::MIN, output);
        kept.is_ok_and(|kept| kept.domain.restore(Arc::unwrap_or_clone(saved.template), output))
    }

    /// Where the numbers of UDP exporters are, for the next start.
    pub fn numbers(&self) -> impl Iterator<Item = SavedNumber> + '_ {
        self.domains.iter().flat_map(Kept::numbers)
    }

    /// Goes on where the numbers of an earlier run were, so that what was sent meanwhile is missing. Gives `false` when
    /// there is no room for it, or its protocol has no numbers.
    pub fn resume(&mut self, saved: &SavedNumber) -> bool {
        let Some(unit) = unit_of(saved.key.version) else { return false };
        let Self { domains, output, .. } = self;
        let Ok(kept) = domains.get(saved.key, unit, EventTime::MIN, output) else { return false };
        let is_resumed = kept.domain.resume(saved, output);
        if let Some(since) = saved.unsure_since {
            self.missed.push(MissedRecords { since, until: saved.received.plus(1), records: None });
        }
        is_resumed
    }

    /// An earlier run knew all that had come by `since`, and nobody listened for a while then: of exporters that are heard
    /// for the first time before `until`, nobody knows what they had sent meanwhile.
    pub const fn doubt_newcomers(&mut self, since: EventTime, until: EventTime) {
        self.newcomers = Some([since, until]);
    }

    /// Records that exporters sent between an earlier run and this one, found since the last call; they are not among
    /// those of [`Self::missing_records`].
    pub fn take_missed(&mut self) -> Vec<MissedRecords> {
        std::mem::take(&mut self.missed)
    }

    /// Whether it is time for [`Self::finish`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows() >= self.batch_rows
    }

    /// Rows since the last batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.output.batch.rows() + self.output.gatherer.pending_rows() + self.sflow.pending_rows()
    }

    /// The rows since the last batch, `None` when there are none.
    pub fn finish(&mut self) -> Option<RecordBatch> {
        self.sflow.flush(&mut self.output);
        self.output.gatherer.flush(&mut self.output.batch);
        (self.output.batch.rows() > 0).then(|| self.output.batch.finish())
    }

    /// Takes back a batch whose memory may be used again.
    pub fn recycle(&mut self, batch: RecordBatch) {
        self.output.batch.recycle(batch);
    }

    /// The latest event time of any row so far.
    #[must_use]
    pub const fn latest(&self) -> Option<EventTime> {
        self.output.latest
    }

    /// Notes that the windows of all rows before then are closed: those of them that come from now on are late, and
    /// counted so in the accounts of their exporters.
    pub const fn note_closed(&mut self, until: EventTime) {
        self.output.closed_until = until;
    }

    /// Gives up on every set that still waits for its template: no more messages will come.
    pub fn give_up_waiting(&mut self) {
        for domain in self.domains.iter_mut() {
            domain.expire(EventTime::MAX, &mut self.output);
        }
    }

    /// The account of every exporter and domain, then those of what is not kept any more.
    pub fn accounts(&self) -> impl Iterator<Item = ExportAccount> + '_ {
        self.domains.accounts()
    }

    /// The accounts at the end, which tell besides whose templates seem to come from another port.
    #[must_use]
    pub fn report(&self) -> Vec<ExportAccount> {
        self.domains.report()
    }

    /// Data records that did not become rows, as far as the exporters' numbers tell: lost, undecodable, refused, and
    /// for v9 by estimate.
    #[must_use]
    pub const fn missing_records(&self) -> u64 {
        self.missing + self.strays.records
    }

    /// Rows of flows so far, of all exporters; those of `interface_counters` are not among them.
    #[must_use]
    pub const fn rows_decoded(&self) -> u64 {
        self.rows_decoded
    }

    /// Octets that the sets take which wait for their template.
    #[must_use]
    pub const fn waiting_octets(&self) -> usize {
        self.output.held.waiting_octets.taken()
    }

    /// Messages that belong to no exporter.
    #[must_use]
    pub const fn strays(&self) -> Strays {
        self.strays
    }
}

/// Whose message it is, and what its protocol counts in.
fn identify(datagram: &Datagram<'_>, identity: ExporterIdentity) -> Result<(DomainKey, Unit), Undecodable> {
    let (payload, sender) = (datagram.payload, datagram.sender);
    let version = u16_at(payload, 0).ok_or(Undecodable::Header)?;
    if sflow::is_sflow(payload) {
        return sflow::identify(datagram).ok_or(Undecodable::Header);
    }
    let version = u8::try_from(version).map_err(|_| Undecodable::Version)?;
    let (domain, unit) = match version {
        NETFLOW_V5 | NETFLOW_V7 => (netflow_v5::domain_of(payload), Unit::Flows),
        NETFLOW_V9 => (netflow_v9::domain_of(payload), Unit::Datagrams),
        IPFIX => (ipfix::domain_of(payload), Unit::Records),
        _ => return Err(Undecodable::Version),
    };
    let by_port = identity == ExporterIdentity::AddressAndPort || sender.transport != Transport::Udp;
    let key = DomainKey {
        address: sender.address,
        port: if by_port { sender.port } else { 0 },
        transport: sender.transport,
        version,
        domain: domain.ok_or(Undecodable::Header)?,
    };
    Ok((key, unit))
}

/// What a protocol counts in.
const fn unit_of(version: u8) -> Option<Unit> {
    match version {
        NETFLOW_V5 | NETFLOW_V7 => Some(Unit::Flows),
        NETFLOW_V9 => Some(Unit::Datagrams),
        IPFIX => Some(Unit::Records),
        SFLOW_V5 => Some(Unit::Samples),
        _ => None,
    }
}

/// Records of a message that was not decoded, as its header has it; IPFIX does not say how many they are.
fn claimed_records(payload: &[u8]) -> u64 {
    if sflow::is_sflow(payload) {
        return sflow::claimed(payload);
    }
    match u16_at(payload, 0).map(u8::try_from) {
        Some(Ok(NETFLOW_V5 | NETFLOW_V7)) => netflow_v5::claimed(payload),
        Some(Ok(NETFLOW_V9)) => netflow_v9::claimed(payload),
        _ => 0,
    }
}

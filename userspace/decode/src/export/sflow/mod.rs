//! sFlow version 5 (sflow.org, July 2004): sampled packets, and counters of interfaces.
//!
//! Takes a datagram, gives one row a flow sample; all others are control, and counters are rows of a table of their
//! own. An agent is known by the address and the number that it gives itself, whoever sends its datagrams.
//!
//! Samples are numbered by source and kind, and so are losses: a sample whose number is known is delivered,
//! control or undecodable, and never lost; one whose number is beyond the datagram's end shows as a gap. The
//! numbers of datagrams are an annotation.

pub(super) mod counters;
mod header_protocol;
mod numbers;
mod records;
pub(super) mod sample;
pub(super) mod sources;
mod xdr;

use super::domain::Domain;
use super::sampled_packet::set;
use crate::export::datagram::{Datagram, Transport};
use crate::export::domain_key::DomainKey;
use crate::export::head::Head;
use crate::export::output::Output;
use crate::export::undecodable::Undecodable;
use crate::export::unit::Unit;
use crate::export::version::{SFLOW_V5, SFLOW_V5_DATAGRAM};
use records::Sampled;
use sample::{FlowHead, Form, Kind, SampleSource};
use tapline_record::address::{Address, to_ip};
use tapline_record::column::{BURST_ROWS, Symbol};
use tapline_record::{EventTime, FlowColumn, FlowRow, InterfaceRow, PacketRow};
use xdr::{Block, Xdr};

/// Octets that a flow sample has at least.
const SAMPLE_OCTETS: usize = 40;

/// What all agents share.
#[derive(Debug, Default)]
pub(super) struct Sflow {
    /// Rows of the burst that are not yet in the columns.
    rows: Vec<FlowRow>,
    /// Room for the sampled packet.
    packet: PacketRow,
}

/// What the samples of a datagram share.
struct Arriving<'a> {
    /// What is the same in all rows.
    row: FlowRow,
    domain: &'a mut Domain,
    output: &'a mut Output,
}

/// What the header of a datagram says.
#[derive(Clone, Copy, Debug)]
struct Header {
    agent: Option<Address>,
    sub_agent: u32,
    sequence: u32,
    uptime_ms: u32,
    samples: u32,
}

impl Header {
    fn read(xdr: &mut Xdr<'_>) -> Option<Self> {
        let _version = xdr.u32()?;
        let agent = xdr.address()?;
        let [sub_agent, sequence, uptime_ms, samples] = xdr.numbers()?;
        Some(Self { agent, sub_agent, sequence, uptime_ms, samples })
    }
}

/// Whether a message is sFlow's: its version has 32 bits.
pub(super) fn is_sflow(payload: &[u8]) -> bool {
    payload.starts_with(&SFLOW_V5_DATAGRAM.to_be_bytes())
}

/// Whose datagram it is: the agent's that it names, or the sender's where that is no address of its own.
pub(super) fn identify(datagram: &Datagram<'_>) -> Option<(DomainKey, Unit)> {
    let header = Header::read(&mut Xdr(datagram.payload))?;
    let is_own = |agent: &Address| {
        let agent = to_ip(*agent);
        !agent.is_unspecified() && !agent.is_loopback()
    };
    let key = DomainKey {
        address: header.agent.filter(is_own).unwrap_or(datagram.sender.address),
        port: 0,
        transport: Transport::Udp,
        version: SFLOW_V5,
        domain: header.sub_agent,
    };
    Some((key, Unit::Samples))
}

/// Samples that a header says there are; no more than there is room for.
pub(super) fn claimed(payload: &[u8]) -> u64 {
    let samples_max = payload.len() / SAMPLE_OCTETS;
    Header::read(&mut Xdr(payload)).map_or(0, |header| u64::from(header.samples).min(samples_max as u64))
}

impl Sflow {
    /// Decodes a datagram.
    pub(super) fn decode(&mut self, datagram: &Datagram<'_>, domain: &mut Domain, output: &mut Output) {
        let mut xdr = Xdr(datagram.payload);
        let Some(header) = Header::read(&mut xdr) else {
            return domain.counts.reasons.count(Undecodable::Header);
        };
        note_header(&header, datagram, domain, output.source);
        let row = shared_row(&header, datagram, domain, output.source);
        let mut arriving = Arriving { row, domain, output };
        for _ in 0..header.samples {
            let Some(sample) = xdr.block() else {
                arriving.domain.counts.reasons.count(Undecodable::Length);
                break;
            };
            self.sample(sample, &mut arriving);
        }
        arriving.domain.counts.trailing_octets += xdr.0.len() as u64;
    }

    /// Rows that are not yet in the columns.
    pub(super) const fn pending_rows(&self) -> usize {
        self.rows.len()
    }

    /// Moves all rows into the columns.
    pub(super) fn flush(&mut self, output: &mut Output) {
        let rows = &self.rows;
        output.batch.append(rows.len(), |position, column| FlowRow::append(rows, position, column));
        self.rows.clear();
    }

    /// Gives a sample its fate.
    fn sample(&mut self, sample: Block<'_>, arriving: &mut Arriving<'_>) {
        let Some(form) = Form::of(sample.format) else {
            return arriving.pass_over(sample);
        };
        let mut body = sample.body;
        let Some((sequence, source)) = form.numbering(&mut body) else {
            return arriving.refuse(0, Undecodable::Sample);
        };
        arriving.follow(SampleSource { kind: form.kind, source }, sequence);
        let is_read = sample.is_whole
            && match form.kind {
                Kind::Flow => self.flow_sample(form, body, arriving).is_some(),
                Kind::Counters => arriving.counter_sample(body).is_some(),
                Kind::Drops => drop_sample(body).is_some(),
            };
        let counts = &mut arriving.domain.counts;
        match form.kind {
            _ if !is_read => return arriving.refuse(1, Undecodable::Sample),
            Kind::Flow => return counts.delivered += 1,
            Kind::Counters => counts.samples.counters += 1,
            Kind::Drops => counts.samples.drops += 1,
        }
        counts.control += 1;
    }

    /// Appends the row of a flow sample.
    fn flow_sample(&mut self, form: Form, mut body: Xdr<'_>, arriving: &mut Arriving<'_>) -> Option<()> {
        let head = form.flow_head(&mut body)?;
        let mut row = arriving.row;
        let mut sampled = Sampled { row: &mut row, packet: &mut self.packet, frame_octets: None };
        for _ in 0..head.records {
            let record = body.block().filter(|record| record.is_whole)?;
            // A record that is shorter than its kind is leaves columns NULL.
            let _ = sampled.note(record);
        }
        if let Some(octets) = sampled.frame_octets.filter(|_| !sampled.row.has(FlowColumn::Octets)) {
            set!(sampled.row, octets: Octets = octets.into());
        }
        arriving.finish_row(&head, &mut row);
        self.rows.push(row);
        if self.rows.len() == BURST_ROWS {
            self.flush(arriving.output);
        }
        Some(())
    }
}

impl Arriving<'_> {
    /// Notes the number of a sample.
    fn follow(&mut self, source: SampleSource, sequence: u32) {
        let restarts = self.domain.sequence.counts().restarts;
        if !self.domain.sources.observe(source, sequence, restarts, self.output) {
            self.domain.counts.reasons.count(Undecodable::Cap);
        }
    }

    /// Fills in what the head of a sample says, and what follows from it.
    fn finish_row(&mut self, head: &FlowHead, row: &mut FlowRow) {
        let counts = &mut self.domain.counts;
        counts.records += 1;
        counts.rows += 1;
        let (ts, closed_until) = (EventTime(row.ts), self.output.closed_until);
        self.output.latest = self.output.latest.max(Some(ts));
        self.domain.extract.note_late(u64::from(ts < closed_until), ts, closed_until);
        if let Some(interface) = head.input {
            set!(row, input_interface: InputInterface = interface);
        }
        if let Some(interface) = head.output {
            set!(row, output_interface: OutputInterface = interface);
        }
        let said = Some(u64::from(head.sampling_rate)).filter(|&rate| rate > 0);
        let rate = said.or(self.domain.sampling.overall());
        if let Some(rate) = rate {
            set!(row, sampling_rate: SamplingRate = rate);
        }
        self.domain.extract.rates_unknown += u64::from(rate.is_none());
        let rate = rate.unwrap_or(1);
        set!(row, packets: Packets = 1, scaled_packets: ScaledPackets = rate);
        if row.has(FlowColumn::Octets) {
            let scaled = row.octets.saturating_mul(rate);
            set!(row, scaled_octets: ScaledOctets = scaled);
        }
    }

    /// Reads a counter sample, to its end.
    fn counter_sample(&mut self, mut body: Xdr<'_>) -> Option<()> {
        let shared = InterfaceRow {
            ts: self.row.ts,
            source: self.row.source,
            exporter: self.row.exporter,
            sender: self.row.sender,
            observation_domain: self.row.observation_domain,
            ..InterfaceRow::default()
        };
        for _ in 0..body.u32()? {
            let record = body.block().filter(|record| record.is_whole)?;
            if let Some(interfaces) = &mut self.output.interfaces
                && let Some(row) = counters::read(record, &shared)
            {
                interfaces.push(row);
            }
        }
        Some(())
    }

    /// Counts a sample that is of a vendor or of a later version.
    fn pass_over(&mut self, sample: Block<'_>) {
        if !sample.is_whole {
            return self.refuse(1, Undecodable::Sample);
        }
        self.domain.counts.samples.others += 1;
        self.domain.counts.control += 1;
    }

    /// Notes a sample that gives no row; so many units of it are not among those that gaps tell of.
    fn refuse(&mut self, units: u64, reason: Undecodable) {
        self.domain.counts.undecodable += units;
        self.domain.counts.reasons.count(reason);
    }
}

/// Reads the notification of a discarded packet, to its end.
fn drop_sample(mut body: Xdr<'_>) -> Option<()> {
    let [_drops, _input, _output, _reason, records] = body.numbers()?;
    (0..records).try_for_each(|_| body.block().filter(|record| record.is_whole).map(drop))
}

/// Notes the number of a datagram, and whether its agent has started anew. There is no clock in it: what was
/// received now happened now.
fn note_header(header: &Header, datagram: &Datagram<'_>, domain: &mut Domain, source: Symbol) {
    let (number, uptime_ms) = ((header.sub_agent, header.sequence), Some(header.uptime_ms));
    let head = Head::new(datagram, number, datagram.received, uptime_ms, source);
    let head = Head { exporter: domain.exporter, ..head };
    let restarted = domain.clock.has_restarted(&head);
    domain.sequence.observe(header.sequence, 1, restarted);
}

/// What all rows of a datagram have in common.
fn shared_row(header: &Header, datagram: &Datagram<'_>, domain: &Domain, source: Symbol) -> FlowRow {
    let mut row = FlowRow::default();
    set!(
        &mut row,
        ts: Ts = datagram.received.0,
        source: Source = source,
        start_time: StartTime = datagram.received.0,
        end_time: EndTime = datagram.received.0,
        exporter: Exporter = domain.exporter,
        sender: Sender = datagram.sender.address,
        observation_domain: ObservationDomain = header.sub_agent,
    );
    row
}

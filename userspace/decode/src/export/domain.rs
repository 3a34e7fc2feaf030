//! The state of one exporter and domain: its templates, its numbers, and what waits for a template.
//!
//! Takes the sets of its messages in order. Each set is decoded at once, or waits, within limits, until its
//! template comes; what waited in vain is counted.

use super::account::{ExportAccount, ExportCounts, Undecodable, Unit};
use super::clock::Clock;
use super::domains::DomainKey;
use super::extract::{ExtractCounts, Message, Origin};
use super::gather::Gatherer;
use super::plan::Plan;
use super::plans::{Plans, records_of};
use super::records::{Records, Span};
use super::sampling::Sampling;
use super::sequence::{SequenceCounts, SequenceTracker};
use super::sets::{Set, Sets};
use super::sflow::counters::InterfaceRows;
use super::sflow::sources::Sources;
use super::template::{TEMPLATE_ID_MIN, Template, TemplateKind, TemplateReader};
use super::times::{Believed, uptime_at};
use super::wire::number;
use super::{Datagram, EventTimeSource, ExportOptions, Transport};
use std::sync::Arc;
use tapline_record::address::Address;
use tapline_record::{BatchBuilder, EventTime};

/// What a set that waits takes besides its octets, its share of the message included.
const SET_OCTETS: usize = 128;

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
    pub(super) held: Held,
    /// The latest event time of any row.
    pub(super) latest: Option<EventTime>,
    /// Rows before then come too late.
    pub(super) closed_until: EventTime,
}

/// What all domains hold together; each has its limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// Octets of sets that wait for their template.
    pub(super) waiting_octets: usize,
    /// Fields of templates.
    pub(super) template_fields: usize,
    /// Sources of sFlow's samples.
    pub(super) sources: usize,
    /// Sampling rates of samplers and interfaces.
    pub(super) rates: usize,
}

/// One exporter and domain.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) unit: Unit,
    pub(super) counts: ExportCounts,
    pub(super) extract: ExtractCounts,
    /// The numbers of its messages; of sFlow, those of its datagrams.
    pub(super) sequence: SequenceTracker,
    /// The numbers of sFlow's samples.
    pub(super) sources: Sources,
    pub(super) sampling: Sampling,
    pub(super) clock: Clock,
    /// When its last message arrived.
    pub(super) received: EventTime,
    plans: Plans,
    /// Messages of which some sets have no template yet, oldest first.
    waiting: Vec<Waiting>,
}

/// The head of a message, as far as its records need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) exporter: Address,
    pub(super) domain: u32,
    /// Event times that are believed, by the exporter's clock.
    pub(super) believed: Believed,
    pub(super) sent: EventTime,
    pub(super) received: EventTime,
    pub(super) uptime_ms: Option<u32>,
}

/// Sets of one message without their templates.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) head: Head,
    pub(super) sets: Vec<(u16, Vec<u8>)>,
    /// Whether the message counts as undecodable as long as none of its sets is decoded.
    pub(super) is_undecoded: bool,
    /// The number of their first record, where records have numbers.
    pub(super) first: u32,
}

/// What the sets of a message came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) records: u32,
    pub(super) options_records: u32,
    pub(super) templates: u32,
    /// Sets that have no template yet.
    pub(super) waiting: Vec<(u16, Vec<u8>)>,
    /// Why the sets ended before the message did.
    pub(super) broken: Option<Undecodable>,
}

impl Domain {
    pub(super) fn new(unit: Unit, sampling_rate: Option<u64>) -> Self {
        Self {
            unit,
            counts: ExportCounts::default(),
            extract: ExtractCounts::default(),
            sequence: SequenceTracker::default(),
            sources: Sources::default(),
            sampling: Sampling::new(sampling_rate),
            clock: Clock::default(),
            received: EventTime::MIN,
            plans: Plans::default(),
            waiting: vec![],
        }
    }

    /// Its account.
    pub(super) fn account(&self, id: u64, key: &DomainKey) -> ExportAccount {
        let (sequence, datagrams) = self.sequence_counts();
        ExportAccount {
            id,
            exporter: Some(key.address),
            port: key.port,
            version: key.version,
            domain: key.domain,
            agent: key.agent,
            unit: self.unit,
            counts: self.counts,
            sequence,
            datagrams,
            extract: self.extract,
            clock_behind_ns: self.clock.behind_ns(),
        }
    }

    /// Records of it that did not become rows; see [`ExportAccount::missing_records`].
    pub(super) fn missing_records(&self) -> u64 {
        let units = match self.unit {
            Unit::Samples => self.sources.counts().missing_units(),
            _ => self.sequence.missing_units(),
        };
        self.counts.missing_records(self.unit, units)
    }

    /// Its templates, and how often they changed.
    pub(super) const fn plans(&self) -> &Plans {
        &self.plans
    }

    /// Forgets what was agreed upon with an exporter that is gone; what it sent stays in the account.
    pub(super) fn end_session(&mut self, output: &mut Output) {
        self.expire(EventTime::MAX, output);
        self.plans.clear(output);
        self.sources.clear(output);
        self.sequence.end_run();
        output.held.rates -= self.sampling.len();
        self.sampling = Sampling::new(output.options.sampling_rate);
        self.clock = Clock::default();
        self.received = EventTime::MIN;
    }

    /// Takes a template of an earlier run, until the exporter announces one; says whether there is room.
    pub(super) fn restore(&mut self, template: Template, output: &mut Output) -> bool {
        self.plans.restore(template, output)
    }

    /// Goes through the sets of a message; `reader_of` says how those without records are read.
    pub(super) fn sets(
        &mut self,
        mut sets: Sets<'_>,
        head: &Head,
        reader_of: fn(u16) -> Option<TemplateReader>,
        output: &mut Output,
    ) -> Tally {
        let mut tally = Tally::default();
        for set in &mut sets {
            match (set.id, reader_of(set.id)) {
                (TEMPLATE_ID_MIN.., _) => self.data_set(set, head, &mut tally, output),
                (_, Some(read)) => {
                    read(set.body, &mut |template| self.learn(template, &mut tally, output));
                }
                (_, None) => self.counts.reasons.count(Undecodable::Reserved),
            }
        }
        self.counts.trailing_octets += sets.padding() as u64;
        tally.broken = sets.broken();
        tally.broken.into_iter().for_each(|reason| self.counts.reasons.count(reason));
        tally
    }

    /// Rows of the records of `body`; gives how many records there are.
    pub(super) fn records(&mut self, plan: &Arc<Plan>, body: &[u8], head: &Head, output: &mut Output) -> u32 {
        let records = records_of(plan, body, &mut output.spans);
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        if plan.template.kind == TemplateKind::Options {
            self.sampling.learn(&plan.template, &records, &mut output.held.rates);
            self.learn_start(plan, &records);
            self.counts.options_records += u64::from(count);
            return count;
        }
        self.counts.records += u64::from(count);
        self.counts.rows += u64::from(count) * plan.rows_per_record() as u64;
        if count == 0 {
            return 0;
        }
        let message = head.message(&self.sampling, &self.clock, &output.options, output.closed_until);
        output.gatherer.append(plan, &records, &message, &mut output.batch);
        self.extract += output.gatherer.take_counts();
        output.latest = output.latest.max(output.gatherer.take_latest());
        count
    }

    /// Learns from options records when the exporter started (systemInitTimeMilliseconds).
    fn learn_start(&mut self, plan: &Plan, records: &Records<'_>) {
        let Some(slot) = plan.forward.times.init else { return };
        let told = records.field(slot).map(number).filter(|&init_ms| init_ms > 0).last();
        self.clock.init_ms = told.or(self.clock.init_ms);
    }

    /// What the sequence numbers say, in the protocol's unit, and what those of datagrams say where they are
    /// apart from it.
    fn sequence_counts(&self) -> (SequenceCounts, SequenceCounts) {
        let counts = self.sequence.counts();
        match self.unit {
            Unit::Samples => (SequenceCounts { restarts: counts.restarts, ..self.sources.counts() }, counts),
            _ => (counts, SequenceCounts::default()),
        }
    }

    /// Takes a template, and decodes what waited for it.
    fn learn(&mut self, template: Template, tally: &mut Tally, output: &mut Output) {
        tally.templates += 1;
        let id = template.id;
        if self.plans.learn(template, &mut self.counts, output) {
            self.replay(id, output);
        }
    }

    /// Decodes a data set, or keeps it for later when its template is not known.
    fn data_set(&mut self, set: Set<'_>, head: &Head, tally: &mut Tally, output: &mut Output) {
        let mut plans = std::mem::take(&mut self.plans);
        if let Some(plan) = plans.of(set, output) {
            let records = self.records(plan, set.body, head, output);
            self.counts.sets_provisional += u64::from(plan.is_provisional);
            if records == 0 && !set.body.is_empty() {
                self.counts.reasons.count(Undecodable::Record);
            }
            *match plan.template.kind {
                TemplateKind::Data => &mut tally.records,
                TemplateKind::Options => &mut tally.options_records,
            } += records;
        } else {
            self.counts.sets_waited += 1;
            tally.waiting.push((set.id, set.body.to_vec()));
        }
        self.plans = plans;
    }

    /// Keeps the sets of a message that have no template yet; says whether there is room.
    pub(super) fn wait(&mut self, waiting: Waiting, output: &mut Output) -> bool {
        self.expire(waiting.head.received.plus(-output.options.waiting_ns_max), output);
        let octets = octets_of(&waiting.sets);
        if output.held.waiting_octets + octets > output.options.waiting_octets_max {
            self.give_up(waiting.sets.len());
            return false;
        }
        output.held.waiting_octets += octets;
        self.waiting.push(waiting);
        true
    }

    /// Gives up on messages that came before `oldest`.
    pub(super) fn expire(&mut self, oldest: EventTime, output: &mut Output) {
        let expired = self.waiting.iter().take_while(|waiting| waiting.head.received < oldest).count();
        let rest = self.waiting.split_off(expired);
        let expired = std::mem::replace(&mut self.waiting, rest);
        for (place, waiting) in expired.iter().enumerate() {
            output.held.waiting_octets -= octets_of(&waiting.sets);
            let next = expired.get(place + 1).or(self.waiting.first());
            self.sequence.give_up(waiting.first, next.map(|next| next.first));
            self.give_up(waiting.sets.len());
        }
    }

    fn give_up(&mut self, sets: usize) {
        self.counts.sets_expired += sets as u64;
        (0..sets).for_each(|_| self.counts.reasons.count(Undecodable::NoTemplate));
    }

    /// Decodes what waited for the template with this number.
    fn replay(&mut self, id: u16, output: &mut Output) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for message in &mut waiting {
            let (ready, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut message.sets).into_iter().partition(|(set, _)| *set == id);
            message.sets = rest;
            output.held.waiting_octets -= octets_of(&ready);
            for (id, body) in ready {
                self.replay_set(id, &body, message, output);
            }
        }
        waiting.retain(|message| !message.sets.is_empty());
        if waiting.is_empty() {
            self.sequence.settle_all();
        }
        self.waiting = waiting;
    }

    fn replay_set(&mut self, id: u16, body: &[u8], message: &mut Waiting, output: &mut Output) {
        let mut tally = Tally::default();
        self.data_set(Set { id, body }, &message.head, &mut tally, output);
        self.counts.sets_replayed += 1;
        match self.unit {
            Unit::Datagrams if message.is_undecoded => {
                message.is_undecoded = false;
                self.counts.undecodable -= 1;
                let is_control = tally.records == 0 && tally.options_records > 0;
                *(if is_control { &mut self.counts.control } else { &mut self.counts.delivered }) += 1;
            }
            Unit::Records => {
                let units = tally.records + tally.options_records;
                self.sequence.settle(message.first, units);
                message.first = message.first.wrapping_add(units);
                self.counts.delivered += u64::from(tally.records);
                self.counts.control += u64::from(tally.options_records);
            }
            _ => {}
        }
    }
}

impl Head {
    /// The head of a message that was sent then. Records of files may be as old as they like: they come out of
    /// archives.
    pub(super) fn new(datagram: &Datagram<'_>, domain: u32, sent: EventTime, uptime_ms: Option<u32>) -> Self {
        let is_file = datagram.sender.transport == Transport::File;
        Self {
            exporter: datagram.sender.address,
            domain,
            believed: Believed::of(sent, is_file),
            sent,
            received: datagram.received,
            uptime_ms,
        }
    }

    fn message<'a>(
        &self,
        sampling: &'a Sampling,
        clock: &Clock,
        options: &ExportOptions,
        closed_until: EventTime,
    ) -> Message<'a> {
        let shift_ns = clock.shift_ns(self, options.skew_ns_max);
        Message {
            origin: Origin { exporter: self.exporter, domain: self.domain },
            sent: self.sent,
            believed: self.believed,
            uptime_ms: self.uptime_ms.or_else(|| uptime_at(self.sent, clock.init_ms?)),
            shift_ns,
            event_time: match options.event_time {
                EventTimeSource::Flow => None,
                EventTimeSource::Export => Some(self.sent.plus(shift_ns)),
                EventTimeSource::Receive => Some(self.received),
            },
            closed_until,
            sampling,
        }
    }
}

/// What sets take while they wait, so that many that are empty have a limit, too.
fn octets_of(sets: &[(u16, Vec<u8>)]) -> usize {
    sets.iter().map(|(_, body)| SET_OCTETS + body.len()).sum()
}

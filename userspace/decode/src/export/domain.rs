//! The state of one exporter and domain: its templates, its numbers, and what waits for a template.
//!
//! Takes the sets of its messages in order. Each set is decoded at once, or waits, within limits, until its
//! template comes; what waited in vain is counted.

use super::account::{ExportCounts, Undecodable, Unit};
use super::extract::{ExtractCounts, Extractor, Message};
use super::plan::Plan;
use super::records::{Records, Span};
use super::sampling::Sampling;
use super::sequence::{SequenceCounts, SequenceTracker};
use super::sets::Set;
use super::sflow::counters::InterfaceRows;
use super::template::{Template, TemplateKind};
use super::{EventTimeSource, ExportOptions};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tapline_record::{BatchBuilder, EventTime};

/// Octets behind the last record of a set that fill it up to a multiple of four.
const PADDING_OCTETS_MAX: usize = 3;

/// What a set that waits takes besides its octets, its share of the message included.
const SET_OCTETS: usize = 128;

/// Where rows go, and what is shared by all domains.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) columns: Vec<usize>,
    pub(super) batch: BatchBuilder,
    /// Rows of `interface_counters`, if some query reads them.
    pub(super) interfaces: Option<InterfaceRows>,
    pub(super) extractor: Extractor,
    pub(super) spans: Vec<Span>,
    pub(super) options: ExportOptions,
    /// Octets of all sets that wait for their template.
    pub(super) waiting_octets: usize,
}

/// One exporter and domain.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) unit: Unit,
    pub(super) counts: ExportCounts,
    pub(super) extract: ExtractCounts,
    /// The numbers of its messages; of sFlow, those of its datagrams.
    pub(super) sequence: SequenceTracker,
    /// The numbers of sFlow's samples, summed over their sources.
    pub(super) samples: SequenceCounts,
    pub(super) sampling: Sampling,
    pub(super) clock: Clock,
    /// The latest event time of its rows.
    pub(super) latest: Option<EventTime>,
    /// When its last message arrived.
    pub(super) received: EventTime,
    /// How often its templates changed.
    pub(super) template_changes: u64,
    plans: BTreeMap<u16, Plan>,
    /// Messages of which some sets have no template yet, oldest first.
    waiting: Vec<Waiting>,
}

/// The head of a message, as far as its records need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) exporter: tapline_record::address::Address,
    pub(super) domain: u32,
    pub(super) sent: EventTime,
    pub(super) received: EventTime,
    pub(super) uptime_ms: Option<u32>,
}

/// What the exporter's clock says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// When it started, by its own clock.
    boot_ms: Option<i64>,
    /// How far its clock is behind ours, the way of the messages included.
    behind_ns: Option<i64>,
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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) records: u32,
    pub(super) options_records: u32,
    pub(super) templates: u32,
    /// Sets whose records are not known.
    pub(super) unknown_sets: u32,
}

impl Clock {
    /// How far an exporter's start may seem to move without its having started anew.
    const BOOT_SLACK_MS: i64 = 30_000;
    /// After so long, the milliseconds since its start begin anew by themselves.
    const WRAP_MS: i64 = 1 << 32;

    /// Notes when a message was sent and received.
    pub(super) fn note(&mut self, head: &Head) {
        let behind = head.received.0.saturating_sub(head.sent.0);
        // The fastest way tells the clock best; a clock that is set is followed slowly.
        let known = self.behind_ns.unwrap_or(behind);
        self.behind_ns = Some(behind.min(known.saturating_add((behind.saturating_sub(known)) / 64)));
    }

    /// How far the exporter's times are to be moved, when its clock is off by more than `skew_ns_max`.
    pub(super) fn shift_ns(&self, skew_ns_max: i64) -> i64 {
        self.behind_ns.filter(|behind| behind.saturating_abs() > skew_ns_max).unwrap_or(0)
    }

    /// How far the exporter's clock is behind ours.
    pub(super) const fn behind_ns(&self) -> Option<i64> {
        self.behind_ns
    }

    /// Says whether the exporter has started anew since its last message.
    pub(super) fn has_restarted(&mut self, head: &Head) -> bool {
        let Some(uptime_ms) = head.uptime_ms else { return false };
        let boot_ms = head.sent.0 / 1_000_000 - i64::from(uptime_ms);
        let moved = boot_ms - self.boot_ms.replace(boot_ms).unwrap_or(boot_ms);
        moved > Self::BOOT_SLACK_MS && (moved - Self::WRAP_MS).abs() > Self::BOOT_SLACK_MS
    }
}

impl Domain {
    pub(super) fn new(unit: Unit, sampling_rate: Option<u64>) -> Self {
        Self {
            unit,
            counts: ExportCounts::default(),
            extract: ExtractCounts::default(),
            sequence: SequenceTracker::default(),
            samples: SequenceCounts::default(),
            sampling: Sampling::new(sampling_rate),
            clock: Clock::default(),
            latest: None,
            received: EventTime::MIN,
            template_changes: 0,
            plans: BTreeMap::new(),
            waiting: vec![],
        }
    }

    /// What the sequence numbers say, in the protocol's unit, and what those of datagrams say where they are
    /// apart from it.
    pub(super) fn sequence_counts(&self) -> (SequenceCounts, SequenceCounts) {
        let counts = self.sequence.counts();
        match self.unit {
            Unit::Samples => (SequenceCounts { restarts: counts.restarts, ..self.samples }, counts),
            _ => (counts, SequenceCounts::default()),
        }
    }

    /// Takes a template in: a new one, a new meaning of a known one, or its withdrawal.
    pub(super) fn learn(&mut self, template: Template, tally: &mut Tally, output: &mut Output) {
        tally.templates += 1;
        self.counts.templates += 1;
        if template.fields.is_empty() {
            return self.withdraw(&template);
        }
        if !is_allowed(&template, &output.options) {
            return self.counts.reasons.count(Undecodable::Template);
        }
        let (id, is_full) = (template.id, self.plans.len() >= output.options.templates_max);
        match self.plans.entry(id) {
            Entry::Occupied(mut known) if known.get().template == template => {
                known.get_mut().is_provisional = false;
                return;
            }
            Entry::Occupied(mut known) => {
                self.counts.redefined += u64::from(!known.get().is_provisional);
                known.insert(Plan::compile(template, &output.columns));
            }
            Entry::Vacant(_) if is_full => return self.counts.reasons.count(Undecodable::Cap),
            Entry::Vacant(place) => {
                place.insert(Plan::compile(template, &output.columns));
            }
        }
        self.template_changes += 1;
        self.replay(id, output);
    }

    /// Takes a template of an earlier run in, until the exporter announces one; says whether there is room.
    pub(super) fn restore(&mut self, template: Template, output: &Output) -> bool {
        let has_room = self.plans.len() < output.options.templates_max;
        if !has_room || template.fields.is_empty() || !is_allowed(&template, &output.options) {
            return false;
        }
        let plan = Plan { is_provisional: true, ..Plan::compile(template, &output.columns) };
        self.plans.entry(plan.template.id).or_insert(plan);
        true
    }

    /// Its templates.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.plans.values().map(|plan| &plan.template)
    }

    /// Decodes a data set; gives it back, to be kept for later, when its template is not known.
    pub(super) fn data_set(
        &mut self,
        Set { id, body }: Set<'_>,
        head: &Head,
        tally: &mut Tally,
        output: &mut Output,
    ) -> Option<(u16, Vec<u8>)> {
        self.drop_unless_it_fits(id, body, &mut output.spans);
        let Self { plans, sampling, counts, extract, latest, clock, .. } = self;
        let Some(plan) = plans.get(&id) else {
            tally.unknown_sets += 1;
            counts.sets_waited += 1;
            return Some((id, body.to_vec()));
        };
        let records = records_of(plan, body, &mut output.spans);
        counts.sets_provisional += u64::from(plan.is_provisional);
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        if count == 0 && !body.is_empty() {
            counts.reasons.count(Undecodable::Record);
        }
        if plan.template.kind == TemplateKind::Options {
            sampling.learn(&plan.template, &records);
            counts.options_records += u64::from(count);
            tally.options_records += count;
            return None;
        }
        tally.records += count;
        counts.records += u64::from(count);
        counts.rows += u64::from(count) * plan.rows_per_record() as u64;
        let message = head.message(sampling, clock, &output.options);
        run(plan, &records, &message, (&mut output.extractor, &mut output.batch));
        *extract += output.extractor.take_counts();
        *latest = (*latest).max(output.extractor.take_latest());
        None
    }

    /// Rows of records whose plan belongs to the protocol.
    pub(super) fn fixed_records(&mut self, plan: &Plan, body: &[u8], head: &Head, output: &mut Output) {
        let records = records_of(plan, body, &mut output.spans);
        self.counts.records += records.len() as u64;
        self.counts.rows += records.len() as u64;
        let message = head.message(&self.sampling, &self.clock, &output.options);
        run(plan, &records, &message, (&mut output.extractor, &mut output.batch));
        self.extract += output.extractor.take_counts();
        self.latest = self.latest.max(output.extractor.take_latest());
    }

    /// Keeps the sets of a message that have no template yet; says whether there is room.
    pub(super) fn wait(&mut self, waiting: Waiting, output: &mut Output) -> bool {
        self.expire(waiting.head.received.plus(-output.options.waiting_ns_max), output);
        let octets = octets_of(&waiting.sets);
        if output.waiting_octets + octets > output.options.waiting_octets_max {
            self.give_up(waiting.sets.len());
            return false;
        }
        output.waiting_octets += octets;
        self.waiting.push(waiting);
        true
    }

    /// Gives up on messages that came before `oldest`.
    pub(super) fn expire(&mut self, oldest: EventTime, output: &mut Output) {
        let expired = self.waiting.iter().take_while(|waiting| waiting.head.received < oldest).count();
        let rest = self.waiting.split_off(expired);
        let expired = std::mem::replace(&mut self.waiting, rest);
        for (place, waiting) in expired.iter().enumerate() {
            output.waiting_octets -= octets_of(&waiting.sets);
            let next = expired.get(place + 1).or(self.waiting.first());
            self.sequence.give_up(waiting.first, next.map(|next| next.first));
            self.give_up(waiting.sets.len());
        }
    }

    /// Drops a template of an earlier run when this set cannot be one of its records.
    fn drop_unless_it_fits(&mut self, id: u16, body: &[u8], spans: &mut Vec<Span>) {
        let Some(plan) = self.plans.get(&id).filter(|plan| plan.is_provisional) else { return };
        let records = records_of(plan, body, spans);
        if records.len() == 0 || records.octets_left(body) > PADDING_OCTETS_MAX {
            self.plans.remove(&id);
            self.template_changes += 1;
        }
    }

    fn give_up(&mut self, sets: usize) {
        self.counts.sets_expired += sets as u64;
        (0..sets).for_each(|_| self.counts.reasons.count(Undecodable::NoTemplate));
    }

    fn withdraw(&mut self, template: &Template) {
        let before = self.plans.len();
        if template.id < super::template::TEMPLATE_ID_MIN {
            self.plans.retain(|_, plan| plan.template.kind != template.kind);
        } else {
            self.plans.remove(&template.id);
        }
        self.template_changes += 1;
        self.counts.withdrawn += (before - self.plans.len()) as u64;
    }

    /// Decodes what waited for template `id`.
    fn replay(&mut self, id: u16, output: &mut Output) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for message in &mut waiting {
            let (ready, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut message.sets).into_iter().partition(|(set, _)| *set == id);
            message.sets = rest;
            output.waiting_octets -= octets_of(&ready);
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
    fn message<'a>(&self, sampling: &'a Sampling, clock: &Clock, options: &ExportOptions) -> Message<'a> {
        Message {
            exporter: self.exporter,
            domain: self.domain,
            sent: self.sent,
            uptime_ms: self.uptime_ms,
            shift_ns: clock.shift_ns(options.skew_ns_max),
            event_time: match options.event_time {
                EventTimeSource::Flow => None,
                EventTimeSource::Export => Some(self.sent),
                EventTimeSource::Receive => Some(self.received),
            },
            sampling,
        }
    }
}

/// Whether a template has something to describe, and not too much of it.
fn is_allowed(template: &Template, options: &ExportOptions) -> bool {
    let octets = template.octets_min();
    octets > 0 && octets <= usize::from(u16::MAX) && template.fields.len() <= options.template_fields_max
}

fn records_of<'a>(plan: &Plan, body: &'a [u8], spans: &'a mut Vec<Span>) -> Records<'a> {
    match plan.stride {
        Some(stride) => Records::fixed(body, stride),
        None => Records::varying(body, &plan.template, spans),
    }
}

fn run(
    plan: &Plan,
    records: &Records<'_>,
    message: &Message<'_>,
    (extractor, batch): (&mut Extractor, &mut BatchBuilder),
) {
    if records.len() > 0 {
        extractor.append(&plan.forward, records, message, batch);
        if let Some(reverse) = &plan.reverse {
            extractor.append(reverse, records, message, batch);
        }
    }
}

/// What sets take while they wait, so that many that are empty have a limit, too.
fn octets_of(sets: &[(u16, Vec<u8>)]) -> usize {
    sets.iter().map(|(_, body)| SET_OCTETS + body.len()).sum()
}

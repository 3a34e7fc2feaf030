//! The state of one exporter and domain: its templates, its numbers, and what waits for a template.
//!
//! Takes the sets of its messages in order. Each set is decoded at once, or waits, within limits, until its
//! template comes; what waited in vain is counted.

use super::account::{ExportAccount, ExportCounts, SentBy};
use super::clock::Clock;
use super::counting::{Counting, Numbered};
use super::datagram::Transport;
use super::domain_key::DomainKey;
use super::extract_counts::ExtractCounts;
use super::head::Head;
use super::message::{Message, Origin};
use super::missed::MissedRecords;
use super::options::EventTimeSource;
use super::output::Output;
use super::plan::{Plan, Standing};
use super::plans::{NoPlan, Plans};
use super::rate_remarks::RateRemarks;
use super::records::Records;
use super::room::Limit;
use super::sampling::Sampling;
use super::saved_number::{Numbering, SavedNumber};
use super::sequence::{SequenceCounts, SequenceTracker};
use super::sets::{Set, Sets};
use super::sflow::sources::Sources;
use super::template::{Announced, TEMPLATE_ID_MIN, Template, TemplateKind, TemplateReader};
use super::times::uptime_at;
use super::undecodable::Undecodable;
use super::unit::Unit;
use super::wire::number;
use std::sync::Arc;
use tapline_record::EventTime;
use tapline_record::address::Address;

/// So many messages tell how many records one holds.
const MESSAGES_TOLD: u64 = 16;

/// What a set that waits takes besides its octets, its share of the message included.
const SET_OCTETS: usize = 128;

/// Octets of sets that may wait of any exporter, as long as there is room; beyond, half of what is free.
const EXPORTER_WAITING_OCTETS: usize = 64 << 10;

/// One exporter and domain.
#[derive(Debug)]
pub(super) struct Domain {
    /// What its numbers count, as far as is known.
    unit: Unit,
    /// Multiples of so many octets at which its sets may begin.
    alignment: usize,
    /// Who makes the records.
    pub(super) exporter: Address,
    /// Who sent the messages.
    pub(super) sent_by: SentBy,
    pub(super) counts: ExportCounts,
    pub(super) extract: ExtractCounts,
    /// The numbers of its messages; of sFlow, those of its datagrams.
    pub(super) sequence: SequenceTracker,
    counting: Counting,
    /// The numbers of sFlow's samples.
    pub(super) sources: Sources,
    pub(super) sampling: Sampling,
    pub(super) clock: Clock,
    /// When the last message arrived.
    pub(super) received: EventTime,
    /// When the last message of an earlier run did, from which it goes on.
    pub(super) resumed_from: EventTime,
    /// When the first one behind it came, and the units between them that nobody was told of yet.
    missed: Option<(EventTime, u64)>,
    /// What became of rates in connections that have ended.
    ended_rates: RateRemarks,
    plans: Plans,
    /// Messages of which some sets have no template yet, oldest first.
    waiting: Vec<Waiting>,
}

/// Sets of one message without their templates.
#[derive(Debug)]
struct Waiting {
    head: Head,
    sets: Vec<WaitingSet>,
    /// Whether the message counts as undecodable as long as none of its sets is decoded.
    is_undecoded: bool,
    /// Records that it claims as long as that is so.
    claimed: u64,
    /// The number of their first record, where records have numbers.
    first: u32,
}

/// A set that could not be decoded yet.
#[derive(Debug)]
pub(super) struct WaitingSet {
    id: u16,
    body: Vec<u8>,
    /// Why the set could not be decoded.
    reason: Undecodable,
}

/// What the sets of a message came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) records: u32,
    pub(super) options_records: u32,
    pub(super) templates: u32,
    /// Sets that have no template yet.
    waiting: Vec<WaitingSet>,
    /// Whether there were sets that never will.
    is_refused: bool,
    /// Why the sets ended before the message did.
    pub(super) broken: Option<Undecodable>,
    /// Records of the message as its header has it, where it says how many.
    pub(super) claimed: u64,
}

impl Domain {
    pub(super) fn new(key: &DomainKey, unit: Unit, sampling: Sampling) -> Self {
        Self {
            unit,
            alignment: if unit == Unit::Records { 8 } else { 4 },
            exporter: key.address,
            sent_by: SentBy::default(),
            counts: ExportCounts::default(),
            extract: ExtractCounts::default(),
            sequence: SequenceTracker::default(),
            counting: Counting::new(unit),
            sources: Sources::default(),
            sampling,
            clock: Clock::default(),
            received: EventTime::MIN,
            resumed_from: EventTime::MIN,
            missed: None,
            ended_rates: RateRemarks::default(),
            plans: Plans::new(key.address, key.transport != Transport::Udp),
            waiting: vec![],
        }
    }

    /// The domain's account.
    pub(super) fn account(&self, id: u64, key: &DomainKey) -> ExportAccount {
        let (sequence, datagrams) = self.sequence_counts();
        ExportAccount {
            id,
            exporter: Some(key.address),
            port: key.port,
            version: key.version,
            domain: key.domain,
            sent_by: self.sent_by,
            unit: self.unit,
            counts: self.counts,
            sequence,
            datagrams,
            sets_of_other_ports: 0,
            extract: self.extract,
            rates: self.ended_rates.clone(),
            clock_behind_ns: self.clock.behind_ns(),
        }
    }

    /// Goes on where the numbers of an earlier run were; says whether there is room.
    pub(super) fn resume(&mut self, saved: &SavedNumber, output: &mut Output) -> bool {
        self.resumed_from = saved.received;
        match saved.of {
            Numbering::Messages => {
                self.sequence.resume(saved.next);
                true
            }
            Numbering::Samples(source) => self.sources.resume(source, saved.next, output),
        }
    }

    /// What it numbers, as far as is known.
    pub(super) const fn unit(&self) -> Unit {
        self.unit
    }

    /// Units that went missing since an earlier run, before the first message of this one.
    pub(super) const fn missed_units(&self) -> u64 {
        match self.unit {
            Unit::Samples => self.sources.missed_units(),
            _ => self.sequence.missed_units(),
        }
    }

    /// Notes units that were found missing since an earlier run, with a message that has come now.
    pub(super) fn note_missed(&mut self, units: u64) {
        if units > 0 {
            let (since, before) = self.missed.unwrap_or((self.received, 0));
            self.missed = Some((since, before + units));
        }
    }

    /// The records that those hold, once it is known how many records a message holds.
    pub(super) fn take_missed(&mut self) -> Option<MissedRecords> {
        let is_known =
            !self.unit.holds_records() || self.counts.records > 0 && self.counts.messages >= MESSAGES_TOLD;
        let (until, units) = self.missed.take_if(|_| is_known)?;
        let records = self.counts.records_in(self.unit, units);
        Some(MissedRecords { since: self.resumed_from, until, records: Some(records) })
    }

    /// Since when there are records whose numbers have passed, and of which nobody knows yet how many they are: they wait
    /// for their templates, or went missing before this run.
    pub(super) fn unsure_since(&self) -> Option<EventTime> {
        let waiting = self.waiting.iter().map(|waiting| waiting.head.received);
        waiting.chain(self.missed.map(|_| self.resumed_from)).min()
    }

    /// Whether nothing is known of it from an earlier run, and nothing has come of it in this one.
    pub(super) fn is_new(&self) -> bool {
        self.counts.messages == 0 && self.resumed_from == EventTime::MIN
    }

    /// Whether its numbers do not go on from an earlier run: nobody knows what went missing between.
    pub(super) const fn is_cut_off(&self) -> bool {
        match self.unit {
            Unit::Samples => self.sources.is_cut_off(),
            _ => self.sequence.is_cut_off(),
        }
    }

    /// What went missing since the earlier run from which its numbers do not go on.
    pub(super) const fn cut_off(&self) -> MissedRecords {
        MissedRecords { since: self.resumed_from, until: self.received, records: None }
    }

    /// Records of it that did not become rows; see [`ExportAccount::missing_records`].
    pub(super) fn missing_records(&self) -> u64 {
        let units = match self.unit {
            Unit::Samples => self.sources.counts().missing_units(),
            _ => self.sequence.missing_units(),
        };
        // What went missing before this run is told by itself.
        let units = units.saturating_sub(self.missed_units());
        self.counts.missing_records(self.unit, units)
    }

    /// Compiles its templates anew, for other columns.
    pub(super) fn recompile(&mut self, columns: &[usize]) {
        self.plans.recompile(columns);
    }

    /// The domain's templates, and how often they changed.
    pub(super) const fn plans(&self) -> &Plans {
        &self.plans
    }

    /// What became of sampling rates that hold for no record, when those of its exporter are of these templates.
    pub(super) fn rate_remarks<'a>(
        &self,
        templates: impl Iterator<Item = &'a Template> + Clone,
    ) -> RateRemarks {
        let mut remarks = self.sampling.remarks(templates);
        remarks += &self.ended_rates;
        remarks
    }

    /// Forgets what was agreed upon with an exporter that is gone; what it sent stays in the account.
    pub(super) fn end_session(&mut self, output: &mut Output) {
        self.expire(EventTime::MAX, output);
        self.ended_rates += &self.sampling.remarks(self.plans.templates().map(Arc::as_ref));
        self.plans.clear(output);
        self.sources.clear(output);
        self.sequence.end_run();
        self.counting.end_run();
        output.held.rates -= self.sampling.len();
        self.sampling.forget();
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
                    read(set.body, &mut |announced| self.learn(announced, &mut tally, output));
                }
                (_, None) => self.counts.reasons.count(Undecodable::Reserved),
            }
        }
        if tally.templates > 0 {
            self.data_sets_before(head, &mut tally, output);
        }
        self.counts.trailing_octets += sets.padding() as u64;
        tally.broken = sets.broken();
        tally.broken.into_iter().for_each(|reason| self.counts.reasons.count(reason));
        tally
    }

    /// Gives a message its fate by what its sets came to, notes its number, and keeps what waits; `restarted` says
    /// that its exporter is known to have started anew.
    pub(super) fn settle(&mut self, head: &Head, tally: Tally, restarted: bool, output: &mut Output) {
        let is_waiting = !tally.waiting.is_empty();
        let is_whole = !is_waiting && !tally.is_refused;
        let is_known = is_whole && tally.broken.is_none();
        let records = tally.records + tally.options_records;
        *match tally {
            Tally { records: 1.., .. } => &mut self.counts.delivered,
            _ if is_whole && records + tally.templates > 0 => &mut self.counts.control,
            _ => &mut self.counts.undecodable,
        } += 1;
        self.note_number(Numbered { sequence: head.sequence, records, is_known }, restarted);
        let (first, is_undecoded) = (head.sequence.wrapping_add(records), tally.records == 0);
        let claimed = if is_undecoded && !is_whole { tally.claimed } else { 0 };
        self.counts.records_claimed += claimed;
        let waiting = Waiting { head: *head, sets: tally.waiting, is_undecoded, claimed, first };
        let waits = is_waiting && self.wait(waiting, output);
        if self.unit == Unit::Records && !is_known {
            self.sequence.lose_track(waits && !tally.is_refused && tally.broken.is_none());
        }
    }

    /// Rows of records, if they are of flows; gives how many there are.
    pub(super) fn records(
        &mut self,
        plan: &Arc<Plan>,
        records: &Records<'_>,
        head: &Head,
        output: &mut Output,
    ) -> u32 {
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        if plan.template.kind.is_options() {
            self.sampling.learn(&plan.template, records, &mut output.held.rates);
            self.learn_start(plan, records);
            self.counts.options_records += u64::from(count);
            return count;
        }
        self.counts.records += u64::from(count);
        self.counts.rows += u64::from(count) * plan.rows_per_record() as u64;
        self.extract.totals_only += u64::from(count) * u64::from(plan.tells_totals_only);
        self.extract.frames_only += u64::from(count) * u64::from(plan.tells_frames_only);
        if count == 0 {
            return 0;
        }
        let message = self.message(head, output);
        output.gatherer.append(plan, records, &message, &mut output.batch);
        self.extract += output.gatherer.take_counts();
        output.latest = output.latest.max(output.gatherer.take_latest());
        count
    }

    /// What holds for all records of a message.
    fn message(&self, head: &Head, output: &Output) -> Message<'_> {
        let shift_ns = self.clock.shift_ns(head, output.options.skew_ns_max);
        Message {
            origin: Origin { source: head.source, exporter: head.exporter, domain: head.domain },
            sent: head.sent,
            believed: head.believed,
            uptime_ms: head.uptime_ms.or_else(|| uptime_at(head.sent, self.clock.init_ms?)),
            shift_ns,
            event_time: match output.options.event_time {
                EventTimeSource::Flow => None,
                EventTimeSource::Export => Some(head.sent.plus(shift_ns)),
                EventTimeSource::Receive => Some(head.received),
            },
            closed_until: output.closed_until,
            sampling: &self.sampling,
        }
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

    /// Notes the number of a message. Where numbers turn out to count something else, so does the account.
    fn note_number(&mut self, message: Numbered, restarted: bool) {
        self.sequence.observe(message.sequence, message.units(self.unit), restarted);
        if let Some((unit, sequence)) = self.counting.note(self.unit, message, restarted) {
            (self.unit, self.sequence) = (unit, sequence);
        }
    }

    /// Takes in what is announced, and decodes what waited for it.
    fn learn(&mut self, announced: Announced, tally: &mut Tally, output: &mut Output) {
        tally.templates += 1;
        let (Announced::Template(Template { id, .. }) | Announced::Cut(id)) = announced;
        if self.plans.learn(announced, &mut self.counts, output) {
            self.replay(id, output);
        }
    }

    /// Decodes a data set, or keeps it for later when its template is not known.
    fn data_set(&mut self, set: Set<'_>, head: &Head, tally: &mut Tally, output: &mut Output) {
        match self.decode_set(set, head, tally, output) {
            Ok(()) => {}
            Err(NoPlan::Yet(reason)) => {
                // What was sent before the template says nothing of it.
                if reason == Undecodable::Record && !self.sequence.is_missing(head.sequence) {
                    self.plans.doubt(set.id, output);
                }
                self.counts.sets_waited += 1;
                tally.waiting.push(WaitingSet { id: set.id, body: set.body.to_vec(), reason });
            }
            Err(NoPlan::Refused(reason)) => {
                self.counts.reasons.count(reason);
                tally.is_refused = true;
            }
        }
    }

    /// Decodes the sets of a message whose templates came behind them.
    fn data_sets_before(&mut self, head: &Head, tally: &mut Tally, output: &mut Output) {
        for set in std::mem::take(&mut tally.waiting) {
            match self.decode_set(Set { id: set.id, body: &set.body }, head, tally, output) {
                Ok(()) => self.counts.sets_replayed += 1,
                Err(_) => tally.waiting.push(set),
            }
        }
    }

    /// Decodes a data set, unless there is no template that fits it.
    fn decode_set(
        &mut self,
        set: Set<'_>,
        head: &Head,
        tally: &mut Tally,
        output: &mut Output,
    ) -> Result<(), NoPlan> {
        let (plans, mut spans) = (std::mem::take(&mut self.plans), std::mem::take(&mut output.spans));
        let decoded = plans.of(set.id).and_then(|plan| {
            let records = plan.records(set.body, &mut spans);
            if !records.fill(set.body, self.alignment) {
                return Err(NoPlan::Yet(Undecodable::Record));
            }
            self.counts.sets_provisional += u64::from(plan.standing == Standing::Provisional);
            *match plan.template.kind {
                TemplateKind::Data => &mut tally.records,
                TemplateKind::Options { .. } => &mut tally.options_records,
            } += self.records(plan, &records, head, output);
            Ok(())
        });
        (self.plans, output.spans) = (plans, spans);
        decoded
    }

    /// Keeps the sets of a message that have no template yet; says whether there is room.
    fn wait(&mut self, waiting: Waiting, output: &mut Output) -> bool {
        self.expire(waiting.head.received.plus(-output.options.waiting_ns_max), output);
        let all = output.options.waiting_octets_max;
        let limit = Limit { all, each: EXPORTER_WAITING_OCTETS, parts: 2 };
        if !output.held.waiting_octets.take(self.exporter, octets_of(&waiting.sets), limit) {
            self.give_up(&waiting.sets);
            return false;
        }
        self.waiting.push(waiting);
        true
    }

    /// Gives up on messages that came before `oldest`.
    pub(super) fn expire(&mut self, oldest: EventTime, output: &mut Output) {
        let expired = self.waiting.iter().take_while(|waiting| waiting.head.received < oldest).count();
        let rest = self.waiting.split_off(expired);
        let expired = std::mem::replace(&mut self.waiting, rest);
        for (place, waiting) in expired.iter().enumerate() {
            output.held.waiting_octets.give_back(self.exporter, octets_of(&waiting.sets));
            let next = expired.get(place + 1).or(self.waiting.first());
            self.sequence.give_up(waiting.first, next.map(|next| next.first));
            self.give_up(&waiting.sets);
        }
    }

    fn give_up(&mut self, sets: &[WaitingSet]) {
        self.counts.sets_expired += sets.len() as u64;
        sets.iter().for_each(|set| self.counts.reasons.count(set.reason));
    }

    /// Decodes what waited for the template with this number; what it does not fit waits on.
    fn replay(&mut self, id: u16, output: &mut Output) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for message in &mut waiting {
            for mut set in std::mem::take(&mut message.sets) {
                if set.id == id
                    && let Err(no_plan) = self.replay_set(&set, message, output)
                {
                    set.reason = no_plan.reason();
                } else if set.id == id {
                    output.held.waiting_octets.give_back(self.exporter, octets_of(&[set]));
                    continue;
                }
                message.sets.push(set);
            }
        }
        waiting.retain(|message| !message.sets.is_empty());
        if waiting.is_empty() {
            self.sequence.settle_all();
        }
        self.waiting = waiting;
    }

    fn replay_set(
        &mut self,
        set: &WaitingSet,
        message: &mut Waiting,
        output: &mut Output,
    ) -> Result<(), NoPlan> {
        let mut tally = Tally::default();
        self.decode_set(Set { id: set.id, body: &set.body }, &message.head, &mut tally, output)?;
        self.counts.sets_replayed += 1;
        if std::mem::take(&mut message.is_undecoded) {
            self.counts.undecodable -= 1;
            self.counts.records_claimed -= std::mem::take(&mut message.claimed);
            let is_control = tally.records == 0 && tally.options_records > 0;
            *(if is_control { &mut self.counts.control } else { &mut self.counts.delivered }) += 1;
        }
        if self.unit == Unit::Records {
            let units = tally.records + tally.options_records;
            self.sequence.settle(message.first, units);
            message.first = message.first.wrapping_add(units);
        }
        Ok(())
    }
}

/// What sets take while they wait, so that many that are empty have a limit, too.
fn octets_of(sets: &[WaitingSet]) -> usize {
    sets.iter().map(|set| SET_OCTETS + set.body.len()).sum()
}

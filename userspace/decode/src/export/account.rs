//! What became of the messages of one exporter and domain.

use super::extract_counts::ExtractCounts;
use super::rate_remarks::RateRemarks;
use super::sequence::SequenceCounts;
use super::undecodable::UndecodableCounts;
use super::unit::Unit;
use std::ops::AddAssign;
use tapline_record::address::Address;
use tapline_record::ledger::SourceLedger;

/// Who sent the messages of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SentBy {
    /// No message came yet.
    #[default]
    Nobody,
    /// Always this address.
    One(Address),
    /// Several addresses: an agent of sFlow with more than one way to us.
    Several,
}

impl SentBy {
    /// Notes a message.
    pub(super) fn note(&mut self, sender: Address) {
        *self = match *self {
            Self::Nobody => Self::One(sender),
            Self::One(known) if known == sender => return,
            _ => Self::Several,
        };
    }

    /// The address, if it is always the same.
    #[must_use]
    pub const fn one(self) -> Option<Address> {
        match self {
            Self::One(address) => Some(address),
            Self::Nobody | Self::Several => None,
        }
    }
}

/// Counters of one exporter and domain, without the sequence's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportCounts {
    /// Messages that arrived.
    pub messages: u64,
    /// Octets of the messages that arrived.
    pub octets: u64,
    /// Data records that became rows.
    pub records: u64,
    /// Records of datagrams that gave no rows, as their headers have it.
    pub(super) records_claimed: u64,
    /// Rows; a biflow's record makes two.
    pub rows: u64,
    /// Records about the exporter itself.
    pub options_records: u64,
    /// Templates that came, again and again.
    pub templates: u64,
    /// Templates that changed the meaning of their number.
    pub redefined: u64,
    /// Templates that the exporter took back.
    pub withdrawn: u64,
    /// Sets that had to wait for their template.
    pub sets_waited: u64,
    /// Sets that had to wait, and whose template came in time.
    pub sets_replayed: u64,
    /// Sets that had to wait, and gave up waiting.
    pub sets_expired: u64,
    /// Sets decoded by a template of an earlier run, which the exporter had not announced again yet.
    pub sets_provisional: u64,
    /// Octets behind the end of a message.
    pub trailing_octets: u64,
    /// Samples of sFlow that are not of flows, by kind.
    pub samples: SampleCounts,
    /// Units delivered, control and undecodable; where records are counted, messages; see
    /// [`ExportAccount::ledger`].
    pub(super) delivered: u64,
    pub(super) control: u64,
    pub(super) undecodable: u64,
    /// Sets, samples or messages without rows, by reason.
    pub reasons: UndecodableCounts,
}

/// Samples of sFlow that are not of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Counters of interfaces and the like.
    pub counters: u64,
    /// Notifications of discarded packets.
    pub drops: u64,
    /// Samples of formats that vendors, or later versions, have.
    pub others: u64,
}

impl AddAssign for SampleCounts {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        self.drops += other.drops;
        self.others += other.others;
    }
}

/// The account of one exporter and domain, or of all of a version that are not kept any more.
#[derive(Clone, Debug)]
pub struct ExportAccount {
    /// The number of this account among all that there ever were.
    pub id: u64,
    /// Address that made the records, which is the agent's in sFlow and the sender's elsewhere; `None` for those
    /// that are not kept any more.
    pub exporter: Option<Address>,
    /// Who sent the messages.
    pub sent_by: SentBy,
    /// The sender's port; 0 where exporters are told apart by address alone.
    pub port: u16,
    /// 5, 7, 9 or 10 as in the message; 105 for sFlow v5.
    pub version: u8,
    /// Observation domain, source id, engine or sub-agent.
    pub domain: u32,
    /// What the protocol counts in.
    pub unit: Unit,
    /// What arrived.
    pub counts: ExportCounts,
    /// What did not arrive, came late, or twice.
    pub sequence: SequenceCounts,
    /// Datagrams of sFlow that did not arrive, came late, or twice: they have numbers besides those of their samples.
    pub datagrams: SequenceCounts,
    /// Sets without a template whose number was announced from another port of the same address.
    pub sets_of_other_ports: u64,
    /// What was mended in the rows.
    pub extract: ExtractCounts,
    /// What became of announced sampling rates that hold for no record.
    pub rates: RateRemarks,
    /// How far the exporter's clock is behind ours, in nanoseconds, the way of its messages included.
    pub clock_behind_ns: Option<i64>,
}

impl ExportAccount {
    /// The fates, in the protocol's unit; nothing is dropped between the message and the rows.
    #[must_use]
    pub const fn ledger(&self) -> SourceLedger {
        let [delivered, control, undecodable] = self.counts.fates(self.unit);
        let undecodable = undecodable + self.sequence.uncertain_units;
        let lost_before_us = self.sequence.lost;
        SourceLedger {
            offered: delivered + control + undecodable + lost_before_us,
            delivered,
            filtered: 0,
            control,
            undecodable,
            dropped: 0,
            lost_before_us,
        }
    }

    /// Records lost; where datagrams or messages are counted, an estimate from the records that each held so far.
    #[must_use]
    pub fn lost_records(&self) -> u64 {
        self.counts.records_in(self.unit, self.sequence.lost)
    }

    /// Records that did not become rows: lost and undecodable; an estimate where [`Self::lost_records`] is one.
    #[must_use]
    pub fn missing_records(&self) -> u64 {
        self.counts.missing_records(self.unit, self.sequence.missing_units())
    }

    /// The account of those of a version that are not kept any more, to which theirs are added.
    pub(super) fn of_given_up(version: u8, unit: Unit) -> Self {
        Self {
            id: u64::MAX - (unit as u64 * 256 + version as u64),
            exporter: None,
            sent_by: SentBy::Nobody,
            port: 0,
            version,
            domain: 0,
            unit,
            counts: ExportCounts::default(),
            sequence: SequenceCounts::default(),
            datagrams: SequenceCounts::default(),
            sets_of_other_ports: 0,
            extract: ExtractCounts::default(),
            rates: RateRemarks::default(),
            clock_behind_ns: None,
        }
    }
}

impl AddAssign<&Self> for ExportAccount {
    fn add_assign(&mut self, other: &Self) {
        self.counts += other.counts;
        self.sequence += other.sequence;
        self.datagrams += other.datagrams;
        self.extract += other.extract;
        self.rates += &other.rates;
    }
}

impl ExportCounts {
    /// Records that did not become rows, of an account in this unit of which so many never arrived.
    pub(super) fn missing_records(&self, unit: Unit, units: u64) -> u64 {
        let [_, _, undecodable] = self.fates(unit);
        self.records_in(unit, units) + self.records_in(unit, undecodable).max(self.records_claimed)
    }

    /// Units delivered, control and undecodable. Of records that are counted themselves, the numbers alone tell which
    /// were not decoded.
    const fn fates(&self, unit: Unit) -> [u64; 3] {
        match unit {
            Unit::Records => [self.records, self.options_records, 0],
            _ => [self.delivered, self.control, self.undecodable],
        }
    }

    /// Records that so many units hold; datagrams and messages by what one of them held so far.
    pub(super) fn records_in(&self, unit: Unit, units: u64) -> u64 {
        if !unit.holds_records() {
            return units;
        }
        let records = u128::from(units) * u128::from(self.records + self.records_claimed);
        u64::try_from(records / u128::from(self.messages.max(1))).unwrap_or(u64::MAX)
    }
}

impl AddAssign for ExportCounts {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.octets += other.octets;
        self.records += other.records;
        self.records_claimed += other.records_claimed;
        self.rows += other.rows;
        self.options_records += other.options_records;
        self.templates += other.templates;
        self.redefined += other.redefined;
        self.withdrawn += other.withdrawn;
        self.sets_waited += other.sets_waited;
        self.sets_replayed += other.sets_replayed;
        self.sets_expired += other.sets_expired;
        self.sets_provisional += other.sets_provisional;
        self.trailing_octets += other.trailing_octets;
        self.samples += other.samples;
        self.delivered += other.delivered;
        self.control += other.control;
        self.undecodable += other.undecodable;
        self.reasons += other.reasons;
    }
}

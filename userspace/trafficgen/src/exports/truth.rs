//! What was exported.
//!
//! Takes counts of the exporters, gives their sums. Truths of several exporters add up to the truth of all.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::{Add, AddAssign};

/// Datagrams with records, and what they carry, before sampling correction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Number of datagrams.
    pub datagrams: u64,
    /// Number of flow records, or of flow samples.
    pub records: u64,
    /// Packets of the flows; one a flow sample.
    pub packets: u64,
    /// Octets of the IP packets, headers included; of a flow sample, of the packet that was sampled.
    pub octets: u64,
}

/// What one pair of autonomous systems has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairAmount {
    /// Number of flow records, or of flow samples.
    pub records: u64,
    /// Packets, as in [`Amount`].
    pub packets: u64,
    /// Octets, as in [`Amount`].
    pub octets: u64,
}

/// Datagrams without records, and what they carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Number of datagrams.
    pub datagrams: u64,
    /// Templates of flow records.
    pub templates: u64,
    /// Templates of options.
    pub options_templates: u64,
    /// Data records of options.
    pub options_records: u64,
    /// Samples of interface counters.
    pub counter_samples: u64,
}

/// The truth about an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// What was sent: all that was generated, less what was lost, and again what was duplicated.
    pub sent: Amount,
    /// What was generated.
    pub generated: Amount,
    /// What was generated but not sent; every sequence number after it shows that.
    pub lost: Amount,
    /// What was sent a second time.
    pub duplicated: Amount,
    /// What was sent after one or more of its successors.
    pub reordered: Amount,
    /// What was generated before the first template; a part of it may be lost.
    pub withheld: Amount,
    /// What was sent besides.
    pub control: Control,
    /// How often an exporter started anew.
    pub restarts: u64,
    /// How often a template was redefined.
    pub redefinitions: u64,
    /// Octets of all UDP payloads that were sent.
    pub payload_octets: u64,
    /// What was sent, by source and destination autonomous system.
    pub pairs: BTreeMap<(u32, u32), PairAmount>,
}

impl Truth {
    /// The header of [`Truth::write_csv`]: the columns of the query that is compared.
    pub(crate) const CSV_HEADER: &str = "src_as,dst_as,records,packets,octets";

    /// Adds what other exporters did.
    pub fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.generated += other.generated;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.withheld += other.withheld;
        self.control = self.control + other.control;
        self.restarts += other.restarts;
        self.redefinitions += other.redefinitions;
        self.payload_octets += other.payload_octets;
        for (pair, amount) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += *amount;
        }
    }

    /// Datagrams that were sent, with records or without.
    #[must_use]
    pub fn datagrams(&self) -> u64 {
        self.sent.datagrams + self.control.datagrams
    }

    /// Writes what was sent by pair of autonomous systems, sorted by pair, as comma-separated values.
    ///
    /// # Errors
    /// When the sink cannot be written.
    pub fn write_csv(&self, mut sink: impl Write) -> io::Result<()> {
        writeln!(sink, "{}", Self::CSV_HEADER)?;
        for ((src_as, dst_as), PairAmount { records, packets, octets }) in &self.pairs {
            writeln!(sink, "{src_as},{dst_as},{records},{packets},{octets}")?;
        }
        sink.flush()
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.datagrams += other.datagrams;
        self.records += other.records;
        self.packets += other.packets;
        self.octets += other.octets;
    }
}

impl AddAssign for PairAmount {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.packets += other.packets;
        self.octets += other.octets;
    }
}

impl Add for Control {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            datagrams: self.datagrams + other.datagrams,
            templates: self.templates + other.templates,
            options_templates: self.options_templates + other.options_templates,
            options_records: self.options_records + other.options_records,
            counter_samples: self.counter_samples + other.counter_samples,
        }
    }
}

//! What is to be exported.
//!
//! Takes numbers, says whether they can be; everything that the exporters do follows from them.

use std::fmt;

/// Autonomous systems on each side that a plan can have at most, so that NetFlow v5 can carry their numbers.
pub(crate) const AUTONOMOUS_SYSTEMS_MAX: u32 = 10_000;

/// A protocol of flow exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// NetFlow version 5, as Cisco describes it.
    NetflowV5,
    /// NetFlow version 7, of Catalyst switches.
    NetflowV7,
    /// NetFlow version 9 (RFC 3954).
    NetflowV9,
    /// IPFIX over UDP (RFC 7011).
    Ipfix,
    /// sFlow version 5, as sflow.org specifies it.
    Sflow,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::NetflowV5, Self::NetflowV7, Self::NetflowV9, Self::Ipfix, Self::Sflow];

    /// Whether records are described by templates.
    #[must_use]
    pub fn has_templates(self) -> bool {
        matches!(self, Self::NetflowV9 | Self::Ipfix)
    }

    /// Whether there are datagrams without records: templates and options, or interface counters.
    #[must_use]
    pub(crate) fn has_control(self) -> bool {
        self.has_templates() || self == Self::Sflow
    }

    /// The UDP port that collectors listen at by custom.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::NetflowV5 | Self::NetflowV7 | Self::NetflowV9 => 2055,
            Self::Ipfix => 4739,
            Self::Sflow => 6343,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetflowV5 => "NetFlow v5",
            Self::NetflowV7 => "NetFlow v7",
            Self::NetflowV9 => "NetFlow v9",
            Self::Ipfix => "IPFIX",
            Self::Sflow => "sFlow v5",
        })
    }
}

/// What goes wrong on purpose; nothing by default.
///
/// What a collector could not account for by any means is left alone: datagrams without records are neither
/// lost nor overtaken, and neither the first nor the last datagram of a sequence is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Of a hundred datagrams with records, so many are generated but not sent.
    pub lose_percent: u64,
    /// Of a hundred datagrams with records, so many are sent after some of their successors.
    pub reorder_percent: u64,
    /// Of a hundred datagrams with records, so many are sent twice.
    pub duplicate_percent: u64,
    /// After so many datagrams with records an exporter starts anew: uptime and sequence numbers; 0 for never.
    pub restart_every_datagrams: u64,
    /// After so many datagrams with records the template takes another order of fields; 0 for never.
    pub redefine_every_datagrams: u64,
    /// So many datagrams with records come before the first template.
    pub withhold_datagrams: u64,
    /// Of a hundred exporters, so many claim times of no use: clocks that were never set, are ahead, behind or step,
    /// flows of long ago.
    pub nonsense_percent: u32,
}

/// What exporters export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportPlan {
    /// How.
    pub protocol: Protocol,
    /// Where the random numbers start.
    pub seed: u64,
    /// Autonomous systems on each side. Every pair of them is equally frequent, and every one occurs as long as
    /// there are as many different records.
    pub autonomous_systems: u32,
    /// Different records, up to the end of a datagram; then they come again, with new times.
    pub block_records: u32,
    /// One packet in so many is sampled, and the exporters say so; `None` when they say nothing.
    pub sampling_rate: Option<u32>,
    /// After so many datagrams with records the templates, or interface counters, are sent again.
    pub control_every_datagrams: u64,
    /// After so long they are sent again, too; looked at when a datagram is due.
    pub control_every_ms: u64,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl ExportPlan {
    /// Without faults and sampling: every pair of 200 by 200 autonomous systems.
    #[must_use]
    pub fn new(protocol: Protocol, seed: u64) -> Self {
        Self {
            protocol,
            seed,
            autonomous_systems: 200,
            block_records: 1 << 16,
            sampling_rate: None,
            control_every_datagrams: 1000,
            control_every_ms: 10_000,
            faults: Faults::default(),
        }
    }

    /// Whether the numbers can be.
    ///
    /// # Errors
    /// Says which number is wrong and what would be right.
    pub fn check(&self) -> Result<(), String> {
        const BLOCK_RECORDS_MAX: u32 = 1 << 22;
        within("autonomous_systems", self.autonomous_systems, AUTONOMOUS_SYSTEMS_MAX)?;
        within("block_records", self.block_records, BLOCK_RECORDS_MAX)?;
        within("sampling_rate", self.sampling_rate.unwrap_or(1), self.sampling_rate_max())?;
        if self.control_every_datagrams == 0 || self.control_every_ms == 0 {
            return Err("control_every is 0, it must be 1 or more".to_owned());
        }
        self.faults.check(self.protocol)
    }

    /// NetFlow v5 has 14 bits for the rate.
    fn sampling_rate_max(&self) -> u32 {
        match self.protocol {
            Protocol::NetflowV5 => (1 << 14) - 1,
            Protocol::NetflowV7 => 1,
            _ => 1 << 24,
        }
    }
}

impl Faults {
    /// The number of an exporter among those that claim times of no use; `None` where it claims the right ones.
    #[must_use]
    pub fn nonsense_of(&self, exporter: u32) -> Option<u32> {
        let before = |exporters: u32| (u64::from(exporters) * u64::from(self.nonsense_percent) / 100) as u32;
        let number = before(exporter);
        (before(exporter + 1) > number).then_some(number)
    }

    fn check(&self, protocol: Protocol) -> Result<(), String> {
        let percents = self.lose_percent + self.reorder_percent + self.duplicate_percent;
        if percents > 100 {
            return Err(format!("{percents} % of the datagrams are to be lost, reordered or duplicated"));
        }
        if self.nonsense_percent > 100 {
            return Err(format!("{} % of the exporters are to claim times of no use", self.nonsense_percent));
        }
        let of_templates = self.redefine_every_datagrams + self.withhold_datagrams;
        if of_templates > 0 && !protocol.has_templates() {
            return Err(format!("{protocol} has no templates to redefine or withhold"));
        }
        Ok(())
    }
}

fn within(name: &str, value: u32, max: u32) -> Result<(), String> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(format!("{name} is {value}, it must be from 1 to {max}"))
}

//! What a seed makes of a world: how many there are, how much goes wrong, how little room there is.

use super::random::Random;
use crate::aggregator::{AggregatorOptions, Role};
use crate::limits::{AggregatorLimits, Patience};
use crate::names::SensorName;
use crate::outgoing::OutgoingLimits;

/// Chances are of a thousand, a tick.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) leaves: usize,
    /// Of each aggregator, whom it forwards to; the first one is final.
    pub(super) parents: Vec<Option<usize>>,
    pub(super) drops: usize,
    pub(super) doubles: usize,
    pub(super) delay: i64,
    pub(super) cuts: usize,
    pub(super) leaf_crashes: usize,
    pub(super) node_crashes: usize,
    pub(super) power_cuts: usize,
    pub(super) takeovers: usize,
    pub(super) full_disks: usize,
    pub(super) wipes: usize,
    pub(super) leaf_limits: OutgoingLimits,
    pub(super) is_roomy: bool,
    pub(super) is_hostile: bool,
    pub(super) has_mixed_versions: bool,
    pub(super) changes_queries: bool,
    limits: AggregatorLimits,
    patience: Patience,
}

impl Plan {
    pub(super) fn new(random: &mut Random) -> Self {
        let some = |random: &mut Random, often: usize, most: usize| {
            if random.permille(often) { random.below(most) + 1 } else { 0 }
        };
        let parents = match random.below(10) {
            0..=4 => vec![None],
            5 | 6 => vec![None, Some(0)],
            7 | 8 => vec![None, Some(0), Some(0)],
            _ => vec![None, Some(0), Some(1)],
        };
        let is_roomy = random.permille(600);
        let above_max = random.within(8, 40) as usize;
        Self {
            leaves: random.within(1, 4) as usize,
            parents,
            drops: some(random, 700, 300),
            doubles: some(random, 500, 200),
            delay: random.within(0, 12),
            cuts: some(random, 400, 15),
            leaf_crashes: some(random, 700, 12),
            node_crashes: some(random, 700, 15),
            power_cuts: random.below(1000),
            takeovers: some(random, 500, 15),
            full_disks: some(random, 300, 15),
            wipes: some(random, 150, 400),
            leaf_limits: leaf_limits(is_roomy, random),
            is_roomy,
            is_hostile: random.permille(100),
            has_mixed_versions: random.permille(100),
            changes_queries: random.permille(400),
            limits: AggregatorLimits {
                above_max,
                octets_per_sensor_max: 4000,
                ..AggregatorLimits::default()
            },
            patience: Patience {
                idle_after_ns: random.within(5, 40),
                stragglers_ns: random.within(2, 30),
                skew_ns: 10,
                revisable_ns: 1 << 40,
            },
        }
    }

    /// The options of the aggregator with this number.
    pub(super) fn options(&self, node: usize, random: &mut Random) -> AggregatorOptions {
        let limits = if self.is_roomy { roomy(8) } else { leaf_limits(false, random) };
        let role = if node == 0 { Role::Final } else { Role::Forward(node_name(node), limits) };
        AggregatorOptions { role, limits: self.limits, patience: self.patience }
    }

    pub(super) const fn above_max(&self) -> usize {
        self.limits.above_max
    }
}

pub(super) fn node_name(node: usize) -> SensorName {
    SensorName::new(&format!("node-{node}"))
}

fn roomy(window_records: usize) -> OutgoingLimits {
    OutgoingLimits { window_records, ..OutgoingLimits::default() }
}

fn leaf_limits(is_roomy: bool, random: &mut Random) -> OutgoingLimits {
    let window_records = random.within(2, 12) as usize;
    if is_roomy {
        return roomy(window_records);
    }
    let limits = OutgoingLimits {
        octets_max: random.within(1500, 8000) as u64,
        unsafe_octets_max: random.within(1200, 4000) as u64,
        window_records,
        gaps_max: if random.permille(200) { 3 } else { 1000 },
        losses_max: if random.permille(200) { 2 } else { 1000 },
        gone_octets_max: if random.permille(300) { random.within(800, 3000) as u64 } else { 1 << 20 },
    };
    // One with little more room than for two records that say what is gone may say it again for ever, as long as no
    // checkpoint has it.
    match limits.gone_octets_max {
        most if most < 1 << 20 => OutgoingLimits { octets_max: limits.octets_max.max(4 * most), ..limits },
        _ => limits,
    }
}

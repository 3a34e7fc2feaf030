//! What an aggregator may hold, and how long it waits.

/// What an aggregator may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregatorLimits {
    /// Sensors that are known.
    pub sensors_max: usize,
    /// Stretches of records above the mark of one sensor; of records that are said to be gone as many again.
    pub above_max: usize,
    /// Octets of who is behind one sensor, above its mark and below, about.
    pub behind_octets_max: u64,
    /// Panes of one half, given ones that may be revised among them.
    pub panes_max: usize,
    /// Panes that one sensor opened and that were not given yet.
    pub panes_per_sensor_max: usize,
    /// Octets of payloads that are taken from one sensor between two checkpoints.
    pub octets_per_sensor_max: u64,
    /// Results that nobody has taken yet; beyond it no pane is given. A quarter is for panes in which no sensor is alone, or
    /// another one is.
    pub results_max: usize,
}

impl AggregatorLimits {
    /// Results, and panes that become some, of one sensor alone.
    pub(crate) const fn of_one_sensor(&self) -> usize {
        self.results_max - self.results_max / 4
    }
}

impl Default for AggregatorLimits {
    fn default() -> Self {
        Self {
            sensors_max: 4096,
            above_max: 1024,
            behind_octets_max: 64 << 20,
            panes_max: 1 << 16,
            panes_per_sensor_max: 4096,
            octets_per_sensor_max: 64 << 20,
            results_max: 8192,
        }
    }
}

/// How long an aggregator waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A sensor that says nothing for so long is idle, and nobody waits for it.
    pub idle_after_ns: i64,
    /// How long a pane waits for others when the first sensor has come to its end, or by our clock all must have.
    pub stragglers_ns: i64,
    /// How far ahead of our clock the times that sensors claim may lie.
    pub skew_ns: i64,
    /// How far behind the latest pane that was given, in event time, one may be revised.
    pub revisable_ns: i64,
}

impl Default for Patience {
    fn default() -> Self {
        const SECOND_NS: i64 = 1_000_000_000;
        Self {
            idle_after_ns: 10 * SECOND_NS,
            stragglers_ns: 5 * SECOND_NS,
            skew_ns: 60 * SECOND_NS,
            revisable_ns: 2 * 3600 * SECOND_NS,
        }
    }
}

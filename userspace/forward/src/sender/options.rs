//! What a sensor is set up with.

use crate::uplink::Upstream;
use std::path::PathBuf;
use std::time::Duration;
use tapline_delivery::{OutgoingLimits, SensorName};
use tapline_spool::SpoolLimits;

/// The least that a spool may take: a cut of a few long parts has room in it.
const OCTETS_MIN: u64 = 16 << 20;
/// Octets of one file, where all may be long.
const SEGMENT_OCTETS: u64 = 16 << 20;
/// Octets of a record in the spool: the longest positions.
const RECORD_OCTETS_MAX: u32 = 8 << 20;
/// Octets that may wait for the disk, where there is room for many.
const UNSAFE_OCTETS: u64 = 64 << 20;
/// Records that are under way at once: what a checkpoint covers, half a second apart.
const WINDOW_RECORDS: usize = 4096;
/// How much is told apart of what is gone, and octets of a record that says it: it has room in a frame. A cut has a few of
/// them, and room in the smallest spool.
const GAPS_MAX: usize = 256;
const LOSSES_MAX: usize = 64;
const GONE_OCTETS_MAX: u64 = 1 << 20;

/// Where and how much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolPlan {
    /// The folder; it is made.
    pub folder: PathBuf,
    /// Octets on the disk; 16 MiB at least.
    pub octets_max: u64,
    /// How old what is kept may be.
    pub age_max: Duration,
}

/// What a sensor is set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderOptions {
    /// What it is called.
    pub name: SensorName,
    /// To whom it sends.
    pub to: Upstream,
    /// What it keeps until then.
    pub spool: SpoolPlan,
    /// Its program's version.
    pub version: String,
    /// Which versions its states have, as somebody reads it.
    pub states: String,
}

impl SpoolPlan {
    /// Octets that may wait for the disk; a cut has no more.
    pub(crate) fn unsafe_octets(&self) -> u64 {
        UNSAFE_OCTETS.min(self.octets_max / 8)
    }

    fn segment_octets(&self) -> u64 {
        SEGMENT_OCTETS.min(self.octets_max / 16)
    }

    /// # Errors
    /// A sentence, when it is too small.
    pub(crate) fn limits(&self) -> Result<SpoolLimits, String> {
        if self.octets_max < OCTETS_MIN {
            return Err(format!(
                "the spool {} may take {} octets: let it have {OCTETS_MIN} at least",
                self.folder.display(),
                self.octets_max
            ));
        }
        Ok(SpoolLimits {
            record_octets_max: RECORD_OCTETS_MAX,
            segment_octets: self.segment_octets(),
            octets_max: self.octets_max,
            age_max_ns: i64::try_from(self.age_max.as_nanos()).unwrap_or(i64::MAX),
        })
    }

    /// What is decided about what is kept; the rest of the disk is for what waits, and for files of which a part is gone.
    pub(crate) fn outgoing(&self) -> OutgoingLimits {
        let unsafe_octets_max = self.unsafe_octets();
        OutgoingLimits {
            octets_max: self.octets_max - unsafe_octets_max - 3 * self.segment_octets(),
            unsafe_octets_max,
            window_records: WINDOW_RECORDS,
            gaps_max: GAPS_MAX,
            losses_max: LOSSES_MAX,
            gone_octets_max: GONE_OCTETS_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FRAME_OCTETS_MAX;

    #[test]
    fn what_is_kept_leaves_room_for_what_waits() {
        let plan = |octets_max| SpoolPlan { folder: PathBuf::from("x"), octets_max, age_max: Duration::MAX };
        assert!(plan(1 << 20).limits().unwrap_err().contains("16777216 at least"));
        for octets_max in [16 << 20, 1 << 30, 1 << 40] {
            let (limits, outgoing) = (plan(octets_max).limits().unwrap(), plan(octets_max).outgoing());
            assert!(outgoing.octets_max > limits.octets_max / 2);
            assert!(
                outgoing.octets_max + outgoing.unsafe_octets_max + 2 * limits.segment_octets < octets_max
            );
            assert_eq!(limits.age_max_ns, i64::MAX);
            assert!(2 * outgoing.gone_octets_max < FRAME_OCTETS_MAX as u64);
            let gone = outgoing.unsafe_octets_max.max(5 * outgoing.gone_octets_max);
            assert!(gone + outgoing.unsafe_octets_max < limits.octets_max / 2, "a cut has half of all");
        }
    }
}

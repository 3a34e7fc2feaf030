//! What a spool may take.

use crate::error::SpoolError;
use crate::{cut, header};
use std::path::Path;

/// A disk gives room to files in pieces of so many octets.
const BLOCK_OCTETS: u64 = 4096;
/// Of how many parts of the greatest age a file has records, at most.
const PARTS_OF_AGE: i64 = 8;

/// What a spool may take. Files that are there already keep the limits by which they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Octets of one record.
    pub record_octets_max: u32,
    /// Octets of one file, at most half of all; a cut that is longer has a file of its own.
    pub segment_octets: u64,
    /// Octets of all files, as the disk counts them; a cut has at most half of them.
    pub octets_max: u64,
    /// How old records may be, in nanoseconds by the times that cuts are appended with.
    pub age_max_ns: i64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            record_octets_max: 4 << 20,
            segment_octets: 16 << 20,
            octets_max: 2 << 30,
            age_max_ns: i64::MAX,
        }
    }
}

impl SpoolLimits {
    /// Refuses limits with which appends would be stuck.
    pub(crate) fn check(&self, folder: &Path) -> Result<(), SpoolError> {
        let half = self.half();
        let least = 2 * BLOCK_OCTETS;
        if half < least || self.segment_octets < BLOCK_OCTETS || self.segment_octets > half {
            let why = format!(
                "its files may have {} octets of {}: let them have at least {BLOCK_OCTETS}, and at most half of all",
                self.segment_octets, self.octets_max
            );
            return Err(SpoolError::refused(folder, why));
        }
        Ok(())
    }

    /// Octets of a cut of these records, when it may be one.
    pub(crate) fn cut_octets<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<u64, SpoolError> {
        let longest = records.iter().map(|record| record.as_ref().len() as u64).max().unwrap_or_default();
        let most = u64::from(self.record_octets_max);
        if longest > most {
            let (what, limit) = ("a record", "record_octets_max");
            return Err(SpoolError::TooLong { what, octets: longest, most, limit });
        }
        let octets = cut::octets(records);
        let most = self.half() - header::OCTETS as u64;
        if octets > most || u32::try_from(records.len()).is_err() {
            return Err(SpoolError::TooLong { what: "a cut", octets, most, limit: "octets_max" });
        }
        Ok(octets)
    }

    /// How old the oldest record of a file is, at most, before another file is begun.
    pub(crate) const fn segment_age_ns(&self) -> i64 {
        self.age_max_ns / PARTS_OF_AGE
    }

    /// Half of all, in whole pieces: so a cut has room beside the newest file, whatever that holds.
    const fn half(&self) -> u64 {
        self.octets_max / 2 / BLOCK_OCTETS * BLOCK_OCTETS
    }
}

/// Octets that a file of so many takes on a disk.
pub(crate) const fn on_disk(octets: u64) -> u64 {
    octets.next_multiple_of(BLOCK_OCTETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_with_which_nothing_has_room_are_refused() {
        let of =
            |segment_octets, octets_max| SpoolLimits { segment_octets, octets_max, ..SpoolLimits::default() };
        let check = |limits: SpoolLimits| limits.check(Path::new("here")).map_err(|error| error.to_string());
        assert!(check(SpoolLimits::default()).is_ok() && check(of(4096, 16384)).is_ok());
        for wrong in [of(4096, 8192), of(0, 1 << 20), of(1 << 20, 1 << 20)] {
            assert!(check(wrong).unwrap_err().contains("at most half of all"));
        }
    }

    #[test]
    fn what_never_has_room_is_said_to_be_too_long() {
        let limits =
            SpoolLimits { record_octets_max: 100, segment_octets: 4096, octets_max: 16384, age_max_ns: 0 };
        let said = |records: &[Vec<u8>]| limits.cut_octets(records).map_err(|error| error.to_string());
        assert!(said(&[vec![0; 100]]).is_ok());
        assert!(said(&[vec![0; 101]]).unwrap_err().contains("raise record_octets_max"));
        assert!(said(&vec![vec![0; 100]; 80]).unwrap_err().contains("raise octets_max"));
    }
}

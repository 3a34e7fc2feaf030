//! Announced sampling rates that hold for no record.

use super::scope_name::ScopeName;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Rates whose scope no record tells, by the name of that scope.
pub type UnfollowedRates = BTreeMap<ScopeName, u64>;

/// What became of announced rates that hold for no record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateRemarks {
    /// Rates whose scope no record tells.
    pub unfollowed: UnfollowedRates,
    /// Announcements that there was no room for.
    pub refused: u64,
}

impl AddAssign<&Self> for RateRemarks {
    fn add_assign(&mut self, other: &Self) {
        for (&name, count) in &other.unfollowed {
            *self.unfollowed.entry(name).or_default() += count;
        }
        self.refused += other.refused;
    }
}

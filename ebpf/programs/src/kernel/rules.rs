//! The pre-filter's rules, from their maps.

use super::maps;
use crate::filter::Rules;

/// All rules.
pub(super) struct MappedRules;

impl Rules for MappedRules {
    #[inline(always)]
    fn of_prefix(&self, address: &[u8; 16], is_v4: bool) -> u8 {
        if is_v4 {
            let [.., a, b, c, d] = *address;
            return maps::prefix_v4([a, b, c, d]);
        }
        maps::prefix_v6(*address)
    }

    #[inline(always)]
    fn of_place(&self, place: u32) -> u8 {
        maps::rule(place)
    }
}

//! Puts parts together that others made.

use crate::guard::{guarded, said};
use tapline_operators::{HalfStates, Parts};

/// Parts that were put together.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) parts: Parts,
    /// Whether some are not among them: their states are none that can be merged.
    pub(crate) any_is_left_out: bool,
}

/// Puts parts together to one, in which groups beyond `groups_max` are folded. Where that fails, those are left out that
/// fail alone; where it still does, since an aggregate cannot be computed of all of them, they stay apart.
pub(crate) fn settled(half: &HalfStates, parts: &Parts, groups_max: usize) -> Settled {
    let merged = |parts: &Parts| guarded(|| half.merged(parts, groups_max).map_err(|error| said(&error)));
    if let Ok(parts) = merged(parts) {
        return Settled { parts, any_is_left_out: false };
    }
    let (mut sound, mut any_is_left_out) = (Parts::default(), false);
    for part in parts.each() {
        match merged(&part) {
            Ok(_) => sound.append(part),
            Err(_) => any_is_left_out = true,
        }
    }
    let parts = merged(&sound).unwrap_or(sound);
    Settled { parts, any_is_left_out }
}

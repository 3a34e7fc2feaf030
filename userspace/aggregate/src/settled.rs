//! Puts parts together that others made.

use crate::guard::{guarded, said};
use tapline_operators::{HalfStates, Parts};

/// Parts that were put together.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) parts: Parts,
    /// Whether some are not among them: their states are none that can be merged with the others.
    pub(crate) any_is_left_out: bool,
}

/// Puts parts together to one, in which groups beyond `groups_max` are folded. Where that fails, those are left out that
/// fail alone; where it still does, since an aggregate cannot be computed of all of them, the one without which it can,
/// and of several such ones that of the fewest groups.
pub(crate) fn settled(half: &HalfStates, parts: &Parts, groups_max: usize) -> Settled {
    let merged = |parts: &Parts| guarded(|| half.merged(parts, groups_max).map_err(|error| said(&error)));
    if let Ok(parts) = merged(parts) {
        return Settled { parts, any_is_left_out: false };
    }
    let mut sound: Vec<Parts> = parts.each().filter(|part| merged(part).is_ok()).collect();
    sound.sort_by_key(Parts::groups_in_all);
    let all_but = |left_out: Option<usize>| {
        let mut others = Parts::default();
        let kept = sound.iter().enumerate().filter(|(number, _)| left_out != Some(*number));
        kept.for_each(|(_, part)| others.append(part.clone()));
        merged(&others).ok()
    };
    let whole = std::iter::once(None).chain((0..sound.len()).map(Some)).find_map(all_but);
    let parts = whole.unwrap_or_else(|| one_by_one(&sound, merged));
    Settled { parts, any_is_left_out: true }
}

/// As many of them as can be merged, those of many groups first.
fn one_by_one(parts: &[Parts], merged: impl Fn(&Parts) -> Result<Parts, String>) -> Parts {
    parts.iter().rev().fold(Parts::default(), |known, part| {
        let mut both = known.clone();
        both.append(part.clone());
        merged(&both).unwrap_or(known)
    })
}

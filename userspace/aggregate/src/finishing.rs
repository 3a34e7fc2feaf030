//! Makes the results of one window, whatever came for it.
//!
//! What others say may be such that an expression of the query cannot be computed for some group: what is added up does
//! not fit, or a divisor is zero. The window is made without such groups then, since one of them is no reason to have none
//! of the others; where it is not known which groups they are, there is none.

use crate::guard::{guarded, said};
use crate::settled::settled;
use tapline_operators::{Closed, ClosedWindow, Finisher, HalfStates, Parts, Span, WindowResult};

/// How often it is tried which groups are not to be computed.
const TRIES_MAX: usize = 256;

/// What is known of a window besides what came for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) span: Span,
    /// Whether all of its panes saw all rows.
    pub(crate) is_whole: bool,
    pub(crate) revision: u64,
    pub(crate) completeness: Option<f64>,
}

/// A window that was made, or could not be.
pub(crate) enum Finished {
    /// All of it.
    Whole(Vec<WindowResult>),
    /// Without so many groups, of which it could not be; why.
    Without(usize, Vec<WindowResult>, String),
    /// Not at all; why.
    Failed(String),
}

/// The states of each half, and how many groups they may have.
#[derive(Clone, Copy)]
pub(crate) struct States<'a> {
    pub(crate) halves: &'a [HalfStates],
    pub(crate) groups_max: usize,
}

/// Makes the results of a window of what came for each half.
pub(crate) fn finish(finisher: &mut Finisher, states: States<'_>, parts: &[Parts], about: About) -> Finished {
    let why = match attempt(finisher, parts.to_vec(), about) {
        Ok(results) => return Finished::Whole(results),
        Err(why) => why,
    };
    let (mut tries, mut left_out, mut sound) = (TRIES_MAX, 0, vec![]);
    for (half, own) in states.halves.iter().enumerate() {
        let mut can_be_made = |some: &Parts| {
            tries = tries.checked_sub(1)?;
            let mut alone = vec![Parts::default(); states.halves.len()];
            alone.get_mut(half)?.append(some.clone());
            Some(attempt(finisher, alone, about).is_ok())
        };
        let of_half = parts.get(half).cloned().unwrap_or_default();
        let whole = settled(own, &of_half, states.groups_max).parts;
        let (kept, others) = sound_of(whole, &mut can_be_made);
        sound.push(kept);
        left_out += others;
    }
    // With nothing at all, a query without keys would say that there were no rows.
    if sound.iter().all(Parts::is_empty) {
        return Finished::Failed(why);
    }
    let about = About { is_whole: false, completeness: None, ..about };
    match attempt(finisher, sound, about) {
        Ok(results) => Finished::Without(left_out, results, why),
        Err(why) => Finished::Failed(why),
    }
}

/// The groups of which a window can be made, and how many the others are; of those that are not to be tried any more
/// nobody knows.
fn sound_of(whole: Parts, can_be_made: &mut impl FnMut(&Parts) -> Option<bool>) -> (Parts, usize) {
    let (mut sound, mut left_out, mut left) = (Parts::default(), 0, vec![whole]);
    while let Some(some) = left.pop() {
        let known = can_be_made(&some);
        match some.halved().filter(|_| known == Some(false)) {
            _ if known == Some(true) => sound.append(some),
            Some([first, second]) => left.extend([second, first]),
            None => left_out += some.groups_in_all(),
        }
    }
    (sound, left_out)
}

fn attempt(finisher: &mut Finisher, parts: Vec<Parts>, about: About) -> Result<Vec<WindowResult>, String> {
    let mut window = ClosedWindow::of_parts(about.span, parts, about.is_whole, about.revision);
    window.completeness = about.completeness;
    let mut results = vec![];
    guarded(|| finisher.finish(Closed::Window(window), &mut results).map_err(|error| said(&error)))?;
    Ok(results)
}

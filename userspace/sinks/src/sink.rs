//! What takes results, and what it is given.

use crate::origin::{Board, Known, Origin};
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_operators::WindowResult;
use tapline_record::EventTime;

/// Which result of all it is; none other has the same, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResultId {
    /// Who gives it: an outlet has another number at each start, and none is negative.
    pub sender: i64,
    /// Which of the outlet's results it is, counted from 1 in the order in which they are given.
    pub number: i64,
}

/// A result on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Which one it is, by which whoever gets it twice knows it again.
    pub id: ResultId,
    /// Whose it is.
    pub origin: Arc<Origin>,
    /// What was answered; never early.
    pub result: Arc<WindowResult>,
    /// When it was given.
    pub given: EventTime,
}

/// Why a sink does not take a result.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It cannot go on now; the same result is given again later.
    #[error("{0}")]
    Later(String),
    /// It can never take this one, which is lost.
    #[error("{0}")]
    Never(String),
}

/// What stores or sends results; it may take its time. What it takes is safe, unless it says what it holds.
pub trait Sink: Send {
    /// Takes a result.
    ///
    /// # Errors
    /// A sentence that names what is wrong; the result was not taken, no part of it.
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal>;

    /// Takes several results in their order, or the first ones of them; gives how many it took, and where something is
    /// wrong with the next one, what.
    fn take_all(&mut self, parcels: &[Parcel]) -> (usize, Result<(), Refusal>) {
        take_each(parcels, |parcel| self.take(parcel))
    }

    /// Does what is due by now; called several times a second.
    ///
    /// # Errors
    /// What cannot be done now, and is tried again.
    fn tend(&mut self, _now: EventTime) -> Result<(), String> {
        Ok(())
    }

    /// Results that were taken and are not safe yet.
    fn held(&self) -> u64 {
        0
    }

    /// Of queries of which it holds results that a crash would take: when the first of these was given, or earlier.
    fn unsafe_since(&self) -> BTreeMap<String, EventTime> {
        BTreeMap::new()
    }

    /// Results that were taken and lost since this was asked before, by query.
    fn lost(&mut self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    /// What is wrong with whoever gets the results in the end, although they are taken and wait in a safe place.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Makes safe what it holds, at its end; what is held still is lost.
    ///
    /// # Errors
    /// Why not all of it is safe.
    fn finish(&mut self, _now: EventTime) -> Result<(), String> {
        Ok(())
    }

    /// What a query must be for its results to be taken.
    fn requires(&self) -> fn(&Origin) -> Result<(), String> {
        |_| Ok(())
    }

    /// Whether it watches over alarms.
    fn is_watching(&self) -> bool {
        false
    }

    /// Where it shows which alarms fire, if it does that and tells nobody.
    fn board(&self) -> Option<Board> {
        None
    }

    /// Notes what is known of queries, behind all results that were given before that was so, and before all others;
    /// whoever watches over alarms is told.
    fn know(&mut self, _known: &Known) {}
}

/// Takes results one by one until one is refused; gives how many were taken, and why the next one was not.
pub(crate) fn take_each(
    parcels: &[Parcel],
    mut take: impl FnMut(&Parcel) -> Result<(), Refusal>,
) -> (usize, Result<(), Refusal>) {
    for (taken, parcel) in parcels.iter().enumerate() {
        if let Err(refusal) = take(parcel) {
            return (taken, Err(refusal));
        }
    }
    (parcels.len(), Ok(()))
}

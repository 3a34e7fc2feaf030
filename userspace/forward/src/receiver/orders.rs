//! What others ask of the thread "aggregator", or tell it.

use crate::store::StoreError;
use tapline_delivery::{HalfId, HalfSpec, SensorName, Stamp};

/// What others ask of the thread.
#[derive(Debug)]
pub(crate) enum Order {
    AddHalf(HalfId, HalfSpec),
    DropHalf(HalfId),
    Rest(SensorName),
    /// A checkpoint was written, or not.
    Written(Written),
    /// Something stays that no checkpoint names, for this reason.
    NotDeleted(String),
    /// So many results were taken, and are safe.
    Taken(usize),
    /// So many were taken, and it is said later which of them are safe.
    Handed(usize),
    /// So many of the oldest of a half that were taken are safe.
    Safe(HalfId, usize),
    /// End behind a checkpoint that has what is safe by now.
    Finish,
    /// What is safe was said.
    Settled,
    End,
}

/// What a checkpoint came to.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) stamp: Stamp,
    pub(crate) result: Result<(), StoreError>,
}

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
    /// So many results were taken.
    Taken(usize),
    End,
}

/// What a checkpoint came to.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) stamp: Stamp,
    pub(crate) result: Result<(), StoreError>,
}

//! Where frames come from.
//!
//! Takes capture files, gives [`tapline_decode::Frame`]s in the order of the capture, lent for the
//! time of one call, and an account of how far each file could be read.

pub mod file;

pub use file::{CaptureFile, CaptureSet, Counters, Damage, End, OpenError, TimeScan};

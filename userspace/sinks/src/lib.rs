//! Results out of the system, as people and programs read them.
//!
//! Takes results, gives text. Addresses become text here, at the edge.

#![forbid(unsafe_code)]

mod json;
mod printable;

pub use json::{lines, window, with_own_names};
pub use printable::{flat, printable, time_text, with_addresses_as_text};

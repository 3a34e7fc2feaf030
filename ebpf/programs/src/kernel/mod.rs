//! What joins the plain code to the kernel: contexts, helpers, maps.
//!
//! Each CPU works on lines of its own; a program is never interrupted by another on its CPU, so nothing here
//! is atomic.

mod capture;
mod card;
mod frame;
mod log;
mod maps;
mod parts;
mod rules;
mod send;
mod stamp;
mod table;

pub use capture::{classify, take_wanted};
pub use frame::LinearFrame;
pub use parts::{clock_only, parse_only};
pub use send::number;
pub use table::count;

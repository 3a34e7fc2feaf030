//! What joins the plain code to the kernel: contexts, helpers, maps.
//!
//! Each CPU works on lines of its own, and what counts received frames on others than what counts sent ones; a program is
//! never interrupted by itself on its CPU, as both run with soft interrupts off, so nothing here is atomic.

mod capture;
mod card;
mod frame;
mod log;
mod maps;
mod packet;
mod parts;
mod rules;
mod send;
mod sent;
mod stamp;
mod table;

pub use capture::{classify, take_wanted};
pub use frame::LinearFrame;
pub use parts::{clock_only, parse_only};
pub use send::number;
pub use sent::count_sent;
pub use table::count;

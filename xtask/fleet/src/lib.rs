//! An aggregator and its sensors as processes, and routers that know what they sent to each: what the demonstration,
//! measurements and tests of sensors share.
//!
//! Takes the program `tapline` and names; gives processes that can be asked, killed and started again, on this machine or
//! each in a network of its own, links between them that can be cut, and what was given of each window beside what was
//! sent. All ends with the value.
#![forbid(unsafe_code)]

mod api;
mod certificate;
pub mod chaos;
mod fleet;
mod given;
mod ground;
mod link;
mod process;
mod sensor;
mod traffic;

pub use api::Api;
pub use fleet::{Fleet, Plan};
pub use given::{Amount, Books, Given, Windows, nanoseconds};
pub use ground::free_address;
pub use link::{Fault, Link};
pub use process::Process;
pub use sensor::Sensor;
pub use traffic::{Exporter, Presence, Traffic, Truth, now_ns, window_of};

//! Interfaces of this machine.
//!
//! Takes the name of an interface, gives what it is and can do ([`link`], [`doctor`]), its frames, lent for the time of
//! one call ([`live`]), or what the kernel counted of them by flow ([`kernel`]). Every frame that was seen is lent, counted
//! as lost, or in an entry that comes out once. When nobody reads any longer, the interface is as it was.

mod directions;
pub mod doctor;
pub mod kernel;
pub mod link;
pub mod live;

pub use directions::Directions;

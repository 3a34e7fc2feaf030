//! Conditions over what is parsed of a frame.
//!
//! A [`Condition`] speaks of [`Field`]s, which are called as the columns of `packets`; it comes from a filter in pcap
//! syntax ([`pcap::parse`]) or from SQL. Its normal form, a [`Predicate`], is evaluated over whatever knows the fields
//! ([`Values`]: a row of `packets`, or what the kernel's program has parsed), written as SQL, or compiled for the kernel
//! ([`bpf::Pushed`]).
//!
//! What always holds: a predicate says the same wherever it is evaluated, and what the kernel is given of it lets through
//! whatever the whole does.

#![forbid(unsafe_code)]

pub mod bpf;
mod condition;
mod factored;
mod field;
pub mod pcap;
mod predicate;
mod ranges;
mod sql;

pub use condition::{Comparison, Condition};
pub use field::{Field, Values};
pub use predicate::{Operand, Predicate};
pub use ranges::Ranges;

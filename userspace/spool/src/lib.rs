//! A folder of numbered records, which are kept until somebody says that they need not be.
//!
//! Cuts come in: records that are there together or not at all. What became safe, records from any number on, and what
//! is missing go out. Here is no thread and no clock: whoever calls says when it is, and when to sync.
//!
//! ```text
//! append ──► one write ──► sync: data, then folder ──► safe ──► read, from any number on ──► forget: whole files
//!            numbers 17..21                            up to 20                              before 18
//!
//! FOLDER/spool                         whose it is: version, kind, and a number that was drawn when it was made
//! FOLDER/lock                          held by the process that has the folder
//! FOLDER/00000000000000000017.segment  a header with limits, then cuts, one behind the other
//! ```
//!
//! # What always holds
//!
//! 1. What [`Spool::sync`] said to be safe is there after any crash, in its order, octet for octet, until it is forgotten
//!    ([`Spool::forget_before`]). What was not is there by whole cuts, or not at all.
//! 2. A number is given once: no record has one that a record had before which may have been read. Only what is safe is
//!    read ([`Spool::read`]).
//! 3. A file is appended to by the process that made it, until a write or a sync fails, and never after that: what a
//!    crash or an error left at its end stays there as what it is. The next file says behind which number it begins, so
//!    that what was given up before does not come back.
//! 4. Nothing is removed that nobody said to forget: where there is no room, an append is refused
//!    ([`SpoolError::Full`]), and who calls decides what goes ([`Spool::oldest`]).
//! 5. An append leaves files no more than [`SpoolLimits::octets_max`] on the disk, whatever failed before. What a crash
//!    brings back may be more, and has to be forgotten first.
//! 6. What is damaged is told by number, and passed over ([`Recovered`], [`Records::damaged`]).
//! 7. A folder of another kind, of a newer version, or with files of somebody else is refused and left as it is. A folder
//!    is of one process at once.
//!
//! # After an error
//!
//! [`Spool::last`] says what is there still. A cut that could not be appended is not; when a sync of data failed, nothing
//! is that was not safe before, since nobody can say what a disk makes of it then. Whoever calls appends it again.
//!
//! # With a sender that `tapline-delivery` decides for
//!
//! The heads of `Outgoing::cut`, each with its payload behind it, are one cut here. When `sync` returns, its last record
//! is given to `Outgoing::safe`; `Outgoing::removable_before` is forgotten now and then. At a start, the heads of all
//! that [`Spool::read`] gives go to `Outgoing::resume`, whose lineage is [`Spool::identity`]; what it adds is appended.
//! What gives way to newer records is for `Outgoing` to decide, whose limit is the lower one: here is room for what it
//! keeps, for what waits to be safe, and for what is left of files of which a part is forgotten.

#![forbid(unsafe_code)]

mod cut;
mod disk;
mod error;
mod files;
mod header;
mod limits;
mod mutation;
mod records;
mod recovery;
mod segment;
#[cfg(test)]
mod simulation;
mod spool;

pub use error::SpoolError;
pub use limits::SpoolLimits;
pub use records::Records;
pub use recovery::Recovered;
pub use spool::{Oldest, Spool, SpoolOptions};

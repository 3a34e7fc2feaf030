//! What a source of export messages has to tell.

use tapline_decode::{Datagram, Sender};

/// What happened at a source.
#[derive(Clone, Copy, Debug)]
pub enum ExportEvent<'a> {
    /// A message came.
    Message(Datagram<'a>),
    /// A connection ended, and with it the life of its templates (RFC 7011 §10.4).
    Closed(Sender),
}

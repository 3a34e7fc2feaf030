//! What is in the spool, behind an octet that says what it is.
//!
//! A cut there is the records of a cut, each with its payload, and behind them how far sources had come: all of it is
//! there, or nothing.

use bytes::{Buf as _, BufMut as _, Bytes};
use tapline_delivery::{Head, Incarnation, Position};

const RECORD: u8 = 1;
const PLACE: u8 = 2;

/// Something in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spooled {
    /// A record, and its payload.
    Record(Head, Bytes),
    /// How far sources had come when all up to a record was cut.
    Place(Place),
}

/// How far sources had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The last record before.
    pub(crate) last: Position,
    /// As whoever cuts says it.
    pub(crate) positions: Bytes,
}

impl Spooled {
    /// A record as octets.
    pub(crate) fn record(head: &Head, payload: &[u8]) -> Vec<u8> {
        let head = head.encode();
        let mut octets = Vec::with_capacity(5 + head.len() + payload.len());
        octets.put_u8(RECORD);
        // A head is bounded, far below that.
        octets.put_u32_le(u32::try_from(head.len()).unwrap_or(u32::MAX));
        octets.put_slice(&head);
        octets.put_slice(payload);
        octets
    }

    /// A place as octets.
    pub(crate) fn place(last: Position, positions: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(17 + positions.len());
        octets.put_u8(PLACE);
        octets.put_u64_le(last.incarnation.0);
        octets.put_u64_le(last.number);
        octets.put_slice(positions);
        octets
    }

    /// Of octets; `None` when they are none of these.
    pub(crate) fn of(mut octets: Bytes) -> Option<Self> {
        match octets.try_get_u8().ok()? {
            RECORD => {
                let length = usize::try_from(octets.try_get_u32_le().ok()?).ok()?;
                let head = (length <= octets.len()).then(|| octets.split_to(length))?;
                Some(Self::Record(Head::decode(&head).ok()?, octets))
            }
            PLACE => {
                let incarnation = Incarnation(octets.try_get_u64_le().ok()?);
                let last = Position { incarnation, number: octets.try_get_u64_le().ok()? };
                Some(Self::Place(Place { last, positions: octets }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_delivery::Kind;

    #[test]
    fn what_was_spooled_comes_back() {
        let position = Position { incarnation: Incarnation(3), number: 4 };
        let head = Head { position, after: Position::START, ends_cut: true, kind: Kind::Gone(vec![]) };
        let octets = Bytes::from(Spooled::record(&head, b"states"));
        let record = Spooled::Record(head, Bytes::from_static(b"states"));
        assert_eq!(Spooled::of(octets.clone()), Some(record));
        assert_eq!(Spooled::of(octets.slice(..9)), None);
        let place = Place { last: position, positions: Bytes::from_static(b"here") };
        let octets = Bytes::from(Spooled::place(position, b"here"));
        assert_eq!(Spooled::of(octets.clone()), Some(Spooled::Place(place)));
        assert_eq!(Spooled::of(octets.slice(..9)), None);
        assert_eq!((Spooled::of(Bytes::new()), Spooled::of(Bytes::from_static(b"x"))), (None, None));
    }
}

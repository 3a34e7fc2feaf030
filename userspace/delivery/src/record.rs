//! What a sender keeps and sends: parts of panes, and what it says of parts that it could not keep.
//!
//! Records of a sender are a chain: each names the one before it, over incarnations, too. So whoever has a record and
//! all before it knows that nothing is missing between, without knowing how many each incarnation made.

use crate::codec::{Garbage, Reader, Writer};
use crate::names::{Fingerprint, HalfId, Incarnation, Position, SensorName, Span};
use std::collections::BTreeSet;

/// The version of what is on the wire and on disk.
pub(crate) const VERSION: u8 = 1;

/// All of a record but its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where it stands.
    pub position: Position,
    /// The record before it.
    pub after: Position,
    /// Whether it is the last one of a cut: what its sender had taken in by one moment, which counts as a whole.
    pub ends_cut: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Part of a pane; its payload is the states.
    Part(PartHead),
    /// Records that were not kept.
    Gone(Vec<Gap>),
}

/// What a part is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// Of which half.
    pub half: HalfId,
    /// What the half is to its sender.
    pub fingerprint: Fingerprint,
    /// When it is.
    pub pane: Span,
    /// Panes that end here or earlier are whole with this part, and all before it.
    pub watermark: i64,
    /// Records of the source that the payload accounts for: those in its states, and those that it says are missing.
    pub records: u64,
    /// What an aggregator that forwards was told to be missing from the pane besides.
    pub told: Told,
    /// Of an aggregator that forwards: who has not come to the watermark, and how far he has.
    pub behind: Vec<(SensorName, i64)>,
}

/// What is missing from a pane, as far as those say who lost it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Records of parts that a sender had no room for.
    pub lost: u64,
    /// Records of parts that were refused.
    pub refused: u64,
    /// Some of these may be in the result all the same: no more are missing, perhaps fewer.
    pub is_at_most: bool,
    /// Something may be missing of which nobody knows how much.
    pub is_doubted: bool,
}

impl Told {
    /// Adds what is missing besides.
    pub fn add(&mut self, other: Self) {
        self.lost = self.lost.saturating_add(other.lost);
        self.refused = self.refused.saturating_add(other.refused);
        self.is_at_most |= other.is_at_most;
        self.is_doubted |= other.is_doubted;
    }

    /// Records that are missing, at most.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.lost.saturating_add(self.refused)
    }
}

impl PartHead {
    /// What is missing when the part is, as far as it says so.
    pub(crate) const fn lost(&self) -> Told {
        Told { lost: self.records.saturating_add(self.told.records()), refused: 0, ..self.told }
    }
}

/// Adjacent records that were not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The record before the first one.
    pub after: Position,
    /// The last one.
    pub last: Position,
    /// How many there are; 0 when nobody knows.
    pub records: u64,
    /// What is missing with them.
    pub losses: Vec<Loss>,
}

/// What is missing from panes of one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// From which half.
    pub half: HalfId,
    /// From which pane; from several, where losses were too many to be told apart.
    pub span: Span,
    /// How much: what the parts accounted for, and what they said themselves to be missing.
    pub told: Told,
}

impl Head {
    /// Octets that it takes, about: what bounds are counted in.
    pub(crate) fn weight(&self) -> u64 {
        let (entries, names) = match &self.kind {
            Kind::Part(part) => (0, part.behind.iter().map(|(name, _)| 24 + name.as_str().len()).sum()),
            Kind::Gone(gaps) => (gaps.iter().map(|gap| 2 + gap.losses.len()).sum(), 0),
        };
        128 + 32 * entries as u64 + names as u64
    }

    /// As octets, with a checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        self.write(&mut writer);
        let sum = crc32fast::hash(&writer.0);
        writer.0.extend_from_slice(&sum.to_le_bytes());
        writer.0
    }

    /// Of octets.
    ///
    /// # Errors
    /// A sentence, when they are no head of this version, or are damaged.
    pub fn decode(octets: &[u8]) -> Result<Self, Garbage> {
        let read = || {
            let (head, sum) = octets.split_last_chunk::<4>()?;
            if crc32fast::hash(head) != u32::from_le_bytes(*sum) {
                return None;
            }
            let mut reader = Reader(head);
            let head = (reader.u8()? == VERSION).then(|| Self::read(&mut reader))??;
            reader.is_done().then_some(head)
        };
        read().ok_or(Garbage("record"))
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        write_position(writer, self.position);
        write_position(writer, self.after);
        writer.flag(self.ends_cut);
        match &self.kind {
            Kind::Part(part) => {
                writer.u8(0);
                part.write(writer);
            }
            Kind::Gone(gaps) => {
                writer.u8(1);
                writer.list(gaps.iter(), |writer, gap| gap.write(writer));
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let (position, after) = (read_position(reader)?, read_position(reader)?);
        let ends_cut = reader.flag()?;
        let kind = match reader.u8()? {
            0 => Kind::Part(PartHead::read(reader)?),
            1 => Kind::Gone(reader.list(Gap::read)?),
            _ => return None,
        };
        // A chain goes one way.
        (after < position).then_some(Self { position, after, ends_cut, kind })
    }
}

impl PartHead {
    fn write(&self, writer: &mut Writer) {
        writer.u64(self.half.0);
        writer.u64(self.fingerprint.0);
        write_span(writer, self.pane);
        writer.i64(self.watermark);
        writer.u64(self.records);
        self.told.write(writer);
        write_behind(writer, &self.behind);
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            half: HalfId(reader.u64()?),
            fingerprint: Fingerprint(reader.u64()?),
            pane: read_span(reader)?,
            watermark: reader.i64()?,
            records: reader.u64()?,
            told: Told::read(reader)?,
            behind: read_behind(reader)?,
        })
    }
}

impl Told {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.lost);
        writer.u64(self.refused);
        writer.flag(self.is_at_most);
        writer.flag(self.is_doubted);
    }

    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let (lost, refused) = (reader.u64()?, reader.u64()?);
        Some(Self { lost, refused, is_at_most: reader.flag()?, is_doubted: reader.flag()? })
    }
}

impl Gap {
    /// Octets that it takes.
    pub(crate) const fn octets(&self) -> u64 {
        48 + 42 * self.losses.len() as u64
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        write_position(writer, self.after);
        write_position(writer, self.last);
        writer.u64(self.records);
        writer.list(self.losses.iter(), |writer, loss| {
            writer.u64(loss.half.0);
            write_span(writer, loss.span);
            loss.told.write(writer);
        });
    }

    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let (after, last) = (read_position(reader)?, read_position(reader)?);
        let records = reader.u64()?;
        let losses = reader.list(|reader| {
            let (half, span) = (HalfId(reader.u64()?), read_span(reader)?);
            Some(Loss { half, span, told: Told::read(reader)? })
        })?;
        (after < last).then_some(Self { after, last, records, losses })
    }
}

pub(crate) fn write_position(writer: &mut Writer, position: Position) {
    writer.u64(position.incarnation.0);
    writer.u64(position.number);
}

pub(crate) fn read_position(reader: &mut Reader) -> Option<Position> {
    let incarnation = Incarnation(reader.u64()?);
    Some(Position { incarnation, number: reader.u64()? })
}

pub(crate) fn write_span(writer: &mut Writer, span: Span) {
    writer.i64(span.start);
    writer.i64(span.end);
}

pub(crate) fn read_span(reader: &mut Reader) -> Option<Span> {
    let (start, end) = (reader.i64()?, reader.i64()?);
    (start < end).then_some(Span { start, end })
}

pub(crate) fn write_behind(writer: &mut Writer, behind: &[(SensorName, i64)]) {
    writer.list(behind.iter(), |writer, (name, reach)| {
        writer.octets(name.as_str().as_bytes());
        writer.i64(*reach);
    });
}

pub(crate) fn read_behind(reader: &mut Reader) -> Option<Vec<(SensorName, i64)>> {
    reader.list(|reader| Some((SensorName::new(reader.text()?), reader.i64()?)))
}

/// Those behind a sender, where it is one that has some.
pub(crate) fn write_leaves(writer: &mut Writer, leaves: Option<&BTreeSet<SensorName>>) {
    writer.flag(leaves.is_some());
    let names: Vec<&SensorName> = leaves.into_iter().flatten().collect();
    writer.list(names.into_iter(), |writer, name| writer.octets(name.as_str().as_bytes()));
}

pub(crate) fn read_leaves(reader: &mut Reader) -> Option<Option<BTreeSet<SensorName>>> {
    let (has_some, names) = (reader.flag()?, reader.list(|reader| Some(SensorName::new(reader.text()?)))?);
    Some(has_some.then(|| names.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(number: u64) -> Position {
        Position { incarnation: Incarnation(3), number }
    }

    fn heads() -> [Head; 2] {
        let pane = Span { start: -10, end: 0 };
        let part = PartHead {
            half: HalfId(7),
            fingerprint: Fingerprint(9),
            pane,
            watermark: 4,
            records: 12,
            told: Told { lost: 1, refused: 2, is_at_most: true, is_doubted: false },
            behind: vec![(SensorName::new("pop-1"), -20)],
        };
        let told = Told { lost: 5, ..Told::default() };
        let losses = vec![Loss { half: HalfId(7), span: pane, told }];
        let gap = Gap { after: Position::START, last: position(1), records: 1, losses };
        [Kind::Part(part), Kind::Gone(vec![gap])].map(|kind| Head {
            position: position(3),
            after: position(2),
            ends_cut: true,
            kind,
        })
    }

    #[test]
    fn a_gap_takes_as_many_octets_as_it_says() {
        let loss = Loss { half: HalfId(7), span: Span { start: 0, end: 10 }, told: Told::default() };
        for losses in [vec![], vec![loss], vec![loss; 9]] {
            let gap = Gap { after: position(1), last: position(2), records: 1, losses };
            let mut writer = Writer::default();
            gap.write(&mut writer);
            assert_eq!(writer.0.len() as u64, gap.octets());
        }
    }

    #[test]
    fn a_head_comes_back_as_it_was_and_no_part_of_it_is_one() {
        for head in heads() {
            let octets = head.encode();
            assert_eq!(Head::decode(&octets), Ok(head));
            for place in 0..octets.len() {
                let mut changed = octets.clone();
                changed[place] ^= 1;
                assert!(Head::decode(&changed).is_err() && Head::decode(&octets[..place]).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn octets_that_are_none_are_refused(mut octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Head::decode(&octets);
            // Behind a sum that is right, too.
            octets.insert(0, VERSION);
            let sum = crc32fast::hash(&octets);
            octets.extend_from_slice(&sum.to_le_bytes());
            if let Ok(head) = Head::decode(&octets) {
                prop_assert_eq!(head.encode(), octets);
            }
        }
    }
}

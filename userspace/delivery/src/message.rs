//! What the two ends of a link say to each other besides records.

use crate::codec::{Garbage, Reader, Writer};
use crate::names::{Fingerprint, HalfId, Incarnation, Lineage, Position, SensorName};
use crate::record::{Gap, VERSION, read_leaves, read_position, write_leaves, write_position};
use std::collections::BTreeSet;

/// The first that a sender says on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who it says it is.
    pub name: SensorName,
    /// Which memory its numbers are of.
    pub lineage: Lineage,
    /// Which life of it speaks.
    pub incarnation: Incarnation,
    /// The record before the oldest that it keeps: of what is not behind it, nothing comes any more.
    pub kept_after: Position,
    /// What it could not keep, as it has said or will say in records.
    pub gaps: Vec<Gap>,
    /// Of an aggregator that forwards: the sensors behind it, as far as it knows them; `None` of a sensor.
    pub leaves: Option<BTreeSet<SensorName>>,
}

/// Which records a checkpoint has: they may be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Of which memory.
    pub lineage: Lineage,
    /// All up to here.
    pub mark: Position,
    /// Those behind a position up to another one, besides.
    pub above: Vec<(Position, Position)>,
}

impl Covered {
    /// Whether it has a record.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        position <= self.mark || self.above.iter().any(|(after, last)| *after < position && position <= *last)
    }
}

/// What an aggregator makes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Taken,
    /// It was taken before.
    Seen,
    /// It counts as refused, and need not come again.
    Refused(Refusal),
    /// There is no room for it now: it is to come again.
    Later,
    /// Whoever speaks on this link is not listened to.
    Closed(Refusal),
}

/// Why somebody, or something, is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// The transport says that it is somebody else.
    #[error(
        "it calls itself {claimed}, but its certificate or token is of {name}; give each sensor one of its own"
    )]
    AnotherName {
        /// Whom the transport vouches for.
        name: SensorName,
        /// Who it says it is.
        claimed: SensorName,
    },
    /// A later life of it was here.
    #[error("it is incarnation {}, but {} was here already: an older process, or a copy of it, still runs; end it", own.0, newest.0)]
    Fenced {
        /// Which one it is.
        own: Incarnation,
        /// The latest one that was welcomed.
        newest: Incarnation,
    },
    /// It began its numbers anew, and is not a later life.
    #[error("incarnation {} has another memory of its numbers than before: it, or a copy of it, runs twice; end one", incarnation.0)]
    TwoMemories {
        /// Which one it is.
        incarnation: Incarnation,
    },
    /// It said nothing of itself first.
    #[error("it sent records before it said who it is; let both ends run the same version")]
    NotGreeted,
    /// There is no room for one more.
    #[error("{most} sensors are known, and no more may be; raise sensors_max, or forget some")]
    TooManySensors {
        /// How many there may be.
        most: usize,
    },
    /// The half means something else here.
    #[error("its half {} is {:016x}, but {:016x} here: let both run the same version, and the same query", half.0, own.0, expected.0)]
    AnotherFingerprint {
        /// Which half.
        half: HalfId,
        /// What it is there.
        own: Fingerprint,
        /// What it is here.
        expected: Fingerprint,
    },
    /// No such query runs.
    #[error("no query here has the half {}", half.0)]
    UnknownHalf {
        /// Which half.
        half: HalfId,
    },
    /// The query does not ask this sensor.
    #[error("the query of the half {} does not ask this sensor", half.0)]
    NotAsked {
        /// Which half.
        half: HalfId,
    },
    /// The pane is none of the half's.
    #[error("the half {} has no such pane", half.0)]
    Misaligned {
        /// Which half.
        half: HalfId,
    },
    /// The pane lies ahead of our clock.
    #[error("its pane lies ahead of our clock: set the clocks")]
    Ahead,
    /// The pane was closed for good.
    #[error("its pane was closed for good: it comes too late")]
    TooLate,
    /// It holds as many panes open as it may.
    #[error("it holds {most} panes open, and may hold no more")]
    OverQuota {
        /// How many it may.
        most: usize,
    },
    /// Its payload is no state of the half.
    #[error("its states cannot be merged: {0}")]
    Unmergeable(String),
}

impl Refusal {
    /// What it is called where it is counted.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AnotherName { .. } => "another_name",
            Self::Fenced { .. } => "fenced",
            Self::TwoMemories { .. } => "two_memories",
            Self::NotGreeted => "not_greeted",
            Self::TooManySensors { .. } => "too_many_sensors",
            Self::AnotherFingerprint { .. } => "another_fingerprint",
            Self::UnknownHalf { .. } => "unknown_half",
            Self::NotAsked { .. } => "not_asked",
            Self::Misaligned { .. } => "misaligned",
            Self::Ahead => "ahead",
            Self::TooLate => "too_late",
            Self::OverQuota { .. } => "over_quota",
            Self::Unmergeable(_) => "unmergeable",
        }
    }
}

impl Hello {
    /// As octets.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.octets(self.name.as_str().as_bytes());
        writer.u64(self.lineage.0);
        writer.u64(self.incarnation.0);
        write_position(&mut writer, self.kept_after);
        writer.list(self.gaps.iter(), |writer, gap| gap.write(writer));
        write_leaves(&mut writer, self.leaves.as_ref());
        writer.0
    }

    /// Of octets.
    ///
    /// # Errors
    /// A sentence, when they are none of this version.
    pub fn decode(octets: &[u8]) -> Result<Self, Garbage> {
        let mut reader = Reader(octets);
        let mut read = || {
            (reader.u8()? == VERSION).then_some(())?;
            let hello = Self {
                name: SensorName::new(reader.text()?),
                lineage: Lineage(reader.u64()?),
                incarnation: Incarnation(reader.u64()?),
                kept_after: read_position(&mut reader)?,
                gaps: reader.list(Gap::read)?,
                leaves: read_leaves(&mut reader)?,
            };
            reader.is_done().then_some(hello)
        };
        read().ok_or(Garbage("greeting"))
    }
}

impl Covered {
    /// As octets.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        self.write(&mut writer);
        writer.0
    }

    /// Of octets.
    ///
    /// # Errors
    /// A sentence, when they are none of this version.
    pub fn decode(octets: &[u8]) -> Result<Self, Garbage> {
        let mut reader = Reader(octets);
        let mut read = || {
            (reader.u8()? == VERSION).then_some(())?;
            let covered = Self::read(&mut reader)?;
            reader.is_done().then_some(covered)
        };
        read().ok_or(Garbage("acknowledgement"))
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.lineage.0);
        write_position(writer, self.mark);
        writer.list(self.above.iter(), |writer, (after, last)| {
            write_position(writer, *after);
            write_position(writer, *last);
        });
    }

    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let (lineage, mark) = (Lineage(reader.u64()?), read_position(reader)?);
        let above = reader.list(|reader| Some((read_position(reader)?, read_position(reader)?)))?;
        Some(Self { lineage, mark, above })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(number: u64) -> Position {
        Position { incarnation: Incarnation(2), number }
    }

    #[test]
    fn greetings_and_acknowledgements_come_back_as_they_were() {
        let gap = Gap { after: position(1), last: position(4), records: 3, losses: vec![] };
        let name = SensorName::new("pop-1");
        let (lineage, incarnation) = (Lineage(5), Incarnation(2));
        for leaves in [None, Some(BTreeSet::new()), Some([name.clone(), SensorName::new("lab")].into())] {
            let (name, gaps) = (name.clone(), vec![gap.clone()]);
            let hello = Hello { name, lineage, incarnation, kept_after: position(4), gaps, leaves };
            assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        }
        let covered = Covered { lineage, mark: position(1), above: vec![(position(4), position(6))] };
        assert_eq!(Covered::decode(&covered.encode()), Ok(covered.clone()));
        let within = (0..9).filter(|number| covered.contains(position(*number))).collect::<Vec<_>>();
        assert_eq!(within, [0, 1, 5, 6]);
    }

    proptest! {
        #[test]
        fn other_octets_are_refused(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = (Hello::decode(&octets), Covered::decode(&octets));
        }
    }

    #[test]
    fn refusals_are_sentences() {
        let fenced = Refusal::Fenced { own: Incarnation(1), newest: Incarnation(2) };
        assert!(fenced.to_string().contains("incarnation 1, but 2 was here"));
        let half = HalfId(3);
        let other = Refusal::AnotherFingerprint { half, own: Fingerprint(1), expected: Fingerprint(255) };
        assert!(other.to_string().contains("00000000000000ff here"), "{other}");
    }
}

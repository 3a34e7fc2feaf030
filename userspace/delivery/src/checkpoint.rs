//! What a checkpoint is, and which one may take another one's place.
//!
//! A checkpoint is all that an aggregator knows, as octets with a checksum. A store keeps one. To write another one is:
//! write it beside, make it safe, see that the one in place is the one before it ([`Stamp::follows`]), put it in its
//! place, make that safe; the comparison and the replacement are one step for everybody else (a lock on a folder, a
//! conditional write in an object store). An aggregator begins by writing the checkpoint that it found under an epoch of
//! its own: from then on whoever had the one before can write nothing, and so acknowledge, give and forward nothing.

use crate::codec::{Garbage, Reader, Writer};

/// What a checkpoint begins with.
const MAGIC: &[u8; 8] = b"TAPCKP01";

/// Which checkpoint one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Which aggregator wrote it: each has an epoch of its own, greater than the one before.
    pub epoch: u64,
    /// Which of its checkpoints it is; 0 is the one that it found.
    pub sequence: u64,
}

impl Stamp {
    /// The first one of an aggregator that found `current`.
    #[must_use]
    pub fn claim(current: Option<Self>) -> Self {
        Self { epoch: current.map_or(0, |current| current.epoch).saturating_add(1), sequence: 0 }
    }

    /// Whether this checkpoint may take the place of the one that is there.
    #[must_use]
    pub fn follows(self, current: Option<Self>) -> bool {
        if crate::mutation::is_mutated(crate::mutation::Mutation::NoFence) {
            return true;
        }
        if self.sequence == 0 {
            return self == Self::claim(current);
        }
        current.is_some_and(|current| current.epoch == self.epoch && current.sequence < self.sequence)
    }
}

/// A checkpoint, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which one it is.
    pub stamp: Stamp,
    /// All of it.
    pub octets: Vec<u8>,
}

impl Checkpoint {
    /// The stamp of what a store has.
    ///
    /// # Errors
    /// A sentence, when it is no checkpoint, or is damaged.
    pub fn stamp_of(octets: &[u8]) -> Result<Stamp, Garbage> {
        let mut reader = open(octets).ok_or(Garbage("checkpoint"))?;
        read_stamp(&mut reader).ok_or(Garbage("checkpoint"))
    }

    /// What a store has, under a stamp of its own: how an aggregator begins with it.
    ///
    /// # Errors
    /// A sentence, when it is no checkpoint, or is damaged.
    pub fn claimed(octets: &[u8], stamp: Stamp) -> Result<Self, Garbage> {
        let mut reader = open(octets).ok_or(Garbage("checkpoint"))?;
        read_stamp(&mut reader).ok_or(Garbage("checkpoint"))?;
        let mut writer = begin(stamp);
        writer.0.extend_from_slice(reader.0);
        Ok(Self { stamp, octets: seal(writer) })
    }
}

pub(crate) fn begin(stamp: Stamp) -> Writer {
    let mut writer = Writer(MAGIC.to_vec());
    writer.u64(stamp.epoch);
    writer.u64(stamp.sequence);
    writer
}

pub(crate) fn seal(mut writer: Writer) -> Vec<u8> {
    let sum = crc32fast::hash(&writer.0);
    writer.0.extend_from_slice(&sum.to_le_bytes());
    writer.0
}

/// What is between the beginning and the sum.
pub(crate) fn open(octets: &[u8]) -> Option<Reader<'_>> {
    let (content, sum) = octets.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*sum)).then_some(())?;
    content.strip_prefix(MAGIC).map(Reader)
}

pub(crate) fn read_stamp(reader: &mut Reader) -> Option<Stamp> {
    Some(Stamp { epoch: reader.u64()?, sequence: reader.u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_follows_from_the_one_before_it_only() {
        let stamp = |epoch, sequence| Stamp { epoch, sequence };
        let cases = [
            (stamp(1, 0), None, true),
            (stamp(2, 0), None, false),
            (stamp(2, 0), Some(stamp(1, 7)), true),
            (stamp(3, 0), Some(stamp(1, 7)), false),
            (stamp(2, 0), Some(stamp(2, 0)), false),
            (stamp(1, 8), Some(stamp(1, 7)), true),
            (stamp(1, 9), Some(stamp(1, 7)), true),
            (stamp(1, 7), Some(stamp(1, 7)), false),
            (stamp(1, 8), Some(stamp(2, 0)), false),
            (stamp(1, 1), None, false),
        ];
        for (new, current, follows) in cases {
            assert_eq!(new.follows(current), follows, "{new:?} {current:?}");
        }
    }

    #[test]
    fn what_was_found_is_claimed_as_it_is() {
        let mut writer = begin(Stamp { epoch: 1, sequence: 4 });
        writer.octets(b"all");
        let octets = seal(writer);
        let claimed = Checkpoint::claimed(&octets, Stamp { epoch: 2, sequence: 0 }).unwrap();
        assert_eq!(Checkpoint::stamp_of(&claimed.octets), Ok(Stamp { epoch: 2, sequence: 0 }));
        assert_eq!(claimed.octets.len(), octets.len());
        for place in 0..octets.len() {
            let mut changed = octets.clone();
            changed[place] ^= 4;
            assert!(
                Checkpoint::stamp_of(&changed).is_err() && Checkpoint::stamp_of(&octets[..place]).is_err()
            );
        }
    }
}

//! What a checkpoint is, and which one may take another one's place.
//!
//! A checkpoint is all that an aggregator knows: a manifest, and bundles of blobs that it names ([`crate::blobs`]). A store
//! keeps one manifest. To write a checkpoint is: put its bundle where no other one is, and make it safe; write the
//! manifest beside the one in place, make it safe, see that the one in place is the one before it ([`Manifest::follows`]),
//! put it in its place, make that safe; then delete bundles that it does not name ([`Checkpoint::leaves`]). The comparison
//! and the replacement are one step for everybody else (a lock on a folder, a conditional write in an object store). An
//! aggregator begins by writing the manifest that it found under an epoch of its own: from then on whoever had the one
//! before can write nothing, and so acknowledge, give and forward nothing. Only then it reads the bundles: until then
//! whoever was before it may write another manifest, and delete what the one that was found names.

use crate::blobs::Bundle;
use crate::codec::{Garbage, Reader, Writer};
use crate::mutation::{Mutation, is_mutated};
use std::collections::BTreeSet;

/// What a manifest begins with.
const MAGIC: &[u8; 8] = b"TAPCKP02";
/// The same of one that has its blobs in itself, as all had before there were bundles.
const MAGIC_WHOLE: &[u8; 8] = b"TAPCKP01";

/// Which checkpoint one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Which aggregator wrote it: each has an epoch of its own, greater than the one before.
    pub epoch: u64,
    /// Which of its checkpoints it is; 0 is the one that it found.
    pub sequence: u64,
}

impl Stamp {
    /// The first one of an aggregator where `latest` is the latest that is there, of manifests and bundles.
    #[must_use]
    pub fn claim(latest: Option<Self>) -> Self {
        Self { epoch: latest.map_or(0, |latest| latest.epoch).saturating_add(1), sequence: 0 }
    }
}

/// What a checkpoint is now, with the places of its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Of which checkpoint it is.
    pub stamp: Stamp,
    /// All of it.
    pub octets: Vec<u8>,
    /// The one that an aggregator found, where it begins with this one.
    found: Option<Stamp>,
}

impl Manifest {
    pub(crate) const fn new(stamp: Stamp, octets: Vec<u8>) -> Self {
        Self { stamp, octets, found: None }
    }

    /// The stamp of what a store has.
    ///
    /// # Errors
    /// A sentence, when it is no manifest, or is damaged.
    pub fn stamp_of(octets: &[u8]) -> Result<Stamp, Garbage> {
        let (_, mut reader) = open(octets).ok_or(Garbage("checkpoint"))?;
        read_stamp(&mut reader).ok_or(Garbage("checkpoint"))
    }

    /// What a store has, under a stamp of its own: how an aggregator begins with it.
    ///
    /// # Errors
    /// A sentence, when it is no manifest, or is damaged.
    pub fn claimed(octets: &[u8], stamp: Stamp) -> Result<Self, Garbage> {
        let (form, mut reader) = open(octets).ok_or(Garbage("checkpoint"))?;
        let found = read_stamp(&mut reader).ok_or(Garbage("checkpoint"))?;
        let mut writer = begin(form, stamp);
        writer.0.extend_from_slice(reader.0);
        Ok(Self { stamp, octets: seal(writer), found: Some(found) })
    }

    /// Whether it may take the place of the one that is there.
    #[must_use]
    pub fn follows(&self, current: Option<Stamp>) -> bool {
        let Stamp { epoch, sequence } = self.stamp;
        if is_mutated(Mutation::NoFence) {
            return true;
        }
        if sequence == 0 {
            // What was written since it was found would be lost.
            let is_found = current == self.found || is_mutated(Mutation::StaleClaim);
            return is_found && current.is_none_or(|current| current.epoch < epoch);
        }
        current.is_some_and(|current| current.epoch == epoch && current.sequence < sequence)
    }
}

/// A checkpoint, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What it is now.
    pub manifest: Manifest,
    /// The blobs that are new in it, where some are.
    pub bundle: Option<Bundle>,
    /// The bundles that it names.
    pub(crate) names: BTreeSet<Stamp>,
}

impl Checkpoint {
    /// Whether a bundle is to be deleted when this one was written: nothing names it any more. Of a later epoch are those
    /// of whoever takes over, and he may be about to name them.
    #[must_use]
    pub fn leaves(&self, bundle: Stamp) -> bool {
        let is_ours = bundle <= self.manifest.stamp || is_mutated(Mutation::DeleteLater);
        is_ours && !self.names.contains(&bundle)
    }
}

/// Where the blobs of a manifest are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In it.
    Whole,
    /// In bundles, which it names.
    Named,
}

pub(crate) fn begin(form: Form, stamp: Stamp) -> Writer {
    let magic = match form {
        Form::Whole => MAGIC_WHOLE,
        Form::Named => MAGIC,
    };
    let mut writer = Writer(magic.to_vec());
    write_stamp(&mut writer, stamp);
    writer
}

pub(crate) fn seal(mut writer: Writer) -> Vec<u8> {
    let sum = crc32fast::hash(&writer.0);
    writer.0.extend_from_slice(&sum.to_le_bytes());
    writer.0
}

/// What is between the beginning and the sum.
pub(crate) fn open(octets: &[u8]) -> Option<(Form, Reader<'_>)> {
    let (content, sum) = octets.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*sum)).then_some(())?;
    let (magic, rest) = content.split_first_chunk::<8>()?;
    let form = match magic {
        MAGIC => Form::Named,
        MAGIC_WHOLE => Form::Whole,
        _ => return None,
    };
    Some((form, Reader(rest)))
}

pub(crate) fn write_stamp(writer: &mut Writer, stamp: Stamp) {
    writer.u64(stamp.epoch);
    writer.u64(stamp.sequence);
}

pub(crate) fn read_stamp(reader: &mut Reader) -> Option<Stamp> {
    Some(Stamp { epoch: reader.u64()?, sequence: reader.u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn stamp(epoch: u64, sequence: u64) -> Stamp {
        Stamp { epoch, sequence }
    }

    #[test]
    fn one_follows_from_the_one_before_it_only() {
        let manifest = |stamp, found| Manifest { stamp, octets: vec![], found };
        let cases = [
            (manifest(stamp(1, 0), None), None, true),
            (manifest(stamp(2, 0), Some(stamp(1, 7))), None, false),
            (manifest(stamp(2, 0), Some(stamp(1, 7))), Some(stamp(1, 7)), true),
            (manifest(stamp(5, 0), Some(stamp(1, 7))), Some(stamp(1, 7)), true),
            (manifest(stamp(2, 0), Some(stamp(1, 7))), Some(stamp(1, 8)), false),
            (manifest(stamp(2, 0), Some(stamp(1, 7))), Some(stamp(2, 0)), false),
            (manifest(stamp(2, 0), Some(stamp(2, 0))), Some(stamp(2, 0)), false),
            (manifest(stamp(1, 8), None), Some(stamp(1, 7)), true),
            (manifest(stamp(1, 9), None), Some(stamp(1, 7)), true),
            (manifest(stamp(1, 7), None), Some(stamp(1, 7)), false),
            (manifest(stamp(1, 8), None), Some(stamp(2, 0)), false),
            (manifest(stamp(1, 1), None), None, false),
        ];
        for (new, current, follows) in cases {
            assert_eq!(new.follows(current), follows, "{new:?} {current:?}");
        }
    }

    #[test]
    fn what_was_found_is_claimed_as_it_is() {
        for form in [Form::Whole, Form::Named] {
            let mut writer = begin(form, stamp(1, 4));
            writer.octets(b"all");
            let octets = seal(writer);
            let claimed = Manifest::claimed(&octets, stamp(2, 0)).unwrap();
            assert_eq!(Manifest::stamp_of(&claimed.octets), Ok(stamp(2, 0)));
            assert_eq!((claimed.octets.len(), claimed.found), (octets.len(), Some(stamp(1, 4))));
            assert_eq!(open(&claimed.octets).map(|(form, _)| form), Some(form));
            for place in 0..octets.len() {
                let mut changed = octets.clone();
                changed[place] ^= 4;
                assert!(
                    Manifest::stamp_of(&changed).is_err() && Manifest::stamp_of(&octets[..place]).is_err()
                );
            }
        }
    }

    #[test]
    fn what_is_named_stays_and_what_is_of_a_later_process_too() {
        let manifest = Manifest::new(stamp(2, 5), vec![]);
        let checkpoint = Checkpoint { manifest, bundle: None, names: [stamp(1, 3), stamp(2, 5)].into() };
        let cases = [(1, 3, false), (1, 4, true), (2, 4, true), (2, 5, false), (2, 6, false), (3, 1, false)];
        for (epoch, sequence, leaves) in cases {
            assert_eq!(checkpoint.leaves(stamp(epoch, sequence)), leaves, "{epoch} {sequence}");
        }
    }
}

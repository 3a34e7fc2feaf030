//! What is long in a checkpoint, written once: blobs, and the bundles that they are in.
//!
//! A blob is octets that never change: states of a pane until something comes for it, those of a result, a payload for the
//! next aggregator. Those that are new since the checkpoint before come in; one bundle of them goes out, and the place of
//! each, for the manifest. A place holds when the checkpoint was written that it came with: after one that was not, its
//! blobs go into the next bundle. Of bundles of which little is named any more, or of which there are many of about one
//! size, the blobs go into the next one, too: so that all bundles together take four times what is named at most, and
//! there are a few of each size.

use crate::checkpoint::{Stamp, read_stamp, write_stamp};
use crate::codec::{Reader, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a bundle begins with, before its stamp.
const MAGIC: &[u8; 8] = b"TAPBLB01";
/// Octets before the first blob of one.
const HEADER_OCTETS: usize = 24;

/// A bundle of which less than one part of so many is named has its blobs written anew.
const NAMED_PARTS: u64 = 4;
/// So do bundles of one size when there are so many. One is as large as another when neither is eight times the other,
/// about: so what stays is written again once a size.
const BUNDLES_OF_SIZE_MAX: usize = 8;
const SIZE_BITS: u32 = 3;

/// Which blob one is, over all processes of an aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlobId(u64);

/// A blob that is held.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) id: BlobId,
    pub(crate) octets: Arc<[u8]>,
}

/// Where a blob is, and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bundle: Stamp,
    offset: u64,
    length: u64,
    sum: u32,
}

/// Blobs that are new in a checkpoint, to be put under its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    stamp: Stamp,
    header: Vec<u8>,
    blobs: Vec<Arc<[u8]>>,
    octets: u64,
}

impl Bundle {
    /// Of the checkpoint that it is new in.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// How many octets it has.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// All of it, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.header[..]).chain(self.blobs.iter().map(|blob| &**blob))
    }
}

fn header(stamp: Stamp) -> Vec<u8> {
    let mut writer = Writer(MAGIC.to_vec());
    write_stamp(&mut writer, stamp);
    writer.0
}

/// Where blobs are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blobs {
    numbered: u64,
    /// Those that the last checkpoint names which was begun.
    places: BTreeMap<BlobId, Place>,
    /// Octets of the bundles that no crash takes.
    safe: BTreeMap<Stamp, u64>,
}

impl Blobs {
    /// A new blob.
    pub(crate) const fn number(&mut self) -> BlobId {
        self.numbered += 1;
        BlobId(self.numbered)
    }

    /// A checkpoint was begun that names these.
    pub(crate) fn begun(&mut self, places: BTreeMap<BlobId, Place>) {
        self.places = places;
    }

    /// The last one that was begun is safe, and so is its bundle, of so many octets.
    pub(crate) fn written(&mut self, bundle: Option<(Stamp, u64)>) {
        self.safe.extend(bundle);
        let named: BTreeSet<Stamp> = self.places.values().map(|place| place.bundle).collect();
        self.safe.retain(|bundle, _| named.contains(bundle));
    }

    /// It is taken for safe before it is.
    pub(crate) fn take_for_safe(&mut self, bundle: Option<(Stamp, u64)>) {
        self.safe.extend(bundle);
    }

    /// The bundles whose blobs are to be written anew.
    fn anew(&self) -> BTreeSet<Stamp> {
        let mut named: BTreeMap<Stamp, u64> = BTreeMap::new();
        for place in self.places.values() {
            *named.entry(place.bundle).or_default() += place.length;
        }
        let (mut anew, mut of_size) = (BTreeSet::new(), BTreeMap::<u32, Vec<Stamp>>::new());
        for (bundle, octets) in &self.safe {
            let named = named.get(bundle).copied().unwrap_or(0);
            if named.saturating_mul(NAMED_PARTS) < octets.saturating_sub(HEADER_OCTETS as u64) {
                anew.insert(*bundle);
            } else {
                of_size.entry(named.max(1).ilog2() / SIZE_BITS).or_default().push(*bundle);
            }
        }
        anew.extend(of_size.into_values().filter(|bundles| bundles.len() >= BUNDLES_OF_SIZE_MAX).flatten());
        anew
    }
}

/// The blobs of a checkpoint, while it is put together.
#[derive(Debug)]
pub(crate) struct Bundling<'a> {
    before: &'a Blobs,
    anew: BTreeSet<Stamp>,
    stamp: Stamp,
    octets: u64,
    blobs: Vec<Arc<[u8]>>,
    places: BTreeMap<BlobId, Place>,
}

impl<'a> Bundling<'a> {
    pub(crate) fn new(before: &'a Blobs, stamp: Stamp) -> Self {
        let (anew, octets) = (before.anew(), HEADER_OCTETS as u64);
        Self { before, anew, stamp, octets, blobs: vec![], places: BTreeMap::new() }
    }

    /// Names a blob; only where it has no place that holds, it is asked for its octets.
    pub(crate) fn name(&mut self, writer: &mut Writer, id: BlobId, octets: impl FnOnce() -> Arc<[u8]>) {
        writer.u64(id.0);
        if self.places.contains_key(&id) {
            return;
        }
        let holds = |place: &&Place| {
            self.before.safe.contains_key(&place.bundle) && !self.anew.contains(&place.bundle)
        };
        let place = self.before.places.get(&id).filter(holds).copied();
        let place = place.unwrap_or_else(|| self.add(octets()));
        self.places.insert(id, place);
    }

    fn add(&mut self, blob: Arc<[u8]>) -> Place {
        let (offset, length) = (self.octets, blob.len() as u64);
        self.octets += length;
        let place = Place { bundle: self.stamp, offset, length, sum: crc32fast::hash(&blob) };
        self.blobs.push(blob);
        place
    }

    /// The bundle, where there are new ones, and where all are that are named.
    pub(crate) fn finish(self) -> (Option<Bundle>, BTreeMap<BlobId, Place>) {
        let Self { stamp, octets, blobs, places, .. } = self;
        let bundle = (!blobs.is_empty()).then(|| Bundle { stamp, header: header(stamp), blobs, octets });
        (bundle, places)
    }
}

pub(crate) fn write_places(writer: &mut Writer, places: &BTreeMap<BlobId, Place>) {
    writer.list(places.iter(), |writer, (id, place)| {
        writer.u64(id.0);
        write_stamp(writer, place.bundle);
        writer.u64(place.offset);
        writer.u64(place.length);
        writer.u64(place.sum.into());
    });
}

pub(crate) fn read_places(reader: &mut Reader) -> Option<BTreeMap<BlobId, Place>> {
    let places = reader.list(|reader| {
        let (id, bundle) = (BlobId(reader.u64()?), read_stamp(reader)?);
        let (offset, length) = (reader.u64()?, reader.u64()?);
        let sum = u32::try_from(reader.u64()?).ok()?;
        Some((id, Place { bundle, offset, length, sum }))
    })?;
    Some(places.into_iter().collect())
}

/// Blobs of a checkpoint that was found.
#[derive(Debug, Default)]
pub(crate) struct FoundBlobs {
    /// Where they are.
    pub(crate) blobs: Blobs,
    octets: BTreeMap<BlobId, Arc<[u8]>>,
}

/// Why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// A bundle cannot be got, for this reason.
    NotGot(String),
    /// It is not what was put there.
    Damaged(Stamp),
}

impl FoundBlobs {
    /// Gets them, bundle by bundle.
    pub(crate) fn get(
        places: BTreeMap<BlobId, Place>,
        mut get: impl FnMut(Stamp) -> Result<Vec<u8>, String>,
    ) -> Result<Self, NotFound> {
        let mut of_bundles: BTreeMap<Stamp, Vec<(BlobId, Place)>> = BTreeMap::new();
        for (id, place) in &places {
            of_bundles.entry(place.bundle).or_default().push((*id, *place));
        }
        let (mut safe, mut found) = (BTreeMap::new(), BTreeMap::new());
        for (bundle, places) in of_bundles {
            let octets = get(bundle).map_err(NotFound::NotGot)?;
            if !octets.starts_with(&header(bundle)) {
                return Err(NotFound::Damaged(bundle));
            }
            for (id, place) in places {
                let blob = at(&octets, place).ok_or(NotFound::Damaged(bundle))?;
                found.insert(id, Arc::from(blob));
            }
            safe.insert(bundle, octets.len() as u64);
        }
        let numbered = places.keys().next_back().map_or(0, |last| last.0);
        Ok(Self { blobs: Blobs { numbered, places, safe }, octets: found })
    }

    /// One that a manifest names.
    pub(crate) fn named(&self, reader: &mut Reader) -> Option<Blob> {
        let id = BlobId(reader.u64()?);
        let octets = Arc::clone(self.octets.get(&id)?);
        Some(Blob { id, octets })
    }

    /// One that stands there itself, and has no place yet.
    pub(crate) fn whole(&mut self, reader: &mut Reader) -> Option<Blob> {
        let octets = Arc::from(reader.octets()?);
        Some(Blob { id: self.blobs.number(), octets })
    }
}

fn at(octets: &[u8], place: Place) -> Option<&[u8]> {
    let (offset, length) = (usize::try_from(place.offset).ok()?, usize::try_from(place.length).ok()?);
    let blob = octets.get(offset..offset.checked_add(length)?)?;
    (crc32fast::hash(blob) == place.sum).then_some(blob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn stamp(sequence: u64) -> Stamp {
        Stamp { epoch: 1, sequence }
    }

    /// Names these, and writes what is new where a store has it; gives how many octets that was.
    fn write(
        blobs: &mut Blobs,
        store: &mut BTreeMap<Stamp, Vec<u8>>,
        sequence: u64,
        held: &BTreeMap<BlobId, Arc<[u8]>>,
    ) -> u64 {
        let mut bundling = Bundling::new(blobs, stamp(sequence));
        for (id, octets) in held {
            bundling.name(&mut Writer::default(), *id, || Arc::clone(octets));
        }
        let (bundle, places) = bundling.finish();
        blobs.begun(places);
        let said = bundle.as_ref().map(|bundle| (bundle.stamp(), bundle.octets()));
        store.extend(bundle.map(|bundle| (bundle.stamp(), bundle.pieces().collect::<Vec<_>>().concat())));
        blobs.written(said);
        let named: BTreeSet<Stamp> = blobs.places.values().map(|place| place.bundle).collect();
        store.retain(|bundle, _| named.contains(bundle));
        said.map_or(0, |(_, octets)| octets)
    }

    fn blob(octets: usize, content: u8) -> Arc<[u8]> {
        vec![content; octets].into()
    }

    #[test]
    fn what_is_as_it_was_is_not_written_again() {
        let (mut blobs, mut store, mut held) = (Blobs::default(), BTreeMap::new(), BTreeMap::new());
        held.extend((0..100).map(|content| (blobs.number(), blob(1000, content))));
        assert_eq!(write(&mut blobs, &mut store, 1, &held), 100_024);
        assert_eq!(write(&mut blobs, &mut store, 2, &held), 0);
        held.insert(blobs.number(), blob(10, 7));
        assert_eq!(write(&mut blobs, &mut store, 3, &held), 34);
        assert!(store.keys().eq(&[stamp(1), stamp(3)]));
    }

    #[test]
    fn what_was_not_written_goes_into_the_next_bundle() {
        let (mut blobs, mut store) = (Blobs::default(), BTreeMap::new());
        let held = BTreeMap::from([(blobs.number(), blob(10, 1))]);
        let mut bundling = Bundling::new(&blobs, stamp(1));
        held.iter().for_each(|(id, octets)| bundling.name(&mut Writer::default(), *id, || octets.clone()));
        let (_, places) = bundling.finish();
        blobs.begun(places);
        assert_eq!(write(&mut blobs, &mut store, 2, &held), 34);
    }

    #[test]
    fn a_bundle_of_which_little_is_named_gives_way() {
        let (mut blobs, mut store) = (Blobs::default(), BTreeMap::new());
        let ids: Vec<BlobId> = (0..8).map(|_| blobs.number()).collect();
        let mut held: BTreeMap<_, _> = ids.iter().map(|id| (*id, blob(100, 1))).collect();
        write(&mut blobs, &mut store, 1, &held);
        ids[..6].iter().for_each(|id| drop(held.remove(id)));
        write(&mut blobs, &mut store, 2, &held);
        assert_eq!(write(&mut blobs, &mut store, 3, &held), 0, "a quarter is named");
        held.remove(&ids[6]);
        write(&mut blobs, &mut store, 4, &held);
        assert_eq!(write(&mut blobs, &mut store, 5, &held), 124);
        assert!(store.keys().eq(&[stamp(5)]));
    }

    #[test]
    fn there_are_a_few_bundles_of_each_size_and_what_stays_is_written_a_few_times() {
        let (mut blobs, mut store, mut held) = (Blobs::default(), BTreeMap::new(), BTreeMap::new());
        let mut written = 0;
        for sequence in 1..=4096 {
            held.insert(blobs.number(), blob(1000, 1));
            written += write(&mut blobs, &mut store, sequence, &held);
            assert!(store.len() <= 4 * BUNDLES_OF_SIZE_MAX, "{} bundles", store.len());
        }
        assert!(written < 6 * 4096 * 1000, "{written} octets");
    }

    #[test]
    fn what_is_damaged_or_missing_is_told() {
        let (mut blobs, mut store) = (Blobs::default(), BTreeMap::new());
        let held = BTreeMap::from([(blobs.number(), blob(10, 1))]);
        write(&mut blobs, &mut store, 1, &held);
        let get = |octets: &[u8]| FoundBlobs::get(blobs.places.clone(), |_| Ok(octets.to_vec())).err();
        let whole = &store[&stamp(1)];
        assert_eq!(get(whole), None);
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert_eq!(get(&changed), Some(NotFound::Damaged(stamp(1))));
            assert_eq!(get(&whole[..place]), Some(NotFound::Damaged(stamp(1))));
        }
        let missing = FoundBlobs::get(blobs.places.clone(), |_| Err("gone".to_owned())).err();
        assert_eq!(missing, Some(NotFound::NotGot("gone".to_owned())));
    }

    proptest! {
        #[test]
        fn what_is_named_comes_back(steps in prop::collection::vec((0_usize..4, 0_usize..300, any::<u8>()), 1..80)) {
            let (mut blobs, mut store, mut held) = (Blobs::default(), BTreeMap::new(), BTreeMap::new());
            for (sequence, (step, octets, content)) in (1..).zip(steps) {
                if step == 0 {
                    held.pop_first();
                } else {
                    held.insert(blobs.number(), blob(octets, content));
                }
                write(&mut blobs, &mut store, sequence, &held);
                let mut writer = Writer::default();
                write_places(&mut writer, &blobs.places);
                let places = read_places(&mut Reader(&writer.0)).unwrap();
                let found = FoundBlobs::get(places, |bundle| Ok(store[&bundle].clone())).unwrap();
                prop_assert_eq!(&found.octets, &held);
                prop_assert_eq!(&found.blobs.safe, &blobs.safe);
                let named: u64 = held.values().map(|blob| blob.len() as u64).sum();
                // One that lost what it had since the checkpoint before is looked at by the next one.
                let next = write(&mut blobs, &mut store, sequence + 1000, &held);
                let all: u64 = blobs.safe.values().map(|octets| octets - HEADER_OCTETS as u64).sum();
                prop_assert!(all <= NAMED_PARTS * named, "{} octets of {}, {} anew", all, named, next);
            }
        }
    }
}

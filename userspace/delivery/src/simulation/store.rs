//! Where a checkpoint is kept: what everybody sees, and what a power cut leaves.

use super::random::Random;
use crate::blobs::Bundle;
use crate::checkpoint::{Manifest, Stamp};
use crate::mutation::{Mutation, is_mutated};
use std::collections::BTreeMap;

/// A bundle.
#[derive(Clone, Debug)]
struct Kept {
    octets: Vec<u8>,
    is_synced: bool,
    /// Whether no power cut takes its name.
    is_named: bool,
}

/// A manifest, and bundles by their stamps.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    seen: Option<Vec<u8>>,
    safe: Option<Vec<u8>>,
    bundles: BTreeMap<Stamp, Kept>,
    /// Deleted, though a power cut may bring them back.
    deleted: BTreeMap<Stamp, Kept>,
    pub(super) is_full: bool,
}

impl Store {
    pub(super) fn load(&self) -> Option<Vec<u8>> {
        self.seen.clone()
    }

    /// The stamp of the manifest that is there.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.seen.as_deref().map(|octets| Manifest::stamp_of(octets).expect("only whole ones are renamed"))
    }

    pub(super) fn list(&self) -> impl Iterator<Item = Stamp> {
        self.bundles.keys().copied()
    }

    pub(super) fn get(&self, bundle: Stamp) -> Result<Vec<u8>, String> {
        let kept = self.bundles.get(&bundle).ok_or_else(|| format!("{bundle:?} is missing"))?;
        Ok(kept.octets.clone())
    }

    /// Puts a bundle there; a power cut may take it.
    pub(super) fn put(&mut self, bundle: &Bundle) {
        let octets = bundle.pieces().collect::<Vec<_>>().concat();
        let kept = Kept { octets, is_synced: false, is_named: false };
        let before = self.bundles.insert(bundle.stamp(), kept);
        assert!(before.is_none() || is_mutated(Mutation::NoFence), "no name comes twice");
    }

    pub(super) fn sync(&mut self, bundle: Stamp) {
        self.bundles.entry(bundle).and_modify(|kept| kept.is_synced = true);
    }

    /// No power cut takes names any more.
    pub(super) fn sync_names(&mut self) {
        self.bundles.values_mut().for_each(|kept| kept.is_named = true);
        self.deleted.clear();
    }

    pub(super) fn delete(&mut self, bundle: Stamp) {
        let kept = self.bundles.remove(&bundle);
        self.deleted.extend(kept.map(|kept| (bundle, kept)));
    }

    /// Puts a manifest in place, where it follows from the one that is there.
    pub(super) fn rename(&mut self, manifest: &Manifest) -> bool {
        let follows = manifest.follows(self.stamp());
        if follows {
            self.seen = Some(manifest.octets.clone());
        }
        follows
    }

    /// The manifest in place is safe.
    pub(super) fn sync_manifest(&mut self) {
        self.safe.clone_from(&self.seen);
        self.sync_names();
    }

    pub(super) fn crash(&mut self, random: &mut Random) {
        if random.permille(500) {
            self.seen.clone_from(&self.safe);
        }
        self.safe.clone_from(&self.seen);
        for (bundle, kept) in std::mem::take(&mut self.bundles) {
            self.bundles.extend(after_crash(kept, random).map(|kept| (bundle, kept)));
        }
        let deleted = std::mem::take(&mut self.deleted).into_iter().filter(|_| random.permille(500));
        self.bundles.extend(deleted);
        self.bundles.values_mut().for_each(|kept| (kept.is_synced, kept.is_named) = (true, true));
    }
}

/// What was not synced is there, absent, torn or garbled.
fn after_crash(mut kept: Kept, random: &mut Random) -> Option<Kept> {
    if !kept.is_named && random.permille(300) {
        return None;
    }
    if !kept.is_synced {
        let place = random.below(kept.octets.len());
        match random.below(3) {
            0 => kept.octets.truncate(place),
            1 => kept.octets[place..].fill(0),
            _ => {}
        }
    }
    Some(kept)
}

//! How an aggregator begins: it takes over the store, and goes on with what is in it.

use super::options::ReceiverOptions;
use crate::clock::wall_ns;
use crate::random;
use crate::store::{Store, StoreError};
use tapline_delivery::{Aggregator, Lineage, Manifest, Merge, Moment, RestoreError, Stamp};

/// How often a store is claimed which another process writes to meanwhile.
const CLAIMS_MAX: usize = 100;

/// Takes over a store: from then on no other process writes to it. Gives the epoch besides.
///
/// # Errors
/// A sentence: the store is damaged, cannot be written, or has what cannot be gone on with.
pub(crate) fn start<M: Merge>(
    merge: M,
    options: &ReceiverOptions,
    store: &dyn Store,
) -> Result<(Aggregator<M>, u64), String> {
    let now = Moment { steady_ns: 0, wall_ns: wall_ns() };
    let (mut aggregator, epoch) = if let Some(claimed) = claim(store)? {
        let (options, get) = (options.aggregator.clone(), |bundle| store.get(bundle));
        let restored = Aggregator::restore(merge, options, &claimed.octets, get, now);
        (restored.map_err(|error| why(&error, claimed.stamp, store))?, claimed.stamp.epoch)
    } else {
        let epoch = next(store, None)?.epoch;
        let aggregator = Aggregator::new(merge, options.aggregator.clone(), epoch, Lineage(random::bits()));
        store.swap(&aggregator.first_checkpoint()).map_err(|error| error.to_string())?;
        (aggregator, epoch)
    };
    options.halves.iter().for_each(|(half, spec)| aggregator.add_half(*half, spec.clone()));
    Ok((aggregator, epoch))
}

/// Claims the manifest that is there, before anything is read that it names.
fn claim(store: &dyn Store) -> Result<Option<Manifest>, String> {
    let mut said = String::new();
    for _ in 0..CLAIMS_MAX {
        let Some(octets) = store.load()? else { return Ok(None) };
        let found = Manifest::stamp_of(&octets).map_err(|error| error.to_string())?;
        let claimed = Manifest::claimed(&octets, next(store, Some(found))?);
        let claimed = claimed.map_err(|error| error.to_string())?;
        match store.swap(&claimed) {
            Ok(()) => return Ok(Some(claimed)),
            // Another process wrote meanwhile: what is there now is read.
            Err(StoreError::TakenOver(why)) => said = why,
            Err(StoreError::Failed(why)) => return Err(why),
        }
    }
    Err(said)
}

/// The stamp of a process that begins: behind all that others put there.
fn next(store: &dyn Store, found: Option<Stamp>) -> Result<Stamp, String> {
    Ok(Stamp::claim(store.list()?.into_iter().chain(found).max()))
}

/// Why what was claimed cannot be gone on with.
fn why(error: &RestoreError, claimed: Stamp, store: &dyn Store) -> String {
    let there = store.load().ok().flatten().and_then(|octets| Manifest::stamp_of(&octets).ok());
    match (error, there) {
        (RestoreError::Missing(_) | RestoreError::Damaged(_), Some(stamp)) if stamp != claimed => {
            let (epoch, own) = (stamp.epoch, claimed.epoch);
            format!("another process, of epoch {epoch}, took over while this one, of epoch {own}, began")
        }
        (RestoreError::Damaged(bundle), _) => store.damaged(*bundle),
        (error, _) => error.to_string(),
    }
}

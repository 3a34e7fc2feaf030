//! How an aggregator begins: it takes over the store, and goes on with what is in it.

use super::options::ReceiverOptions;
use crate::clock::wall_ns;
use crate::random;
use crate::store::Store;
use tapline_delivery::{Aggregator, Checkpoint, Lineage, Merge, Moment, Stamp};

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
    let found = store.load()?;
    let claim = |octets: &[u8]| Checkpoint::stamp_of(octets).map(|stamp| Stamp::claim(Some(stamp)));
    let (mut aggregator, epoch) = if let Some(octets) = found {
        let claimed = claim(&octets).and_then(|stamp| Checkpoint::claimed(&octets, stamp));
        let claimed = claimed.map_err(|error| error.to_string())?;
        store.replace(&claimed).map_err(|error| error.to_string())?;
        let restored = Aggregator::restore(merge, options.aggregator.clone(), &claimed.octets, now);
        (restored.map_err(|error| error.to_string())?, claimed.stamp.epoch)
    } else {
        let epoch = Stamp::claim(None).epoch;
        let aggregator = Aggregator::new(merge, options.aggregator.clone(), epoch, Lineage(random::bits()));
        store.replace(&aggregator.first_checkpoint()).map_err(|error| error.to_string())?;
        (aggregator, epoch)
    };
    options.halves.iter().for_each(|(half, spec)| aggregator.add_half(*half, spec.clone()));
    Ok((aggregator, epoch))
}

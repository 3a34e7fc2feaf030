//! What an aggregator is set up with.

use super::identity::Entrance;
use crate::uplink::Upstream;
use tapline_delivery::{AggregatorOptions, HalfId, HalfSpec, Role};

/// What an aggregator is set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverOptions {
    /// Where sensors come in, and by what they prove who they are.
    pub entrance: Entrance,
    /// What it makes of what they send.
    pub aggregator: AggregatorOptions,
    /// Where it forwards to, where that is its role.
    pub forward: Option<Upstream>,
    /// Halves that are taken from the beginning.
    pub halves: Vec<(HalfId, HalfSpec)>,
    /// Its program's version.
    pub version: String,
    /// Which versions its states have, as somebody reads it.
    pub states: String,
}

impl ReceiverOptions {
    /// Where it forwards to.
    ///
    /// # Errors
    /// A sentence, when that does not go with its role.
    pub(crate) fn upstream(&self) -> Result<Option<Upstream>, String> {
        match (&self.aggregator.role, &self.forward) {
            (Role::Forward(..), Some(upstream)) => Ok(Some(upstream.clone())),
            (Role::Final, None) => Ok(None),
            (Role::Forward(name, _), None) => {
                Err(format!("{name} is to forward, and nobody says to whom; name the aggregator"))
            }
            (Role::Final, Some(upstream)) => Err(format!(
                "results stay here, and {} would get nothing; let it forward, or name nobody",
                upstream.url
            )),
        }
    }
}

//! Queries that somebody asks who watches them come, and that end with him.
//!
//! They run as the node's own queries do, by the same plan, beside them and under the same limits; but they have no
//! name, stand in no list and no folder, and nothing of them outlives the node. What a run before held is not touched
//! by them. Whoever asks is told why one of them failed.

use super::forwarded::Forwarded;
use super::launch::{Gives, Terms};
use super::{Catalog, Core, Entry, lock};
use crate::definition::{Definition, QueryOptions};
use crate::error::CatalogError;
use crate::query::Explained;
use crate::results::Results;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_engine::{EndReason, QueryId, QuerySnapshot};

/// Previews that run at once.
const ASKED_MAX: usize = 32;

/// A query that runs for as long as somebody has this.
pub struct Asked {
    catalog: Arc<Catalog>,
    id: QueryId,
    explained: Explained,
    results: Arc<Results>,
}

impl Asked {
    /// What it does.
    #[must_use]
    pub const fn explained(&self) -> &Explained {
        &self.explained
    }

    /// What it answers: all of it is to be watched, and its end, with the reason where it failed.
    #[must_use]
    pub const fn results(&self) -> &Arc<Results> {
        &self.results
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // Whoever drops it may be one who must not wait.
        lock(&self.catalog.left).push(self.id);
    }
}

impl Catalog {
    /// Asks something of what comes from now on, for as long as the answer is watched.
    ///
    /// # Errors
    /// When it is wrong, or as many run as may.
    pub fn ask(self: &Arc<Self>, sql: &str, options: QueryOptions) -> Result<Asked, CatalogError> {
        let mut definition = Definition::new("preview", sql, options)?;
        let planned = self.plan(&definition)?;
        let mut core = self.core();
        self.let_go(&mut core);
        core.check_room()?;
        if core.asked.len() >= ASKED_MAX {
            return Err(CatalogError::FullOfPreviews(ASKED_MAX));
        }
        core.asked_so_far += 1;
        // Only `ledger` and what is told call it so: no query of a node has a name with a space in it.
        definition.name = format!("preview {}", core.asked_so_far);
        let allowance = core.allowed(&definition, &planned.query)?;
        let from = core.beginning_anew(&planned.query, self.clock.now());
        let (entry, explained) =
            self.launch(&mut core, definition, planned, Terms { allowance, from, gives: Gives::ToOne })?;
        let (id, results) = (entry.id, Arc::clone(&entry.results));
        core.asked.insert(id, entry);
        core.settle();
        drop(core);
        let asked = Asked { catalog: Arc::clone(self), id, explained, results };
        self.wait_for(id);
        Ok(asked)
    }

    /// Ends what somebody asked who has gone.
    pub(super) fn let_go(&self, core: &mut Core) {
        let left = std::mem::take(&mut *lock(&self.left));
        for query in left {
            core.asked.remove(&query);
            self.end(core, query);
        }
    }
}

impl Core {
    /// All that runs.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let forwarded = self.forwarded.iter().filter_map(Forwarded::entry);
        self.queries.values().chain(self.asked.values()).chain(forwarded)
    }

    /// Looks whether one more query may run.
    pub(super) fn check_room(&self) -> Result<(), CatalogError> {
        let is_full = self.queries.len() + self.asked.len() + self.forwarded.len() >= self.queries_max;
        if is_full { Err(CatalogError::Full(self.queries_max)) } else { Ok(()) }
    }

    /// Tells whoever asked this that nothing more comes of it; says whether somebody did.
    pub(super) fn end_asked(&mut self, query: QueryId, reason: &EndReason) -> bool {
        let Some(entry) = self.asked.get_mut(&query) else { return false };
        if let EndReason::Failed(why) = reason {
            entry.failure.get_or_insert_with(|| why.clone());
        }
        entry.results.end(entry.failure.clone());
        self.settle();
        true
    }

    /// Tells whoever asked what failed, also where the engine's word of it was lost.
    pub(super) fn tell_failed(&self) {
        for entry in self.asked.values().filter(|entry| entry.failure.is_some()) {
            entry.results.end(entry.failure.clone());
        }
    }

    /// Tells everybody who asked something that nothing more comes.
    pub(super) fn end_all_asked(&self) {
        self.asked.values().for_each(|entry| entry.results.end(entry.failure.clone()));
    }
}

/// What runs under this number.
pub(super) fn entry_of<'a>(
    queries: &'a mut BTreeMap<String, Entry>,
    asked: &'a mut BTreeMap<QueryId, Entry>,
    query: &QuerySnapshot,
) -> Option<&'a mut Entry> {
    let of_name = queries.get_mut(&*query.name).filter(|entry| entry.id == query.id);
    of_name.or_else(|| asked.get_mut(&query.id))
}

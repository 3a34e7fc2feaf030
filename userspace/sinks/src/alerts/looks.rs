//! How far queries were looked at, and windows that are given again behind that.
//!
//! What fires follows the newest windows. That an earlier one has other rows now neither begins an alarm, nor lets one go on, nor
//! ends it. It is told where it has rows of which nobody was told, but once in a cool-down: a link that catches up lets many
//! windows be revised. How far they were looked at is kept with what fires: behind a crash, an aggregator gives results
//! again, and whoever was told of one in the last run is not told of it in this one.

use crate::origin::Origin;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far each query was looked at, by its name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Looks(BTreeMap<String, Look>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    /// The query's text.
    sql: String,
    /// The end of the newest window, whether or not it had rows.
    until: i64,
    /// The same, as the last run kept it.
    #[serde(skip)]
    kept: Option<i64>,
    /// When it was told last of an earlier one, by the clock, by what its alert says.
    told: BTreeMap<String, i64>,
}

impl Looks {
    /// These are of the last run.
    pub(super) fn begin(&mut self) {
        self.0.values_mut().for_each(|look| look.kept = Some(look.until));
    }

    /// Notes that windows of a query that end by this time were looked at.
    pub(super) fn note(&mut self, origin: &Origin, until: i64) {
        if let Some(look) = self.0.get_mut(&origin.name)
            && look.sql == origin.sql
        {
            look.until = look.until.max(until);
            return;
        }
        let look = Look { sql: origin.sql.clone(), until, kept: None, told: BTreeMap::new() };
        self.0.insert(origin.name.clone(), look);
    }

    fn of(&self, origin: &Origin) -> Option<&Look> {
        self.0.get(&origin.name).filter(|look| look.sql == origin.sql)
    }

    /// Whether a later window than the one that ends here was looked at.
    pub(super) fn is_past(&self, origin: &Origin, end: i64) -> bool {
        self.of(origin).is_some_and(|look| end < look.until)
    }

    /// Whether it was in the last run, as far as that kept it. Of the last window, not all parts may have been.
    pub(super) fn was_past(&self, origin: &Origin, end: i64) -> bool {
        self.of(origin).and_then(|look| look.kept).is_some_and(|kept| end < kept)
    }

    /// Whether an earlier window is to be told of by an alert, which it is then: none was for so long, or the clock was set
    /// back.
    pub(super) fn tell(&mut self, query: &str, alert: &str, now: i64, cool_down: i64) -> bool {
        let Some(look) = self.0.get_mut(query) else { return false };
        let told = look.told.get(alert);
        let is_due = told.is_none_or(|told| now < *told || now.saturating_sub(*told) >= cool_down);
        if is_due {
            look.told.insert(alert.to_owned(), now);
        }
        is_due
    }

    /// Forgets the queries that do not run any more.
    pub(super) fn retain(&mut self, runs: impl Fn(&str) -> bool) {
        self.0.retain(|query, _| runs(query));
    }
}

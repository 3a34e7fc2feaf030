//! How far queries were looked at, and windows that are given again behind that.
//!
//! What fires follows the newest windows. That an earlier one has other rows now neither begins an alarm, nor lets one go on, nor
//! ends it. It is told where it has rows of which nobody was told, but once in a cool-down: a link that catches up lets many
//! windows be revised.

use std::collections::BTreeMap;

/// How far each query was looked at, by its name.
#[derive(Debug, Default)]
pub(super) struct Looks(BTreeMap<String, Look>);

#[derive(Debug)]
struct Look {
    /// The end of the newest window, whether or not it had rows.
    until: i64,
    /// When it was told last of an earlier one, by the clock, by what its alert says.
    told: BTreeMap<String, i64>,
}

impl Looks {
    /// Notes that windows of a query that end by this time were looked at.
    pub(super) fn note(&mut self, query: &str, until: i64) {
        if let Some(look) = self.0.get_mut(query) {
            look.until = look.until.max(until);
        } else {
            self.0.insert(query.to_owned(), Look { until, told: BTreeMap::new() });
        }
    }

    /// Whether a later window than the one that ends here was looked at.
    pub(super) fn is_past(&self, query: &str, end: i64) -> bool {
        self.0.get(query).is_some_and(|look| end < look.until)
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

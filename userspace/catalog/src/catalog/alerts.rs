//! Alerts of queries, which come and go while these run on, and what fires by them.

use super::{Catalog, Core, Entry};
use crate::alert::{AlertCondition, AlertOption, AlertStatus, ConfiguredAlert};
use crate::definition::Definition;
use crate::error::{CatalogError, nearest};
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_engine::{ResultColumns, WindowResult};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;
use tapline_sinks::{Alert, Firing, Origin, Outlet, is_named};

impl Catalog {
    /// Adds an alert to a query, in the place of one with the same condition; the query runs on as it did.
    ///
    /// # Errors
    /// When there is no such query, the alert cannot be one of it, or it cannot be kept; then nothing changes.
    pub fn add_alert(&self, query: &str, alert: AlertOption) -> Result<(), CatalogError> {
        self.check_sinks(std::slice::from_ref(&alert))?;
        self.change_alerts(query, |alerts| {
            alerts.retain(|known| known.condition != alert.condition);
            alerts.push(alert);
            Ok(())
        })
    }

    /// Drops the alert of a query that has this condition.
    ///
    /// # Errors
    /// When there is none, the configuration says it, or the query cannot be kept; then nothing changes.
    pub fn drop_alert(&self, query: &str, condition: &AlertCondition) -> Result<(), CatalogError> {
        self.change_alerts(query, |alerts| {
            let before = alerts.len();
            alerts.retain(|known| known.condition != *condition);
            if alerts.len() < before { Ok(()) } else { Err(self.no_alert(query, condition)) }
        })
    }

    /// How all alerts stand, by query, and what fires by them.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertStatus> {
        let mut alarms: BTreeMap<(String, String), Vec<Firing>> = BTreeMap::new();
        for firing in self.safety.outlets().iter().filter_map(Outlet::firing).flatten() {
            alarms.entry((firing.query.clone(), firing.alert.clone())).or_default().push(firing);
        }
        let origins: Vec<Arc<Origin>> =
            self.core().queries.values().filter_map(|entry| entry.results.origin()).collect();
        let mut standing = vec![];
        for origin in origins {
            standing.extend(origin.alerts.iter().map(|alert| {
                let alarms = alarms.remove(&(origin.name.clone(), alert.text.clone())).unwrap_or_default();
                AlertStatus { query: origin.name.clone(), alert: Arc::clone(alert), alarms }
            }));
        }
        standing
    }

    /// The sinks that tell somebody of alarms, by name, and what each is, in a word.
    #[must_use]
    pub fn tellers(&self) -> Vec<(String, &'static str)> {
        let tellers = self.safety.outlets().iter().filter_map(Outlet::teller);
        tellers.map(|(name, kind)| (name.to_owned(), kind)).collect()
    }

    /// A query as outlets know it.
    pub(super) fn origin(
        &self,
        definition: &Definition,
        query: &ContinuousQuery,
    ) -> Result<Origin, CatalogError> {
        let origin = definition.origin(query);
        let alerts = self.alerts_over(definition, &origin.columns)?;
        Ok(Origin { alerts, ..origin })
    }

    /// Refuses alerts that a sink is to tell of which tells of none.
    pub(super) fn check_sinks(&self, alerts: &[AlertOption]) -> Result<(), CatalogError> {
        self.unknown_sink(alerts).map_or(Ok(()), |why| Err(CatalogError::wrong(why)))
    }

    /// That a sink is to tell of alerts which tells of none, in a sentence.
    pub(super) fn unknown_sink(&self, alerts: &[AlertOption]) -> Option<String> {
        let tellers = self.tellers();
        let is_unknown = |name: &&String| tellers.iter().all(|(teller, _)| teller != *name);
        let name = alerts.iter().flat_map(|alert| &alert.sinks).find(is_unknown)?;
        let names: Vec<&str> = tellers.iter().map(|(teller, _)| teller.as_str()).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if names.is_empty() => {
                "this node has none: its configuration may name a [[sink]] of the kind webhook, command or syslog"
                    .to_owned()
            }
            None => format!("those of this node that do are {}", names.join(", ")),
        };
        Some(format!("alert: no sink `{name}` tells of alarms; {hint}"))
    }

    /// Takes up the alerts of a definition that is otherwise the one of a query that runs; it `is_kept` where its file is there
    /// already.
    pub(super) fn put_alerts(
        &self,
        core: &mut Core,
        definition: Definition,
        is_kept: bool,
    ) -> Result<(), CatalogError> {
        let Some(entry) = core.queries.get(&definition.name) else {
            return Err(core.unknown(&definition.name));
        };
        let alerts = self.alerts_over(&definition, entry.results.columns())?;
        if !is_kept {
            core.save(&definition)?;
        }
        if let Some(entry) = core.queries.get_mut(&definition.name) {
            let before = entry.results.origin();
            entry.results.put_alerts(alerts);
            entry.definition = definition;
            self.look_again(entry, before.as_deref());
        }
        Ok(())
    }

    /// Lets whoever watches over alarms look at the newest window of a query again, where it has alerts that it had not, or
    /// others are told of them: else nobody would hear of what is so by now before another window has passed. What fires
    /// already is not told again by that.
    fn look_again(&self, entry: &Entry, before: Option<&Origin>) {
        let Some(origin) = entry.results.origin().filter(|_| entry.failure.is_none()) else { return };
        let known = before.map(|before| &*before.alerts).unwrap_or_default();
        let is_known = |alert: &Arc<Alert>| {
            let is_this = |known: &&Arc<Alert>| known.text == alert.text;
            let known = known.iter().find(is_this);
            known.is_some_and(|known| alert.sinks.iter().all(|sink| known.sinks.contains(sink)))
        };
        if origin.alerts.iter().all(is_known) {
            return;
        }
        for result in entry.results.newest_whole() {
            if is_newest(&origin, &result, entry.counted.settled) {
                self.safety.outlets().iter().for_each(|outlet| outlet.look_again(&origin, &result));
            }
        }
    }

    fn change_alerts(
        &self,
        query: &str,
        change: impl FnOnce(&mut Vec<AlertOption>) -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        let mut core = self.core();
        let entry = core.queries.get(query).ok_or_else(|| core.unknown(query))?;
        if let Some(folder) = &core.folder {
            folder.check_unedited(&entry.definition)?;
        }
        let mut alerts = entry.definition.options.alerts.clone();
        change(&mut alerts)?;
        let definition = entry.definition.with_alerts(alerts)?;
        self.put_alerts(&mut core, definition, false)
    }

    fn no_alert(&self, query: &str, condition: &AlertCondition) -> CatalogError {
        let mut configured = self.configured.iter().filter(|one| is_named(&one.queries, query));
        if configured.any(|one| one.alert.condition == *condition) {
            let message = format!(
                "the alert on `{condition}` of `{query}` stands in the node's configuration; take it out there"
            );
            return CatalogError::wrong(message);
        }
        CatalogError::NoAlert { query: query.to_owned(), condition: condition.to_string() }
    }

    /// All alerts of a query over its results, those of the configuration first; what is the same alert is one.
    fn alerts_over(
        &self,
        definition: &Definition,
        columns: &ResultColumns,
    ) -> Result<Vec<Arc<Alert>>, CatalogError> {
        let is_of = |one: &&ConfiguredAlert| is_named(&one.queries, &definition.name);
        let configured = self.configured.iter().filter(is_of).map(|one| one.alert.over(columns, true));
        let own = definition.options.alerts.iter().map(|alert| alert.over(columns, false));
        let mut all: Vec<Arc<Alert>> = vec![];
        for alert in configured.chain(own) {
            let alert = alert?;
            match all.iter_mut().find(|known| known.text == alert.text) {
                None => all.push(alert),
                Some(known) => {
                    let sinks = alert.sinks.iter().filter(|sink| !known.sinks.contains(sink));
                    let sinks: Vec<String> = sinks.cloned().collect();
                    Arc::make_mut(known).sinks.extend(sinks);
                }
            }
        }
        Ok(all)
    }
}

/// Whether no later window of a query has passed, with rows or without, where windows have passed up to there.
fn is_newest(origin: &Origin, result: &WindowResult, settled: Option<EventTime>) -> bool {
    let next = result.window.zip(origin.every_ns).map(|(window, every)| window.end.plus(every));
    next.zip(settled).is_some_and(|(next, settled)| settled < next)
}

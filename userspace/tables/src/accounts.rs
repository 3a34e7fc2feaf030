//! `queries`, `sources`, `sensors` and `ledger`: how everything stands, and what became of all records; `active_flows` and
//! `alerts` beside them.

use crate::alerts;
use crate::flows;
use crate::listing::{Cells, Listing, columns, signed};
use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use std::sync::Arc;
use tapline_catalog::{Catalog, QueryStatus, SensorStatus, Snapshot, SourceStatus};
use tapline_record::EventTime;

/// Makes the rows of a table of what a node says of itself.
type Shown = fn(&Snapshot) -> Result<RecordBatch>;

/// The tables, by name.
const ACCOUNTS: [(&str, Shown); 4] = [
    ("ledger", |snapshot| ledger(&snapshot.sources, &snapshot.queries)),
    ("queries", |snapshot| queries(&snapshot.queries)),
    ("sensors", |snapshot| sensors(&snapshot.sensors)),
    ("sources", |snapshot| sources(&snapshot.sources)),
];

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ACCOUNTS.into_iter().map(|(name, _)| name).chain([flows::NAME, alerts::NAME])
}

/// The one of this name.
pub(crate) fn table(catalog: &Arc<Catalog>, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    if name == flows::NAME {
        return flows::table(catalog).map(Some);
    }
    if name == alerts::NAME {
        return alerts::table(catalog).map(Some);
    }
    let Some((_, shown)) = ACCOUNTS.into_iter().find(|(known, _)| *known == name) else { return Ok(None) };
    let schema = shown(&Snapshot::EMPTY)?.schema();
    let catalog = Arc::clone(catalog);
    Ok(Some(Arc::new(Listing::new(schema, move || shown(&catalog.snapshot())))))
}

fn queries(queries: &[QueryStatus]) -> Result<RecordBatch> {
    let text = |of: fn(&QueryStatus) -> String| Cells::texts(queries.iter().map(of));
    let number = |of: fn(&QueryStatus) -> u64| Cells::numbers(queries.iter().map(of));
    columns([
        ("name", text(|query| query.definition.name.clone())),
        ("sql", text(|query| query.definition.sql.clone())),
        ("note", text(|query| query.definition.options.note.clone())),
        ("state", text(|query| query.state.word().to_owned())),
        ("reason", Cells::Text(queries.iter().map(QueryStatus::reason).collect())),
        ("since", Cells::Time(queries.iter().map(|query| Some(query.since)).collect())),
        ("streams", text(|query| query.streams.join(", "))),
        ("delivered", number(|query| query.ledger.delivered)),
        ("used", number(|query| query.ledger.used)),
        ("filtered", number(|query| query.ledger.filtered)),
        ("late", number(|query| query.ledger.late)),
        ("dropped", number(|query| query.ledger.dropped)),
        ("folded", number(|query| query.ledger.folded)),
        ("octets_held", number(|query| query.octets_held)),
        ("groups_held", number(|query| query.groups_held)),
        ("ns_a_row", Cells::Number(queries.iter().map(|query| query.ns_a_row.map(signed)).collect())),
        ("results_lost", number(|query| query.results_lost)),
        (
            "last_window_start",
            Cells::Time(queries.iter().map(|query| query.last_window.map(|window| window.start)).collect()),
        ),
        (
            "last_window_end",
            Cells::Time(queries.iter().map(|query| query.last_window.map(|window| window.end)).collect()),
        ),
    ])
}

fn sources(sources: &[SourceStatus]) -> Result<RecordBatch> {
    let text = |of: fn(&SourceStatus) -> String| Cells::texts(sources.iter().map(of));
    let number = |of: fn(&SourceStatus) -> u64| Cells::numbers(sources.iter().map(of));
    columns([
        ("name", text(|source| source.name.clone())),
        ("kind", text(|source| source.kind.to_owned())),
        ("state", text(|source| source.state.word().to_owned())),
        (
            "reason",
            Cells::Text(sources.iter().map(|source| source.state.reason().map(str::to_owned)).collect()),
        ),
        ("since", Cells::Time(sources.iter().map(|source| Some(source.since)).collect())),
        ("unit", text(|source| source.unit.to_owned())),
        ("offered", number(|source| source.ledger.offered)),
        ("delivered", number(|source| source.ledger.delivered)),
        ("filtered", number(|source| source.ledger.filtered)),
        ("control", number(|source| source.ledger.control)),
        ("undecodable", number(|source| source.ledger.undecodable)),
        ("dropped", number(|source| source.ledger.dropped)),
        ("lost", number(|source| source.ledger.lost_before_us)),
        ("octets", number(|source| source.octets)),
        ("messages", number(|source| source.messages)),
        ("filter", Cells::Text(sources.iter().map(|source| source.filter.clone()).collect())),
        ("rules", number(|source| source.rules_in_force)),
    ])
}

fn sensors(sensors: &[SensorStatus]) -> Result<RecordBatch> {
    let text = |of: fn(&SensorStatus) -> String| Cells::texts(sensors.iter().map(of));
    let number = |of: fn(&SensorStatus) -> u64| Cells::numbers(sensors.iter().map(of));
    let time = |of: fn(&SensorStatus) -> Option<EventTime>| Cells::Time(sensors.iter().map(of).collect());
    let seconds = |of: fn(&SensorStatus) -> Option<i64>| {
        Cells::Real(sensors.iter().map(|sensor| of(sensor).map(|ns| ns as f64 / 1e9)).collect())
    };
    columns([
        ("name", text(|sensor| sensor.name.clone())),
        ("site", Cells::Text(sensors.iter().map(|sensor| sensor.report.site.clone()).collect())),
        ("state", text(|sensor| sensor.state().to_owned())),
        ("reason", Cells::Text(sensors.iter().map(SensorStatus::reason).collect())),
        ("since", time(|sensor| sensor.since)),
        ("address", Cells::Text(sensors.iter().map(|sensor| sensor.address.clone()).collect())),
        ("version", text(|sensor| sensor.report.versions.tapline.clone())),
        ("watermark", time(|sensor| sensor.report.watermark_ns.map(EventTime))),
        ("lag_seconds", seconds(|sensor| sensor.lag_ns)),
        ("clock_offset_seconds", seconds(|sensor| sensor.clock_offset_ns)),
        ("spool_octets", number(|sensor| sensor.report.spool_octets)),
        ("lost", number(|sensor| sensor.report.lost)),
        ("refused", number(|sensor| sensor.refused.values().sum())),
        (
            "queries_running",
            number(|sensor| {
                sensor.queries.iter().filter(|(_, query)| query.state == "running").count() as u64
            }),
        ),
        ("queries", number(|sensor| sensor.queries.len() as u64)),
        ("through", Cells::Text(sensors.iter().map(|sensor| sensor.through.clone()).collect())),
    ])
}

/// A row a fate, so that fates can be summed, compared and drawn.
fn ledger(sources: &[SourceStatus], queries: &[QueryStatus]) -> Result<RecordBatch> {
    let of_sources = sources.iter().flat_map(|source| {
        let fates = source.ledger.by_name();
        fates.map(move |(fate, count)| ("source", source.name.clone(), source.unit, fate, count))
    });
    let of_queries = queries.iter().flat_map(|query| {
        let fates = query.ledger.by_name();
        fates.map(move |(fate, count)| ("query", query.definition.name.clone(), "rows", fate, count))
    });
    let rows: Vec<_> = of_sources.chain(of_queries).collect();
    columns([
        ("kind", Cells::texts(rows.iter().map(|row| row.0))),
        ("name", Cells::texts(rows.iter().map(|row| row.1.as_str()))),
        ("unit", Cells::texts(rows.iter().map(|row| row.2))),
        ("fate", Cells::texts(rows.iter().map(|row| row.3))),
        ("count", Cells::numbers(rows.iter().map(|row| row.4))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rows_there_are_columns() {
        let names = |batch: RecordBatch| {
            let schema = batch.schema();
            schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(ledger(&[], &[]).unwrap()), ["kind", "name", "unit", "fate", "count"]);
        assert_eq!(names(queries(&[]).unwrap()).len(), 19);
        assert_eq!(names(sources(&[]).unwrap()).len(), 17);
        assert_eq!(names(sensors(&[]).unwrap()).len(), 16);
    }
}

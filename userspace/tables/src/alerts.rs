//! `alerts`: a row an alarm that fires or did lately, and one for each alert by which none does.

use crate::listing::{Cells, Listing, columns};
use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use std::sync::Arc;
use tapline_catalog::{AlertStatus, Catalog};
use tapline_record::EventTime;
use tapline_sinks::Firing;

/// What the table is called.
pub(crate) const NAME: &str = "alerts";

/// The table, whose rows are made when it is read.
pub(crate) fn table(catalog: &Arc<Catalog>) -> Result<Arc<dyn TableProvider>> {
    let (schema, catalog) = (rows(&[])?.schema(), Arc::clone(catalog));
    Ok(Arc::new(Listing::new(schema, move || rows(&catalog.alerts()))))
}

fn rows(standing: &[AlertStatus]) -> Result<RecordBatch> {
    let mut rows: Vec<(&AlertStatus, Option<&Firing>)> = vec![];
    for status in standing {
        rows.extend(status.alarms.iter().map(|alarm| (status, Some(alarm))));
        if status.firing() == 0 {
            rows.push((status, None));
        }
    }
    let text = |of: fn(&Firing) -> Option<String>| {
        Cells::Text(rows.iter().map(|(_, alarm)| alarm.and_then(of)).collect())
    };
    let time = |of: fn(&Firing) -> Option<EventTime>| {
        Cells::Time(rows.iter().map(|(_, alarm)| alarm.and_then(of)).collect())
    };
    columns([
        ("query", Cells::texts(rows.iter().map(|(status, _)| status.query.as_str()))),
        ("condition", Cells::texts(rows.iter().map(|(status, _)| status.alert.said.as_str()))),
        ("state", Cells::texts(rows.iter().map(|(_, alarm)| state(*alarm)))),
        ("key", text(|alarm| alarm.key.clone())),
        ("since", time(|alarm| Some(alarm.since))),
        ("last", time(|alarm| Some(alarm.last))),
        ("told", time(|alarm| Some(alarm.told))),
        ("ended", time(|alarm| alarm.ended)),
        ("last_row", text(|alarm| alarm.row.clone())),
        ("sinks", Cells::texts(rows.iter().map(|(status, _)| status.alert.sinks.join(", ")))),
    ])
}

const fn state(alarm: Option<&Firing>) -> &'static str {
    match alarm {
        None => "quiet",
        Some(Firing { ended: None, .. }) => "firing",
        Some(Firing { ended: Some(_), .. }) => "resolved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::AsArray as _;
    use std::time::Duration;
    use tapline_sinks::{Alert, AlertBy, Condition};

    fn status(query: &str, alarms: Vec<Firing>) -> AlertStatus {
        let alert = Alert {
            text: "rows".to_owned(),
            said: "rows".to_owned(),
            condition: Condition::Rows,
            by: AlertBy::Key,
            cool_down: Duration::from_secs(1),
            resolve_after: 1,
            sinks: vec!["pager".to_owned(), "mail".to_owned()],
            is_configured: false,
        };
        AlertStatus { query: query.to_owned(), alert: Arc::new(alert), alarms }
    }

    #[test]
    fn each_alarm_is_a_row_and_so_is_an_alert_without_one() {
        let time = EventTime(1);
        let firing = Firing {
            query: "a".to_owned(),
            alert: "rows".to_owned(),
            condition: "rows".to_owned(),
            key: Some("{}".to_owned()),
            since: time,
            last: time,
            told: time,
            row: None,
            ended: None,
        };
        let resolved = Firing { ended: Some(time), ..firing.clone() };
        let standing = [status("a", vec![firing, resolved.clone()]), status("b", vec![resolved])];
        let rows = rows(&standing).unwrap();
        let texts = |name: &str| {
            let column = rows.column_by_name(name).unwrap().as_string::<i32>();
            column.iter().map(|text| text.unwrap_or("NULL").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("query"), ["a", "a", "b", "b"]);
        assert_eq!(texts("state"), ["firing", "resolved", "resolved", "quiet"]);
        assert_eq!(
            (texts("key"), &texts("sinks")[0]),
            (["{}", "{}", "{}", "NULL"].map(str::to_owned).to_vec(), &"pager, mail".to_owned())
        );
        assert_eq!(rows.num_columns(), 10);
    }
}

//! Results for tests.

use crate::alert::{Alert, AlertBy, Condition};
use crate::origin::Origin;
use crate::sink::{Parcel, ResultId};
use datafusion::arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch};
use std::sync::Arc;
use std::time::Duration;
use tapline_operators::{QueryId, ResultColumns, Span, Status, WindowResult};
use tapline_query::Planner;
use tapline_record::EventTime;

const SQL: &str = "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second')";

/// A query of this name, by address and with a count.
pub(crate) fn origin(name: &str) -> Arc<Origin> {
    origin_of(name, SQL)
}

/// An alert on all of its rows, of which these sinks tell.
pub(crate) fn alert(sinks: &[&str]) -> Alert {
    Alert {
        text: "rows".to_owned(),
        said: "rows".to_owned(),
        condition: Condition::Rows,
        by: AlertBy::Whole,
        cool_down: Duration::from_secs(300),
        resolve_after: 2,
        sinks: sinks.iter().map(|&sink| sink.to_owned()).collect(),
        is_configured: false,
    }
}

/// A query of this name and text.
pub(crate) fn origin_of(name: &str, sql: &str) -> Arc<Origin> {
    Arc::new(Origin::of(name, &Planner::new().plan(sql).unwrap()))
}

/// A result of it, for the window of this second: one row, whose count is the second.
pub(crate) fn result(second: i64, status: Status) -> Arc<WindowResult> {
    let columns = ResultColumns::of(&Planner::new().plan(SQL).unwrap(), true);
    let schema = columns.schema();
    let rows = Arc::new(schema.project(&[2, 3]).unwrap());
    let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7];
    let address: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([address].into_iter()).unwrap());
    let rows = RecordBatch::try_new(rows, vec![address, Arc::new(Int64Array::from(vec![second]))]).unwrap();
    let at = |second: i64| EventTime(second * 1_000_000_000);
    let window = Some(Span { start: at(second), end: at(second + 1) });
    let (query, revision, completeness) = (QueryId(0), u64::from(status == Status::Revised), Some(1.0));
    Arc::new(WindowResult { query, window, status, revision, completeness, rows: vec![rows] })
}

/// That result on its way, as the one of this number.
pub(crate) fn parcel(name: &str, second: i64) -> Parcel {
    let id = ResultId { sender: 1, number: second };
    let (origin, result) = (origin(name), result(second, Status::Final));
    Parcel { id, origin, result, given: EventTime(second * 1_000_000_000) }
}

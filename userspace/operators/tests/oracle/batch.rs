//! The answer of batch DataFusion: the same SQL over the rows of each window.

use super::generate::{Row, packet_row};
use super::streaming::build;
use super::{SENSOR, SITE};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use std::collections::BTreeSet;
use std::sync::Arc;
use tapline_functions::{aggregate_functions, scalar_functions};
use tapline_query::{ContinuousQuery, Window};
use tapline_record::{EventTime, IdentityColumn, PACKETS, PacketColumn, PacketRow};

/// `tumble` or `hop` over the rows of one window: the window's start.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowStart {
    name: &'static str,
    start: i64,
    signature: Signature,
}

impl ScalarUDFImpl for WindowStart {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let start = ScalarValue::TimestampNanosecond(Some(self.start), Some("UTC".into()));
        Ok(ColumnarValue::Array(start.to_array_of_size(arguments.number_rows)?))
    }
}

/// Result rows as sorted text.
pub(crate) fn batch_answer(sql: &str, query: &ContinuousQuery, rows: &[Row]) -> Vec<String> {
    let rows: Vec<PacketRow> = rows.iter().map(packet_row).collect();
    let Some(window) = query.window else { return sorted(answer(sql, &rows, 0)) };
    let mut all = vec![];
    for (start, end) in windows(window, &rows) {
        let inside: Vec<PacketRow> =
            rows.iter().filter(|row| start <= row.ts && row.ts < end).copied().collect();
        if !is_reached(sql, &inside) {
            continue;
        }
        let prefix = format!("{}|{}|", instant(start), instant(end));
        all.extend(answer(sql, &inside, start).into_iter().map(|line| format!("{prefix}{line}|final")));
    }
    sorted(all)
}

/// The rows that each window has so far, each time that so many nanoseconds of it have passed, as sorted text; each
/// line once.
pub(crate) fn early_answer(sql: &str, query: &ContinuousQuery, rows: &[Row], every: i64) -> BTreeSet<String> {
    let rows: Vec<PacketRow> = rows.iter().map(packet_row).collect();
    let mut all = BTreeSet::new();
    for (start, end) in windows(query.window.unwrap(), &rows) {
        for until in (start..end).step_by(every as usize).skip(1) {
            let so_far = rows.iter().filter(|row| start <= row.ts && row.ts < until);
            let so_far: Vec<PacketRow> = so_far.copied().collect();
            if so_far.is_empty() || !is_reached(sql, &so_far) {
                continue;
            }
            let prefix = format!("{}|{}|", instant(start), instant(end));
            all.extend(answer(sql, &so_far, start).into_iter().map(|line| format!("{prefix}{line}|early")));
        }
    }
    all
}

/// Start and end of every window that holds a row.
fn windows(window: Window, rows: &[PacketRow]) -> BTreeSet<(i64, i64)> {
    let (size, slide) = window.size_and_slide().expect("a time window");
    let mut windows = BTreeSet::new();
    for time in rows.iter().map(|row| row.ts) {
        let last = EventTime(time).align_down(slide).0;
        let starts = (0..=size / slide).map(|back| last - back * slide).filter(|start| start + size > time);
        windows.extend(starts.map(|start| (start, start + size)));
    }
    windows
}

/// Whether any row of a window is left after the WHERE of a query that reads the stream once.
fn is_reached(sql: &str, rows: &[PacketRow]) -> bool {
    if sql.matches("FROM packets").count() > 1 {
        return true;
    }
    let parts: Vec<&str> = sql.split("FROM packets WHERE ").collect();
    let [_, rest] = parts[..] else { return true };
    let Some((filter, _)) = rest.split_once(" GROUP BY") else { return true };
    if filter.matches('(').count() != filter.matches(')').count() {
        return true;
    }
    answer(&format!("SELECT 1 FROM packets WHERE {filter} LIMIT 1"), rows, 0) == ["1"]
}

fn answer(sql: &str, rows: &[PacketRow], start: i64) -> Vec<String> {
    let context = SessionContext::new();
    for name in ["tumble", "hop"] {
        let signature = Signature::variadic_any(Volatility::Volatile);
        context.register_udf(ScalarUDF::from(WindowStart { name, start, signature }));
    }
    scalar_functions(&Default::default()).into_iter().for_each(|function| context.register_udf(function));
    aggregate_functions().into_iter().for_each(|function| context.register_udaf(function));
    let but_octets: Vec<usize> = (0..PacketColumn::Payload as usize).collect();
    context.register_batch("packets", with_identity(&build(rows, &but_octets))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batches = runtime.block_on(async { context.sql(sql).await?.collect().await });
    lines(&batches.unwrap_or_else(|error| panic!("{sql}\n{error}")))
}

/// The rows with who saw them.
fn with_identity(rows: &RecordBatch) -> RecordBatch {
    let fields = IdentityColumn::ALL.map(|column| Arc::new(PACKETS.field(column.position())));
    let values = [SENSOR, SITE].map(|text| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows.num_rows())))
    });
    let schema = rows.schema().fields().iter().cloned().chain(fields).collect::<Vec<_>>();
    let columns = rows.columns().iter().cloned().chain(values).collect();
    RecordBatch::try_new(Arc::new(Schema::new(schema)), columns).unwrap()
}

/// One line a row, values parted by bars; floats with nine digits.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = vec![];
    for batch in batches {
        let columns = batch.columns().iter();
        let formatters: Vec<_> =
            columns.map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> =
                formatters.iter().map(|formatter| rounded(&formatter.value(row).to_string())).collect();
            lines.push(values.join("|"));
        }
    }
    sorted(lines)
}

fn rounded(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') => format!("{number:.6e}"),
        _ => value.to_owned(),
    }
}

fn instant(time: i64) -> String {
    let column = ScalarValue::TimestampNanosecond(Some(time), Some("UTC".into())).to_array().unwrap();
    let options = FormatOptions::default();
    ArrayFormatter::try_new(&column, &options).unwrap().value(0).to_string()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

//! What a query answers, and the columns that writers make of it.
//!
//! A result stays typed up to the edge: its window, status and completeness are values, its rows those of the SELECT
//! list. [`ResultColumns`] puts them side by side, for whoever writes rows.

use crate::ids::QueryId;
use datafusion::arrow::array::{
    ArrayRef, AsArray as _, Float64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue};
use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Arc;
use tapline_query::{
    COMPLETENESS, ColumnRole, ContinuousQuery, RolledColumn, STATUS, WINDOW_END, WINDOW_START,
};
use tapline_record::EventTime;
use tapline_record::stream::TIME_ZONE;

/// A piece of time, or of a stream, that a query answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant; of windows that count rows, the earliest row's time.
    pub start: EventTime,
    /// The instant after its last.
    pub end: EventTime,
}

/// What a result saw of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All of it.
    Final,
    /// Not all of it: it ended before its end, or rows may be in the folded row.
    Partial,
    /// It is what came so far, before the window closes.
    Early,
    /// It takes the place of what was said before of the same window.
    Revised,
    /// It is the folded row, or rests on groups of which some are beyond the cap.
    Folded,
}

impl Status {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Partial => "partial",
            Self::Early => "early",
            Self::Revised => "revised",
            Self::Folded => "folded",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Final, Self::Partial, Self::Early, Self::Revised, Self::Folded];
        all.into_iter().find(|status| status.name() == name)
    }
}

/// What a query answers for one window; of a query without windows, some or all of its rows.
#[derive(Clone, Debug)]
pub struct WindowResult {
    /// Whose it is.
    pub query: QueryId,
    /// The window; `None` where the whole input is one, and of queries without an aggregate.
    pub window: Option<Span>,
    /// What it saw of it.
    pub status: Status,
    /// Greater than 0 where the window was given before: all that was said of it with a lower one holds no more.
    pub revision: u64,
    /// Which part of the window's records arrived, from 0 to 1; `None` is unknown.
    pub completeness: Option<f64>,
    /// The SELECT list; without a row only where a revision leaves none.
    pub rows: Vec<RecordBatch>,
}

/// The columns of a query's results: window, SELECT list, over live sources completeness, and status; the SELECT list
/// alone without a window.
#[derive(Clone, Debug)]
pub struct ResultColumns {
    schema: SchemaRef,
    is_windowed: bool,
    is_live: bool,
    /// Of the SELECT list.
    roles: Vec<ColumnRole>,
    rolled: Result<Vec<RolledColumn>, String>,
    width: Option<i64>,
}

impl ResultColumns {
    /// Those of `query`.
    #[must_use]
    pub fn of(query: &ContinuousQuery, is_live: bool) -> Self {
        let around = Self::around(&rows_schema(query), query.window.is_some(), is_live);
        let (roles, rolled) = (query.column_roles(), query.rolled_columns());
        Self { roles, rolled, width: query.tumbling_width(), ..around }
    }

    /// Those of a query of which only the SELECT list is known, but not what its columns are.
    #[must_use]
    pub fn around(rows: &Schema, is_windowed: bool, is_live: bool) -> Self {
        let mut fields: Vec<Arc<Field>> = rows.fields().iter().cloned().collect();
        if is_windowed {
            let instant = DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into()));
            fields.insert(0, Arc::new(Field::new(WINDOW_START, instant.clone(), false)));
            fields.insert(1, Arc::new(Field::new(WINDOW_END, instant, false)));
            if is_live {
                fields.push(Arc::new(Field::new(COMPLETENESS, DataType::Float64, true)));
            }
            fields.push(Arc::new(Field::new(STATUS, DataType::Utf8, false)));
        }
        Self {
            schema: Arc::new(Schema::new(fields)),
            is_windowed,
            is_live,
            roles: vec![ColumnRole::Other; rows.fields().len()],
            rolled: Err("nobody knows what they are".to_owned()),
            width: None,
        }
    }

    /// Their names and types.
    #[must_use]
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether a window stands before the SELECT list, and the status behind it.
    #[must_use]
    pub const fn is_windowed(&self) -> bool {
        self.is_windowed
    }

    /// Whether results say how much of their windows arrived.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.is_live
    }

    /// The fields of the SELECT list.
    #[must_use]
    pub fn rows(&self) -> &[Arc<Field>] {
        self.schema.fields().get(self.selected()).unwrap_or_default()
    }

    /// Which of them are of the SELECT list.
    #[must_use]
    pub fn selected(&self) -> Range<usize> {
        let first = if self.is_windowed { 2 } else { 0 };
        first..first + self.roles.len()
    }

    /// What each column of the SELECT list is.
    #[must_use]
    pub fn roles(&self) -> &[ColumnRole] {
        &self.roles
    }

    /// What is done with each column of the SELECT list when windows are put together.
    ///
    /// # Errors
    /// Why they cannot be, as the end of a sentence.
    pub const fn rolled(&self) -> Result<&Vec<RolledColumn>, &String> {
        self.rolled.as_ref()
    }

    /// The width of windows in nanoseconds, where they are adjacent.
    #[must_use]
    pub const fn width(&self) -> Option<i64> {
        self.width
    }

    /// A result in these columns.
    ///
    /// # Errors
    /// When it is not one of this query's.
    pub fn batches(&self, result: &WindowResult) -> Result<Vec<RecordBatch>, ArrowError> {
        result.rows.iter().map(|rows| self.batch(result, rows)).collect()
    }

    fn batch(&self, result: &WindowResult, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let count = rows.num_rows();
        let mut columns = rows.columns().to_vec();
        if let Some(window) = result.window.filter(|_| self.is_windowed) {
            columns.splice(0..0, [instants(window.start, count)?, instants(window.end, count)?]);
            if self.is_live {
                columns.push(Arc::new(Float64Array::from(vec![result.completeness; count])));
            }
            columns.push(Arc::new(StringArray::from_iter_values(repeat_n(result.status.name(), count))));
        }
        with_columns(&self.schema, columns, count)
    }
}

/// The SELECT list of a query, by its names; any column of it may be NULL.
pub(crate) fn rows_schema(query: &ContinuousQuery) -> SchemaRef {
    let nullable = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(query.schema.fields().iter().map(nullable).collect::<Vec<_>>()))
}

/// A batch of so many rows, which may have no column.
pub(crate) fn with_columns(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Columns without what they do not need: texts that are views may be a few of a large table that was looked up, and
/// whoever keeps or writes them would have all of it.
pub(crate) fn compact(columns: &[ArrayRef]) -> Vec<ArrayRef> {
    let compact = |column: &ArrayRef| match column.as_string_view_opt() {
        Some(texts) if !texts.data_buffers().is_empty() => Arc::new(texts.gc()) as ArrayRef,
        _ => Arc::clone(column),
    };
    columns.iter().map(compact).collect()
}

/// The same instant so often.
pub(crate) fn instants(time: EventTime, rows: usize) -> Result<ArrayRef, ArrowError> {
    let instant = ScalarValue::TimestampNanosecond(Some(time.0), Some(TIME_ZONE.into()));
    Ok(instant.to_array_of_size(rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use tapline_query::Planner;

    fn result(window: Option<Span>, completeness: Option<f64>, query: &ContinuousQuery) -> WindowResult {
        let rows = RecordBatch::new_empty(rows_schema(query));
        let none = rows
            .columns()
            .iter()
            .map(|column| datafusion::arrow::array::new_null_array(column.data_type(), 1));
        let rows = with_columns(&rows.schema(), none.collect(), 1).unwrap();
        let (query, status) = (QueryId(0), Status::Partial);
        WindowResult { query, window, status, revision: 0, completeness, rows: vec![rows] }
    }

    fn shown(sql: &str, is_live: bool, window: Option<Span>, completeness: Option<f64>) -> Vec<String> {
        let query = Planner::new().plan(sql).unwrap();
        let columns = ResultColumns::of(&query, is_live);
        let batches = columns.batches(&result(window, completeness, &query)).unwrap();
        let table = pretty_format_batches(&batches).unwrap().to_string();
        let lines = table.lines().filter(|line| line.starts_with("| "));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_window_stands_before_the_select_list_and_what_it_saw_behind() {
        const SQL: &str = "SELECT count(*) AS n FROM packets GROUP BY tumble('1 second')";
        let window = Some(Span { start: EventTime(0), end: EventTime(1_000_000_000) });
        let expected = [
            "| window_start | window_end | n | completeness | status |",
            "| 1970-01-01T00:00:00Z | 1970-01-01T00:00:01Z | | 0.5 | partial |",
        ];
        assert_eq!(shown(SQL, true, window, Some(0.5)), expected);
        let expected = [
            "| window_start | window_end | n | status |",
            "| 1970-01-01T00:00:00Z | 1970-01-01T00:00:01Z | | partial |",
        ];
        assert_eq!(shown(SQL, false, window, None), expected);
    }

    #[test]
    fn columns_are_made_around_a_select_list() {
        for (sql, is_live) in [
            ("SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second')", true),
            ("SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second')", false),
            ("SELECT src_ip, octets FROM packets", true),
        ] {
            let query = Planner::new().plan(sql).unwrap();
            let columns = ResultColumns::of(&query, is_live);
            let rows = Schema::new(columns.rows().to_vec());
            assert_eq!(rows, *rows_schema(&query), "{sql}");
            let again = ResultColumns::around(&rows, columns.is_windowed(), columns.is_live());
            assert_eq!(again.schema(), columns.schema(), "{sql}");
        }
        assert_eq!(Status::named("folded"), Some(Status::Folded));
        assert_eq!(Status::named("revised"), Some(Status::Revised));
        assert_eq!(Status::named("else"), None);
    }

    #[test]
    fn without_a_window_there_is_the_select_list_alone() {
        assert_eq!(shown("SELECT count(*) AS n FROM packets", false, None, None), ["| n |", "| |"]);
    }
}

//! What a query answers: of what was said of a window the latest counts.

use crate::traffic::batch_of;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tapline_engine::{QueryId, SourceId, Status, WindowResult};
use tapline_operators::{Finisher, LowerOperator, OperatorLimits, Windows, WorkerId};
use tapline_query::ContinuousQuery;
use tapline_record::{PacketRow, Reach};

/// Results by the start of their window.
#[derive(Debug, Default)]
pub(crate) struct Answer(BTreeMap<i64, Vec<WindowResult>>);

impl Answer {
    /// Takes a result in the place of those that hold no more by it.
    pub(crate) fn take(&mut self, result: WindowResult) {
        let known = self.0.entry(result.window.unwrap().start.0).or_default();
        let revision = known.first().map_or(0, |known| known.revision);
        if revision < result.revision {
            known.clear();
        }
        if revision <= result.revision {
            known.push(result);
        }
    }

    fn results(&self) -> impl Iterator<Item = &WindowResult> {
        self.0.values().flatten()
    }

    /// All rows as text, in order.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut lines = self.rows_as_given();
        lines.sort();
        lines
    }

    /// The same in the order in which they are given, window by window.
    pub(crate) fn rows_as_given(&self) -> Vec<String> {
        let mut lines = vec![];
        for result in self.results() {
            let window = result.window.unwrap();
            let rows = result.rows.iter().flat_map(lines_of);
            lines.extend(rows.map(|row| format!("{}|{}|{row}", window.start.0, window.end.0)));
        }
        lines
    }

    /// The counts in the last column.
    pub(crate) fn counts(&self) -> Vec<i64> {
        let last = |batch: &RecordBatch| {
            batch.columns().last().unwrap().as_primitive::<Int64Type>().values().to_vec()
        };
        self.results().flat_map(|result| &result.rows).flat_map(last).collect()
    }

    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.results().map(|result| result.status).collect()
    }

    /// The start and the status of each window.
    pub(crate) fn by_window(&self) -> Vec<(i64, Status)> {
        let first = |(start, results): (&i64, &Vec<WindowResult>)| Some((*start, results.first()?.status));
        self.0.iter().filter_map(first).collect()
    }

    /// Each window, and its completeness.
    pub(crate) fn completeness(&self) -> Vec<(Range<i64>, Option<f64>)> {
        let of = |result: &WindowResult| {
            let window = result.window.unwrap();
            (window.start.0..window.end.0, result.completeness)
        };
        self.results().map(of).collect()
    }
}

/// What one worker says of all rows.
pub(crate) fn expected(query: &Arc<ContinuousQuery>, rows: &[PacketRow]) -> Answer {
    let limits = OperatorLimits { groups_max: 1 << 20, is_only_worker: true };
    let (batch, mut outputs) = (batch_of(query, rows), vec![]);
    for mut lower in LowerOperator::all(query, limits) {
        lower.process(&batch, &mut outputs).unwrap();
        lower.finish(&mut outputs).unwrap();
    }
    let (mut windows, mut closed) = (Windows::new(query, 1, limits), vec![]);
    windows.begin(SourceId(0), 0, &mut closed);
    outputs.into_iter().for_each(|output| windows.accept(output, &mut closed).unwrap());
    windows.advance(WorkerId(0), &Reach::END, &mut closed);
    windows.finish(false, &mut closed);
    let (mut finisher, mut results) = (Finisher::new(QueryId(0), query, limits).unwrap(), vec![]);
    closed.into_iter().for_each(|closed| finisher.finish(closed, &mut results).unwrap());
    let mut answer = Answer::default();
    results.into_iter().for_each(|result| answer.take(result));
    answer
}

/// One line a row, values parted by bars; floats with seven digits.
fn lines_of(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter();
    let formatters: Vec<_> =
        columns.map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let line = |row: usize| {
        let values = formatters.iter().map(|formatter| rounded(&formatter.value(row).to_string()));
        values.collect::<Vec<_>>().join("|")
    };
    (0..batch.num_rows()).map(line).collect()
}

fn rounded(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') => format!("{number:.6e}"),
        _ => value.to_owned(),
    }
}

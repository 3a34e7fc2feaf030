//! The newest results of a query in one answer.
//!
//! Takes a query and how many windows somebody wants, gives them as JSON, newest last. What one answer has no room for
//! is left out, the oldest first, and said.

use crate::forms;
use crate::problem::Problem;
use crate::shapes::columns;
use axum::body::Bytes;
use serde_json::json;
use std::sync::Arc;
use tapline_catalog::Catalog;
use tapline_engine::{ResultColumns, WindowResult};
use tapline_sinks::window;

/// Values of one answer: rows times columns.
const VALUES_MAX: usize = 1_000_000;

/// The answer.
pub(crate) fn text(catalog: &Catalog, name: &str, windows: usize) -> Result<Bytes, Problem> {
    let results = catalog.results(name)?;
    let columns = columns(results.columns());
    let newest = results.newest(windows);
    let rows: Vec<usize> = newest.iter().map(|result| rows_of(result)).collect();
    let part = Part::of(&rows, VALUES_MAX / columns.len().max(1));
    let head = json!({ "query": name, "schema": columns }).to_string();
    let mut text = head.trim_end_matches('}').as_bytes().to_vec();
    text.extend_from_slice(b",\"windows\":[");
    for (number, result) in newest.iter().skip(part.windows_left_out).enumerate() {
        if number > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&json_of(result, part.rows_max, results.columns())?);
    }
    text.push(b']');
    if let Some(what) = part.left_out(name, newest.len()) {
        text.extend_from_slice(format!(",\"left_out\":{what}").as_bytes());
    }
    text.push(b'}');
    Ok(text.into())
}

/// A result with no more than so many rows, as JSON. What is answered as a whole is written once for all who ask.
fn json_of(result: &Arc<WindowResult>, rows_max: usize, columns: &ResultColumns) -> Result<Bytes, Problem> {
    if rows_of(result) <= rows_max {
        return forms::json(result, columns).ok_or_else(|| Problem::internal(&"a value cannot be written"));
    }
    let text = window(&first_rows(result, rows_max)).map_err(|error| Problem::internal(&error))?;
    Ok(text.into())
}

fn rows_of(result: &WindowResult) -> usize {
    result.rows.iter().fold(0, |rows, batch| rows + batch.num_rows())
}

/// A result with no more than so many rows, its first ones.
fn first_rows(result: &WindowResult, rows_max: usize) -> WindowResult {
    let mut room = rows_max;
    let mut cut = WindowResult { rows: vec![], ..result.clone() };
    for batch in &result.rows {
        let rows = batch.num_rows().min(room);
        room -= rows;
        cut.rows.push(batch.slice(0, rows));
    }
    cut
}

/// What of some results is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// The oldest so many are not.
    windows_left_out: usize,
    /// Rows of them, and of a window that is not answered as a whole.
    rows_left_out: usize,
    /// Rows of one answer.
    rows_max: usize,
}

impl Part {
    /// Of windows with so many rows each, oldest first.
    fn of(rows: &[usize], rows_max: usize) -> Self {
        let mut room = rows_max;
        let fitting = rows.iter().rev().take_while(|rows| {
            let fits = **rows <= room;
            room = room.saturating_sub(**rows);
            fits
        });
        // The newest one is answered in any case, as far as there is room.
        let answered = fitting.count().max(usize::from(!rows.is_empty()));
        let windows_left_out = rows.len() - answered;
        let (left_out, kept) = rows.split_at(windows_left_out);
        let cut = kept.iter().sum::<usize>().saturating_sub(rows_max);
        Self { windows_left_out, rows_left_out: left_out.iter().sum::<usize>() + cut, rows_max }
    }

    /// What is not answered, as JSON, and how it can be had.
    fn left_out(self, name: &str, windows: usize) -> Option<serde_json::Value> {
        let Self { windows_left_out, rows_left_out, rows_max } = self;
        let how = format!(
            "one answer has at most {rows_max} rows of these columns; GET /api/v1/queries/{name}/stream?kept={windows} \
             with `Accept: application/x-ndjson` gives all, row by row"
        );
        let what = json!({ "windows": windows_left_out, "rows": rows_left_out, "how": how });
        (rows_left_out > 0 || windows_left_out > 0).then_some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_answered_as_far_as_there_is_room() {
        let part = |rows: &[usize]| {
            let Part { windows_left_out, rows_left_out, .. } = Part::of(rows, 100);
            (windows_left_out, rows_left_out)
        };
        assert_eq!(part(&[]), (0, 0));
        assert_eq!(part(&[50, 50]), (0, 0));
        assert_eq!(part(&[1, 50, 50]), (1, 1));
        assert_eq!(part(&[1, 60, 50]), (2, 61));
        assert_eq!(part(&[7, 250]), (1, 157));
        assert_eq!(part(&[250]), (0, 150));
    }

    #[test]
    fn what_is_left_out_is_said_with_the_way_to_it() {
        assert_eq!(Part::of(&[1, 2], 100).left_out("a", 2), None);
        let said = Part::of(&[3, 200], 100).left_out("talkers", 2).unwrap();
        assert_eq!((&said["windows"], &said["rows"]), (&1.into(), &103.into()));
        assert!(said["how"].as_str().unwrap().contains("/api/v1/queries/talkers/stream?kept=2"), "{said}");
    }
}

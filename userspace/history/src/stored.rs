//! Which windows an earlier run stored, so that what comes again after a crash is in files once.
//!
//! An aggregator gives again what no checkpoint of it says to be stored. What is in files of an hour, here or in a bucket,
//! when the first result of that hour comes, was stored before; rows of windows that were revised are told apart by
//! nothing, and are not among it.

use crate::place::Hour;
use crate::shared::{Shared, reader};
use crate::store::Part;
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, Result};
use parquet::arrow::ProjectionMask;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tapline_operators::{Status, WindowResult};
use tapline_query::{STATUS, WINDOW_START};

/// How long whoever stores results waits for objects of an hour that a bucket does not give.
const WAITS_FOR: Duration = Duration::from_secs(5);

/// The starts of windows in microseconds, and how they were given.
type Windows = BTreeSet<(i64, &'static str)>;

/// What an earlier run stored, of hours of queries of which something came in this one.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    hours: BTreeMap<(String, Hour), Windows>,
}

impl Stored {
    /// Whether a result of this hour was stored; gives besides what could not be read to find that out.
    pub(crate) fn has(
        &mut self,
        shared: &Shared,
        (query, hour): (&str, Hour),
        result: &WindowResult,
    ) -> (bool, Vec<String>) {
        let Some(window) = result.window.filter(|_| result.status != Status::Revised) else {
            return (false, vec![]);
        };
        let (mut unread, key) = (vec![], (query.to_owned(), hour));
        let windows = self.hours.entry(key).or_insert_with(|| read(shared, query, hour, &mut unread));
        (windows.contains(&(window.start.0.div_euclid(1_000), result.status.name())), unread)
    }
}

/// What is in the files of an hour.
fn read(shared: &Shared, query: &str, hour: Hour, unread: &mut Vec<String>) -> Windows {
    let parts = shared.store.all_parts(query, hour).unwrap_or_else(|error| {
        unread.push(error.to_string());
        vec![]
    });
    let (mut windows, begun) = (Windows::new(), Instant::now());
    for part in parts {
        // One that refuses an object says so at once; one that is away is not asked for each of them.
        if !unread.is_empty() && begun.elapsed() >= WAITS_FOR && !part.path.exists() {
            continue;
        }
        match of_part(shared, &part) {
            Ok(more) => windows.extend(more),
            Err(error) => unread.push(error.to_string()),
        }
    }
    windows
}

/// How many results a file has, as far as they are told apart.
pub(crate) fn results_of(shared: &Shared, part: &Part) -> u64 {
    // Of one that cannot be read, or without windows, it is one at least.
    of_part(shared, part).map_or(1, |windows| windows.len().max(1) as u64)
}

fn of_part(shared: &Shared, part: &Part) -> Result<Windows> {
    let content = shared.content(part)?;
    let reader = reader(content.clone(), part)?;
    let fields = reader.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| [WINDOW_START, STATUS].contains(&field.name().as_str()));
    let wanted: Vec<usize> = wanted.map(|(column, _)| column).collect();
    let mut windows = Windows::new();
    // Of results without windows nothing comes again.
    if wanted.len() < 2 {
        return Ok(windows);
    }
    let projection = ProjectionMask::roots(reader.parquet_schema(), wanted);
    let groups: Vec<usize> = (0..reader.metadata().num_row_groups()).collect();
    content.expect(reader.metadata(), &groups, |column| projection.leaf_included(column));
    let said = |error: parquet::errors::ParquetError| DataFusionError::Execution(error.to_string());
    for batch in reader.with_projection(projection).build().map_err(said)? {
        let batch = batch?;
        let column = |name: &str, wanted: &DataType| {
            let found = batch.column_by_name(name).map(|column| cast(column, wanted));
            found.ok_or_else(|| DataFusionError::Execution(format!("there is no column {name}")))
        };
        let (starts, statuses) =
            (column(WINDOW_START, &DataType::Int64)??, column(STATUS, &DataType::Utf8)??);
        let named = |text: &str| Status::named(text).map(Status::name);
        let statuses = statuses.as_string::<i32>().iter().map(|text| text.and_then(named));
        let both = starts.as_primitive::<Int64Type>().iter().zip(statuses);
        windows.extend(both.filter_map(|(start, status)| start.zip(status)));
    }
    Ok(windows)
}

//! Names and types of the columns of a result.

use crate::continuous::{ContinuousQuery, Upper};
use crate::error::SqlError;
use crate::refusal::Refusal;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use std::sync::Arc;

/// The column of a result that holds the first instant of its window.
pub const WINDOW_START: &str = "window_start";
/// The column of a result that holds the instant after the window's last.
pub const WINDOW_END: &str = "window_end";
/// The column of a result that says how much of the window's records arrived, from 0 to 1; NULL is unknown.
pub const COMPLETENESS: &str = "completeness";
/// The column of a result that says what it saw of its window.
pub const STATUS: &str = "status";

/// What results have besides the SELECT list.
const OURS: [&str; 4] = [WINDOW_START, WINDOW_END, COMPLETENESS, STATUS];

/// Refuses a SELECT list in which a column would have the name of one of ours.
pub(crate) fn check_names(schema: &DFSchema, sql: &str) -> Result<(), Refusal> {
    let Some(field) = schema.fields().iter().find(|field| OURS.contains(&field.name().as_str())) else {
        return Ok(());
    };
    let name = field.name();
    let message = format!("a column of the query cannot be called {name}: results have one of that name");
    let help = format!("call it something else: AS {name}_2");
    Err(Refusal::Because(SqlError::new(message, help).at_word(sql, name)))
}

/// The SELECT list with the types of what is executed: optimisation may have changed those of the plan.
pub(crate) fn retyped(query: &ContinuousQuery) -> SchemaRef {
    let executed = match (&query.upper, query.lowers.as_slice()) {
        (Upper::Windows(half) | Upper::Best { half, .. }, _) => half.physical.schema(),
        (Upper::Stream { .. }, [lower]) => lower.output_schema(),
        (Upper::Stream { .. }, _) => return query.schema.clone(),
    };
    let typed = |(named, executed): (&Arc<Field>, &Arc<Field>)| {
        named.as_ref().clone().with_data_type(executed.data_type().clone())
    };
    let fields = query.schema.fields().iter().zip(executed.fields());
    Arc::new(Schema::new(fields.map(typed).collect::<Vec<_>>()))
}

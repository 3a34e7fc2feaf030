//! Names and types of the columns of a result.

use crate::error::SqlError;
use crate::lower::Refusal;
use crate::planner::{COMPLETENESS, ContinuousQuery, Upper};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use std::sync::Arc;

/// What results have besides the SELECT list.
const OURS: [&str; 4] = ["window_start", "window_end", COMPLETENESS, "status"];

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

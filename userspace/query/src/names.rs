//! Names and types of the columns of a result.

use crate::error::SqlError;
use crate::lower::Refusal;
use crate::planner::{COMPLETENESS, ContinuousQuery, Upper};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use std::collections::HashSet;
use std::sync::Arc;

/// What results have besides the SELECT list.
const OURS: [&str; 4] = ["window_start", "window_end", COMPLETENESS, "status"];

/// Refuses a SELECT list in which a column would have the name of another one, or of ours.
pub(crate) fn check_names(schema: &DFSchema, sql: &str) -> Result<(), Refusal> {
    let mut known: HashSet<&str> = HashSet::new();
    for field in schema.fields() {
        let name = field.name().as_str();
        if OURS.contains(&name) {
            let message = format!("a column of the result cannot be called {name}: results have one of that name");
            let help = format!("call it something else: AS {name}_2");
            return Err(Refusal::Because(SqlError::new(message, help).at_word(sql, name)));
        }
        if !known.insert(name) {
            let message = format!("two columns of the result are called '{name}'");
            let help = format!("give one of them a name of its own: AS {}", another(name));
            return Err(Refusal::Because(SqlError::new(message, help).at_word(sql, name)));
        }
    }
    Ok(())
}

/// A name like that one.
fn another(name: &str) -> String {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word { format!("{name}_2") } else { "other".to_owned() }
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

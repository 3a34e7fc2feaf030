//! What can be asked: the streams with their columns, and the functions.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tapline_functions::{DESCRIBED, Described};
use tapline_query::{Planner, STREAMS};

/// Written once: it is the same for as long as the program runs.
static TEXT: LazyLock<String> =
    LazyLock::new(|| json!({ "streams": streams(), "functions": functions() }).to_string());

/// All of it, as JSON. The first call takes a moment.
pub(crate) fn text() -> &'static str {
    &TEXT
}

fn streams() -> Vec<Value> {
    let streams = STREAMS.iter().map(|stream| {
        let columns = stream.named_columns().map(|column| {
            json!({
                "name": column.name,
                "type": column.kind.name(),
                "nullable": column.nullable,
                "unit": column.unit,
                "about": column.about,
            })
        });
        json!({ "name": stream.name, "about": stream.about, "columns": columns.collect::<Vec<_>>() })
    });
    streams.collect()
}

/// By name; of those of ours, how they are called and what they give.
fn functions() -> Vec<Value> {
    let planner = Planner::new();
    let mut functions: BTreeMap<&str, Value> =
        planner.functions().iter().map(|name| (name.as_str(), json!({ "name": name }))).collect();
    for Described { name, call, about } in DESCRIBED {
        functions.insert(name, json!({ "name": name, "call": call, "about": about }));
    }
    functions.into_values().collect()
}

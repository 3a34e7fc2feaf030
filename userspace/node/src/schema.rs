//! `tapline schema`: what can be asked.

use crate::failure::Failure;
use crate::output::Output;
use comfy_table::{ContentArrangement, Table, presets};
use tapline_query::STREAMS;
use tapline_record::Stream;

/// Prints the tables, or the columns of one.
pub(crate) fn print(table: Option<&str>) -> Result<(), Failure> {
    let Some(name) = table else {
        let lines = STREAMS.map(|stream| format!("{}: {}\n", stream.name, stream.about));
        return Output::to_stdout_text(&format!(
            "{}\nColumns of one: tapline schema {}\n",
            lines.concat(),
            STREAMS[0].name
        ));
    };
    let stream = STREAMS.iter().find(|stream| stream.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names = STREAMS.map(|stream| stream.name).join(", ");
        Failure::Usage(format!("there is no table '{name}'; the tables are {names}"))
    })?;
    Output::to_stdout_text(&format!("{}\n{}\n", stream.about, columns(stream)))
}

fn columns(stream: &Stream) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["column", "type", "null", "unit", "meaning and source"]);
    for column in stream.columns {
        let null = if column.nullable { "yes" } else { "no" };
        table.add_row([column.name, column.kind.name(), null, column.unit, column.about]);
    }
    table
}

//! `tapline schema`: what can be asked.

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal;
use comfy_table::{ContentArrangement, Table, presets};
use std::fmt::Write as _;
use tapline_functions::{DESCRIBED, Described};
use tapline_query::STREAMS;
use tapline_record::{Stream, StreamId};

/// Prints the tables, or the columns of one.
pub(crate) fn print(table: Option<&str>) -> Result<(), Failure> {
    let Some(name) = table else {
        return Output::to_stdout_text(&format!(
            "{}\nColumns of one: tapline schema {}\n{}",
            tables(),
            STREAMS[0].name,
            functions()
        ));
    };
    let stream = STREAMS.iter().find(|stream| stream.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names = STREAMS.map(|stream| stream.name).join(", ");
        Failure::Usage(format!("there is no table '{name}'; the tables are {names}"))
    })?;
    let further = if stream.id == StreamId::Flows { ELEMENTS } else { "" };
    Output::to_stdout_text(&format!("{}\n{}\n{further}", stream.about, columns(stream)))
}

/// The tables, a line each.
pub(crate) fn tables() -> String {
    STREAMS.map(|stream| format!("{}: {}\n", stream.name, stream.about)).concat()
}

/// What SQL has besides DataFusion's functions.
fn functions() -> String {
    let mut text = "\nFunctions beside those of DataFusion:\n".to_owned();
    for Described { call, about, .. } in DESCRIBED {
        let _ = writeln!(text, "  {call:<31} {about}");
    }
    text + OCTETS
}

/// What functions of texts and durations make of ours.
const OCTETS: &str = "\
LIKE, ~, contains, starts_with and length see each octet of a payload as one character; X'1603' are octets, 0x02 is a
number. Of a duration, such as max(ts) - min(ts), date_part gives all of it in whole units, or seconds with their
fraction for 'epoch'.
";

/// What can be read of exported flows besides the columns.
const ELEMENTS: &str = "
Any other information element of exported flows is read by its number, of a vendor's elements by enterprise and
number: element(95), element(9, 12235). Its type is the registered one: uint64, int64, float64, address, mac or
text; what is not registered, or is octets, is uint64 where it has one to eight octets. Times and durations are the
numbers that were sent. element_text(…) reads it as text, element_octets(…) in hexadecimal. It is NULL where a
record lacks it, and always in flows of sFlow and of packets.
";

fn columns(stream: &Stream) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = terminal::width().and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(["column", "type", "null", "unit", "meaning and source"]);
    for column in stream.named_columns() {
        let null = if column.nullable { "yes" } else { "no" };
        table.add_row([column.name, column.kind.name(), null, column.unit, column.about]);
    }
    table
}

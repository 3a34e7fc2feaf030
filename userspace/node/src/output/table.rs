//! Aligned columns for a person.
//!
//! Rows are kept until there are enough to choose the widths by, or nothing more comes for a moment; then they are
//! printed. The header comes again when a column has to be wider than before. Of several queries in one output, the
//! rows of a live one come under its name and a header whenever there are some, those of others at the end. On a
//! terminal, what has no room is cut or left out, and so is what a star stands for and is NULL in every row; what that
//! was is said at the end.

use super::Writer;
use super::layout::{Layout, Need, cut};
use crate::message::say;
use datafusion::arrow::array::{Array as _, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use std::io::{self, Write};
use tapline_sinks::flat;
use unicode_width::UnicodeWidthStr as _;

/// Rows whose widths are balanced together.
const ROWS_PER_TABLE: usize = 4096;

/// Who else writes to the same output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody.
    Alone,
    /// Other queries; this is the name of this one, and whether it is live.
    Others { name: String, is_live: bool },
}

/// The terminal on which a table is shown.
#[derive(Debug)]
pub(super) struct Room {
    /// Places of a line, which may change.
    pub(super) width: fn() -> usize,
    /// Of each column, whether it is left out while it is NULL in every row.
    pub(super) starred: Vec<bool>,
}

pub(super) struct TableWriter {
    target: Box<dyn Write>,
    company: Company,
    schema: SchemaRef,
    /// Of each column, as it is shown.
    names: Vec<String>,
    /// Where the table has to fit.
    room: Option<Room>,
    rows: Vec<Vec<String>>,
    /// Of each column so far: its greatest width, whether it was ever something else than NULL, and ever cut.
    seen: Vec<Seen>,
    /// As the last header has it; none before the first one.
    layout: Option<Layout>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    width: usize,
    has_value: bool,
    is_cut: bool,
}

impl TableWriter {
    pub(super) fn new(
        target: Box<dyn Write>,
        company: Company,
        schema: SchemaRef,
        room: Option<Room>,
    ) -> Self {
        let (seen, names) = (vec![Seen::default(); schema.fields().len()], visible_names(&schema));
        Self { target, company, schema, names, room, rows: vec![], seen, layout: None }
    }

    /// Whether rows are printed as they come.
    fn is_shown_early(&self) -> bool {
        !matches!(self.company, Company::Others { is_live: false, .. })
    }

    /// Prints the rows that are kept, below a header where the last one does not do.
    fn print(&mut self) -> io::Result<()> {
        let layout = self.layout_needed();
        if self.company != Company::Alone || self.layout.as_ref() != Some(&layout) {
            self.print_header(&layout)?;
        }
        for row in std::mem::take(&mut self.rows) {
            self.print_row(&layout, |column| row[column].as_str())?;
        }
        if self.company != Company::Alone {
            writeln!(self.target)?;
        }
        self.layout = Some(layout);
        Ok(())
    }

    /// What the header and the rows take, no less than before.
    fn layout_needed(&mut self) -> Layout {
        for row in &self.rows {
            for (seen, text) in self.seen.iter_mut().zip(row) {
                seen.width = seen.width.max(text.width());
            }
        }
        let columns = self.columns_shown();
        let needs: Vec<Need> = columns.into_iter().map(|column| self.need(column)).collect();
        self.room
            .as_ref()
            .map_or_else(|| Layout::whole(&needs), |room| Layout::fitting(&needs, (room.width)()))
    }

    fn need(&self, column: usize) -> Need {
        let field = self.schema.field(column);
        let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
            || field.data_type().is_nested();
        Need { column, name: self.names[column].width(), values: self.seen[column].width, is_text }
    }

    /// All columns but those that say nothing and were not asked for by name.
    fn columns_shown(&self) -> Vec<usize> {
        let all = 0..self.seen.len();
        let (Some(room), Some(_)) = (&self.room, self.seen.iter().find(|seen| seen.has_value)) else {
            return all.collect();
        };
        all.filter(|column| self.seen[*column].has_value || !room.starred[*column]).collect()
    }

    fn print_header(&mut self, layout: &Layout) -> io::Result<()> {
        if let Company::Others { name, .. } = &self.company {
            writeln!(self.target, "{name}")?;
        }
        let names = self.names.clone();
        self.print_row(layout, |column| names[column].as_str())?;
        for (_, width) in &layout.0 {
            write!(self.target, "|{:-<1$}", "", width + 2)?;
        }
        writeln!(self.target, "|")
    }

    /// Prints a line of the table; numbers stand on the right.
    fn print_row<'a>(&mut self, layout: &Layout, text: impl Fn(usize) -> &'a str) -> io::Result<()> {
        for &(column, width) in &layout.0 {
            let (text, is_cut) = cut(text(column), width);
            self.seen[column].is_cut |= is_cut;
            let blanks = width.saturating_sub(text.width());
            let is_number = self.schema.field(column).data_type().is_numeric();
            let (before, after) = if is_number { (blanks, 0) } else { (0, blanks) };
            write!(self.target, "| {:before$}{text}{:after$} ", "", "")?;
        }
        writeln!(self.target, "|")
    }

    /// What is not to be seen, in sentences.
    fn notes(&self) -> Vec<String> {
        let Some(layout) = &self.layout else { return vec![] };
        let (shown, possible) =
            (|column: &usize| layout.0.iter().any(|(one, _)| one == column), self.columns_shown());
        let all = || 0..self.seen.len();
        let without_value = self.names(all().filter(|column| !possible.contains(column)));
        let without_room = self.names(possible.iter().copied().filter(|column| !shown(column)));
        let cut = self.names(all().filter(|column| self.seen[*column].is_cut));
        let notes = [("NULL in every row", without_value), ("no room for", without_room), ("cut", cut)];
        let told = notes.into_iter().filter(|(_, names)| !names.is_empty());
        told.map(|(what, names)| format!("{what}: {names}")).collect()
    }

    fn names(&self, columns: impl Iterator<Item = usize>) -> String {
        columns.map(|column| self.names[column].as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Says below the table what is not to be seen in it.
    fn say_notes(&self) {
        let notes = self.notes();
        if !notes.is_empty() {
            let of = if let Company::Others { name, .. } = &self.company {
                format!("{name}: ")
            } else {
                String::new()
            };
            say!("{of}not shown: {} (all: --format lines; in the prompt: \\x)", notes.join("; "));
        }
    }
}

/// The text with its control characters written out: what came from the network must not steer a terminal.
pub(super) fn visible(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => visible.extend(character.escape_default()),
            false => visible.push(character),
        }
    }
    visible
}

/// The names of columns in the same way: one may be the text of any literal.
pub(super) fn visible_names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| visible(field.name().clone())).collect()
}

impl Writer for TableWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let batch = flat(batch)?;
        let options = FormatOptions::default();
        let formatters: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<_, _>>()?;
        for (seen, column) in self.seen.iter_mut().zip(batch.columns()) {
            seen.has_value |= column.logical_null_count() < batch.num_rows();
        }
        for row in 0..batch.num_rows() {
            let texts = formatters.iter().map(|formatter| visible(formatter.value(row).to_string()));
            self.rows.push(texts.collect());
        }
        if self.is_shown_early() && self.rows.len() >= ROWS_PER_TABLE {
            self.print()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ArrowError> {
        if self.is_shown_early() && !self.rows.is_empty() {
            self.print()?;
        }
        Ok(self.target.flush()?)
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        if !self.rows.is_empty() || self.layout.is_none() {
            self.print()?;
        }
        self.target.flush()?;
        self.say_notes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::Field;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;

    /// What was written so far.
    #[derive(Clone, Default)]
    struct Page(Rc<RefCell<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes rows of a text and a number, and gives what is on the page after each flush.
    fn pages(company: Company, rows: &[(&str, i64)]) -> Vec<String> {
        let fields = [("host", DataType::Utf8), ("n", DataType::Int64)];
        let fields: Vec<_> = fields.map(|(name, kind)| Field::new(name, kind, true)).into();
        let (schema, page) = (Arc::new(Schema::new(fields)), Page::default());
        let mut writer = TableWriter::new(Box::new(page.clone()), company, Arc::clone(&schema), None);
        let mut pages = vec![];
        let mut turn = || pages.push(String::from_utf8(page.0.take()).unwrap());
        for &(host, number) in rows {
            let columns: [datafusion::arrow::array::ArrayRef; 2] =
                [Arc::new(StringArray::from(vec![host])), Arc::new(Int64Array::from(vec![number]))];
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns.into()).unwrap()).unwrap();
            writer.flush().unwrap();
            turn();
        }
        writer.finish().unwrap();
        turn();
        pages
    }

    #[test]
    fn a_header_comes_again_when_a_column_grows() {
        let found = pages(Company::Alone, &[("a", 1), ("b", 2), ("long name", 3), ("c", 4)]);
        let expected = [
            "| host | n |\n|------|---|\n| a    | 1 |\n",
            "| b    | 2 |\n",
            "| host      | n |\n|-----------|---|\n| long name | 3 |\n",
            "| c         | 4 |\n",
            "",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_is_a_header() {
        assert_eq!(pages(Company::Alone, &[]), ["| host | n |\n|------|---|\n"]);
    }

    #[test]
    fn live_queries_in_company_come_under_their_names() {
        let company = |is_live| Company::Others { name: "query_1".to_owned(), is_live };
        let table = "query_1\n| host | n |\n|------|---|\n| a    | 1 |\n\n";
        assert_eq!(pages(company(true), &[("a", 1)]), [table, ""]);
        assert_eq!(pages(company(false), &[("a", 1)]), ["", table]);
        let wide = pages(company(false), &[("電路", 10), ("a\nb", 2)]);
        let table = "query_1\n| host |  n |\n|------|----|\n| 電路 | 10 |\n| a\\nb |  2 |\n\n";
        assert_eq!(wide.last().unwrap(), table);
    }

    /// What a table of these columns is on a terminal of so many places, and what is said below it.
    fn shown(width: fn() -> usize, columns: &[(&str, [Option<&str>; 2])]) -> (String, Vec<String>) {
        let fields: Vec<_> =
            columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
        let (schema, page) = (Arc::new(Schema::new(fields)), Page::default());
        let room = Room { width, starred: vec![true; columns.len()] };
        let target = Box::new(page.clone());
        let mut writer = TableWriter::new(target, Company::Alone, Arc::clone(&schema), Some(room));
        for row in 0..2 {
            let arrays =
                columns.iter().map(|(_, values)| Arc::new(StringArray::from(vec![values[row]])) as _);
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        (String::from_utf8(page.0.take()).unwrap(), writer.notes())
    }

    #[test]
    fn on_a_terminal_what_has_no_room_is_left_out_and_said() {
        let columns = [
            ("host", [Some("a"), Some("b")]),
            ("vlan", [None, None]),
            ("name", [None, Some("a name that is very long")]),
            ("last", [Some("no room for such a text"), None]),
        ];
        let (table, notes) = shown(|| 31, &columns);
        let expected = [
            "| host | name                 |",
            "|------|----------------------|",
            "| a    |                      |",
            "| b    | a name that is very… |",
        ];
        assert_eq!(table.lines().collect::<Vec<_>>(), expected);
        assert_eq!(notes, ["NULL in every row: vlan", "no room for: last", "cut: name"]);
        let (table, notes) = shown(|| 200, &columns);
        assert_eq!(
            (table.lines().next().unwrap().len(), notes),
            (61, vec!["NULL in every row: vlan".to_owned()])
        );
    }

    #[test]
    fn a_name_does_not_steer_the_terminal() {
        let columns = [("a\x1b[2J\nb", [Some("x"), Some("y")]), ("c\nd", [None, None])];
        let (table, notes) = shown(|| 80, &columns);
        assert_eq!(table.lines().next(), Some("| a\\u{1b}[2J\\nb |"));
        assert_eq!((table.lines().count(), notes), (4, vec!["NULL in every row: c\\nd".to_owned()]));
    }

    #[test]
    fn nulls_alone_are_shown_all_the_same() {
        let (table, notes) = shown(|| 80, &[("vlan", [None, None])]);
        assert_eq!((table.lines().count(), notes), (4, vec![]));
    }
}

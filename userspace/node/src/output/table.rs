//! Aligned columns for a person.
//!
//! Rows are kept until there are enough to choose the widths by, or nothing more comes for a moment; then they are
//! printed. The header comes again when a column has to be wider than before. Of several queries in one output, the
//! rows of a live one come under its name and a header whenever there are some, those of others at the end.

use super::Writer;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
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

pub(super) struct TableWriter {
    target: Box<dyn Write>,
    company: Company,
    schema: SchemaRef,
    rows: Vec<Vec<String>>,
    /// Of the columns, as the last header has them; none before the first one.
    widths: Vec<usize>,
}

impl TableWriter {
    pub(super) fn new(target: Box<dyn Write>, company: Company, schema: SchemaRef) -> Self {
        Self { target, company, schema, rows: vec![], widths: vec![] }
    }

    /// Whether rows are printed as they come.
    fn is_shown_early(&self) -> bool {
        !matches!(self.company, Company::Others { is_live: false, .. })
    }

    /// Prints the rows that are kept, below a header where the last one does not do.
    fn print(&mut self) -> io::Result<()> {
        let widths = self.widths_needed();
        if self.company != Company::Alone || self.widths != widths {
            self.widths = widths;
            self.print_header()?;
        }
        for row in std::mem::take(&mut self.rows) {
            self.print_row(row.iter().map(String::as_str))?;
        }
        if self.company != Company::Alone {
            writeln!(self.target)?;
        }
        Ok(())
    }

    /// The widths that the header and the rows take, no less than before.
    fn widths_needed(&self) -> Vec<usize> {
        let names = self.schema.fields().iter().map(|field| field.name().width());
        let before = self.widths.iter().copied().chain(std::iter::repeat(0));
        let mut widths: Vec<_> = names.zip(before).map(|(name, before)| name.max(before)).collect();
        for row in &self.rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.width());
            }
        }
        widths
    }

    fn print_header(&mut self) -> io::Result<()> {
        if let Company::Others { name, .. } = &self.company {
            writeln!(self.target, "{name}")?;
        }
        let schema = self.schema.clone();
        self.print_row(schema.fields().iter().map(|field| field.name().as_str()))?;
        for width in &self.widths {
            write!(self.target, "|{:-<1$}", "", width + 2)?;
        }
        writeln!(self.target, "|")
    }

    /// Prints a line of the table; numbers stand on the right.
    fn print_row<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> io::Result<()> {
        for ((text, width), field) in texts.zip(&self.widths).zip(self.schema.fields()) {
            let blanks = width.saturating_sub(text.width());
            let (before, after) = if field.data_type().is_numeric() { (blanks, 0) } else { (0, blanks) };
            write!(self.target, "| {:before$}{text}{:after$} ", "", "")?;
        }
        writeln!(self.target, "|")
    }
}

/// The text with its control characters written out: what came from the network must not steer a terminal.
fn visible(text: String) -> String {
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

impl Writer for TableWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let batch = flat(batch)?;
        let options = FormatOptions::default();
        let formatters: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<_, _>>()?;
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
        if !self.rows.is_empty() || self.widths.is_empty() {
            self.print()?;
        }
        Ok(self.target.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
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
        let mut writer = TableWriter::new(Box::new(page.clone()), company, Arc::clone(&schema));
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
}

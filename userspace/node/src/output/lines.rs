//! A row in as many lines as it has columns, for rows that are wider than any screen.

use super::Writer;
use super::table::{visible, visible_names};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use std::io::Write;
use tapline_sinks::flat;
use unicode_width::UnicodeWidthStr as _;

pub(super) struct LinesWriter {
    target: Box<dyn Write>,
    /// The query's name, where several share the output.
    query: Option<String>,
    rows: u64,
}

impl LinesWriter {
    pub(super) fn new(target: Box<dyn Write>, query: Option<String>) -> Self {
        Self { target, query, rows: 0 }
    }

    fn title(&self) -> String {
        let query = self.query.as_ref().map_or_else(String::new, |query| format!("{query}, "));
        format!("-[ {query}row {} ]", self.rows)
    }
}

impl Writer for LinesWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let batch = flat(batch)?;
        let options = FormatOptions::default();
        let formatters = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let formatters: Vec<ArrayFormatter<'_>> = formatters.collect::<Result<_, _>>()?;
        let names = visible_names(&batch.schema());
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        for row in 0..batch.num_rows() {
            self.rows += 1;
            writeln!(self.target, "{:-<1$}", self.title(), width + 24)?;
            for (name, formatter) in names.iter().zip(&formatters) {
                let blanks = width - name.width();
                let value = visible(formatter.value(row).to_string());
                writeln!(self.target, "{name}{:blanks$} | {value}", "")?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ArrowError> {
        Ok(self.target.flush()?)
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        self.flush()
    }
}

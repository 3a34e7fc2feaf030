//! Aligned columns for a person.
//!
//! Rows are kept until there are enough to choose the widths by, or nothing more comes for a moment;
//! then they are printed, with the header again. With several queries in one output, each one's rows come at
//! the end under its name.

use super::Writer;
use super::printable::flat;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use std::io::Write;

/// Rows whose widths are balanced together.
const ROWS_PER_TABLE: usize = 4096;

pub(super) struct TableWriter {
    target: Box<dyn Write>,
    name: Option<String>,
    schema: SchemaRef,
    rows: Vec<Vec<String>>,
    is_printed: bool,
}

impl TableWriter {
    pub(super) fn new(target: Box<dyn Write>, name: Option<String>, schema: SchemaRef) -> Self {
        Self { target, name, schema, rows: vec![], is_printed: false }
    }

    fn print(&mut self) -> Result<(), ArrowError> {
        if let Some(name) = self.name.as_ref().filter(|_| !self.is_printed) {
            writeln!(self.target, "{name}")?;
        }
        self.is_printed = true;
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.schema.fields().iter().map(|field| field.name()));
        table.add_rows(self.rows.drain(..));
        for (column, field) in table.column_iter_mut().zip(self.schema.fields()) {
            if field.data_type().is_numeric() {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(self.target, "{table}")?;
        Ok(())
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
        if self.name.is_none() && self.rows.len() >= ROWS_PER_TABLE {
            self.print()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ArrowError> {
        if self.name.is_none() && !self.rows.is_empty() {
            self.print()?;
        }
        Ok(self.target.flush()?)
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        if !self.rows.is_empty() || !self.is_printed {
            self.print()?;
        }
        if self.name.is_some() {
            writeln!(self.target)?;
        }
        Ok(self.target.flush()?)
    }
}

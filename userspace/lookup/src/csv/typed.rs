//! A column of values: what they are, and an array of them.
//!
//! Values are whole numbers, numbers, true or false, or texts; what is empty is NULL. A column is what all of its values
//! are. Where most of them are numbers and one is none, that one is mistyped, unless it is in quotation marks.

use super::Wrong;
use super::cells::Cell;
use arrow_array::builder::StringViewBuilder;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array};
use arrow_schema::DataType;
use std::sync::Arc;

/// Octets of texts that are kept together.
const TEXT_BLOCK_OCTETS: u32 = 1 << 20;

/// Reads values; `before` is the type that the column has already, if it has.
pub(super) fn read(
    name: &str,
    cells: &[Cell<'_>],
    lines: &[u32],
    before: Option<&DataType>,
) -> Result<ArrayRef, Wrong> {
    let column = ColumnCells { name, cells, lines, is_known: before.is_some() };
    Ok(match before.cloned().unwrap_or_else(|| kind_of(cells)) {
        DataType::Int64 => Arc::new(Int64Array::from(column.values(integer, "no whole number")?)),
        DataType::Float64 => Arc::new(Float64Array::from(column.values(number, "no number")?)),
        DataType::Boolean => Arc::new(BooleanArray::from(column.values(boolean, "neither true nor false")?)),
        _ => Arc::new(texts(cells)),
    })
}

struct ColumnCells<'a> {
    name: &'a str,
    cells: &'a [Cell<'a>],
    lines: &'a [u32],
    /// Whether the type was there before.
    is_known: bool,
}

impl ColumnCells<'_> {
    /// What `read` makes of each; where it makes nothing of one, that one is `no_such`.
    fn values<T>(&self, read: fn(&str) -> Option<T>, no_such: &str) -> Result<Vec<Option<T>>, Wrong> {
        let value = |(cell, line): (&Cell<'_>, &u32)| match (cell.text.is_empty(), read(&cell.text)) {
            (true, _) => Ok(None),
            (false, Some(value)) => Ok(Some(value)),
            (false, None) => Err(self.wrong(&cell.text, *line, no_such)),
        };
        self.cells.iter().zip(self.lines).map(value).collect()
    }

    fn wrong(&self, text: &str, line: u32, no_such: &str) -> Wrong {
        let name = self.name;
        let mend = if self.is_known {
            format!("which the column '{name}' holds; mend it, or leave it empty")
        } else {
            format!(
                "which the others of the column '{name}' are; mend it, leave it empty, or put it in quotes if it is a text"
            )
        };
        Wrong::new(line, format!("'{text}' is {no_such}, {mend}"))
    }
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A number; texts such as `inf` are none.
fn number(text: &str) -> Option<f64> {
    let is_one = text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| is_one && number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, value)| text.eq_ignore_ascii_case(word).then_some(value))
}

/// How many values are of which kind.
#[derive(Default)]
struct Counts {
    integers: usize,
    fractions: usize,
    booleans: usize,
    /// Values that nothing else can be: quoted texts, and numbers with zeros before them, which are codes.
    texts: usize,
    others: usize,
}

/// The type that the values have, or most of them.
fn kind_of(cells: &[Cell<'_>]) -> DataType {
    let mut counts = Counts::default();
    cells.iter().filter(|cell| !cell.text.is_empty()).for_each(|cell| counts.add(cell));
    counts.kind()
}

impl Counts {
    fn add(&mut self, cell: &Cell<'_>) {
        let text = cell.text.as_ref();
        let digits = text.trim_start_matches(['-', '+']);
        let is_whole = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
        let count = match is_whole {
            true if digits.len() > 1 && digits.starts_with('0') => &mut self.texts,
            // One that is too large would lose digits as a number.
            true if integer(text).is_none() => &mut self.texts,
            true => &mut self.integers,
            false if number(text).is_some() => &mut self.fractions,
            false if boolean(text).is_some() => &mut self.booleans,
            false if cell.is_quoted => &mut self.texts,
            false => &mut self.others,
        };
        *count += 1;
    }

    fn kind(&self) -> DataType {
        let numbers = self.integers + self.fractions;
        let all = numbers + self.booleans + self.others;
        if self.texts > 0 {
            DataType::Utf8View
        } else if numbers * 2 > all {
            if self.fractions > 0 { DataType::Float64 } else { DataType::Int64 }
        } else if self.booleans * 2 > all {
            DataType::Boolean
        } else {
            DataType::Utf8View
        }
    }
}

/// Texts; equal ones are kept once.
fn texts(cells: &[Cell<'_>]) -> arrow_array::StringViewArray {
    let builder = StringViewBuilder::with_capacity(cells.len()).with_fixed_block_size(TEXT_BLOCK_OCTETS);
    let mut texts = builder.with_deduplicate_strings();
    for cell in cells {
        let is_null = cell.text.is_empty() && !cell.is_quoted;
        texts.append_option((!is_null).then_some(&cell.text));
    }
    texts.finish()
}

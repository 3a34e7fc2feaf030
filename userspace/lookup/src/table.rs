//! A table: keys, and for each of them a row of values.

use crate::keys::{KeyKind, Keys};
use crate::nearest::nearest;
use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_schema::{ArrowError, DataType};
use arrow_select::take::take;

/// Rows of values by key; what was loaded never changes.
#[derive(Debug)]
pub struct Table {
    keys: Keys,
    columns: Vec<Column>,
    /// Keys, of which several may have one row.
    entries: usize,
}

/// Values of one name.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) values: ArrayRef,
}

impl Table {
    pub(crate) const fn new(keys: Keys, columns: Vec<Column>, entries: usize) -> Self {
        Self { keys, columns, entries }
    }

    /// What the keys are.
    #[must_use]
    pub const fn key_kind(&self) -> KeyKind {
        self.keys.kind()
    }

    /// How many keys there are.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// The names of the columns of values, in the order of the file.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The type of a column; `None` where there is no column of this name.
    #[must_use]
    pub fn column_type(&self, name: &str) -> Option<&DataType> {
        self.columns.iter().find(|column| column.name == name).map(|column| column.values.data_type())
    }

    /// The column that may have been meant by a name that none has.
    #[must_use]
    pub fn nearest_column(&self, name: &str) -> Option<String> {
        nearest(name, self.column_names())
    }

    /// For each key its value of a column; NULL where there is none, and for NULL. Texts are views into those of the
    /// table.
    ///
    /// # Errors
    /// When the keys are of a type that [`KeyKind::is_asked_by`] denies, or there is no such column.
    pub fn values(&self, keys: &ArrayRef, column: &str) -> Result<ArrayRef, ArrowError> {
        let missing = || ArrowError::SchemaError(format!("there is no column '{column}'"));
        let column = self.columns.iter().find(|of| of.name == column).ok_or_else(missing)?;
        let rows = self.keys.find(keys)?;
        if column.values.is_empty() || rows.null_count() == rows.len() {
            return Ok(new_null_array(column.values.data_type(), keys.len()));
        }
        take(&column.values, &rows, None)
    }

    /// For each key its row; NULL where there is none, and for NULL.
    ///
    /// # Errors
    /// As for [`Self::values`].
    pub fn rows(&self, keys: &ArrayRef) -> Result<UInt32Array, ArrowError> {
        self.keys.find(keys)
    }

    /// Why `new` cannot take this table's place under queries that run; `None` where it can.
    pub(crate) fn refuses(&self, new: &Self) -> Option<String> {
        if new.key_kind() != self.key_kind() {
            return Some(format!(
                "its keys were {} and are {} now; {RESTART}",
                self.key_kind(),
                new.key_kind()
            ));
        }
        let first =
            |table: &Self| table.columns.first().map(|column| column.name.clone()).unwrap_or_default();
        if first(self) != first(new) {
            return Some(format!(
                "its first column of values was '{}' and is '{}' now, which lookup gives where none is named; put new columns behind the others",
                first(self),
                first(new)
            ));
        }
        self.columns.iter().find_map(|column| {
            let (name, kind) = (&column.name, column.values.data_type());
            match new.column_type(name) {
                None => Some(format!("the column '{name}' is gone; put it back, or {RESTART}")),
                Some(now) if now != kind => {
                    Some(format!("the column '{name}' was {kind} and is {now} now; {RESTART}"))
                }
                Some(_) => None,
            }
        })
    }

    /// The columns, for what is loaded in this table's place.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl Column {
    /// The same column of so many rows, without values.
    pub(crate) fn nulls(&self, rows: usize) -> Self {
        Self { name: self.name.clone(), values: new_null_array(self.values.data_type(), rows) }
    }
}

/// Why a table without lines is not taken at a start; at a reload, what its keys are is known.
pub(crate) const NO_LINES: &str =
    ": it has no lines, by which one could see what its keys are; begin with one, such as 192.0.2.0/24";

/// What mends a change that queries which run cannot follow.
pub(crate) const RESTART: &str = "start tapline anew with the file as it is";

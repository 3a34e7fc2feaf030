//! Sums of a file's rows by some of its keys, in files beside it: where they lie, and what is in them.
//!
//! ```text
//! FOLDER/.sums/query=NAME/hour=2026-11-30T01/00000001-5f3a9c0d/0.parquet
//! ```
//! Of each group they have the number of rows, and of each whole number its sum, its least and greatest value, and how
//! many there are. They are made of the file and nothing else: whoever needs other groups reads the file itself. They go
//! with it; a folder without files says that none are worth their room.

use crate::content::Content;
use crate::layout::{Layout, Use};
use crate::store::{Part, Store};
use datafusion::arrow::datatypes::{DataType, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::sync::Arc;
use tapline_query::RolledColumn;

/// How many rows of the file a group is.
pub(crate) const ROWS: &str = "number of rows";

/// What is known of a whole number in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    Total,
    Least,
    Greatest,
    /// How often there is one.
    Count,
}

impl Sum {
    pub(crate) const ALL: [Self; 4] = [Self::Total, Self::Least, Self::Greatest, Self::Count];

    /// What its column is called, of a column of the file.
    pub(crate) fn name(self, column: &str) -> String {
        format!("{} of {column}", self.word())
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Total => "sum",
            Self::Least => "least",
            Self::Greatest => "greatest",
            Self::Count => "count",
        }
    }
}

/// Whether columns of sums cannot be mistaken for columns of this schema.
pub(crate) fn names_are_free(schema: &Schema) -> bool {
    let is_sum = |name: &str| Sum::ALL.iter().any(|sum| name.starts_with(&sum.name("")));
    schema.fields().iter().all(|field| field.name() != ROWS && !is_sum(field.name()))
}

/// Whether a column has numbers that are added up.
pub(crate) const fn is_added(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// The places of the columns of a file whose numbers are added up.
pub(crate) fn added<'a>(layout: &'a Layout, schema: &'a Schema) -> impl Iterator<Item = usize> + 'a {
    let is_number = |one: &Use| {
        matches!(
            one,
            Use::Other | Use::Rolled(RolledColumn::Sum | RolledColumn::Least | RolledColumn::Greatest)
        )
    };
    let numbers = (0..).zip(&layout.uses).filter(move |(_, one)| is_number(one)).map(|(place, _)| place);
    numbers.filter(move |place| is_added(schema.field(*place).data_type()))
}

/// Those sums of a file that have these columns, if some do; of several the shortest.
pub(crate) fn open(
    store: &Store,
    part: &Part,
    wanted: &Schema,
) -> Option<ParquetRecordBatchReaderBuilder<Content>> {
    let mut files = store.sums_of(part);
    files.sort_by_key(|(_, octets)| *octets);
    files.into_iter().find_map(|(path, _)| {
        let content = Content::Here(Arc::new(File::open(path).ok()?));
        let reader = ParquetRecordBatchReaderBuilder::try_new(content).ok()?;
        let has = |name: &str| reader.schema().column_with_name(name).is_some();
        wanted.fields().iter().all(|field| has(field.name())).then_some(reader)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::Field;

    #[test]
    fn sums_are_called_like_no_column() {
        let schema = |name: &str| Schema::new(vec![Field::new(name, DataType::Int64, true)]);
        assert_eq!(Sum::Least.name("octets"), "least of octets");
        assert!(names_are_free(&schema("octets")) && names_are_free(&schema("sum")));
        assert!(!names_are_free(&schema("sum of octets")) && !names_are_free(&schema(ROWS)));
    }
}

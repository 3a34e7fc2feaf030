//! The table of a query: its columns, made where they are not there, never changed and never dropped.

use crate::json::{texts, with_own_names};
use crate::printable::{as_text, map_columns, printed, retyped};
use crate::sink::ResultId;
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, ListArray, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::error::ArrowError;
use std::fmt::Write as _;
use std::sync::Arc;
use tapline_query::{STATUS, WINDOW_END, WINDOW_START};
use tapline_record::stream::TIME_ZONE;

/// The columns by which a row that comes twice is known again.
const SENDER: &str = "tapline_sender";
const NUMBER: &str = "tapline_number";
const ROW: &str = "tapline_row";
/// Those that are never NULL, besides.
const NEVER_NULL: [&str; 3] = [WINDOW_START, WINDOW_END, STATUS];

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type, as statements have it.
    pub(super) kind: String,
}

/// The rows of a result as the table has them: `first_row` says how many came before.
pub(super) fn rows_of(batch: &RecordBatch, id: ResultId, first_row: u32) -> Result<RecordBatch, ArrowError> {
    let count = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
    let rows = first_row..first_row.saturating_add(count);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_value(id.sender, batch.num_rows())),
        Arc::new(Int64Array::from_value(id.number, batch.num_rows())),
        Arc::new(UInt32Array::from_iter_values(rows)),
    ];
    let own = [(SENDER, DataType::Int64), (NUMBER, DataType::Int64), (ROW, DataType::UInt32)];
    let mut fields = Vec::from(own.map(|(name, kind)| Field::new(name, kind, false)));
    let values = map_columns(batch, &values)?;
    columns.extend(values.columns().iter().cloned());
    fields.extend(values.schema().fields().iter().map(|field| field.as_ref().clone()));
    with_own_names(&RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The columns of such rows.
pub(super) fn columns_of(rows: &RecordBatch) -> Vec<Column> {
    let schema = rows.schema();
    let fields = schema.fields().iter().enumerate();
    let column = |(place, field): (usize, &Arc<Field>)| {
        let kind = kind_of(field.data_type()).unwrap_or_else(|| "String".to_owned());
        let is_own = place < [SENDER, NUMBER, ROW].len();
        let is_never_null = is_own || NEVER_NULL.contains(&field.name().as_str());
        let kind = match field.data_type() {
            DataType::Utf8 if field.name() == STATUS => format!("LowCardinality({kind})"),
            DataType::List(_) => kind,
            _ if is_never_null => kind,
            _ => format!("Nullable({kind})"),
        };
        Column { name: field.name().clone(), kind }
    };
    fields.map(column).collect()
}

/// What makes a table.
///
/// A block of rows that is sent again is known by its name for a while; after that, rows of one result and number take
/// each other's places when parts are merged, and for whoever reads with FINAL.
pub(super) fn creation(table: &str, columns: &[Column]) -> String {
    let definitions: Vec<String> = columns.iter().map(Column::definition).collect();
    let time = columns.iter().any(|column| column.name == WINDOW_START);
    let order = if time { format!("{WINDOW_START}, ") } else { String::new() };
    format!(
        "CREATE TABLE IF NOT EXISTS {table} ({}) ENGINE = ReplacingMergeTree ORDER BY ({order}{SENDER}, {NUMBER}, {ROW}) \
         SETTINGS non_replicated_deduplication_window = 1000",
        definitions.join(", ")
    )
}

/// What adds the columns that a table lacks, if any.
///
/// # Errors
/// A sentence: a column is there, and takes no such values.
pub(super) fn addition(table: &str, columns: &[Column], there: &[Column]) -> Result<Option<String>, String> {
    let mut missing = String::new();
    for column in columns {
        match there.iter().find(|other| other.name == column.name) {
            Some(other) if fits(&column.kind, &other.kind) => {}
            Some(other) => return Err(mend(table, column, other)),
            None => {
                let _ = write!(missing, ", ADD COLUMN IF NOT EXISTS {}", column.definition());
            }
        }
    }
    Ok(missing.strip_prefix(", ").map(|missing| format!("ALTER TABLE {table} {missing}")))
}

fn mend(table: &str, ours: &Column, theirs: &Column) -> String {
    let (name, kind, found, column) = (quoted(&ours.name), &ours.kind, &theirs.kind, &ours.name);
    format!(
        "the column `{column}` of {table} is of type {found}, and its values are {kind}; \
         ALTER TABLE {table} MODIFY COLUMN {name} {kind} mends it, or give the sink another table"
    )
}

impl Column {
    fn definition(&self) -> String {
        format!("{} {}", quoted(&self.name), self.kind)
    }
}

/// Columns as a statement lists them.
pub(super) fn list(columns: &[Column]) -> String {
    columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
}

/// A name as statements have it.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A text as statements have it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Values in a type for which there is a column.
fn values(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let target = match array.data_type() {
        DataType::Dictionary(_, values_type) => return values(&cast(array, values_type)?),
        DataType::FixedSizeBinary(6) => return printed(array),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)
            if !field.data_type().is_nested() =>
        {
            return list_of_values(&cast(array, &DataType::List(Arc::clone(field)))?, field);
        }
        nested if nested.is_nested() => return Ok(Arc::new(texts(array)?)),
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into())),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::FixedSizeBinary(octets) if *octets != 16 => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Decimal32(digits, scale) | DataType::Decimal64(digits, scale) => {
            DataType::Decimal128(*digits, *scale)
        }
        own if kind_of(own).is_some() => return Ok(Arc::clone(array)),
        _ => return as_text(array),
    };
    cast(array, &target)
}

fn list_of_values(array: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    let list = array.as_list::<i32>();
    let values = values(list.values())?;
    let field = Arc::new(retyped(field, values.data_type()));
    Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?))
}

/// The type of a column for values of this one; `None` where there is none.
fn kind_of(data_type: &DataType) -> Option<String> {
    let kind = match data_type {
        DataType::Boolean => "Bool",
        DataType::Int8 => "Int8",
        DataType::Int16 => "Int16",
        DataType::Int32 => "Int32",
        DataType::Int64 => "Int64",
        DataType::UInt8 => "UInt8",
        DataType::UInt16 => "UInt16",
        DataType::UInt32 => "UInt32",
        DataType::UInt64 => "UInt64",
        DataType::Float32 => "Float32",
        DataType::Float64 => "Float64",
        DataType::Utf8 | DataType::Binary => "String",
        DataType::Date32 => "Date32",
        DataType::FixedSizeBinary(16) => "IPv6",
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "DateTime64(9, 'UTC')",
        DataType::Decimal128(digits, scale @ 0..) => return Some(format!("Decimal({digits}, {scale})")),
        DataType::List(field) => return Some(format!("Array(Nullable({}))", kind_of(field.data_type())?)),
        _ => return None,
    };
    Some(kind.to_owned())
}

/// Whether a column of their type takes values of ours.
fn fits(ours: &str, theirs: &str) -> bool {
    const SIGNED: &[&str] = &["Int8", "Int16", "Int32", "Int64", "Int128", "Int256"];
    const UNSIGNED: &[&str] = &["UInt8", "UInt16", "UInt32", "UInt64", "UInt128", "UInt256"];
    const REALS: &[&str] = &["Float32", "Float64"];
    let (ours, theirs) = (inner(ours), inner(theirs));
    let is_wider = |kinds: &[&str]| {
        let place = |kind: &str| kinds.iter().position(|other| *other == kind);
        place(ours).zip(place(theirs)).is_some_and(|(ours, theirs)| ours <= theirs)
    };
    let both = |start: &str| ours.starts_with(start) && theirs.starts_with(start);
    ours == theirs
        || [SIGNED, UNSIGNED, REALS].iter().any(|kinds| is_wider(kinds))
        || ((SIGNED.contains(&ours) || UNSIGNED.contains(&ours)) && theirs == "Float64")
        || ["DateTime", "Decimal", "Date", "Array"].iter().any(|start| both(start))
}

/// A type without what may stand around it.
fn inner(kind: &str) -> &str {
    let around = ["Nullable(", "LowCardinality("];
    let stripped = around.iter().find_map(|start| kind.strip_prefix(start)?.strip_suffix(')'));
    stripped.map_or(kind, inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::parcel;
    use datafusion::arrow::datatypes::UInt32Type;

    fn rows() -> RecordBatch {
        let parcel = parcel("a", 7);
        let batches = parcel.origin.columns.batches(&parcel.result).unwrap();
        rows_of(&batches[0], parcel.id, 3).unwrap()
    }

    #[test]
    fn a_table_has_types_that_fit_and_knows_rows_again() {
        let columns = columns_of(&rows());
        assert_eq!(
            creation("`d`.`a`", &columns),
            "CREATE TABLE IF NOT EXISTS `d`.`a` (`tapline_sender` Int64, `tapline_number` Int64, `tapline_row` UInt32, \
             `window_start` DateTime64(9, 'UTC'), `window_end` DateTime64(9, 'UTC'), `src_ip` Nullable(IPv6), \
             `n` Nullable(Int64), `completeness` Nullable(Float64), `status` LowCardinality(String)) \
             ENGINE = ReplacingMergeTree ORDER BY (window_start, tapline_sender, tapline_number, tapline_row) \
             SETTINGS non_replicated_deduplication_window = 1000"
        );
        assert_eq!(rows().column(2).as_primitive::<UInt32Type>().value(0), 3);
    }

    #[test]
    fn columns_are_added_and_others_are_named_with_the_mend() {
        let column = |name: &str, kind: &str| Column { name: name.to_owned(), kind: kind.to_owned() };
        let ours = [column("n", "Nullable(Int64)"), column("m", "Nullable(IPv6)")];
        let there = [column("n", "Int64")];
        let expected = "ALTER TABLE t ADD COLUMN IF NOT EXISTS `m` Nullable(IPv6)";
        assert_eq!(addition("t", &ours, &there), Ok(Some(expected.to_owned())));
        assert_eq!(addition("t", &ours, &ours), Ok(None));
        let wrong = addition("t", &ours, &[column("n", "Nullable(Int32)"), ours[1].clone()]).unwrap_err();
        assert_eq!(
            wrong,
            "the column `n` of t is of type Nullable(Int32), and its values are Nullable(Int64); ALTER TABLE t \
             MODIFY COLUMN `n` Nullable(Int64) mends it, or give the sink another table"
        );
    }

    #[test]
    fn columns_that_take_more_are_as_good() {
        for (ours, theirs, expected) in [
            ("Nullable(Int32)", "Int64", true),
            ("Int64", "Nullable(Int32)", false),
            ("UInt16", "Nullable(UInt64)", true),
            ("Int64", "UInt64", false),
            ("LowCardinality(String)", "String", true),
            ("String", "LowCardinality(Nullable(String))", true),
            ("Nullable(IPv6)", "String", false),
            ("DateTime64(9, 'UTC')", "DateTime64(3)", true),
            ("Nullable(Int64)", "Float64", true),
            ("Nullable(Decimal(20, 0))", "Decimal(38, 0)", true),
        ] {
            assert_eq!(fits(ours, theirs), expected, "{ours} {theirs}");
        }
        assert_eq!((quoted("a`b"), literal("a'b\\")), ("`a\\`b`".to_owned(), "'a\\'b\\\\'".to_owned()));
    }
}

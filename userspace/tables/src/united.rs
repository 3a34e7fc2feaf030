//! A query as a table: its stored results and those in memory, each once.
//!
//! The columns are those of the query that runs, then those that only earlier queries of its name had. What an earlier
//! one had under the same name but in another type becomes wider, or text.

use crate::client_types::{client_schema, client_type};
use crate::results::Kept;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};
use std::sync::Arc;
use tapline_history::{History, Newest};
use tapline_sinks::plain;

/// The table of this name; `None` where no query is called so, and none was.
pub(crate) fn table(
    history: &History,
    name: &str,
    kept: Option<Kept>,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let stored = if is_stored(history, name)? { history.schema(name)? } else { None };
    let schema = match (&kept, stored) {
        (Some(kept), Some(stored)) => united(kept.columns().schema(), &stored)?,
        (Some(kept), None) => Arc::clone(kept.schema()),
        (None, Some(stored)) => client_schema(&stored)?,
        (None, None) => return Ok(None),
    };
    let newest = kept.map(|kept| Arc::new(kept) as Arc<dyn Newest>);
    Ok(Some(history.table(name, schema, newest)))
}

/// Whether there is a folder of this name: what clients call a table may be anything, a path too.
fn is_stored(history: &History, name: &str) -> Result<bool> {
    let said = |error| DataFusionError::Execution(format!("the stored results cannot be read: {error}"));
    Ok(history.queries().map_err(said)?.iter().any(|query| query == name))
}

/// The columns of a query, and of what is stored under its name.
fn united(own: &SchemaRef, stored: &Schema) -> Result<SchemaRef> {
    let shown = client_schema(own)?;
    let plain = plain(&RecordBatch::new_empty(Arc::clone(own)))?.schema();
    let own_fields = own.fields().iter().zip(plain.fields()).zip(shown.fields());
    let mut fields: Vec<Field> = vec![];
    for ((own, plain), shown) in own_fields {
        let kind = match stored.column_with_name(shown.name()) {
            Some((_, stored)) => common(own.data_type(), plain.data_type(), stored.data_type()),
            None => shown.data_type().clone(),
        };
        fields.push(Field::new(shown.name(), kind, true));
    }
    for stored in stored.fields() {
        if shown.column_with_name(stored.name()).is_none() {
            fields.push(Field::new(stored.name(), client_type(stored.data_type()), true));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The type for values of a column that is stored as `plain`, and of one that was stored as `stored`.
fn common(own: &DataType, plain: &DataType, stored: &DataType) -> DataType {
    match stored {
        stored if stored == plain => client_type(own),
        // Of many digits where a value was too large; one that is too large for clients is said when it is read.
        stored if *own == DataType::UInt64 && is_whole(stored) => client_type(own),
        DataType::Timestamp(..) if matches!(own, DataType::Timestamp(..)) => client_type(own),
        stored if stored.is_integer() && plain.is_integer() => DataType::Int64,
        stored if stored.is_numeric() && plain.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

fn is_whole(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Decimal128(_, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::TimeUnit;

    fn schema(fields: Vec<(&str, DataType)>) -> SchemaRef {
        let fields = fields.into_iter().map(|(name, kind)| Field::new(name, kind, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn time(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, Some("UTC".into()))
    }

    #[test]
    fn columns_of_the_running_query_come_first_in_their_own_types() {
        let own = schema(vec![
            ("window_start", time(TimeUnit::Nanosecond)),
            ("src_ip", DataType::FixedSizeBinary(16)),
            ("protocol", DataType::UInt8),
            ("octets", DataType::UInt64),
            ("n", DataType::UInt16),
            ("share", DataType::Float64),
            ("what", DataType::Int64),
        ]);
        let stored = schema(vec![
            ("window_start", time(TimeUnit::Microsecond)),
            ("src_ip", DataType::Utf8),
            ("protocol", DataType::Int32),
            ("octets", DataType::Decimal128(20, 0)),
            ("n", DataType::Int64),
            ("share", DataType::Int64),
            ("what", DataType::Boolean),
            ("gone", DataType::Int32),
        ]);
        let united = united(&own, &stored).unwrap();
        let shown: Vec<String> =
            united.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        let start = format!("window_start {}", time(TimeUnit::Nanosecond));
        let expected = [
            start.as_str(),
            "src_ip Utf8",
            "protocol Int16",
            "octets Int64",
            "n Int64",
            "share Float64",
            "what Utf8",
            "gone Int32",
        ];
        assert_eq!(shown, expected);
    }
}

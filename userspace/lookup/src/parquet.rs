//! Tables in Parquet files.
//!
//! Keys are texts, whole numbers, or octets of addresses; values keep their types, texts are texts however they are
//! encoded. A file that is read anew is read as what it was. What is wrong is named with its row, from 1.

use crate::index::KeyIndex;
use crate::keys::{KeyKind, Keys};
use crate::table::{Column, NO_LINES, RESTART, Table};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fmt::Display;
use std::fs::File;
use std::path::Path;

/// Rows that are read at once.
const BATCH_ROWS: usize = 65_536;

/// Reads a table; `key` names its column of keys, which is the first one without it. Keys and columns that `before` has
/// keep their types; without it, there must be a row.
pub(crate) fn load(path: &Path, key: Option<&str>, before: Option<&Table>) -> Result<Table, String> {
    let batch = read(path)?;
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let place = match key {
        None => 0,
        Some(key) => names.iter().position(|name| *name == key).ok_or_else(|| {
            format!(": there is no column '{key}' of keys; the columns are {}", names.join(", "))
        })?,
    };
    let Some(name) = names.get(place) else { return Err(": it has no columns".to_owned()) };
    if batch.num_rows() == 0 && before.is_none() {
        return Err(NO_LINES.to_owned());
    }
    let keys = keys_of(name, batch.column(place), before.map(Table::key_kind))?;
    let others = (0..names.len()).filter(|column| *column != place);
    // What a key is may be asked for, too.
    let column = |place: usize| value_column(names[place], batch.column(place), before);
    let columns = others.chain([place]).map(column);
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Table::new(keys, columns, batch.num_rows()))
}

fn read(path: &Path) -> Result<RecordBatch, String> {
    let file = File::open(path).map_err(|error| format!(": {error}"))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(&error))?;
    let reader = reader.with_batch_size(BATCH_ROWS).build().map_err(|error| unreadable(&error))?;
    let schema = arrow_array::RecordBatchReader::schema(&reader);
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    concat_batches(&schema, &batches).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn Display) -> String {
    let error = error.to_string();
    let error = error.lines().next().unwrap_or_default();
    format!(
        ": it cannot be read as Parquet: {error}; write it anew, uncompressed or with Snappy or Zstandard"
    )
}

/// The rows by key, which is of the kind that keys were `before`.
fn keys_of(name: &str, keys: &ArrayRef, before: Option<KeyKind>) -> Result<Keys, String> {
    if let Some(row) = (0..keys.len()).find(|row| keys.is_null(*row)) {
        return Err(at(row, &format!("its key is NULL; fill in '{name}', or leave the row out")));
    }
    match keys.data_type() {
        kind if is_text(kind) => keys_of_texts(&as_text(keys)?, before),
        kind if kind.is_integer() => match before {
            None | Some(KeyKind::Integer) => keys_of_integers(name, keys),
            // Among texts, a number is what it is written as.
            Some(_) => keys_of_texts(&as_text(keys)?, before),
        },
        DataType::FixedSizeBinary(16) => {
            let (octets, _) = keys.as_fixed_size_binary().value_data().as_chunks::<16>();
            keys_from(KeyKind::Prefix, octets, |index, key, row| index.insert_address(*key, row))
        }
        DataType::FixedSizeBinary(6) => {
            let (octets, _) = keys.as_fixed_size_binary().value_data().as_chunks::<6>();
            keys_from(KeyKind::Mac, octets, |index, key, row| index.insert_mac(*key, row))
        }
        kind => Err(format!(
            ": keys of '{name}' are {kind}; let them be texts, whole numbers, or addresses of 16 or 6 octets"
        )),
    }
}

fn keys_of_integers(name: &str, keys: &ArrayRef) -> Result<Keys, String> {
    let integers = cast(keys, &DataType::Int64).map_err(|error| format!(": '{name}': {error}"))?;
    let integers = integers.as_primitive::<Int64Type>();
    if let Some(row) = (0..integers.len()).find(|row| integers.is_null(*row)) {
        return Err(at(row, &format!("'{name}' does not fit into 64 bits with a sign; leave the row out")));
    }
    keys_from(KeyKind::Integer, integers.values(), |index, key, row| index.insert_integer(*key, row))
}

fn keys_of_texts(keys: &ArrayRef, before: Option<KeyKind>) -> Result<Keys, String> {
    let texts = keys.as_string_view();
    let seen = || match KeyKind::of_most(texts.iter().flatten().map(|text| (text, true))) {
        // Of numbers, the file would say that they are.
        KeyKind::Integer => KeyKind::Text,
        kind => kind,
    };
    let kind = before.unwrap_or_else(seen);
    let mut index = KeyIndex::new(kind, texts.len())?;
    for (row, text) in texts.iter().enumerate() {
        let text = text.unwrap_or_default();
        let before = index.insert(text, row as u32).map_err(|wrong| at(row, &wrong))?;
        before.map_or(Ok(()), |before| Err(twice(row, before)))?;
    }
    Ok(index.finish())
}

fn keys_from<K>(
    kind: KeyKind,
    keys: &[K],
    insert: impl Fn(&mut KeyIndex, &K, u32) -> Option<u32>,
) -> Result<Keys, String> {
    let mut index = KeyIndex::new(kind, keys.len())?;
    for (row, key) in keys.iter().enumerate() {
        insert(&mut index, key, row as u32).map_or(Ok(()), |before| Err(twice(row, before)))?;
    }
    Ok(index.finish())
}

fn twice(row: usize, before: u32) -> String {
    at(row, &format!("its key stands in row {} already; leave one of them out", before + 1))
}

fn at(row: usize, what: &str) -> String {
    format!(", row {}: {what}", row + 1)
}

fn value_column(name: &str, values: &ArrayRef, before: Option<&Table>) -> Result<Column, String> {
    let values = match values.data_type() {
        kind if is_text(kind) => as_text(values)?,
        kind if kind.is_primitive() => values.clone(),
        DataType::Boolean | DataType::FixedSizeBinary(16 | 6) => values.clone(),
        kind => {
            return Err(format!(
                ": the column '{name}' is {kind}; leave it out, or let it be text, numbers, times, true or false"
            ));
        }
    };
    let values = match before.and_then(|before| before.column_type(name)) {
        Some(known) if known != values.data_type() => as_before(name, &values, known)?,
        _ => values,
    };
    Ok(Column { name: name.to_owned(), values })
}

/// Values in the type that their column had, where that loses nothing.
fn as_before(name: &str, values: &ArrayRef, known: &DataType) -> Result<ArrayRef, String> {
    let now = values.data_type();
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    // A cast that fails for none may cut fractions and digits all the same, which one sees on the way back.
    let is_same = |cast_ones: &ArrayRef| {
        cast_with_options(cast_ones, now, &strict).is_ok_and(|back| back.to_data() == values.to_data())
    };
    let same = cast_with_options(values, known, &strict).ok().filter(is_same);
    same.ok_or_else(|| {
        format!(
            ": the column '{name}' was {known} and is {now} now, with values that would not stay what they are; write it as it was, or {RESTART}"
        )
    })
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn as_text(values: &ArrayRef) -> Result<ArrayRef, String> {
    cast(values, &DataType::Utf8View).map_err(|error| format!(": {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, ListArray, StringArray, UInt16Array,
    };
    use arrow_schema::{Field, Schema};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    fn written(columns: Vec<(&str, ArrayRef)>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fields: Vec<_> = columns
            .iter()
            .map(|(name, values)| Field::new(*name, values.data_type().clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let arrays = columns.into_iter().map(|(_, values)| values).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn keys_and_values_are_what_the_file_says() {
        let weights: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let file = written(vec![
            ("net", texts(&["10.0.0.0/8", "10.1.0.0/16"])),
            ("name", texts(&["a", "b"])),
            ("w", weights),
        ]);
        let table = load(file.path(), None, None).unwrap();
        assert_eq!((table.key_kind(), table.entries()), (KeyKind::Prefix, 2));
        let found = table.values(&texts(&["10.1.0.1", "10.2.0.1", "11.0.0.1"]), "name").unwrap();
        assert_eq!(found.as_string_view().iter().collect::<Vec<_>>(), [Some("b"), Some("a"), None]);
        assert_eq!(*table.column_type("w").unwrap(), DataType::Int32);

        let ports: ArrayRef = Arc::new(UInt16Array::from(vec![22, 443]));
        let file = written(vec![("name", texts(&["ssh", "https"])), ("port", ports.clone())]);
        let table = load(file.path(), Some("port"), None).unwrap();
        let found = table.values(&ports, "name").unwrap();
        assert_eq!(found.as_string_view().iter().collect::<Vec<_>>(), [Some("ssh"), Some("https")]);

        let addresses = tapline_record::address::parse_ip("10.0.0.1").into_iter();
        let addresses: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(addresses).unwrap());
        let file = written(vec![("ip", addresses.clone()), ("name", texts(&["host"]))]);
        let found = load(file.path(), None, None).unwrap().values(&addresses, "name").unwrap();
        assert_eq!(found.as_string_view().iter().collect::<Vec<_>>(), [Some("host")]);
    }

    #[test]
    fn a_file_that_is_read_anew_is_read_as_what_it_was() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let empty: ArrayRef = Arc::new(Int32Array::from(Vec::<i32>::new()));
        let wrong = load(written(vec![("k", texts(&[])), ("n", empty.clone())]).path(), None, None);
        assert_eq!(wrong.unwrap_err(), NO_LINES);
        let before = written(vec![("k", texts(&["x", "y"])), ("n", numbers)]);
        let before = load(before.path(), None, None).unwrap();
        let again = |keys: ArrayRef, numbers: ArrayRef| {
            load(written(vec![("k", keys), ("n", numbers)]).path(), None, Some(&before))
        };
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![7, 8]));
        for keys in [texts(&["10.0.0.1", "10.0.0.2"]), narrow.clone()] {
            let after = again(keys, narrow.clone()).unwrap();
            assert_eq!(after.key_kind(), KeyKind::Text);
            assert_eq!(before.refuses(&after), None);
        }
        let after = again(texts(&[]), empty).unwrap();
        assert_eq!((after.entries(), before.refuses(&after)), (0, None));
        let whole: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
        assert_eq!(before.refuses(&again(texts(&["x", "y"]), whole).unwrap()), None);
        let halves: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.5]));
        let wrong = again(texts(&["x", "y"]), halves).unwrap_err();
        assert!(wrong.starts_with(": the column 'n' was Int64 and is Float64 now"), "{wrong}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row() {
        let names = || ("name", texts(&["a", "b", "c"]));
        let list = Field::new("item", DataType::Int32, true);
        let lists: ArrayRef = Arc::new(ListArray::new_null(Arc::new(list), 1));
        let nulls: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(2)]));
        let cases = [
            (vec![("k", texts(&["1.0.0.0/8", "2.0.0.0/8", "x"])), names()], ", row 3: 'x' is no address"),
            (vec![("k", texts(&["x", "y", "x"])), names()], ", row 3: its key stands in row 1 already"),
            (vec![("k", nulls), names()], ", row 2: its key is NULL; fill in 'k'"),
            (vec![("k", texts(&["x"])), ("l", lists)], ": the column 'l' is List"),
        ];
        for (columns, expected) in cases {
            let wrong = load(written(columns).path(), None, None).unwrap_err();
            assert!(wrong.starts_with(expected), "{expected}: {wrong}");
        }
        let other = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(other.path(), "prefix,name\n").unwrap();
        let wrong = load(other.path(), None, None).unwrap_err();
        assert!(wrong.starts_with(": it cannot be read as Parquet: ") && !wrong.contains('\n'), "{wrong}");
    }
}

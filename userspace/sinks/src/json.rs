//! Results as JSON.

use crate::printable::{printable, time_text};
use arrow_json::WriterBuilder;
use arrow_json::writer::{JsonArray, LineDelimited};
use datafusion::arrow::array::{Array as _, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::error::ArrowError;
use std::fmt::Write as _;
use std::sync::Arc;
use tapline_operators::WindowResult;
use tapline_record::EventTime;

/// The batch with a name of its own for each column: an object has no key twice.
///
/// # Errors
/// When the batch cannot be made anew.
pub fn with_own_names(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut names: Vec<String> = vec![];
    for field in batch.schema().fields() {
        let numbered = (2..).map(|number| format!("{}_{number}", field.name()));
        let mut candidates = std::iter::once(field.name().clone()).chain(numbered);
        names.extend(candidates.find(|name| !names.contains(name)));
    }
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(names);
    let fields: Vec<Field> = fields.map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec())
}

/// Rows as an array of objects; NULL is `null`.
///
/// # Errors
/// When a value cannot be written.
pub fn rows(batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(vec![]);
    for batch in batches {
        writer.write(&with_own_names(&printable(batch)?)?)?;
    }
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    // Of no batch the writer makes nothing at all.
    Ok(if text.is_empty() { "[]".to_owned() } else { text })
}

/// Rows as objects, a line each; NULL is `null`.
///
/// # Errors
/// When a value cannot be written.
pub fn lines(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(vec![]);
    for batch in batches {
        writer.write(&with_own_names(&printable(batch)?)?)?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Values of a column as JSON, each in a line of its own; NULL stays NULL.
pub(crate) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    // A name that is known can be taken off again.
    const BEFORE: &str = "{\"v\":";
    let schema = Schema::new(vec![Field::new("v", array.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(array)])?;
    let lines = String::from_utf8(lines(&[batch])?).unwrap_or_default();
    let values = lines.lines().map(|line| line.strip_prefix(BEFORE)?.strip_suffix('}'));
    Ok(values.enumerate().map(|(row, value)| value.filter(|_| array.is_valid(row))).collect())
}

/// A result as an object: `window_start` and `window_end`, `status`, `completeness`, where there is one `revision`, and
/// `rows` with the SELECT list; without a window the first two are `null`.
///
/// # Errors
/// When a value cannot be written.
pub fn window(result: &WindowResult) -> Result<String, ArrowError> {
    let span = result.window.map(|window| [window.start, window.end].map(quoted));
    let [start, end] = span.unwrap_or_else(|| ["null".to_owned(), "null".to_owned()]);
    let status = result.status.name();
    let completeness = result.completeness.map_or_else(|| "null".to_owned(), |part| part.to_string());
    let mut text = format!(r#"{{"window_start":{start},"window_end":{end},"status":"{status}","#);
    let _ = write!(text, r#""completeness":{completeness},"#);
    if result.revision > 0 {
        let _ = write!(text, r#""revision":{},"#, result.revision);
    }
    let _ = write!(text, r#""rows":{}}}"#, rows(&result.rows)?);
    Ok(text)
}

/// A time as rows have it.
pub(crate) fn quoted(time: EventTime) -> String {
    format!("\"{}\"", time_text(time))
}

/// A text.
pub(crate) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Objects that stand on lines, as an array.
pub(crate) fn array(lines: &str) -> String {
    format!("[{}]", lines.lines().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{FixedSizeBinaryArray, Int64Array};
    use datafusion::arrow::datatypes::DataType;
    use tapline_operators::{QueryId, Span, Status};

    fn batch() -> RecordBatch {
        let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7];
        let addresses = FixedSizeBinaryArray::try_from_iter([address].into_iter()).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(addresses),
            Arc::new(Int64Array::from(vec![None])),
            Arc::new(Int64Array::from(vec![7])),
        ];
        let field = |name, kind| Field::new(name, kind, true);
        let fields = vec![
            field("host", DataType::FixedSizeBinary(16)),
            field("n", DataType::Int64),
            field("n", DataType::Int64),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn a_result_is_an_object() {
        let span = Span { start: EventTime(1_500_000_000), end: EventTime(60_000_000_000) };
        let result = WindowResult {
            query: QueryId(0),
            window: Some(span),
            status: Status::Early,
            revision: 0,
            completeness: Some(0.5),
            rows: vec![batch(), batch()],
        };
        let row = r#"{"host":"192.0.2.7","n":null,"n_2":7}"#;
        let expected = format!(
            r#"{{"window_start":"1970-01-01T00:00:01.500Z","window_end":"1970-01-01T00:01:00Z","status":"early","completeness":0.5,"rows":[{row},{row}]}}"#
        );
        assert_eq!(window(&result).unwrap(), expected);
        let line = format!("{row}\n");
        assert_eq!(lines(&result.rows).unwrap(), [line.as_bytes(), line.as_bytes()].concat());
        let nothing = WindowResult { window: None, completeness: None, rows: vec![], ..result };
        let expected =
            r#"{"window_start":null,"window_end":null,"status":"early","completeness":null,"rows":[]}"#;
        assert_eq!(window(&nothing).unwrap(), expected);
        let revised = WindowResult { status: Status::Revised, revision: 2, ..nothing };
        let expected = r#"{"window_start":null,"window_end":null,"status":"revised","completeness":null,"revision":2,"rows":[]}"#;
        assert_eq!(window(&revised).unwrap(), expected);
    }
}

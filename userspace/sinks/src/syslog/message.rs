//! One row as a message: its columns as structured data and as text, within so many octets.

use super::SyslogOptions;
use super::level::priority;
use crate::host::host_name;
use crate::printable::{as_text, flat, time_text};
use datafusion::arrow::array::{Array as _, AsArray as _, RecordBatch, StringArray};
use datafusion::arrow::error::ArrowError;
use std::fmt::Write as _;
use std::process;
use tapline_record::EventTime;

/// What structured data is called; the number is that of examples (RFC 5612), since we have none of our own.
const DATA_ID: &str = "tapline@32473";
/// Octets that are kept for the text, and for saying how many columns are left out of the data.
const TEXT_OCTETS_MIN: usize = 160;
const LEFT_OUT_OCTETS: usize = 32;
/// Octets of the name of a column and of the kind of a message, and of that of this machine.
const NAME_OCTETS_MAX: usize = 32;
const HOST_OCTETS_MAX: usize = 255;
/// Times have six digits of a second.
const MICROSECOND_NS: i64 = 1000;

/// What messages of a query have in common.
pub(super) struct Head {
    text: String,
    query: String,
}

/// Rows as text, by column.
pub(super) struct Texts(Vec<(String, StringArray)>);

impl Texts {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let batch = flat(batch)?;
        let schema = batch.schema();
        let mut texts = vec![];
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            texts.push((token(field.name()), as_text(column)?.as_string::<i32>().clone()));
        }
        Ok(Self(texts))
    }

    pub(super) fn rows(&self) -> usize {
        self.0.first().map_or(0, |(_, column)| column.len())
    }

    /// The columns of a row that are not NULL.
    fn row(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let known = self.0.iter().filter(move |(_, column)| column.is_valid(row));
        known.map(move |(name, column)| (name.as_str(), column.value(row)))
    }
}

impl Head {
    pub(super) fn of(query: &str, at: EventTime, options: &SyslogOptions) -> Self {
        let SyslogOptions { facility, severity, .. } = options;
        let time = time_text(EventTime(at.0.div_euclid(MICROSECOND_NS) * MICROSECOND_NS));
        let text = format!(
            "<{}>1 {time} {} tapline {} {} ",
            priority(*facility, *severity),
            graphic(host_name(), HOST_OCTETS_MAX),
            process::id(),
            token(query),
        );
        Self { text, query: query.to_owned() }
    }

    /// The message of a row, of so many octets at most; columns that it has no room for are counted in it.
    pub(super) fn message(&self, texts: &Texts, row: usize, octets_max: usize) -> Vec<u8> {
        self.said(&texts.row(row).collect::<Vec<_>>(), octets_max)
    }

    /// The same of values by their names.
    pub(super) fn said(&self, values: &[(&str, &str)], octets_max: usize) -> Vec<u8> {
        let mut message = self.text.clone();
        let _ = write!(message, "[{DATA_ID} query=\"{}\"", escaped(&self.query));
        let (room, mut left_out) = (octets_max.saturating_sub(TEXT_OCTETS_MIN + LEFT_OUT_OCTETS), 0);
        for (name, value) in values {
            let column = format!(" {name}=\"{}\"", escaped(value));
            if message.len() + column.len() <= room {
                message.push_str(&column);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            let _ = write!(message, " left_out=\"{left_out}\"");
        }
        let _ = write!(message, "] {}:", self.query);
        for (name, value) in values {
            let _ = write!(message, " {name}={}", plain(value));
        }
        message.truncate(message.floor_char_boundary(octets_max));
        message.into_bytes()
    }
}

/// A value between quotation marks (RFC 5424 §6.3.3).
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in plain(value).chars() {
        if matches!(character, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// A text on one line.
fn plain(value: &str) -> String {
    value.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A name of a column, or of a kind of messages.
fn token(name: &str) -> String {
    graphic(name, NAME_OCTETS_MAX).replace(['=', ']', '"'], "_")
}

/// A word of ASCII without spaces.
fn graphic(word: &str, octets_max: usize) -> String {
    let graphic = |character: char| if character.is_ascii_graphic() { character } else { '_' };
    let word: String = word.chars().take(octets_max).map(graphic).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use datafusion::arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    fn head() -> Head {
        let target = "unix:/dev/log".parse().unwrap();
        let (severity, facility) = ("notice".parse().unwrap(), "local4".parse().unwrap());
        Head::of("sweep", EventTime(1_234_567_899), &SyslogOptions { target, severity, facility })
    }

    fn texts(columns: Vec<(&str, ArrayRef)>) -> Texts {
        let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        Texts::of(&RecordBatch::try_new(schema, columns).unwrap()).unwrap()
    }

    #[test]
    fn a_row_is_structured_data_and_text() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("what it is", Arc::new(StringArray::from(vec!["a \"b]\\\nc"]))),
            ("n", Arc::new(Int64Array::from(vec![7]))),
            ("nothing", Arc::new(Int64Array::from(vec![None]))),
        ];
        let message = String::from_utf8(head().message(&texts(columns), 0, 1400)).unwrap();
        let (before, rest) = message.split_once(" tapline ").unwrap();
        assert!(before.starts_with("<165>1 1970-01-01T00:00:01.234567Z "), "{message}");
        let (_, rest) = rest.split_once(" sweep ").unwrap();
        let expected =
            r#"[tapline@32473 query="sweep" what_it_is="a \"b\]\\ c" n="7"] sweep: what_it_is=a "b]\ c n=7"#;
        assert_eq!(rest, expected);
    }

    #[test]
    fn what_has_no_room_is_counted_and_text_is_cut_at_a_character() {
        let long = "ä".repeat(600);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("long", Arc::new(StringArray::from(vec![long.as_str()]))),
            ("n", Arc::new(Int64Array::from(vec![7]))),
            ("longer", Arc::new(StringArray::from(vec![long.repeat(2)]))),
        ];
        let texts = texts(columns);
        assert_eq!(texts.rows(), 1);
        let message = String::from_utf8(head().message(&texts, 0, 1400)).unwrap();
        assert!(message.contains(" n=\"7\" left_out=\"2\"] sweep: long=ä"), "{message}");
        assert!((1390..=1400).contains(&message.len()), "{}", message.len());
    }
}

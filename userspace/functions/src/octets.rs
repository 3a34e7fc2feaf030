//! Octets as text.
//!
//! `text` shows them: UTF-8, and a replacement character for every octet that is none and for control characters
//! other than tab and line ends. `characters` is for looking at them: each octet is the character of its number, so
//! that nothing is lost, patterns such as `\x16\x03` find octets, and a text is found by the octets of its UTF-8.

use crate::argument::{is_octets, is_text};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};

/// The array as octets; a text is its UTF-8.
pub(crate) fn octets(values: &ArrayRef) -> Result<BinaryArray> {
    match values.data_type() {
        kind if is_octets(kind) || is_text(kind) || kind.is_null() => {
            Ok(cast(values, &DataType::Binary)?.as_binary::<i32>().clone())
        }
        DataType::FixedSizeBinary(_) => Ok(cast(values, &DataType::Binary)?.as_binary::<i32>().clone()),
        kind => internal_err!("expected octets, got {kind}"),
    }
}

/// What `write` makes of each row's octets.
pub(crate) fn each_row(values: &BinaryArray, write: fn(&[u8], &mut String)) -> StringArray {
    let mut texts = StringBuilder::with_capacity(values.len(), values.value_data().len());
    let mut text = String::new();
    for octets in values {
        text.clear();
        octets.into_iter().for_each(|octets| write(octets, &mut text));
        texts.append_option(octets.map(|_| text.as_str()));
    }
    texts.finish()
}

/// Octets as they are shown.
pub(crate) fn write_printable(octets: &[u8], text: &mut String) {
    for chunk in octets.utf8_chunks() {
        let is_shown = |character: char| !character.is_control() || matches!(character, '\t' | '\n' | '\r');
        let shown = |character| if is_shown(character) { character } else { char::REPLACEMENT_CHARACTER };
        text.extend(chunk.valid().chars().map(shown));
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

/// Each octet as the character of its number.
pub(crate) fn write_characters(octets: &[u8], text: &mut String) {
    text.extend(octets.iter().copied().map(char::from));
}

/// Octets in hexadecimal.
pub(crate) fn write_hex(octets: &[u8], text: &mut String) {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16);
    text.extend(octets.iter().flat_map(|octet| [octet >> 4, octet & 15]).filter_map(digit));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_shown_matched_and_written() {
        let octets = b"GET /\r\n\x1b[2J\xff\xc3\xa9\xe2\x82\0";
        for (write, expected) in [
            (
                write_printable as fn(&[u8], &mut String),
                "GET /\r\n\u{fffd}[2J\u{fffd}é\u{fffd}\u{fffd}\u{fffd}",
            ),
            (write_characters, "GET /\r\n\u{1b}[2J\u{ff}\u{c3}\u{a9}\u{e2}\u{82}\0"),
            (write_hex, "474554202f0d0a1b5b324affc3a9e28200"),
        ] {
            let mut text = String::new();
            write(octets, &mut text);
            assert_eq!(text, expected);
        }
    }
}

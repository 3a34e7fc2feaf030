//! The values of information elements that have no column of their own.
//!
//! Takes a field of every record, gives a column of the form that was asked for. A field whose length does not
//! fit the form is NULL; text is never, since a text may be empty.

use super::append::append_field;
use super::records::Records;
use super::slot::Slot;
use super::wire::{array_at, number};
use std::borrow::Cow;
use std::fmt::Write as _;
use tapline_record::address::{Address, mapped_v4};
use tapline_record::{ColumnBuilder, ElementForm};

/// Octets of a text that are kept, so that a batch has a limit.
const TEXT_OCTETS_MAX: usize = 4096;

/// Appends the values of an element.
pub(super) fn append_element(
    form: ElementForm,
    records: &Records<'_>,
    slot: Slot,
    column: &mut ColumnBuilder,
) {
    match form {
        ElementForm::Unsigned => append_field(column, records, slot, unsigned),
        ElementForm::Signed => append_field(column, records, slot, signed),
        ElementForm::Float => append_field(column, records, slot, float),
        ElementForm::Application => append_field(column, records, slot, application_id),
        ElementForm::Address => append_field(column, records, slot, address),
        ElementForm::Mac => append_field(column, records, slot, |octets| <[u8; 6]>::try_from(octets).ok()),
        ElementForm::Text | ElementForm::AsText => {
            records.field(slot).for_each(|octets| column.push_text(Some(&text(octets))));
        }
        ElementForm::AsOctets => {
            let mut digits = String::new();
            for octets in records.field(slot) {
                write_hexadecimal(&mut digits, octets);
                column.push_text(Some(&digits));
            }
        }
    }
}

/// Engine in the top octet, selector below, whatever its length (RFC 6759).
pub(super) fn application_id(octets: &[u8]) -> Option<u64> {
    let (&engine, selector) = octets.split_first()?;
    (selector.len() <= 7).then(|| u64::from(engine) << 56 | number(selector))
}

fn unsigned(octets: &[u8]) -> Option<u64> {
    (1..=8).contains(&octets.len()).then(|| number(octets))
}

/// A number whose first bit is its sign, whatever its length (RFC 7011 §6.2).
fn signed(octets: &[u8]) -> Option<i64> {
    let number = unsigned(octets)?;
    let unused_bits = 64 - 8 * octets.len();
    Some((number << unused_bits) as i64 >> unused_bits)
}

/// A float64, or one that was reduced to float32 (RFC 7011 §6.2).
fn float(octets: &[u8]) -> Option<f64> {
    match octets.len() {
        4 => array_at(octets, 0).map(f32::from_be_bytes).map(f64::from),
        8 => array_at(octets, 0).map(f64::from_be_bytes),
        _ => None,
    }
}

fn address(octets: &[u8]) -> Option<Address> {
    match octets.len() {
        4 => array_at(octets, 0).map(mapped_v4),
        16 => array_at(octets, 0),
        _ => None,
    }
}

/// The text without the NULs that fill it up; what is no UTF-8 becomes U+FFFD, and what is too long is cut.
fn text(octets: &[u8]) -> Cow<'_, str> {
    let end = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    match String::from_utf8_lossy(&octets[..end]) {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..text.floor_char_boundary(TEXT_OCTETS_MAX)]),
        Cow::Owned(mut text) => {
            text.truncate(text.floor_char_boundary(TEXT_OCTETS_MAX));
            Cow::Owned(text)
        }
    }
}

fn write_hexadecimal(digits: &mut String, octets: &[u8]) {
    digits.clear();
    for octet in octets.iter().take(TEXT_OCTETS_MAX / 2) {
        // Writing to a text cannot fail.
        let _ = write!(digits, "{octet:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        assert_eq!(unsigned(&[0xff; 8]), Some(u64::MAX));
        assert_eq!((unsigned(&[]), unsigned(&[0; 9])), (None, None));
        assert_eq!((signed(&[0xff]), signed(&[0x80, 0, 0])), (Some(-1), Some(-(1 << 23))));
        assert_eq!((signed(&[0x7f, 0xff]), signed(&[0x80; 8])), (Some(32767), Some(-0x7f7f_7f7f_7f7f_7f80)));
        assert_eq!((signed(&[]), signed(&[0; 9])), (None, None));
        assert_eq!(float(&1.5_f32.to_be_bytes()), Some(1.5));
        assert_eq!(float(&0.1_f64.to_be_bytes()), Some(0.1));
        assert_eq!(float(&[0; 3]), None);
    }

    #[test]
    fn addresses_are_of_either_family() {
        assert_eq!(address(&[10, 0, 0, 1]), Some(mapped_v4([10, 0, 0, 1])));
        assert_eq!(address(&[7; 16]), Some([7; 16]));
        assert_eq!(address(&[7; 5]), None);
    }

    #[test]
    fn texts_are_always_texts() {
        assert_eq!(text(b"Gi0/1\0\0"), "Gi0/1");
        assert_eq!(text(b"\0a\0"), "\0a", "only NULs at the end fill up");
        assert_eq!((text(b""), text(b"\0\0")), ("".into(), "".into()));
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        for long in [vec![b'a'; 5000], "ä".repeat(3000).into_bytes(), vec![0xff; 5000]] {
            assert!((TEXT_OCTETS_MAX - 2..=TEXT_OCTETS_MAX).contains(&text(&long).len()));
        }
        let mut digits = "old".to_owned();
        write_hexadecimal(&mut digits, &[0, 0x1f, 0xff]);
        assert_eq!(digits, "001fff");
    }
}

//! One frame as tshark prints it.
//!
//! Takes a line of [`wireshark::fields`](crate::wireshark::fields), asked with [`OPTIONS`] and with the list of
//! protocols as the first field; gives the protocols from the outside in, and the values of fields. tshark lists the
//! values of a field in the order of the headers, so the list of protocols tells which value belongs to which header.

use std::collections::BTreeMap;

/// What tshark is asked with, so that the values of a field stand apart.
pub const OPTIONS: [&str; 2] = ["-E", "aggregator=|"];

/// The field that comes first.
pub const PROTOCOLS: &str = "frame.protocols";

/// The protocols of a frame, and the values of its fields.
#[derive(Clone, Debug)]
pub struct Dissection<'a> {
    /// The protocols, from the outside in.
    pub protocols: Vec<&'a str>,
    fields: BTreeMap<&'static str, Vec<&'a str>>,
}

impl<'a> Dissection<'a> {
    /// A line of the values of these fields, of which [`PROTOCOLS`] is the first.
    ///
    /// # Panics
    /// When the line has other fields.
    #[must_use]
    pub fn new(line: &'a str, names: &[&'static str]) -> Self {
        assert_eq!(names.first(), Some(&PROTOCOLS));
        let fields: Vec<_> = line.split('\t').collect();
        assert_eq!(fields.len(), names.len(), "fields of tshark's line {line:?}");
        let values = |field: &&'a str| field.split('|').filter(|value| !value.is_empty()).collect();
        let protocols = fields[0].split(':').filter(|name| !name.is_empty()).collect();
        Self { protocols, fields: names.iter().copied().zip(fields.iter().map(values)).collect() }
    }

    /// The values of a field that was asked for, in the order of the headers.
    #[must_use]
    pub fn values(&self, field: &str) -> &[&'a str] {
        self.fields.get(field).map_or(&[], Vec::as_slice)
    }

    /// The value of a field in the header that is the `occurrence`-th of its kind.
    #[must_use]
    pub fn nth(&self, field: &str, occurrence: usize) -> Option<&'a str> {
        self.values(field).get(occurrence).copied()
    }

    /// The value of a field in the header that is the `occurrence`-th of its kind, as a number.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn number(&self, field: &str, occurrence: usize) -> Option<u64> {
        self.nth(field, occurrence).map(number)
    }

    /// How many headers of the same protocol are in front of the one at `position` in the list of protocols.
    #[must_use]
    pub fn occurrence(&self, position: usize) -> usize {
        let protocol = self.protocols[position];
        self.protocols[..position].iter().filter(|name| **name == protocol).count()
    }
}

/// A number as tshark prints it, decimal or hexadecimal.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn number(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.expect("fields that are asked for as numbers are")
}

//! What columns come to: enough to see whether two programs filled them with the same values.

use std::collections::BTreeMap;

/// The sum of a column's values by its name, modulo 2^64; of addresses, that of their last eight octets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums(BTreeMap<String, u64>);

impl Sums {
    /// Adds values of a column.
    pub(crate) fn add(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        let sum = self.0.entry(name.to_owned()).or_default();
        *sum = values.fold(*sum, u64::wrapping_add);
    }
}

/// The last eight octets of an address.
pub(crate) fn low(address: &[u8]) -> u64 {
    let octets = address.last_chunk().expect("an address has sixteen octets");
    u64::from_be_bytes(*octets)
}

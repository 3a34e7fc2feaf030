//! Payloads of records, read from the spool several at once.

use super::spooled::Spooled;
use bytes::Bytes;
use std::collections::BTreeMap;
use tapline_spool::Spool;

/// Octets that are read at once.
const OCTETS: usize = 1 << 20;

/// What was read last.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead(BTreeMap<u64, Bytes>);

impl ReadAhead {
    /// The payload of a record, by its number in the spool; `None` when it cannot be read.
    pub(crate) fn payload(&mut self, spool: &Spool, number: u64) -> Option<Bytes> {
        if let Some(payload) = self.0.remove(&number) {
            return Some(payload);
        }
        // Where several cannot be read at once, this one may be.
        self.read(spool, number, OCTETS).or_else(|| self.read(spool, number, 0))?;
        self.0.remove(&number)
    }

    fn read(&mut self, spool: &Spool, number: u64, octets: usize) -> Option<()> {
        let records = spool.read(number, octets).ok()?;
        self.0.clear();
        for (number, octets) in records.iter() {
            if let Some(Spooled::Record(_, payload)) = Spooled::of(Bytes::copy_from_slice(octets)) {
                self.0.insert(number, payload);
            }
        }
        self.0.contains_key(&number).then_some(())
    }
}

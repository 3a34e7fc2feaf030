//! Which family the addresses of records are of that have fields for both.
//!
//! Takes the records of a set, gives 4 or 6 for each: the version that the record tells, else the family of which
//! some address is not all zero; 0 when there is none.

use super::elements::ADDRESSES;
use super::information_element as ie;
use super::records::Records;
use super::slot::{Slot, find};
use super::template::{Element, Template};

/// Where records have their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Families {
    version: Option<Slot>,
    v4: [Option<Slot>; 2],
    v6: [Option<Slot>; 2],
}

impl Families {
    /// Where the addresses are in records of a template that has fields for both families.
    pub(super) fn of(template: &Template) -> Option<Self> {
        let slot = |id| find(template, Element::iana(id));
        let [v4, v6] = ADDRESSES.map(|ids| ids.map(slot));
        let has_both = [v4, v6].iter().all(|slots| slots.iter().any(Option::is_some));
        has_both.then_some(Self { version: slot(ie::IP_VERSION), v4, v6 })
    }

    /// The family of every record.
    pub(super) fn read(&self, records: &Records<'_>, families: &mut Vec<u8>) {
        families.clear();
        families.extend((0..records.len()).map(|row| self.of_record(records, row)));
    }

    fn of_record(&self, records: &Records<'_>, row: usize) -> u8 {
        let version = self.version.map(|slot| records.field_of(row, slot));
        if let Some([.., version @ (4 | 6)]) = version {
            return *version;
        }
        let is_told = |slot: Slot| records.field_of(row, slot).iter().any(|&octet| octet != 0);
        let any = |slots: [Option<Slot>; 2]| slots.into_iter().flatten().any(is_told);
        match (any(self.v4), any(self.v6)) {
            (true, _) => 4,
            (false, true) => 6,
            (false, false) => 0,
        }
    }
}

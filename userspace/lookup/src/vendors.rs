//! Who made a network card, by the leading bits of its MAC address.
//!
//! The IEEE's registry is read where this machine has it, as several packages bring it; a list of our own knows what is
//! met most, and what no registry has: addresses that hypervisors and containers make up.

use crate::vendor_list::{MADE_UP, MAKERS};
use arrow_array::builder::StringViewBuilder;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::take::take;
use hashbrown::HashMap;
use std::path::Path;
use std::sync::Arc;
use tapline_record::address::Mac;

/// Where packages put the registry: systemd's hardware database, ieee-data, hwdata, Wireshark.
const FILES: [&str; 6] = [
    "/usr/lib/udev/hwdb.d/20-OUI.hwdb",
    "/usr/share/ieee-data/oui.txt",
    "/var/lib/ieee-data/oui.txt",
    "/usr/share/hwdata/oui.txt",
    "/usr/share/wireshark/manuf",
    "/etc/manuf",
];

/// Hexadecimal digits of blocks, the smallest first.
const DIGITS: [usize; 4] = [9, 7, 6, 4];

/// Names by leading bits.
#[derive(Debug)]
pub struct Vendors {
    /// Blocks by their digits as a number, for each length of [`DIGITS`].
    blocks: [HashMap<u64, u32>; 4],
    names: ArrayRef,
    source: Option<&'static str>,
}

/// Names while they are read.
#[derive(Default)]
struct Reading {
    blocks: [HashMap<u64, u32>; 4],
    names: Vec<String>,
    places: HashMap<String, u32>,
}

impl Vendors {
    /// What this machine's files say, and our own list.
    pub(crate) fn of_this_machine() -> Self {
        let read = |file: &&'static str| std::fs::read(Path::new(file)).ok().map(|octets| (*file, octets));
        match FILES.iter().find_map(read) {
            Some((file, octets)) => Self::of_text(&String::from_utf8_lossy(&octets), Some(file)),
            None => Self::of_text("", None),
        }
    }

    /// What a registry's text says, where it does, and else our own list.
    fn of_text(text: &str, source: Option<&'static str>) -> Self {
        let mut reading = Reading::default();
        reading.add_all(&MAKERS);
        let mut hardware_block = None;
        for line in text.lines() {
            if let Some(block) = line.strip_prefix("OUI:") {
                hardware_block = block.strip_suffix('*');
            } else if let Some(name) = line.trim_start().strip_prefix("ID_OUI_FROM_DATABASE=") {
                hardware_block.into_iter().for_each(|block| reading.add(block, name));
            } else if let Some((block, name)) = line.split_once("(hex)") {
                reading.add(block.trim(), name.trim());
            } else if let Some((block, names)) = line.split_once('\t') {
                reading.add(block.trim(), names.rsplit('\t').next().unwrap_or(names).trim());
            }
        }
        reading.add_all(&MADE_UP);
        let mut names = StringViewBuilder::with_capacity(reading.names.len());
        reading.names.iter().for_each(|name| names.append_value(name));
        Self { blocks: reading.blocks, names: Arc::new(names.finish()), source }
    }

    /// The file that the names come from besides our own list.
    #[must_use]
    pub const fn source(&self) -> Option<&'static str> {
        self.source
    }

    /// The vendor of each MAC address; NULL where it is unknown, and for NULL.
    ///
    /// # Errors
    /// None that is known of: names are taken by rows that there are.
    pub fn names(&self, macs: &FixedSizeBinaryArray) -> Result<ArrayRef, ArrowError> {
        let row = |octets: Option<&[u8]>| self.row(octets?.try_into().ok()?);
        let rows: UInt32Array = macs.iter().map(row).collect();
        take(&self.names, &rows, None)
    }

    /// The row of the longest block around a MAC address.
    fn row(&self, mac: Mac) -> Option<u32> {
        let [a, b, c, d, e, f] = mac;
        let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let block = |(digits, blocks): (usize, &HashMap<u64, u32>)| {
            blocks.get(&(number >> (48 - 4 * digits))).copied()
        };
        DIGITS.into_iter().zip(&self.blocks).find_map(block)
    }
}

impl Reading {
    fn add_all(&mut self, list: &[(&str, &[&str])]) {
        list.iter().for_each(|(name, blocks)| blocks.iter().for_each(|block| self.add(block, name)));
    }

    /// Adds a block such as `00:00:0C`, `0050C2001` or `00:1B:C5:00:00:00/36`; what is none is left out.
    fn add(&mut self, block: &str, name: &str) {
        let (block, bits) =
            block.split_once('/').map_or((block, None), |(block, bits)| (block, bits.parse().ok()));
        let digits: String = block.chars().filter(|digit| !matches!(digit, ':' | '-' | '.')).collect();
        let count = bits.map_or(digits.len(), |bits: usize| bits / 4);
        let number = digits.get(..count).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let Some((number, place)) = number.zip(DIGITS.iter().position(|of| *of == count)) else { return };
        if name.is_empty() {
            return;
        }
        let row = *self.places.entry_ref(name).or_insert_with(|| {
            self.names.push(name.to_owned());
            (self.names.len() - 1) as u32
        });
        self.blocks[place].insert(number, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use tapline_record::address::parse_mac;

    fn named(vendors: &Vendors, mac: &str) -> Option<String> {
        let macs = FixedSizeBinaryArray::try_from_iter(parse_mac(mac).into_iter()).unwrap();
        let names = vendors.names(&macs).unwrap();
        names.as_string_view().iter().next().flatten().map(str::to_owned)
    }

    #[test]
    fn every_kind_of_registry_is_read() {
        let hwdb = "# comment\n\nOUI:00000A*\n ID_OUI_FROM_DATABASE=Omron\n\nOUI:0050C2001*\n ID_OUI_FROM_DATABASE=JMBS Developpements\n";
        let oui = "OUI/MA-L  Organization\n00-00-0A   (hex)\t\tOmron\n00000A     (base 16)\t\tOmron\n\t\t\t\tTOKYO\n";
        let manuf = "# comment\n00:00:0A\tOmron\tOmron Tateisi\n00:50:C2:00:10:00/36\tJmbsDeve\tJMBS Developpements\n";
        for (text, omron, small) in
            [(hwdb, "Omron", true), (oui, "Omron", false), (manuf, "Omron Tateisi", true)]
        {
            let vendors = Vendors::of_text(text, None);
            assert_eq!(named(&vendors, "00:00:0a:01:02:03").as_deref(), Some(omron));
            let found = named(&vendors, "00:50:c2:00:1f:ff");
            assert_eq!(found.as_deref(), small.then_some("JMBS Developpements"));
            assert_eq!(named(&vendors, "0a:00:00:00:00:00"), None);
            assert_eq!(named(&vendors, "52:54:00:12:34:56").as_deref(), Some("QEMU/KVM"), "our own list");
        }
    }

    #[test]
    fn every_line_of_our_own_list_counts() {
        let vendors = Vendors::of_text("", None);
        let known: usize = vendors.blocks.iter().map(HashMap::len).sum();
        let listed = MAKERS.iter().chain(&MADE_UP).map(|(_, blocks)| blocks.len()).sum::<usize>();
        assert_eq!(known, listed, "a block stands there twice, or is none");
        assert!(vendors.source().is_none());
    }
}

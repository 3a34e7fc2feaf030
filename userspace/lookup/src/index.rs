//! Keys on their way into a table.
//!
//! Takes texts of one kind with their rows, finds what is no such key, and which one comes twice.

use crate::keys::{KeyKind, Keys};
use crate::prefixes::{PrefixList, Prefixes, is_of_mapped};
use crate::radix::ROWS_MAX;
use hashbrown::HashMap;
use tapline_record::address::{Address, Mac, parse_mac, parse_prefix, to_ip};

/// Keys of one kind, by which rows will be found.
pub(crate) enum KeyIndex {
    Prefixes(HashMap<(Address, Address), u32>),
    Macs(HashMap<Mac, u32>),
    Integers(HashMap<i64, u32>),
    Texts(HashMap<Box<str>, u32>),
}

impl KeyKind {
    /// What most of these texts are; one in quotation marks may be a text whatever it looks like, and where one is a
    /// code, all are.
    pub(crate) fn of_most<'a>(texts: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let (mut all, mut prefixes, mut macs, mut integers, mut no_numbers) = (0_usize, 0, 0, 0, 0);
        for (text, is_quoted) in texts {
            all += 1;
            if parse_mac(text).is_some() {
                macs += 1;
            } else if parse_prefix(text).is_some() {
                prefixes += 1;
            } else if integer(text).is_some() {
                integers += 1;
            } else if is_quoted || is_code(text) {
                no_numbers += 1;
            }
        }
        let is_most = |count: usize| count * 2 > all;
        // Nothing but an address looks like one, so that half of them are enough.
        let is_half = |count: usize| count > 0 && count * 2 >= all;
        if is_half(prefixes) {
            Self::Prefix
        } else if is_half(macs) {
            Self::Mac
        } else if is_most(integers) && no_numbers == 0 {
            Self::Integer
        } else {
            Self::Text
        }
    }
}

/// A whole number as it is commonly written, without zeros before it.
fn integer(text: &str) -> Option<i64> {
    let digits = text.trim_start_matches(['-', '+']);
    text.parse().ok().filter(|_| !is_code(digits))
}

/// Whether a text consists of digits that are no number, such as `007`.
fn is_code(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|octet| octet.is_ascii_digit())
}

impl KeyIndex {
    /// Room for so many keys; more than there may be are refused.
    pub(crate) fn new(kind: KeyKind, keys: usize) -> Result<Self, String> {
        if keys > ROWS_MAX {
            return Err(format!(": it has {keys} keys, more than {ROWS_MAX}; split it"));
        }
        Ok(match kind {
            KeyKind::Prefix => Self::Prefixes(HashMap::with_capacity(keys)),
            KeyKind::Mac => Self::Macs(HashMap::with_capacity(keys)),
            KeyKind::Integer => Self::Integers(HashMap::with_capacity(keys)),
            KeyKind::Text => Self::Texts(HashMap::with_capacity(keys)),
        })
    }

    /// Adds the key that a text is; gives the row that has it already, if one does.
    ///
    /// # Errors
    /// When the text is no such key: what it is not, and what would be right.
    pub(crate) fn insert(&mut self, text: &str, row: u32) -> Result<Option<u32>, String> {
        match self {
            Self::Prefixes(prefixes) => Ok(insert(prefixes, prefix(text)?, row)),
            Self::Macs(macs) => {
                let no_mac = || {
                    format!(
                        "'{text}' is no MAC address, which the other keys are; write e.g. 00:11:22:33:44:55"
                    )
                };
                Ok(insert(macs, parse_mac(text).ok_or_else(no_mac)?, row))
            }
            Self::Integers(integers) => {
                let no_integer = || {
                    format!(
                        "'{text}' is no whole number, which the other keys are; mend it, or put it in quotes if keys are texts"
                    )
                };
                Ok(insert(integers, integer(text).ok_or_else(no_integer)?, row))
            }
            Self::Texts(texts) => Ok(insert(texts, text.into(), row)),
        }
    }

    /// Adds an address, as [`Self::insert`] does.
    pub(crate) fn insert_address(&mut self, address: Address, row: u32) -> Option<u32> {
        if let Self::Prefixes(prefixes) = self { insert(prefixes, (address, address), row) } else { None }
    }

    /// Adds a MAC address, likewise.
    pub(crate) fn insert_mac(&mut self, mac: Mac, row: u32) -> Option<u32> {
        if let Self::Macs(macs) = self { insert(macs, mac, row) } else { None }
    }

    /// Adds a whole number, likewise.
    pub(crate) fn insert_integer(&mut self, integer: i64, row: u32) -> Option<u32> {
        if let Self::Integers(integers) = self { insert(integers, integer, row) } else { None }
    }

    pub(crate) fn finish(self) -> Keys {
        match self {
            Self::Prefixes(prefixes) => {
                let mut list = PrefixList::default();
                prefixes.into_iter().for_each(|((first, last), row)| list.push(first, last, row));
                Keys::Prefixes(Box::new(Prefixes::new(list)))
            }
            Self::Macs(macs) => Keys::Macs(macs),
            Self::Integers(integers) => Keys::Integers(integers),
            Self::Texts(texts) => Keys::Texts(texts),
        }
    }
}

fn insert<K: std::hash::Hash + Eq>(keys: &mut HashMap<K, u32>, key: K, row: u32) -> Option<u32> {
    match keys.entry(key) {
        hashbrown::hash_map::Entry::Occupied(first) => Some(*first.get()),
        hashbrown::hash_map::Entry::Vacant(room) => {
            room.insert(row);
            None
        }
    }
}

/// The prefix that a text is; bits behind its length, and IPv4 addresses as IPv6, are slips of the pen.
fn prefix(text: &str) -> Result<(Address, Address), String> {
    let Some((first, last)) = parse_prefix(text) else {
        return Err(format!("'{text}' is no address and no prefix; write e.g. 10.0.0.0/8 or 2001:db8::/32"));
    };
    let address = text.split('/').next().unwrap_or_default();
    let length = text.split('/').nth(1);
    if is_of_mapped(text, first) {
        let length = length.and_then(|bits| bits.parse::<u32>().ok()).map_or(128, |bits| bits);
        let bits = length.saturating_sub(96);
        return Err(format!("'{text}' holds IPv4 addresses; write {}/{bits}", to_ip(first)));
    }
    if let Some(bits) = length
        && tapline_record::address::parse_ip(address) != Some(first)
    {
        let right = to_ip(first);
        return Err(format!("'{text}' has bits behind its length; write {right}/{bits}"));
    }
    Ok((first, last))
}

//! Addresses of both families by their longest prefix.
//!
//! Prefixes with rows come in, the row of the longest one around an address comes out. A prefix holds addresses of its
//! own family only, as `cidr` has it: IPv6 ones hold no IPv4 address, although columns hold those as mapped ones.

use crate::radix::{NOTHING, Radix};
use crate::ranges::{Prefix, Ranges};
use std::net::IpAddr;
use tapline_record::address::{Address, from_ip, mapped_v4};

/// Above the bits of an IPv4 address in its mapped form.
const MAPPED: u128 = 0xffff;

/// Addresses by their longest prefix.
#[derive(Clone, Debug)]
pub struct Prefixes {
    v4: Radix<u32>,
    v6: Radix<u128>,
}

/// Prefixes on their way into an index.
#[derive(Debug, Default)]
pub struct PrefixList {
    v4: Vec<Prefix<u32>>,
    v6: Vec<Prefix<u128>>,
}

impl PrefixList {
    /// Adds the prefix from `first` to `last`, of which IPv4 is mapped, for a row. Of several equal ones, one holds.
    pub fn push(&mut self, first: Address, last: Address, row: u32) {
        let (first, last) = (u128::from_be_bytes(first), u128::from_be_bytes(last));
        if first >> 32 == MAPPED && last >> 32 == MAPPED {
            self.v4.push(Prefix { first: first as u32, last: last as u32, row });
        } else {
            self.v6.push(Prefix { first, last, row });
        }
    }
}

impl PrefixList {
    /// Adds the network of so many leading bits of an address, likewise.
    pub(crate) fn push_network(&mut self, address: IpAddr, bits: u8, row: u32) {
        let all_bits = if address.is_ipv4() { 32 } else { 128 };
        let host_bits = all_bits - all_bits.min(u32::from(bits));
        let host_mask = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit - 1);
        let first = u128::from_be_bytes(from_ip(address)) & !host_mask;
        self.push(first.to_be_bytes(), (first | host_mask).to_be_bytes(), row);
    }
}

impl Prefixes {
    /// An index of these prefixes.
    #[must_use]
    pub fn new(prefixes: PrefixList) -> Self {
        Self {
            v4: Radix::new(Ranges::of(prefixes.v4, NOTHING)),
            v6: Radix::new(Ranges::of(prefixes.v6, NOTHING)),
        }
    }

    /// The row of the longest prefix around an address.
    #[must_use]
    #[inline]
    pub fn find(&self, address: Address) -> Option<u32> {
        let row = self.row(address);
        (row != NOTHING).then_some(row)
    }

    /// The same; [`NOTHING`] where there is none.
    #[inline]
    pub(crate) fn row(&self, address: Address) -> u32 {
        let number = u128::from_be_bytes(address);
        if number >> 32 == MAPPED { self.v4.find(number as u32) } else { self.v6.find(number) }
    }
}

/// Whether a prefix that is written as IPv6 holds mapped addresses alone, and so no address of its family.
pub(crate) fn is_of_mapped(text: &str, first: Address) -> bool {
    text.contains(':') && first[..12] == mapped_v4([0; 4])[..12]
}

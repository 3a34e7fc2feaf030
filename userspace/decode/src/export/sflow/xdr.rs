//! External data representation (RFC 4506), as far as sFlow uses it: a slice in, its parts in order out.
//!
//! Everything is a multiple of four octets long, in network byte order. What is not whole is `None`.

use super::numbers;
use crate::export::wire::number;
use tapline_record::address::{Address, Mac, mapped_v4};

/// The octets that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Xdr<'a>(pub(super) &'a [u8]);

impl<'a> Xdr<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next `N` numbers.
    pub(super) fn numbers<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.u32()?;
        }
        Some(numbers)
    }

    /// The next `octets` octets.
    pub(super) fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    /// A MAC address, which is padded.
    pub(super) fn mac(&mut self) -> Option<Mac> {
        let [a, b, c, d, e, f, _, _] = self.array()?;
        Some([a, b, c, d, e, f])
    }

    /// An address with its type before it; one of unknown type has no octets.
    pub(super) fn address(&mut self) -> Option<Option<Address>> {
        match self.u32()? {
            numbers::ADDRESS_UNKNOWN => Some(None),
            numbers::ADDRESS_IP_V4 => self.array().map(mapped_v4).map(Some),
            numbers::ADDRESS_IP_V6 => self.array().map(Some),
            _ => None,
        }
    }

    /// What a format and a length announce: the format, and the octets that there are of that length.
    pub(super) fn block(&mut self) -> Option<Block<'a>> {
        let [format, length] = self.numbers()?;
        let length = usize::try_from(length).ok()?;
        let (body, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(Block { format, body: Xdr(body), is_whole: body.len() == length })
    }

    /// The last of so many numbers.
    pub(super) fn last_of(&mut self, count: u32) -> Option<u32> {
        let octets = self.take(usize::try_from(count).ok()?.checked_mul(4)?)?;
        octets.last_chunk::<4>().map(|last| number(last) as u32)
    }
}

/// A sample of a datagram, or a record of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    /// Enterprise in the upper 20 bits, 0 for sflow.org's own; its format in the lower 12.
    pub(super) format: u32,
    pub(super) body: Xdr<'a>,
    pub(super) is_whole: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_may_be_cut_short() {
        let mut xdr = Xdr(&[0, 0, 0, 1, 0, 0, 0, 4, 9, 9, 9, 9, 0, 0, 0, 2, 0, 0, 0, 4, 8]);
        let first = xdr.block().unwrap();
        assert_eq!((first.format, first.body.0, first.is_whole), (1, &[9; 4][..], true));
        let second = xdr.block().unwrap();
        assert_eq!((second.format, second.body.0, second.is_whole), (2, &[8][..], false));
        assert!(xdr.block().is_none());
    }

    #[test]
    fn addresses_have_a_type() {
        let mut xdr = Xdr(&[0, 0, 0, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 3]);
        assert_eq!(xdr.address(), Some(None));
        assert_eq!(xdr.address(), Some(Some(mapped_v4([10, 0, 0, 1]))));
        assert_eq!(xdr.address(), None);
    }

    #[test]
    fn counts_may_lie() {
        assert_eq!(Xdr(&[0, 0, 0, 1, 0, 0, 0, 2]).last_of(2), Some(2));
        assert_eq!(Xdr(&[0; 8]).last_of(u32::MAX), None);
        assert_eq!(Xdr(&[0; 8]).last_of(0), None);
    }
}

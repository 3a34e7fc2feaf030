//! Prefixes that lie within one another, as ranges that lie side by side.
//!
//! Takes prefixes with their rows in any order, gives where the longest prefix around an address becomes another one.

/// An address of one family, as a number in network order.
pub(crate) trait Address: Copy + Ord {
    /// Bits of the family's addresses.
    const BITS: u32;
    /// The lowest one.
    const ZERO: Self;

    /// The address behind this one; `None` behind the last.
    fn next(self) -> Option<Self>;
    /// The bits from `shift` on, 16 at most; none where `shift` is all of them.
    fn above(self, shift: u32) -> usize;
    /// The octet whose lowest bit is at `shift`.
    fn octet(self, shift: u32) -> u8;
    /// The address that has `slot` at `shift`, and none of the bits below.
    fn with(self, slot: u128, shift: u32) -> Self;
}

macro_rules! address {
    ($type:ty) => {
        impl Address for $type {
            const BITS: u32 = <$type>::BITS;
            const ZERO: Self = 0;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[inline]
            fn above(self, shift: u32) -> usize {
                self.checked_shr(shift).unwrap_or(0) as usize
            }

            #[inline]
            fn octet(self, shift: u32) -> u8 {
                (self >> shift) as u8
            }

            fn with(self, slot: u128, shift: u32) -> Self {
                self | (slot as Self).checked_shl(shift).unwrap_or(0)
            }
        }
    };
}

address!(u32);
address!(u128);

/// All addresses from `first` to `last`, which have their leading bits in common, and the row that is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix<A> {
    pub(crate) first: A,
    pub(crate) last: A,
    pub(crate) row: u32,
}

/// Ranges of addresses, each up to the beginning of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges<A> {
    /// Ascending, the first one 0.
    pub(crate) starts: Vec<A>,
    /// `nothing` where no prefix is.
    pub(crate) rows: Vec<u32>,
}

impl<A: Address> Ranges<A> {
    /// Flattens prefixes, of which no two are equal; `nothing` is no row.
    pub(crate) fn of(mut prefixes: Vec<Prefix<A>>, nothing: u32) -> Self {
        // The wider of two that begin together comes first.
        prefixes.sort_unstable_by(|a, b| a.first.cmp(&b.first).then(b.last.cmp(&a.last)));
        let mut ranges = Self { starts: vec![A::ZERO], rows: vec![nothing] };
        let mut around: Vec<Prefix<A>> = vec![];
        for prefix in prefixes {
            ranges.close(&mut around, nothing, |open| open.last < prefix.first);
            ranges.begin(prefix.first, prefix.row);
            around.push(prefix);
        }
        ranges.close(&mut around, nothing, |_| true);
        ranges
    }

    /// Ends the innermost prefixes as long as they are over; what lies around them goes on.
    fn close(&mut self, around: &mut Vec<Prefix<A>>, nothing: u32, is_over: impl Fn(&Prefix<A>) -> bool) {
        while let Some(open) = around.pop_if(|open| is_over(open)) {
            if let Some(behind) = open.last.next() {
                self.begin(behind, around.last().map_or(nothing, |outer| outer.row));
            }
        }
    }

    /// From `start` on, `row` holds.
    fn begin(&mut self, start: A, row: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.rows.pop();
        }
        if self.rows.last() != Some(&row) {
            self.starts.push(start);
            self.rows.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: u32 = u32::MAX;

    #[test]
    fn the_innermost_prefix_holds() {
        let prefix = |first, last, row| Prefix { first, last, row };
        let given = vec![
            prefix(0x0a00_0000, 0x0aff_ffff, 1),
            prefix(0x0a00_0000, 0x0a00_ffff, 2),
            prefix(0x0aff_ff00, 0x0aff_ffff, 3),
            prefix(0xffff_ff00, u32::MAX, 4),
        ];
        let ranges = Ranges::of(given, NOTHING);
        assert_eq!(ranges.starts, [0, 0x0a00_0000, 0x0a01_0000, 0x0aff_ff00, 0x0b00_0000, 0xffff_ff00]);
        assert_eq!(ranges.rows, [NOTHING, 2, 1, 3, NOTHING, 4]);
        let all = Ranges::of(vec![prefix(0, u32::MAX, 7)], NOTHING);
        assert_eq!((all.starts, all.rows), (vec![0], vec![7]));
    }
}

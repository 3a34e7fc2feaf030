//! Sets of columns, as bits of a row's `present`.

use tapline_record::PacketColumn;

/// The bits of these columns in a row's `present`.
#[inline]
pub(super) const fn present<const N: usize>(columns: [PacketColumn; N]) -> u64 {
    let mut bits = 0;
    let mut position = 0;
    while position < N {
        bits |= columns[position].bit();
        position += 1;
    }
    bits
}

/// The columns of those fields, given by their ends, that lie within the first `octets` octets.
pub(super) const fn columns_within(fields: &[(usize, u64)], octets: usize) -> u64 {
    let mut bits = 0;
    let mut position = 0;
    while position < fields.len() {
        let (end, columns) = fields[position];
        bits |= if end <= octets { columns } else { 0 };
        position += 1;
    }
    bits
}

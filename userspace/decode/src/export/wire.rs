//! Numbers in network byte order, read from slices that may be too short.

/// The `N` octets from `offset` on.
#[inline]
pub(super) fn array_at<const N: usize>(octets: &[u8], offset: usize) -> Option<[u8; N]> {
    octets.get(offset..)?.first_chunk().copied()
}

/// A 16-bit number at `offset`.
#[inline]
pub(super) fn u16_at(octets: &[u8], offset: usize) -> Option<u16> {
    array_at(octets, offset).map(u16::from_be_bytes)
}

/// A 32-bit number at `offset`.
#[inline]
pub(super) fn u32_at(octets: &[u8], offset: usize) -> Option<u32> {
    array_at(octets, offset).map(u32::from_be_bytes)
}

/// A number of any length, of which the last eight octets count; none at all is zero.
#[inline]
pub(super) fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

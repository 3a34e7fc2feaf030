//! Reads fields of fixed headers: offsets are checked when the program is compiled.

/// Fields in network byte order.
pub(super) trait Fields {
    /// `N` octets at `AT`.
    fn octets<const AT: usize, const N: usize>(&self) -> [u8; N];

    /// 16 bits at octet `AT`.
    #[inline]
    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be_bytes(self.octets::<AT, 2>())
    }

    /// 32 bits at octet `AT`.
    #[inline]
    fn be32<const AT: usize>(&self) -> u32 {
        u32::from_be_bytes(self.octets::<AT, 4>())
    }
}

impl<const LENGTH: usize> Fields for [u8; LENGTH] {
    #[inline]
    fn octets<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= LENGTH, "the field lies within the header") };
        let mut field = [0; N];
        field.copy_from_slice(&self[AT..AT + N]);
        field
    }
}

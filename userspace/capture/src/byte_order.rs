//! The byte order that a capture was written in.
//!
//! Takes octets as they stand in the file, gives numbers.

/// Byte order of a capture file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    #[inline]
    pub(super) const fn u16(self, octets: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(octets),
            Self::Big => u16::from_be_bytes(octets),
        }
    }

    #[inline]
    pub(super) const fn u32(self, octets: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        }
    }

    #[inline]
    pub(super) const fn u64(self, octets: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(octets),
            Self::Big => u64::from_be_bytes(octets),
        }
    }

    /// The word at `index`, counted in words, of a fixed header.
    #[inline]
    pub(super) const fn word<const OCTETS: usize>(self, header: &[u8; OCTETS], index: usize) -> u32 {
        let at = index * 4;
        self.u32([header[at], header[at + 1], header[at + 2], header[at + 3]])
    }
}

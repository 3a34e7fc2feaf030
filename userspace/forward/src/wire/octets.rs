//! Numbers and texts of the heads of messages: little-endian, lengths in front.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Octets of a text, at most.
const TEXT_OCTETS_MAX: usize = 4096;

/// Writes one thing behind the other.
pub(crate) struct Writer(BytesMut);

impl Writer {
    pub(crate) fn new(front: &[u8]) -> Self {
        Self(BytesMut::from(front))
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.put_u64_le(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.put_i64_le(value);
    }

    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.u64(octets.len() as u64);
        self.0.put_slice(octets);
    }

    /// A text, cut off where it is too long.
    pub(crate) fn text(&mut self, text: &str) {
        self.octets(&text.as_bytes()[..text.floor_char_boundary(TEXT_OCTETS_MAX)]);
    }

    pub(crate) fn done(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads one thing behind the other; `None` when there is no such thing.
pub(crate) struct Reader(pub(crate) Bytes);

impl Reader {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.0.try_get_u64_le().ok()
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.0.try_get_i64_le().ok()
    }

    pub(crate) fn octets(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.u64()?).ok().filter(|length| *length <= self.0.len())?;
        Some(self.0.split_to(length))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let octets = self.octets().filter(|octets| octets.len() <= TEXT_OCTETS_MAX)?;
        String::from_utf8(octets.into()).ok()
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

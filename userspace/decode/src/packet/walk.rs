//! The walk through a frame's headers: the row that it fills, and what stopped it.
//!
//! Header functions take the octets from their header on and give what follows it; what that is,
//! they note in the walk. `None` ends it: either nothing more is to be read, or a damage was noted.
//! (Slices travel in registers; a struct of slice and kind would not.) A slice that ends where the
//! captured octets end may be short for the snap length alone; that is told from a lying frame here.

use super::damage::Damage;
use super::unread::Unread;
use tapline_record::PacketRow;

/// One walk; the row's fields count only where `present` has their bit.
pub(super) struct Walk<'row, 'frame> {
    pub(super) row: &'row mut PacketRow,
    /// Octets behind the outermost transport header.
    pub(super) payload: Option<&'frame [u8]>,
    pub(super) damage: Option<Damage>,
    /// What stands in front of an IP header that is not read.
    pub(super) unread: Option<Unread>,
    /// What the next octets are, in front of the IP header: an EtherType, or an 802.3 length.
    pub(super) ethertype: u16,
    /// What the next octets are, behind the IP header.
    pub(super) protocol: u8,
    /// Whether more fragments of the packet follow.
    pub(super) is_fragmented: bool,
    /// Where the captured octets end.
    end: *const u8,
    /// Octets of the frame that the snap length cut off.
    cut_octets: usize,
}

impl<'row, 'frame> Walk<'row, 'frame> {
    #[inline]
    pub(super) fn new(row: &'row mut PacketRow, captured: &[u8], original_octets: u32) -> Self {
        let cut_octets = (original_octets as usize).saturating_sub(captured.len());
        Self {
            row,
            payload: None,
            damage: None,
            unread: None,
            ethertype: 0,
            protocol: 0,
            is_fragmented: false,
            end: captured.as_ptr_range().end,
            cut_octets,
        }
    }

    /// The walk goes on inside a tunnel, into a row of its own.
    pub(super) fn inside<'inner>(&self, row: &'inner mut PacketRow) -> Walk<'inner, 'frame> {
        Walk { row, payload: None, ..*self }
    }

    /// Splits off a header of `N` octets.
    #[inline]
    pub(super) fn header<'a, const N: usize>(
        &mut self,
        bytes: &'a [u8],
        damage: Damage,
    ) -> Option<(&'a [u8; N], &'a [u8])> {
        let split = bytes.split_first_chunk::<N>();
        if split.is_none() {
            self.note_short(bytes, N, damage);
        }
        split
    }

    /// What follows the first `octets` octets.
    #[inline]
    pub(super) fn skip<'a>(&mut self, bytes: &'a [u8], octets: usize, damage: Damage) -> Option<&'a [u8]> {
        let rest = bytes.get(octets..);
        if rest.is_none() {
            self.note_short(bytes, octets, damage);
        }
        rest
    }

    /// The first `claim` octets, or all that there are, which is a damage unless the rest was cut off.
    #[inline]
    pub(super) fn limit<'a>(&mut self, bytes: &'a [u8], claim: usize, damage: Damage) -> &'a [u8] {
        bytes.get(..claim).unwrap_or_else(|| {
            self.note_claim(bytes, claim, damage);
            bytes
        })
    }

    /// As [`Self::limit`], of what ends before the frame does: what the snap length cut off behind it does not count.
    pub(super) fn bound<'a>(&mut self, bytes: &'a [u8], claim: usize, damage: Damage) -> &'a [u8] {
        let bounded = self.limit(bytes, claim, damage);
        self.cut_octets = self.cut_octets.min(claim.saturating_sub(bounded.len()));
        bounded
    }

    /// Ends the walk at something that is not read.
    #[cold]
    pub(super) fn leave<T>(&mut self, what: Unread) -> Option<T> {
        self.unread = Some(what);
        None
    }

    /// Notes a damage, unless there is one already.
    #[cold]
    pub(super) fn note(&mut self, damage: Damage) {
        self.damage.get_or_insert(damage);
    }

    /// Notes a damage and ends the walk.
    #[cold]
    pub(super) fn stop<T>(&mut self, damage: Damage) -> Option<T> {
        self.note(damage);
        None
    }

    #[cold]
    fn note_short(&mut self, bytes: &[u8], needed: usize, damage: Damage) {
        let was_cut = needed <= self.sent_octets(bytes);
        self.note(if was_cut { Damage::SnapLength } else { damage });
    }

    #[cold]
    fn note_claim(&mut self, bytes: &[u8], claim: usize, damage: Damage) {
        if claim > self.sent_octets(bytes) {
            self.note(damage);
        }
    }

    /// Length of `bytes` before the snap length cut the frame.
    pub(super) fn sent_octets(&self, bytes: &[u8]) -> usize {
        let reaches_the_end = bytes.as_ptr_range().end == self.end;
        bytes.len() + if reaches_the_end { self.cut_octets } else { 0 }
    }
}

//! The programs' clock, as it stands in front of a frame that was redirected.

use tapline_ebpf_common::FrameStamp;

use super::table::value;

/// When a frame came, on the programs' clock, ns; from the octets in front of it, which are a redirected frame's
/// metadata. `None` when they are something else.
///
/// The time is the one that the flow table has, whole µs after its pane's start.
#[must_use]
pub fn arrival_ns(in_front: &[u8]) -> Option<u64> {
    stamp(in_front.last_chunk::<{ size_of::<FrameStamp>() }>()?).map(|stamp| stamp.ts_ns)
}

/// The stamp that octets begin with.
pub(crate) fn stamp(octets: &[u8]) -> Option<FrameStamp> {
    value(octets).filter(|stamp: &FrameStamp| stamp.magic == FrameStamp::MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stamp_is_a_time() {
        let stamp = [FrameStamp::MAGIC.to_ne_bytes(), 77_u64.to_ne_bytes(), [0; 8], [0; 8]].concat();
        assert_eq!(arrival_ns(&stamp), Some(77));
        assert_eq!(arrival_ns(&[&[1, 2, 3][..], &stamp].concat()), Some(77));
        assert_eq!(arrival_ns(&stamp[1..]), None);
        assert_eq!(arrival_ns(&[0; 32]), None);
    }
}

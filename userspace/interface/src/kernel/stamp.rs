//! The programs' clock, as it stands in front of a frame that was redirected.

use tapline_ebpf_common::FrameStamp;

use super::table::value;

/// When a frame came, on the programs' clock, ns; from the octets in front of it, which are a redirected frame's
/// metadata. `None` when they are something else.
///
/// The time is the one that the flow table has, whole µs after its pane's start.
#[must_use]
pub fn arrival_ns(in_front: &[u8]) -> Option<u64> {
    let stamp: FrameStamp = value(in_front.last_chunk::<{ size_of::<FrameStamp>() }>()?)?;
    (stamp.magic == FrameStamp::MAGIC).then_some(stamp.ts_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stamp_is_a_time() {
        let stamp = [FrameStamp::MAGIC.to_ne_bytes(), 77_u64.to_ne_bytes()].concat();
        assert_eq!(arrival_ns(&stamp), Some(77));
        assert_eq!(arrival_ns(&[&[1, 2, 3][..], &stamp].concat()), Some(77));
        assert_eq!(arrival_ns(&stamp[1..]), None);
        assert_eq!(arrival_ns(&[0; 16]), None);
    }
}

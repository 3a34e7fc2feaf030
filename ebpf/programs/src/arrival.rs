//! When a frame arrived.

use tapline_ebpf_common::CARD_AWAY_NS_MAX;

/// When a frame arrived, on the programs' clock, and whether the card says so. It does where its time is near to that of
/// the program; a `card_ns` of zero is none.
#[inline(always)]
#[must_use]
pub const fn arrival(now_ns: u64, card_ns: u64, utc_offset_ns: u64) -> (u64, bool) {
    if card_ns == 0 || card_ns.abs_diff(now_ns.wrapping_add(utc_offset_ns)) > CARD_AWAY_NS_MAX {
        return (now_ns, false);
    }
    (card_ns.wrapping_sub(utc_offset_ns), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 5_000_000_000;
    const OFFSET: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn a_card_is_believed_where_its_clock_is_near() {
        for away_ns in [0, 1, 70_000, CARD_AWAY_NS_MAX] {
            assert_eq!(arrival(NOW, NOW + OFFSET - away_ns, OFFSET), (NOW - away_ns, true), "{away_ns}");
            assert_eq!(arrival(NOW, NOW + OFFSET + away_ns, OFFSET), (NOW + away_ns, true), "{away_ns}");
        }
    }

    #[test]
    fn a_card_without_a_time_or_with_another_clock_is_not() {
        let tai_ns = 37_000_000_000;
        let others = [0, NOW, NOW + OFFSET + tai_ns, NOW + OFFSET - CARD_AWAY_NS_MAX - 1, u64::MAX];
        for card_ns in others {
            assert_eq!(arrival(NOW, card_ns, OFFSET), (NOW, false), "{card_ns}");
        }
    }

    #[test]
    fn an_offset_may_be_below_zero() {
        let offset = 3_u64.wrapping_neg();
        assert_eq!(arrival(NOW, NOW - 5, offset), (NOW - 2, true));
    }
}

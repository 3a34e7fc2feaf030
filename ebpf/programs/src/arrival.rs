//! When a frame arrived.

use tapline_ebpf_common::CARD_AWAY_NS_MAX;

/// When a frame arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// On the programs' clock, ns.
    pub ns: u64,
    /// The card's time, if that is it, else zero.
    pub card_ns: u64,
}

/// When a frame arrived: by the card where its time is near to that of the program; a `card_ns` of zero is none.
///
/// Without branches, which the verifier would follow one by one through all that comes after.
#[inline(always)]
#[must_use]
pub const fn arrival(now_ns: u64, card_ns: u64, utc_offset_ns: u64) -> Arrival {
    let by_card_ns = card_ns.wrapping_sub(utc_offset_ns);
    // From zero to twice the distance where it is near, which the highest bits tell.
    let above = by_card_ns.wrapping_sub(now_ns).wrapping_add(CARD_AWAY_NS_MAX);
    let is_near = (above.wrapping_sub(2 * CARD_AWAY_NS_MAX + 1) & !above) as i64 >> 63;
    let mask = is_near as u64;
    Arrival { ns: now_ns.wrapping_add(by_card_ns.wrapping_sub(now_ns) & mask), card_ns: card_ns & mask }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 5_000_000_000;
    const OFFSET: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn a_card_is_believed_where_its_clock_is_near() {
        for away_ns in [0, 1, 70_000, CARD_AWAY_NS_MAX] {
            for ns in [NOW - away_ns, NOW + away_ns] {
                let card_ns = ns + OFFSET;
                assert_eq!(arrival(NOW, card_ns, OFFSET), Arrival { ns, card_ns });
            }
        }
    }

    #[test]
    fn a_card_without_a_time_or_with_another_clock_is_not() {
        let tai_ns = 37_000_000_000;
        let others = [0, NOW, NOW + OFFSET + tai_ns, NOW + OFFSET - CARD_AWAY_NS_MAX - 1, u64::MAX];
        for card_ns in others {
            assert_eq!(arrival(NOW, card_ns, OFFSET), Arrival { ns: NOW, card_ns: 0 }, "{card_ns}");
        }
    }

    #[test]
    fn an_offset_may_be_below_zero() {
        let offset = 3_u64.wrapping_neg();
        assert_eq!(arrival(NOW, NOW - 5, offset), Arrival { ns: NOW - 2, card_ns: NOW - 5 });
    }
}

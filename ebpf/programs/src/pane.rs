//! Which pane a time is in.

use tapline_ebpf_common::{PaneCache, PaneGrid};

/// The time of a frame: its pane, and µs since the pane's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneTime {
    /// Number of the pane in the grid.
    pub pane: u32,
    /// µs since the pane's start.
    pub us: u32,
}

/// Places a time, from the pane of the last frame if that is still the one.
#[inline(always)]
pub fn place(cache: &mut PaneCache, epoch: u32, grid: &PaneGrid, now_ns: u64) -> PaneTime {
    if cache.epoch != epoch || now_ns.wrapping_sub(cache.start_ns) >= cache.length_ns {
        *cache = find(epoch, grid, now_ns);
    }
    PaneTime { pane: cache.number, us: microseconds(since(now_ns, cache.start_ns)) }
}

/// A time before the grid's anchor is taken for the anchor; a grid without length has one pane.
#[cold]
#[inline(always)]
fn find(epoch: u32, grid: &PaneGrid, now_ns: u64) -> PaneCache {
    let number = since(now_ns, grid.anchor_ns).checked_div(grid.length_ns).unwrap_or(0) as u32;
    PaneCache { start_ns: grid.start_ns(number), length_ns: grid.length_ns, epoch, number }
}

/// How long a time is behind the start of a pane, ns; zero if it is in front of it. A pane may have begun before the boot,
/// from which the clock counts: its start is below zero then, and wraps around.
#[inline(always)]
const fn since(now_ns: u64, start_ns: u64) -> u64 {
    let since_ns = now_ns.wrapping_sub(start_ns);
    since_ns & !((since_ns.cast_signed() >> 63) as u64)
}

/// Whole µs in so many ns, an hour at the most, without a division: these cost most of what a frame may.
#[inline(always)]
#[must_use]
pub const fn microseconds(ns: u64) -> u32 {
    // 2²⁰ ns are 1048 µs and 576 ns; what is left is below 2³², where the factor below is exact.
    let high = ns >> 20;
    let left = high.wrapping_mul(576).wrapping_add(ns & 0xf_ffff);
    high.wrapping_mul(1048).wrapping_add(left.wrapping_mul(274_877_907) >> 38) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: PaneGrid = PaneGrid { anchor_ns: 5_000, length_ns: 1_000_000 };

    #[test]
    fn microseconds_are_exact() {
        let mut ns: u64 = 0;
        while ns < PaneGrid::LENGTH_NS_MAX {
            for near in [ns, ns / 1000 * 1000, (ns / 1000 * 1000).saturating_sub(1)] {
                assert_eq!(u64::from(microseconds(near)), near / 1000, "{near}");
            }
            ns += 1 + ns / 5_000;
        }
        let last = PaneGrid::LENGTH_NS_MAX - 1;
        assert_eq!(u64::from(microseconds(last)), last / 1000);
    }

    #[test]
    fn panes_follow_each_other() {
        let mut cache = PaneCache::default();
        let mut at = |now_ns| place(&mut cache, 0, &GRID, now_ns);
        assert_eq!(at(5_000), PaneTime { pane: 0, us: 0 });
        assert_eq!(at(1_004_999), PaneTime { pane: 0, us: 999 });
        assert_eq!(at(1_005_000), PaneTime { pane: 1, us: 0 });
        assert_eq!(at(9_006_999), PaneTime { pane: 9, us: 1 });
        assert_eq!(at(0), PaneTime { pane: 0, us: 0 });
    }

    #[test]
    fn a_pane_may_have_begun_before_the_boot() {
        let grid = PaneGrid { anchor_ns: 3_000_000_u64.wrapping_neg(), length_ns: 5_000_000 };
        let mut cache = PaneCache::default();
        let mut at = |now_ns| place(&mut cache, 0, &grid, now_ns);
        assert_eq!(at(7_000), PaneTime { pane: 0, us: 3_007 });
        assert_eq!(at(1_999_999), PaneTime { pane: 0, us: 4_999 });
        assert_eq!(at(2_000_000), PaneTime { pane: 1, us: 0 });
        assert_eq!(at(8_001_000), PaneTime { pane: 2, us: 1_001 });
    }

    #[test]
    fn another_epoch_has_another_grid() {
        let mut cache = PaneCache::default();
        assert_eq!(place(&mut cache, 0, &GRID, 2_005_000).pane, 2);
        let finer = PaneGrid { anchor_ns: 5_000, length_ns: 1_000 };
        assert_eq!(place(&mut cache, 1, &finer, 2_005_000), PaneTime { pane: 2_000, us: 0 });
    }

    #[test]
    fn a_grid_without_length_is_one_pane() {
        let mut cache = PaneCache::default();
        assert_eq!(place(&mut cache, 0, &PaneGrid::default(), 7_000), PaneTime { pane: 0, us: 7 });
    }
}

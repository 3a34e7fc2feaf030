//! The flow table's sets: eight entries, each a line of the cache.
//!
//! A flow stands in the set that its hash names, at the first entry that was free when it came, counted from one that
//! the hash names, too; so most flows are found at the first or second look, and the first free entry ends the search.
//! A full set gives up the entry that was used the longest time ago; the caller sends it out first, and leaves it if
//! it cannot. No entry becomes free but by the table's being emptied.

use tapline_ebpf_common::{FlowEntry, FlowKey, FlowSet, SET_WAYS};

use crate::pane::PaneTime;

/// Sums at which an entry is sent out, so that one more frame cannot overflow them.
const SUM_MAX: u32 = 1 << 31;

/// One frame, as the table sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Its flow.
    pub key: FlowKey,
    /// What an entry counts of it, see [`FlowEntry::one`]; or of the segments that it is cut into later, which are all in here.
    pub frames: u32,
    /// Octets of the IP packet.
    pub octets: u32,
    /// Octets of the frame.
    pub frame_octets: u32,
    /// When.
    pub at: PaneTime,
}

/// Where in its set a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The entry of its flow.
    Own(usize),
    /// An entry that nobody uses.
    Free(usize),
    /// The entry that was used the longest time ago, of another flow.
    Taken(usize),
}

/// Finds where a flow belongs, in its set and from its first entry on.
#[inline(always)]
#[must_use]
pub fn find(set: &FlowSet, first: usize, key: &FlowKey) -> Place {
    for step in 0..SET_WAYS {
        let way = (first + step) % SET_WAYS;
        let entry = &set[way];
        if is_same(&entry.key, key) && entry.counted != 0 {
            return Place::Own(way);
        }
        if entry.counted == 0 {
            return Place::Free(way);
        }
    }
    Place::Taken(oldest(set))
}

/// The entry that was used the longest time ago.
#[inline(always)]
fn oldest(set: &FlowSet) -> usize {
    let mut oldest = 0;
    let mut oldest_time = u64::MAX;
    for (way, entry) in set.iter().enumerate() {
        let time = u64::from(entry.pane) << 32 | u64::from(entry.last_us);
        if time < oldest_time {
            (oldest, oldest_time) = (way, time);
        }
    }
    oldest
}

/// Whether a frame of the entry's flow can be added to it.
#[inline(always)]
#[must_use]
pub const fn takes(entry: &FlowEntry, at: PaneTime) -> bool {
    entry.pane == at.pane && (entry.octets | entry.frame_octets) < SUM_MAX && !entry.is_full()
}

/// Adds a frame.
#[inline(always)]
pub const fn add(entry: &mut FlowEntry, seen: &Sighting) {
    entry.count(seen.frames);
    entry.octets += seen.octets;
    entry.frame_octets += seen.frame_octets;
    // The times of a card come out of order where several of its queues have one CPU.
    if seen.at.us >= entry.last_us {
        entry.last_us = seen.at.us;
    } else if seen.at.us < entry.first_us {
        entry.first_us = seen.at.us;
    }
}

/// An entry of one frame.
#[inline(always)]
#[must_use]
pub const fn begin(seen: &Sighting) -> FlowEntry {
    FlowEntry {
        key: seen.key,
        pane: seen.at.pane,
        counted: seen.frames,
        octets: seen.octets,
        frame_octets: seen.frame_octets,
        first_us: seen.at.us,
        last_us: seen.at.us,
    }
}

#[inline(always)]
const fn is_same(a: &FlowKey, b: &FlowKey) -> bool {
    let (a, b) = (a.words(), b.words());
    (a[4] ^ b[4]) | (a[3] ^ b[3]) | (a[2] ^ b[2]) | (a[1] ^ b[1]) | (a[0] ^ b[0]) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(flow: u64, pane: u32, us: u32) -> Sighting {
        let key = FlowKey::of_words([flow, 0, 0, 0, 1]);
        Sighting {
            key,
            frames: FlowEntry::one(None),
            octets: 46,
            frame_octets: 60,
            at: PaneTime { pane, us },
        }
    }

    #[test]
    fn a_set_fills_up_and_then_gives_up_its_oldest() {
        let mut set = FlowSet::default();
        for flow in 0..SET_WAYS as u64 {
            let place = find(&set, 5, &seen(flow, 0, 0).key);
            assert_eq!(place, Place::Free((5 + flow as usize) % SET_WAYS));
            set[(5 + flow as usize) % SET_WAYS] = begin(&seen(flow, 0, 10 + flow as u32));
        }
        assert_eq!(find(&set, 5, &seen(0, 0, 0).key), Place::Own(5));
        add(&mut set[5], &seen(0, 0, 90));
        assert_eq!((set[5].packets(), set[5].octets, set[5].frame_octets), (2, 92, 120));
        assert_eq!((set[5].first_us, set[5].last_us), (10, 90));
        assert_eq!(find(&set, 5, &seen(8, 0, 91).key), Place::Taken(6));
        assert_eq!(find(&set, 5, &seen(7, 0, 91).key), Place::Own(4));
    }

    #[test]
    fn times_out_of_order_are_within_first_and_last() {
        let mut entry = begin(&seen(0, 0, 50));
        for (us, expected) in [(60, (50, 60)), (55, (50, 60)), (40, (40, 60)), (70, (40, 70))] {
            add(&mut entry, &seen(0, 0, us));
            assert_eq!((entry.first_us, entry.last_us), expected);
        }
    }

    #[test]
    fn an_entry_of_an_earlier_pane_is_the_oldest() {
        let mut set = [1, 1, 1, 0, 1, 1, 1, 1].map(|pane| begin(&seen(pane.into(), pane, 5)));
        set[3].last_us = 900;
        assert_eq!(find(&set, 0, &seen(9, 1, 6).key), Place::Taken(3));
    }

    #[test]
    fn an_entry_ends_with_its_pane_or_before_its_sums_overflow() {
        let at = PaneTime { pane: 3, us: 0 };
        let mut entry = begin(&seen(0, 3, 0));
        assert!(takes(&entry, at) && !takes(&entry, PaneTime { pane: 4, us: 0 }));
        entry.frame_octets = u32::MAX >> 1;
        assert!(takes(&entry, at));
        add(&mut entry, &seen(0, 3, 0));
        assert!(!takes(&entry, at));
        let mut many = begin(&seen(0, 3, 0));
        while takes(&many, at) {
            (many.octets, many.frame_octets) = (0, 0);
            add(&mut many, &seen(0, 3, 0));
        }
        assert_eq!(many.packets(), 1 << 21);
    }
}

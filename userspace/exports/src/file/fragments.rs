//! Puts UDP datagrams together that came in pieces.
//!
//! Takes pieces in any order, gives the datagram, its header included, when it is whole. No more than
//! [`DATAGRAMS_MAX`] are kept; the oldest makes room, and its pieces count as lost. Buffers are used again.

use tapline_record::EventTime;

use super::packet::{Fragment, FragmentKey};

/// Datagrams kept at once.
const DATAGRAMS_MAX: usize = 64;

/// A datagram has its identification for itself no longer than this (RFC 8200 §4.5: a minute).
const AGE_NS_MAX: i64 = 60_000_000_000;

/// No datagram is longer.
const DATAGRAM_OCTETS_MAX: usize = 65_535;

/// Offsets are multiples of this.
const UNIT_OCTETS: usize = 8;

/// Datagrams that are not whole.
#[derive(Default)]
pub(super) struct FragmentTable {
    partial: Vec<Partial>,
    lost: u64,
}

struct Partial {
    /// `None` when the place is free.
    key: Option<FragmentKey>,
    first: EventTime,
    octets: Vec<u8>,
    /// Which units are there.
    has_unit: Vec<bool>,
    units: usize,
    /// Known with the last piece.
    total_octets: Option<usize>,
    pieces: u64,
}

impl FragmentTable {
    /// Adds a piece; gives the datagram to `visit` if it is whole then.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>, ts: EventTime, visit: impl FnOnce(&[u8])) {
        if !is_sound(fragment) {
            self.lost += 1;
            return;
        }
        let place = self.place(fragment.key, ts);
        let partial = &mut self.partial[place];
        partial.add(fragment);
        if let Some(datagram) = partial.whole() {
            visit(datagram);
            partial.free();
        }
    }

    /// Pieces of datagrams that are not whole.
    pub(super) fn lost(&self) -> u64 {
        self.lost + self.partial.iter().map(Partial::waiting).sum::<u64>()
    }

    /// Where the datagram of this key is, or may be put.
    fn place(&mut self, key: FragmentKey, ts: EventTime) -> usize {
        let known = self.partial.iter().position(|partial| partial.key == Some(key));
        if let Some(place) = known.filter(|&place| !self.partial[place].is_stale(ts)) {
            return place;
        }
        let free = || self.partial.iter().position(|partial| partial.key.is_none());
        let place = known.or_else(free).unwrap_or_else(|| self.new_place());
        self.lost += self.partial[place].waiting();
        self.partial[place].begin(key, ts);
        place
    }

    /// A place more, or that of the oldest datagram.
    fn new_place(&mut self) -> usize {
        if self.partial.len() < DATAGRAMS_MAX {
            self.partial.push(Partial::free_place());
            return self.partial.len() - 1;
        }
        let places = self.partial.iter().enumerate();
        places.min_by_key(|(_, partial)| partial.first).map_or(0, |(place, _)| place)
    }
}

/// Whether it lies within a datagram, and on its grid.
fn is_sound(fragment: &Fragment<'_>) -> bool {
    let Fragment { offset, is_last, octets, .. } = *fragment;
    let fits = offset + octets.len() <= DATAGRAM_OCTETS_MAX && !octets.is_empty();
    fits && (is_last || octets.len().is_multiple_of(UNIT_OCTETS))
}

impl Partial {
    const fn free_place() -> Self {
        Self {
            key: None,
            first: EventTime::MIN,
            octets: Vec::new(),
            has_unit: Vec::new(),
            units: 0,
            total_octets: None,
            pieces: 0,
        }
    }

    fn begin(&mut self, key: FragmentKey, first: EventTime) {
        self.free();
        self.key = Some(key);
        self.first = first;
    }

    fn free(&mut self) {
        self.octets.clear();
        self.has_unit.clear();
        (self.key, self.units, self.total_octets, self.pieces) = (None, 0, None, 0);
    }

    const fn waiting(&self) -> u64 {
        self.pieces
    }

    const fn is_stale(&self, now: EventTime) -> bool {
        now.0.saturating_sub(self.first.0) > AGE_NS_MAX
    }

    /// Where pieces overlap, the later one holds.
    fn add(&mut self, fragment: &Fragment<'_>) {
        let end = fragment.offset + fragment.octets.len();
        if self.octets.len() < end {
            self.octets.resize(end, 0);
            self.has_unit.resize(end.div_ceil(UNIT_OCTETS), false);
        }
        self.octets[fragment.offset..end].copy_from_slice(fragment.octets);
        for has_unit in &mut self.has_unit[fragment.offset / UNIT_OCTETS..end.div_ceil(UNIT_OCTETS)] {
            self.units += usize::from(!*has_unit);
            *has_unit = true;
        }
        self.pieces += 1;
        if fragment.is_last {
            self.total_octets = Some(end);
        }
    }

    /// The datagram, if every unit of it is there.
    fn whole(&self) -> Option<&[u8]> {
        let total_octets = self.total_octets?;
        let is_whole = self.has_unit.len() == self.units && self.octets.len() == total_octets;
        is_whole.then_some(&self.octets[..])
    }
}

//! Datagrams that are to be sent.
//!
//! Takes octets and where they end, gives datagrams one by one, or runs of equal length as segmentation offload
//! takes them. It keeps its memory when it is emptied.

/// Datagrams one after the other.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

/// Datagrams that are sent at once: all have the same length, but for the last, which may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The datagrams one after the other.
    pub octets: &'a [u8],
    /// Octets of each but the last.
    pub datagram_octets: usize,
    /// How many there are.
    pub datagrams: usize,
}

impl Outbox {
    /// Forgets all datagrams.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.ends.clear();
    }

    /// How many datagrams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Octets of all.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    /// The datagrams, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| &self.octets[self.start(index)..self.ends[index]])
    }

    /// The datagrams, in order, in runs of as many octets and datagrams at most.
    pub fn runs(&self, octets_max: usize, datagrams_max: usize) -> impl Iterator<Item = Run<'_>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let run = self.run(next, octets_max, datagrams_max)?;
            next += run.datagrams;
            Some(run)
        })
    }

    /// The longest run that begins there.
    fn run(&self, first: usize, octets_max: usize, datagrams_max: usize) -> Option<Run<'_>> {
        let start = self.start(first);
        let datagram_octets = self.ends.get(first)? - start;
        let mut last = first;
        while last + 1 < self.len()
            && last + 1 - first < datagrams_max
            && self.octets_of(last) == datagram_octets
            && self.octets_of(last + 1) <= datagram_octets
            && self.ends[last + 1] - start <= octets_max
        {
            last += 1;
        }
        let octets = &self.octets[start..self.ends[last]];
        Some(Run { octets, datagram_octets, datagrams: last + 1 - first })
    }

    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] }
    }

    fn octets_of(&self, index: usize) -> usize {
        self.ends[index] - self.start(index)
    }

    /// Where the next datagram is appended; [`Outbox::seal`] ends it.
    pub(super) fn open(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// What was appended since the last seal is a datagram.
    pub(super) fn seal(&mut self) {
        self.ends.push(self.octets.len());
    }

    /// What was appended since the last seal.
    pub(super) fn unsealed(&self) -> &[u8] {
        &self.octets[self.octets()..]
    }

    /// Takes back what was appended since the last seal.
    pub(super) fn discard(&mut self) {
        self.octets.truncate(self.octets());
    }

    /// Appends the last datagram again.
    pub(super) fn repeat_last(&mut self) {
        if let Some(last) = self.len().checked_sub(1) {
            self.octets.extend_from_within(self.start(last)..);
            self.seal();
        }
    }
}

impl<'a> Run<'a> {
    /// The datagrams, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.octets.chunks(self.datagram_octets.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(lengths: &[usize]) -> Outbox {
        let mut outbox = Outbox::default();
        for length in lengths {
            outbox.open().extend(vec![0; *length]);
            outbox.seal();
        }
        outbox
    }

    fn runs(lengths: &[usize], octets_max: usize, datagrams_max: usize) -> Vec<usize> {
        outbox(lengths).runs(octets_max, datagrams_max).map(|run| run.datagrams).collect()
    }

    #[test]
    fn a_run_is_of_one_length_and_may_end_shorter() {
        assert_eq!(runs(&[9, 9, 9, 5, 9, 9], 100, 64), [4, 2]);
        assert_eq!(runs(&[5, 9, 9], 100, 64), [1, 2]);
        assert_eq!(runs(&[], 100, 64), [0; 0]);
    }

    #[test]
    fn a_run_keeps_its_limits() {
        assert_eq!(runs(&[9; 7], 30, 64), [3, 3, 1]);
        assert_eq!(runs(&[9; 7], 100, 2), [2, 2, 2, 1]);
    }

    #[test]
    fn what_is_discarded_and_repeated() {
        let mut outbox = outbox(&[3, 4]);
        outbox.open().push(1);
        outbox.discard();
        outbox.repeat_last();
        assert_eq!(outbox.datagrams().map(<[u8]>::len).collect::<Vec<_>>(), [3, 4, 4]);
    }
}

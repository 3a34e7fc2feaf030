//! The sets of a NetFlow v9 or IPFIX message.
//!
//! Takes a message, gives its sets in order until its end, its padding, or a length that makes no sense; what
//! came before counts.

use super::undecodable::Undecodable;
use super::wire::u16_at;

/// Octets of a set's header.
pub(super) const SET_HEADER_OCTETS: usize = 4;

/// A set: its number, and what follows its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set<'a> {
    pub(super) id: u16,
    pub(super) body: &'a [u8],
}

/// Walks through the sets of a message.
#[derive(Clone, Debug)]
pub(super) struct Sets<'a> {
    rest: &'a [u8],
    broken: Option<Undecodable>,
}

impl<'a> Sets<'a> {
    /// The sets behind a header of `header_octets`.
    pub(super) fn new(message: &'a [u8], header_octets: usize) -> Self {
        Self { rest: message.get(header_octets..).unwrap_or_default(), broken: None }
    }

    /// Octets behind the last set, once all were given.
    pub(super) fn padding(&self) -> usize {
        if self.broken.is_none() { self.rest.len() } else { 0 }
    }

    /// Why the walk ended before the message did.
    pub(super) const fn broken(&self) -> Option<Undecodable> {
        self.broken
    }
}

impl<'a> Iterator for &mut Sets<'a> {
    type Item = Set<'a>;

    fn next(&mut self) -> Option<Set<'a>> {
        let (id, length) = (u16_at(self.rest, 0)?, usize::from(u16_at(self.rest, 2)?));
        // Exporters that send datagrams of one size fill them up with zeros.
        if self.broken.is_some() || id == 0 && length == 0 {
            return None;
        }
        let Some(set) = self.rest.get(..length).filter(|set| set.len() >= SET_HEADER_OCTETS) else {
            self.broken = Some(Undecodable::SetLength);
            return None;
        };
        self.rest = &self.rest[length..];
        Some(Set { id, body: &set[SET_HEADER_OCTETS..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(octets: &[u8]) -> (Vec<u16>, usize, Option<Undecodable>) {
        let mut sets = Sets::new(octets, 1);
        let ids = (&mut sets).map(|set| set.id).collect();
        (ids, sets.padding(), sets.broken())
    }

    #[test]
    fn what_came_before_the_end_counts() {
        assert_eq!(walk(&[9]), (vec![], 0, None));
        assert_eq!(walk(&[9, 1, 0, 0, 6, 7, 7, 0, 2, 0, 4]), (vec![256, 2], 0, None));
        assert_eq!(walk(&[9, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0]), (vec![256], 6, None), "padding");
        assert_eq!(walk(&[9, 1, 0, 0, 4, 1, 0, 0, 3]), (vec![256], 0, Some(Undecodable::SetLength)));
        assert_eq!(walk(&[9, 1, 0, 0, 4, 1, 0, 0, 9]), (vec![256], 0, Some(Undecodable::SetLength)));
        assert_eq!(walk(&[9, 1, 0, 0, 4, 1, 0]), (vec![256], 2, None));
    }
}

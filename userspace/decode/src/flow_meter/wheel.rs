//! A timing wheel: nodes in the order of the ticks at which they must be looked at.
//!
//! Takes (tick, node), gives the nodes of a tick in the order in which they were placed. A node is
//! in one list at most, and the lists are threaded through one vector, so memory is bounded by the
//! number of nodes.

use super::table::Node;

/// Lists of the wheel; ticks this far apart share one.
pub(super) const WHEEL_TICKS: i64 = 256;
/// The list of nodes that were taken from the wheel and wait to be looked at.
const TAKEN: u32 = WHEEL_TICKS as u32;
const LISTS: u32 = TAKEN + 1;

/// Circular lists, each through its own anchor; a node in no list is linked to itself, and so is
/// the anchor of an empty list.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The anchors of the lists, then the nodes.
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
}

impl Wheel {
    /// An empty wheel.
    pub(super) fn new() -> Self {
        Self { links: (0..LISTS).map(alone).collect() }
    }

    /// Puts `node` last in the list of `tick`, wherever it was before.
    pub(super) fn place(&mut self, tick: i64, node: Node) {
        let link = LISTS + node;
        let known = self.links.len() as u32;
        self.links.extend((known..=link).map(alone));
        self.unlink(link);
        self.splice(link, link, list_of(tick));
    }

    /// Takes the whole list of `tick`; [`Self::pop_taken`] gives its nodes.
    pub(super) fn take(&mut self, tick: i64) {
        let anchor = list_of(tick);
        let Link { previous: last, next: first } = self.links[anchor as usize];
        if first != anchor {
            self.links[anchor as usize] = alone(anchor);
            self.splice(first, last, TAKEN);
        }
    }

    /// The first node of what was taken; it is in no list then.
    pub(super) fn pop_taken(&mut self) -> Option<Node> {
        self.pop(TAKEN)
    }

    /// Takes a node out of its list, if it is in one.
    pub(super) fn remove(&mut self, node: Node) {
        self.unlink(LISTS + node);
    }

    /// The first node of the list of `tick`; it is in no list then.
    pub(super) fn pop_at(&mut self, tick: i64) -> Option<Node> {
        self.pop(list_of(tick))
    }

    fn pop(&mut self, anchor: u32) -> Option<Node> {
        let first = self.links[anchor as usize].next;
        self.unlink(first);
        first.checked_sub(LISTS)
    }

    fn unlink(&mut self, link: u32) {
        let Link { previous, next } = self.links[link as usize];
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
        self.links[link as usize] = alone(link);
    }

    /// Appends the chain from `first` to `last` to the list of `anchor`.
    fn splice(&mut self, first: u32, last: u32, anchor: u32) {
        let end = self.links[anchor as usize].previous;
        self.links[end as usize].next = first;
        self.links[first as usize].previous = end;
        self.links[last as usize].next = anchor;
        self.links[anchor as usize].previous = last;
    }
}

const fn alone(link: u32) -> Link {
    Link { previous: link, next: link }
}

const fn list_of(tick: i64) -> u32 {
    tick.rem_euclid(WHEEL_TICKS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(wheel: &mut Wheel, tick: i64) -> Vec<Node> {
        wheel.take(tick);
        std::iter::from_fn(|| wheel.pop_taken()).collect()
    }

    #[test]
    fn a_tick_gives_its_nodes_in_order() {
        let mut wheel = Wheel::new();
        for node in [4, 0, 9] {
            wheel.place(-3, node);
        }
        wheel.place(5, 2);
        assert_eq!(taken(&mut wheel, -3), [4, 0, 9]);
        assert_eq!(taken(&mut wheel, -3), [0; 0]);
        assert_eq!(taken(&mut wheel, 5 + WHEEL_TICKS), [2], "a turn later is the same list");
    }

    #[test]
    fn a_node_is_where_it_was_placed_last() {
        let mut wheel = Wheel::new();
        for node in 0..3 {
            wheel.place(1, node);
        }
        wheel.place(2, 1);
        wheel.place(2, 1);
        assert_eq!(wheel.pop_at(1), Some(0));
        assert_eq!(taken(&mut wheel, 1), [2]);
        assert_eq!(taken(&mut wheel, 2), [1]);
        assert_eq!(wheel.pop_at(2), None);
    }

    #[test]
    fn nodes_may_be_placed_back_while_a_list_is_worked_through() {
        let mut wheel = Wheel::new();
        wheel.place(7, 0);
        wheel.place(7, 1);
        wheel.take(7);
        while let Some(node) = wheel.pop_taken() {
            wheel.place(7, node);
        }
        assert_eq!(taken(&mut wheel, 7), [0, 1]);
    }
}

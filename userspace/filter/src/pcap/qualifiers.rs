//! What is said of an address, a port or a number in front of it.

use super::lexer::Token;
use super::names::Layer;
use crate::condition::Condition;
use crate::field::Field;
use crate::predicate::Operand;
use crate::ranges::Ranges;

/// What is said in front of an address, a port or a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qualifiers {
    pub(super) layer: Option<Layer>,
    pub(super) way: Way,
    pub(super) kind: Option<What>,
}

/// An address, a port or a number, and all that is said of it.
#[derive(Clone, Copy)]
pub(super) struct Id<'a> {
    pub(super) word: &'a str,
    /// The first one of what is said, and its own.
    pub(super) tokens: [Token<'a>; 2],
    pub(super) qualifiers: Qualifiers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Either,
    Source,
    Destination,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

impl Way {
    /// Whether the fields of this way hold one of these numbers.
    pub(super) fn holds(self, [src, dst]: [Field; 2], ranges: &Ranges) -> Condition {
        let of = |field| Condition::Within(Operand::of(field), ranges.clone());
        match self {
            Self::Either => Condition::Any(vec![of(src), of(dst)]),
            Self::Source => of(src),
            Self::Destination => of(dst),
            Self::Both => Condition::All(vec![of(src), of(dst)]),
        }
    }
}

//! Conditions as SQL knows them: with NOT, and with NULL as a third value.
//!
//! A comparison of a field that a frame does not carry is neither true nor false, and neither is NOT of it. A frame is
//! kept where the whole is true.

use crate::field::Field;
use crate::predicate::{Operand, Predicate};
use crate::ranges::Ranges;
use std::net::IpAddr;
use tapline_record::address::{from_ip, mapped_v4};

/// What is compared how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The same with its sides changed.
    #[must_use]
    pub const fn turned(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// The numbers up to `max` of which it is true.
    pub(crate) fn ranges(self, number: u128, max: u128) -> Ranges {
        let equal = || Ranges::of([number]);
        let less = || number.checked_sub(1).map_or_else(Ranges::default, |last| Ranges::between(0, last));
        let up_to = || Ranges::between(0, number);
        match self {
            Self::Equal => equal(),
            Self::NotEqual => equal().others(max),
            Self::Less => less(),
            Self::LessOrEqual => up_to(),
            Self::Greater => up_to().others(max),
            Self::GreaterOrEqual => less().others(max),
        }
    }
}

/// A condition on one frame.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The operand is one of these numbers; NULL where the frame does not carry it.
    Within(Operand, Ranges),
    /// `IS NULL`
    IsNull(Field),
    /// `NOT`
    Not(Box<Self>),
    /// `AND` between all of these.
    All(Vec<Self>),
    /// `OR` between all of these.
    Any(Vec<Self>),
    /// `IS TRUE`: false where it is NULL, as what has only two values.
    IsTrue(Box<Self>),
    /// What cannot be said here. It is left out such that more frames are kept, and never fewer.
    Unsaid,
}

/// Which outcome of a condition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    True,
    False,
    NotTrue,
    NotFalse,
}

impl Wanted {
    /// What the condition behind NOT has to be.
    const fn behind_not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::NotTrue => Self::NotFalse,
            Self::NotFalse => Self::NotTrue,
        }
    }

    /// Whether what has only two values has to be true.
    const fn is_positive(self) -> bool {
        matches!(self, Self::True | Self::NotFalse)
    }
}

impl Condition {
    /// A field, or some bits of one, compared with a number.
    #[must_use]
    pub fn compare(what: impl Into<Operand>, comparison: Comparison, number: u128) -> Self {
        let operand = what.into();
        Self::Within(operand, comparison.ranges(number, operand.max()))
    }

    /// A field `BETWEEN first AND last`.
    #[must_use]
    pub fn between(field: Field, first: u128, last: u128) -> Self {
        Self::Within(Operand::of(field), Ranges::between(first, last))
    }

    /// A field `IN (…)`; no number is NULL.
    #[must_use]
    pub fn is_in(field: Field, numbers: impl IntoIterator<Item = u128>) -> Self {
        Self::Within(Operand::of(field), Ranges::of(numbers))
    }

    /// `cidr(field, 'network/bits')`: addresses of the prefix, of its own family only.
    #[must_use]
    pub fn prefix(field: Field, network: IpAddr, bits: u8) -> Self {
        Self::Within(Operand::of(field), prefix(network, bits))
    }

    /// `IS NOT NULL`
    #[must_use]
    pub fn is_not_null(field: Field) -> Self {
        Self::Not(Box::new(Self::IsNull(field)))
    }

    /// What holds of the frames of which it is true.
    #[must_use]
    pub fn predicate(&self) -> Predicate {
        self.being(Wanted::True)
    }

    fn being(&self, wanted: Wanted) -> Predicate {
        let all = |parts: &[Self]| Predicate::all(parts.iter().map(|part| part.being(wanted)));
        let any = |parts: &[Self]| Predicate::any(parts.iter().map(|part| part.being(wanted)));
        let is_positive = wanted.is_positive();
        match self {
            Self::Within(operand, ranges) => within(*operand, ranges, wanted),
            Self::IsNull(field) if is_positive => Predicate::null(*field),
            Self::IsNull(field) => Predicate::not_null(*field),
            Self::Not(inner) => inner.being(wanted.behind_not()),
            Self::All(parts) => {
                if is_positive {
                    all(parts)
                } else {
                    any(parts)
                }
            }
            Self::Any(parts) => {
                if is_positive {
                    any(parts)
                } else {
                    all(parts)
                }
            }
            Self::IsTrue(inner) => inner.being(if is_positive { Wanted::True } else { Wanted::NotTrue }),
            Self::Unsaid => Predicate::ALWAYS,
        }
    }
}

fn within(operand: Operand, ranges: &Ranges, wanted: Wanted) -> Predicate {
    let ranges = if wanted.is_positive() { ranges.clone() } else { ranges.others(operand.max()) };
    let there = Predicate::within(operand, ranges);
    match wanted {
        Wanted::True | Wanted::False => there,
        Wanted::NotTrue | Wanted::NotFalse => Predicate::any([Predicate::null(operand.field), there]),
    }
}

/// The addresses of a prefix, of its own family only; bits beyond those of an address are none.
pub(crate) fn prefix(network: IpAddr, bits: u8) -> Ranges {
    let mapped_bits = if network.is_ipv4() { 96 } else { 0 };
    let host_bits = 128_u32.saturating_sub(mapped_bits + u32::from(bits));
    let hosts = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit - 1);
    let first = u128::from_be_bytes(from_ip(network)) & !hosts;
    let last = first | hosts;
    if network.is_ipv4() {
        return Ranges::between(first, last);
    }
    [(first, last.min(MAPPED.0 - 1)), (first.max(MAPPED.1 + 1), last)].into_iter().collect()
}

/// The first and the last IPv4 address as columns hold them.
pub(crate) const MAPPED: (u128, u128) =
    (u128::from_be_bytes(mapped_v4([0; 4])), u128::from_be_bytes(mapped_v4([u8::MAX; 4])));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Values;

    /// A frame of which one port is known, or none.
    struct Port(Option<u128>);

    impl Values for Port {
        fn value(&self, field: Field) -> Option<u128> {
            self.0.filter(|_| field == Field::SrcPort)
        }
    }

    fn is_http() -> Condition {
        Condition::compare(Field::SrcPort, Comparison::Equal, 80)
    }

    fn kept(condition: &Condition) -> [bool; 3] {
        let predicate = condition.predicate();
        [Some(80), Some(81), None].map(|port| predicate.holds(&Port(port)))
    }

    #[test]
    fn null_is_neither_equal_nor_unequal() {
        let not = |inner| Condition::Not(Box::new(inner));
        assert_eq!(kept(&is_http()), [true, false, false]);
        assert_eq!(kept(&not(is_http())), [false, true, false]);
        assert_eq!(kept(&not(not(is_http()))), [true, false, false]);
        let is_true = Condition::IsTrue(Box::new(is_http()));
        assert_eq!(kept(&not(is_true.clone())), [false, true, true]);
        assert_eq!(kept(&not(not(is_true))), [true, false, false]);
        assert_eq!(kept(&Condition::IsNull(Field::SrcPort)), [false, false, true]);
        assert_eq!(kept(&Condition::is_not_null(Field::SrcPort)), [true, true, false]);
    }

    #[test]
    fn not_is_moved_to_the_leaves() {
        let both = Condition::All(vec![is_http(), Condition::IsNull(Field::Vlan)]);
        let neither =
            Condition::Not(Box::new(Condition::Any(vec![is_http(), Condition::IsNull(Field::Vlan)])));
        assert_eq!(kept(&Condition::Not(Box::new(both))), [false, true, false]);
        assert_eq!(kept(&neither), [false; 3], "no frame has a tag");
    }

    #[test]
    fn what_cannot_be_said_only_widens() {
        let not = |inner| Condition::Not(Box::new(inner));
        assert_eq!(kept(&Condition::All(vec![is_http(), Condition::Unsaid])), [true, false, false]);
        assert_eq!(kept(&not(Condition::All(vec![is_http(), Condition::Unsaid]))), [true; 3]);
        assert_eq!(kept(&not(Condition::Any(vec![is_http(), Condition::Unsaid]))), [false, true, false]);
    }

    #[test]
    fn prefixes_hold_addresses_of_their_family() {
        let holds = |network: &str, bits, address: &str| {
            let address = u128::from_be_bytes(from_ip(address.parse().unwrap()));
            prefix(network.parse().unwrap(), bits).holds(address)
        };
        assert!(holds("10.0.0.0", 8, "10.255.0.1") && !holds("10.0.0.0", 8, "11.0.0.0"));
        assert!(holds("0.0.0.0", 0, "255.255.255.255") && !holds("0.0.0.0", 0, "2001:db8::1"));
        assert!(holds("::", 0, "2001:db8::1") && !holds("::", 0, "10.0.0.1"));
        assert!(holds("2001:db8::", 32, "2001:db8:ffff::1") && !holds("2001:db8::", 32, "2001:db9::"));
        assert!(holds("::1", 128, "::1") && !holds("::1", 128, "::2"));
    }
}

//! A condition in its normal form: what holds of a frame, or does not.
//!
//! Here is no NOT and no third value. Whatever is left out of such a predicate, by taking it for one that always holds,
//! lets more through, and never less.

use crate::field::{Field, Values};
use crate::ranges::Ranges;
use std::collections::{BTreeMap, BTreeSet};

/// A field, or some bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operand {
    pub(crate) field: Field,
    pub(crate) mask: Option<u64>,
}

impl Operand {
    /// The whole field.
    #[must_use]
    pub const fn of(field: Field) -> Self {
        Self { field, mask: None }
    }

    /// The bits of a field of at most 64 that `mask` has.
    #[must_use]
    pub const fn masked(field: Field, mask: u64) -> Self {
        Self { field, mask: Some(mask) }
    }

    /// Its value in a frame.
    #[inline]
    pub fn value(self, values: &impl Values) -> Option<u128> {
        values.value(self.field).map(|value| self.part_of(value))
    }

    /// What it is of a value of the field.
    pub(crate) fn part_of(self, value: u128) -> u128 {
        self.mask.map_or(value, |mask| value & u128::from(mask))
    }

    /// The largest value.
    pub(crate) fn max(self) -> u128 {
        self.part_of(self.field.max())
    }
}

impl From<Field> for Operand {
    fn from(field: Field) -> Self {
        Self::of(field)
    }
}

/// What holds of a frame, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// All of these hold; always, where there are none.
    All(Vec<Self>),
    /// One of these holds; never, where there are none.
    Any(Vec<Self>),
    /// The frame carries the field, and the operand is one of these numbers.
    Within(Operand, Ranges),
    /// The frame does not carry the field.
    Null(Field),
    /// The frame carries the field.
    NotNull(Field),
}

impl Predicate {
    /// The one that always holds.
    pub const ALWAYS: Self = Self::All(vec![]);
    /// The one that never does.
    pub const NEVER: Self = Self::Any(vec![]);

    /// Whether it holds.
    #[must_use]
    #[inline]
    pub fn holds(&self, values: &impl Values) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(values)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(values)),
            Self::Within(operand, ranges) => operand.value(values).is_some_and(|value| ranges.holds(value)),
            Self::Null(field) => values.value(*field).is_none(),
            Self::NotNull(field) => values.value(*field).is_some(),
        }
    }

    /// The fields that it looks at.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<Field> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::fields).collect(),
            Self::Within(Operand { field, .. }, _) | Self::Null(field) | Self::NotNull(field) => {
                BTreeSet::from([*field])
            }
        }
    }

    /// A field that it looks at and that is not the same of all frames of a flow, if there is one.
    #[must_use]
    pub fn not_of_flows(&self) -> Option<Field> {
        self.fields().into_iter().find(|field| !field.is_of_flow())
    }

    /// Whether it always holds, as far as its form says.
    #[must_use]
    pub const fn is_always(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Whether it never holds, as far as its form says.
    #[must_use]
    pub const fn is_never(&self) -> bool {
        matches!(self, Self::Any(parts) if parts.is_empty())
    }

    pub(crate) fn null(field: Field) -> Self {
        if field.is_nullable() { Self::Null(field) } else { Self::NEVER }
    }

    pub(crate) fn not_null(field: Field) -> Self {
        if field.is_nullable() { Self::NotNull(field) } else { Self::ALWAYS }
    }

    pub(crate) fn within(operand: Operand, ranges: Ranges) -> Self {
        if ranges.is_empty() {
            return Self::NEVER;
        }
        if ranges.others(operand.max()).is_empty() {
            return Self::not_null(operand.field);
        }
        Self::Within(operand, ranges)
    }

    /// All of these. Numbers that one operand is compared with are one set.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Joined::default();
        for part in parts {
            match part {
                part if part.is_never() => return Self::NEVER,
                Self::All(parts) => parts.into_iter().for_each(|part| kept.add(part)),
                part => kept.add(part),
            }
        }
        let kept = kept.finish(|operand, sets| common(sets, operand.max()));
        if kept.iter().any(Self::is_never) {
            return Self::NEVER;
        }
        only_one(kept).unwrap_or_else(Self::All)
    }

    /// One of these. Numbers that one operand is compared with are one set.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Joined::default();
        for part in parts {
            match part {
                part if part.is_always() => return Self::ALWAYS,
                Self::Any(parts) => parts.into_iter().for_each(|part| kept.add(part)),
                part => kept.add(part),
            }
        }
        let kept = kept.finish(|_, sets| united(sets));
        if kept.iter().any(Self::is_always) {
            return Self::ALWAYS;
        }
        only_one(kept).unwrap_or_else(Self::Any)
    }

    /// The same without the parts that look at fields for which `is_known` says no; these hold always then.
    #[must_use]
    pub fn widened(&self, is_known: &impl Fn(Field) -> bool) -> Self {
        match self {
            Self::All(parts) => Self::all(parts.iter().map(|part| part.widened(is_known))),
            Self::Any(parts) => Self::any(parts.iter().map(|part| part.widened(is_known))),
            Self::Within(Operand { field, .. }, _) | Self::Null(field) | Self::NotNull(field) => {
                if is_known(*field) { self.clone() } else { Self::ALWAYS }
            }
        }
    }
}

/// The part, if there is no other; else all of them.
fn only_one(mut parts: Vec<Predicate>) -> Result<Predicate, Vec<Predicate>> {
    match (parts.pop(), parts.is_empty()) {
        (Some(part), true) => Ok(part),
        (last, _) => {
            parts.extend(last);
            Err(parts)
        }
    }
}

/// Parts of which one is to hold, or all are.
#[derive(Default)]
struct Joined {
    parts: Vec<Predicate>,
    /// Of each operand the place of its part, and all that it is compared with.
    compared: BTreeMap<Operand, (usize, Vec<Ranges>)>,
}

impl Joined {
    fn add(&mut self, part: Predicate) {
        let Predicate::Within(operand, ranges) = part else { return self.parts.push(part) };
        let (_, all) = self.compared.entry(operand).or_insert_with(|| {
            self.parts.push(Predicate::NEVER);
            (self.parts.len() - 1, vec![])
        });
        all.push(ranges);
    }

    /// The parts, with the numbers that an operand is compared with as one set.
    fn finish(mut self, one_set: impl Fn(Operand, &[Ranges]) -> Ranges) -> Vec<Predicate> {
        for (operand, (place, mut ranges)) in self.compared {
            let ranges =
                if ranges.len() > 1 { one_set(operand, &ranges) } else { ranges.pop().unwrap_or_default() };
            if let Some(part) = self.parts.get_mut(place) {
                *part = Predicate::within(operand, ranges);
            }
        }
        self.parts
    }
}

/// The numbers in any of these sets.
fn united(sets: &[Ranges]) -> Ranges {
    sets.iter().flat_map(Ranges::as_slice).copied().collect()
}

/// The numbers up to `max` in all of these sets.
fn common(sets: &[Ranges], max: u128) -> Ranges {
    let others: Vec<_> = sets.iter().map(|set| set.others(max)).collect();
    united(&others).others(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u128) -> Predicate {
        Predicate::within(Operand::of(Field::SrcPort), Ranges::of([number]))
    }

    #[test]
    fn numbers_of_one_field_are_one_set() {
        let any = Predicate::any([port(80), Predicate::Null(Field::Vlan), port(443), port(81)]);
        let set = Ranges::of([80, 81, 443]);
        let expected =
            vec![Predicate::Within(Operand::of(Field::SrcPort), set), Predicate::Null(Field::Vlan)];
        assert_eq!(any, Predicate::Any(expected));
        let flags =
            |mask| Predicate::within(Operand::masked(Field::TcpFlags, mask), Ranges::of([mask.into()]));
        assert!(matches!(Predicate::any([flags(1), flags(2)]), Predicate::Any(parts) if parts.len() == 2));
        let of = |ranges| Predicate::within(Operand::of(Field::SrcPort), ranges);
        let both =
            [of(Ranges::between(10, 20)), of(Ranges::of([15]).others(65_535)), of(Ranges::between(0, 16))];
        assert_eq!(Predicate::all(both), of([(10, 14), (16, 16)].into_iter().collect()));
        assert!(Predicate::all([port(1), port(2)]).is_never());
    }

    #[test]
    fn what_always_or_never_holds_vanishes() {
        assert!(Predicate::all([]).is_always() && Predicate::any([]).is_never());
        assert_eq!(Predicate::all([Predicate::ALWAYS, port(1)]), port(1));
        assert_eq!(Predicate::any([Predicate::NEVER, port(1)]), port(1));
        assert!(Predicate::all([port(1), Predicate::NEVER]).is_never());
        assert!(Predicate::any([port(1), Predicate::ALWAYS]).is_always());
        let every = Predicate::within(Operand::of(Field::SrcPort), Ranges::between(0, 65_535));
        assert_eq!(every, Predicate::NotNull(Field::SrcPort));
        assert!(
            Predicate::within(Operand::of(Field::FrameOctets), Ranges::between(0, u128::MAX)).is_always()
        );
    }

    #[test]
    fn a_part_that_is_left_out_lets_more_through() {
        let ethertype = Predicate::within(Operand::of(Field::Ethertype), Ranges::of([0x806]));
        let known = |field| field != Field::Ethertype;
        assert_eq!(Predicate::all([ethertype.clone(), port(1)]).widened(&known), port(1));
        assert!(Predicate::any([ethertype, port(1)]).widened(&known).is_always());
    }
}

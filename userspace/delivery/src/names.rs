//! Who sends, and what identifies that which is sent.

use std::fmt;
use std::sync::Arc;

/// The name of a sensor, or of an aggregator that forwards; its transport vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorName(Arc<str>);

impl SensorName {
    /// A name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is as a pattern has it, in which `*` stands for any letters and `?` for one.
    #[must_use]
    pub fn is_like(&self, pattern: &str) -> bool {
        let (name, pattern): (Vec<char>, Vec<char>) = (self.0.chars().collect(), pattern.chars().collect());
        let (mut next, mut at) = (0, 0);
        // The last star, and up to where it stands for letters.
        let mut star = None;
        while let Some(letter) = name.get(next) {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, next));
                    at += 1;
                }
                Some(wanted) if *wanted == '?' || wanted == letter => (at, next) = (at + 1, next + 1),
                _ => {
                    let Some((place, reached)) = star else { return false };
                    star = Some((place, reached + 1));
                    (at, next) = (place + 1, reached + 1);
                }
            }
        }
        pattern.get(at..).is_some_and(|rest| rest.iter().all(|letter| *letter == '*'))
    }
}

impl fmt::Display for SensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One life of a sender: a later one has a greater number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The one behind `previous`: what was drawn (wall clock in ns, lowest bits at random) where that is greater.
    ///
    /// So two copies of one disk begin different ones, and a clock that was put back does no harm.
    #[must_use]
    pub fn after(previous: Self, drawn: u64) -> Self {
        Self(previous.0.saturating_add(1).max(drawn))
    }
}

/// What a sender's memory of its numbers is called; drawn at random when there is none, and kept with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(pub u64);

/// Where a record stands among all of its sender: which incarnation made it, and as which one, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Who made it.
    pub incarnation: Incarnation,
    /// Which of its records it is.
    pub number: u64,
}

impl Position {
    /// Before the first record.
    pub const START: Self = Self { incarnation: Incarnation(0), number: 0 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation.0, self.number)
    }
}

/// A lower half of one life of one query: a query that comes back has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HalfId(pub u64);

/// What two ends must have in common to merge states of a half: plan, versions of states, layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

/// A stretch of event time in nanoseconds since the epoch, its end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Its first instant.
    pub start: i64,
    /// Its end.
    pub end: i64,
}

/// What an aggregator's clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds by a clock that is never set: how long something lasts.
    pub steady_ns: i64,
    /// Nanoseconds since the epoch: how far times that senders claim may lie ahead.
    pub wall_ns: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnations_grow_whatever_the_clock_says() {
        assert_eq!(Incarnation::after(Incarnation(7), 1_000), Incarnation(1_000));
        assert_eq!(Incarnation::after(Incarnation(7), 3), Incarnation(8));
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        let cases = [
            ("*", "pop-1", true),
            ("pop-1", "pop-1", true),
            ("pop-1", "pop-12", false),
            ("pop-*", "pop-12", true),
            ("*-12", "pop-12", true),
            ("p*-*2", "pop-12", true),
            ("p*x*2", "pop-12", false),
            ("a*a", "a", false),
            ("pop-?", "pop-1", true),
            ("pop-?", "pop-12", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(SensorName::new(name).is_like(pattern), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_later_incarnation_is_behind_all_of_an_earlier_one() {
        let position = |incarnation, number| Position { incarnation: Incarnation(incarnation), number };
        assert!(position(1, u64::MAX) < position(2, 1) && Position::START < position(0, 1));
    }
}

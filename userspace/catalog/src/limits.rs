//! What a query may take: as a node says it of all, and as is said of one.

use std::fmt;
use std::str::FromStr;
use tapline_engine::QueryLimits;

/// What every program that reads JSON takes as it is.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// What is done about a query that works more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beyond {
    /// It gets no new groups: their rows are folded. One without groups is sampled.
    Fold,
    /// It reads some of the rows; its completeness says which part.
    Sample,
    /// It ends.
    Stop,
}

/// What a query may take, as far as it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Groups of one aggregate in one pane.
    pub groups_max: Option<u64>,
    /// Octets that are held for open windows.
    pub octets_max: Option<u64>,
    /// Rows that a query without an aggregate gives in a second.
    pub rows_per_second_max: Option<u64>,
    /// Nanoseconds of work a row.
    pub work_max_ns: Option<u64>,
    /// What is done where the work is more.
    pub beyond: Option<Beyond>,
}

/// How much a query may work, and what is done where it is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkLimit {
    /// Nanoseconds a row.
    pub(crate) ns_max: u64,
    pub(crate) beyond: Beyond,
}

impl Allowance {
    /// What may be said, in the order in which it is written.
    pub const KEYS: [&str; 5] = ["groups_max", "octets_max", "rows_per_second_max", "work_max_ns", "beyond"];

    /// All that a query of an engine with these limits may take.
    #[must_use]
    pub fn of(limits: &QueryLimits) -> Self {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Self {
            groups_max: Some(number(limits.groups_max)),
            octets_max: Some(number(limits.held.octets_max)),
            rows_per_second_max: limits.rows_per_second_max,
            ..Self::default()
        }
    }

    /// Says one thing, which is one of [`Self::KEYS`].
    ///
    /// # Errors
    /// What would be right, when the value cannot be read or is nothing.
    pub fn say(&mut self, key: &str, value: &str) -> Result<(), String> {
        if key == "beyond" {
            self.beyond = Some(value.parse()?);
            return Ok(());
        }
        let number = value.replace('_', "").parse().ok().filter(|number| (1..=NUMBER_MAX).contains(number));
        let number =
            number.ok_or_else(|| format!("write a number from 1 to {NUMBER_MAX}, such as 100_000"))?;
        if let Some(place) = self.number_mut(key) {
            *place = Some(number);
        }
        Ok(())
    }

    fn number_mut(&mut self, key: &str) -> Option<&mut Option<u64>> {
        Some(match key {
            "groups_max" => &mut self.groups_max,
            "octets_max" => &mut self.octets_max,
            "rows_per_second_max" => &mut self.rows_per_second_max,
            "work_max_ns" => &mut self.work_max_ns,
            _ => return None,
        })
    }

    /// What was said, by key.
    pub fn said(&self) -> impl Iterator<Item = (&'static str, String)> {
        let numbers = [self.groups_max, self.octets_max, self.rows_per_second_max, self.work_max_ns];
        let values = numbers.map(|number| number.map(|number| number.to_string()));
        let values = values.into_iter().chain([self.beyond.map(|beyond| beyond.to_string())]);
        Self::KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)))
    }

    /// What a query may take of which this was said, where `all` may take so much.
    ///
    /// # Errors
    /// When it is more than a query of this node may take.
    pub(crate) fn within(&self, all: &Self) -> Result<Self, String> {
        let less = |key: &str, own: Option<u64>, all: Option<u64>| match (own, all) {
            (Some(own), Some(all)) if own > all => {
                Err(format!("{key}: a query of this node may take at most {all}"))
            }
            _ => Ok(own.or(all)),
        };
        if let (Some(own), Some(node)) = (self.beyond, all.beyond)
            && own < node
        {
            return Err(format!("beyond: this node says {node}, which is more than {own}"));
        }
        Ok(Self {
            groups_max: less("groups_max", self.groups_max, all.groups_max)?,
            octets_max: less("octets_max", self.octets_max, all.octets_max)?,
            rows_per_second_max: less(
                "rows_per_second_max",
                self.rows_per_second_max,
                all.rows_per_second_max,
            )?,
            work_max_ns: less("work_max_ns", self.work_max_ns, all.work_max_ns)?,
            beyond: self.beyond.or(all.beyond),
        })
    }

    /// As an engine takes it, with `others` for what is not said.
    pub(crate) fn limits(&self, others: QueryLimits) -> QueryLimits {
        let number = |said: Option<u64>, other: usize| {
            said.map_or(other, |said| usize::try_from(said).unwrap_or(usize::MAX))
        };
        let mut limits = others;
        limits.groups_max = number(self.groups_max, others.groups_max);
        limits.held.octets_max = number(self.octets_max, others.held.octets_max);
        limits.rows_per_second_max = self.rows_per_second_max.or(others.rows_per_second_max);
        limits.is_alone |= self.work_max_ns.is_some();
        limits
    }

    /// How much the query may work; `has_groups` says whether its rows can be folded.
    pub(crate) fn work(&self, has_groups: bool) -> Option<WorkLimit> {
        let beyond = match self.beyond.unwrap_or(Beyond::Sample) {
            Beyond::Fold if !has_groups => Beyond::Sample,
            beyond => beyond,
        };
        self.work_max_ns.map(|ns_max| WorkLimit { ns_max, beyond })
    }
}

impl FromStr for Beyond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fold" => Ok(Self::Fold),
            "sample" => Ok(Self::Sample),
            "stop" => Ok(Self::Stop),
            _ => Err("write fold, sample or stop".to_owned()),
        }
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fold => "fold",
            Self::Sample => "sample",
            Self::Stop => "stop",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&str, &str)]) -> Result<Allowance, String> {
        let mut allowance = Allowance::default();
        let mut say = |(key, value): &(&str, &str)| {
            allowance.say(key, value).map_err(|wrong| format!("{key}: {wrong}"))
        };
        pairs.iter().try_for_each(&mut say)?;
        Ok(allowance)
    }

    #[test]
    fn what_is_said_reads_back() {
        let pairs = [
            ("groups_max", "1_000"),
            ("octets_max", "65536"),
            ("rows_per_second_max", "10"),
            ("work_max_ns", "500"),
            ("beyond", "stop"),
        ];
        let allowance = said(&pairs).unwrap();
        let back: Vec<_> = allowance.said().map(|(key, value)| (key, value.replace('_', ""))).collect();
        let expected = pairs.map(|(key, value)| (key, value.replace('_', "")));
        assert_eq!(back, expected);
        for key in &Allowance::KEYS[..4] {
            for wrong in ["", "0", "-1", "many", "1e6", "9007199254740992"] {
                let message = said(&[(key, wrong)]).unwrap_err();
                assert!(message.starts_with(&format!("{key}: write a number from 1 to 9007")), "{message}");
            }
        }
        assert_eq!(said(&[("beyond", "drop")]), Err("beyond: write fold, sample or stop".to_owned()));
    }

    #[test]
    fn one_query_may_take_less_than_all_not_more() {
        let all = said(&[("groups_max", "100"), ("work_max_ns", "50"), ("beyond", "fold")]).unwrap();
        let own = said(&[("groups_max", "10"), ("octets_max", "7"), ("beyond", "fold")]).unwrap();
        let both = own.within(&all).unwrap();
        assert_eq!(
            both,
            said(&[("groups_max", "10"), ("octets_max", "7"), ("work_max_ns", "50"), ("beyond", "fold"),])
                .unwrap()
        );
        let limits = both.limits(QueryLimits::default());
        assert_eq!((limits.groups_max, limits.held.octets_max, limits.is_alone), (10, 7, true));
        assert_eq!(both.work(true), Some(WorkLimit { ns_max: 50, beyond: Beyond::Fold }));
        assert_eq!(both.work(false), Some(WorkLimit { ns_max: 50, beyond: Beyond::Sample }));
        let more = said(&[("groups_max", "101")]).unwrap().within(&all);
        assert_eq!(more, Err("groups_max: a query of this node may take at most 100".to_owned()));
        let stops = said(&[("beyond", "stop")]).unwrap();
        let weaker = said(&[("beyond", "sample")]).unwrap().within(&stops);
        assert_eq!(weaker, Err("beyond: this node says stop, which is more than sample".to_owned()));
        assert_eq!(stops.within(&all).unwrap().beyond, Some(Beyond::Stop));
        assert_eq!(Allowance::default().work(true), None);
    }
}

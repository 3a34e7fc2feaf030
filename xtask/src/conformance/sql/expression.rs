//! Expressions from a seed: values, conditions, aggregates, and what is computed of aggregates.

use tapline_trafficgen::random::Random;

use super::both::Both;
use super::field::{Field, Kind, numbers};

/// How deep expressions are nested.
const DEPTH_MAX: u32 = 2;

/// Prefixes with their first and last address.
const PREFIXES: [(&str, &str, &str); 4] = [
    ("10.0.0.0/8", "00000000000000000000ffff0a000000", "00000000000000000000ffff0affffff"),
    ("10.0.2.0/24", "00000000000000000000ffff0a000200", "00000000000000000000ffff0a0002ff"),
    ("192.168.0.0/16", "00000000000000000000ffffc0a80000", "00000000000000000000ffffc0a8ffff"),
    ("fe80::/10", "fe800000000000000000000000000000", "febfffffffffffffffffffffffffffff"),
];

/// Draws expressions over the columns in scope.
pub(super) struct Draw<'a> {
    pub(super) random: &'a mut Random,
    pub(super) scope: &'a [Field],
}

impl Draw<'_> {
    fn of_kind(&mut self, kind: Kind) -> Option<Field> {
        let fields: Vec<_> = self.scope.iter().filter(|field| field.kind == kind).collect();
        (!fields.is_empty()).then(|| (*self.random.choose(&fields)).clone())
    }

    fn sample(&mut self, field: &Field) -> Option<Both> {
        (!field.samples.is_empty()).then(|| self.random.choose(&field.samples).clone())
    }

    /// A number.
    pub(super) fn int(&mut self, depth: u32) -> Both {
        let Some(field) = self.of_kind(Kind::Int) else { return Both::same("1") };
        let column = field.sql();
        if depth >= DEPTH_MAX || self.random.percent(50) {
            return column;
        }
        match self.random.below(9) {
            0 => Both::join("({} + {})", &[&column, &self.int(depth + 1)]),
            1 => Both::join("({} - {})", &[&column, &self.int(depth + 1)]),
            2 => Both::join("({} * {})", &[&column, &self.small()]),
            3 => Both::join_apart("({} / {})", "({} // {})", &[&column, &self.small()]),
            4 => Both::join("({} % {})", &[&self.int(depth + 1), &self.small()]),
            5 => Both::join("coalesce({}, {})", &[&column, &self.small()]),
            6 => Both::join_apart(
                "({} / nullif({}, 0))",
                "({} // nullif({}, 0))",
                &[&column, &self.int(depth + 1)],
            ),
            7 => Both::join("-{}", &[&column]),
            _ => {
                let (condition, then) = (self.condition(depth + 1), self.int(depth + 1));
                Both::join("CASE WHEN {} THEN {} ELSE {} END", &[&condition, &then, &self.small()])
            }
        }
    }

    fn small(&mut self) -> Both {
        self.random.choose(&numbers(&["1", "2", "3", "7", "10", "100", "1000"])).clone()
    }

    /// A value to group by or to show, and its kind.
    pub(super) fn value(&mut self) -> (Both, Kind) {
        match self.random.below(10) {
            0 => (self.condition(1), Kind::Bool),
            1 => (self.class(), Kind::Text),
            2 => (self.int(0), Kind::Int),
            3 => match self.of_kind(Kind::Address) {
                Some(field) => (network(&field.sql(), self.random.percent(50)), Kind::Address),
                None => (self.int(0), Kind::Int),
            },
            _ => {
                let field = self.random.choose(self.scope).clone();
                (field.sql(), field.kind)
            }
        }
    }

    /// A text by conditions.
    fn class(&mut self) -> Both {
        let (first, second) = (self.condition(1), self.condition(1));
        match self.random.percent(50) {
            true => Both::join("CASE WHEN {} THEN 'a' WHEN {} THEN 'b' ELSE 'c' END", &[&first, &second]),
            false => Both::join("CASE WHEN {} THEN 'yes' END", &[&first]),
        }
    }

    /// A condition.
    pub(super) fn condition(&mut self, depth: u32) -> Both {
        if depth < DEPTH_MAX && self.random.percent(35) {
            let (left, right) = (self.condition(depth + 1), self.condition(depth + 1));
            return match self.random.below(3) {
                0 => Both::join("({} AND {})", &[&left, &right]),
                1 => Both::join("({} OR {})", &[&left, &right]),
                _ => Both::join("NOT ({})", &[&left]),
            };
        }
        let field = self.random.choose(self.scope).clone();
        let Some(sample) = self.sample(&field) else {
            return Both::join("{} IS NOT NULL", &[&field.sql()]);
        };
        match field.kind {
            Kind::Address if self.random.percent(30) => self.in_prefix(&field),
            Kind::Int if self.random.percent(30) => {
                let (left, comparison) = (self.int(depth), self.comparison());
                Both::join(&format!("({{}} {comparison} {{}})"), &[&left, &sample])
            }
            _ => self.compared(&field, &sample),
        }
    }

    fn compared(&mut self, field: &Field, sample: &Both) -> Both {
        let (column, comparison) = (field.sql(), self.comparison());
        let other = self.sample(field).unwrap_or_else(|| sample.clone());
        match self.random.below(9) {
            0 => Both::join("{} IS NULL", &[&column]),
            1 => Both::join("{} IS NOT NULL", &[&column]),
            2 => Both::join("{} IN ({}, {})", &[&column, sample, &other]),
            3 => Both::join("{} NOT IN ({}, {})", &[&column, sample, &other]),
            4 => Both::join("{} BETWEEN {} AND {}", &[&column, sample, &other]),
            5 => Both::join("({} IS DISTINCT FROM {})", &[&column, sample]),
            _ => Both::join(&format!("{{}} {comparison} {{}}"), &[&column, sample]),
        }
    }

    fn in_prefix(&mut self, field: &Field) -> Both {
        let (prefix, first, last) = self.random.choose(&PREFIXES);
        let ours = format!("cidr({{}}, '{prefix}')");
        Both::join_apart(&ours, &format!("({{}} BETWEEN '{first}' AND '{last}')"), &[&field.sql()])
    }

    fn comparison(&mut self) -> &'static str {
        *self.random.choose::<&str>(&["=", "<>", "<", "<=", ">", ">="])
    }

    /// An aggregate, and the kind of what it gives.
    pub(super) fn aggregate(&mut self) -> (Both, Kind) {
        let (aggregate, kind) = self.bare_aggregate();
        if self.random.percent(75) {
            return (aggregate, kind);
        }
        let condition = self.condition(1);
        (Both::join("{} FILTER (WHERE {})", &[&aggregate, &condition]), kind)
    }

    fn bare_aggregate(&mut self) -> (Both, Kind) {
        match self.random.below(8) {
            0 | 1 => (Both::same("count(*)"), Kind::Int),
            2 => (Both::join("sum({})", &[&self.int(1)]), Kind::Int),
            3 => (Both::join("avg({})", &[&self.int(1)]), Kind::Float),
            4 => (Both::join("count(DISTINCT {})", &[&self.value().0]), Kind::Int),
            5 => (Both::join("count({})", &[&self.value().0]), Kind::Int),
            _ => {
                let name = *self.random.choose(&["min", "max"]);
                let (value, kind) = match self.random.percent(40) {
                    true => (self.int(1), Kind::Int),
                    false => {
                        let field = self.random.choose(self.scope).clone();
                        (field.sql(), field.kind)
                    }
                };
                let is_ordered = !matches!(kind, Kind::Bool);
                let value = if is_ordered { value } else { self.int(1) };
                (Both::join(&format!("{name}({{}})"), &[&value]), if is_ordered { kind } else { Kind::Int })
            }
        }
    }

    /// Something computed of aggregates, or one of them alone.
    pub(super) fn outcome(&mut self) -> (Both, Kind) {
        let (first, kind) = self.aggregate();
        if kind != Kind::Int || self.random.percent(65) {
            return (first, kind);
        }
        let small = self.small();
        match self.random.below(6) {
            0 => (Both::join("({} + {})", &[&first, &small]), Kind::Int),
            1 => (Both::join("({} - {})", &[&first, &small]), Kind::Int),
            2 => {
                let share = ("({} * 100.0 / count(*))", "({} * 100e0 / count(*))");
                (Both::join_apart(share.0, share.1, &[&first]), Kind::Float)
            }
            3 => (Both::join("coalesce({}, 0)", &[&first]), Kind::Int),
            4 => (Both::join("({} * {})", &[&first, &small]), Kind::Int),
            _ => (Both::join("CASE WHEN count(*) > {} THEN {} ELSE 0 END", &[&small, &first]), Kind::Int),
        }
    }

    /// A condition on aggregates.
    pub(super) fn having(&mut self) -> Both {
        let least = self.small();
        match self.random.below(3) {
            0 => Both::join("sum({}) > {}", &[&self.int(1), &least]),
            1 => {
                let (value, _) = self.value();
                Both::join("count(DISTINCT {}) >= {}", &[&value, &Both::same("2")])
            }
            _ => Both::join("count(*) > {}", &[&least]),
        }
    }
}

/// The network of an address: 16 or 24 bits of IPv4, 32 or 64 of IPv6.
fn network(address: &Both, is_wide: bool) -> Both {
    let (v4, v6) = if is_wide { (16, 32) } else { (24, 64) };
    let ours = format!("network({{}}, {v4}, {v6})");
    let theirs = format!(
        "CASE WHEN {{}} LIKE '00000000000000000000ffff%' THEN rpad(left({{}}, {}), 32, '0') \
         ELSE rpad(left({{}}, {}), 32, '0') END",
        24 + v4 / 4,
        v6 / 4
    );
    let theirs = Both::join(&theirs, &[address, address, address]).theirs;
    Both::new(Both::join(&ours, &[address]).ours, theirs)
}

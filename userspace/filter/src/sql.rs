//! A predicate as SQL: what a WHERE over `packets` would say.

use crate::condition::MAPPED;
use crate::field::{Field, Form};
use crate::predicate::{Operand, Predicate};
use crate::ranges::Ranges;
use tapline_record::address::{format_mac, to_ip};

/// How closely a text is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Or,
    And,
    One,
}

impl Predicate {
    /// The condition over the columns of `packets` that holds where this does.
    #[must_use]
    pub fn sql(&self) -> String {
        self.bound_sql().0
    }

    fn bound_sql(&self) -> (String, Bound) {
        match self {
            Self::All(parts) => joined(parts, Bound::And),
            Self::Any(parts) => joined(parts, Bound::Or),
            Self::Within(operand, ranges) => within(*operand, ranges),
            Self::Null(field) => (format!("{} IS NULL", field.name()), Bound::One),
            Self::NotNull(field) => (format!("{} IS NOT NULL", field.name()), Bound::One),
        }
    }
}

fn joined(parts: &[Predicate], by: Bound) -> (String, Bound) {
    let (word, nothing) = if by == Bound::Or { (" OR ", "false") } else { (" AND ", "true") };
    let text = |part: &Predicate| match part.bound_sql() {
        (text, bound) if bound < by => format!("({text})"),
        (text, _) => text,
    };
    match parts {
        [] => (nothing.to_owned(), Bound::One),
        parts => (parts.iter().map(text).collect::<Vec<_>>().join(word), by),
    }
}

fn within(operand: Operand, ranges: &Ranges) -> (String, Bound) {
    let Operand { field, mask } = operand;
    let name = field.name();
    match field.form() {
        Form::Address => address(name, ranges),
        Form::Mac => compared(name, ranges, field.max(), &|number: u128| format!("'{}'", mac(number))),
        Form::Number => {
            let subject = mask.map_or_else(|| name.to_owned(), |mask| format!("({name} & {mask})"));
            compared(&subject, ranges, operand.max(), &|number: u128| number.to_string())
        }
    }
}

/// A comparison by value; where few values are left out, it names these.
fn compared(subject: &str, ranges: &Ranges, max: u128, text: &impl Fn(u128) -> String) -> (String, Bound) {
    let list = |points: &[u128]| points.iter().map(|point| text(*point)).collect::<Vec<_>>().join(", ");
    let others = ranges.others(max).points().filter(|_| ranges.points().is_none());
    match (ranges.points().as_deref(), others.as_deref()) {
        (Some([point]), _) => (format!("{subject} = {}", text(*point)), Bound::One),
        (Some(points), _) => (format!("{subject} IN ({})", list(points)), Bound::One),
        (None, Some([point])) => (format!("{subject} <> {}", text(*point)), Bound::One),
        (None, Some(points)) => (format!("{subject} NOT IN ({})", list(points)), Bound::One),
        (None, None) => by_ranges(subject, ranges, max, text),
    }
}

fn by_ranges(subject: &str, ranges: &Ranges, max: u128, text: &impl Fn(u128) -> String) -> (String, Bound) {
    let one = |(first, last): &(u128, u128)| match (*first, *last) {
        (first, last) if first == last => format!("{subject} = {}", text(first)),
        (0, last) => format!("{subject} <= {}", text(last)),
        (first, last) if last >= max => format!("{subject} >= {}", text(first)),
        (first, last) => format!("{subject} BETWEEN {} AND {}", text(first), text(last)),
    };
    let texts: Vec<_> = ranges.as_slice().iter().map(one).collect();
    let bound = if texts.len() > 1 { Bound::Or } else { Bound::One };
    (texts.join(" OR "), bound)
}

fn mac(number: u128) -> String {
    let [.., a, b, c, d, e, f] = number.to_be_bytes();
    format_mac([a, b, c, d, e, f])
}

/// A comparison of addresses by prefixes, of those that are meant or of all others, whichever are fewer.
fn address(name: &str, ranges: &Ranges) -> (String, Bound) {
    let (those, others) = (prefixes(ranges), prefixes(&ranges.others(Field::SrcIp.max())));
    let is_negative = others.len() < those.len();
    let (prefixes, equal, not) = if is_negative { (others, "<>", "NOT ") } else { (those, "=", "") };
    let one = |(text, is_address): &(String, bool)| match is_address {
        true => format!("{name} {equal} '{text}'"),
        false => format!("{not}cidr({name}, '{text}')"),
    };
    let texts: Vec<_> = prefixes.iter().map(one).collect();
    let (word, bound) = if is_negative { (" AND ", Bound::And) } else { (" OR ", Bound::Or) };
    let bound = if texts.len() > 1 { bound } else { Bound::One };
    (texts.join(word), bound)
}

/// The prefixes that hold these addresses together, each with whether it is one address. A prefix that is written as IPv6
/// holds no IPv4 address, although columns hold those among the others.
fn prefixes(ranges: &Ranges) -> Vec<(String, bool)> {
    let (first, last) = MAPPED;
    let holds_some = ranges.as_slice().iter().any(|(from, to)| *from <= last && *to >= first);
    let is_around = !holds_some && ranges.holds(first - 1) && ranges.holds(last + 1);
    let mapped = is_around.then_some(MAPPED);
    let whole: Ranges = ranges.as_slice().iter().copied().chain(mapped).collect();
    let blocks: Vec<_> = whole.as_slice().iter().flat_map(|range| blocks(*range)).collect();
    let is_wider = |(from, bits): &(u128, u32)| *bits < 96 && *from <= first && last_of(*from, *bits) >= last;
    let has_wider = blocks.iter().any(is_wider);
    let v4 = (has_wider && holds_some).then_some((first, 96));
    blocks.into_iter().chain(v4).map(|(from, bits)| text_of(from, bits)).collect()
}

fn text_of(first: u128, bits: u32) -> (String, bool) {
    let ip = to_ip(first.to_be_bytes());
    let is_v4 = ip.is_ipv4() && bits >= 96;
    let written = if is_v4 { bits - 96 } else { bits };
    match bits {
        128 => (ip.to_string(), true),
        _ => (format!("{ip}/{written}"), false),
    }
}

/// The fewest prefixes that cover a range: the first address of each, and its bits.
fn blocks((mut first, last): (u128, u128)) -> Vec<(u128, u32)> {
    let mut blocks = vec![];
    loop {
        let aligned = 128 - first.trailing_zeros();
        let bits = (aligned..=128).find(|bits| last_of(first, *bits) <= last).unwrap_or(128);
        blocks.push((first, bits));
        match last_of(first, bits).checked_add(1) {
            Some(next) if next <= last => first = next,
            _ => return blocks,
        }
    }
}

/// The last address of a prefix.
fn last_of(first: u128, bits: u32) -> u128 {
    first | u128::MAX.checked_shr(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Comparison, Condition};

    fn negated(condition: Condition) -> String {
        Condition::Not(Box::new(condition)).predicate().sql()
    }

    #[test]
    fn comparisons_are_written_as_people_do() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let sql = |comparison, number| Condition::compare(Field::Ttl, comparison, number).predicate().sql();
        for (comparison, expected) in [
            (Equal, "ttl = 5"),
            (NotEqual, "ttl <> 5"),
            (Less, "ttl <= 4"),
            (LessOrEqual, "ttl <= 5"),
            (Greater, "ttl >= 6"),
            (GreaterOrEqual, "ttl >= 5"),
        ] {
            assert_eq!(sql(comparison, 5), expected);
        }
        assert_eq!(
            (sql(Less, 0), sql(GreaterOrEqual, 0)),
            ("false".to_owned(), "ttl IS NOT NULL".to_owned())
        );
        assert_eq!(Condition::is_in(Field::Ttl, [9, 1]).predicate().sql(), "ttl IN (1, 9)");
        assert_eq!(negated(Condition::is_in(Field::Ttl, [9, 1])), "ttl NOT IN (1, 9)");
        assert_eq!(Condition::between(Field::Ttl, 3, 7).predicate().sql(), "ttl BETWEEN 3 AND 7");
        assert_eq!(negated(Condition::between(Field::Ttl, 3, 7)), "ttl <= 2 OR ttl >= 8");
        let syn = Condition::Within(Operand::masked(Field::TcpFlags, 18), Ranges::of([2]));
        assert_eq!(syn.predicate().sql(), "(tcp_flags & 18) = 2");
        let mac = Condition::is_in(Field::SrcMac, [0x0200_0000_0001]);
        assert_eq!(mac.predicate().sql(), "src_mac = '02:00:00:00:00:01'");
    }

    #[test]
    fn addresses_are_prefixes() {
        let prefix = |network: &str, bits| Condition::prefix(Field::SrcIp, network.parse().unwrap(), bits);
        for (network, bits, expected) in [
            ("10.0.0.0", 8, "cidr(src_ip, '10.0.0.0/8')"),
            ("10.0.0.1", 32, "src_ip = '10.0.0.1'"),
            ("0.0.0.0", 0, "cidr(src_ip, '0.0.0.0/0')"),
            ("2001:db8::", 32, "cidr(src_ip, '2001:db8::/32')"),
            ("2001:db8::1", 128, "src_ip = '2001:db8::1'"),
            ("::", 0, "cidr(src_ip, '::/0')"),
        ] {
            assert_eq!(prefix(network, bits).predicate().sql(), expected);
        }
        assert_eq!(negated(prefix("10.0.0.0", 8)), "NOT cidr(src_ip, '10.0.0.0/8')");
        assert_eq!(negated(prefix("2001:db8::", 32)), "NOT cidr(src_ip, '2001:db8::/32')");
        assert_eq!(negated(prefix("::", 0)), "cidr(src_ip, '0.0.0.0/0')");
    }

    #[test]
    fn or_within_and_stands_in_brackets() {
        let port = |field| Condition::compare(field, Comparison::Equal, 53);
        let either = Condition::Any(vec![port(Field::SrcPort), port(Field::DstPort)]);
        let both = Condition::All(vec![either.clone(), Condition::IsNull(Field::Vlan)]);
        assert_eq!(both.predicate().sql(), "(src_port = 53 OR dst_port = 53) AND vlan IS NULL");
        let any = Condition::Any(vec![both, Condition::IsNull(Field::SrcIp)]);
        let expected = "(src_port = 53 OR dst_port = 53) AND vlan IS NULL OR src_ip IS NULL";
        assert_eq!(any.predicate().sql(), expected);
        assert_eq!(Condition::All(vec![]).predicate().sql(), "true");
    }
}

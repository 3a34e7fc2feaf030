//! A predicate as SQL: what a WHERE over `packets` would say.

use crate::condition::MAPPED;
use crate::field::{Field, Form};
use crate::predicate::{Operand, Predicate};
use crate::ranges::{Ranges, last_of};
use tapline_record::address::{format_mac, to_ip};

/// Values or ranges of a list that people want to read.
const WRITTEN_MAX: usize = 64;

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
        self.bound_sql(usize::MAX).0
    }

    /// The same for people: of lists of more than 64 values or ranges it says how long they are.
    #[must_use]
    pub fn brief_sql(&self) -> String {
        self.bound_sql(WRITTEN_MAX).0
    }

    fn bound_sql(&self, written_max: usize) -> (String, Bound) {
        match self {
            Self::All(parts) => joined(parts, Bound::And, written_max),
            Self::Any(parts) => joined(parts, Bound::Or, written_max),
            Self::Within(operand, ranges) => {
                counted(*operand, ranges, written_max).unwrap_or_else(|| within(*operand, ranges))
            }
            Self::Null(field) => (format!("{} IS NULL", field.name()), Bound::One),
            Self::NotNull(field) => (format!("{} IS NOT NULL", field.name()), Bound::One),
        }
    }
}

/// A list that is too long to be written, by its length.
fn counted(operand: Operand, ranges: &Ranges, written_max: usize) -> Option<(String, Bound)> {
    let others = ranges.others(operand.max());
    let [are_values, are_others_values] = [ranges, &others].map(|one| one.points().is_some());
    let is_shorter = others.as_slice().len() < ranges.as_slice().len();
    let is_negative = !are_values && (are_others_values || is_shorter);
    let (listed, not) = if is_negative { (&others, "NOT ") } else { (ranges, "") };
    let (count, what) =
        (listed.as_slice().len(), if are_values || are_others_values { "values" } else { "ranges" });
    let text = || format!("{} {not}IN ({count} {what})", subject(operand));
    (count > written_max).then(|| (text(), Bound::One))
}

fn subject(Operand { field, mask }: Operand) -> String {
    mask.map_or_else(|| field.name().to_owned(), |mask| format!("({} & {mask})", field.name()))
}

fn joined(parts: &[Predicate], by: Bound, written_max: usize) -> (String, Bound) {
    let (word, nothing) = if by == Bound::Or { (" OR ", "false") } else { (" AND ", "true") };
    let text = |part: &Predicate| match part.bound_sql(written_max) {
        (text, bound) if bound < by => format!("({text})"),
        (text, _) => text,
    };
    match parts {
        [] => (nothing.to_owned(), Bound::One),
        parts => (parts.iter().map(text).collect::<Vec<_>>().join(word), by),
    }
}

fn within(operand: Operand, ranges: &Ranges) -> (String, Bound) {
    let subject = subject(operand);
    match operand.field.form() {
        Form::Address => address(&subject, ranges),
        Form::Mac => compared(&subject, ranges, operand.max(), &|number: u128| format!("'{}'", mac(number))),
        Form::Number => compared(&subject, ranges, operand.max(), &|number: u128| number.to_string()),
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
    let blocks: Vec<_> = whole.prefixes().collect();
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
    fn long_lists_are_told_by_their_length() {
        let ports = |count: u128| Condition::is_in(Field::DstPort, (0..count).map(|port| 2 * port));
        let brief = |condition: Condition| condition.predicate().brief_sql();
        assert_eq!(brief(ports(64)), ports(64).predicate().sql());
        assert_eq!(brief(ports(65)), "dst_port IN (65 values)");
        let both = Condition::All(vec![Condition::Not(Box::new(ports(70))), Condition::IsNull(Field::Vlan)]);
        assert_eq!(brief(both), "dst_port NOT IN (70 values) AND vlan IS NULL");
        let prefixes =
            (0..100).map(|network| Condition::prefix(Field::SrcIp, [10, network, 0, 0].into(), 17));
        assert_eq!(brief(Condition::Any(prefixes.collect())), "src_ip IN (100 ranges)");
        assert!(ports(500).predicate().sql().ends_with(", 998)"));
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

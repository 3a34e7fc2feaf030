//! The same predicate with fewer parts: what alternatives have in common stands in front of them.
//!
//! A filter such as `tcp port 80 or tcp port 443` is many alternatives that differ in one part; with the others in front,
//! the numbers that the one part compares with are one set.

use crate::predicate::Predicate;
use std::collections::HashMap;

/// Alternatives that have a part in common.
struct Group<'a> {
    common: &'a Predicate,
    rests: Vec<Predicate>,
}

impl Group<'_> {
    fn factored(self) -> Predicate {
        // What is left of them may have something in common, too.
        let rests = if self.rests.len() > 1 { grouped(&self.rests) } else { self.rests };
        Predicate::all([self.common.factored(), Predicate::any(rests)])
    }
}

impl Predicate {
    /// The same, where `a AND b OR a AND c` is `a AND (b OR c)`.
    pub(crate) fn factored(&self) -> Self {
        match self {
            Self::All(parts) => Self::all(parts.iter().map(Self::factored)),
            Self::Any(alternatives) => Self::any(grouped(alternatives)),
            Self::Within(..) | Self::Null(_) | Self::NotNull(_) => self.clone(),
        }
    }

    /// The parts of which all have to hold.
    fn parts(&self) -> &[Self] {
        match self {
            Self::All(parts) => parts,
            Self::Any(_) | Self::Within(..) | Self::Null(_) | Self::NotNull(_) => &[],
        }
    }
}

/// Alternatives, of which those are one that have in common what most of them have.
fn grouped(alternatives: &[Predicate]) -> Vec<Predicate> {
    let mut counts: HashMap<&Predicate, usize> = HashMap::new();
    alternatives.iter().flat_map(Predicate::parts).for_each(|part| *counts.entry(part).or_default() += 1);
    let (mut alone, mut groups, mut places) = (vec![], Vec::<Group<'_>>::new(), HashMap::new());
    for alternative in alternatives {
        let parts = alternative.parts();
        // Of several that are as common, the first one.
        let Some(common) = parts.iter().rev().max_by_key(|part| counts.get(part)) else {
            alone.push(alternative.factored());
            continue;
        };
        let rest = Predicate::all(parts.iter().filter(|part| *part != common).cloned());
        let place = *places.entry(common).or_insert_with(|| {
            groups.push(Group { common, rests: vec![] });
            groups.len() - 1
        });
        groups.get_mut(place).into_iter().for_each(|group| group.rests.push(rest.clone()));
    }
    alone.extend(groups.into_iter().map(Group::factored));
    alone
}

#[cfg(test)]
mod tests {
    use crate::{Condition, Field, pcap};

    fn factored(filter: &str) -> String {
        pcap::parse(filter).unwrap().predicate().factored().sql()
    }

    #[test]
    fn what_alternatives_have_in_common_stands_in_front() {
        let ports = "tcp dst port 80 or tcp dst port 443 or (tcp dst port 8080 and vlan 5) or arp";
        let expected =
            "ethertype = 2054 OR protocol = 6 AND (dst_port IN (80, 443) OR dst_port = 8080 AND vlan = 5)";
        assert_eq!(factored(ports), expected);
        let many: Vec<_> = (1..5000).map(|port| format!("port {}", 2 * port)).collect();
        assert!(factored(&many.join(" or ")).len() < 80_000);
        let field = |field, number| Condition::is_in(field, [number]);
        let both = |src, dst| Condition::All(vec![field(Field::SrcPort, src), field(Field::DstPort, dst)]);
        let last = Condition::Any(vec![both(1, 53), both(3, 53), both(5, 80)]).predicate().factored();
        assert_eq!(last.sql(), "dst_port = 53 AND src_port IN (1, 3) OR src_port = 5 AND dst_port = 80");
    }
}

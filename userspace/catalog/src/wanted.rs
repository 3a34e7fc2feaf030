//! Which frames of a source are wanted: those that its filter keeps, and its rules do not refuse.
//!
//! Rules hold in the kernel's program where there is one in front of the frames. Where frames are copies that no program
//! sees first, the same rules hold where they are read, as a condition.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use tapline_filter::{Condition, Field, Operand, Predicate, Ranges};
use tapline_interface::kernel::{Rule, Verdict};
use tapline_record::address::{from_ip, mapped_v4};

/// The first and the last IPv4 address as columns hold them.
const MAPPED: (u128, u128) =
    (u128::from_be_bytes(mapped_v4([0; 4])), u128::from_be_bytes(mapped_v4([u8::MAX; 4])));

/// A filter in pcap syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFilter {
    /// As it was written.
    pub text: String,
    /// What holds of the frames that it keeps.
    pub predicate: Arc<Predicate>,
}

/// Which frames of a source are wanted; all of them, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedFrames {
    /// What keeps them.
    pub filter: Option<WantedFilter>,
    /// What refuses them, of interfaces.
    pub rules: BTreeMap<Rule, Verdict>,
}

impl WantedFrames {
    /// What is left to whoever reads the frames: the filter, and the rules where they hold nowhere before.
    pub(crate) fn predicate(&self, with_rules: bool) -> Option<Arc<Predicate>> {
        let filter = self.filter.as_ref().map(|filter| Arc::clone(&filter.predicate));
        if !with_rules || self.rules.is_empty() {
            return filter;
        }
        let rules = predicate_of(&self.rules);
        Some(match filter {
            None => Arc::new(rules),
            Some(filter) => Arc::new(Predicate::All(vec![rules, filter.as_ref().clone()])),
        })
    }

    /// Whether the filter looks at what is not the same of all frames of a flow, which a table does not tell apart.
    pub(crate) fn is_of_frames(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.predicate.not_of_flows().is_some())
    }

    /// The rules as they are written, so many at most.
    pub(crate) fn rule_texts(&self, most: usize) -> Vec<String> {
        let text = |(rule, verdict): (&Rule, &Verdict)| match verdict {
            Verdict::Allow => format!("allow {rule}"),
            Verdict::Deny => format!("deny {rule}"),
        };
        self.rules.iter().take(most).map(text).collect()
    }

    /// What is another than it was, of the source of this name, in sentences.
    pub(crate) fn news(&self, before: &Self, name: &str) -> Vec<String> {
        let [was, is] =
            [before, self].map(|frames| frames.filter.as_ref().map(|filter| filter.text.as_str()));
        let filter = match (was, is) {
            (Some(was), Some(is)) if was != is => {
                Some(format!("{name}: only what `{is}` keeps is read, and no longer what `{was}` does"))
            }
            (None, Some(is)) => Some(format!("{name}: only what `{is}` keeps is read")),
            (Some(was), None) => Some(format!("{name}: all is read, and no longer only what `{was}` keeps")),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let without = |one: &Self, other: &Self| {
            let differs = |(rule, verdict): &(&Rule, &Verdict)| other.rules.get(rule) != Some(verdict);
            one.rules.iter().filter(differs).count()
        };
        let (came, gone) = (without(self, before), without(before, self));
        let rules = (came + gone > 0).then(|| {
            let holding = self.rules.len();
            format!("{name}: rules that hold: {holding}, of them new: {came}; no longer: {gone}")
        });
        filter.into_iter().chain(rules).collect()
    }
}

/// What holds of the frames that these rules keep, as the kernel's program has it: of each kind nothing denies, and
/// something allows where a rule of that kind does.
fn predicate_of(rules: &BTreeMap<Rule, Verdict>) -> Predicate {
    let kinds = [vlans, protocols, ports, prefixes].map(|kind| {
        let [allowed, denied] = [Verdict::Allow, Verdict::Deny].map(|verdict| kind(rules, verdict));
        let is_any = |conditions| Condition::IsTrue(Box::new(Condition::Any(conditions)));
        let not_denied = Condition::Not(Box::new(is_any(denied)));
        let is_allowed = (!allowed.is_empty()).then(|| is_any(allowed));
        Condition::All(is_allowed.into_iter().chain([not_denied]).collect())
    });
    Condition::All(kinds.into()).predicate()
}

/// The rules of one verdict that name something, as that.
fn named<T>(
    rules: &BTreeMap<Rule, Verdict>,
    verdict: Verdict,
    of: impl Fn(Rule) -> Option<T>,
) -> impl Iterator<Item = T> {
    rules.iter().filter(move |(_, found)| **found == verdict).filter_map(move |(rule, _)| of(*rule))
}

fn vlans(rules: &BTreeMap<Rule, Verdict>, verdict: Verdict) -> Vec<Condition> {
    let of = |rule| if let Rule::Vlan(vlan) = rule { Some(vlan) } else { None };
    let vlans: Vec<Option<u16>> = named(rules, verdict, of).collect();
    let tagged: Vec<u128> = vlans.iter().flatten().map(|vlan| u128::from(*vlan)).collect();
    let untagged = vlans.contains(&None).then_some(Condition::IsNull(Field::Vlan));
    let tagged = (!tagged.is_empty()).then(|| Condition::is_in(Field::Vlan, tagged));
    tagged.into_iter().chain(untagged).collect()
}

fn protocols(rules: &BTreeMap<Rule, Verdict>, verdict: Verdict) -> Vec<Condition> {
    let of = |rule| if let Rule::Protocol(protocol) = rule { Some(u128::from(protocol)) } else { None };
    numbers(&[Field::Protocol], &named(rules, verdict, of).collect::<Vec<_>>())
}

fn ports(rules: &BTreeMap<Rule, Verdict>, verdict: Verdict) -> Vec<Condition> {
    let of = |rule| if let Rule::Port(port) = rule { Some(u128::from(port)) } else { None };
    numbers(&[Field::SrcPort, Field::DstPort], &named(rules, verdict, of).collect::<Vec<_>>())
}

/// One of these fields is one of these numbers.
fn numbers(fields: &[Field], numbers: &[u128]) -> Vec<Condition> {
    let fields = fields.iter().filter(|_| !numbers.is_empty());
    fields.map(|field| Condition::is_in(*field, numbers.iter().copied())).collect()
}

fn prefixes(rules: &BTreeMap<Rule, Verdict>, verdict: Verdict) -> Vec<Condition> {
    let is_any = rules.iter().any(|(rule, found)| matches!(rule, Rule::Prefix(..)) && *found == verdict);
    if !is_any {
        return vec![];
    }
    let addresses = addresses(rules, verdict);
    let within = |field| Condition::Within(Operand::of(field), addresses.clone());
    vec![within(Field::SrcIp), within(Field::DstIp)]
}

/// The addresses for which the longest prefix that holds them has this verdict.
fn addresses(rules: &BTreeMap<Rule, Verdict>, verdict: Verdict) -> Ranges {
    let (mut v4, mut v6) = (vec![], vec![]);
    for (rule, verdict) in rules {
        match rule {
            Rule::Prefix(network @ IpAddr::V4(_), bits) => v4.push((span(*network, *bits), *verdict)),
            Rule::Prefix(network @ IpAddr::V6(_), bits) => v6.push((span(*network, *bits), *verdict)),
            Rule::Port(_) | Rule::Protocol(_) | Rule::Vlan(_) => {}
        }
    }
    let of_v4 = Sweep::over(v4).into_iter();
    // Prefixes are of their own family: where IPv4 addresses stand, none of IPv6 is.
    let of_v6 = Sweep::over(v6).into_iter().flat_map(|((first, last), verdict)| {
        [((first, last.min(MAPPED.0 - 1)), verdict), ((first.max(MAPPED.1 + 1), last), verdict)]
    });
    of_v4.chain(of_v6).filter(|(_, found)| *found == verdict).map(|(span, _)| span).collect()
}

/// The first and the last address of a prefix.
fn span(network: IpAddr, bits: u8) -> (u128, u128) {
    let mapped_bits = if network.is_ipv4() { 96 } else { 0 };
    let host_bits = 128_u32.saturating_sub(mapped_bits + u32::from(bits));
    let hosts = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit - 1);
    let first = u128::from_be_bytes(from_ip(network)) & !hosts;
    (first, first | hosts)
}

/// Addresses from one to another, and the verdict on them.
type Piece = ((u128, u128), Verdict);

/// Goes over prefixes in the order of their addresses; of those that hold an address the innermost counts.
#[derive(Default)]
struct Sweep {
    pieces: Vec<Piece>,
    /// The last addresses of the prefixes that it is within, and their verdicts, the innermost behind.
    within: Vec<(u128, Verdict)>,
    /// The first address that is in no piece yet; none behind the last one of all.
    next: Option<u128>,
}

impl Sweep {
    fn over(mut prefixes: Vec<Piece>) -> Vec<Piece> {
        // A prefix comes behind those that it lies within.
        prefixes.sort_by_key(|((first, last), _)| (*first, Reverse(*last)));
        let mut sweep = Self::default();
        for ((first, last), verdict) in prefixes {
            sweep.end_before(Some(first));
            if let Some(before) = first.checked_sub(1)
                && let Some((_, outer)) = sweep.within.last()
            {
                sweep.give(before, *outer);
            }
            sweep.next = Some(first);
            sweep.within.push((last, verdict));
        }
        sweep.end_before(None);
        sweep.pieces
    }

    /// Ends the prefixes that end before this address, or all.
    fn end_before(&mut self, address: Option<u128>) {
        while let Some((last, verdict)) =
            self.within.pop_if(|(last, _)| address.is_none_or(|address| *last < address))
        {
            self.give(last, verdict);
        }
    }

    /// Up to this address this is the verdict.
    fn give(&mut self, last: u128, verdict: Verdict) {
        if let Some(first) = self.next.filter(|first| *first <= last) {
            self.pieces.push(((first, last), verdict));
            self.next = last.checked_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_filter::{Values, pcap};

    /// A frame of which these fields are known.
    struct Frame(Vec<(Field, u128)>);

    impl Values for Frame {
        fn value(&self, field: Field) -> Option<u128> {
            self.0.iter().find(|(known, _)| *known == field).map(|(_, value)| *value)
        }
    }

    fn rules(texts: &[&str]) -> BTreeMap<Rule, Verdict> {
        let rule = |text: &&str| {
            let (verdict, rule) = text.split_once(' ').unwrap();
            let verdict = if verdict == "allow" { Verdict::Allow } else { Verdict::Deny };
            (rule.parse().unwrap(), verdict)
        };
        texts.iter().map(rule).collect()
    }

    fn number(address: &str) -> u128 {
        u128::from_be_bytes(from_ip(address.parse().unwrap()))
    }

    /// A datagram between these addresses and ports.
    fn datagram(addresses: [&str; 2], ports: [u16; 2], vlan: Option<u16>) -> Frame {
        let vlan = vlan.map(|vlan| (Field::Vlan, vlan.into()));
        let fields = [
            (Field::Protocol, 17),
            (Field::SrcIp, number(addresses[0])),
            (Field::DstIp, number(addresses[1])),
            (Field::SrcPort, ports[0].into()),
            (Field::DstPort, ports[1].into()),
        ];
        Frame(fields.into_iter().chain(vlan).collect())
    }

    #[test]
    fn rules_keep_what_the_program_keeps() {
        // As in tests/kernel/filter.rs: rules come one after the other.
        let dns = datagram(["10.0.0.1", "10.0.0.2"], [1000, 53], None);
        let tagged = datagram(["2001:db8::1", "2001:db8::2"], [1234, 53], Some(5));
        let arp = Frame(vec![]);
        for (texts, expected) in [
            (&[][..], [true, true, true]),
            (&["allow port:53"], [true, true, false]),
            (&["allow port:53", "deny port:1000"], [false, true, false]),
            (&["deny protocol:17"], [false, false, true]),
            (&["allow protocol:6"], [false, false, false]),
            (&["allow vlan:5"], [false, true, false]),
            (&["deny vlan:none"], [false, true, false]),
            (&["allow vlan:none", "allow vlan:5"], [true, true, true]),
            (&["deny 10.0.0.0/8"], [false, true, true]),
            (&["deny 10.0.0.0/8", "allow 10.0.0.1", "allow 10.0.0.2"], [true, false, false]),
            (&["allow ::/0"], [false, true, false]),
            (&["allow 0.0.0.0/0", "deny port:54"], [true, false, false]),
        ] {
            let predicate = predicate_of(&rules(texts));
            assert_eq!([&dns, &tagged, &arp].map(|frame| predicate.holds(frame)), expected, "{texts:?}");
        }
    }

    #[test]
    fn the_longest_prefix_counts() {
        // Numbers that look like random ones, the same each time.
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..200 {
            let texts: Vec<String> = (0..random(12))
                .map(|_| {
                    let verdict = if random(2) == 0 { "allow" } else { "deny" };
                    let (bits, last) = (24 + random(9), random(256));
                    format!("{verdict} 255.255.255.{last}/{bits}")
                })
                .collect();
            let rules = rules(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let found = [Verdict::Allow, Verdict::Deny].map(|verdict| addresses(&rules, verdict));
            for last in 0..=255 {
                let address = number(&format!("255.255.255.{last}"));
                let holding = rules.iter().filter_map(|(rule, verdict)| match rule {
                    Rule::Prefix(network, bits) => {
                        let (first, last) = span(*network, *bits);
                        (first <= address && address <= last).then_some((*bits, *verdict))
                    }
                    _ => None,
                });
                // Of prefixes that are the same one, what came last holds.
                let longest = holding.max_by_key(|(bits, _)| *bits).map(|(_, verdict)| verdict);
                let expected = [Verdict::Allow, Verdict::Deny].map(|verdict| longest == Some(verdict));
                assert_eq!(found.each_ref().map(|found| found.holds(address)), expected, "{rules:?} {last}");
            }
        }
        let all = addresses(&rules(&["deny ::/0", "allow ffff::/16"]), Verdict::Allow);
        assert!(all.holds(u128::MAX) && !all.holds(1));
    }

    #[test]
    fn what_has_changed_is_said() {
        let filter = |text: &str| WantedFilter {
            text: text.to_owned(),
            predicate: Arc::new(pcap::parse(text).unwrap().predicate()),
        };
        let nothing = WantedFrames::default();
        let tcp = WantedFrames { filter: Some(filter("tcp")), rules: rules(&["deny port:1", "deny port:2"]) };
        let udp =
            WantedFrames { filter: Some(filter("udp")), rules: rules(&["deny port:2", "allow port:3"]) };
        assert_eq!(nothing.news(&nothing, "a"), Vec::<String>::new());
        let expected =
            ["a: only what `tcp` keeps is read", "a: rules that hold: 2, of them new: 2; no longer: 0"];
        assert_eq!(tcp.news(&nothing, "a"), expected);
        let expected = [
            "a: only what `udp` keeps is read, and no longer what `tcp` does",
            "a: rules that hold: 2, of them new: 1; no longer: 1",
        ];
        assert_eq!(udp.news(&tcp, "a"), expected);
        let expected = "a: all is read, and no longer only what `udp` keeps";
        assert_eq!(nothing.news(&udp, "a")[0], expected);
        assert_eq!(udp.rule_texts(1), ["deny port:2"]);
    }

    #[test]
    fn whoever_reads_gets_what_holds_nowhere_before() {
        let wanted = WantedFrames { filter: None, rules: rules(&["deny port:53"]) };
        assert!(wanted.predicate(false).is_none() && wanted.predicate(true).is_some());
        assert!(WantedFrames::default().predicate(true).is_none());
    }
}

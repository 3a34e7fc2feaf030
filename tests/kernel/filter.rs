//! The pre-filter, changed while the program is loaded.

use std::collections::BTreeMap;

use tapline_interface::kernel::{KernelCapture, KernelOptions, Rule, Verdict};

use crate::account::template;
use crate::rights::load;
use harness::frames;

/// Frames of the template and of IPv6 that are kept.
fn kept(kernel: &mut KernelCapture) -> [bool; 2] {
    let v6 = frames::ethernet(0x8100, &frames::tag(5, frames::IPV6, &frames::small_ipv6()));
    [template(), v6].map(|frame| {
        let before = kernel.counters();
        kernel.test(&frame, 1).unwrap();
        let counted = kernel.counters().since(&before);
        assert_eq!(counted.seen_packets, 1);
        assert_eq!(counted.filtered_octets, counted.filtered_packets * frame.len() as u64);
        counted.filtered_packets == 0
    })
}

#[test]
fn rules_take_effect_at_once_and_go_as_they_came() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let (allow, deny) = (Some(Verdict::Allow), Some(Verdict::Deny));
    // Either IPv4 from 10.0.0.1 to 10.0.0.2, port 1234 to 53, untagged; or IPv6 in VLAN 5, port 53 to 1000.
    let cases = [
        (Rule::Port(53), allow, [true, true]),
        (Rule::Port(1234), allow, [true, false]),
        (Rule::Port(1000), deny, [true, false]),
        (Rule::Protocol(17), deny, [false, false]),
        (Rule::Protocol(6), allow, [false, false]),
        (Rule::Vlan(Some(5)), allow, [false, true]),
        (Rule::Vlan(None), deny, [false, true]),
        (Rule::Prefix("10.0.0.0".parse().unwrap(), 8), deny, [false, true]),
        (Rule::Prefix("10.0.0.2".parse().unwrap(), 32), allow, [true, false]),
        (Rule::Prefix("2001:db8::".parse().unwrap(), 127), allow, [false, true]),
        (Rule::Prefix("2001:db8::2".parse().unwrap(), 128), deny, [true, false]),
    ];
    for (rule, verdict, expected) in cases {
        assert_eq!(kept(&mut kernel), [true, true], "before {rule:?}");
        kernel.set_rule(rule, verdict).unwrap();
        assert_eq!(kept(&mut kernel), expected, "{rule:?} {verdict:?}");
        kernel.set_rule(rule, None).unwrap();
    }
    assert_eq!(kept(&mut kernel), [true, true]);
}

#[test]
fn rules_take_the_place_of_others() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let (allow, deny) = (Verdict::Allow, Verdict::Deny);
    let cases: [(&[(Rule, Verdict)], _); 6] = [
        (&[(Rule::Port(1234), allow)], [true, false]),
        (&[(Rule::Port(53), allow), (Rule::Port(9), deny)], [true, true]),
        (&[(Rule::Port(9), deny), (Rule::Port(1000), deny)], [true, false]),
        (&[(Rule::Port(1000), allow), (Rule::Vlan(None), allow)], [false, false]),
        (&[(Rule::Vlan(Some(5)), allow)], [false, true]),
        (&[], [true, true]),
    ];
    for (rules, expected) in cases {
        let rules: BTreeMap<_, _> = rules.iter().copied().collect();
        kernel.prefilter().lock().unwrap().replace(&rules).unwrap();
        assert_eq!(kept(&mut kernel), expected, "{rules:?}");
    }
}

/// So many take no longer than their maps do.
#[test]
fn very_many_rules_are_taken() {
    let network = |number: u32| (0x0b00_0000 + (number << 8)).to_be_bytes().into();
    let rules = (0..50_000).map(|number| Rule::Prefix(network(number), 24)).chain([Rule::Port(1000)]);
    let rules = rules.map(|rule| (rule, Verdict::Deny)).collect();
    let Some(mut kernel) = load(&KernelOptions { rules, ..KernelOptions::default() }) else { return };
    assert_eq!(kept(&mut kernel), [true, false]);
    kernel.prefilter().lock().unwrap().replace(&BTreeMap::new()).unwrap();
    assert_eq!(kept(&mut kernel), [true, true]);
}

#[test]
fn the_longest_prefix_counts() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let net = |text: &str, bits| Rule::Prefix(text.parse().unwrap(), bits);
    kernel.set_rule(net("10.0.0.0", 8), Some(Verdict::Deny)).unwrap();
    kernel.set_rule(net("10.0.0.0", 30), Some(Verdict::Allow)).unwrap();
    assert_eq!(kept(&mut kernel), [true, false]);
    kernel.set_rule(net("10.0.0.0", 30), None).unwrap();
    assert_eq!(kept(&mut kernel), [false, true]);
}

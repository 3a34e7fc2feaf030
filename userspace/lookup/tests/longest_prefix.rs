//! Longest prefixes, against a scan of all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert_eq, proptest};
use std::collections::BTreeMap;
use tapline_lookup::{PrefixList, Prefixes};
use tapline_record::address::{from_ip, parse_prefix, to_ip};

/// First and last address.
type Range = (u128, u128);

/// Prefixes and addresses to look for that lie close to them: bits are few, so that many lie within one another.
#[derive(Clone, Debug)]
struct Case {
    ranges: BTreeMap<Range, u32>,
    sought: Vec<u128>,
}

/// An address whose octets are mostly of a few values.
fn address(is_v4: bool) -> impl Strategy<Value = u128> {
    let octet = prop_oneof![4 => Just(10_u8), 2 => 0..3_u8, 1 => 254..=255_u8, 1 => any::<u8>()];
    vec(octet, 16).prop_map(move |octets| {
        let number = u128::from_be_bytes(octets.try_into().unwrap());
        if is_v4 { number & 0xffff_ffff | 0xffff << 32 } else { number }
    })
}

fn any_address() -> impl Strategy<Value = u128> {
    prop_oneof![address(true), address(false)]
}

fn range(address: u128, share: u32) -> Range {
    let is_v4 = address >> 32 == 0xffff;
    let host_bits = share % if is_v4 { 33 } else { 129 };
    let mask = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit - 1);
    (address & !mask, address | mask)
}

fn case(prefixes: std::ops::Range<usize>) -> impl Strategy<Value = Case> {
    let share = prop_oneof![3 => 0..8_u32, 2 => 0..32_u32, 1 => any::<u32>()];
    (vec((any_address(), share), prefixes), vec(any_address(), 50)).prop_map(|(given, mut sought)| {
        let ranges: BTreeMap<Range, u32> =
            given.iter().zip(0..).map(|((address, share), row)| (range(*address, *share), row)).collect();
        let borders = |(first, last): &Range| [*first, *last, first.wrapping_sub(1), last.wrapping_add(1)];
        sought.extend(ranges.keys().flat_map(borders));
        Case { ranges, sought }
    })
}

fn is_v4(address: u128) -> bool {
    address >> 32 == 0xffff
}

/// The row of the narrowest range around an address, of its own family.
fn scan(ranges: &BTreeMap<Range, u32>, sought: u128) -> Option<u32> {
    let around = ranges.iter().filter(|((first, last), _)| {
        let of_v4 = is_v4(*first) && is_v4(*last);
        (*first..=*last).contains(&sought) && of_v4 == is_v4(sought)
    });
    around.min_by_key(|((first, last), _)| last - first).map(|(_, row)| *row)
}

fn index(ranges: &BTreeMap<Range, u32>) -> Prefixes {
    let mut list = PrefixList::default();
    ranges.iter().for_each(|((first, last), row)| list.push(first.to_be_bytes(), last.to_be_bytes(), *row));
    Prefixes::new(list)
}

proptest! {
    #[test]
    fn a_few_prefixes_are_found_as_by_a_scan(case in case(0..40)) {
        let index = index(&case.ranges);
        for sought in case.sought {
            prop_assert_eq!(index.find(sought.to_be_bytes()), scan(&case.ranges, sought), "{:032x}", sought);
        }
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(2))]

    /// So many that in both families the leading bits choose the first entry, and nodes lie below nodes: a half are of
    /// IPv4, of which many are equal.
    #[test]
    fn many_prefixes_are_found_as_by_a_scan(case in case(12_000..12_500), every in 120..160_usize) {
        let index = index(&case.ranges);
        for sought in case.sought.into_iter().step_by(every) {
            prop_assert_eq!(index.find(sought.to_be_bytes()), scan(&case.ranges, sought), "{:032x}", sought);
        }
    }
}

#[test]
fn the_ends_of_both_families_are_found() {
    let texts =
        ["0.0.0.0/0", "0.0.0.0", "255.255.255.255", "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    let mut list = PrefixList::default();
    for (text, row) in texts.iter().zip(0..) {
        let (first, last) = parse_prefix(text).unwrap();
        list.push(first, last, row);
    }
    let index = Prefixes::new(list);
    for (text, row) in texts.iter().zip(0..).filter(|(text, _)| !text.contains('/')) {
        assert_eq!(index.find(from_ip(text.parse().unwrap())), Some(row), "{text}");
    }
    for (text, row) in [("10.0.0.1", 0), ("2001:db8::1", 3), ("::fffe:0:0", 3), ("::1:0:0:0", 3)] {
        let address = from_ip(text.parse().unwrap());
        assert_eq!(index.find(address), Some(row), "{}", to_ip(address));
    }
}

//! Lists that are looked up, and what is widened where all of a filter is too large.

use crate::machine::{STAGE, VERDICT, as_stage};
use crate::{ADDRESSES, condition, frame, words};
use proptest::prelude::*;
use tapline_ebpf_common::{Network, Scratch, Shape, Transport, wants};
use tapline_filter::bpf::{Fitted, List, NoMap, Pushed, Reader, stage};
use tapline_filter::{Comparison, Condition, Field};

#[test]
fn long_lists_are_looked_up() {
    let of = |length: u128, step: u128| {
        let addresses = (0..length).map(|place| ADDRESSES[0] + step * place);
        let condition = Condition::is_in(Field::SrcIp, addresses);
        let not = Condition::Not(Box::new(condition.clone()));
        [condition, not].map(|one| Pushed::of(&one.predicate()).in_memory().program)
    };
    assert!(of(64, 2).iter().all(|program| program.lists.is_empty()));
    for program in of(65, 2) {
        assert!(matches!(program.lists.as_slice(), [List::Addresses(keys)] if keys.len() == 65));
    }
    let ports = Condition::is_in(Field::DstPort, (0..30_000).map(|place| 2 * place));
    let program = Pushed::of(&ports.predicate()).in_memory().program;
    assert!(matches!(program.lists.as_slice(), [List::Bits(bits)] if bits.len() == 8192));
    let prefixes = (0..5000_u32).map(|place| {
        let network = std::net::Ipv4Addr::from(0x0a00_0000 + (place << 11));
        Condition::prefix(Field::DstIp, network.into(), 22)
    });
    let program = Pushed::of(&Condition::Any(prefixes.collect()).predicate()).in_memory().program;
    assert!(matches!(program.lists.as_slice(), [List::Prefixes(keys)] if keys.len() == 5000));
    assert!(program.size() < 40, "{}", program.size());
}

#[test]
fn lists_that_are_the_same_are_one() {
    let addresses = |field| Condition::is_in(field, (0..100).map(|place| ADDRESSES[0] + 2 * place));
    let either = Condition::Any([Field::SrcIp, Field::DstIp].map(addresses).to_vec());
    let wanted = &Pushed::of(&either.predicate());
    let readers = [wants::TABLE, wants::PACKETS].map(|bit| Reader { bit, wanted });
    assert_eq!(stage(&readers, STAGE, None).program.lists.len(), 1);
}

/// An address and a port that go together.
fn pair(place: u128) -> Condition {
    Condition::All(vec![
        Condition::compare(Field::SrcIp, Comparison::Equal, ADDRESSES[5] + 2 * place),
        Condition::compare(Field::DstPort, Comparison::Equal, 2 * place),
    ])
}

fn fitted(condition: &Condition) -> Fitted {
    fitted_with(condition, None)
}

fn fitted_with(condition: &Condition, no_map: Option<&NoMap>) -> Fitted {
    let wanted = &Pushed::of(&condition.predicate());
    stage(&[Reader { bit: wants::PACKETS, wanted }], STAGE, no_map)
}

/// A frame of UDP between these addresses and ports.
fn datagram([src, dst]: [u128; 2], ports: [u16; 2]) -> Scratch {
    let mut frame = Scratch { verdict: VERDICT, ..Scratch::default() };
    let shape = Shape { network: Network::V4, transport: Transport::Ports, tcp_flags: 0 };
    frame.key.set_src_ip(words(src));
    frame.key.set_dst_ip(words(dst));
    frame.key.set_rest(ports, 17, None, shape);
    frame
}

fn keeps(fitted: &Fitted, addresses: [u128; 2], ports: [u16; 2]) -> bool {
    as_stage(&fitted.program, &datagram(addresses, ports)) > 0
}

/// What was left out, of a filter of which something is left.
fn said(fitted: &Fitted) -> String {
    assert_eq!(fitted.why_nothing_is_left(), None);
    assert!(fitted.program.size() <= 4096 && fitted.program.lists.len() <= 60);
    fitted.widened.as_ref().unwrap().to_string()
}

#[test]
fn what_takes_too_many_instructions_is_widened() {
    let of = |pairs: u128| fitted(&Condition::Any((0..pairs).map(pair).collect()));
    assert!(of(100).widened.is_none() && of(100).program.size() < 4096);
    let large = of(1000);
    let said = said(&large);
    // What stays of all is one list, which tells apart more than ports do.
    assert!(said.starts_with("without conditions on dst_port ("), "{said}");
    assert!(said.ends_with("instructions, and the kernel takes 4096"), "{said}");
    for (port, is_kept) in [(0, true), (1998, true), (1, false), (2000, false)] {
        let src = ADDRESSES[5] + u128::from(port);
        assert_eq!(keeps(&large, [src, 0], [9, port]), is_kept, "{port}");
    }
    assert!(!keeps(&large, [ADDRESSES[0], 0], [9, 1998]));
}

#[test]
fn something_is_left_of_each_alternative() {
    let host = |place: u128| {
        Condition::Any([Field::SrcIp, Field::DstIp].map(|field| Condition::is_in(field, [place])).to_vec())
    };
    let both = |place: u128| Condition::All(vec![host(4 * place), host(4 * place + 2)]);
    let hosts = fitted(&Condition::Any((0..200).map(both).collect()));
    assert!(said(&hosts).contains("src_ip ("));
    assert!(keeps(&hosts, [4, 6], [1, 2]) && keeps(&hosts, [798, 796], [1, 2]));
    assert!(!keeps(&hosts, [5, 7], [1, 2]) && !keeps(&hosts, [1000, 5], [1, 2]));

    let ports = |place: u128| {
        let [src, dst] = [Field::SrcPort, Field::DstPort].map(|field| Condition::is_in(field, [2 * place]));
        Condition::All(vec![src, dst])
    };
    let ports = fitted(&Condition::Any((0..1000).map(ports).collect()));
    let _ = said(&ports);
    assert!(keeps(&ports, [1, 2], [1998, 1998]) && !keeps(&ports, [1, 2], [1999, 1999]));
}

/// A connection of which all is said.
fn five_tuple(place: u128) -> Condition {
    let of = |(field, number)| Condition::is_in(field, [number]);
    let protocol = if place.is_multiple_of(2) { 6 } else { 17 };
    let numbers = [
        (Field::Protocol, protocol),
        (Field::SrcIp, ADDRESSES[0] + 2 * place),
        (Field::DstIp, ADDRESSES[5] + 2 * place),
        (Field::SrcPort, 2 * place),
        (Field::DstPort, 2 * place + 1),
    ];
    Condition::All(numbers.map(of).to_vec())
}

#[test]
fn of_connections_what_tells_apart_the_most_is_left() {
    let many = fitted(&Condition::Any((0..300).map(five_tuple).collect()));
    let said = said(&many);
    assert!(said.contains("dst_ip (") && !said.contains("src_ip ("), "{said}");
    let addresses = |place: u128| [ADDRESSES[0] + 2 * place, ADDRESSES[5] + 2 * place];
    let ports = |place: u16| [2 * place, 2 * place + 1];
    for place in (1..300_u16).step_by(2) {
        assert!(keeps(&many, addresses(place.into()), ports(place)), "{place}");
    }
    let [stranger, dst] = [ADDRESSES[0] + 1, ADDRESSES[5]];
    assert!(!keeps(&many, [stranger, dst], ports(0)) && !keeps(&many, [stranger, dst], ports(299)));
}

#[test]
fn lists_that_go_are_of_different_alternatives() {
    let lists = |number: u128| {
        let list =
            |(field, base)| Condition::is_in(field, (0..100).map(|place| base + 1000 * number + 2 * place));
        Condition::All([(Field::SrcIp, ADDRESSES[0]), (Field::DstIp, ADDRESSES[5])].map(list).to_vec())
    };
    let many = fitted(&Condition::Any((0..31).map(lists).collect()));
    let said = said(&many);
    assert_eq!(said, "without conditions on dst_ip (2): it has 62 long lists, and the kernel takes 60");
}

/// `src_ip` in 10.0.0.0/8
fn in_ten() -> Condition {
    Condition::prefix(Field::SrcIp, "10.0.0.0".parse().unwrap(), 8)
}

#[test]
fn what_a_source_keeps_stays_in_front_of_what_is_too_large() {
    // Addresses of the pairs go on behind the prefix.
    let pair = |place: u128| {
        let src = Condition::is_in(Field::SrcIp, [0xffff_0aff_ff00 + place]);
        Condition::All(vec![src, Condition::is_in(Field::DstPort, [2 * place])])
    };
    let needed = Condition::Any((0..400).map(pair).collect());
    let whole = fitted(&Condition::All(vec![in_ten(), needed]));
    let said = said(&whole);
    assert!(said.starts_with("without conditions on dst_port (") && !said.contains("src_ip"), "{said}");
    let keeps = |place: u16| keeps(&whole, [0xffff_0aff_ff00 + u128::from(place), 0], [1, 2 * place]);
    assert!(keeps(2) && !keeps(300));
}

#[test]
fn small_queries_stay_beside_large_ones() {
    let small = Condition::All(vec![in_ten(), Condition::is_in(Field::DstPort, [53])]);
    for is_first in [true, false] {
        let mut all: Vec<_> = (0..1000).map(pair).collect();
        all.insert(if is_first { 0 } else { 1000 }, small.clone());
        let fitted = fitted(&Condition::Any(all));
        let _ = said(&fitted);
        let ten = 0xffff_0a01_0203;
        assert!(keeps(&fitted, [ten, 0], [9, 53]) && !keeps(&fitted, [ten, 0], [9, 80]), "{is_first}");
    }
}

#[test]
fn where_alternatives_are_too_much_what_stands_in_front_of_them_stays() {
    let huge = Condition::is_in(Field::SrcIp, (0..=1 << 20).map(|place| ADDRESSES[0] + 2 * place));
    let in_vlan = |needed| Condition::All(vec![Condition::is_in(Field::Vlan, [5]), needed]);
    let needed = Condition::Any((0..10).map(pair).chain([huge.clone()]).collect());
    assert_eq!(fitted(&in_vlan(needed)).sql(), "vlan = 5");
    let alone = fitted(&in_vlan(huge.clone()));
    assert_eq!((alone.sql(), alone.program.lists.len()), ("vlan = 5".to_owned(), 0));
    // One reader who wants all leaves the other his filter.
    let [of_huge, of_port] =
        [huge, Condition::is_in(Field::DstPort, [53])].map(|one| Pushed::of(&one.predicate()));
    let readers = [(wants::TABLE, &of_huge), (wants::PACKETS, &of_port)];
    let both = stage(&readers.map(|(bit, wanted)| Reader { bit, wanted }), STAGE, None);
    assert_eq!(as_stage(&both.program, &datagram([1, 2], [1, 53])), wants::TABLE | wants::PACKETS);
    assert_eq!(as_stage(&both.program, &datagram([1, 2], [1, 54])), wants::TABLE);
}

#[test]
fn all_that_there_is_too_much_of_is_told() {
    let list = |number: u128| {
        let addresses = (0..100).map(|place| ADDRESSES[0] + 1000 * number + 2 * place);
        let [list, port] =
            [Condition::is_in(Field::SrcIp, addresses), Condition::is_in(Field::DstPort, [number])];
        Condition::All(vec![list, port])
    };
    let of = |lists: u128, pairs: u128| {
        fitted(&Condition::Any((0..lists).map(list).chain((0..pairs).map(pair)).collect()))
    };
    let both = of(70, 1000);
    let said = said(&both);
    assert!(said.contains(" instructions, and the kernel takes 4096; it has 70 long lists, and "), "{said}");
    // However many they are, the reasons are the same.
    let widened = |fitted: Fitted| fitted.widened.unwrap();
    assert!(widened(of(0, 500)).is_like(&widened(of(0, 1000))));
    assert!(!widened(of(0, 500)).is_like(&widened(both)));
}

#[test]
fn a_list_of_which_the_kernel_makes_no_map_costs_its_own_part_only() {
    let list = |count: u128, port| {
        let addresses = Condition::is_in(Field::SrcIp, (0..count).map(|place| ADDRESSES[0] + 2 * place));
        Condition::All(vec![addresses, Condition::is_in(Field::DstPort, [port])])
    };
    let both = Condition::Any(vec![list(10_000, 53), list(100, 80)]);
    assert_eq!(fitted(&both).widened, None);
    let no_map = NoMap { entries: 10_000, why: "no memory".to_owned() };
    let fitted = fitted_with(&both, Some(&no_map));
    assert_eq!(fitted.sql(), "dst_port = 53 OR src_ip IN (100 values) AND dst_port = 80");
    let expected =
        "without conditions on src_ip (1): the kernel makes no map of 10000 values or prefixes: no memory";
    assert_eq!(said(&fitted), expected);
}

#[test]
fn a_list_that_is_too_large_costs_its_own_part_only() {
    let huge = |count: u128| Condition::is_in(Field::SrcIp, (0..count).map(|place| ADDRESSES[0] + 2 * place));
    let port = |port| Condition::is_in(Field::DstPort, [port]);
    let of_list = Condition::All(vec![huge((1 << 20) + 1), port(53)]);
    let beside = Condition::All(vec![huge(100), port(80)]);
    let both = fitted(&Condition::Any(vec![of_list, beside]));
    let said = both.widened.as_ref().unwrap().to_string();
    assert_eq!(said, "without conditions on src_ip (1): its lists have more than 1048576 values or prefixes");
    assert_eq!(both.sql(), "dst_port = 53 OR src_ip IN (100 values) AND dst_port = 80");
    assert_eq!(both.program.entries(), 100);
    assert!(
        fitted(&huge((1 << 20) + 1))
            .why_nothing_is_left()
            .unwrap()
            .starts_with("nothing of it is left without ")
    );
}

#[test]
fn more_lists_than_a_program_may_have_are_widened() {
    let list = |number: u128| {
        let addresses = (0..100).map(|place| ADDRESSES[0] + 1000 * number + 2 * place);
        Condition::All(vec![
            Condition::is_in(Field::SrcIp, addresses),
            Condition::is_in(Field::DstPort, [number]),
        ])
    };
    let of = |lists: u128| fitted(&Condition::Any((0..lists).map(list).collect()));
    assert_eq!((of(60).program.lists.len(), of(60).widened), (60, None));
    let many = of(70);
    assert_eq!(many.program.lists.len(), 60);
    let said = many.widened.unwrap().to_string();
    assert_eq!(said, "without conditions on src_ip (10): it has 70 long lists, and the kernel takes 60");
}

#[test]
fn shorter_lists_are_looked_up_before_anything_is_widened() {
    let list = |number: u128| {
        let addresses = (0..30).map(|place| ADDRESSES[0] + 1000 * number + 2 * place);
        Condition::All(vec![
            Condition::is_in(Field::SrcIp, addresses),
            Condition::is_in(Field::DstPort, [number]),
        ])
    };
    let many = fitted(&Condition::Any((0..65).map(list).collect()));
    assert_eq!((many.program.lists.len(), many.widened), (60, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_widened_only_lets_more_through(
        conditions in prop::collection::vec(condition(), 60..120),
        frames in prop::collection::vec(frame(), 1..20),
    ) {
        let condition = Condition::Any(conditions);
        let fitted = fitted(&condition);
        for frame in frames {
            let (is_wanted, is_kept) = (condition.predicate().holds(&frame), as_stage(&fitted.program, &frame) > 0);
            prop_assert!(is_kept || !is_wanted);
            prop_assert!(fitted.widened.is_some() || is_kept == is_wanted);
        }
    }
}

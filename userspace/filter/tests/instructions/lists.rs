//! Lists that are looked up, and what is widened where all of a filter is too large.

use crate::machine::{STAGE, VERDICT, as_stage};
use crate::{ADDRESSES, condition, frame, words};
use proptest::prelude::*;
use tapline_ebpf_common::{Network, Scratch, Shape, Transport, wants};
use tapline_filter::bpf::{Fitted, List, Pushed, Reader, stage};
use tapline_filter::{Comparison, Condition, Field};

#[test]
fn long_lists_are_looked_up() {
    let of = |length: u128, step: u128| {
        let addresses = (0..length).map(|place| ADDRESSES[0] + step * place);
        let condition = Condition::is_in(Field::SrcIp, addresses);
        let not = Condition::Not(Box::new(condition.clone()));
        [condition, not].map(|one| Pushed::of(&one.predicate()).in_memory().unwrap().program)
    };
    assert!(of(64, 2).iter().all(|program| program.lists.is_empty()));
    for program in of(65, 2) {
        assert!(matches!(program.lists.as_slice(), [List::Addresses(keys)] if keys.len() == 65));
    }
    let ports = Condition::is_in(Field::DstPort, (0..30_000).map(|place| 2 * place));
    let program = Pushed::of(&ports.predicate()).in_memory().unwrap().program;
    assert!(matches!(program.lists.as_slice(), [List::Bits(bits)] if bits.len() == 8192));
    let prefixes = (0..5000_u32).map(|place| {
        let network = std::net::Ipv4Addr::from(0x0a00_0000 + (place << 11));
        Condition::prefix(Field::DstIp, network.into(), 22)
    });
    let program = Pushed::of(&Condition::Any(prefixes.collect()).predicate()).in_memory().unwrap().program;
    assert!(matches!(program.lists.as_slice(), [List::Prefixes(keys)] if keys.len() == 5000));
    assert!(program.size() < 40, "{}", program.size());
}

#[test]
fn lists_that_are_the_same_are_one() {
    let addresses = |field| Condition::is_in(field, (0..100).map(|place| ADDRESSES[0] + 2 * place));
    let either = Condition::Any([Field::SrcIp, Field::DstIp].map(addresses).to_vec());
    let wanted = &Pushed::of(&either.predicate());
    let readers = [wants::TABLE, wants::PACKETS].map(|bit| Reader { bit, wanted });
    assert_eq!(stage(&readers, STAGE).unwrap().program.lists.len(), 1);
}

/// An address and a port that go together.
fn pair(place: u128) -> Condition {
    Condition::All(vec![
        Condition::compare(Field::SrcIp, Comparison::Equal, ADDRESSES[5] + 2 * place),
        Condition::compare(Field::DstPort, Comparison::Equal, 2 * place),
    ])
}

fn fitted(condition: &Condition) -> Fitted {
    let wanted = &Pushed::of(&condition.predicate());
    stage(&[Reader { bit: wants::PACKETS, wanted }], STAGE).unwrap()
}

#[test]
fn what_takes_too_many_instructions_is_widened() {
    let of = |pairs: u128| fitted(&Condition::Any((0..pairs).map(pair).collect()));
    assert!(of(100).widened.is_none() && of(100).program.size() < 4096);
    let large = of(1000);
    assert!(large.program.size() <= 4096 && large.why_nothing_is_left().is_none());
    let said = large.widened.as_ref().unwrap().to_string();
    assert!(said.starts_with("without conditions on src_ip ("), "{said}");
    assert!(said.ends_with("instructions, and the kernel takes 4096"), "{said}");
    for (port, is_kept) in [(0, true), (1998, true), (1, false), (2000, false)] {
        let mut frame = Scratch { verdict: VERDICT, ..Scratch::default() };
        let shape = Shape { network: Network::V4, transport: Transport::Ports, tcp_flags: 0 };
        frame.key.set_src_ip(words(ADDRESSES[5] + u128::from(port)));
        frame.key.set_rest([9, port], 17, None, shape);
        assert_eq!(as_stage(&large.program, &frame) > 0, is_kept, "{port}");
    }
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

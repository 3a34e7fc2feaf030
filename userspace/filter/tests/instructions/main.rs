//! The instructions of a predicate say what the predicate says, and that is what SQL's three values say.
//!
//! Random conditions meet random frames; an interpreter of BPF runs the instructions, over memory as a function and as a
//! stage of the kernel's program with its helpers played.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod lists;
mod machine;

use machine::{STAGE, VERDICT, as_stage, in_memory};
use proptest::prelude::*;
use tapline_ebpf_common::{FlowKey, Network, Scratch, Shape, Tag, Transport, wants};
use tapline_filter::bpf::{Fitted, Program, Pushed, Reader, stage};
use tapline_filter::{Comparison, Condition, Field, Operand, Predicate, Ranges, Values};

const NETWORKS: [Network; 13] = [
    Network::None,
    Network::V4,
    Network::V6,
    Network::V6WithoutProtocol,
    Network::V4Version,
    Network::V4Octets,
    Network::V4Protocol,
    Network::V4Source,
    Network::V6Version,
    Network::V6Octets,
    Network::V6Protocol,
    Network::V6Source,
    Network::V6SourceProtocol,
];

/// The fields that the kernel's program parses.
const FIELDS: [Field; 12] = [
    Field::Vlan,
    Field::IpVersion,
    Field::SrcIp,
    Field::DstIp,
    Field::Protocol,
    Field::SrcPort,
    Field::DstPort,
    Field::TcpFlags,
    Field::IcmpType,
    Field::IcmpCode,
    Field::Octets,
    Field::FrameOctets,
];

/// IPv4 addresses, and others that differ in their first half, in their second one, or hardly.
const ADDRESSES: [u128; 8] = [
    0xffff_0a00_0001,
    0xffff_0a00_0002,
    0xffff_0a01_0000,
    0xffff_ffff_ffff,
    0,
    0x2001_0db8_0000_0000_0000_0000_0000_0001,
    0x2001_0db8_0000_0001_0000_0000_0000_0001,
    u128::MAX,
];

fn words(address: u128) -> [u64; 2] {
    let octets = address.to_be_bytes();
    let (first, second) = octets.split_at(8);
    [first, second].map(|half| u64::from_ne_bytes(half.try_into().unwrap()))
}

/// Small numbers often, so that conditions meet them.
fn number(max: u64) -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..6_u64.min(max), 1 => 0..=max, 1 => Just(max)]
}

fn address() -> impl Strategy<Value = u128> {
    prop_oneof![4 => prop::sample::select(ADDRESSES.to_vec()), 1 => any::<u128>()]
}

fn shape() -> impl Strategy<Value = Shape> {
    let transports = [Transport::None, Transport::Ports, Transport::Tcp, Transport::Icmp];
    let any_shape = (prop::sample::select(NETWORKS.to_vec()), prop::sample::select(transports.to_vec()));
    (any_shape, number(0x1ff)).prop_map(|((network, transport), flags)| {
        let is_whole = matches!(network, Network::V4 | Network::V6);
        let transport = if is_whole { transport } else { Transport::None };
        let tcp_flags = if transport == Transport::Tcp { flags as u16 } else { 0 };
        Shape { network, transport, tcp_flags }
    })
}

prop_compose! {
    fn frame()(
        shape in shape(),
        src in address(),
        dst in address(),
        ports in [number(0xffff), number(0xffff)],
        protocol in number(0xff),
        vlan in proptest::option::of(number(0xfff)),
        octets in number(0xffff_ffff),
        frame_octets in number(0xffff_ffff),
    ) -> Scratch {
        let mut key = FlowKey::default();
        if shape.network.has_src_ip() {
            key.set_src_ip(words(src));
        }
        if shape.network.has_dst_ip() {
            key.set_dst_ip(words(dst));
        }
        let ports = match shape.transport {
            Transport::None => [0; 2],
            Transport::Icmp => ports.map(|port| port as u16 & 0xff),
            Transport::Ports | Transport::Tcp => ports.map(|port| port as u16),
        };
        let protocol = if shape.network.has_protocol() { protocol as u8 } else { 0 };
        key.set_rest(ports, protocol, vlan.map(|vlan| vlan as u16), shape);
        let octets = if shape.network.has_octets() { octets as u32 } else { 0 };
        Scratch {
            key,
            octets,
            frame_octets: frame_octets as u32,
            wanted: wants::ALL,
            verdict: VERDICT,
            tag: Tag::default(),
            transport_at: 0,
        }
    }
}

fn value(field: Field) -> BoxedStrategy<u128> {
    match field {
        Field::SrcIp | Field::DstIp => address().boxed(),
        _ => number(u64::try_from(field.max()).unwrap()).prop_map(u128::from).boxed(),
    }
}

fn operand(field: Field) -> BoxedStrategy<Operand> {
    match field {
        Field::SrcIp | Field::DstIp => Just(Operand::of(field)).boxed(),
        _ => {
            let masked = any::<u64>().prop_map(move |mask| Operand::masked(field, mask));
            prop_oneof![4 => Just(Operand::of(field)), 1 => masked].boxed()
        }
    }
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    prop::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn leaf() -> impl Strategy<Value = Condition> {
    prop::sample::select(FIELDS.to_vec()).prop_flat_map(|field| {
        let compare = (comparison(), value(field));
        let ranges = prop::collection::vec((value(field), value(field)), 0..5);
        prop_oneof![
            4 => compare.prop_map(move |(comparison, value)| Condition::compare(field, comparison, value)),
            2 => (operand(field), ranges).prop_map(|(operand, ranges)| {
                Condition::Within(operand, ranges.into_iter().collect())
            }),
            1 => prop::collection::vec(value(field), 1..=64)
                .prop_map(move |values| Condition::is_in(field, values)),
            1 => long_list(field).prop_map(move |ranges| Condition::Within(Operand::of(field), ranges)),
            1 => (value(field), value(field)).prop_map(move |(first, last)| Condition::between(field, first, last)),
            1 => Just(Condition::IsNull(field)),
        ]
    })
}

/// More values and ranges than are compared with one by one, most of them near each other.
fn long_list(field: Field) -> impl Strategy<Value = Ranges> {
    let near = (0..500_u128, 0..4_u128).prop_map(move |(at, length)| (at * 5, at * 5 + length));
    let anywhere = value(field).prop_map(|value| (value, value));
    let range = prop_oneof![8 => near, 1 => anywhere];
    let base = prop::sample::select(vec![0, ADDRESSES[0], ADDRESSES[5]]);
    (base, prop::collection::vec(range, 65..200)).prop_map(move |(base, ranges)| {
        let base = if base <= field.max() { base } else { 0 };
        ranges
            .into_iter()
            .map(|(first, last)| (base.saturating_add(first), base.saturating_add(last)))
            .collect()
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            some().prop_map(Condition::All),
            some().prop_map(Condition::Any),
            inner.clone().prop_map(|inner| Condition::Not(Box::new(inner))),
            inner.clone().prop_map(|inner| Condition::IsTrue(Box::new(inner))),
        ]
    })
}

/// What SQL says of a condition, where `unsaid` is what stands for a part that cannot be said.
fn in_sql(condition: &Condition, frame: &Scratch, unsaid: Option<bool>) -> Option<bool> {
    let of = |part: &Condition| in_sql(part, frame, unsaid);
    match condition {
        Condition::Within(operand, ranges) => operand.value(frame).map(|value| ranges.holds(value)),
        Condition::IsNull(field) => Some(frame.value(*field).is_none()),
        Condition::Not(inner) => of(inner).map(|truth| !truth),
        Condition::All(parts) => decided(parts.iter().map(of), false),
        Condition::Any(parts) => decided(parts.iter().map(of), true),
        Condition::IsTrue(inner) => Some(of(inner) == Some(true)),
        Condition::Unsaid => unsaid,
    }
}

/// `AND` and `OR`: one value decides; without it, NULL is left if there is one.
fn decided(parts: impl Iterator<Item = Option<bool>>, decides: bool) -> Option<bool> {
    let parts: Vec<_> = parts.collect();
    if parts.contains(&Some(decides)) {
        return Some(decides);
    }
    (!parts.contains(&None)).then_some(!decides)
}

fn whole(fitted: Fitted) -> Option<Program> {
    fitted.widened.is_none().then_some(fitted.program)
}

/// The instructions of a predicate, in memory, and as a stage in which others want all or nothing; `None` where they are
/// too many.
fn programs(predicate: &Predicate) -> Option<[Program; 3]> {
    let pushed = Pushed::of(predicate);
    assert_eq!((pushed.predicate(), pushed.left_out.len()), (predicate, 0));
    let [all, nothing] =
        [Condition::All(vec![]), Condition::Any(vec![])].map(|one| Pushed::of(&one.predicate()));
    let beside = |other: &Pushed| {
        let readers = [(wants::TABLE, other), (wants::PACKETS, &pushed)];
        stage(&readers.map(|(bit, wanted)| Reader { bit, wanted }), STAGE, None)
    };
    Some([whole(pushed.in_memory())?, whole(beside(&nothing))?, whole(beside(&all))?])
}

proptest! {
    #[test]
    fn instructions_say_what_sql_says(condition in condition(), frames in prop::collection::vec(frame(), 1..20)) {
        let predicate = condition.predicate();
        let programs = programs(&predicate);
        for frame in frames {
            let expected = in_sql(&condition, &frame, None) == Some(true);
            prop_assert_eq!(predicate.holds(&frame), expected, "{:?}", &predicate);
            if let Some([memory, alone, beside]) = &programs {
                let bit = if expected { wants::PACKETS } else { 0 };
                prop_assert_eq!(in_memory(memory, &frame), expected, "{:?}", &predicate);
                prop_assert_eq!(as_stage(alone, &frame), bit, "{:?}", &predicate);
                prop_assert_eq!(as_stage(beside, &frame), wants::TABLE | bit, "{:?}", &predicate);
            }
        }
    }

    #[test]
    fn what_cannot_be_said_only_lets_more_through(
        one in condition(),
        other in condition(),
        is_negative in any::<bool>(),
        frame in frame(),
    ) {
        let inner = Condition::Any(vec![one, Condition::All(vec![other, Condition::Unsaid])]);
        let condition = if is_negative { Condition::Not(Box::new(inner)) } else { inner };
        let is_kept = condition.predicate().holds(&frame);
        for unsaid in [Some(true), Some(false), None] {
            prop_assert!(is_kept || in_sql(&condition, &frame, unsaid) != Some(true));
        }
    }
}

#[test]
fn lists_of_every_length_are_found() {
    let mut frame = Scratch::default();
    for length in 1..=64 {
        let ports = Ranges::of((0..length).map(|place| place * 3 + 1));
        let condition = Condition::Within(Operand::of(Field::DstPort), ports);
        let outside = Condition::Not(Box::new(condition.clone()));
        let [inside, outside] = [condition, outside].map(|one| programs(&one.predicate()).unwrap());
        for port in 0..=length as u16 * 3 + 2 {
            let shape = Shape { network: Network::V4, transport: Transport::Ports, tcp_flags: 0 };
            frame.key = FlowKey::default();
            frame.key.set_rest([9, port], 17, None, shape);
            let is_in = port % 3 == 1 && u128::from(port) < length * 3;
            assert_eq!([in_memory(&inside[0], &frame), in_memory(&outside[0], &frame)], [is_in, !is_in]);
        }
    }
}

#[test]
fn a_program_says_what_it_reads() {
    let reads = |condition: &Condition| Pushed::of(&condition.predicate()).in_memory().program.reads;
    assert_eq!(reads(&Condition::is_in(Field::DstIp, [1])), [16, 24, 32]);
    assert_eq!(reads(&Condition::is_in(Field::FrameOctets, [60])), [32, 44]);
    assert_eq!(reads(&Condition::is_in(Field::Vlan, [5])), [32]);
}

#[test]
fn what_the_kernel_does_not_parse_is_left_out() {
    let arp = Condition::is_in(Field::Ethertype, [0x806]);
    let http = Condition::is_in(Field::DstPort, [80]);
    let both = Pushed::of(&Condition::All(vec![arp.clone(), http.clone()]).predicate());
    assert_eq!(both.predicate(), &http.predicate());
    assert!(both.left_out.iter().eq(&[Field::Ethertype]) && !both.lets_all_through());
    assert!(Pushed::of(&Condition::Any(vec![arp, http]).predicate()).lets_all_through());
}

#[test]
fn values_that_no_field_has_leave_no_dead_instructions() {
    // A verifier refuses what cannot be reached.
    for condition in [
        Condition::All(vec![Condition::is_in(Field::Vlan, [5000]), Condition::is_in(Field::DstPort, [80])]),
        Condition::Any(vec![
            Condition::between(Field::TcpFlags, 0, 600),
            Condition::is_in(Field::DstPort, [80]),
        ]),
        Condition::All(vec![]),
        Condition::Any(vec![]),
    ] {
        for program in programs(&condition.predicate()).unwrap() {
            assert_eq!(reached(&program.instructions(&[])), vec![true; program.size()]);
        }
    }
}

/// Which instructions some way leads to.
fn reached(instructions: &[u64]) -> Vec<bool> {
    let mut reached = vec![false; instructions.len()];
    reached[0] = true;
    for (at, instruction) in instructions.iter().enumerate() {
        let [operation, _, low, high, ..] = instruction.to_le_bytes();
        if !reached[at] {
            continue;
        }
        if operation & 7 == 5 && ![0x85, 0x95].contains(&operation) {
            reached[at + 1 + usize::from(u16::from_le_bytes([low, high]))] = true;
        }
        if ![0x05, 0x95].contains(&operation) {
            reached[at + 1] = true;
        }
    }
    reached
}

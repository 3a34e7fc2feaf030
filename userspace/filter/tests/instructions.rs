//! The instructions of a predicate say what the predicate says, and that is what SQL's three values say.
//!
//! Random conditions meet random frames; an interpreter of BPF runs the instructions, over memory as a function and as a
//! stage of the kernel's program with its helpers played.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::mem::offset_of;
use tapline_ebpf_common::{Counters, CpuState, FlowKey, Network, Scratch, Shape, Tag, Transport, wants};
use tapline_filter::bpf::{Excess, Fitted, List, Program, Pushed, Reader, Stage, stage};
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
            reserved: 0,
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

/// The descriptor of the first list; each has the next one.
const LISTS: u32 = 100;
const LOAD_CONSTANT: u8 = 0x18;
/// In the place of a register of such a load: what follows is where the value of a map is.
const IS_VALUE: u8 = 2;

/// What is looked up in the map of a list.
enum Looked {
    Keys(HashSet<Vec<u8>>),
    /// Prefixes, by their lengths and first octets.
    Prefixes(HashSet<Vec<u8>>),
    Bits,
}

impl Looked {
    fn of(list: &List) -> Self {
        match list {
            List::Bits(_) => Self::Bits,
            List::Addresses(keys) => Self::Keys(keys.iter().map(|key| key.to_vec()).collect()),
            List::Prefixes(keys) => Self::Prefixes(keys.iter().map(|key| key.to_vec()).collect()),
        }
    }

    fn key_octets(&self) -> usize {
        match self {
            Self::Bits => panic!("bits are not looked up"),
            Self::Keys(_) => 16,
            Self::Prefixes(_) => 20,
        }
    }

    /// Whether the map gives something for a key.
    fn has(&self, key: &[u8]) -> bool {
        match self {
            Self::Bits => false,
            Self::Keys(keys) => keys.contains(key),
            Self::Prefixes(keys) => {
                let (length, address) = key.split_at(4);
                assert_eq!(length, 128_u32.to_ne_bytes(), "the whole address is looked for");
                let address = u128::from_be_bytes(address.try_into().unwrap());
                let of = |bits: u32| address & !u128::MAX.checked_shr(bits).unwrap_or(0);
                let key = |bits: u32| [&bits.to_ne_bytes()[..], &of(bits).to_be_bytes()].concat();
                (0..=128).any(|bits| keys.contains(&key(bits)))
            }
        }
    }
}

thread_local! {
    /// The lists of the program that runs.
    static LOOKED: RefCell<Vec<Looked>> = const { RefCell::new(vec![]) };
}

/// What whoever loads a program does: it has a descriptor for each list, and where one is a value, its place in memory.
fn octets(program: &Program) -> Vec<u8> {
    LOOKED.set(program.lists.iter().map(Looked::of).collect());
    let descriptors: Vec<u32> = (LISTS..).take(program.lists.len()).collect();
    let mut code = program.instructions(&descriptors);
    for at in 0..code.len() {
        let [operation, registers, _, _, a, b, c, d] = code[at].to_le_bytes();
        if operation == LOAD_CONSTANT && registers >> 4 == IS_VALUE {
            let number = u32::from_le_bytes([a, b, c, d]) - LISTS;
            let List::Bits(bits) = &program.lists[number as usize] else { panic!("it has no single value") };
            let place = (bits.as_ptr() as u64).to_le_bytes();
            let half = |at: usize| u32::from_le_bytes(place[at..at + 4].try_into().unwrap());
            code[at] =
                u64::from_le_bytes([operation, registers & 0xf, 0, 0, 0, 0, 0, 0]) | u64::from(half(0)) << 32;
            code[at + 1] = u64::from(half(4)) << 32;
        }
    }
    code.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// A machine that runs a program, and may look into its lists.
fn machine<'a>(program: &Program, octets: &'a [u8]) -> rbpf::EbpfVmMbuff<'a> {
    let mut machine = rbpf::EbpfVmMbuff::new(Some(octets)).unwrap();
    machine.register_helper(1, look_up).unwrap();
    for list in &program.lists {
        if let List::Bits(bits) = list {
            let first = bits.as_ptr() as u64;
            machine.register_allowed_memory(first..first + bits.len() as u64);
        }
    }
    machine
}

/// A scratch as it is in memory.
fn memory(frame: &Scratch) -> [u8; 64] {
    let mut memory = [0; 64];
    for (at, word) in frame.key.words().iter().enumerate() {
        memory[8 * at..8 * at + 8].copy_from_slice(&word.to_ne_bytes());
    }
    let numbers = [frame.octets, frame.frame_octets, frame.wanted, frame.verdict];
    for (at, number) in numbers.into_iter().enumerate() {
        memory[40 + 4 * at..44 + 4 * at].copy_from_slice(&number.to_ne_bytes());
    }
    memory
}

fn in_memory(program: &Program, frame: &Scratch) -> bool {
    let octets = octets(program);
    let machine = machine(program, &octets);
    match machine.execute_program(&memory(frame), &[]).unwrap() {
        0 => false,
        1 => true,
        other => panic!("{other} is no answer"),
    }
}

const STAGE: Stage = Stage { cpus: 11, stages: 12 };
/// What becomes of a frame that nobody wants; no action of XDP, so that it is told from all others.
const VERDICT: u32 = 77;
/// The CPU that a filter runs on.
const CPU: u64 = 5;
/// Where it counts frames that nobody wants.
const UNWANTED: usize = offset_of!(CpuState, counters) + offset_of!(Counters, unwanted_packets);

thread_local! {
    /// Where the CPU's entry is, and the slot of the last tail call.
    static ENTRY: Cell<u64> = const { Cell::new(0) };
    static CALLED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

fn number_of_cpu(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    CPU
}

fn look_up(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    if map == u64::from(STAGE.cpus) {
        return ENTRY.get();
    }
    let number = usize::try_from(map).unwrap() - LISTS as usize;
    LOOKED.with_borrow(|looked| {
        let list = &looked[number];
        // SAFETY: the program says that its key is there, and all that it may read is longer than a key.
        let key = unsafe { std::slice::from_raw_parts(key as *const u8, list.key_octets()) };
        u64::from(list.has(key))
    })
}

fn tail_call(_context: u64, map: u64, slot: u64, _: u64, _: u64) -> u64 {
    CALLED.set(Some((map, slot)));
    0
}

/// Runs a stage, whose tail call comes back as from a slot that is empty; gives the bits of those who want the frame.
fn as_stage(program: &Program, frame: &Scratch) -> u32 {
    let octets = octets(program);
    let mut machine = machine(program, &octets);
    machine.register_helper(8, number_of_cpu).unwrap();
    machine.register_helper(12, tail_call).unwrap();
    let mut entry = [0; size_of::<CpuState>()];
    entry[..64].copy_from_slice(&memory(frame));
    let address = entry.as_mut_ptr() as u64;
    ENTRY.set(address);
    CALLED.set(None);
    machine.register_allowed_memory(address..address + entry.len() as u64);
    let answer = machine.execute_program(&[0; 8], &[]).unwrap();
    assert_eq!(answer, u64::from(VERDICT), "a frame that goes nowhere is ended");
    assert_eq!(entry[..48], memory(frame)[..48], "what was parsed stays as it is");
    assert_eq!(entry[52..64], memory(frame)[52..]);
    let mut expected = [0; size_of::<CpuState>() - 64];
    expected[UNWANTED - 64..UNWANTED - 56].copy_from_slice(&1_u64.to_ne_bytes());
    assert_eq!(entry[64..], expected, "and is counted as unwanted");
    let wanted = u32::from_ne_bytes([entry[48], entry[49], entry[50], entry[51]]);
    match CALLED.get() {
        None => 0,
        called => {
            assert_eq!(called, Some((STAGE.stages.into(), 1)));
            assert!(wanted > 0);
            wanted
        }
    }
}

fn whole(fitted: Result<Fitted, Excess>) -> Option<Program> {
    fitted.ok().filter(|fitted| fitted.widened.is_none()).map(|fitted| fitted.program)
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
        stage(&readers.map(|(bit, wanted)| Reader { bit, wanted }), STAGE)
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
    assert!(large.program.size() <= 4096 && !large.lets_all_through());
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
    let of_list = Condition::All(vec![huge(1 << 21), port(53)]);
    let beside = Condition::All(vec![huge(100), port(80)]);
    let both = fitted(&Condition::Any(vec![of_list, beside]));
    let said = both.widened.as_ref().unwrap().to_string();
    assert_eq!(said, "without conditions on src_ip (1): its lists have more than 1048576 values or prefixes");
    assert_eq!(both.sql(), "dst_port = 53 OR src_ip IN (100 values) AND dst_port = 80");
    assert_eq!(both.program.entries(), 100);
    assert!(fitted(&huge(1 << 21)).lets_all_through());
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

#[test]
fn a_program_says_what_it_reads() {
    let reads = |condition: &Condition| Pushed::of(&condition.predicate()).in_memory().unwrap().program.reads;
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

//! A machine that runs programs as the kernel does: over memory as a function, and as a stage of the kernel's program with
//! its helpers played and lists to look into.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::mem::offset_of;
use tapline_ebpf_common::{Counters, CpuState, Scratch};
use tapline_filter::bpf::{List, Program, Stage};

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

pub(crate) fn in_memory(program: &Program, frame: &Scratch) -> bool {
    let octets = octets(program);
    let machine = machine(program, &octets);
    match machine.execute_program(&memory(frame), &[]).unwrap() {
        0 => false,
        1 => true,
        other => panic!("{other} is no answer"),
    }
}

pub(crate) const STAGE: Stage = Stage { cpus: 11, stages: 12 };
/// What becomes of a frame that nobody wants; no action of XDP, so that it is told from all others.
pub(crate) const VERDICT: u32 = 77;
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
pub(crate) fn as_stage(program: &Program, frame: &Scratch) -> u32 {
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

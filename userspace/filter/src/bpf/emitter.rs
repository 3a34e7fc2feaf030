//! A predicate as jumps: each part goes to one place if it holds, and to another if it does not.
//!
//! Numbers are looked for among few ranges as in a sorted list, half of it at each step; addresses by their first half,
//! then by their second. Where there are more, they are looked up: numbers by their bit, addresses as keys.

use super::assembler::{Assembler, Label, R0, R1, R2, R3, R6, R7, R8, R9, R10, When};
use super::list::NUMBER_MAX;
use super::place::{self, Entry, Place, Presence, SHAPES, UNWANTED, VERDICT, WANTED, WORD_4};
use super::{COMPARED_MAX, ENTRIES_MAX, Excess, INSTRUCTIONS_MAX, LISTS_MAX, List, NoMap, Program, Stage};
use crate::field::Field;
use crate::predicate::{Operand, Predicate};
use crate::ranges::Ranges;
use std::collections::BTreeSet;
use tapline_ebpf_common::{stage, word_4};

/// Helpers of the kernel, by their numbers.
const MAP_LOOKUP_ELEMENT: i32 = 1;
const NUMBER_OF_CPU: i32 = 8;
const TAIL_CALL: i32 = 12;
/// What the program says if its CPU has no entry: the host has the frame.
const XDP_PASS: u64 = 2;
/// Where the index of the CPU's entry stands on the stack.
const INDEX: i16 = -4;
/// Where the key of a trie stands on the stack: its length, and behind it an address.
const PREFIX: i16 = -20;
const ADDRESS_BITS: u64 = 128;

/// Where to go from a part of a predicate.
#[derive(Clone, Copy, Debug)]
struct Exits {
    /// If it holds.
    yes: Label,
    /// If it does not.
    no: Label,
    /// What stands behind the part, so that there is no need to jump there.
    next: Label,
}

impl Exits {
    fn turned(self) -> Self {
        Self { yes: self.no, no: self.yes, ..self }
    }

    fn before(self, next: Label) -> Self {
        Self { next, ..self }
    }
}

/// The values that a register may have.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u64,
    last: u64,
}

impl Span {
    const fn up_to(last: u64) -> Self {
        Self { first: 0, last }
    }
}

/// The instructions of a predicate, with the scratch as their argument; they compare with so many ranges at most.
///
/// # Errors
/// Of what there is too much.
pub(super) fn in_memory(predicate: &Predicate, compared_max: usize) -> Result<Program, Vec<Excess>> {
    let mut emitter = Emitter::new(compared_max);
    emitter.in_memory(predicate);
    emitter.finish(None)
}

/// The instructions of a stage, for readers by their bits, where the kernel may make no map of some lists.
///
/// # Errors
/// Of what there is too much.
pub(super) fn as_stage(
    readers: &[(u32, &Predicate)],
    stage: Stage,
    compared_max: usize,
    no_map: Option<&NoMap>,
) -> Result<Program, Vec<Excess>> {
    let mut emitter = Emitter::new(compared_max);
    emitter.as_stage(readers, stage);
    emitter.finish(no_map)
}

struct Emitter {
    out: Assembler,
    /// What it looks into.
    lists: Vec<List>,
    /// Offsets in the scratch.
    reads: BTreeSet<u16>,
    /// Ranges that a field is compared with; more are a list.
    compared_max: usize,
}

impl Emitter {
    fn new(compared_max: usize) -> Self {
        Self { out: Assembler::default(), lists: vec![], reads: BTreeSet::new(), compared_max }
    }

    fn finish(self, no_map: Option<&NoMap>) -> Result<Program, Vec<Excess>> {
        let emitted = self.out.len();
        let code = self.out.finish();
        // Where a jump goes too far, there is none.
        let (instructions, is_whole) = (code.as_ref().map_or(emitted, Vec::len), code.is_some());
        let reads = self.reads.into_iter().collect();
        let program = Program { code: code.unwrap_or_default(), lists: self.lists, reads };
        let (lists, entries) = (program.lists.len(), program.entries());
        let longest = program.lists.iter().map(List::entries).max().unwrap_or(0);
        let no_map = no_map.filter(|no_map| longest >= no_map.entries);
        let excesses = [
            (!is_whole || instructions > INSTRUCTIONS_MAX).then_some(Excess::Instructions(instructions)),
            (lists > LISTS_MAX).then_some(Excess::Lists(lists)),
            (entries > ENTRIES_MAX).then_some(Excess::Entries),
            no_map.cloned().map(Excess::Map),
        ];
        let excesses: Vec<_> = excesses.into_iter().flatten().collect();
        if excesses.is_empty() { Ok(program) } else { Err(excesses) }
    }

    fn in_memory(&mut self, predicate: &Predicate) {
        let (yes, no) = (self.out.label(), self.out.label());
        self.out.copy(R9, R1);
        self.begin();
        self.predicate(predicate, Exits { yes, no, next: no });
        self.out.place(no);
        self.out.constant(R0, 0);
        self.out.exit();
        self.out.place(yes);
        self.out.constant(R0, 1);
        self.out.exit();
    }

    fn as_stage(&mut self, readers: &[(u32, &Predicate)], maps: Stage) {
        let (unwanted, unknown) = (self.out.label(), self.out.label());
        self.out.copy(R6, R1);
        self.find_scratch(maps.cpus, unknown);
        self.begin();
        // R8 has the bits of those who want the frame.
        self.out.constant(R8, 0);
        for (bit, wanted) in readers {
            let (yes, no) = (self.out.label(), self.out.label());
            self.predicate(wanted, Exits { yes, no, next: yes });
            self.out.place(yes);
            self.out.or(R8, *bit as i32);
            self.out.place(no);
        }
        self.out.jump_if(When::Equal, R8, 0, unwanted);
        self.out.store_32(R9, WANTED, R8);
        self.out.copy(R1, R6);
        self.out.map(R2, maps.stages);
        self.out.constant(R3, stage::WANTED.into());
        self.out.call(TAIL_CALL);
        self.out.place(unwanted);
        self.out.load_64(R1, R9, UNWANTED);
        self.out.add(R1, 1);
        self.out.store_64(R9, UNWANTED, R1);
        self.out.load_32(R0, R9, VERDICT);
        self.out.exit();
        self.out.place(unknown);
        self.out.constant(R0, XDP_PASS);
        self.out.exit();
    }

    /// Has R9 point to this CPU's entry, which begins with its scratch. There is one, which the verifier does not know.
    fn find_scratch(&mut self, cpus: u32, unknown: Label) {
        self.out.call(NUMBER_OF_CPU);
        self.out.store_32(R10, INDEX, R0);
        self.out.copy(R2, R10);
        self.out.add(R2, INDEX.into());
        self.out.map(R1, cpus);
        self.out.call(MAP_LOOKUP_ELEMENT);
        self.out.jump_if(When::Equal, R0, 0, unknown);
        self.out.copy(R9, R0);
    }

    /// From here on R9 is the scratch, and R7 the last word of the key.
    fn begin(&mut self) {
        self.load_64(R7, WORD_4);
    }

    fn load_64(&mut self, to: u8, offset: i16) {
        self.reads.insert(offset.unsigned_abs());
        self.out.load_64(to, R9, offset);
    }

    fn predicate(&mut self, predicate: &Predicate, exits: Exits) {
        match predicate {
            Predicate::All(parts) => self.parts(parts, exits, true),
            Predicate::Any(parts) => self.parts(parts, exits, false),
            Predicate::Within(operand, ranges) => self.within(*operand, ranges, exits),
            Predicate::NotNull(field) => self.is_there(*field, exits),
            Predicate::Null(field) => self.is_there(*field, exits.turned()),
        }
    }

    /// Parts that all have to hold, or one of which has to: the first that does not, or that does, decides.
    fn parts(&mut self, parts: &[Predicate], exits: Exits, all: bool) {
        let Some((last, before)) = parts.split_last() else {
            return self.go_to(if all { exits.yes } else { exits.no }, exits);
        };
        for part in before {
            let next = self.out.label();
            let exits = if all { Exits { yes: next, ..exits } } else { Exits { no: next, ..exits } };
            self.predicate(part, exits.before(next));
            self.out.place(next);
        }
        self.predicate(last, exits);
    }

    fn go_to(&mut self, label: Label, exits: Exits) {
        if label != exits.next {
            self.out.jump(label);
        }
    }

    fn is_there(&mut self, field: Field, exits: Exits) {
        match place::of(field).map(|(_, presence)| presence) {
            Some(Presence::Always) => self.go_to(exits.yes, exits),
            Some(Presence::Bit(bit)) => {
                self.bits(bit, 1);
                self.out.jump_if(When::Equal, R1, 0, exits.no);
                self.go_to(exits.yes, exits);
            }
            Some(Presence::Shape(shapes)) => self.shape(shapes, exits),
            // What is not known was left out before.
            None => self.go_to(exits.no, exits),
        }
    }

    /// Whether the shape of the key is among these.
    fn shape(&mut self, shapes: &Ranges, exits: Exits) {
        self.out.copy(R1, R7);
        self.out.shift_right(R1, word_4::SHAPE);
        self.search(R1, &place::entries(shapes, SHAPES - 1, exits.yes), Span::up_to(SHAPES - 1), exits);
    }

    fn within(&mut self, operand: Operand, ranges: &Ranges, exits: Exits) {
        let Operand { field, mask } = operand;
        match place::of(field).map(|(place, _)| place) {
            Some(Place::Shape(values)) => {
                let met = values.iter().filter(|(value, _)| ranges.holds(operand.part_of((*value).into())));
                let shapes: Ranges = met.flat_map(|(_, shapes)| shapes.as_slice()).copied().collect();
                self.shape(&shapes, exits);
            }
            Some(Place::Address(offset)) => {
                self.first_be_there(field, exits);
                if self.is_list(operand, ranges) {
                    self.listed_address(offset, ranges, exits);
                } else {
                    self.address(offset, ranges, exits);
                }
            }
            Some(Place::Bits { from, bits }) => {
                self.first_be_there(field, exits);
                self.bits(from, bits);
                let max = self.masked(mask, (1 << bits) - 1);
                self.number(operand, ranges, max, exits);
            }
            Some(Place::Number(offset)) => {
                self.first_be_there(field, exits);
                self.reads.insert(offset.unsigned_abs());
                self.out.load_32(R1, R9, offset);
                let max = self.masked(mask, u32::MAX.into());
                self.number(operand, ranges, max, exits);
            }
            None => self.go_to(exits.no, exits),
        }
    }

    /// Whether these are more ranges than an operand is compared with. Where the kernel takes no list more, few enough are
    /// compared all the same, and more are one too many.
    fn is_list(&self, operand: Operand, ranges: &Ranges) -> bool {
        let fewer = ranges.as_slice().len().min(ranges.others(operand.max()).as_slice().len());
        fewer > if self.lists.len() < LISTS_MAX { self.compared_max } else { COMPARED_MAX }
    }

    /// Goes on behind this if a field is there.
    fn first_be_there(&mut self, field: Field, exits: Exits) {
        let there = self.out.label();
        self.is_there(field, Exits { yes: there, no: exits.no, next: there });
        self.out.place(there);
    }

    /// Loads bits of the key's last word into R1.
    fn bits(&mut self, from: u32, bits: u32) {
        self.out.copy(R1, R7);
        self.out.shift_right(R1, from);
        self.out.and(R1, (1 << bits) - 1);
    }

    /// Leaves the bits of a mask in R1, which is at most `max`; gives what it is at most then.
    fn masked(&mut self, mask: Option<u64>, max: u64) -> u64 {
        let mask = mask.map(|mask| mask & max);
        mask.into_iter().for_each(|mask| self.out.and(R1, mask));
        mask.unwrap_or(max)
    }

    /// Whether the number in R1, which is at most `max`, is in these ranges.
    fn number(&mut self, operand: Operand, ranges: &Ranges, max: u64, exits: Exits) {
        let entries = place::entries(ranges, max, exits.yes);
        if !self.is_list(operand, ranges) {
            return self.search(R1, &entries, Span::up_to(max), exits);
        }
        if max <= NUMBER_MAX {
            return self.listed_number(List::of_numbers(ranges, max), exits);
        }
        let above = self.out.label();
        self.out.jump_if(When::Greater, R1, NUMBER_MAX, above);
        self.listed_number(List::of_numbers(ranges, NUMBER_MAX), exits.before(above));
        self.out.place(above);
        let span = Span { first: NUMBER_MAX + 1, last: max };
        let is_above = |entry: &Entry| entry.last >= span.first;
        let entries = entries.into_iter().filter(is_above);
        let entries: Vec<_> =
            entries.map(|entry| Entry { first: entry.first.max(span.first), ..entry }).collect();
        self.search(R1, &entries, span, exits);
    }

    /// Whether the bit of the number in R1 is set, of which the verifier knows that it is none behind the list.
    fn listed_number(&mut self, list: List, exits: Exits) {
        let number = self.number_of(list);
        self.out.value_of_list(R2, number);
        self.out.copy(R3, R1);
        self.out.shift_right(R3, 3);
        self.out.add_register(R2, R3);
        self.out.load_8(R2, R2, 0);
        self.out.and(R1, 7);
        self.out.shift_right_by_register(R2, R1);
        self.out.and(R2, 1);
        self.unless_zero(R2, exits);
    }

    /// Whether the address at this offset is among these, by a map.
    fn listed_address(&mut self, offset: i16, ranges: &Ranges, exits: Exits) {
        let (list, is_others) = List::of_addresses(ranges);
        match list {
            // The key of a trie has no place in the scratch.
            List::Prefixes(_) => {
                for half in [0, 8] {
                    self.load_64(R1, offset + half);
                    self.out.store_64(R10, PREFIX + 4 + half, R1);
                }
                self.out.constant(R1, ADDRESS_BITS);
                self.out.store_32(R10, PREFIX, R1);
                self.out.copy(R2, R10);
                self.out.add(R2, PREFIX.into());
            }
            List::Addresses(_) | List::Bits(_) => {
                self.reads.extend([offset, offset + 8].map(i16::unsigned_abs));
                self.out.copy(R2, R9);
                self.out.add(R2, offset.into());
            }
        }
        let number = self.number_of(list);
        self.out.list(R1, number);
        self.out.call(MAP_LOOKUP_ELEMENT);
        self.unless_zero(R0, if is_others { exits.turned() } else { exits });
    }

    /// It holds unless a register is zero.
    fn unless_zero(&mut self, register: u8, exits: Exits) {
        if exits.yes == exits.next {
            return self.out.jump_if(When::Equal, register, 0, exits.no);
        }
        self.out.jump_if(When::NotEqual, register, 0, exits.yes);
        self.go_to(exits.no, exits);
    }

    /// The number of a list; ones that are the same are one.
    fn number_of(&mut self, list: List) -> u32 {
        let known = self.lists.iter().position(|known| *known == list);
        let number = known.unwrap_or(self.lists.len());
        if known.is_none() {
            self.lists.push(list);
        }
        number as u32
    }

    /// Whether the address at this offset is in these ranges.
    fn address(&mut self, offset: i16, ranges: &Ranges, exits: Exits) {
        self.load_64(R1, offset);
        self.load_64(R2, offset + 8);
        self.out.swap_64(R1);
        self.out.swap_64(R2);
        let (mut entries, mut seconds) = (vec![], vec![]);
        for half in place::halves(ranges) {
            let then = if half.seconds.is_empty() { exits.yes } else { self.out.label() };
            entries.push(Entry { first: half.first, last: half.last, then });
            if !half.seconds.is_empty() {
                seconds.push((then, half.seconds));
            }
        }
        let behind = |at: usize| seconds.get(at).map_or(exits.next, |(label, _)| *label);
        self.search(R1, &entries, Span::up_to(u64::MAX), exits.before(behind(0)));
        for (at, (label, ranges)) in seconds.iter().enumerate() {
            self.out.place(*label);
            let entry = |(first, last): &(u64, u64)| Entry { first: *first, last: *last, then: exits.yes };
            let entries: Vec<_> = ranges.iter().map(entry).collect();
            self.search(R2, &entries, Span::up_to(u64::MAX), exits.before(behind(at + 1)));
        }
    }

    /// Goes where the entry says that holds the number in a register, which is in `span`; `exits.no` if none does.
    fn search(&mut self, register: u8, entries: &[Entry], span: Span, exits: Exits) {
        match entries {
            [] => self.go_to(exits.no, exits),
            [entry] => self.test(register, *entry, span, exits),
            [.., last] => {
                let (below, from) = entries.split_at(entries.len() / 2);
                let middle = from.first().unwrap_or(last).first;
                let lower = self.out.label();
                self.out.jump_if(When::Less, register, middle, lower);
                self.search(register, from, Span { first: middle, ..span }, exits.before(lower));
                self.out.place(lower);
                self.search(register, below, Span { last: middle.saturating_sub(1), ..span }, exits);
            }
        }
    }

    fn test(&mut self, register: u8, entry: Entry, span: Span, exits: Exits) {
        let Entry { first, last, then } = entry;
        if first == last && first > span.first && last < span.last {
            if then == exits.next {
                return self.out.jump_if(When::NotEqual, register, first, exits.no);
            }
            self.out.jump_if(When::Equal, register, first, then);
            return self.go_to(exits.no, exits);
        }
        if first > span.first {
            self.out.jump_if(When::Less, register, first, exits.no);
        }
        if last < span.last {
            self.out.jump_if(When::Greater, register, last, exits.no);
        }
        self.go_to(then, exits);
    }
}

//! A predicate as jumps: each part goes to one place if it holds, and to another if it does not.
//!
//! Numbers are looked for among ranges as in a sorted list, half of it at each step; addresses by their first half, then by
//! their second.

use super::assembler::{Assembler, Label, R0, R1, R2, R3, R6, R7, R8, R9, R10, When};
use super::place::{self, Entry, Place, Presence, SHAPES, UNWANTED, VERDICT, WANTED, WORD_4};
use super::{INSTRUCTIONS_MAX, Program, RANGES_MAX, Reader, Stage, TooLarge};
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

/// The instructions of a predicate, with the scratch as their argument.
///
/// # Errors
/// Why there are none.
pub(super) fn in_memory(predicate: &Predicate) -> Result<Program, TooLarge> {
    let mut emitter = Emitter::default();
    emitter.in_memory(predicate)?;
    emitter.finish()
}

/// The instructions of a stage.
///
/// # Errors
/// Why there are none.
pub(super) fn as_stage(readers: &[Reader<'_>], stage: Stage) -> Result<Program, TooLarge> {
    let mut emitter = Emitter::default();
    emitter.as_stage(readers, stage)?;
    emitter.finish()
}

#[derive(Default)]
struct Emitter {
    out: Assembler,
    /// Offsets in the scratch.
    reads: BTreeSet<u16>,
}

impl Emitter {
    fn finish(self) -> Result<Program, TooLarge> {
        let emitted = self.out.len();
        match self.out.finish() {
            Some(instructions) if instructions.len() <= INSTRUCTIONS_MAX => {
                Ok(Program { instructions, reads: self.reads.into_iter().collect() })
            }
            other => Err(TooLarge::Program { instructions: other.map_or(emitted, |code| code.len()) }),
        }
    }

    fn in_memory(&mut self, predicate: &Predicate) -> Result<(), TooLarge> {
        let (yes, no) = (self.out.label(), self.out.label());
        self.out.copy(R9, R1);
        self.begin();
        self.predicate(predicate, Exits { yes, no, next: no })?;
        self.out.place(no);
        self.out.constant(R0, 0);
        self.out.exit();
        self.out.place(yes);
        self.out.constant(R0, 1);
        self.out.exit();
        Ok(())
    }

    fn as_stage(&mut self, readers: &[Reader<'_>], maps: Stage) -> Result<(), TooLarge> {
        let (unwanted, unknown) = (self.out.label(), self.out.label());
        self.out.copy(R6, R1);
        self.find_scratch(maps.cpus, unknown);
        self.begin();
        // R8 has the bits of those who want the frame.
        self.out.constant(R8, 0);
        for reader in readers {
            let (yes, no) = (self.out.label(), self.out.label());
            self.predicate(reader.wanted.predicate(), Exits { yes, no, next: yes })?;
            self.out.place(yes);
            self.out.or(R8, reader.bit as i32);
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
        Ok(())
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

    fn predicate(&mut self, predicate: &Predicate, exits: Exits) -> Result<(), TooLarge> {
        match predicate {
            Predicate::All(parts) => self.parts(parts, exits, true),
            Predicate::Any(parts) => self.parts(parts, exits, false),
            Predicate::Within(operand, ranges) => self.within(*operand, ranges, exits),
            Predicate::NotNull(field) => {
                self.is_there(*field, exits);
                Ok(())
            }
            Predicate::Null(field) => {
                self.is_there(*field, exits.turned());
                Ok(())
            }
        }
    }

    /// Parts that all have to hold, or one of which has to: the first that does not, or that does, decides.
    fn parts(&mut self, parts: &[Predicate], exits: Exits, all: bool) -> Result<(), TooLarge> {
        let Some((last, before)) = parts.split_last() else {
            self.go_to(if all { exits.yes } else { exits.no }, exits);
            return Ok(());
        };
        for part in before {
            let next = self.out.label();
            let exits = if all { Exits { yes: next, ..exits } } else { Exits { no: next, ..exits } };
            self.predicate(part, exits.before(next))?;
            self.out.place(next);
        }
        self.predicate(last, exits)
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
            Some(Presence::Shape(is_met)) => self.shape(&place::shapes(is_met), exits),
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

    fn within(&mut self, operand: Operand, ranges: &Ranges, exits: Exits) -> Result<(), TooLarge> {
        let Operand { field, mask } = operand;
        let fewer = ranges.as_slice().len().min(ranges.others(operand.max()).as_slice().len());
        if fewer > RANGES_MAX {
            return Err(TooLarge::List { field, ranges: fewer });
        }
        match place::of(field).map(|(place, _)| place) {
            Some(Place::Shape(of)) => {
                let is_met = |value: u64| ranges.holds(operand.part_of(value.into()));
                self.shape(&place::shapes(|shape| of(shape).is_some_and(is_met)), exits);
            }
            Some(Place::Address(offset)) => {
                self.first_be_there(field, exits);
                self.address(offset, ranges, exits);
            }
            Some(Place::Bits { from, bits }) => {
                self.first_be_there(field, exits);
                self.bits(from, bits);
                self.number(mask, ranges, (1 << bits) - 1, exits);
            }
            Some(Place::Number(offset)) => {
                self.first_be_there(field, exits);
                self.reads.insert(offset.unsigned_abs());
                self.out.load_32(R1, R9, offset);
                self.number(mask, ranges, u32::MAX.into(), exits);
            }
            None => self.go_to(exits.no, exits),
        }
        Ok(())
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

    /// Whether the number in R1, which is at most `max`, is in these ranges.
    fn number(&mut self, mask: Option<u64>, ranges: &Ranges, max: u64, exits: Exits) {
        let mask = mask.map(|mask| mask & max);
        mask.into_iter().for_each(|mask| self.out.and(R1, mask));
        let max = mask.unwrap_or(max);
        self.search(R1, &place::entries(ranges, max, exits.yes), Span::up_to(max), exits);
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

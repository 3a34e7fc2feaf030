//! Predicates as instructions of BPF over what the program in the kernel has parsed of a frame.
//!
//! A filter reads a [`Scratch`](tapline_ebpf_common::Scratch), at offsets that are constants, and nothing of the frame: so it sees what the kernel's flow
//! table sees, and a verifier has nothing to check but those offsets. There are no loops in it; all jumps go forward.
//!
//! A field is compared with few ranges by instructions, which look for it as in a sorted list; more are a [`List`] in a map
//! that they look into. Whoever loads a filter makes the maps, fills them, and has their descriptors written into its
//! instructions ([`Program::instructions`]). What is too large for all limits is widened, see [`Fitted`].
//!
//! # How a filter is called
//!
//! As a stage of the program that captures, a filter is a program of its own of the same kind (XDP, and loaded with the
//! same flag for frames in several parts), in a slot of an array of programs:
//!
//! 1. The program parses the frame, writes the scratch of its CPU, which is in that CPU's entry of an array, and makes a
//!    tail call to the slot of the filter. A frame with more headers than it looks through is shown to no filter.
//! 2. The filter looks the entry up, by a map's descriptor which stands in its instructions, and asks for each
//!    [`Reader`] whether he wants the frame. Where nobody does, it counts that and ends the frame with the verdict that
//!    stands in the scratch. Else it writes who does, and makes a tail call to the slot of the next stage, which reads the
//!    clock, counts and redirects.
//! 3. Where the filter's slot is empty, the tail call of the program comes back, and the program goes on as the next stage
//!    does: an empty slot lets all through. So filters come, change and go by one write to the slot, while frames come.
//!
//! The slot of the next stage is filled before that of the filter, and stays so. If it were empty all the same, the filter
//! ends the frame as one that nobody wants, so that it is counted.
//!
//! In memory ([`Pushed::in_memory`]) the first argument is the scratch, and the answer is what comes back: 1 or 0.

mod assembler;
mod emitter;
mod fit;
mod list;
mod place;

pub use list::List;

use crate::field::Field;
use crate::predicate::Predicate;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem::discriminant;
use tapline_ebpf_common::wants;

/// Instructions that a filter may have.
const INSTRUCTIONS_MAX: usize = 4096;
/// Ranges that a field is compared with by instructions; more are a list.
const COMPARED_MAX: usize = 64;
/// Lists that a filter may have: the kernel takes 64 maps of a program, and two are ours.
const LISTS_MAX: usize = 60;
/// Entries of all of its lists.
const ENTRIES_MAX: usize = 1 << 20;

/// The maps of the program that captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Descriptor of the array that has an entry for each CPU.
    pub cpus: u32,
    /// Descriptor of the array of programs.
    pub stages: u32,
}

/// Somebody who wants some frames.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// His bit, see [`wants`].
    pub bit: u32,
    /// Which ones.
    pub wanted: &'a Pushed,
}

/// A filter's instructions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Eight octets each, the least significant first: operation, registers, offset, immediate number. In the places of
    /// lists are their numbers.
    code: Vec<u64>,
    /// What it looks into, each in a map of its own.
    pub lists: Vec<List>,
    /// The offsets in the scratch that it reads at, ascending.
    pub reads: Vec<u16>,
}

impl Program {
    /// The instructions, with descriptors of the maps in which its lists are, in their order.
    #[must_use]
    pub fn instructions(&self, lists: &[u32]) -> Vec<u64> {
        assembler::with_descriptors(&self.code, lists)
    }

    /// How many instructions there are.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.code.len()
    }

    /// How many entries its lists have.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.lists.iter().map(List::entries).sum()
    }
}

/// A list of which the kernel has made no map: such ones, and longer ones, are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMap {
    /// How many entries it has.
    pub entries: usize,
    /// What the kernel said.
    pub why: String,
}

/// Of what a filter has more than the kernel is given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Excess {
    /// Instructions.
    Instructions(usize),
    /// Entries of its lists.
    Entries,
    /// Lists.
    Lists(usize),
    /// Entries of one list.
    Map(NoMap),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instructions(instructions) => {
                write!(f, "it takes {instructions} instructions, and the kernel takes {INSTRUCTIONS_MAX}")
            }
            Self::Entries => write!(f, "its lists have more than {ENTRIES_MAX} values or prefixes"),
            Self::Lists(lists) => write!(f, "it has {lists} long lists, and the kernel takes {LISTS_MAX}"),
            Self::Map(NoMap { entries, why }) => {
                write!(f, "the kernel makes no map of {entries} values or prefixes: {why}")
            }
        }
    }
}

/// A filter that is within all limits: where the whole is not, its costliest parts are left out, so that it lets more
/// through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// Its instructions.
    pub program: Program,
    /// What it decides for each reader.
    wanted: Vec<Predicate>,
    /// What is left out, if anything is.
    pub widened: Option<Widened>,
}

impl Fitted {
    /// Why nothing is left that could keep a frame out, if that is so.
    #[must_use]
    pub fn why_nothing_is_left(&self) -> Option<String> {
        let widened = self.widened.as_ref().filter(|_| self.wanted.iter().all(Predicate::is_always));
        widened.map(|widened| format!("nothing of it is left {widened}"))
    }

    /// What some reader wants, as a condition of SQL for people.
    #[must_use]
    pub fn sql(&self) -> String {
        Predicate::any(self.wanted.iter().cloned()).brief_sql()
    }

    /// How much it is, in words.
    #[must_use]
    pub fn extent(&self) -> String {
        let instructions = self.program.size();
        match self.program.lists.len() {
            0 => format!("{instructions} instructions"),
            1 => format!("{instructions} instructions, 1 list"),
            lists => format!("{instructions} instructions, {lists} lists"),
        }
    }
}

/// What is left out of a filter, such that it lets more through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widened {
    /// How many conditions on each field.
    conditions: BTreeMap<Field, usize>,
    /// Why: all that there is too much of.
    excesses: Vec<Excess>,
}

impl Widened {
    /// Whether conditions on the same fields are left out for the same reasons, however many they are.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let reasons = |of: &Self| of.excesses.iter().map(discriminant).collect::<Vec<_>>();
        self.conditions.keys().eq(other.conditions.keys()) && reasons(self) == reasons(other)
    }
}

impl fmt::Display for Widened {
    /// `without conditions on src_ip (1), dst_port (3): it takes …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = self.conditions.iter().map(|(field, count)| format!("{} ({count})", field.name()));
        let conditions = conditions.collect::<Vec<_>>().join(", ");
        let excesses = self.excesses.iter().map(Excess::to_string).collect::<Vec<_>>().join("; ");
        write!(f, "without conditions on {conditions}: {excesses}")
    }
}

/// What of a predicate the kernel can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// A predicate that holds wherever the whole does, over what the kernel's program has parsed.
    predicate: Predicate,
    /// The fields that are not among that; what looks at them is left out.
    pub left_out: BTreeSet<Field>,
}

impl Pushed {
    /// Of a predicate.
    #[must_use]
    pub fn of(predicate: &Predicate) -> Self {
        let is_known = |field: Field| place::of(field).is_some();
        let left_out = predicate.fields().into_iter().filter(|field| !is_known(*field)).collect();
        Self { predicate: predicate.widened(&is_known), left_out }
    }

    /// What is decided.
    #[must_use]
    pub const fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// Whether nothing is left that could keep a frame out.
    #[must_use]
    pub fn lets_all_through(&self) -> bool {
        self.predicate.is_always()
    }

    /// The stage that decides it for one reader, as far as it can be had.
    #[must_use]
    pub fn fitted(&self) -> Fitted {
        stage(&[Reader { bit: wants::PACKETS, wanted: self }], Stage { cpus: 0, stages: 0 }, None)
    }

    /// The instructions that decide it, in memory, as far as they can be had.
    #[must_use]
    pub fn in_memory(&self) -> Fitted {
        let emit = |wanted: &[Predicate], compared_max| {
            emitter::in_memory(wanted.first().unwrap_or(&self.predicate), compared_max)
        };
        fit::fit(&[&self.predicate], &emit)
    }
}

/// The instructions that let these have what they want, and others as far as all of it cannot be had, as a stage, where the
/// kernel may make no map of some lists.
#[must_use]
pub fn stage(readers: &[Reader<'_>], stage: Stage, no_map: Option<&NoMap>) -> Fitted {
    let wanted: Vec<_> = readers.iter().map(|reader| reader.wanted.predicate()).collect();
    let emit = |wanted: &[Predicate], compared_max| {
        let bits = readers.iter().map(|reader| reader.bit);
        let readers: Vec<_> = bits.zip(wanted).collect();
        emitter::as_stage(&readers, stage, compared_max, no_map)
    };
    fit::fit(&wanted, &emit)
}

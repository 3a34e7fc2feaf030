//! Predicates as instructions of BPF over what the program in the kernel has parsed of a frame.
//!
//! A filter reads a [`Scratch`](tapline_ebpf_common::Scratch), at offsets that are constants, and nothing of the frame: so it sees what the kernel's flow
//! table sees, and a verifier has nothing to check but those offsets. There are no loops and no calls in it; all jumps go
//! forward.
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
//! In memory ([`Pushed::program`]) the first argument is the scratch, and the answer is what comes back: 1 or 0.

mod assembler;
mod emitter;
mod place;

use crate::field::Field;
use crate::predicate::Predicate;
use std::collections::BTreeSet;
use std::fmt;
use tapline_ebpf_common::wants;

/// Instructions that a filter may have.
const INSTRUCTIONS_MAX: usize = 4096;
/// Ranges that a field may be compared with; more are for a map.
const RANGES_MAX: usize = 64;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Eight octets each, the least significant first: operation, registers, offset, immediate number.
    pub instructions: Vec<u64>,
    /// The offsets in the scratch that it reads at, ascending.
    pub reads: Vec<u16>,
}

/// Why a filter cannot be had in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TooLarge {
    /// A field is compared with too many ranges.
    List {
        /// The field.
        field: Field,
        /// How many ranges.
        ranges: usize,
    },
    /// It has too many instructions.
    Program {
        /// How many.
        instructions: usize,
    },
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { field, ranges } => write!(
                f,
                "{} is compared with {ranges} values or ranges of values, and the kernel takes {RANGES_MAX}",
                field.name()
            ),
            Self::Program { instructions } => {
                write!(f, "it takes {instructions} instructions, and the kernel takes {INSTRUCTIONS_MAX}")
            }
        }
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

    /// What is decided, alone.
    #[must_use]
    pub fn into_predicate(self) -> Predicate {
        self.predicate
    }

    /// Whether nothing is left that could keep a frame out.
    #[must_use]
    pub fn lets_all_through(&self) -> bool {
        self.predicate.is_always()
    }

    /// How many instructions the stage has that decides it for one reader.
    ///
    /// # Errors
    /// Why there is none.
    pub fn stage_instructions(&self) -> Result<usize, TooLarge> {
        let reader = Reader { bit: wants::PACKETS, wanted: self };
        Ok(stage(&[reader], Stage { cpus: 0, stages: 0 })?.instructions.len())
    }

    /// The instructions that decide it, in memory.
    ///
    /// # Errors
    /// Why there are none.
    pub fn program(&self) -> Result<Program, TooLarge> {
        emitter::in_memory(&self.predicate)
    }
}

/// The instructions that let these have what they want, as a stage.
///
/// # Errors
/// Why there are none.
pub fn stage(readers: &[Reader<'_>], stage: Stage) -> Result<Program, TooLarge> {
    emitter::as_stage(readers, stage)
}

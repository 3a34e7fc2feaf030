//! What of conditions the kernel can have, where all of them are too much.
//!
//! Parts that cost the most are taken for ones that always hold, as few as it takes: what is left lets more through, and
//! never less. So a list that is too large costs its own part of a query, and not the filters of all.

use super::{COMPARED_MAX, Excess, Fitted, Program, Widened};
use crate::field::Field;
use crate::predicate::{Operand, Predicate};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

/// Ranges that a field is compared with where there are too many instructions.
const COMPARED_LEAST: usize = 8;

/// Makes instructions of conditions, in which fields are compared with so many ranges at most.
pub(super) type Emit<'a> = &'a dyn Fn(&[Predicate], usize) -> Result<Program, Excess>;

/// A part of a condition, which can be left out.
struct Part {
    field: Field,
    /// Entries of its list, if it has one.
    entries: usize,
    instructions: usize,
    /// Without it what it is a part of would leave out nothing.
    is_alone: bool,
}

impl Part {
    /// What it costs of that of which there is too much.
    const fn cost(&self, excess: Excess) -> usize {
        match excess {
            Excess::Entries | Excess::Lists(_) => self.entries,
            Excess::Instructions(_) => self.instructions,
        }
    }

    /// Those that are to be left out first come first.
    const fn order(&self, excess: Excess) -> (bool, Reverse<usize>) {
        (self.is_alone && matches!(excess, Excess::Instructions(_)), Reverse(self.cost(excess)))
    }
}

/// The instructions of all of these, or of as much of them as fits.
///
/// # Errors
/// Why nothing does.
pub(super) fn fit(wanted: &[&Predicate], emit: Emit<'_>) -> Result<Fitted, Excess> {
    let whole: Vec<_> = wanted.iter().map(|one| one.factored()).collect();
    let first = match smallest(&whole, emit) {
        Ok(program) => return Ok(Fitted { program, wanted: whole, widened: None }),
        Err(excess) => excess,
    };
    let whole = whole.as_slice();
    let parts = parts_of(whole, emit);
    let (mut left_out, mut excess) = (BTreeSet::new(), first);
    loop {
        let more = fewest(whole, &parts, &left_out, excess, emit);
        if more.is_empty() {
            return Err(excess);
        }
        left_out.extend(more);
        let wanted = without(whole, &left_out);
        match smallest(&wanted, emit) {
            Ok(program) => {
                let widened = Some(widened(&parts, &left_out, first));
                return Ok(Fitted { program, wanted, widened });
            }
            Err(other) => excess = other,
        }
    }
}

/// Compares by instructions where these are few, as that is faster than to look up.
fn smallest(wanted: &[Predicate], emit: Emit<'_>) -> Result<Program, Excess> {
    match emit(wanted, COMPARED_MAX) {
        Err(Excess::Instructions(_)) => emit(wanted, COMPARED_LEAST),
        outcome => outcome,
    }
}

/// The fewest parts that end an excess, by their numbers; all that have any of it where none do.
fn fewest(
    whole: &[Predicate],
    parts: &[Part],
    left_out: &BTreeSet<usize>,
    excess: Excess,
    emit: Emit<'_>,
) -> BTreeSet<usize> {
    let costs = |(number, part): &(usize, &Part)| !left_out.contains(number) && part.cost(excess) > 0;
    let mut candidates: Vec<_> = parts.iter().enumerate().filter(costs).collect();
    candidates.sort_by_key(|(_, part)| part.order(excess));
    let of = |count| candidates.iter().take(count).map(|(number, _)| *number);
    let end_it = |count| {
        let wanted = without(whole, &left_out.iter().copied().chain(of(count)).collect());
        smallest(&wanted, emit).err().is_none_or(|other| discriminant(&other) != discriminant(&excess))
    };
    let (mut least, mut most) = (candidates.len().min(1), candidates.len());
    while least < most {
        let middle = least.midpoint(most);
        if end_it(middle) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    of(most).collect()
}

fn widened(parts: &[Part], left_out: &BTreeSet<usize>, excess: Excess) -> Widened {
    let mut conditions = BTreeMap::new();
    for part in left_out.iter().filter_map(|number| parts.get(*number)) {
        *conditions.entry(part.field).or_default() += 1;
    }
    Widened { conditions, excess }
}

/// Conditions without the parts of these numbers.
fn without(whole: &[Predicate], left_out: &BTreeSet<usize>) -> Vec<Predicate> {
    let mut number = 0;
    whole.iter().map(|one| without_in(one, left_out, &mut number)).collect()
}

fn without_in(predicate: &Predicate, left_out: &BTreeSet<usize>, number: &mut usize) -> Predicate {
    // All parts are numbered, whatever becomes of those before them.
    let mut of =
        |parts: &[Predicate]| parts.iter().map(|part| without_in(part, left_out, number)).collect::<Vec<_>>();
    match predicate {
        Predicate::All(parts) => Predicate::all(of(parts)),
        Predicate::Any(parts) => Predicate::any(of(parts)),
        Predicate::Within(..) | Predicate::Null(_) | Predicate::NotNull(_) => {
            *number += 1;
            if left_out.contains(&(*number - 1)) { Predicate::ALWAYS } else { predicate.clone() }
        }
    }
}

/// The parts of conditions, in the order of their numbers.
fn parts_of(whole: &[Predicate], emit: Emit<'_>) -> Vec<Part> {
    let mut parts = vec![];
    whole.iter().for_each(|one| add_parts(one, true, emit, &mut parts));
    parts
}

fn add_parts(predicate: &Predicate, is_alone: bool, emit: Emit<'_>, parts: &mut Vec<Part>) {
    match predicate {
        Predicate::All(inner) => {
            let is_alone = is_alone && inner.len() < 2;
            inner.iter().for_each(|part| add_parts(part, is_alone, emit, parts));
        }
        Predicate::Any(inner) => inner.iter().for_each(|part| add_parts(part, true, emit, parts)),
        Predicate::Within(Operand { field, .. }, _) | Predicate::Null(field) | Predicate::NotNull(field) => {
            let (entries, instructions) = match emit(std::slice::from_ref(predicate), COMPARED_LEAST) {
                Ok(program) => (program.entries(), program.size()),
                Err(Excess::Instructions(instructions)) => (0, instructions),
                Err(Excess::Entries | Excess::Lists(_)) => (usize::MAX, 0),
            };
            parts.push(Part { field: *field, entries, instructions, is_alone });
        }
    }
}

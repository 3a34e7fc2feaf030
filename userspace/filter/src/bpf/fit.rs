//! What of conditions the kernel can have, where all of them are too much.
//!
//! Parts are taken for ones that always hold: what is left lets more through, and never less. An alternative that lost all
//! of its parts would let all through, and the others with it; so one part of each stays, such that what stays of many is
//! one set of numbers. Only where that is still too much, alternatives go together, the innermost first, and at last all
//! that a reader wants. As few parts are left out as it takes, and what fits all the same is put back.

use super::{COMPARED_MAX, ENTRIES_MAX, Excess, Fitted, INSTRUCTIONS_MAX, LISTS_MAX, Program, Widened};
use crate::field::Field;
use crate::predicate::{Operand, Predicate};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Ranges that a field is compared with where there are too many instructions.
const COMPARED_LEAST: usize = 8;
/// Times that parts are put back which do not fit.
const FAILURES_MAX: usize = 64;

/// Makes instructions of conditions, in which fields are compared with so many ranges at most; or says of what there is too
/// much.
pub(super) type Emit<'a> = &'a dyn Fn(&[Predicate], usize) -> Result<Program, Vec<Excess>>;

/// The instructions of all of these, or of as much of them as fits.
pub(super) fn fit(wanted: &[&Predicate], emit: Emit<'_>) -> Fitted {
    let whole: Vec<_> = wanted.iter().map(|one| one.factored()).collect();
    let excesses = match smallest(&whole, emit) {
        Ok(program) => return Fitted { program, wanted: whole, widened: None },
        Err(excesses) => excesses,
    };
    let mut numbers = 0;
    let nodes: Vec<_> = whole.iter().map(|one| Node::of(one, &mut numbers)).collect();
    let units = units_of(&nodes, &excesses, emit);
    let mut search = Search { nodes, left_out: vec![false; numbers], emit };
    search.leave_out_fewest(&units);
    let last_first: Vec<_> = units.into_iter().rev().filter(|number| search.left_out[*number]).collect();
    let mut failures_left = FAILURES_MAX;
    search.put_back(&last_first, &mut failures_left);
    let wanted = search.wanted();
    // Where all is left out there is room for what is left.
    let program = smallest(&wanted, emit).unwrap_or_default();
    Fitted { program, wanted, widened: Some(Widened { conditions: search.conditions(), excesses }) }
}

/// Compares by instructions where these are few, as that is faster than to look up.
fn smallest(wanted: &[Predicate], emit: Emit<'_>) -> Result<Program, Vec<Excess>> {
    let is_of_instructions = |excess: &Excess| matches!(excess, Excess::Instructions(_));
    match emit(wanted, COMPARED_MAX) {
        Err(excesses) if excesses.iter().any(is_of_instructions) => emit(wanted, COMPARED_LEAST),
        outcome => outcome,
    }
}

/// A condition, and those that it consists of, each with its number.
struct Node<'a> {
    number: usize,
    predicate: &'a Predicate,
    /// There are none of an atom.
    parts: Vec<Self>,
}

impl<'a> Node<'a> {
    fn of(predicate: &'a Predicate, numbers: &mut usize) -> Self {
        let number = *numbers;
        *numbers += 1;
        let parts: &[Predicate] = if is_atom(predicate) { &[] } else { parts_of(predicate) };
        let parts = parts.iter().map(|part| Self::of(part, numbers)).collect();
        Self { number, predicate, parts }
    }

    /// The condition without what is left out.
    fn without(&self, left_out: &[bool]) -> Predicate {
        if left_out[self.number] {
            return Predicate::ALWAYS;
        }
        let parts = self.parts.iter().map(|part| part.without(left_out));
        match self.predicate {
            Predicate::All(_) => Predicate::all(parts),
            Predicate::Any(_) if !self.parts.is_empty() => Predicate::any(parts),
            Predicate::Any(_) | Predicate::Within(..) | Predicate::Null(_) | Predicate::NotNull(_) => {
                self.predicate.clone()
            }
        }
    }

    /// Counts what is left out, by its field.
    fn count(&self, left_out: &[bool], is_left_out: bool, conditions: &mut BTreeMap<Field, usize>) {
        let is_left_out = is_left_out || left_out[self.number];
        self.parts.iter().for_each(|part| part.count(left_out, is_left_out, conditions));
        if is_left_out && self.parts.is_empty() {
            operands(self.predicate).into_iter().for_each(|of| *conditions.entry(of.field).or_default() += 1);
        }
    }
}

fn parts_of(predicate: &Predicate) -> &[Predicate] {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts,
        Predicate::Within(..) | Predicate::Null(_) | Predicate::NotNull(_) => &[],
    }
}

/// Whether nothing can be left out of it without letting all through.
fn is_atom(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::All(_) => false,
        Predicate::Any(parts) => parts.iter().all(is_atom),
        Predicate::Within(..) | Predicate::Null(_) | Predicate::NotNull(_) => true,
    }
}

/// What it compares, one by one.
fn operands(predicate: &Predicate) -> Vec<Operand> {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().flat_map(operands).collect(),
        Predicate::Within(operand, _) => vec![*operand],
        Predicate::Null(field) | Predicate::NotNull(field) => vec![Operand::of(*field)],
    }
}

/// The bits that it takes to number what it lets through of a field.
fn width(predicate: &Predicate) -> u32 {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().map(width).max().unwrap_or(u128::BITS),
        Predicate::Within(_, ranges) => u128::BITS - ranges.numbers().leading_zeros(),
        Predicate::Null(_) | Predicate::NotNull(_) => u128::BITS,
    }
}

/// What a part costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Entries of its lists.
    entries: usize,
    /// How much it has of that of which there is too much.
    share: usize,
}

impl Cost {
    fn plus(self, other: Self) -> Self {
        let entries = self.entries.saturating_add(other.entries);
        Self { entries, share: self.share.saturating_add(other.share) }
    }
}

/// What can be left out by itself, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// An atom that has some of that of which there is too much.
    Costly,
    /// One that has not.
    Free,
    /// What consists of others.
    Composed,
}

/// In which order parts are left out: the innermost first, then those beside which the least is let through, then the
/// costliest.
type Order = (Kind, Reverse<usize>, u32, Reverse<usize>);

/// Of what alternatives compare, the different atoms.
type Alike<'a> = HashMap<Vec<Operand>, HashSet<&'a Predicate>>;

/// The numbers of the parts that can be left out, in their order.
fn units_of(nodes: &[Node<'_>], excesses: &[Excess], emit: Emit<'_>) -> Vec<usize> {
    let mut units = Units { excesses, emit, found: vec![] };
    for node in nodes {
        let cost = units.add(node, 0, &Alike::new());
        units.found.push(((Kind::Composed, Reverse(0), u128::BITS, Reverse(cost.share)), node.number));
    }
    units.found.sort_unstable();
    units.found.into_iter().map(|(_, number)| number).collect()
}

struct Units<'a> {
    excesses: &'a [Excess],
    emit: Emit<'a>,
    found: Vec<(Order, usize)>,
}

impl Units<'_> {
    /// Adds the parts of a condition at a depth, which is one of such alternatives; says what it costs as a whole.
    fn add(&mut self, node: &Node<'_>, depth: usize, alike: &Alike<'_>) -> Cost {
        match node.predicate {
            Predicate::All(_) => self.add_all(node, depth, alike),
            Predicate::Any(_) if !node.parts.is_empty() => {
                let alike = alike_of(&node.parts);
                let costs = node.parts.iter().map(|part| self.add(part, depth + 1, &alike));
                costs.fold(Cost::default(), Cost::plus)
            }
            Predicate::Any(_) | Predicate::Within(..) | Predicate::Null(_) | Predicate::NotNull(_) => {
                self.cost(node.predicate)
            }
        }
    }

    /// The same of parts that all have to hold: of atoms alone one always stays.
    fn add_all(&mut self, node: &Node<'_>, depth: usize, alike: &Alike<'_>) -> Cost {
        let costs: Vec<_> = node.parts.iter().map(|part| self.add(part, depth + 1, alike)).collect();
        let are_atoms = node.parts.iter().all(|part| is_atom(part.predicate));
        let parts = || node.parts.iter().zip(&costs);
        let stays = parts().min_by_key(|(part, cost)| staying(part.predicate, **cost, alike));
        let stays = stays.filter(|_| are_atoms).map(|(part, _)| part);
        let beside = stays.map_or(u128::BITS, |part| width(part.predicate));
        let goes = |part: &Node<'_>| stays.is_none_or(|stays| stays.number != part.number);
        for (part, cost) in parts().filter(|(part, _)| goes(part)) {
            let kind = match (is_atom(part.predicate), cost.share > 0) {
                (true, true) => Kind::Costly,
                (true, false) => Kind::Free,
                (false, _) => Kind::Composed,
            };
            self.found.push(((kind, Reverse(depth + 1), beside, Reverse(cost.share)), part.number));
        }
        costs.into_iter().fold(Cost::default(), Cost::plus)
    }

    fn cost(&self, atom: &Predicate) -> Cost {
        let Ok(program) = (self.emit)(std::slice::from_ref(atom), COMPARED_LEAST) else {
            return Cost { entries: usize::MAX, share: usize::MAX };
        };
        let entries = program.entries();
        // As shares of what there is room for.
        let share = |excess: &Excess| match excess {
            Excess::Instructions(_) => program.size() * (ENTRIES_MAX / INSTRUCTIONS_MAX),
            Excess::Lists(_) => program.lists.len() * (ENTRIES_MAX / LISTS_MAX),
            Excess::Entries | Excess::Map(_) => entries,
        };
        Cost { entries, share: self.excesses.iter().map(share).sum() }
    }
}

/// Of atoms of an alternative the one with the least of this stays: without long lists, then what becomes one set with
/// what stays of the most other alternatives, then what tells apart the most.
fn staying(
    atom: &Predicate,
    cost: Cost,
    alike: &Alike<'_>,
) -> (usize, Reverse<usize>, Reverse<Option<u128>>) {
    let operands = operands(atom);
    let largest = operands.iter().copied().map(Operand::max).max();
    let joined = alike.get(&operands).map_or(0, HashSet::len);
    (cost.entries, Reverse(joined), Reverse(largest))
}

fn alike_of<'a>(alternatives: &[Node<'a>]) -> Alike<'a> {
    let mut alike = Alike::new();
    let parts = alternatives.iter().flat_map(|alternative| &alternative.parts);
    for atom in parts.map(|part| part.predicate).filter(|part| is_atom(part)) {
        alike.entry(operands(atom)).or_default().insert(atom);
    }
    alike
}

/// Conditions of which parts are left out.
struct Search<'a> {
    nodes: Vec<Node<'a>>,
    /// Which numbers are left out.
    left_out: Vec<bool>,
    emit: Emit<'a>,
}

impl Search<'_> {
    fn wanted(&self) -> Vec<Predicate> {
        self.nodes.iter().map(|node| node.without(&self.left_out)).collect()
    }

    fn conditions(&self) -> BTreeMap<Field, usize> {
        let mut conditions = BTreeMap::new();
        self.nodes.iter().for_each(|node| node.count(&self.left_out, false, &mut conditions));
        conditions
    }

    fn fits(&self) -> bool {
        smallest(&self.wanted(), self.emit).is_ok()
    }

    fn set(&mut self, units: &[usize], are_left_out: bool) {
        units.iter().for_each(|number| self.left_out[*number] = are_left_out);
    }

    /// Leaves out as many of these as it takes, beginning with the first.
    fn leave_out_fewest(&mut self, units: &[usize]) {
        let (mut least, mut most) = (0, units.len());
        while least < most {
            let middle = least.midpoint(most);
            self.set(units, false);
            self.set(&units[..middle], true);
            if self.fits() {
                most = middle;
            } else {
                least = middle + 1;
            }
        }
        self.set(units, false);
        self.set(&units[..most], true);
    }

    /// Puts back those of these that fit, beginning with the first.
    fn put_back(&mut self, units: &[usize], failures_left: &mut usize) {
        if units.is_empty() || *failures_left == 0 {
            return;
        }
        self.set(units, false);
        if self.fits() {
            return;
        }
        self.set(units, true);
        *failures_left -= 1;
        if units.len() > 1 {
            let (first, second) = units.split_at(units.len() / 2);
            self.put_back(first, failures_left);
            self.put_back(second, failures_left);
        }
    }
}

//! Aggregates that keep one sketch a group.
//!
//! A [`SketchFunction`] says how values and partial states enter sketches and what comes out of them;
//! this module makes DataFusion's accumulators of it, for one group and for many. A sketch is a set or
//! multiset of what entered it: states merge in any order and partition.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use std::fmt::Debug;

/// The state of one group; the default is that of no rows and allocates nothing.
pub(crate) trait Sketch: Clone + Debug + Default + Send + Sync + 'static {
    /// Octets held outside of the value itself.
    fn heap_octets(&self) -> usize;
}

/// An aggregate over sketches.
pub(crate) trait SketchFunction: Clone + Debug + Send + Sync + 'static {
    /// The state of one group.
    type Sketch: Sketch;

    /// Adds the arguments of `rows`.
    fn update(
        &mut self,
        arguments: &[ArrayRef],
        rows: &Rows<'_>,
        groups: &mut Groups<Self::Sketch>,
    ) -> Result<()>;

    /// Adds partial states, one a row.
    fn merge(
        &mut self,
        states: &[ArrayRef],
        targets: &[usize],
        groups: &mut Groups<Self::Sketch>,
    ) -> Result<()>;

    /// The partial state columns, one row a sketch; equal sketches give equal rows.
    fn state(&self, sketches: &[Self::Sketch]) -> Result<Vec<ArrayRef>>;

    /// The results, one row a sketch.
    fn evaluate(&self, sketches: &[Self::Sketch]) -> Result<ArrayRef>;
}

/// The rows of a batch that count, and the group of each.
pub(crate) struct Rows<'a> {
    targets: &'a [usize],
    used: Option<NullBuffer>,
}

impl<'a> Rows<'a> {
    /// All rows whose value is not NULL and that pass the filter.
    pub(crate) fn new(values: &dyn Array, targets: &'a [usize], filter: Option<&BooleanArray>) -> Self {
        let passed = filter.map(|filter| NullBuffer::new(passed_rows(filter)));
        Self { targets, used: NullBuffer::union(passed.as_ref(), values.logical_nulls().as_ref()) }
    }

    /// Calls `visit` with the number and the group of every row.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(usize, usize)) {
        match &self.used {
            None => self.targets.iter().enumerate().for_each(|(row, group)| visit(row, *group)),
            Some(used) => used.valid_indices().for_each(|row| visit(row, self.targets[row])),
        }
    }
}

/// A filter that is NULL does not pass.
fn passed_rows(filter: &BooleanArray) -> BooleanBuffer {
    match filter.nulls() {
        None => filter.values().clone(),
        Some(known) => filter.values() & known.inner(),
    }
}

/// The sketches of all groups, and what they hold.
#[derive(Debug)]
pub(crate) struct Groups<S> {
    sketches: Vec<S>,
    heap_octets: usize,
}

impl<S: Sketch> Groups<S> {
    fn with_length(length: usize) -> Self {
        let mut groups = Self { sketches: Vec::new(), heap_octets: 0 };
        groups.grow(length);
        groups
    }

    fn grow(&mut self, length: usize) {
        if length > self.sketches.len() {
            self.sketches.resize_with(length, S::default);
        }
    }

    /// Changes the sketch of one group.
    #[inline]
    pub(crate) fn change<R>(&mut self, group: usize, change: impl FnOnce(&mut S) -> R) -> R {
        let sketch = &mut self.sketches[group];
        let before = sketch.heap_octets();
        let result = change(sketch);
        let after = sketch.heap_octets();
        if after != before {
            self.heap_octets = self.heap_octets - before + after;
        }
        result
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<S> {
        let taken = emit_to.take_needed(&mut self.sketches);
        self.heap_octets -= taken.iter().map(S::heap_octets).sum::<usize>();
        taken
    }

    fn size(&self) -> usize {
        self.sketches.capacity() * size_of::<S>() + self.heap_octets
    }
}

/// Calls `merge` with every state that is not NULL.
pub(crate) fn merge_binary<S: Sketch>(
    states: &[ArrayRef],
    targets: &[usize],
    groups: &mut Groups<S>,
    merge: impl Fn(&mut S, &[u8]) -> Result<()>,
) -> Result<()> {
    let Some(states) = states.first().and_then(|states| states.as_binary_opt::<i32>()) else {
        return exec_err!("a partial state is not one binary column");
    };
    for (state, group) in states.iter().zip(targets) {
        let Some(state) = state else { continue };
        groups.change(*group, |sketch| merge(sketch, state))?;
    }
    Ok(())
}

/// One state a sketch, as `write` appends it.
pub(crate) fn binary_states<S>(sketches: &[S], write: impl Fn(&S, &mut Vec<u8>)) -> BinaryArray {
    let mut state = Vec::new();
    let states = sketches.iter().map(|sketch| {
        state.clear();
        write(sketch, &mut state);
        state.clone()
    });
    BinaryArray::from_iter_values(states)
}

/// The accumulator of all groups.
#[derive(Debug)]
pub(crate) struct SketchGroups<F: SketchFunction> {
    function: F,
    groups: Groups<F::Sketch>,
}

impl<F: SketchFunction> SketchGroups<F> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, groups: Groups::with_length(0) }
    }
}

impl<F: SketchFunction> GroupsAccumulator for SketchGroups<F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.grow(total_num_groups);
        self.function.update(values, &Rows::new(&values[0], group_indices, filter), &mut self.groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.grow(total_num_groups);
        self.function.merge(values, group_indices, &mut self.groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let taken = self.groups.take(emit_to);
        self.function.evaluate(&taken)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let taken = self.groups.take(emit_to);
        self.function.state(&taken)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let each_its_own: Vec<usize> = (0..values[0].len()).collect();
        let mut groups = Groups::with_length(each_its_own.len());
        let rows = Rows::new(&values[0], &each_its_own, filter);
        self.function.clone().update(values, &rows, &mut groups)?;
        self.function.state(&groups.sketches)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.groups.size()
    }
}

/// The accumulator of one group.
#[derive(Debug)]
pub(crate) struct SketchAccumulator<F: SketchFunction> {
    function: F,
    /// One sketch.
    groups: Groups<F::Sketch>,
    /// The group of every row of a batch.
    targets: Vec<usize>,
}

impl<F: SketchFunction> SketchAccumulator<F> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, groups: Groups::with_length(1), targets: Vec::new() }
    }
}

impl<F: SketchFunction> Accumulator for SketchAccumulator<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.targets.resize(values[0].len(), 0);
        let rows = Rows::new(&values[0], &self.targets, None);
        self.function.update(values, &rows, &mut self.groups)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.targets.resize(states[0].len(), 0);
        self.function.merge(states, &self.targets, &mut self.groups)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.function.evaluate(&self.groups.sketches)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.function.state(&self.groups.sketches)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.groups.size() + self.targets.capacity() * size_of::<usize>()
    }
}

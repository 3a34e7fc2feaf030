//! What is held for the open windows of one query, taken out so that somebody can go on with it later.
//!
//! Octets are made of it and it is made of octets again: the states of each lower half are an Arrow IPC stream, of
//! each part its groups, then its folded row, if it has one. A [`SuspendedHead`] says what they are.

use crate::groups::{GroupBatch, state_schema};
use crate::parts::Parts;
use crate::states::{read, write};
use crate::windows::ClosedWindow;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use serde::{Deserialize, Serialize};
use tapline_query::{ContinuousQuery, Fold};
use tapline_record::EventTime;

/// The version of the states that aggregates give. Two ends that disagree cannot merge what the other one gave.
pub const STATES_VERSION: u32 = 1;

/// Rows of a part that take no octets, at most.
const ROWS_MAX: usize = 1 << 24;

/// What is held for open windows.
#[derive(Clone, Debug, PartialEq)]
pub struct SuspendedWindows {
    /// Windows that begin before this have closed.
    pub(crate) cut: EventTime,
    /// Windows that begin here or earlier may lack rows from before the query was there.
    pub(crate) whole_after: EventTime,
    /// Where windows are given early, when each one is next, by its start.
    pub(crate) due: Vec<(EventTime, EventTime)>,
    /// What came, in any order.
    pub(crate) parts: Vec<SuspendedPart>,
}

/// What came of one lower half for one pane.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SuspendedPart {
    pub(crate) lower: usize,
    /// When the pane begins.
    pub(crate) pane: EventTime,
    /// Whether groups may lack rows that were folded.
    pub(crate) lacks_rows: bool,
    /// Partial states.
    pub(crate) groups: GroupBatch,
}

/// What the octets of [`SuspendedWindows`] are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspendedHead {
    cut_ns: i64,
    whole_after_ns: i64,
    due_ns: Vec<(i64, i64)>,
    /// Of each lower half, what its states are.
    halves: Vec<Vec<PartHead>>,
}

/// What the states of one part are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartHead {
    start_ns: i64,
    lacks_rows: bool,
    rows: u64,
    folded_rows: u64,
    has_folded: bool,
}

impl SuspendedWindows {
    /// No window that is open, or will be, begins before this.
    #[must_use]
    pub const fn earliest(&self) -> EventTime {
        self.cut
    }

    /// When the latest pane begins of which something came.
    #[must_use]
    pub fn latest(&self) -> Option<EventTime> {
        self.parts.iter().map(|part| part.pane).max()
    }

    /// Windows that begin here or earlier may lack rows from before the query was there.
    #[must_use]
    pub const fn whole_after(&self) -> EventTime {
        self.whole_after
    }

    /// Takes over what only `lost`, a window that closed before, was given, where windows share panes: nobody will have
    /// seen that.
    pub fn take_over(&mut self, lost: ClosedWindow) {
        let cut = self.cut;
        lost.into_shared_panes()
            .filter(|(pane, _)| *pane >= cut)
            .for_each(|(pane, parts)| self.add_all(pane, parts));
    }

    /// Says that rows may be missing before then: windows that begin earlier are partial.
    pub fn lack_rows_before(&mut self, time: EventTime) {
        self.whole_after = self.whole_after.max(time);
    }

    /// Adds what came of each lower half for a pane.
    pub(crate) fn add_all(&mut self, pane: EventTime, parts: Vec<Parts>) {
        for (lower, parts) in parts.into_iter().enumerate() {
            self.add(lower, pane, parts);
        }
    }

    /// Adds what came of a lower half for a pane.
    pub(crate) fn add(&mut self, lower: usize, pane: EventTime, parts: Parts) {
        let lacks_rows = parts.may_lack_rows();
        let parts = parts.into_groups().map(|groups| SuspendedPart { lower, pane, lacks_rows, groups });
        self.parts.extend(parts);
    }

    /// As octets, of each lower half some.
    ///
    /// # Errors
    /// When Arrow refuses to write them.
    pub fn encode(&self, query: &ContinuousQuery) -> Result<(SuspendedHead, Vec<Vec<u8>>)> {
        let (mut halves, mut states) = (vec![], vec![]);
        for (lower, schema) in schemas(query)?.iter().enumerate() {
            let parts = self.parts.iter().filter(|part| part.lower == lower);
            let groups = parts.clone().map(|part| &part.groups);
            let batches = groups.flat_map(|groups| [Some(&groups.groups), groups.folded.as_ref()]);
            states.push(write(schema, batches.flatten())?);
            halves.push(parts.map(PartHead::of).collect());
        }
        let due_ns = self.due.iter().map(|(start, due)| (start.0, due.0)).collect();
        let head = SuspendedHead { cut_ns: self.cut.0, whole_after_ns: self.whole_after.0, due_ns, halves };
        Ok((head, states))
    }

    /// Of octets.
    ///
    /// # Errors
    /// A sentence, when they are not of this query.
    pub fn decode(head: &SuspendedHead, states: &[&[u8]], query: &ContinuousQuery) -> Result<Self, String> {
        let schemas = schemas(query).map_err(|error| error.to_string())?;
        if schemas.len() != head.halves.len() || schemas.len() != states.len() {
            return Err("they are of a query with another number of aggregates".to_owned());
        }
        let mut parts = vec![];
        for (lower, (heads, octets)) in head.halves.iter().zip(states).enumerate() {
            read_half(lower, heads, octets, &schemas[lower], &mut parts)?;
        }
        let time = |(start, due): &(i64, i64)| (EventTime(*start), EventTime(*due));
        Ok(Self {
            cut: EventTime(head.cut_ns),
            whole_after: EventTime(head.whole_after_ns),
            due: head.due_ns.iter().map(time).collect(),
            parts,
        })
    }
}

impl PartHead {
    fn of(part: &SuspendedPart) -> Self {
        Self {
            start_ns: part.pane.0,
            lacks_rows: part.lacks_rows,
            rows: part.groups.rows,
            folded_rows: part.groups.folded_rows,
            has_folded: part.groups.folded.is_some(),
        }
    }
}

fn read_half(
    lower: usize,
    heads: &[PartHead],
    octets: &[u8],
    schema: &SchemaRef,
    parts: &mut Vec<SuspendedPart>,
) -> Result<(), String> {
    let mut batches = read([Buffer::from(octets)], schema, ROWS_MAX)?.into_iter();
    let mut next =
        || -> Result<RecordBatch, String> { batches.next().ok_or_else(|| "states are missing".to_owned()) };
    for head in heads {
        let groups = next()?;
        let folded = head.has_folded.then(&mut next).transpose()?;
        parts.push(SuspendedPart {
            lower,
            pane: EventTime(head.start_ns),
            lacks_rows: head.lacks_rows,
            groups: GroupBatch { groups, folded, rows: head.rows, folded_rows: head.folded_rows },
        });
    }
    Ok(())
}

/// The columns of the states of each lower half; none of one that has no aggregate.
fn schemas(query: &ContinuousQuery) -> Result<Vec<SchemaRef>> {
    let schema = |fold: &Fold| match fold {
        Fold::Rows(_) => Ok(SchemaRef::new(Schema::empty())),
        Fold::Aggregate(fold) => state_schema(fold),
    };
    query.lowers.iter().map(|lower| schema(&lower.fold)).collect()
}

//! What lower halves give: groups or rows, and the panes that they are of.

use crate::groups::GroupBatch;
use crate::ids::SourceId;
use crate::parts::octets_of;
use datafusion::arrow::array::RecordBatch;
use tapline_record::EventTime;

/// What a worker gives for a query.
#[derive(Clone, Debug)]
pub enum LowerOutput {
    /// Groups of one pane.
    Pane {
        /// Which lower half of the query.
        lower: usize,
        /// Which pane.
        pane: Pane,
        /// Partial states, or results where `finished`.
        groups: GroupBatch,
        /// Whether the groups hold finished aggregates, and are all of the pane.
        finished: bool,
    },
    /// Rows of one pane of one input batch, of a query whose rows are sent by sensors.
    PaneRows {
        /// Which lower half of the query.
        lower: usize,
        /// When the pane begins.
        pane: EventTime,
        /// The batch: who read it, and its position among all of its source.
        batch: (SourceId, u64),
        /// The rows, in input order.
        rows: RecordBatch,
    },
    /// Rows of one input batch, perhaps none.
    Rows {
        /// Who read the batch.
        source: SourceId,
        /// The batch's position among all of its source.
        sequence: u64,
        /// The rows, in input order.
        batches: Vec<RecordBatch>,
    },
}

/// A finite piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pane {
    /// Its first instant; for windows that count rows, the earliest record's time.
    pub start: EventTime,
    /// The instant after its last.
    pub end: EventTime,
    /// Number of a window that counts rows, else 0.
    pub index: u64,
    /// Whether it ended because it was full or the watermark passed, not because the input ended.
    pub is_complete: bool,
}

impl LowerOutput {
    /// Octets that its groups take.
    #[must_use]
    pub fn octets(&self) -> usize {
        match self {
            Self::Pane { groups, .. } => octets_of(groups),
            Self::PaneRows { .. } | Self::Rows { .. } => 0,
        }
    }
}

impl Pane {
    /// The whole input.
    pub const ALL: Self = Self { start: EventTime::MIN, end: EventTime::MAX, index: 0, is_complete: true };
}

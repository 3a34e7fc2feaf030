//! A batch of one stream, as it comes to lower halves.

use crate::ids::SourceId;
use datafusion::arrow::array::RecordBatch;
use std::sync::Arc;
use tapline_record::{Layout, Stream};

/// A batch of one stream.
#[derive(Clone, Debug)]
pub struct StreamBatch {
    /// Who read it.
    pub source: SourceId,
    /// The stream.
    pub stream: &'static Stream,
    /// Which columns it has.
    pub layout: Arc<Layout>,
    /// The rows.
    pub batch: RecordBatch,
    /// Position among all batches of its source.
    pub sequence: u64,
}

impl StreamBatch {
    /// The columns of its stream that it has, as they stand side by side.
    pub(crate) fn built(&self) -> &[usize] {
        self.layout.columns(self.stream.id)
    }
}

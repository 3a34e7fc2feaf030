//! What exporters sent between two runs.

use tapline_record::EventTime;

/// Records that an exporter sent while nobody listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedRecords {
    /// When the last message before came.
    pub since: EventTime,
    /// When the first message behind came.
    pub until: EventTime,
    /// How many; an estimate where messages are numbered. `None` where nobody knows: it has begun to number anew meanwhile.
    pub records: Option<u64>,
}

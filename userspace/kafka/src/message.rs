//! Results as messages.

use crate::options::{KafkaOptions, MessageFormat, MessageKey};
use arrow_ipc::writer::StreamWriter;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use std::sync::Arc;
use tapline_sinks::{Parcel, ResultId, lines, plain, time_text};

/// Octets of a message, at most; brokers take a million, unless they are told otherwise.
const OCTETS_MAX: usize = 512 << 10;

/// A message.
pub(crate) struct Message {
    pub(crate) of: Arc<Origin>,
    /// Which one of the result's messages it is.
    pub(crate) number: usize,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// The result that messages are of.
pub(crate) struct Origin {
    pub(crate) topic: String,
    pub(crate) query: String,
    pub(crate) id: ResultId,
    pub(crate) status: &'static str,
    /// As text; none of a query without windows.
    pub(crate) window_start: String,
    pub(crate) window_end: String,
}

impl Message {
    /// Those of a result.
    pub(crate) fn all_of(parcel: &Parcel, options: &KafkaOptions) -> Result<Vec<Self>, ArrowError> {
        let Parcel { id, origin, result, .. } = parcel;
        let window = result.window.map(|window| [window.start, window.end].map(time_text));
        let [window_start, window_end] = window.unwrap_or_default();
        let of = Arc::new(Origin {
            topic: options.topic(&origin.name),
            query: origin.name.clone(),
            id: *id,
            status: result.status.name(),
            window_start,
            window_end,
        });
        let mut messages = vec![];
        for batch in origin.columns.batches(result)? {
            let parts = match options.format {
                MessageFormat::Json => of_rows(parcel, &batch, options.key)?,
                MessageFormat::Arrow => {
                    streams(&plain(&batch)?)?.into_iter().map(|value| (None, value)).collect()
                }
            };
            // What has no keys of its own is of its window, or its query.
            let unkeyed = if of.window_start.is_empty() { &of.query } else { &of.window_start };
            let before = messages.len();
            messages.extend(parts.into_iter().enumerate().map(|(number, (key, value))| Self {
                of: Arc::clone(&of),
                number: before + number,
                key: key.unwrap_or_else(|| unkeyed.clone().into_bytes()),
                value,
            }));
        }
        Ok(messages)
    }

    pub(crate) fn octets(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// Keys, where rows have some, and values.
type Parts = Vec<(Option<Vec<u8>>, Vec<u8>)>;

/// An object for each row.
fn of_rows(parcel: &Parcel, batch: &RecordBatch, key: MessageKey) -> Result<Parts, ArrowError> {
    let values = objects(batch)?;
    let columns = &parcel.origin.columns;
    let before = if columns.is_windowed() { 2 } else { 0 };
    let keys: Vec<usize> = parcel.origin.keys.iter().map(|place| before + place).collect();
    if key == MessageKey::Window || keys.is_empty() {
        return Ok(values.into_iter().map(|value| (None, value)).collect());
    }
    let keys = objects(&batch.project(&keys)?)?;
    Ok(keys.into_iter().map(Some).zip(values).collect())
}

fn objects(batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ArrowError> {
    let text = lines(std::slice::from_ref(batch))?;
    let lines = text.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(<[u8]>::to_vec).collect())
}

/// The rows as streams, none of which is too long, unless one row is.
fn streams(batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ArrowError> {
    let mut writer = StreamWriter::try_new(vec![], &batch.schema())?;
    writer.write(batch)?;
    let stream = writer.into_inner()?;
    let rows = batch.num_rows();
    if stream.len() <= OCTETS_MAX || rows < 2 {
        return Ok(vec![stream]);
    }
    let half = rows / 2;
    let halves = [batch.slice(0, half), batch.slice(half, rows - half)];
    let [first, second] = halves.map(|half| streams(&half));
    Ok([first?, second?].concat())
}

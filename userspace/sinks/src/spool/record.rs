//! A result as a record of a spool, and back.
//!
//! ```text
//! length (4) · CRC-32 of what follows (4) · length of the name (2) · name of the query · Arrow IPC stream
//! ```
//! Numbers are little-endian. The stream holds the rows of the SELECT list, and in the metadata of its schema what else
//! there is of a result, as text. A record that is not whole, or is not as it was written, is none.

use crate::origin::Origin;
use crate::sink::{Parcel, ResultId};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use tapline_operators::{QueryId, ResultColumns, Span, Status, WindowResult};
use tapline_record::{EventTime, StreamId};

/// Octets before the payload of a record.
pub(super) const FRAME: usize = 8;

/// What stands in the metadata.
const SENDER: &str = "sender";
const NUMBER: &str = "number";
const GIVEN: &str = "given_ns";
const WINDOW_START: &str = "window_start_ns";
const WINDOW_END: &str = "window_end_ns";
const STATUS: &str = "status";
/// Only where there is one.
const REVISION: &str = "revision";
const COMPLETENESS: &str = "completeness";
const IS_WINDOWED: &str = "is_windowed";
const IS_LIVE: &str = "is_live";
const IS_STORED: &str = "is_stored";
const GIVES_ROWS: &str = "gives_rows";
const GIVES_FOLDED_ROW: &str = "gives_folded_row";
const SQL: &str = "sql";
const NOTE: &str = "note";
const EVERY: &str = "every_ns";
/// Names of streams, likewise.
const STREAMS: &str = "streams";
/// Places in the SELECT list, with commas between them.
const KEYS: &str = "keys";

/// A result as a record.
pub(super) fn encode(parcel: &Parcel) -> Result<Vec<u8>, ArrowError> {
    let Parcel { origin, result, .. } = parcel;
    let too_long = |what: &str| ArrowError::InvalidArgumentError(format!("{what} is too long for a spool"));
    let fields = origin.columns.rows().to_vec();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata(parcel)));
    let name_length = u16::try_from(origin.name.len()).map_err(|_| too_long("the name of its query"))?;
    let start = [&[0; FRAME][..], &name_length.to_le_bytes(), origin.name.as_bytes()].concat();
    let mut writer = StreamWriter::try_new(start, &schema)?;
    for rows in &result.rows {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let columns = rows.columns().to_vec();
        writer.write(&RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?)?;
    }
    let mut octets = writer.into_inner()?;
    let (frame, payload) = octets.split_at_mut(FRAME);
    let length = u32::try_from(payload.len()).map_err(|_| too_long("it"))?;
    frame.copy_from_slice(&[length.to_le_bytes(), crc32fast::hash(payload).to_le_bytes()].concat());
    Ok(octets)
}

/// The payload of the record that these octets begin with; `None` where they begin with none that is whole.
pub(super) fn first(octets: &[u8]) -> Option<&[u8]> {
    let (frame, rest) = octets.split_at_checked(FRAME)?;
    let (length, sum) = frame.split_at_checked(FRAME / 2)?;
    let number = |octets: &[u8]| octets.try_into().map(u32::from_le_bytes).ok();
    let length = usize::try_from(number(length)?).ok()?;
    let payload = rest.get(..length)?;
    // A power cut may leave zeros, and zero is the sum of no octets.
    (length > 0 && crc32fast::hash(payload) == number(sum)?).then_some(payload)
}

/// The query whose result a payload is.
pub(super) fn query_of(payload: &[u8]) -> Option<&str> {
    Some(parts(payload)?.0)
}

/// The result of a payload; `None` where it is of another version.
pub(super) fn decode(payload: &[u8]) -> Option<Parcel> {
    let (name, stream) = parts(payload)?;
    let reader = StreamReader::try_new(stream, None).ok()?;
    let schema = reader.schema();
    let said = Said(schema.metadata());
    let rows = Schema::new(schema.fields().clone());
    let columns = ResultColumns::around(&rows, said.value(IS_WINDOWED)?, said.value(IS_LIVE)?);
    let origin = Origin {
        name: name.to_owned(),
        sql: said.value(SQL)?,
        note: said.value(NOTE)?,
        columns,
        keys: said.list(KEYS, |place| place.parse().ok())?,
        every_ns: said.value(EVERY),
        streams: said.list(STREAMS, |name| StreamId::ALL.into_iter().find(|id| id.stream().name == name))?,
        is_stored: said.value(IS_STORED)?,
        // It was not said before.
        gives_rows: said.value(GIVES_ROWS).unwrap_or_default(),
        gives_folded_row: said.value(GIVES_FOLDED_ROW)?,
        alerts: vec![],
    };
    let instants = [WINDOW_START, WINDOW_END].map(|key| said.value(key).map(EventTime));
    let window = match instants {
        [Some(start), Some(end)] => Some(Span { start, end }),
        _ => None,
    };
    let result = WindowResult {
        query: QueryId(0),
        window,
        status: Status::named(said.text(STATUS)?)?,
        revision: said.value(REVISION).unwrap_or_default(),
        completeness: said.value(COMPLETENESS),
        rows: reader.collect::<Result<_, _>>().ok()?,
    };
    let id = ResultId { sender: said.value(SENDER)?, number: said.value(NUMBER)? };
    let given = EventTime(said.value(GIVEN)?);
    Some(Parcel { id, origin: Arc::new(origin), result: Arc::new(result), given })
}

fn metadata(parcel: &Parcel) -> HashMap<String, String> {
    let Parcel { id, origin, result, given } = parcel;
    let keys: String = origin.keys.iter().map(|key| format!("{key},")).collect();
    let streams: String = origin.streams.iter().map(|id| format!("{},", id.stream().name)).collect();
    let always = [
        (SENDER, id.sender.to_string()),
        (NUMBER, id.number.to_string()),
        (GIVEN, given.0.to_string()),
        (STATUS, result.status.name().to_owned()),
        (IS_WINDOWED, origin.columns.is_windowed().to_string()),
        (IS_LIVE, origin.columns.is_live().to_string()),
        (IS_STORED, origin.is_stored.to_string()),
        (GIVES_ROWS, origin.gives_rows.to_string()),
        (GIVES_FOLDED_ROW, origin.gives_folded_row.to_string()),
        (KEYS, keys),
        (SQL, origin.sql.clone()),
        (NOTE, origin.note.clone()),
        (STREAMS, streams),
    ];
    let start = result.window.map(|window| (WINDOW_START, window.start.0.to_string()));
    let end = result.window.map(|window| (WINDOW_END, window.end.0.to_string()));
    let completeness = result.completeness.map(|part| (COMPLETENESS, part.to_string()));
    let every = origin.every_ns.map(|every| (EVERY, every.to_string()));
    let revision = (result.revision > 0).then(|| (REVISION, result.revision.to_string()));
    let all = always.into_iter().chain(start).chain(end).chain(completeness).chain(every).chain(revision);
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The name and the stream of a payload.
fn parts(payload: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = payload.split_at_checked(2)?;
    let length = u16::from_le_bytes(length.try_into().ok()?);
    let (name, stream) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(name).ok()?, stream))
}

/// What the metadata says.
struct Said<'a>(&'a HashMap<String, String>);

impl Said<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn list<T>(&self, key: &str, one: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        self.text(key)?.split_terminator(',').map(one).collect()
    }

    fn value<T: FromStr>(&self, key: &str) -> Option<T> {
        self.text(key)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::{parcel, result};

    #[test]
    fn a_result_comes_back_as_it_was() {
        let mut given = parcel("top_talkers", 7);
        given.result = result(7, Status::Revised);
        let record = encode(&given).unwrap();
        let payload = first(&record).unwrap();
        assert_eq!((payload.len() + FRAME, query_of(payload)), (record.len(), Some("top_talkers")));
        let back = decode(payload).unwrap();
        assert_eq!((back.id, back.given, &back.origin.keys), (given.id, given.given, &given.origin.keys));
        let [back_of, given_of] = [&back, &given].map(|parcel| &parcel.origin);
        assert_eq!(
            (&back_of.sql, back_of.every_ns, &back_of.streams),
            (&given_of.sql, given_of.every_ns, &given_of.streams)
        );
        assert_eq!(back.origin.columns.schema(), given.origin.columns.schema());
        let said = |parcel: &Parcel| {
            let WindowResult { window, status, revision, completeness, .. } = *parcel.result;
            (window, status, revision, completeness)
        };
        assert_eq!(said(&back), said(&given));
        let rows = |parcel: &Parcel| parcel.origin.columns.batches(&parcel.result).unwrap();
        assert_eq!(rows(&back), rows(&given));
    }

    #[test]
    fn no_part_of_a_record_and_no_other_octets_are_a_record() {
        let record = encode(&parcel("a", 1)).unwrap();
        for end in 0..record.len() {
            assert_eq!(first(&record[..end]), None, "{end}");
        }
        for place in 0..record.len() {
            let mut changed = record.clone();
            changed[place] ^= 1;
            assert_eq!(first(&changed), None, "{place}");
        }
        assert_eq!(first(&[0; 64]), None);
        let two = [record.as_slice(), &record].concat();
        assert_eq!(first(&two).map(<[u8]>::len), Some(record.len() - FRAME));
    }
}

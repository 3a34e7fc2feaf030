//! States of one lower half for one pane as octets, and back.
//!
//! ```text
//! how many parts (2) · of each: flags (1), rows (8), rows that were folded (8), of one that has a place its length (2) and
//! octets · messages of an Arrow IPC stream
//! ```
//! Numbers are little-endian. Of each part the messages are its groups, then its folded row, if it has one; of a query
//! without an aggregate, its rows. The message that names the columns is left out: whoever reads states knows of which half
//! they are. Octets may be of anybody: no more is made of them than they are.

use crate::groups::{GroupBatch, state_schema};
use crate::parts::{PLACE_OCTETS_MAX, Parts};
use crate::possible::check_possible;
use crate::result::{compact, with_columns};
use crate::room::OperatorLimits;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_ipc::{Message, root_as_message};
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Result, internal_datafusion_err};
use std::fmt::Display;
use std::sync::Arc;
use tapline_query::{AggregateFold, ContinuousQuery, Fold};

/// Flags of a part: it has a folded row; its groups may lack rows that others have folded; it has a place among others.
const HAS_FOLDED: u8 = 1;
const LACKS_ROWS: u8 = 2;
const HAS_PLACE: u8 = 4;

/// What is before each message.
const CONTINUES: [u8; 4] = [0xff; 4];

/// How states of one lower half become octets, and octets states.
#[derive(Clone, Debug)]
pub struct HalfStates {
    /// `None` where rows stay rows.
    fold: Option<Arc<AggregateFold>>,
    schema: SchemaRef,
    /// The message that names the columns.
    head: Buffer,
}

/// What the states of one part are.
#[derive(Clone, Debug)]
struct StatesHead {
    flags: u8,
    rows: u64,
    folded_rows: u64,
    place: Option<Arc<[u8]>>,
}

impl HalfStates {
    /// Those of a lower half of `query`.
    ///
    /// # Errors
    /// A sentence, when the query has no such half.
    pub fn new(query: &ContinuousQuery, half: usize) -> Result<Self, String> {
        let lower = query.lowers.get(half);
        let lower = lower.ok_or_else(|| format!("the query has no aggregate of number {half}"))?;
        let (fold, schema) = match &lower.fold {
            Fold::Rows(columns) => (None, Ok(Arc::clone(columns))),
            Fold::Aggregate(fold) => (Some(Arc::new(fold.clone())), state_schema(fold)),
        };
        let schema = schema.map_err(|error| error.to_string())?;
        let head = StreamWriter::try_new(Vec::<u8>::new(), &schema).map_err(|error| error.to_string())?;
        let head = Buffer::from(head.get_ref().as_slice());
        Ok(Self { fold, schema, head })
    }

    /// Whether they are rows of a query without an aggregate, which are merged with nothing.
    #[must_use]
    pub const fn are_rows(&self) -> bool {
        self.fold.is_none()
    }

    /// The columns of the states: keys, then those of each aggregate; of rows, theirs.
    #[must_use]
    pub const fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    /// Parts as one, if there are some; groups beyond `groups_max` are folded. Rows are one part for each place, in the order
    /// of these.
    ///
    /// # Errors
    /// When an aggregate fails, or rows have other columns.
    pub fn merged(&self, parts: &Parts, groups_max: usize) -> Result<Parts> {
        let mut merged = parts.clone();
        match &self.fold {
            None => merged.join_rows(&self.schema)?,
            Some(_) if merged.is_empty() => {}
            Some(fold) => merged.merge(fold, OperatorLimits { groups_max, is_only_worker: false })?,
        }
        Ok(merged)
    }

    /// As octets.
    ///
    /// # Errors
    /// When they are not of this half, or finished.
    pub fn encode(&self, parts: &Parts) -> Result<Vec<u8>> {
        if parts.has_finished() {
            return Err(internal_datafusion_err!("finished aggregates are no states"));
        }
        let count = u16::try_from(parts.len());
        let count = count.map_err(|_| internal_datafusion_err!("{} parts are too many", parts.len()))?;
        let mut octets = count.to_le_bytes().to_vec();
        for (groups, place) in parts.groups().zip(parts.places()) {
            // What nobody could read again is not written.
            if place.is_some_and(|place| place.len() > PLACE_OCTETS_MAX) {
                return Err(internal_datafusion_err!("a place is too long"));
            }
            StatesHead::of(groups, parts.may_lack_rows(), place).write(&mut octets)?;
        }
        if count > 0 {
            let batches = parts.groups().flat_map(|groups| [Some(&groups.groups), groups.folded.as_ref()]);
            let batches: Vec<&RecordBatch> = batches.flatten().collect();
            if !batches.iter().all(|batch| self.has_columns_of(batch)) {
                return Err(internal_datafusion_err!(
                    "these states are not of the half that they are said to be of"
                ));
            }
            let messages = write(&self.schema, batches)?;
            octets.extend_from_slice(messages.get(self.head.len()..).unwrap_or_default());
        }
        Ok(octets)
    }

    /// Refuses states that no rows give: those that somebody else made may be anything that can be read.
    ///
    /// # Errors
    /// The end of a sentence, which names the aggregate.
    pub fn check_possible(&self, parts: &Parts) -> Result<(), String> {
        let Some(fold) = &self.fold else { return Ok(()) };
        let mut batches = parts.groups().flat_map(|part| [Some(&part.groups), part.folded.as_ref()]);
        batches.try_for_each(|batch| batch.map_or(Ok(()), |batch| check_possible(fold, batch)))
    }

    /// Whether a batch has columns of the same types: those who plan a half for themselves may read something else.
    fn has_columns_of(&self, batch: &RecordBatch) -> bool {
        let own = self.schema.fields().iter().map(|field| field.data_type());
        batch.schema_ref().fields().iter().map(|field| field.data_type()).eq(own)
    }

    /// Of octets. Where columns take none, as those of nothing but NULL, a part has so many rows at most.
    ///
    /// # Errors
    /// The end of a sentence, when they are no states of this half.
    pub fn decode(&self, octets: &[u8], rows_max: usize) -> Result<Parts, String> {
        let (heads, messages) = read_heads(octets).ok_or("they are cut off, or damaged")?;
        let mut parts = Parts::default();
        if heads.is_empty() {
            return if messages.is_empty() {
                Ok(parts)
            } else {
                Err("there are more than they say".to_owned())
            };
        }
        check_plain(messages)?;
        let messages = [self.head.clone(), Buffer::from(messages)];
        let mut batches = read(messages, &self.schema, rows_max)?.into_iter();
        let mut next =
            || -> Result<RecordBatch, String> { batches.next().ok_or_else(|| "some are missing".to_owned()) };
        for StatesHead { flags, rows, folded_rows, place } in heads {
            let groups = next()?;
            let folded = (flags & HAS_FOLDED != 0).then(&mut next).transpose()?;
            if folded.as_ref().is_some_and(|folded| folded.num_rows() != 1) {
                return Err("what is folded is not one row".to_owned());
            }
            let folded_rows = if folded.is_some() { folded_rows.max(1) } else { 0 };
            if self.are_rows() {
                // What has no rows is no piece of them, and takes nothing.
                if groups.num_rows() > 0 {
                    parts.push_rows(place, groups);
                }
                continue;
            }
            let groups = GroupBatch { groups, folded, rows, folded_rows };
            parts.append(Parts::suspended(Arc::new(groups), flags & LACKS_ROWS != 0));
        }
        if batches.next().is_some() { Err("there are more than they say".to_owned()) } else { Ok(parts) }
    }
}

impl StatesHead {
    fn of(groups: &GroupBatch, lacks_rows: bool, place: Option<&[u8]>) -> Self {
        let folded = if groups.folded.is_some() { HAS_FOLDED } else { 0 };
        let lacking = if lacks_rows { LACKS_ROWS } else { 0 };
        let placed = if place.is_some() { HAS_PLACE } else { 0 };
        let (rows, folded_rows, place) = (groups.rows, groups.folded_rows, place.map(Arc::<[u8]>::from));
        Self { flags: folded | lacking | placed, rows, folded_rows, place }
    }

    fn write(&self, octets: &mut Vec<u8>) -> Result<()> {
        octets.push(self.flags);
        octets.extend_from_slice(&self.rows.to_le_bytes());
        octets.extend_from_slice(&self.folded_rows.to_le_bytes());
        if let Some(place) = &self.place {
            let length = u16::try_from(place.len());
            let length = length.map_err(|_| internal_datafusion_err!("a place is too long"))?;
            octets.extend_from_slice(&length.to_le_bytes());
            octets.extend_from_slice(place);
        }
        Ok(())
    }

    fn read(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (flags, octets) = octets.split_first()?;
        let (rows, octets) = octets.split_first_chunk()?;
        let (folded_rows, octets) = octets.split_first_chunk()?;
        let [rows, folded_rows] = [rows, folded_rows].map(|number| u64::from_le_bytes(*number));
        let (place, octets) = if flags & HAS_PLACE == 0 {
            (None, octets)
        } else {
            let (length, octets) = octets.split_first_chunk()?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (place, octets) = octets.split_at_checked(length).filter(|_| length <= PLACE_OCTETS_MAX)?;
            (Some(Arc::from(place)), octets)
        };
        Some((Self { flags: *flags, rows, folded_rows, place }, octets))
    }
}

/// What each part is, and the messages behind that.
fn read_heads(octets: &[u8]) -> Option<(Vec<StatesHead>, &[u8])> {
    let (count, mut octets) = octets.split_first_chunk()?;
    let mut heads = vec![];
    for _ in 0..u16::from_le_bytes(*count) {
        let (head, rest) = StatesHead::read(octets)?;
        heads.push(head);
        octets = rest;
    }
    Some((heads, octets))
}

/// Refuses messages with columns that are packed: how long these become is for them to say, and Arrow takes so much memory
/// before it looks whether it is so.
fn check_plain(mut octets: &[u8]) -> Result<(), String> {
    let cut_off = || "they are cut off".to_owned();
    while !octets.is_empty() {
        let (marker, rest) = octets.split_first_chunk::<4>().ok_or_else(cut_off)?;
        if *marker != CONTINUES {
            return Err("they are no messages of Arrow".to_owned());
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 {
            // What is behind the end is not read.
            return Ok(());
        }
        let (head, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        let message = root_as_message(head).map_err(|error| said(&error))?;
        if has_packed_columns(&message) {
            return Err("their columns are packed by themselves".to_owned());
        }
        let body = usize::try_from(message.bodyLength()).ok();
        octets = body.and_then(|body| rest.get(body..)).ok_or_else(cut_off)?;
    }
    Ok(())
}

fn has_packed_columns(message: &Message<'_>) -> bool {
    let of_dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let batch = message.header_as_record_batch().or(of_dictionary);
    batch.is_some_and(|batch| batch.compression().is_some())
}

/// A batch with octets of its own, in these columns: what is kept of a stream would keep all of it. Few rows take less
/// than a bit of a stream: no more than `rows_max`, and one where there are no columns.
fn own(
    batch: &RecordBatch,
    schema: &SchemaRef,
    (octets, rows_max): (usize, usize),
) -> Result<RecordBatch, String> {
    let rows = batch.num_rows();
    let rows_max = if schema.fields().is_empty() { 1 } else { octets.saturating_mul(8).max(rows_max) };
    let end = u32::try_from(rows).ok().filter(|_| rows <= rows_max).ok_or("they have too many rows")?;
    let all = UInt32Array::from_iter_values(0..end);
    let columns = batch.columns().iter().map(|column| take(column, &all, None));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| said(&error))?;
    with_columns(schema, columns, rows).map_err(|error| said(&error))
}

/// States as an Arrow IPC stream.
///
/// # Errors
/// When Arrow refuses to write them.
pub(crate) fn write<'a>(
    schema: &Schema,
    batches: impl IntoIterator<Item = &'a RecordBatch>,
) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for batch in batches {
        let columns = compact(batch.columns());
        writer.write(&with_columns(&batch.schema(), columns, batch.num_rows())?)?;
    }
    Ok(writer.into_inner()?)
}

/// The batches of an Arrow IPC stream, which comes in pieces; each with so many rows at most, or with a row a bit.
///
/// # Errors
/// The end of a sentence, when it is none of these columns.
pub(crate) fn read(
    pieces: impl IntoIterator<Item = Buffer>,
    schema: &SchemaRef,
    rows_max: usize,
) -> Result<Vec<RecordBatch>, String> {
    let (mut decoder, mut batches, mut octets) = (StreamDecoder::new(), vec![], 0);
    for mut piece in pieces {
        octets += piece.len();
        while let Some(batch) = decoder.decode(&mut piece).map_err(|error| said(&error))? {
            batches.push(batch);
        }
    }
    decoder.finish().map_err(|error| said(&error))?;
    match decoder.schema() {
        Some(of_stream) if of_stream.fields() == schema.fields() => {
            batches.iter().map(|batch| own(batch, schema, (octets, rows_max))).collect()
        }
        Some(_) | None => Err("its aggregates keep other columns".to_owned()),
    }
}

fn said(error: &dyn Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::GroupState;
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::IpcWriteOptions;
    use datafusion::arrow::array::{ArrayRef, AsArray as _, Int64Array, UInt16Array, new_null_array};
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{Int64Type, UInt16Type};
    use std::ops::Range;
    use tapline_query::Planner;

    const ROWS_MAX: usize = 1000;
    const SQL: &str = "SELECT src_port, count(*) FROM packets GROUP BY src_port, tumble('1 second')";

    /// One row of each of these ports, as a part.
    fn part(states: &HalfStates, ports: Range<i64>, groups_max: usize) -> Parts {
        let query = Planner::new().plan(SQL).unwrap();
        let branch = &query.lowers[0].branches[0];
        let fields: Vec<_> = branch.columns.iter().map(|column| branch.stream.field(*column)).collect();
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(ports));
        let columns = fields.iter().map(|field| cast(&numbers, field.data_type()).unwrap()).collect();
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let mut state = GroupState::new(Arc::clone(states.fold.as_ref().unwrap()), groups_max).unwrap();
        state.update(&rows, None, usize::MAX).unwrap();
        Parts::from(state.take_states().unwrap())
    }

    fn half() -> HalfStates {
        HalfStates::new(&Planner::new().plan(SQL).unwrap(), 0).unwrap()
    }

    /// Ports, and rows of each and of those that are folded, in their order.
    fn counts(states: &HalfStates, parts: &Parts) -> Vec<(Option<i64>, i64)> {
        let parts = states.merged(parts, 1 << 20).unwrap();
        let mut counts = vec![];
        for batch in parts.groups().flat_map(|part| [Some(&part.groups), part.folded.as_ref()]).flatten() {
            let ports = cast(batch.column(0), batch.column(1).data_type()).unwrap();
            let ports = ports.as_primitive::<Int64Type>().iter();
            counts.extend(ports.zip(batch.column(1).as_primitive::<Int64Type>().values().iter().copied()));
        }
        counts.sort_unstable();
        counts
    }

    #[test]
    fn states_come_back_as_they_were_whole_and_in_halves() {
        let states = half();
        let mut parts = part(&states, 0..300, 1000);
        parts.append(part(&states, 200..400, 100));
        let expected = counts(&states, &parts);
        assert_eq!(expected.iter().map(|(_, count)| count).sum::<i64>(), 500);
        let back = |parts: &Parts| states.decode(&states.encode(parts).unwrap(), ROWS_MAX).unwrap();
        let again = back(&parts);
        assert_eq!((again.rows(), again.groups_in_all(), again.may_lack_rows()), (500, 400, true));
        assert_eq!(counts(&states, &again), expected);
        let [first, second] = parts.halved().unwrap();
        let [third, fourth] = first.halved().unwrap();
        let mut all = back(&fourth);
        [second, third].iter().for_each(|parts| all.append(back(parts)));
        assert_eq!(counts(&states, &all), expected);
        assert!(part(&states, 0..1, 10).halved().is_none() && Parts::default().halved().is_none());
        assert!(back(&Parts::default()).is_empty());
    }

    #[test]
    fn groups_that_find_no_place_are_folded_and_no_row_is_lost() {
        let states = half();
        let mut parts = part(&states, 0..100, 1000);
        parts.append(part(&states, 50..150, 1000));
        let counts = counts(&states, &states.merged(&parts, 120).unwrap());
        assert_eq!(counts.len(), 121);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<i64>(), 200);
        assert_eq!(counts[0], (None, 30));
    }

    #[test]
    fn columns_that_are_packed_by_themselves_are_refused() {
        let states = half();
        let parts = part(&states, 0..1000, 1000);
        let groups = parts.groups().next().unwrap();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let mut writer =
            StreamWriter::try_new_with_options(Vec::<u8>::new(), &states.schema, options).unwrap();
        writer.write(&groups.groups).unwrap();
        let messages = writer.into_inner().unwrap();
        let plain = states.encode(&parts).unwrap();
        let heads = &plain[..2 + 1 + 8 + 8];
        let packed = [heads, &messages[states.head.len()..]].concat();
        assert!(packed.len() < plain.len());
        assert_eq!(states.decode(&packed, ROWS_MAX).unwrap_err(), "their columns are packed by themselves");
    }

    #[test]
    fn rows_come_back_in_the_order_of_their_places() {
        let query = Planner::new().plan("SELECT src_port FROM packets").unwrap();
        let states = HalfStates::new(&query, 0).unwrap();
        let rows = |ports: Range<u16>, place: &[u8]| {
            let ports: ArrayRef = Arc::new(UInt16Array::from_iter_values(ports));
            let mut parts = Parts::default();
            parts.push_rows(None, RecordBatch::try_from_iter([("src_port", ports)]).unwrap());
            parts.put_at(&place.into());
            parts
        };
        let mut parts = rows(3..5, b"b");
        parts.append(rows(0..2, b"a"));
        parts.append(rows(2..3, b"a"));
        let back = |parts: &Parts| states.decode(&states.encode(parts).unwrap(), ROWS_MAX).unwrap();
        let merged = states.merged(&back(&back(&parts)), 1).unwrap();
        let ports = |part: &GroupBatch| part.groups.column(0).as_primitive::<UInt16Type>().values().to_vec();
        let ports: Vec<Vec<u16>> = back(&merged).groups().map(ports).collect();
        assert_eq!((ports, merged.rows()), (vec![vec![0, 1, 2], vec![3, 4]], 5));
        assert!(states.are_rows() && !half().are_rows());
        assert!(states.merged(&Parts::default(), 1).unwrap().is_empty());
        let octets = states.encode(&parts).unwrap();
        for end in 0..octets.len() - 8 {
            assert!(states.decode(&octets[..end], ROWS_MAX).is_err(), "{end} of {}", octets.len());
        }
        assert!(back(&rows(7..7, b"c")).is_empty());
        let octets = states.encode(&rows(0..2, &[b'x'; PLACE_OCTETS_MAX])).unwrap();
        assert!(states.decode(&octets, ROWS_MAX).is_ok());
        assert!(states.encode(&rows(0..2, &[b'x'; PLACE_OCTETS_MAX + 1])).is_err(), "nobody could read it");
    }

    #[test]
    fn rows_that_take_no_octets_are_as_many_as_they_may_be() {
        let query = Planner::new().plan("SELECT NULL AS nothing FROM packets").unwrap();
        let states = HalfStates::new(&query, 0).unwrap();
        let nothing = |rows: usize| {
            let columns =
                states.columns().fields().iter().map(|field| new_null_array(field.data_type(), rows));
            let mut parts = Parts::default();
            parts.push_rows(
                None,
                RecordBatch::try_new(Arc::clone(states.columns()), columns.collect()).unwrap(),
            );
            states.encode(&parts).unwrap()
        };
        let octets = nothing(100_000);
        assert!(octets.len() * 8 < 100_000, "{} octets", octets.len());
        assert_eq!(states.decode(&octets, 100_000).map(|parts| parts.rows()), Ok(100_000));
        assert!(states.decode(&octets, 99_999).unwrap_err().contains("too many rows"));
    }

    #[test]
    fn no_part_of_them_are_states() {
        /// Octets that say that nothing more comes: what is before them is whole.
        const END: usize = 8;
        let states = half();
        let octets = states.encode(&part(&states, 0..10, 100)).unwrap();
        for end in 0..octets.len() - END {
            assert!(states.decode(&octets[..end], ROWS_MAX).is_err(), "{end} of {}", octets.len());
        }
        let twice = [octets.as_slice(), &octets].concat();
        assert!(states.decode(&twice, ROWS_MAX).is_err());
        assert!(HalfStates::new(&Planner::new().plan(SQL).unwrap(), 1).is_err());
    }
}

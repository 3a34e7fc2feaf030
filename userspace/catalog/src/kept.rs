//! What a node held when it stopped, in a file of its state folder, for the next start.
//!
//! A line that says what it is, a checksum of the rest, then the head as JSON behind its length, then the states of
//! aggregates that it names, one after the other. It is written beside its place and then put there. A file that cannot
//! be taken up is put aside, never overwritten.

use crate::definition::Definition;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use tapline_engine::{
    CoveredSecond, DATAFUSION_VERSION, Held, STATES_VERSION, Suspended, SuspendedHead, SuspendedWindows,
    Unread,
};
use tapline_exports::put_whole;
use tapline_query::ContinuousQuery;
use tapline_record::{EventTime, StreamId};

/// First line of the file.
const TITLE: &[u8] = b"tapline open windows 2\n";
/// Octets behind the title: the checksum of what comes after it, and the length of the head.
const CHECKSUM_OCTETS: usize = 4;
const LENGTH_OCTETS: usize = 8;

/// What a node held.
#[derive(Debug)]
pub(crate) struct Kept {
    head: Head,
    /// The whole file.
    octets: Vec<u8>,
    /// Where in it the states of each query's lower halves are.
    states: Vec<Vec<Range<usize>>>,
}

/// What the file is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// Which version of aggregates' states it holds: ours, and DataFusion's.
    states: u32,
    datafusion: String,
    /// When the node stopped.
    stopped_ns: i64,
    /// What inputs will want to know, by their kind and name.
    inputs: Vec<(String, String)>,
    /// By the names of streams, second, records that were delivered and that went missing, if that is known.
    covered: Vec<(String, i64, f64, Option<f64>)>,
    queries: Vec<QueryHead>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryHead {
    name: String,
    sql: String,
    early_ns: Option<u128>,
    windows: SuspendedHead,
    /// Second, and rows that came too late or were left out.
    unread: Vec<(i64, u64, u64)>,
    /// Of the states of each lower half.
    octets: Vec<usize>,
}

/// A query that was suspended, with what it was.
pub(crate) type SuspendedQuery<'a> = (&'a Definition, &'a ContinuousQuery, &'a Held);

impl Kept {
    /// What is in a file; `None` where there is none. One that cannot be taken up is put aside.
    ///
    /// # Errors
    /// A sentence that says so.
    pub(crate) fn load(path: &Path, now: EventTime) -> Result<Option<Self>, String> {
        let said = |what: &str| format!("{}: {what}", path.display());
        let octets = match fs::read(path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(said(&error.to_string())),
        };
        read(octets).map(Some).map_err(|why| {
            let aside = path.with_extension(format!("refused-{}", now.0));
            match fs::rename(path, &aside) {
                Ok(()) => said(&format!("{why}; it is put aside as {}", aside.display())),
                Err(error) => said(&format!("{why}, and it cannot be put aside: {error}")),
            }
        })
    }

    /// Writes what was held to a file.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn save(
        path: &Path,
        stopped: EventTime,
        inputs: Vec<(String, String)>,
        suspended: &Suspended,
        queries: &[SuspendedQuery<'_>],
    ) -> Result<(), String> {
        let (mut heads, mut states) = (vec![], vec![]);
        for (definition, query, held) in queries {
            let unread = held.unread.iter().map(|(second, rows)| (*second, rows.late, rows.left_out));
            let (windows, halves) = held.windows.encode(query).map_err(|error| error.to_string())?;
            heads.push(QueryHead {
                name: definition.name.clone(),
                sql: definition.sql.clone(),
                early_ns: definition.options.early.map(|early| early.as_nanos()),
                windows,
                unread: unread.collect(),
                octets: halves.iter().map(Vec::len).collect(),
            });
            states.extend(halves);
        }
        let covered = suspended.covered.iter().map(|covered| {
            let missing = Some(covered.missing).filter(|missing| !missing.is_nan());
            (covered.stream.stream().name.to_owned(), covered.second, covered.delivered, missing)
        });
        let head = Head {
            states: STATES_VERSION,
            datafusion: DATAFUSION_VERSION.to_owned(),
            stopped_ns: stopped.0,
            inputs,
            covered: covered.collect(),
            queries: heads,
        };
        let head = serde_json::to_vec(&head).map_err(|error| error.to_string())?;
        write(path, &head, &states).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// When the node stopped.
    pub(crate) const fn stopped(&self) -> EventTime {
        EventTime(self.head.stopped_ns)
    }

    /// How much had arrived of which seconds.
    pub(crate) fn covered(&self) -> Vec<CoveredSecond> {
        let covered = self.head.covered.iter().filter_map(|(stream, second, delivered, missing)| {
            let stream = StreamId::ALL.into_iter().find(|known| known.stream().name == stream)?;
            let missing = missing.unwrap_or(f64::NAN);
            Some(CoveredSecond { stream, second: *second, delivered: *delivered, missing })
        });
        covered.collect()
    }

    /// What an input wanted to know.
    pub(crate) fn memory_of(&self, input: &str) -> Option<&str> {
        self.head.inputs.iter().find(|(known, _)| known == input).map(|(_, memory)| memory.as_str())
    }

    /// What was held of a query; `None` where there was none, or another one of its name.
    ///
    /// # Errors
    /// A sentence, when it cannot be gone on with.
    pub(crate) fn take(
        &mut self,
        definition: &Definition,
        query: &ContinuousQuery,
    ) -> Result<Option<Held>, String> {
        let early_ns = definition.options.early.map(|early| early.as_nanos());
        let is_it = |head: &QueryHead| {
            head.name == definition.name && head.sql == definition.sql && head.early_ns == early_ns
        };
        let Some(place) = self.head.queries.iter().position(is_it) else { return Ok(None) };
        let (head, states) = (self.head.queries.remove(place), self.states.remove(place));
        let states: Vec<&[u8]> = states.into_iter().map(|range| &self.octets[range]).collect();
        let windows = SuspendedWindows::decode(&head.windows, &states, query)?;
        let unread = head.unread.into_iter();
        let unread = unread.map(|(second, late, left_out)| (second, Unread { late, left_out }));
        Ok(Some(Held { windows, unread: unread.collect() }))
    }

    /// The queries that nobody has taken.
    pub(crate) fn left(&self) -> impl Iterator<Item = &str> {
        self.head.queries.iter().map(|query| query.name.as_str())
    }
}

fn read(octets: Vec<u8>) -> Result<Kept, String> {
    let damaged = || "it is damaged".to_owned();
    let rest = octets.strip_prefix(TITLE).ok_or("it is none of ours, or of another version")?;
    let (checksum, rest) = rest.split_first_chunk::<CHECKSUM_OCTETS>().ok_or_else(damaged)?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
        return Err(damaged());
    }
    let (length, rest) = rest.split_first_chunk::<LENGTH_OCTETS>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let head: Head =
        serde_json::from_slice(rest.get(..length).ok_or_else(damaged)?).map_err(|error| error.to_string())?;
    if (head.states, head.datafusion.as_str()) != (STATES_VERSION, DATAFUSION_VERSION) {
        return Err(format!(
            "its aggregates are of version {} with DataFusion {}, and this tapline's of {STATES_VERSION} with {DATAFUSION_VERSION}",
            head.states, head.datafusion
        ));
    }
    let mut next = octets.len() - rest.len() + length;
    let mut range = |length: &usize| {
        let (begin, end) = (next, next.checked_add(*length)?);
        next = end;
        (end <= octets.len()).then_some(begin..end)
    };
    let mut states = vec![];
    for query in &head.queries {
        states.push(query.octets.iter().map(&mut range).collect::<Option<Vec<_>>>().ok_or_else(damaged)?);
    }
    Ok(Kept { head, octets, states })
}

fn write(path: &Path, head: &[u8], states: &[Vec<u8>]) -> io::Result<()> {
    let length = (head.len() as u64).to_le_bytes();
    let mut checksum = crc32fast::Hasher::new();
    let parts = || [&length[..], head].into_iter().chain(states.iter().map(Vec::as_slice));
    parts().for_each(|part| checksum.update(part));
    let checksum = checksum.finalize().to_le_bytes();
    put_whole(path, |file| {
        [TITLE, &checksum[..]].into_iter().chain(parts()).try_for_each(|part| file.write_all(part))
    })
}

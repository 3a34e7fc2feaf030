//! What is in a file, wherever it lies: on this disk, or in a bucket.
//!
//! Of a file in a bucket, the tail is on this disk, and says where its rows are. Which of them are wanted is said before
//! they are read; they are asked for some groups of rows at once.

use crate::bucket::Bucket;
use crate::place::HourFile;
use bytes::{Buf as _, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Octets that are asked for at once, or one group of rows.
const STEP_OCTETS: u64 = 8 << 20;
/// Steps that are held: a batch may begin in one and end in the next.
const STEPS_HELD: usize = 2;
const IS_SHORT: &str = "it is shorter than it says";

/// A file that is read.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Here(Arc<File>),
    Away(Arc<Away>),
}

/// A file in a bucket.
#[derive(Debug)]
pub(crate) struct Away {
    bucket: Arc<Bucket>,
    file: HourFile,
    octets: u64,
    tail: Bytes,
    /// What is read of it, in the order in which it is.
    steps: OnceLock<Vec<Vec<Range<u64>>>>,
    held: Mutex<VecDeque<Step>>,
}

/// What was read at once.
#[derive(Debug)]
struct Step {
    number: usize,
    ranges: Vec<(Range<u64>, Bytes)>,
}

impl Content {
    pub(crate) fn away(bucket: Arc<Bucket>, file: HourFile, octets: u64, tail: Bytes) -> Self {
        let (steps, held) = (OnceLock::new(), Mutex::default());
        Self::Away(Arc::new(Away { bucket, file, octets, tail, steps, held }))
    }

    /// Says which groups of rows and which columns will be read; before that, nothing but its tail can be.
    pub(crate) fn expect(
        &self,
        metadata: &ParquetMetaData,
        groups: &[usize],
        has_column: impl Fn(usize) -> bool,
    ) {
        let Self::Away(away) = self else { return };
        let (mut steps, mut octets): (Vec<Vec<Range<u64>>>, u64) = (vec![], 0);
        for group in groups {
            let columns = metadata.row_group(*group).columns().iter().enumerate();
            let wanted = columns.filter(|(place, _)| has_column(*place));
            let ranges = wanted.map(|(_, column)| column.byte_range());
            let ranges = ranges.map(|(start, length)| start..start.saturating_add(length));
            let ranges: Vec<Range<u64>> = ranges.filter(|range| !range.is_empty()).collect();
            let more: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            match steps.last_mut() {
                Some(step) if octets + more <= STEP_OCTETS => {
                    octets += more;
                    step.extend(ranges);
                }
                _ => {
                    octets = more;
                    steps.push(ranges);
                }
            }
        }
        // Whoever reads says so once.
        let _ = away.steps.set(steps);
    }
}

impl Length for Content {
    fn len(&self) -> u64 {
        match self {
            Self::Here(file) => Length::len(&**file),
            Self::Away(away) => away.octets,
        }
    }
}

impl ChunkReader for Content {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(match self {
            Self::Here(file) => Box::new(ChunkReader::get_read(&**file, start)?),
            Self::Away(away) => Box::new(away.starting_at(start)?.reader()),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Self::Here(file) => ChunkReader::get_bytes(&**file, start, length),
            Self::Away(away) => {
                let found = away.starting_at(start)?;
                if found.len() < length {
                    return Err(away.said(IS_SHORT));
                }
                Ok(found.slice(..length))
            }
        }
    }
}

impl Away {
    /// The octets from there on, as many as were read with them.
    fn starting_at(&self, start: u64) -> Result<Bytes> {
        let tail = self.octets.saturating_sub(self.tail.len() as u64);
        if let Some(place) = start.checked_sub(tail) {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            return Ok(self.tail.slice(place.min(self.tail.len())..));
        }
        let steps = self.steps.get().map(Vec::as_slice).unwrap_or_default();
        let has_start = |step: &Vec<Range<u64>>| step.iter().any(|range| range.contains(&start));
        let Some(number) = steps.iter().position(has_start) else {
            return Err(self.said("nobody said that this part of it would be read"));
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.iter().any(|step| step.number == number) {
            let ranges = steps.get(number).cloned().unwrap_or_default();
            held.push_back(self.read(number, ranges)?);
            if held.len() > STEPS_HELD {
                held.pop_front();
            }
        }
        let mut ranges = held.iter().filter(|step| step.number == number).flat_map(|step| &step.ranges);
        let found = ranges.find(|(range, _)| range.contains(&start));
        let (range, octets) = found.ok_or_else(|| self.said(IS_SHORT))?;
        let place = usize::try_from(start - range.start).unwrap_or(usize::MAX);
        Ok(octets.slice(place.min(octets.len())..))
    }

    fn read(&self, number: usize, ranges: Vec<Range<u64>>) -> Result<Step> {
        let never = AtomicBool::new(false);
        let octets = self.bucket.read(&self.file, ranges.clone(), &never);
        let octets = octets.map_err(|refused| self.said(&refused.why))?;
        Ok(Step { number, ranges: ranges.into_iter().zip(octets).collect() })
    }

    fn said(&self, what: &str) -> ParquetError {
        let HourFile { query, hour, name } = &self.file;
        let what = format!("query={query}/{}/{name} in a bucket: {what}", hour.folder());
        ParquetError::External(Box::new(io::Error::other(what)))
    }
}

//! A bucket as whoever has no folder of it reads it: which files there are is listed once, of each query that is asked
//! for; what they end with is asked when somebody wants it, and held for whoever wants it next.

use crate::bucket::{Bucket, Refused};
use crate::place::HourFile;
use crate::store::{Part, Store};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// Octets of tails that are held.
const HELD_OCTETS_MAX: usize = 64 << 20;

/// What is read there.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    bucket: Arc<Bucket>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    tails: BTreeMap<PathBuf, Bytes>,
    octets: usize,
}

impl Elsewhere {
    pub(crate) fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket, held: Mutex::default() }
    }

    /// Lets a store know what is there of a query.
    pub(crate) fn learn(&self, store: &Store, query: &str) -> io::Result<()> {
        if !store.is_unknown(query) {
            return Ok(());
        }
        let files = self.bucket.files(query, &AtomicBool::new(false));
        let files = files.map_err(|refused| io::Error::other(refused.why))?;
        let parts = files.iter().filter_map(|(file, object)| store.part_of(file, object.octets));
        store.know(query, parts);
        Ok(())
    }

    /// The tail of a file.
    pub(crate) fn tail(&self, file: &HourFile, part: &Part) -> Result<Bytes, Refused> {
        if let Some(tail) = self.held.lock().unwrap_or_else(PoisonError::into_inner).tails.get(&part.path) {
            return Ok(tail.clone());
        }
        let tail = self.bucket.tail(file, part.octets, &AtomicBool::new(false))?;
        let tail = tail.ok_or_else(|| Refused::of_one("it is no Parquet file".to_owned()))?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.octets + tail.len() > HELD_OCTETS_MAX {
            *held = Held::default();
        }
        if held.tails.insert(part.path.clone(), tail.clone()).is_none() {
            held.octets += tail.len();
        }
        Ok(tail)
    }
}

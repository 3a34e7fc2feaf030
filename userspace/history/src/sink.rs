//! What writes results into the folder, some seconds behind their windows.

use crate::keeper;
use crate::layout::Layout;
use crate::mover;
use crate::place::{Hour, columns_number};
use crate::shared::Shared;
use crate::sorted::{properties, sorted};
use crate::store::WriteLock;
use crate::stored::Stored;
use crate::turns::Turns;
use crate::waiting::{Key, Piece};
use datafusion::arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_record::EventTime;
use tapline_sinks::{HiddenFile, Parcel, ParquetFailure, ROWS_PER_GROUP, Refusal, Sink, Told, Turn, plain};
use tapline_sources::Clock;

/// Stores results.
pub(crate) struct HistorySink {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    told: Told,
    /// As soon as the folder could be written.
    open: Option<Open>,
    stored: Stored,
    lost: BTreeMap<String, u64>,
}

/// The folder that is ours, what moves files to a bucket, and what keeps it in order; dropped in this order.
struct Open {
    _mover: Option<Turns>,
    _keeper: Turns,
    _lock: WriteLock,
}

impl HistorySink {
    pub(crate) fn new(shared: Arc<Shared>, clock: Arc<dyn Clock>, told: Told) -> Self {
        Self { shared, clock, told, open: None, stored: Stored::default(), lost: BTreeMap::new() }
    }

    /// Takes the folder, as soon as that can be.
    fn open(&mut self) -> Result<(), String> {
        if self.open.is_none() {
            let lock = self.shared.store.lock()?;
            let (shared, clock, told) = (&self.shared, &self.clock, &self.told);
            let keeper = keeper::start(Arc::clone(shared), Arc::clone(clock), Arc::clone(told))?;
            let bucket = shared.bucket.as_ref().map(|bucket| {
                mover::start((Arc::clone(shared), Arc::clone(bucket)), Arc::clone(clock), Arc::clone(told))
            });
            self.open = Some(Open { _mover: bucket.transpose()?, _keeper: keeper, _lock: lock });
        }
        Ok(())
    }

    /// Whether an earlier run stored a result, which comes again.
    fn is_stored(&mut self, parcel: &Parcel, hour: Hour) -> bool {
        if !self.shared.options.comes_again {
            return false;
        }
        let query = parcel.origin.name.as_str();
        let (is_stored, unread) = self.stored.has(&self.shared, (query, hour), &parcel.result);
        for why in unread {
            let what = format!(
                "what is stored of `{query}` cannot be read, so that some may be stored twice: {why}"
            );
            (self.told)(Turn::Worse, &what);
        }
        is_stored
    }

    /// Writes the rows of some keys.
    fn flush(&mut self, wanted: impl Fn(&Piece) -> bool) -> Result<(), String> {
        let waiting = self.shared.waiting();
        let due = waiting.pieces().iter().filter(|(_, piece)| wanted(piece));
        let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
        drop(waiting);
        due.iter().try_for_each(|key| self.flush_one(key))
    }

    fn flush_one(&mut self, key: &Key) -> Result<(), String> {
        self.open()?;
        match self.write(key) {
            Ok(()) => Ok(()),
            Err(failure @ ParquetFailure::Disk(..)) => Err(failure.to_string()),
            // It would stand in the way of all that comes behind it.
            Err(failure @ ParquetFailure::Rows(..)) => {
                let lost = self.shared.waiting().remove(key);
                *self.lost.entry(key.query.clone()).or_default() += lost.map_or(0, |piece| piece.results);
                (self.told)(Turn::Worse, &format!("results of `{}` are lost: {failure}", key.query));
                Ok(())
            }
        }
    }

    fn write(&self, key: &Key) -> Result<(), ParquetFailure> {
        let store = &self.shared.store;
        let on_disk =
            |error: std::io::Error| ParquetFailure::Disk(store.root().to_owned(), error.to_string());
        let Some(piece) = self.shared.waiting().get(key).cloned() else { return Ok(()) };
        let path = store.path_to_write().map_err(on_disk)?;
        let order = Layout::read(&piece.schema).map_or(vec![], |layout| layout.order(&piece.schema));
        let rows = sorted(&piece.schema, &piece.batches, &order);
        let rows = rows.map_err(|error| ParquetFailure::Rows(path.clone(), error.to_string()))?;
        let file = HiddenFile::write_as(path, &piece.schema, properties(&piece.schema), [Ok(rows)])?;
        // Nobody sees it both in the file and among what waits.
        let mut waiting = self.shared.waiting();
        let _changes = store.changes(&key.query, key.hour);
        let path = store.next_path(&key.query, key.hour, key.columns).map_err(on_disk)?;
        file.publish(&path)?;
        waiting.remove(key);
        Ok(())
    }
}

impl Sink for HistorySink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        if self.shared.waiting().octets() >= self.shared.options.waiting_octets_max {
            self.flush(|_| true).map_err(Refusal::Later)?;
        }
        let never = |error: &dyn std::fmt::Display| Refusal::Never(error.to_string());
        let result = &parcel.result;
        let batches = parcel.origin.columns.batches(result).map_err(|error| never(&error))?;
        let layout = Layout::of(&parcel.origin.columns);
        let said = |batch: &RecordBatch| {
            let batch = plain(batch)?;
            let schema = layout.written(&batch.schema());
            batch.with_schema(schema)
        };
        let batches = batches.iter().map(said).collect::<Result<Vec<_>, _>>();
        let batches = batches.map_err(|error| never(&error))?;
        // Of a query without windows, results are of the time at which they are given.
        let hour = Hour::of(result.window.map_or(parcel.given, |window| window.start));
        if self.is_stored(parcel, hour) {
            // Whoever reads it from memory, too, is to see it once.
            self.shared.waiting().note(&parcel.origin.name, result);
            return Ok(());
        }
        let mut waiting = self.shared.waiting();
        for (number, batch) in batches.into_iter().enumerate() {
            let columns = columns_number(&batch.schema());
            let key = Key { query: parcel.origin.name.clone(), hour, columns };
            waiting.add(key, batch, u64::from(number == 0), parcel.given);
        }
        waiting.note(&parcel.origin.name, &parcel.result);
        Ok(())
    }

    fn tend(&mut self, now: EventTime) -> Result<(), String> {
        self.open()?;
        let options = &self.shared.options;
        let after = i64::try_from(options.flush_after.as_nanos()).unwrap_or(i64::MAX);
        let (octets, octets_max) = (self.shared.waiting().octets(), options.waiting_octets_max);
        let is_much = octets > octets_max / 2;
        let is_old = |piece: &Piece| now.0.saturating_sub(piece.since.0) >= after;
        self.flush(|piece| is_much || piece.rows >= ROWS_PER_GROUP || is_old(piece))
    }

    fn held(&self) -> u64 {
        self.shared.waiting().results()
    }

    fn unsafe_since(&self) -> BTreeMap<String, EventTime> {
        let mut since: BTreeMap<String, EventTime> = BTreeMap::new();
        for (key, piece) in self.shared.waiting().pieces() {
            let known = since.entry(key.query.clone()).or_insert(piece.since);
            *known = piece.since.min(*known);
        }
        since
    }

    fn lost(&mut self) -> BTreeMap<String, u64> {
        let mut lost = std::mem::take(&mut self.lost);
        for (query, results) in std::mem::take(&mut self.shared.moved().lost) {
            *lost.entry(query).or_default() += results;
        }
        lost
    }

    fn trouble(&self) -> Option<String> {
        self.shared.moved().trouble.clone()
    }

    fn finish(&mut self, _: EventTime) -> Result<(), String> {
        let outcome = self.flush(|_| true);
        let mut waiting = self.shared.waiting();
        let left: Vec<Key> = waiting.pieces().keys().cloned().collect();
        for key in left {
            let results = waiting.remove(&key).map_or(0, |piece| piece.results);
            *self.lost.entry(key.query).or_default() += results;
        }
        drop(waiting);
        self.open = None;
        outcome
    }
}

//! Stored results: who writes them, and who reads them.

use crate::bucket::Bucket;
use crate::newest::Newest;
use crate::options::{BucketOptions, HistoryOptions};
use crate::shared::Shared;
use crate::sink::HistorySink;
use crate::table::StoredTable;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tapline_sinks::{Sink, Told};
use tapline_sources::Clock;

/// Stored results; clones are the same.
#[derive(Clone, Debug)]
pub struct History {
    pub(crate) shared: Arc<Shared>,
}

impl History {
    /// The history that lies in this folder, or will.
    #[must_use]
    pub fn new(options: HistoryOptions) -> Self {
        Self { shared: Arc::new(Shared::new(options)) }
    }

    /// The history that lies in this folder, for whoever stores nothing there: what cannot be opened is left out.
    #[must_use]
    pub fn of_folder(folder: &Path) -> Self {
        Self { shared: Arc::new(Shared::read_only(HistoryOptions::new(folder))) }
    }

    /// The history that lies in a bucket, for whoever has no folder of it; nobody stores there, and what cannot be opened
    /// is left out.
    ///
    /// # Errors
    /// A sentence, when the bucket cannot be asked, or has none.
    pub fn of_bucket(options: BucketOptions) -> Result<Self, String> {
        Ok(Self { shared: Arc::new(Shared::elsewhere(Bucket::new(options))?) })
    }

    /// How many files are left out of what was answered so far, and what is wrong with the first of them, as a sentence.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        self.shared.left_out.as_ref()?.said()
    }

    /// What stores results; one at a time.
    #[must_use]
    pub fn sink(&self, clock: Arc<dyn Clock>, told: Told) -> Box<dyn Sink> {
        Box::new(HistorySink::new(Arc::clone(&self.shared), clock, told))
    }

    /// The queries of which there are results.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn queries(&self) -> io::Result<Vec<String>> {
        let mut names: BTreeSet<String> = self.shared.store.known_queries()?.into_iter().collect();
        names.extend(self.shared.waiting().pieces().keys().map(|key| key.query.clone()));
        Ok(names.into_iter().collect())
    }

    /// The columns of a query's results, those of all files and of what waits to be written, by name, in types that every
    /// engine reads. `None` where there are none.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn schema(&self, query: &str) -> Result<Option<SchemaRef>> {
        self.shared.schema(query)
    }

    /// The results of a query in these columns, by name, those among them that wait to be written, and those of `newest`
    /// that are in neither place.
    #[must_use]
    pub fn table(
        &self,
        query: &str,
        schema: SchemaRef,
        newest: Option<Arc<dyn Newest>>,
    ) -> Arc<dyn TableProvider> {
        Arc::new(StoredTable::new(Arc::clone(&self.shared), query, schema, newest))
    }
}

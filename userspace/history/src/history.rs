//! Stored results: who writes them, and who reads them.

use crate::ask::{self, Answer};
use crate::options::HistoryOptions;
use crate::shared::Shared;
use crate::sink::HistorySink;
use crate::table::StoredTable;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use std::collections::BTreeSet;
use std::io;
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
        let mut names: BTreeSet<String> = self.shared.store.queries()?.into_iter().collect();
        names.extend(self.shared.waiting().pieces().keys().map(|key| key.query.clone()));
        Ok(names.into_iter().collect())
    }

    /// The results of a query as a table, those among them that wait to be written; its columns are those of all files,
    /// by name. `None` where there are none.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn table(&self, query: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let schema = self.shared.schema(query)?;
        let shared = &self.shared;
        let table = |schema| StoredTable::new(Arc::clone(shared), query, schema);
        Ok(schema.map(|schema| Arc::new(table(schema)) as Arc<dyn TableProvider>))
    }

    /// What a statement over these tables answers.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn ask(&self, sql: &str) -> std::result::Result<Answer, String> {
        ask::ask(self, sql)
    }
}

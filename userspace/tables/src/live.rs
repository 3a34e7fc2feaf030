//! The tables of a node, as they are at each moment.
//!
//! A table is called like its query. `top-talkers` needs quotes in SQL; `top_talkers` means it too, where no other
//! query is called so. What a node says of itself goes before a query of that name. Queries that do not run any more
//! are tables as long as results of them are stored.

use crate::accounts;
use crate::results::{Kept, ResultTable};
use crate::united;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tapline_catalog::Catalog;
use tapline_history::History;

/// The tables.
pub(crate) struct LiveTables {
    /// Of a node that runs.
    pub(crate) catalog: Option<Arc<Catalog>>,
    /// Where results are stored.
    pub(crate) history: Option<History>,
}

impl LiveTables {
    /// The names of the queries, by name.
    fn queries(&self) -> BTreeSet<String> {
        let running = self.catalog.iter().flat_map(|catalog| catalog.snapshot().queries);
        let mut names: BTreeSet<String> = running.map(|query| query.definition.name).collect();
        // Where the folder cannot be read, whoever reads a table is told why.
        names.extend(self.history.iter().flat_map(|history| history.queries().unwrap_or_default()));
        names
    }

    /// The table of the query that is called so.
    fn called(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let kept = self.catalog.as_ref().map_or(Ok(None), |catalog| Kept::find(catalog, name))?;
        match &self.history {
            Some(history) => united::table(history, name, kept),
            None => Ok(kept.map(|kept| Arc::new(ResultTable::new(kept)) as Arc<dyn TableProvider>)),
        }
    }

    /// The table of the query that a name means.
    fn query(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.called(name)? {
            return Ok(Some(table));
        }
        // What is not quoted is small.
        let is_meant = |query: &String| query.to_ascii_lowercase().replace('-', "_") == name;
        match self.queries().into_iter().find(is_meant) {
            Some(query) => self.called(&query),
            None => Ok(None),
        }
    }

    /// What the node says of itself.
    fn account(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.catalog.as_ref().map_or(Ok(None), |catalog| accounts::table(catalog, name))
    }

    /// Names of what the node says of itself.
    fn accounts(&self) -> impl Iterator<Item = &'static str> {
        self.catalog.iter().flat_map(|_| accounts::names())
    }
}

impl fmt::Debug for LiveTables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LiveTables")
    }
}

#[async_trait::async_trait]
impl SchemaProvider for LiveTables {
    fn table_names(&self) -> Vec<String> {
        let own = self.accounts().map(str::to_owned);
        let queries = self.queries().into_iter().filter(|query| self.accounts().all(|own| own != query));
        own.chain(queries).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.account(name)? {
            Some(account) => Ok(Some(account)),
            None => self.query(name),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        let is_query = |query: &String| query == name || query.to_ascii_lowercase().replace('-', "_") == name;
        self.accounts().any(|own| own == name) || self.queries().iter().any(is_query)
    }
}

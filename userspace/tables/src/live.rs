//! The tables of a node, as they are at each moment.
//!
//! A table is called like its query. `top-talkers` needs quotes in SQL; `top_talkers` means it too, where no other
//! query is called so. What a node says of itself goes before a query of that name.

use crate::accounts;
use crate::results::ResultTable;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use std::fmt;
use std::sync::Arc;
use tapline_catalog::Catalog;
use tapline_query::STREAMS;

/// The tables.
pub(crate) struct LiveTables(Arc<Catalog>);

impl LiveTables {
    pub(crate) fn new(catalog: &Arc<Catalog>) -> Self {
        Self(Arc::clone(catalog))
    }

    /// The names of the queries.
    fn queries(&self) -> Vec<String> {
        self.0.snapshot().queries.into_iter().map(|query| query.definition.name).collect()
    }

    /// The query that a name means.
    fn query(&self, name: &str) -> Option<ResultTable> {
        let called = |name: &str| ResultTable::find(&self.0, name);
        // What is not quoted is small.
        let is_meant = |query: &String| query.to_ascii_lowercase().replace('-', "_") == name;
        called(name).or_else(|| self.queries().into_iter().find(is_meant).and_then(|query| called(&query)))
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
        let own = accounts::names().map(str::to_owned);
        let queries = self.queries().into_iter().filter(|query| accounts::names().all(|own| own != query));
        own.chain(queries).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(account) = accounts::table(&self.0, name)? {
            return Ok(Some(account));
        }
        Ok(self.query(name).map(|table| Arc::new(table) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        accounts::names().any(|own| own == name) || self.query(name).is_some()
    }
}

/// The stream that a table's name means, where nothing else is called so.
#[must_use]
pub fn stream_named(catalog: &Arc<Catalog>, name: &str) -> Option<&'static str> {
    let tables = LiveTables::new(catalog);
    let stream = STREAMS.iter().find(|stream| stream.name == name)?;
    (!tables.table_exist(name)).then_some(stream.name)
}

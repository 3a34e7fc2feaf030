//! Changes of texts of queries, of which each is one that this node can run.

use super::{Catalog, lock};
use crate::definition::{Definition, QueryOptions};
use crate::error::CatalogError;
use tapline_query::{Change, Edited};

impl Catalog {
    /// A query's text with a change, if there is one, and what of it can be changed then; nothing runs differently. With
    /// `is_outermost`, filters, keys and aggregates are those of the SELECT that gives the result.
    ///
    /// # Errors
    /// When the text is wrong, the change cannot be made, or what comes of it could not run.
    pub fn edit(
        &self,
        sql: &str,
        change: Option<&Change>,
        is_outermost: bool,
    ) -> Result<Edited, CatalogError> {
        let edited = {
            let _turn = lock(&self.planning);
            self.planner(self.clock.now()).edit(sql, change, is_outermost)?
        };
        self.explain(&Definition::new("edited", &edited.sql, QueryOptions::default())?)?;
        Ok(edited)
    }
}

//! Statements over streams, such as `SELECT … FROM packets`, and the windows that they give.
//!
//! A stream has no rows that could be read: it is asked by a query that runs for as long as somebody has its windows.
//! Such statements are told apart here, before anything plans them as ones over tables.

use crate::node::Node;
use crate::said::{DONE, Said};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::VecDeque;
use std::sync::Arc;
use tapline_catalog::{Asked, Definition, Pace, QueryOptions, Watcher};
use tapline_operators::WindowResult;
use tapline_tables::{client_rows, client_schema};

/// What a query is called that is only looked at.
const LOOKED_AT: &str = "statement";

/// A query of what comes, from when it is asked.
#[derive(Clone, Debug)]
pub(crate) struct StreamPlan {
    sql: String,
    pub(crate) schema: SchemaRef,
}

/// The query that a statement over a stream is; `None` where it reads none.
pub(crate) fn plan(node: &Node, statement: &Statement, text: &str) -> Result<Option<StreamPlan>, Said> {
    let reads = node.database.reads(statement);
    let Some(stream) = reads.stream else { return Ok(None) };
    if let Some(table) = reads.table {
        let sentence = format!(
            "{stream} is a stream and {table} is a table; a statement reads the one or the other, since windows come one after the other"
        );
        return Err(Said::new("0A000", sentence));
    }
    if reads.has_parameters {
        let sentence =
            format!("{stream} is a stream, and statements over one have no parameters; write the values");
        return Err(Said::new("0A000", sentence));
    }
    let sql = match statement {
        Statement::Declare { .. } => query_of(text).unwrap_or_default(),
        _ => text.to_owned(),
    };
    let definition = Definition::new(LOOKED_AT, &sql, QueryOptions::default())?;
    let schema = client_schema(node.catalog.explain(&definition)?.columns.schema())?;
    Ok(Some(StreamPlan { sql, schema }))
}

/// What a query over a stream does, line by line; `None` where it reads none.
pub(crate) fn explain(node: &Node, statement: &Statement, text: &str) -> Result<Option<Vec<String>>, Said> {
    if node.database.reads(statement).stream.is_none() {
        return Ok(None);
    }
    let definition = Definition::new(LOOKED_AT, text, QueryOptions::default())?;
    let explained = node.catalog.explain(&definition)?;
    Ok(Some(explained.text.lines().map(str::to_owned).collect()))
}

/// The query of a cursor, as it was written.
fn query_of(declared: &str) -> Option<String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, declared).with_unescape(false).tokenize().ok()?;
    let mut tokens = tokens.into_iter();
    tokens.find(|token| matches!(token, Token::Word(word) if word.keyword == Keyword::FOR))?;
    Some(tokens.map(|token| token.to_string()).collect())
}

/// What comes next of a statement.
pub(crate) enum Came {
    Rows(RecordBatch),
    /// Something besides.
    Told(Said),
    End,
}

/// The windows of a query, as they come; it ends with this.
pub(crate) struct Windows {
    asked: Asked,
    schema: SchemaRef,
    /// The place of each column.
    columns: Vec<usize>,
    batches: VecDeque<RecordBatch>,
    watcher: Watcher,
    is_over: bool,
}

impl Windows {
    /// Begins to ask.
    pub(crate) async fn open(node: &Arc<Node>, plan: StreamPlan) -> Result<Self, Said> {
        let StreamPlan { sql, schema } = plan;
        let ask = move |node: &Node| node.catalog.ask(&sql, QueryOptions::default()).map_err(Said::from);
        let asked = node.work(ask).await?;
        let watcher = asked.results().watch(usize::MAX, Pace::Each);
        let columns = (0..schema.fields().len()).collect();
        Ok(Self { asked, schema, columns, batches: VecDeque::new(), watcher, is_over: false })
    }

    /// Whether something is there already.
    pub(crate) fn is_ready(&self) -> bool {
        !self.batches.is_empty() || self.watcher.is_ready()
    }

    /// What comes next; whoever stops to wait for it may wait for it again.
    pub(crate) async fn next(&mut self) -> Result<Came, Said> {
        loop {
            if let Some(batch) = self.batches.pop_front() {
                return Ok(Came::Rows(batch));
            }
            if self.is_over {
                return Ok(Came::End);
            }
            match self.watcher.next().await {
                tapline_catalog::Came::Result(result) => self.take(&result)?,
                tapline_catalog::Came::Lost(lost) => return Ok(Came::Told(were_lost(lost))),
                tapline_catalog::Came::Over => return self.end(),
            }
        }
    }

    fn take(&mut self, result: &WindowResult) -> Result<(), Said> {
        for batch in self.asked.results().columns().batches(result)? {
            self.batches.push_back(client_rows(&batch, &self.columns, &self.schema)?);
        }
        Ok(())
    }

    /// Nothing more comes: says why.
    fn end(&mut self) -> Result<Came, Said> {
        self.is_over = true;
        match self.asked.results().failure() {
            Some(why) => Err(Said::new("22000", why)),
            None => Ok(Came::Told(Said::new(DONE, "the query has ended; no more windows come"))),
        }
    }
}

fn were_lost(results: u64) -> Said {
    Said::new(
        "01000",
        format!("{results} results came faster than they were read, and are lost to this statement"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_cursor_is_what_was_written() {
        let of = |text: &str| query_of(text).unwrap();
        let declared =
            "DECLARE \"a for b\" /* for all */ NO SCROLL CURSOR FOR\nSELECT 'it''s', \"for\" FROM flows";
        assert_eq!(of(declared), "\nSELECT 'it''s', \"for\" FROM flows");
        assert!(query_of("SELECT 1").is_none());
    }
}

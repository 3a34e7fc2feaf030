//! SQL over stored results.

use crate::history::History;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use tokio::runtime::{Builder, Runtime};

/// What a statement answers, batch by batch.
pub struct Answer {
    /// Goes first: the runtime waits for threads that wait for somebody to take what they read.
    stream: SendableRecordBatchStream,
    runtime: Runtime,
}

impl Answer {
    /// Its columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl Iterator for Answer {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.runtime.block_on(self.stream.next())?;
        Some(batch.map_err(|error| sentence(&error)))
    }
}

/// Runs a statement; files are read on threads of their own.
pub(crate) fn ask(history: &History, sql: &str) -> Result<Answer, String> {
    let mut config = SessionConfig::new().with_information_schema(true);
    // As for windows that are asked live.
    config.options_mut().sql_parser.default_null_ordering = "nulls_last".to_owned();
    let context = SessionContext::new_with_config(config);
    let queries = history.queries().map_err(|error| format!("the folder cannot be read: {error}"))?;
    for query in &queries {
        if let Some(table) = history.table(query).map_err(|error| sentence(&error))? {
            let name = TableReference::bare(query.as_str());
            context.register_table(name, table).map_err(|error| sentence(&error))?;
        }
    }
    let only_asks =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let runtime = Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    let stream =
        runtime.block_on(async { context.sql_with_options(sql, only_asks).await?.execute_stream().await });
    let stream = stream.map_err(|error| with_tables(&sentence(&error), &queries))?;
    Ok(Answer { stream, runtime })
}

/// What is wrong, without what only DataFusion's authors want to know.
fn sentence(error: &DataFusionError) -> String {
    let text = error.find_root().strip_backtrace();
    let text = text.split_once(": ").map_or(text.as_str(), |(kind, rest)| {
        if kind.ends_with("error") || kind.ends_with("planning") { rest } else { text.as_str() }
    });
    text.to_owned()
}

/// Names the tables that there are, where one is asked for that is not.
fn with_tables(sentence: &str, queries: &[String]) -> String {
    let missing = sentence.strip_prefix("table '").and_then(|rest| rest.split_once("' not found"));
    let Some((name, _)) = missing else { return sentence.to_owned() };
    let name = name.rsplit('.').next().unwrap_or(name);
    let quoted = queries.iter().map(|query| format!("\"{query}\""));
    let there = match quoted.collect::<Vec<_>>().join(", ") {
        there if there.is_empty() => "there are none of any query".to_owned(),
        there => format!("there are those of {there}"),
    };
    format!("no results of `{name}` are stored here; {there}")
}

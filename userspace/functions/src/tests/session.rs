//! SQL over a table in memory.

use crate::{aggregate_functions, scalar_functions};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use tapline_lookup::Tables;

/// A session with the functions and a table `t`.
pub(super) fn session(config: SessionConfig, partitions: Vec<Vec<RecordBatch>>) -> SessionContext {
    session_with(&Arc::default(), config, partitions)
}

/// The same, where something is looked up in tables.
pub(super) fn session_with(
    tables: &Arc<Tables>,
    config: SessionConfig,
    partitions: Vec<Vec<RecordBatch>>,
) -> SessionContext {
    let session = SessionContext::new_with_config(config);
    scalar_functions(tables).into_iter().for_each(|function| session.register_udf(function));
    aggregate_functions().into_iter().for_each(|function| session.register_udaf(function));
    let schema = partitions[0][0].schema();
    session.register_table("t", Arc::new(MemTable::try_new(schema, partitions).unwrap())).unwrap();
    session
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// The rows that `sql` gives, as text.
pub(super) fn rows(session: &SessionContext, sql: &str) -> Vec<String> {
    let batches = run(async { session.sql(sql).await?.collect().await });
    let batches = batches.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let cells = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" | ");
    table.lines().skip(3).filter(|line| line.starts_with('|')).map(cells).collect()
}

/// What is wrong with `sql`, found before any row is read.
pub(super) fn refusal(session: &SessionContext, sql: &str) -> String {
    let plan = run(async { session.sql(sql).await?.create_physical_plan().await });
    plan.expect_err(sql).strip_backtrace()
}

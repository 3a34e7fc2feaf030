//! The session in which statements about a node are planned and run.

use crate::live::LiveTables;
use crate::on_text::{aggregates, functions};
use datafusion::catalog::{CatalogProvider as _, MemoryCatalogProvider};
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use tapline_catalog::Catalog;
use tapline_lookup::Tables;

/// The one catalog, which clients call a database.
pub const CATALOG: &str = "tapline";
/// The schema of a node's tables in it.
pub const SCHEMA: &str = "public";

/// Octets that all statements together may hold while they run.
pub const MEMORY_OCTETS_MAX: usize = 256 << 20;

/// Rows at a time.
const BATCH_ROWS: usize = 4096;

/// A session over a catalog; what is looked up is looked up in `lookups`.
///
/// # Errors
/// Never: the names that are registered are distinct.
pub fn context(catalog: &Arc<Catalog>, lookups: &Arc<Tables>) -> Result<SessionContext> {
    // Nobody asks a node to fill its disk.
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let memory = Arc::new(GreedyMemoryPool::new(MEMORY_OCTETS_MAX));
    let runtime =
        RuntimeEnvBuilder::new().with_memory_pool(memory).with_disk_manager_builder(disk).build_arc()?;
    let builder = SessionStateBuilder::new().with_config(options()).with_runtime_env(runtime);
    let context = SessionContext::new_with_state(builder.with_default_features().build());
    let tables = MemoryCatalogProvider::new();
    tables.register_schema(SCHEMA, Arc::new(LiveTables::new(catalog)))?;
    let _ = context.register_catalog(CATALOG, Arc::new(tables));
    functions(lookups).into_iter().for_each(|function| context.register_udf(function));
    aggregates().for_each(|function| context.register_udaf(function));
    Ok(context)
}

/// One thread a statement: results are small, and the other cores have other work.
fn options() -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
}

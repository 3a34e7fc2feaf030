//! The session in which statements are planned and run.

use crate::live::LiveTables;
use crate::on_text::{aggregates, functions};
use datafusion::catalog::{CatalogProvider as _, MemoryCatalogProvider, SchemaProvider};
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use tapline_functions::bounded_functions;
use tapline_history::StoredSums;
use tapline_lookup::Tables;
use tapline_query::{BoundedGrowth, YieldingJoins};
use tapline_record::stream::TIME_ZONE;

/// The one catalog, which clients call a database.
pub const CATALOG: &str = "tapline";
/// The schema of a node's tables in it.
pub const SCHEMA: &str = "public";

/// Octets that all statements of a node together may hold while they run.
pub(crate) const MEMORY_OCTETS_MAX: usize = 256 << 20;

/// Functions that make lists as long as they are told. As tables, series are there.
const ENDLESS: [&str; 4] = ["array_repeat", "array_resize", "generate_series", "range"];

/// Rows at a time.
const BATCH_ROWS: usize = 4096;

/// What statements run in.
pub(crate) struct Place {
    pub(crate) tables: Arc<LiveTables>,
    /// What is looked up is looked up here.
    pub(crate) lookups: Arc<Tables>,
    pub(crate) runtime: Arc<RuntimeEnv>,
    /// Threads that a statement may take.
    pub(crate) threads: usize,
}

/// What statements of a node may take, all together.
pub(crate) fn runtime_of_node() -> Result<Arc<RuntimeEnv>> {
    // Nobody asks a node to fill its disk.
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let memory = Arc::new(GreedyMemoryPool::new(MEMORY_OCTETS_MAX));
    RuntimeEnvBuilder::new().with_memory_pool(memory).with_disk_manager_builder(disk).build_arc()
}

/// A session over tables; where `lists_itself`, with DataFusion's own `information_schema`.
pub(crate) fn session(place: &Place, lists_itself: bool) -> Result<SessionContext> {
    let Place { tables, lookups, runtime, threads } = place;
    let config = options(*threads).with_information_schema(lists_itself);
    let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(Arc::clone(runtime));
    let builder = builder.with_default_features().with_optimizer_rules(rules());
    // Last, when conditions are where they are looked at.
    let builder = builder.with_optimizer_rule(Arc::new(StoredSums));
    let builder = builder.with_physical_optimizer_rule(Arc::new(YieldingJoins));
    let context = SessionContext::new_with_state(builder.build());
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::clone(tables) as Arc<dyn SchemaProvider>)?;
    let _ = context.register_catalog(CATALOG, Arc::new(catalog));
    ENDLESS.iter().for_each(|name| context.deregister_udf(name));
    let functions = bounded_functions().into_iter().chain(functions(lookups));
    functions.for_each(|function| context.register_udf(function));
    aggregates().for_each(|function| context.register_udaf(function));
    Ok(context)
}

/// DataFusion's rules, before which ours bounds what functions give.
fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    rules.insert(0, Arc::new(BoundedGrowth));
    rules
}

fn options(threads: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_batch_size(BATCH_ROWS)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    config.options_mut().sql_parser.collect_spans = true;
    // As for windows that are asked live.
    config.options_mut().sql_parser.default_null_ordering = "nulls_last".to_owned();
    // What has no time zone is of the client's, for most clients.
    config.options_mut().execution.time_zone = Some(TIME_ZONE.to_owned());
    config
}

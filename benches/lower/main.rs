//! The lower half alone, on one core over batches in memory, against DataFusion's SQL over the same
//! batches in the same run.
//!
//! Prints one line a query: rows a second of both, and their ratio, medians of several turns. Words on the
//! command line choose the queries whose names hold one of them.

mod workload;

use datafusion::arrow::array::RecordBatch;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_benches::floors;
use tapline_operators::{LowerOperator, OperatorLimits, StreamBatch};
use tapline_query::{ContinuousQuery, Planner};
use tapline_record::Stream;
use workload::{ROWS, Workload};

const TURNS: usize = 15;

/// A query and its rows.
struct Scenario {
    name: &'static str,
    sql: &'static str,
    workload: Workload,
}

fn main() -> ExitCode {
    let scenarios = [
        Scenario {
            name: "two integer keys, 1k groups",
            sql: "SELECT src_as, dst_as, sum(octets) FROM flows GROUP BY src_as, dst_as",
            workload: Workload::AsPairs { pairs: 1_000 },
        },
        Scenario {
            name: "five-tuple, 100k groups",
            sql: "SELECT src_ip, dst_ip, src_port, dst_port, protocol, count(*), sum(octets) FROM packets \
                  GROUP BY src_ip, dst_ip, src_port, dst_port, protocol",
            workload: Workload::Flows { flows: 100_000 },
        },
        Scenario {
            name: "protocol, 3 groups",
            sql: "SELECT protocol, count(*) FROM packets GROUP BY protocol",
            workload: Workload::Flows { flows: 100_000 },
        },
    ];
    println!("| query | lower half, M rows/s | DataFusion SQL, M rows/s | ratio | floor |");
    println!("|---|---:|---:|---:|---|");
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    scenarios.iter().filter(|scenario| is_chosen(scenario.name)).for_each(measure);
    floors::exit_code()
}

fn measure(scenario: &Scenario) {
    let query = Arc::new(Planner::new().plan(scenario.sql).expect("the benchmark's SQL"));
    let stream = query.lowers[0].branches[0].stream;
    let columns = query.columns_of(stream).expect("the query reads it");
    let batches = scenario.workload.batches(&columns);
    let baseline = Baseline::new(stream, scenario.sql, &batches);
    let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..TURNS {
        let (lower, sql) = (run_lower(&query, &batches), baseline.run());
        ours.push(rate(lower));
        theirs.push(rate(sql));
        ratios.push(sql.as_secs_f64() / lower.as_secs_f64());
    }
    let ratio = median(&mut ratios);
    println!(
        "| {} | {:.1} | {:.1} | {ratio:.2} | {} |",
        scenario.name,
        median(&mut ours),
        median(&mut theirs),
        floors::verdict(&format!("lower: {}", scenario.name), ratio)
    );
}

fn run_lower(query: &Arc<ContinuousQuery>, batches: &[StreamBatch]) -> Duration {
    let limits = OperatorLimits { groups_max: 1 << 20, is_only_worker: true };
    let operators = LowerOperator::all(query, limits);
    let mut operator = operators.into_iter().next().expect("one half");
    let mut out = vec![];
    let started = Instant::now();
    for batch in batches {
        operator.process(batch, &mut out).expect("no expression fails");
    }
    operator.finish(&mut out).expect("no aggregate fails");
    started.elapsed()
}

/// The whole query by DataFusion, on one core.
struct Baseline {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
    sql: &'static str,
}

impl Baseline {
    fn new(stream: &Stream, sql: &'static str, batches: &[StreamBatch]) -> Self {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        let batches: Vec<_> = batches.iter().map(|batch| batch.batch.clone()).collect();
        let table = datafusion::datasource::MemTable::try_new(workload::schema_of(&batches), vec![batches]);
        let table = Arc::new(table.expect("one schema"));
        context.register_table(stream.name, table).expect("a new name");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { context, runtime, sql }
    }

    fn run(&self) -> Duration {
        let started = Instant::now();
        let run = async { self.context.sql(self.sql).await?.collect().await };
        let groups: usize =
            self.runtime.block_on(run).expect("the SQL runs").iter().map(RecordBatch::num_rows).sum();
        assert!(groups > 0, "no result");
        started.elapsed()
    }
}

fn rate(elapsed: Duration) -> f64 {
    ROWS as f64 / elapsed.as_secs_f64() / 1e6
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

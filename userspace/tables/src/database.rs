//! The tables of a node, or of a folder of stored results, as something to ask.

use crate::answer::{Answer, Rows, RowsLimits};
use crate::context::{Place, runtime_of_node, session};
use crate::live::LiveTables;
use crate::reads::Reads;
use crate::said::{AskError, is_of_statement};
use datafusion::catalog::SchemaProvider as _;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser;
use datafusion::sql::sqlparser::ast::Statement;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;
use tapline_catalog::Catalog;
use tapline_history::History;
use tapline_lookup::Tables;
use tapline_query::{check_plan, check_size, check_statement, refusal_over, split_statements, with_stack};
use tokio::runtime::Builder;

/// Tables that are asked.
pub struct Database {
    place: Place,
    asked: SessionContext,
}

impl Database {
    /// The tables of a node; what is looked up is looked up in `lookups`.
    ///
    /// # Errors
    /// Never: the names that are registered are distinct.
    pub fn of_node(catalog: &Arc<Catalog>, lookups: &Arc<Tables>, history: Option<History>) -> Result<Self> {
        let tables = LiveTables { catalog: Some(Arc::clone(catalog)), history };
        // One thread a statement: the other cores have other work.
        let (lookups, runtime, threads) = (Arc::clone(lookups), runtime_of_node()?, 1);
        Self::new(Place { tables: Arc::new(tables), lookups, runtime, threads })
    }

    /// The tables of stored results, whose statements may take what the machine has.
    ///
    /// # Errors
    /// As above.
    pub fn of_history(history: History) -> Result<Self> {
        let tables = LiveTables { catalog: None, history: Some(history) };
        let (lookups, runtime) = (Arc::new(Tables::default()), RuntimeEnvBuilder::new().build_arc()?);
        let threads = available_parallelism().map_or(1, usize::from);
        Self::new(Place { tables: Arc::new(tables), lookups, runtime, threads })
    }

    fn new(place: Place) -> Result<Self> {
        Ok(Self { asked: session(&place, true)?, place })
    }

    /// A session over these tables, for whoever adds catalogs of his own.
    ///
    /// # Errors
    /// As above.
    pub fn context(&self) -> Result<SessionContext> {
        session(&self.place, false)
    }

    /// What a statement reads of them.
    #[must_use]
    pub fn reads(&self, statement: &Statement) -> Reads {
        Reads::of(&self.place.tables, statement)
    }

    /// What a statement answers; it works on the calling thread while batches are taken.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn ask(&self, sql: &str) -> Result<Answer, AskError> {
        check_size(sql).map_err(AskError::Wrong)?;
        with_stack(|| self.begin(sql))
    }

    /// The rows that a statement answers, as long as `is_wanted`; it works on the calling thread.
    ///
    /// # Errors
    /// What is wrong with it, and where; or that it takes too long or too much.
    pub fn rows(
        &self,
        sql: &str,
        limits: &RowsLimits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Rows, AskError> {
        let begun = Instant::now();
        check_size(sql).map_err(AskError::Wrong)?;
        with_stack(|| self.begin(sql)?.rows(limits, begun, is_wanted))
    }

    fn begin(&self, sql: &str) -> Result<Answer, AskError> {
        let state = self.asked.state();
        let statement = self.statement(sql, &state)?;
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| AskError::Failed(error.to_string()))?;
        let plan = runtime.block_on(state.statement_to_plan(statement));
        let plan = plan.map_err(|error| self.refused(&error, sql, &state))?;
        check_reads(&plan)?;
        check_plan(&plan).map_err(AskError::Wrong)?;
        let stream =
            runtime.block_on(async { self.asked.execute_logical_plan(plan).await?.execute_stream().await });
        let stream = stream.map_err(|error| self.refused(&error, sql, &state))?;
        Ok(Answer::new(stream, runtime))
    }

    /// The one statement of a text, if it reads no stream.
    fn statement(&self, sql: &str, state: &SessionState) -> Result<parser::Statement, AskError> {
        match split_statements(sql).len() {
            1 => {}
            0 => return Err(AskError::wrong("there is no statement", "write SELECT … FROM …")),
            _ => {
                return Err(AskError::wrong(
                    "one statement is answered at a time",
                    "ask one after the other",
                ));
            }
        }
        let dialect = state.config_options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect);
        let statement = statement.map_err(|error| self.refused(&error, sql, state))?;
        let Some(read) = inner(&statement) else { return Ok(statement) };
        check_statement(read).map_err(AskError::Wrong)?;
        match self.reads(read).stream {
            Some(stream) => Err(AskError::Stream(stream)),
            None => Ok(statement),
        }
    }

    /// What DataFusion says of a statement, in sentences of ours.
    fn refused(&self, error: &DataFusionError, sql: &str, state: &SessionState) -> AskError {
        if !is_of_statement(error) {
            return AskError::failed(error);
        }
        let functions = [
            state.scalar_functions().keys().cloned().collect::<Vec<_>>(),
            state.aggregate_functions().keys().cloned().collect(),
            state.window_functions().keys().cloned().collect(),
        ];
        AskError::Wrong(refusal_over(error, sql, &self.place.tables.table_names(), &functions.concat()))
    }
}

/// Refuses a statement that does something else than to read.
fn check_reads(plan: &LogicalPlan) -> Result<(), AskError> {
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let help = "write SELECT … FROM …";
    reads.verify_plan(plan).map_err(|_| AskError::wrong("these tables are only read", help))
}

/// A statement as SQL has it.
fn inner(statement: &parser::Statement) -> Option<&Statement> {
    match statement {
        parser::Statement::Statement(statement) => Some(statement),
        parser::Statement::Explain(explained) => inner(&explained.statement),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::RecordBatch;
    use std::time::Duration;
    use tapline_history::HistoryOptions;

    const LIMITS: RowsLimits = RowsLimits {
        rows_max: 10,
        octets_max: 1 << 20,
        within: Duration::from_secs(20),
        counts_for: Duration::from_secs(20),
    };

    /// A database without results.
    fn empty() -> Database {
        let folder = tempfile::tempdir().unwrap();
        Database::of_history(History::new(HistoryOptions::new(folder.path()))).unwrap()
    }

    fn refused(sql: &str) -> AskError {
        empty().ask(sql).err().unwrap()
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place() {
        let wrong = |sql: &str| match refused(sql) {
            AskError::Wrong(error) => (error.message, error.place.map(|place| (place.line, place.column))),
            other => unreachable!("{other:?}"),
        };
        let (said, place) = wrong("SELECT 1\nFROM nowhere");
        assert_eq!((said.as_str(), place), ("there is no table 'nowhere'", Some((2, 6))));
        let (said, place) = wrong("SELECT m FROM (VALUES (1)) AS t(n)");
        assert_eq!((said.as_str(), place), ("there is no column 'm'", Some((1, 8))));
        assert_eq!(wrong("SELECT 1; SELECT 2").0, "one statement is answered at a time");
        assert_eq!(wrong(" -- nothing").0, "there is no statement");
        assert_eq!(wrong("CREATE TABLE t (n int)").0, "these tables are only read");
        assert!(wrong("SELEC 1").1.is_some());
        let many = vec!["generate_series(1, 2)"; 100].join(", ");
        assert!(wrong(&format!("SELECT 1 FROM {many}")).0.contains("more than 64 times"));
        assert_eq!(wrong("SELECT array_repeat(1, 1000000000000)").0, "there is no function 'array_repeat'");
    }

    #[test]
    fn a_stream_is_no_table() {
        for sql in ["SELECT src_ip FROM packets", "EXPLAIN SELECT count(*) FROM packets"] {
            assert!(matches!(refused(sql), AskError::Stream("packets")), "{sql}");
        }
    }

    #[test]
    fn now_is_of_a_time_zone() {
        let rows = empty().rows("SELECT now() AS now", &LIMITS, &|| true).unwrap();
        let kind = rows.schema.field(0).data_type().to_string();
        assert!(kind.contains("UTC"), "{kind}");
    }

    #[test]
    fn texts_are_limited_in_size() {
        let rows = |sql: &str| empty().rows(sql, &LIMITS, &|| true);
        assert_eq!(rows("SELECT repeat('ab', 3), lpad('a', 5, 'x')").unwrap().left_out, 0);
        for long in [
            "repeat(arrow_cast('x', 'LargeUtf8'), 10000000000000)",
            "repeat('x', 2000000000)",
            "rpad('x', 2000000000, 'y')",
        ] {
            let refused = rows(&format!("SELECT {long}")).unwrap_err();
            assert!(matches!(&refused, AskError::Failed(said) if said.contains("64 KiB")), "{refused:?}");
        }
        let doubled =
            "WITH RECURSIVE t AS (SELECT 'x' AS x UNION ALL SELECT x || x FROM t) SELECT max(x) FROM t";
        let refused = rows(doubled).unwrap_err();
        assert!(matches!(&refused, AskError::Failed(said) if said.contains("shorter texts")), "{refused:?}");
    }

    #[test]
    fn joins_end_in_time_and_hold_no_more_than_there_is_room_for() {
        let many = vec!["generate_series(1, 9)"; 40];
        let tables: Vec<String> =
            many.iter().enumerate().map(|(n, table)| format!("{table} AS t{n}")).collect();
        let sql = format!("SELECT count(*) FROM {}", tables.join(", "));
        let soon = RowsLimits { within: Duration::from_millis(300), ..LIMITS };
        let refused = empty().rows(&sql, &soon, &|| true).unwrap_err();
        assert!(matches!(&refused, AskError::Failed(said) if said.contains("worked for")), "{refused:?}");
        let place = Place { runtime: runtime_of_node().unwrap(), ..empty().place };
        let refused = Database::new(place).unwrap().rows(&sql, &LIMITS, &|| true).unwrap_err();
        assert!(matches!(&refused, AskError::Failed(said) if said.contains("256 MiB")), "{refused:?}");
        let few = empty().rows(
            "SELECT count(*) AS n FROM (VALUES (1), (2)) AS a, (VALUES (3)) AS b",
            &LIMITS,
            &|| true,
        );
        assert_eq!(few.unwrap().batches[0].num_rows(), 1);
    }

    #[test]
    fn long_values_are_not_written_many_times() {
        let place = Place { runtime: runtime_of_node().unwrap(), ..empty().place };
        let database = Database::new(place).unwrap();
        let rows = |sql: &str| database.rows(sql, &LIMITS, &|| true);
        let long = "SELECT arrow_cast(string_agg(repeat('x', 10000), ''), 'LargeUtf8') AS t FROM generate_series(1, 100)";
        let texts: Vec<String> = (0..20).map(|n| format!("repeat('x', {}) AS t{n}", 60_000 + n)).collect();
        for (sql, said) in [
            (
                format!(
                    "SELECT max(octet_length(t)), count(b.value) FROM ({long}) AS a JOIN generate_series(1, 5000) AS b \
                     ON octet_length(a.t) > b.value"
                ),
                "beside others",
            ),
            (format!("SELECT ({long}) AS t FROM generate_series(1, 5000)"), "beside others"),
            (
                "SELECT max(octet_length(y)) FROM (SELECT string_agg(repeat('x', 1000), '') OVER () AS y \
                 FROM generate_series(1, 5000))"
                    .to_owned(),
                "with OVER might give",
            ),
            (
                "SELECT count(a), max(b) FROM (SELECT unnest(l) AS a, arrow_cast(repeat('x', 60000), 'LargeUtf8') AS b \
                 FROM (SELECT array_agg(value) AS l FROM generate_series(1, 100000)))"
                    .to_owned(),
                "unnest might give",
            ),
            (format!("SELECT {} FROM generate_series(1, 5000)", texts.join(", ")), "the same texts"),
            (
                "SELECT max(y) FROM (SELECT max(value) OVER () AS y FROM generate_series(1, 1000000000))".to_owned(),
                "256 MiB",
            ),
        ] {
            let refused = rows(&sql).unwrap_err();
            assert!(matches!(&refused, AskError::Failed(why) if why.contains(said)), "{sql}: {refused:?}");
        }
        for sql in [
            "SELECT string_agg(CAST(value AS text), ',') OVER (ORDER BY value) AS y FROM generate_series(1, 50)",
            "SELECT lag(CAST(value AS text)) OVER (ORDER BY value) AS y FROM generate_series(1, 50)",
            "SELECT unnest(l) AS a FROM (SELECT array_agg(value) AS l FROM generate_series(1, 5000))",
            "SELECT a.value FROM generate_series(1, 50) AS a JOIN generate_series(1, 50) AS b ON a.value = b.value",
        ] {
            let taken: usize = rows(sql).unwrap().batches.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(taken, 10, "{sql}");
        }
    }

    #[test]
    fn what_planning_would_write_again_and_again_is_refused() {
        let within = |levels: usize| {
            let between = "(".repeat(levels) + "value > 1" + &" BETWEEN false AND true)".repeat(levels);
            format!("SELECT {between} AS x FROM generate_series(1, 3)")
        };
        assert!(empty().rows(&within(3), &LIMITS, &|| true).is_ok());
        assert!(
            matches!(refused(&within(20)), AskError::Wrong(error) if error.message.contains("too many times"))
        );
        let wide = refused("SELECT CAST(NULL AS INT[2000000000]) AS x FROM generate_series(1, 3)");
        assert!(matches!(wide, AskError::Wrong(error) if error.message.contains("octets")));
    }

    #[test]
    fn functions_of_ours_say_how_many_arguments_they_take() {
        for call in ["cidr(NULL)", "network('10.0.0.1')", "network('10.0.0.1', 8)", "service(6)"] {
            let refused = empty().rows(&format!("SELECT {call}"), &LIMITS, &|| true).unwrap_err();
            assert!(
                matches!(&refused, AskError::Wrong(error) if error.message.contains("takes")),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn rows_are_limited_in_number_and_time() {
        let database = empty();
        let rows = database.rows("SELECT * FROM generate_series(1, 100)", &LIMITS, &|| true).unwrap();
        let taken: usize = rows.batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!((taken, rows.left_out, rows.schema.fields().len()), (10, 90, 1));
        let few = database.rows("SELECT 1 AS n", &LIMITS, &|| true).unwrap();
        assert_eq!((few.left_out, few.schema.field(0).name().as_str()), (0, "n"));
        let endless = "SELECT count(*) FROM generate_series(1, 1000000000000)";
        let soon = RowsLimits { within: Duration::from_secs(1), ..LIMITS };
        let refused = database.rows(endless, &soon, &|| true).unwrap_err();
        assert!(matches!(&refused, AskError::Failed(said) if said.contains("more than 1 s")), "{refused:?}");
        assert!(database.rows(endless, &LIMITS, &|| false).unwrap().batches.is_empty());
        let small = RowsLimits { octets_max: 10, ..LIMITS };
        let refused = database.rows("SELECT * FROM generate_series(1, 100)", &small, &|| true).unwrap_err();
        assert!(matches!(&refused, AskError::Failed(said) if said.contains("fewer rows")), "{refused:?}");
    }
}

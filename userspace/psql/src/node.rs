//! What all connections share: the tables, and who can be asked to stop.

use crate::cancel::Cancels;
use crate::functions;
use crate::information::Information;
use crate::said::Said;
use crate::startup::USER;
use datafusion::common::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_pg_catalog::pg_catalog::context::{PgCatalogContextProvider, Role};
use datafusion_pg_catalog::pg_catalog::setup_pg_catalog;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::executor::block_on;
use std::borrow::Cow;
use std::sync::Arc;
use tapline_catalog::Catalog;
use tapline_query::{
    SqlError, check_plan, check_size, check_statement, split_statements, with_stack, without_sensors,
};
use tapline_tables::{CATALOG, Database, SCHEMA};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// The schema in which the SQL standard has its catalogs.
const INFORMATION_SCHEMA: &str = "information_schema";

/// A node as connections see it.
pub(crate) struct Node {
    /// Where streams are asked.
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) database: Arc<Database>,
    pub(crate) cancels: Arc<Cancels>,
    /// Where statements over tables work, so that no connection waits for another one's.
    pub(crate) workers: Handle,
    context: SessionContext,
    parser: PostgresCompatibilityParser,
}

/// A statement of a text.
#[derive(Debug)]
pub(crate) struct Written {
    /// In words that are understood here.
    pub(crate) statement: Statement,
    /// As it was written.
    pub(crate) text: String,
    /// Whether the text says on which sensors it runs, which the statement does not.
    pub(crate) names_sensors: bool,
}

impl Node {
    /// The tables of a node, and those by which clients find them.
    ///
    /// # Errors
    /// Never: all names are distinct.
    pub(crate) fn new(catalog: Arc<Catalog>, database: Arc<Database>, workers: Handle) -> Result<Self> {
        let context = database.context()?;
        if let Some(tables) = context.catalog(CATALOG)
            && let Some(schema) = tables.schema(SCHEMA)
        {
            tables.register_schema(INFORMATION_SCHEMA, Arc::new(Information::new(schema)))?;
        }
        setup_pg_catalog(&context, CATALOG, Roles).map_err(|error| *error)?;
        functions::all().into_iter().for_each(|function| context.register_udf(function));
        let (cancels, parser) = (Arc::default(), PostgresCompatibilityParser::new());
        Ok(Self { catalog, database, cancels, workers, context, parser })
    }

    /// The statements of a text.
    pub(crate) fn statements(&self, sql: &str) -> Result<Vec<Written>, Said> {
        check_size(sql).map_err(|error| too_much(&error))?;
        let mut texts = split_statements(sql);
        let (plain, mut names) = plain_of(&texts)?;
        let names_some = names.contains(&true);
        let parsed = self.parser.parse(if names_some { plain.as_str() } else { sql });
        let parsed = parsed.map_err(|error| Said::new("42601", error.to_string()))?;
        parsed.iter().try_for_each(check_statement).map_err(|error| too_much(&error))?;
        if texts.len() != parsed.len() {
            if names_some {
                return Err(Said::new("42601", "a statement ON SENSORS is to be sent by itself"));
            }
            texts = parsed.iter().map(ToString::to_string).collect();
            names = vec![false; texts.len()];
        }
        let written = parsed.into_iter().zip(texts).zip(names);
        let written =
            written.map(|((statement, text), names_sensors)| Written { statement, text, names_sensors });
        Ok(written.collect())
    }

    /// What a statement does, which is to read.
    pub(crate) fn plan(&self, statement: Statement) -> Result<LogicalPlan, Said> {
        let statement = parser::Statement::Statement(Box::new(statement));
        let plan = block_on(self.context.state().statement_to_plan(statement))?;
        let reads =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reads.verify_plan(&plan).map_err(|_| Said::new("25006", "a node's tables are only read"))?;
        check_plan(&plan).map_err(|error| too_much(&error))?;
        Ok(plan)
    }

    /// The rows of a plan. Tables in memory are read here, files as rows are taken.
    pub(crate) fn run(&self, plan: &LogicalPlan) -> Result<SendableRecordBatchStream, Said> {
        let physical = block_on(self.context.state().create_physical_plan(plan))?;
        let _entered = self.workers.enter();
        Ok(execute_stream(physical, self.context.task_ctx())?)
    }

    /// Does something that takes its time, and a large stack. Whatever is wrong in it, the connection goes on.
    pub(crate) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        what: impl FnOnce(&Self) -> Result<T, Said> + Send + 'static,
    ) -> Result<T, Said> {
        let node = Arc::clone(self);
        let done = spawn_blocking(move || with_stack(|| what(&node))).await;
        done.unwrap_or_else(|_| Err(Said::internal()))
    }
}

/// Statements as PostgreSQL would have them, and whether each said on which sensors it runs, which that does not know.
fn plain_of(statements: &[String]) -> Result<(String, Vec<bool>), Said> {
    let plain = statements.iter().map(|statement| without_sensors(statement));
    let plain: Vec<Cow<'_, str>> =
        plain.collect::<Result<_, SqlError>>().map_err(|error| Said::new("42601", error.to_string()))?;
    let names = plain.iter().map(|statement| matches!(statement, Cow::Owned(_))).collect();
    Ok((plain.join(";"), names))
}

/// What says that a statement asks for more than there may be.
fn too_much(error: &SqlError) -> Said {
    Said::new("54001", error.to_string())
}

/// Who there is: one user, who reads.
#[derive(Clone, Debug)]
struct Roles;

#[async_trait::async_trait]
impl PgCatalogContextProvider for Roles {
    async fn roles(&self) -> Vec<String> {
        vec![USER.to_owned()]
    }

    async fn role(&self, name: &str) -> Option<Role> {
        (name == USER).then(|| Role {
            name: USER.to_owned(),
            is_superuser: false,
            can_login: true,
            can_create_db: false,
            can_create_role: false,
            can_create_user: false,
            can_replication: false,
            grants: vec![],
            inherited_roles: vec![],
        })
    }
}

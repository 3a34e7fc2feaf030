//! What a statement does.
//!
//! A node's tables are read; beside that there are statements about the connection itself, by which clients begin,
//! which do nothing here but what they are told of. Everything else is refused.

use crate::node::{Node, Written};
use crate::parameters::{Parameter, parameters};
use crate::rows::Plan;
use crate::said::Said;
use crate::settings::Settings;
use crate::streams;
use datafusion::sql::sqlparser::ast::{
    CloseCursor, ContextModifier, Declare, DeclareType, DiscardObject, Expr, FetchDirection, Ident,
    ObjectName, Reset, Set, Statement,
};

/// A statement that was read.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) work: Work,
    pub(crate) parameters: Vec<Parameter>,
}

/// What it does.
#[derive(Debug)]
pub(crate) enum Work {
    /// Gives rows, under a name that clients know it by.
    Rows(Plan, &'static str),
    /// Keeps a statement's rows under a name, from which they are fetched, until the end of the transaction at the
    /// latest, unless they are held.
    Declare { name: String, plan: Plan, is_held: bool },
    /// Gives rows of a cursor: so many, or all.
    Fetch(String, Option<usize>),
    /// Forgets a cursor, or all.
    Close(Option<String>),
    /// Forgets a statement, or all.
    Deallocate(Option<String>),
    /// Keeps a setting, until the end of the transaction where it is local.
    Set { name: String, value: String, is_local: bool },
    /// Forgets all settings.
    Reset,
    /// Forgets all that is kept.
    DiscardAll,
    /// Begins a transaction, in which nothing changes.
    Begin,
    /// Ends it; what it is called.
    End(&'static str),
    /// Goes back in it to where nothing had gone wrong.
    GoBack,
    /// Nothing; what it is called.
    Nothing(&'static str),
}

impl Work {
    /// Whether it may be done after something went wrong in a transaction.
    pub(crate) const fn mends_transaction(&self) -> bool {
        matches!(self, Self::End(_) | Self::GoBack)
    }
}

/// What a statement does; of its parameters the types that the client knows, or 0.
pub(crate) fn prepare(
    node: &Node,
    written: Written,
    settings: &Settings,
    known: &[u32],
) -> Result<Prepared, Said> {
    let Written { statement, text, names_sensors } = written;
    if names_sensors && node.database.reads(&statement).stream.is_none() {
        let sentence = "ON SENSORS says where a query over a stream runs, and this statement reads none; a table has \
                        what all sensors gave: choose by its column sensor, where it has one";
        return Err(Said::new("0A000", sentence));
    }
    let work = match statement {
        Statement::Query(_) => Work::Rows(plan(node, statement, &text)?, "SELECT"),
        Statement::Explain { .. } | Statement::ExplainTable { .. } => explain(node, statement, &text)?,
        Statement::ShowVariable { variable } => show(node, &variable, settings)?,
        Statement::Declare { .. } => declare(node, statement, &text)?,
        Statement::Fetch { name, direction, .. } => Work::Fetch(name.value, fetched(&direction)?),
        Statement::Close { cursor: CloseCursor::All } => Work::Close(None),
        Statement::Close { cursor: CloseCursor::Specific { name } } => Work::Close(Some(name.value)),
        Statement::Deallocate { name, .. } => {
            Work::Deallocate((!name.value.eq_ignore_ascii_case("all")).then_some(name.value))
        }
        Statement::Set(set) => self::set(set),
        Statement::Reset(reset) => match reset.reset {
            Reset::ALL => Work::Reset,
            Reset::ConfigurationParameter(name) => {
                Work::Set { name: name_of(&name), value: "default".to_owned(), is_local: false }
            }
        },
        Statement::Discard { object_type } => match object_type {
            DiscardObject::ALL => Work::DiscardAll,
            DiscardObject::PLANS => Work::Nothing("DISCARD PLANS"),
            DiscardObject::SEQUENCES => Work::Nothing("DISCARD SEQUENCES"),
            DiscardObject::TEMP => Work::Nothing("DISCARD TEMP"),
        },
        Statement::StartTransaction { .. } => Work::Begin,
        Statement::Commit { .. } => Work::End("COMMIT"),
        Statement::Rollback { savepoint: Some(_), .. } => Work::GoBack,
        Statement::Rollback { .. } => Work::End("ROLLBACK"),
        Statement::Savepoint { .. } => Work::Nothing("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => Work::Nothing("RELEASE"),
        Statement::UNLISTEN { .. } => Work::Nothing("UNLISTEN"),
        other => return Err(refused(&other)),
    };
    let parameters = match &work {
        Work::Rows(Plan::Tables(plan), _) | Work::Declare { plan: Plan::Tables(plan), .. } => {
            parameters(plan, known)?
        }
        _ => vec![],
    };
    Ok(Prepared { work, parameters })
}

/// What gives the rows of a SELECT.
fn plan(node: &Node, statement: Statement, text: &str) -> Result<Plan, Said> {
    match streams::plan(node, &statement, text)? {
        Some(stream) => Ok(Plan::Stream(stream)),
        None => tables(node, statement),
    }
}

/// What gives the rows of a statement over tables.
fn tables(node: &Node, statement: Statement) -> Result<Plan, Said> {
    Ok(Plan::Tables(Box::new(node.plan(statement)?)))
}

/// What a statement would do, as rows.
fn explain(node: &Node, statement: Statement, text: &str) -> Result<Work, Said> {
    let Some(lines) = streams::explain(node, &statement, text)? else {
        return Ok(Work::Rows(tables(node, statement)?, "EXPLAIN"));
    };
    let lines: Vec<String> = lines.iter().map(|line| format!("({})", quoted(line))).collect();
    let sql = format!("SELECT * FROM (VALUES {}) AS t(\"QUERY PLAN\")", lines.join(", "));
    own(node, &sql, "EXPLAIN")
}

/// A statement of ours, by which a client is told something.
fn own(node: &Node, sql: &str, called: &'static str) -> Result<Work, Said> {
    match node.statements(sql)?.pop() {
        Some(written) => Ok(Work::Rows(tables(node, written.statement)?, called)),
        None => Err(Said::internal()),
    }
}

/// A text as SQL has it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A setting as a row.
fn show(node: &Node, variable: &[Ident], settings: &Settings) -> Result<Work, Said> {
    let words: Vec<String> = variable.iter().map(|word| word.value.to_ascii_lowercase()).collect();
    let name = match words.join(" ").as_str() {
        "time zone" => "TimeZone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        _ => words.join("."),
    };
    let Some(value) = settings.get(&name) else {
        return Err(Said::new(
            "42704",
            format!("there is no setting {name:?}; SELECT * FROM pg_settings lists some"),
        ));
    };
    let sql = format!("SELECT {} AS \"{}\"", quoted(value), name.replace('"', "\"\""));
    own(node, &sql, "SHOW")
}

fn declare(node: &Node, statement: Statement, text: &str) -> Result<Work, Said> {
    let stream = streams::plan(node, &statement, text)?;
    if let Statement::Declare { stmts } = statement
        && let Ok([declared]) = <[Declare; 1]>::try_from(stmts)
        && declared.declare_type == Some(DeclareType::Cursor)
        && declared.binary != Some(true)
        && let ([name], Some(query)) = (declared.names.as_slice(), declared.for_query)
    {
        if stream.is_some() && declared.hold == Some(true) {
            let sentence =
                "a stream does not end, so that its cursor cannot be kept WITH HOLD; leave that out";
            return Err(Said::new("0A000", sentence));
        }
        let plan = match stream {
            Some(stream) => Plan::Stream(stream),
            None => tables(node, Statement::Query(query))?,
        };
        let is_held = declared.hold == Some(true);
        return Ok(Work::Declare { name: name.value.clone(), plan, is_held });
    }
    Err(Said::new("0A000", "only DECLARE NAME CURSOR FOR SELECT … is possible"))
}

/// How many rows are fetched; all of them where it is `None`.
fn fetched(direction: &FetchDirection) -> Result<Option<usize>, Said> {
    let rows = match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => return Ok(Some(1)),
        FetchDirection::All | FetchDirection::ForwardAll => return Ok(None),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => limit.to_string(),
        _ => return Err(Said::new("55000", "a cursor goes forward only; write FETCH 10 FROM NAME")),
    };
    let rows = rows.parse().map_err(|_| Said::new("22023", format!("{rows} is no number of rows")))?;
    Ok(Some(rows))
}

fn set(set: Set) -> Work {
    let text = |value: &Expr| value.to_string().trim_matches(['\'', '"']).to_owned();
    let Set::SingleAssignment { scope, variable, values, .. } = set else {
        // Roles, time zones, characteristics of transactions: nothing here depends on them.
        return Work::Nothing("SET");
    };
    let values: Vec<String> = values.iter().map(text).collect();
    let is_local = scope == Some(ContextModifier::Local);
    Work::Set { name: name_of(&variable), value: values.join(", "), is_local }
}

fn name_of(variable: &ObjectName) -> String {
    variable.to_string().trim_matches('"').to_owned()
}

/// Why a statement is not done.
fn refused(statement: &Statement) -> Said {
    let text = statement.to_string();
    let verb = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let how = match verb.as_str() {
        "PREPARE" | "EXECUTE" => {
            return Said::new(
                "0A000",
                format!("{verb} is not possible as SQL; clients prepare statements by the protocol"),
            );
        }
        "COPY" => "psql writes rows into a file by \\o FILE",
        _ => "queries are added by `tapline queries add NAME SQL`",
    };
    Said::new("25006", format!("{verb} is not possible, since a node's tables are only read; {how}"))
}

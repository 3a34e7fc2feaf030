//! `element(n)`, `element_text(n)` and `element_octets(n)`: information elements without a column of their own.
//!
//! Such a call is no function of a row, it names a column. So the calls are taken out of a statement before it
//! is planned; in the place of each stands a column of `flows` that goes by the text of the call. The table has
//! these columns while this statement is planned, and `SELECT *` leaves them out.

use crate::continuous::ContinuousQuery;
use crate::error::SqlError;
use crate::walk::walk_mut;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins, Value,
    VisitorMut, WildcardAdditionalOptions,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::str::FromStr;
use tapline_decode::export::element_form;
use tapline_record::{ElementColumn, ElementForm, FLOWS};

/// Elements that the queries of one run may name together; each is a column of every batch.
pub(crate) const ELEMENTS_MAX: usize = 64;

/// The functions that read elements.
pub(crate) const ELEMENT_FUNCTIONS: [&str; 3] = ["element", "element_text", "element_octets"];

/// Refuses queries that name more elements together than one run may.
///
/// # Errors
/// How many they name.
pub fn check_elements<'a>(queries: impl IntoIterator<Item = &'a ContinuousQuery>) -> Result<(), SqlError> {
    let columns = queries.into_iter().filter_map(|query| query.columns_of(&FLOWS)).flatten();
    let elements: BTreeSet<usize> =
        columns.filter(|&position| ElementColumn::at(position).is_some()).collect();
    if elements.len() > ELEMENTS_MAX { Err(too_many(elements.len())) } else { Ok(()) }
}

fn too_many(elements: usize) -> SqlError {
    let message =
        format!("{elements} information elements are too many: one run reads at most {ELEMENTS_MAX}");
    SqlError::new(message, "ask for some of them in another run")
}

/// Puts columns in the place of the calls; gives these columns, each once.
pub(crate) fn name_elements(statement: &mut Statement, sql: &str) -> Result<Vec<ElementColumn>, SqlError> {
    let Statement::Statement(statement) = statement else { return Ok(vec![]) };
    let mut calls = Calls { sql, found: vec![] };
    if let ControlFlow::Break(error) = walk_mut(statement, &mut calls) {
        return Err(error);
    }
    let name = |column: &ElementColumn| ObjectName::from(vec![Ident::with_quote('"', column.name())]);
    let hidden: Vec<ObjectName> = calls.found.iter().map(name).collect();
    if !hidden.is_empty() {
        let _ = walk_mut(statement, &mut Wildcards { hidden });
    }
    Ok(calls.found)
}

/// The function whose call became a column of this name.
pub(crate) fn function_of(column: &str) -> Option<&str> {
    let (function, _) = column.split_once('(')?;
    ELEMENT_FUNCTIONS.contains(&function).then_some(function)
}

/// Replaces calls by columns.
struct Calls<'a> {
    sql: &'a str,
    found: Vec<ElementColumn>,
}

impl VisitorMut for Calls<'_> {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<SqlError> {
        let Expr::Function(call) = expression else { return ControlFlow::Continue(()) };
        let Some((table, function)) = named(call) else { return ControlFlow::Continue(()) };
        let Some(column) = column_of(&function.value, call) else {
            return ControlFlow::Break(refuse(call).at(self.sql, function.span.start));
        };
        if !self.found.contains(&column) {
            self.found.push(column);
        }
        if self.found.len() > ELEMENTS_MAX {
            return ControlFlow::Break(too_many(self.found.len()).at(self.sql, function.span.start));
        }
        let name = Ident::with_quote_and_span('"', function.span, column.name());
        *expression = match table.is_empty() {
            true => Expr::Identifier(name),
            false => Expr::CompoundIdentifier([table, vec![name]].concat()),
        };
        ControlFlow::Continue(())
    }
}

/// The table that stands before the name of a function that reads elements, if any does, and that name.
fn named(call: &Function) -> Option<(Vec<Ident>, Ident)> {
    let mut names = call.name.0.iter().map(ObjectNamePart::as_ident).collect::<Option<Vec<_>>>()?;
    let function = names.pop()?;
    let is_known = ELEMENT_FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(&function.value));
    is_known.then(|| (names.into_iter().cloned().collect(), function.clone()))
}

fn column_of(function: &str, call: &Function) -> Option<ElementColumn> {
    let (enterprise, id) = numbers(call)?;
    let form = match function.to_ascii_lowercase().as_str() {
        "element_text" => ElementForm::AsText,
        "element_octets" => ElementForm::AsOctets,
        _ => element_form(enterprise, id),
    };
    Some(ElementColumn { enterprise, id, form })
}

/// Enterprise and number in a call; `None` when it is anything but one or two literals.
fn numbers(call: &Function) -> Option<(u32, u16)> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let is_plain = call.over.is_none()
        && call.filter.is_none()
        && call.null_treatment.is_none()
        && call.within_group.is_empty()
        && matches!(call.parameters, FunctionArguments::None)
        && list.duplicate_treatment.is_none()
        && list.clauses.is_empty();
    match list.args.as_slice() {
        [id] if is_plain => Some((0, literal(id)?)),
        [enterprise, id] if is_plain => Some((literal(enterprise)?, literal(id)?)),
        _ => None,
    }
}

fn literal<T: FromStr>(argument: &FunctionArg) -> Option<T> {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = argument else { return None };
    match &value.value {
        Value::Number(digits, _) => digits.parse().ok(),
        _ => None,
    }
}

fn refuse(call: &Function) -> SqlError {
    let help = "write the element's number, or its enterprise and number, as literals: element(95) or \
        element(9, 12235); numbers go up to 65535";
    SqlError::new(format!("{call} names no information element"), help)
}

/// Leaves columns of `flows` out of `*`.
struct Wildcards {
    hidden: Vec<ObjectName>,
}

impl VisitorMut for Wildcards {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut tables = vec![];
        select.from.iter().for_each(|from| names_of_flows(from, &mut tables));
        for item in &mut select.projection {
            match item {
                SelectItem::Wildcard(options) if !tables.is_empty() => self.exclude(options),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                    if last(name).is_some_and(|name| tables.iter().any(|table| is_same(table, name))) =>
                {
                    self.exclude(options);
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

impl Wildcards {
    fn exclude(&self, options: &mut WildcardAdditionalOptions) {
        let mut names = match options.opt_exclude.take() {
            None => vec![],
            Some(ExcludeSelectItem::Single(name)) => vec![name],
            Some(ExcludeSelectItem::Multiple(names)) => names,
        };
        names.extend_from_slice(&self.hidden);
        options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
    }
}

/// The names that `flows` goes by in a FROM.
fn names_of_flows(from: &TableWithJoins, names: &mut Vec<Ident>) {
    let joined = from.joins.iter().map(|join| &join.relation);
    for table in std::iter::once(&from.relation).chain(joined) {
        match table {
            TableFactor::Table { name, alias, .. } => {
                let flows = last(name).filter(|name| is_same(name, &Ident::new(FLOWS.name)));
                names.extend(flows.map(|flows| alias.as_ref().map_or(flows, |alias| &alias.name).clone()));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => names_of_flows(table_with_joins, names),
            _ => {}
        }
    }
}

fn last(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(ObjectNamePart::as_ident)
}

/// Whether two names are the same to SQL, where case counts in quotes only.
fn is_same(one: &Ident, other: &Ident) -> bool {
    let normal = |name: &Ident| match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    };
    normal(one) == normal(other)
}

//! The SELECTs of a statement: which ones read streams, and which ones group what comes of them.

use crate::catalog::STREAMS;
use crate::clauses::has_aggregate;
use crate::walk::walk;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    GroupByExpr, ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement as SqlStatement, TableFactor,
    TableWithJoins, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use std::iter;
use std::ops::ControlFlow;
use tapline_record::Stream;

/// A SELECT.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Where its first word stands.
    pub(super) start: Location,
    /// What it selects.
    pub(super) items: Vec<Item>,
    /// Whether all columns of something are among that.
    pub(super) has_star: bool,
    /// The streams that it reads itself.
    pub(super) streams: Vec<&'static Stream>,
    /// Whether it groups rows.
    pub(super) groups: bool,
    /// Whether what it reads is grouped already.
    is_above: bool,
    /// Whether nothing is around it.
    pub(super) is_outermost: bool,
    /// Whether it groups by all that is no aggregate.
    pub(super) groups_by_all: bool,
}

/// An item of a SELECT list.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The name that it is given.
    pub(super) name: Option<String>,
    pub(super) is_aggregate: bool,
}

impl Found {
    /// Whether it groups rows of streams, and no groups.
    pub(super) fn is_lowest(&self) -> bool {
        self.groups && (!self.is_above || !self.streams.is_empty())
    }
}

/// All SELECTs, in the order in which they stand in the text, by and large; nothing where it cannot be told which ones
/// read streams.
pub(super) fn selects(statement: &Statement, is_aggregate: &dyn Fn(&str) -> bool) -> Option<Vec<Found>> {
    let Statement::Statement(statement) = statement else { return None };
    let SqlStatement::Query(query) = statement.as_ref() else { return None };
    let outermost = outermost(&query.body).map(|select| select.select_token.0.span.start);
    let mut visitor = Selects { is_aggregate, outermost, found: vec![], around: vec![], subqueries: vec![] };
    let walked: ControlFlow<()> = walk(statement, &mut visitor);
    walked.is_continue().then_some(visitor.found)
}

/// The SELECT that gives the result; of several, such as those of a UNION, none does.
fn outermost(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => outermost(&query.body),
        _ => None,
    }
}

/// The stream of this name.
fn stream(name: &str) -> Option<&'static Stream> {
    STREAMS.into_iter().find(|stream| stream.name.eq_ignore_ascii_case(name))
}

struct Selects<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
    outermost: Option<Location>,
    found: Vec<Found>,
    /// Those around the one that is looked at.
    around: Vec<usize>,
    /// Those of WITH: their names, and whether they are grouped.
    subqueries: Vec<(String, bool)>,
}

impl Visitor for Selects<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            if stream(&cte.alias.name.value).is_some() {
                // Behind it, the name means this, and within it the stream.
                return ControlFlow::Break(());
            }
            let mut looks = LooksForGroups { is_aggregate: self.is_aggregate, subqueries: &self.subqueries };
            let is_grouped = walk(&cte.query, &mut looks).is_break();
            self.subqueries.push((cte.alias.name.value.clone(), is_grouped));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let start = select.select_token.0.span.start;
        let items: Vec<Item> = select.projection.iter().map(|item| self.item(item)).collect();
        let (mut streams, mut is_above) = (vec![], false);
        for name in tables(select) {
            match self.subqueries.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                Some((_, is_grouped)) => is_above |= is_grouped,
                None => streams.extend(stream(&name)),
            }
        }
        let groups_by_all = matches!(select.group_by, GroupByExpr::All(_));
        let groups = groups_rows(select, self.is_aggregate);
        if groups {
            self.around.iter().for_each(|&place| self.found[place].is_above = true);
        }
        let is_outermost = self.outermost == Some(start);
        let has_star = select.projection.iter().any(is_star);
        self.around.push(self.found.len());
        self.found.push(Found {
            start,
            items,
            has_star,
            streams,
            groups,
            is_above,
            is_outermost,
            groups_by_all,
        });
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }
}

/// Breaks off where rows are grouped.
struct LooksForGroups<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
    subqueries: &'a [(String, bool)],
}

impl Visitor for LooksForGroups<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let grouped = self.subqueries.iter().filter(|(_, is_grouped)| *is_grouped);
        let grouped: Vec<&String> = grouped.map(|(name, _)| name).collect();
        let is_grouped = |name: String| grouped.iter().any(|known| known.eq_ignore_ascii_case(&name));
        if groups_rows(select, self.is_aggregate) || tables(select).into_iter().any(is_grouped) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// The names of the tables that a SELECT reads itself.
fn tables(select: &Select) -> Vec<String> {
    let mut names = vec![];
    select.from.iter().for_each(|from| add_tables(from, &mut names));
    names
}

/// Adds those of a part of FROM, which may be in brackets.
fn add_tables(from: &TableWithJoins, names: &mut Vec<String>) {
    let joined = from.joins.iter().map(|join| &join.relation);
    for relation in iter::once(&from.relation).chain(joined) {
        match relation {
            TableFactor::Table { name, .. } => {
                let own = name.0.last().and_then(ObjectNamePart::as_ident);
                names.extend(own.map(|own| own.value.clone()));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => add_tables(table_with_joins, names),
            _ => {}
        }
    }
}

const fn is_star(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

fn groups_rows(select: &Select, is_aggregate: &dyn Fn(&str) -> bool) -> bool {
    let has_keys = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
    };
    let mut columns = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    has_keys || columns.any(|column| has_aggregate(column, is_aggregate))
}

impl Selects<'_> {
    fn item(&self, item: &SelectItem) -> Item {
        match item {
            SelectItem::UnnamedExpr(expression) => {
                Item { name: None, is_aggregate: has_aggregate(expression, self.is_aggregate) }
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let name = Some(alias.value.clone());
                Item { name, is_aggregate: has_aggregate(expr, self.is_aggregate) }
            }
            _ => Item { name: None, is_aggregate: false },
        }
    }
}

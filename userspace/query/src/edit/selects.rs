//! The SELECTs of a statement: which ones read streams, and which ones group what comes of them.

use crate::catalog::STREAMS;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Statement as SqlStatement, TableFactor, Visit,
    Visitor, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use std::ops::ControlFlow;
use tapline_record::Stream;

/// A SELECT.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Where its first word stands.
    pub(super) start: Location,
    /// What it selects.
    pub(super) items: Vec<Item>,
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

/// All SELECTs, in the order in which they stand in the text, by and large.
pub(super) fn selects(statement: &Statement, is_aggregate: &dyn Fn(&str) -> bool) -> Vec<Found> {
    let Statement::Statement(statement) = statement else { return vec![] };
    let SqlStatement::Query(query) = statement.as_ref() else { return vec![] };
    let outermost = outermost(&query.body).map(|select| select.select_token.0.span.start);
    let mut visitor = Selects { is_aggregate, outermost, found: vec![], around: vec![], subqueries: vec![] };
    // Nothing breaks it off.
    let _: ControlFlow<()> = statement.visit(&mut visitor);
    visitor.found
}

/// The first SELECT of what gives the result.
fn outermost(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => outermost(&query.body),
        SetExpr::SetOperation { left, .. } => outermost(left),
        _ => None,
    }
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
            let mut looks = LooksForGroups { is_aggregate: self.is_aggregate, subqueries: &self.subqueries };
            let is_grouped = cte.query.visit(&mut looks).is_break();
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
                None => {
                    streams
                        .extend(STREAMS.into_iter().find(|stream| stream.name.eq_ignore_ascii_case(&name)));
                }
            }
        }
        let groups_by_all = matches!(select.group_by, GroupByExpr::All(_));
        let groups = groups_rows(select, self.is_aggregate);
        if groups {
            self.around.iter().for_each(|&place| self.found[place].is_above = true);
        }
        let is_outermost = self.outermost == Some(start);
        self.around.push(self.found.len());
        self.found.push(Found { start, items, streams, groups, is_above, is_outermost, groups_by_all });
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
    let of_one = |table: &TableFactor| match table {
        TableFactor::Table { name, .. } => Some(name.to_string()),
        _ => None,
    };
    let mut names = vec![];
    for table in &select.from {
        names.extend(of_one(&table.relation));
        names.extend(table.joins.iter().filter_map(|join| of_one(&join.relation)));
    }
    names
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

/// Whether an aggregate is called somewhere in an expression.
pub(super) fn has_aggregate(expression: &Expr, is_aggregate: &dyn Fn(&str) -> bool) -> bool {
    visit_expressions(expression, |inner| match inner {
        Expr::Function(call)
            if call.over.is_none() && is_aggregate(&call.name.to_string().to_ascii_lowercase()) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

//! Walks over the syntax of a statement.
//!
//! The parser's walk is generic over its visitor: some six hundred functions, made anew for each. Here it is made once for all
//! visitors, and once for those that change what they see, and calls them through a table of functions.

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor,
    VisitorMut,
};
use std::ops::ControlFlow;

/// A visitor, and what it ended with.
struct Held<'a, V, B> {
    visitor: &'a mut V,
    end: Option<B>,
}

impl<V, B> Held<'_, V, B> {
    fn held(&mut self, flow: ControlFlow<B>) -> ControlFlow<()> {
        flow.map_break(|end| self.end = Some(end))
    }

    fn flow(self) -> ControlFlow<B> {
        self.end.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}

/// Shows a visitor all of a node.
pub fn walk<V: Visitor>(node: &impl Visit, visitor: &mut V) -> ControlFlow<V::Break> {
    let mut held = Held { visitor, end: None };
    let _: ControlFlow<()> = node.visit(&mut Any(&mut held));
    held.flow()
}

/// Shows a visitor all of a node, which it may change.
pub(crate) fn walk_mut<V: VisitorMut>(node: &mut impl VisitMut, visitor: &mut V) -> ControlFlow<V::Break> {
    let mut held = Held { visitor, end: None };
    let _: ControlFlow<()> = node.visit(&mut AnyMut(&mut held));
    held.flow()
}

/// The one visitor that the walk is made for.
struct Any<'a>(&'a mut dyn Visits);

/// The one that may change what it sees.
struct AnyMut<'a>(&'a mut dyn VisitsMut);

/// What a visitor is called with, for those of whom only that is known, and the one visitor that calls them.
macro_rules! visits {
    ($visits:ident, $any:ident, $visitor:ident; $($name:ident: $node:ty),*) => {
        trait $visits {
            $(fn $name(&mut self, node: $node) -> ControlFlow<()>;)*
        }

        impl<V: $visitor> $visits for Held<'_, V, V::Break> {
            $(fn $name(&mut self, node: $node) -> ControlFlow<()> {
                let flow = self.visitor.$name(node);
                self.held(flow)
            })*
        }

        impl $visitor for $any<'_> {
            type Break = ();

            $(fn $name(&mut self, node: $node) -> ControlFlow<()> {
                self.0.$name(node)
            })*
        }
    };
}

visits! {
    Visits, Any, Visitor;
    pre_visit_query: &Query,
    post_visit_query: &Query,
    pre_visit_select: &Select,
    post_visit_select: &Select,
    pre_visit_relation: &ObjectName,
    post_visit_relation: &ObjectName,
    pre_visit_table_factor: &TableFactor,
    post_visit_table_factor: &TableFactor,
    pre_visit_expr: &Expr,
    post_visit_expr: &Expr,
    pre_visit_statement: &Statement,
    post_visit_statement: &Statement,
    pre_visit_value: &ValueWithSpan,
    post_visit_value: &ValueWithSpan
}

visits! {
    VisitsMut, AnyMut, VisitorMut;
    pre_visit_query: &mut Query,
    post_visit_query: &mut Query,
    pre_visit_select: &mut Select,
    post_visit_select: &mut Select,
    pre_visit_relation: &mut ObjectName,
    post_visit_relation: &mut ObjectName,
    pre_visit_table_factor: &mut TableFactor,
    post_visit_table_factor: &mut TableFactor,
    pre_visit_expr: &mut Expr,
    post_visit_expr: &mut Expr,
    pre_visit_statement: &mut Statement,
    post_visit_statement: &mut Statement,
    pre_visit_value: &mut ValueWithSpan,
    post_visit_value: &mut ValueWithSpan
}

//! What each place in an expression expects of addresses and octets.
//!
//! Where values are compared or chosen from, literals become addresses ([`unify`]). Where text is expected, an address
//! becomes its text, and octets become text where text comes of them; where they are only looked at, each octet is a
//! character, so that nothing of them is lost. Everything else stays as it is.

use crate::borrowed::Borrowed;
use crate::columns::unify_subquery;
use crate::literals::{Together, unify, unify_case};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{InList, WindowFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, Like, Operator, TryCast};
use tapline_functions::{AddressKind, characters, is_octets, is_text, text};

/// Converts what an expression consists of; its parts are converted already.
///
/// # Errors
/// When a literal that must be an address is none.
pub(crate) fn convert(mut expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::ScalarFunction(call) = &mut expression
        && let Some(borrowed) = call.func.inner().downcast_ref::<Borrowed>()
    {
        let arguments = std::mem::take(&mut call.args);
        return Ok(Transformed::yes(borrowed.call(arguments, schema)?));
    }
    let changed = match &mut expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => convert_operands(left, *op, right, schema)?,
        Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => {
            match_text(expr, pattern, schema)
        }
        Expr::InList(InList { expr, list, .. }) => {
            let mut values: Vec<&mut Expr> = std::iter::once(&mut **expr).chain(list).collect();
            unify(&mut values, schema, Together::Compared)?
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            unify(&mut [expr, low, high], schema, Together::Compared)?
        }
        Expr::Case(case) => unify_case(case, schema)?,
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            is_text(field.data_type()) && make_text(expr, schema, text)
        }
        Expr::InSubquery(within) => unify_subquery(&mut within.expr, &mut within.subquery.subquery, schema)?,
        Expr::WindowFunction(call) => convert_default(call, schema)?,
        _ => false,
    };
    Ok(if changed { Transformed::yes(expression) } else { Transformed::no(expression) })
}

fn convert_operands(left: &mut Expr, op: Operator, right: &mut Expr, schema: &DFSchema) -> Result<bool> {
    Ok(match op {
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom => unify(&mut [left, right], schema, Together::Compared)?,
        Operator::StringConcat => join_text(left, right, schema),
        Operator::RegexMatch
        | Operator::RegexIMatch
        | Operator::RegexNotMatch
        | Operator::RegexNotIMatch
        | Operator::LikeMatch
        | Operator::ILikeMatch
        | Operator::NotLikeMatch
        | Operator::NotILikeMatch => match_text(left, right, schema),
        _ => false,
    })
}

/// What is joined is text, unless all of it is octets.
fn join_text(left: &mut Expr, right: &mut Expr, schema: &DFSchema) -> bool {
    let is_kind = |value: &Expr| value.get_type(schema).is_ok_and(|kind| is_octets(&kind));
    if is_kind(left) && is_kind(right) {
        return false;
    }
    make_text(left, schema, text) | make_text(right, schema, text)
}

/// A text is matched with a pattern; of octets, each is a character.
fn match_text(value: &mut Expr, pattern: &mut Expr, schema: &DFSchema) -> bool {
    let is_octets = |value: &Expr| value.get_type(schema).is_ok_and(|kind| is_octets(&kind));
    if is_octets(value) || is_octets(pattern) {
        *value = characters(value.clone());
        *pattern = characters(pattern.clone());
        return true;
    }
    make_text(value, schema, text) | make_text(pattern, schema, text)
}

/// Makes addresses and octets text, by `convert`; says whether they were any.
fn make_text(value: &mut Expr, schema: &DFSchema, convert: fn(Expr) -> Expr) -> bool {
    let is_ours =
        value.get_type(schema).is_ok_and(|kind| AddressKind::of(&kind).is_some() || is_octets(&kind));
    if is_ours {
        *value = convert(value.clone());
    }
    is_ours
}

/// The default of `lag` and `lead` is a value as they give.
fn convert_default(call: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    match (call.fun.name(), call.params.args.as_mut_slice()) {
        ("lag" | "lead", [value, _, default]) => unify(&mut [value, default], schema, Together::Chosen),
        _ => Ok(false),
    }
}

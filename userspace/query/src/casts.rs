//! Casts that tell two columns apart.
//!
//! The planner names a column after its expression and leaves casts out of the name, so that `sum(octets)` and
//! `sum(CAST(octets AS DOUBLE))` would have one name, which it refuses. Then casts become calls that have their type
//! in their name, until the optimiser takes them off again.

use crate::walk::walk_mut;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, SchemaError, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Value, VisitorMut,
};
use std::ops::ControlFlow;

/// Whether a statement was refused because two of its columns have one name.
pub(crate) fn has_one_name_for_two(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(kind, _) => matches!(
            **kind,
            SchemaError::DuplicateUnqualifiedField { .. } | SchemaError::DuplicateQualifiedField { .. }
        ),
        DataFusionError::Plan(text) => text.contains("unique expression names"),
        _ => false,
    }
}

/// Puts a call around every cast of the statement.
pub(crate) fn name_casts(statement: &mut Statement) {
    if let Statement::Statement(statement) = statement {
        let _ = walk_mut(statement, &mut Casts);
    }
}

struct Casts;

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::Cast { data_type, .. } = expression {
            let name = SqlExpr::value(Value::SingleQuotedString(data_type.to_string()));
            let argument = |one| FunctionArg::Unnamed(FunctionArgExpr::Expr(one));
            let args = vec![argument(expression.clone()), argument(name)];
            *expression = SqlExpr::Function(Function {
                name: ObjectName::from(vec![Ident::new(NAME)]),
                uses_odbc_syntax: false,
                parameters: FunctionArguments::None,
                args: FunctionArguments::List(FunctionArgumentList {
                    duplicate_treatment: None,
                    args,
                    clauses: vec![],
                }),
                filter: None,
                null_treatment: None,
                over: None,
                within_group: vec![],
            });
        }
        ControlFlow::Continue(())
    }
}

/// No SQL can call it: there, this is a word of the language.
const NAME: &str = "cast";

/// Gives its first argument; the second one is the name of its type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct NamedCast {
    signature: Signature,
}

impl NamedCast {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NamedCast {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [value, Expr::Literal(name, _)] = args else { return plan_err!("a cast has a value and a type") };
        Ok(format!("CAST({} AS {name})", value.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Simplified(args.swap_remove(0)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}

//! The parameters of a statement: of which types they are, and what they are bound to.

use crate::said::Said;
use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use arrow_pg::datatypes::{field_into_pg_type, into_pg_type};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::api::stmt::StoredStatement;
use pgwire::messages::extendedquery::Bind;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// The type by which clients send it.
    pub(crate) wire: Type,
    /// The type that the statement takes; `None` where it takes any.
    taken: Option<DataType>,
}

/// The parameters of a plan, in their order; `known` are the types that the client gave, or 0.
pub(crate) fn parameters(plan: &LogicalPlan, known: &[u32]) -> Result<Vec<Parameter>, Said> {
    let casts = casts(plan)?;
    let mut ordered = BTreeMap::new();
    for (name, field) in plan.get_parameter_fields()? {
        let number: u32 = name.trim_start_matches('$').parse().unwrap_or(u32::MAX);
        let taken =
            field.as_ref().map(|field| field.data_type().clone()).or_else(|| casts.get(&name).cloned());
        let wire = match (&field, &taken) {
            // Numbers of the catalogs have types of their own.
            (Some(field), Some(DataType::Int32)) => field_into_pg_type(field)?,
            (_, Some(taken)) => into_pg_type(taken)?,
            (_, None) => Type::TEXT,
        };
        ordered.insert(number, Parameter { wire, taken });
    }
    let parameters = ordered.into_values().enumerate().map(|(place, parameter)| {
        let known = known.get(place).and_then(|&number| Type::from_oid(number));
        Parameter {
            wire: known.filter(|known| *known != Type::UNKNOWN).unwrap_or(parameter.wire),
            ..parameter
        }
    });
    Ok(parameters.collect())
}

/// The types to which parameters are cast that are of no type else.
fn casts(plan: &LogicalPlan) -> Result<HashMap<String, DataType>> {
    let mut casts = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Cast(cast) = part
                    && let Expr::Placeholder(parameter) = cast.expr.as_ref()
                {
                    casts.insert(parameter.id.clone(), cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(casts)
}

/// Values for the parameters of a statement.
#[derive(Debug)]
pub(crate) struct Values(Portal<()>);

impl Values {
    /// What a client binds.
    ///
    /// # Errors
    /// When there are more or fewer values than parameters.
    pub(crate) fn new(bind: &Bind, parameters: &[Parameter]) -> Result<Self, Said> {
        let (given, wanted) = (bind.parameters.len(), parameters.len());
        if given != wanted {
            return Err(Said::new("08P01", format!("{given} values are given for {wanted} parameters")));
        }
        let types = parameters.iter().map(|parameter| Some(parameter.wire.clone())).collect();
        let statement = StoredStatement::new(String::new(), (), types);
        Ok(Self(Portal::try_new(bind, Arc::new(statement))?))
    }

    /// The plan with these values in the place of its parameters.
    pub(crate) fn put_into(&self, plan: LogicalPlan, parameters: &[Parameter]) -> Result<LogicalPlan, Said> {
        if parameters.is_empty() {
            return Ok(plan);
        }
        let taken: Vec<Option<&DataType>> =
            parameters.iter().map(|parameter| parameter.taken.as_ref()).collect();
        let wire: Vec<Option<&Type>> = parameters.iter().map(|parameter| Some(&parameter.wire)).collect();
        let values = deserialize_parameters_with_server_types(&self.0, &taken, &wire)?;
        Ok(plan.replace_params_with_values(&values)?)
    }
}

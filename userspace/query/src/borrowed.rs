//! DataFusion's scalar functions, which know nothing of addresses, for values that may be some.
//!
//! While SQL becomes a plan, each function is replaced by one of the same name that says which type comes of
//! addresses and octets. [`convert`](crate::contexts::convert) puts the function itself back, over converted arguments.

use crate::literals::{Together, unify, unify_case};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue, TableReference, internal_err};
use datafusion::execution::SessionState;
use datafusion::functions::unicode::character_length;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, when,
};
use std::collections::HashMap;
use std::sync::Arc;
use tapline_functions::{AddressKind, characters, duration_part, is_octets, is_text, text};

/// Functions that take values of every type as they are.
const OF_ANYTHING: [&str; 13] = [
    "arrow_cast",
    "arrow_field",
    "arrow_metadata",
    "arrow_try_cast",
    "arrow_typeof",
    "bit_length",
    "cast_to_type",
    "get_field",
    "named_struct",
    "row",
    "struct",
    "try_cast_to_type",
    "with_metadata",
];

/// Functions whose arguments are of one type, and why they stand together.
const CHOOSING: [(&str, Together); 5] = [
    ("coalesce", Together::Chosen),
    ("greatest", Together::Chosen),
    ("least", Together::Chosen),
    ("nullif", Together::Compared),
    ("nvl", Together::Chosen),
];

/// A function of DataFusion's for SQL that names addresses.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Borrowed {
    function: Arc<ScalarUDF>,
    signature: Signature,
}

/// All functions of a state, borrowed.
pub(crate) fn borrowed_functions(state: &SessionState) -> Vec<Arc<ScalarUDF>> {
    let functions = state.scalar_functions().values();
    functions.map(|function| Arc::new(Borrowed::new(Arc::clone(function)).into())).collect()
}

impl Borrowed {
    pub(crate) fn new(function: Arc<ScalarUDF>) -> Self {
        let signature =
            Signature { type_signature: TypeSignature::UserDefined, ..function.signature().clone() };
        Self { function, signature }
    }

    /// The call of the function itself, over arguments that it understands.
    pub(crate) fn call(&self, mut arguments: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
        let name = self.function.name();
        if OF_ANYTHING.contains(&name) {
            return Ok(self.plain(arguments));
        }
        if name == "nvl2"
            && let [tested, there, absent] = arguments.as_slice()
        {
            let mut chosen = when(tested.clone().is_not_null(), there.clone()).otherwise(absent.clone())?;
            if let Expr::Case(case) = &mut chosen {
                unify_case(case, schema)?;
            }
            return Ok(chosen);
        }
        let Some((_, together)) = CHOOSING.iter().find(|(choosing, _)| *choosing == name) else {
            return self.call_with_text(arguments, schema);
        };
        unify(&mut arguments.iter_mut().collect::<Vec<_>>(), schema, *together)?;
        Ok(self.plain(arguments))
    }

    fn plain(&self, arguments: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.function), arguments))
    }

    fn call_with_text(&self, arguments: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
        let types = arguments.iter().map(|argument| argument.get_type(schema)).collect::<Result<Vec<_>>>()?;
        if self.function.name() == "date_part" && matches!(types.get(1), Some(DataType::Duration(_))) {
            return Ok(duration_part(arguments));
        }
        let converted = |to: fn(Expr) -> Expr, of: fn(&DataType) -> bool| {
            let pairs = arguments.iter().cloned().zip(&types);
            self.plain(pairs.map(|(value, kind)| if of(kind) { to(value) } else { value }).collect())
        };
        let as_text = converted(text, |kind| AddressKind::of(kind).is_some() || is_octets(kind));
        if self.function.name() == "octet_length" && types.iter().any(is_octets) {
            return Ok(character_length().call(arguments.into_iter().map(characters).collect()));
        }
        if types.iter().any(is_octets) && !gives_text(&as_text.get_type(schema)?) {
            return Ok(converted(characters, |kind| is_octets(kind) || is_text(kind)));
        }
        Ok(as_text)
    }
}

/// Whether text comes of a function, in lists too.
fn gives_text(kind: &DataType) -> bool {
    is_text(kind) || kind.is_nested()
}

impl ScalarUDFImpl for Borrowed {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arguments.to_vec())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.function.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let table = |place: usize| TableReference::bare(format!("argument_{place}"));
        let fields = args.arg_fields.iter().enumerate();
        let fields = fields.map(|(place, field)| (Some(table(place)), Arc::clone(field))).collect();
        let schema = DFSchema::new_with_metadata(fields, HashMap::new())?;
        let argument = |(place, literal): (usize, &Option<&ScalarValue>)| match literal {
            Some(literal) => Expr::Literal((*literal).clone(), None),
            None => Expr::Column(schema.qualified_field(place).into()),
        };
        let arguments = args.scalar_arguments.iter().enumerate().map(argument).collect();
        Ok(self.call(arguments, &schema)?.to_field(&schema)?.1)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} was planned as it was written", self.name())
    }
}

//! Functions of PostgreSQL's that clients call while they look around.
//!
//! Most of them ask for what a node does not have (comments, indexes, rights): they give one and the same value,
//! whatever they are asked.

use crate::settings::{VERSION, default_of};
use crate::startup::USER;
use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::sync::Arc;

/// Functions that give no text.
const NOTHING: [&str; 12] = [
    "col_description",
    "obj_description",
    "pg_get_function_result",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_tablespace_location",
    "shobj_description",
];
/// Functions that say yes, and no.
const YES: [&str; 10] = [
    "has_column_privilege",
    "has_function_privilege",
    "has_tablespace_privilege",
    "has_type_privilege",
    "pg_collation_is_visible",
    "pg_function_is_visible",
    "pg_has_role",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_type_is_visible",
];
const NO: [&str; 3] = ["pg_is_in_recovery", "pg_is_other_temp_schema", "row_security_active"];

/// All of them.
pub(crate) fn all() -> Vec<ScalarUDF> {
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let version = format!("PostgreSQL {VERSION} (tapline {})", env!("CARGO_PKG_VERSION"));
    let constants = [
        ("current_user", text(USER)),
        ("pg_database_size", ScalarValue::Int64(Some(0))),
        ("pg_get_function_arguments", text("")),
        ("pg_get_function_identity_arguments", text("")),
        ("pg_get_userbyid", text(USER)),
        ("pg_size_pretty", text("0 bytes")),
        ("pg_table_size", ScalarValue::Int64(Some(0))),
        ("session_user", text(USER)),
        ("version", text(&version)),
    ];
    let nothing = NOTHING.map(|name| (name, ScalarValue::Utf8(None)));
    let yes = YES.map(|name| (name, ScalarValue::Boolean(Some(true))));
    let no = NO.map(|name| (name, ScalarValue::Boolean(Some(false))));
    let constants = constants.into_iter().chain(nothing).chain(yes).chain(no);
    let constants = constants.map(|(name, value)| ScalarUDF::from(Constant::new(name, value)));
    constants.chain([Setting::get(), Setting::set()].map(ScalarUDF::from)).collect()
}

/// Arguments of all types, and none.
fn anything() -> Signature {
    Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable)
}

/// A function that always gives the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl Constant {
    fn new(name: &'static str, value: ScalarValue) -> Self {
        Self { name, value, signature: anything() }
    }
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `current_setting(name)` and `set_config(name, value, is_local)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Setting {
    name: &'static str,
    /// Which argument is given back; `None` for what the first one names.
    gives: Option<usize>,
    signature: Signature,
}

impl Setting {
    fn get() -> Self {
        Self { name: "current_setting", gives: None, signature: anything() }
    }

    /// What is set so is told, and not kept.
    fn set() -> Self {
        Self { name: "set_config", gives: Some(1), signature: anything() }
    }
}

impl ScalarUDFImpl for Setting {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.get(self.gives.unwrap_or(0)) else {
            return exec_err!(
                "{} takes the name of a setting; write {}('search_path')",
                self.name,
                self.name
            );
        };
        let texts = cast(&argument.to_array(args.number_rows)?, &DataType::Utf8)?;
        if self.gives.is_some() {
            return Ok(ColumnarValue::Array(texts));
        }
        let values = texts.as_string::<i32>().iter().map(|name| name.and_then(default_of));
        let values: ArrayRef = Arc::new(values.collect::<StringArray>());
        Ok(ColumnarValue::Array(values))
    }
}

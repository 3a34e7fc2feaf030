//! `service(protocol, port)`: the name of the service that a transport protocol's port is registered
//! for, such as `https`; NULL for a port without one, and for NULL.
//!
//! The name says what the port is meant for, not what was found on it.

use crate::argument::refuse;
use crate::service_names::service_name;
use datafusion::arrow::array::{AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, UInt8Type, UInt16Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

const NAME: &str = "service";
/// Octets of a name, for sizing the result.
const NAME_OCTETS: usize = 6;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    signature: Signature,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Service {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.iter().find(|kind| !kind.is_integer() && !kind.is_null()) {
            None => Ok(DataType::Utf8),
            Some(kind) => refuse(format!(
                "service: an argument is {kind}, not a number; write e.g. service(protocol, dst_port) or service(6, 443)"
            )),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        // A number too large for its field becomes NULL, and so does the name.
        let protocols = cast(&arrays[0], &DataType::UInt8)?;
        let ports = cast(&arrays[1], &DataType::UInt16)?;
        let protocols = protocols.as_primitive::<UInt8Type>();
        let ports = ports.as_primitive::<UInt16Type>();
        let mut names = StringBuilder::with_capacity(ports.len(), ports.len() * NAME_OCTETS);
        for (protocol, port) in protocols.iter().zip(ports) {
            names.append_option(protocol.zip(port).and_then(|(protocol, port)| service_name(protocol, port)));
        }
        Ok(ColumnarValue::Array(Arc::new(names.finish())))
    }
}

//! `asn(ip)`, `as_name(ip)` and `country(ip)`: what MaxMind files say of an address, the first that was given and says it;
//! NULL for NULL, and for addresses that it does not know.

use crate::argument::{addresses, expect_address, refuse};
use crate::lookup::{FOLDED, STANDING, SharedTables, of_key, simplified};
use datafusion::arrow::array::{ArrayRef, AsArray, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;
use tapline_lookup::Loaded;

/// A function of one address.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressFact {
    fact: Fact,
    tables: SharedTables,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fact {
    Asn,
    AsName,
    Country,
}

impl Fact {
    /// The columns that say it, by what publishers call them.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Asn => &["autonomous_system_number", "asn"],
            Self::AsName => &["autonomous_system_organization", "as_name"],
            Self::Country => &["country.iso_code", "country_code"],
        }
    }

    const fn kind(self) -> DataType {
        match self {
            Self::Asn => DataType::UInt32,
            Self::AsName | Self::Country => DataType::Utf8View,
        }
    }

    /// A file that says it.
    const fn example(self) -> &'static str {
        match self {
            Self::Asn | Self::AsName => "asn=GeoLite2-ASN.mmdb",
            Self::Country => "country=GeoLite2-Country.mmdb",
        }
    }
}

impl AddressFact {
    pub(crate) fn all(tables: &SharedTables) -> [ScalarUDF; 3] {
        [Fact::Asn, Fact::AsName, Fact::Country].map(|fact| {
            let signature = Signature::any(1, FOLDED);
            Self { fact, tables: tables.clone(), signature }.into()
        })
    }

    /// The same function, for calls in which no column is named.
    pub(crate) fn standing(&self) -> ScalarUDF {
        Self { fact: self.fact, tables: self.tables.clone(), signature: Signature::any(1, STANDING) }.into()
    }

    fn table(&self) -> Result<(&Loaded, &'static str)> {
        self.tables.0.of_addresses(self.fact.columns()).map_or_else(
            || {
                let (name, example) = (self.name(), self.fact.example());
                refuse(format!(
                    "{name}: there is no MaxMind file that says it; give one with --lookup {example}, or with [[lookup]] in a node's file"
                ))
            },
            Ok,
        )
    }
}

impl ScalarUDFImpl for AddressFact {
    fn name(&self) -> &str {
        match self.fact {
            Fact::Asn => "asn",
            Fact::AsName => "as_name",
            Fact::Country => "country",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.fact.kind())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        expect_address(self.name(), &args)?;
        self.table()?;
        Ok(Arc::new(Field::new(self.name(), self.fact.kind(), true)))
    }

    /// What becomes constant while expressions are simplified stays a call.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(simplified(&self.signature, args, || self.standing()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (loaded, column) = self.table()?;
        let ip = &args.args[0];
        of_key(ip, |_| {
            let ips: ArrayRef = Arc::new(addresses(ip)?);
            Ok(cast(&without_letters(&loaded.table().values(&ips, column)?, self.fact), &self.fact.kind())?)
        })
    }
}

/// Numbers of autonomous systems that are written as texts, such as AS64500, without their letters.
fn without_letters(values: &ArrayRef, fact: Fact) -> ArrayRef {
    match values.as_string_view_opt() {
        Some(texts) if fact == Fact::Asn => {
            let numbers = texts.iter().map(|text| text.map(|text| text.trim_start_matches("AS")));
            Arc::new(numbers.collect::<StringViewArray>())
        }
        _ => Arc::clone(values),
    }
}

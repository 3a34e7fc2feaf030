//! The types of information elements, as IANA's registry and some vendors' have them.
//!
//! `netflow_parser` carries the registries; what it does not know is a number, as most elements are.

use super::enterprise::{IANA, REVERSE};
use netflow_parser::V9Field;
use netflow_parser::variable_versions::field_value::FieldDataType as Type;
use netflow_parser::variable_versions::ipfix::lookup::IPFixField;
use tapline_record::ElementForm;

/// How the octets of an element become a value, by its registered type.
///
/// Times and durations are the numbers that stand on the wire; octetArray and what is not registered are
/// unsigned numbers as long as they have one to eight octets. Enterprise 0 are IANA's elements, and the field
/// types of NetFlow v9 beyond them; enterprise 29305 are IANA's in the other direction (RFC 5103).
#[must_use]
pub fn element_form(enterprise: u32, id: u16) -> ElementForm {
    match registered_type(enterprise, id) {
        Type::SignedDataNumber => ElementForm::Signed,
        Type::Float64 => ElementForm::Float,
        Type::ApplicationId => ElementForm::Application,
        Type::Ip4Addr | Type::Ip6Addr => ElementForm::Address,
        Type::MacAddr => ElementForm::Mac,
        Type::String => ElementForm::Text,
        _ => ElementForm::Unsigned,
    }
}

fn registered_type(enterprise: u32, id: u16) -> Type {
    let iana = || Type::from(IPFixField::new(id, None));
    match enterprise {
        IANA => {
            Some(iana()).filter(|kind| *kind != Type::Unknown).unwrap_or_else(|| V9Field::from(id).into())
        }
        REVERSE => iana(),
        _ => IPFixField::new(id, Some(enterprise)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_the_registered_ones() {
        use ElementForm as F;
        let iana = [
            (1, F::Unsigned),
            (8, F::Address),
            (27, F::Address),
            (56, F::Mac),
            (82, F::Text),
            (90, F::Unsigned),
            (95, F::Application),
            (152, F::Unsigned),
            (276, F::Unsigned),
            (311, F::Float),
            (434, F::Signed),
            (65535, F::Unsigned),
        ];
        for (id, form) in iana {
            assert_eq!(element_form(0, id), form, "{id}");
            assert_eq!(element_form(REVERSE, id), form, "reverse {id}");
        }
        assert_eq!(element_form(9, 12235), F::Text, "Cisco's");
        assert_eq!(element_form(4_000_000_000, 8), F::Unsigned, "nobody's");
    }
}

//! Which types hold addresses, text and octets.
//!
//! Addresses are octets of one length: 16 are an IP address, 6 a MAC address.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use tapline_record::address;

/// What a column of addresses holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// IP addresses, IPv4 mapped.
    Ip,
    /// MAC addresses.
    Mac,
}

impl AddressKind {
    /// The kind that columns of this type hold.
    #[must_use]
    pub const fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::FixedSizeBinary(16) => Some(Self::Ip),
            DataType::FixedSizeBinary(6) => Some(Self::Mac),
            _ => None,
        }
    }

    /// NULL.
    #[must_use]
    pub const fn null(self) -> ScalarValue {
        match self {
            Self::Ip => ScalarValue::FixedSizeBinary(16, None),
            Self::Mac => ScalarValue::FixedSizeBinary(6, None),
        }
    }

    /// The literal for a text; `None` when it is no such address.
    #[must_use]
    pub fn literal(self, text: &str) -> Option<ScalarValue> {
        match self {
            Self::Ip => address::parse_ip(text).map(|ip| ScalarValue::FixedSizeBinary(16, Some(ip.into()))),
            Self::Mac => {
                address::parse_mac(text).map(|mac| ScalarValue::FixedSizeBinary(6, Some(mac.into())))
            }
        }
    }
}

/// Whether values of this type are text.
#[must_use]
pub const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether values of this type are octets of any length.
#[must_use]
pub const fn is_octets(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

//! Information elements as columns: those that exports carry besides what the stream `flows` has columns for.
//!
//! A list of columns names the fixed ones by their position in the stream, and an element by a position beyond
//! them all, which says which element it is and how its octets are read. Whoever hands such a list on need not
//! know of elements: it is sorted, compared and looked up as any other.

use crate::stream::ColumnType;

/// An element as a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementColumn {
    /// Private enterprise number, 0 for IANA's own elements and for the field types of NetFlow v9.
    pub enterprise: u32,
    /// Number of the element.
    pub id: u16,
    /// How its octets become a value.
    pub form: ElementForm,
}

/// How the octets of an element become a value; what does not fit is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ElementForm {
    /// An unsigned number of one to eight octets.
    Unsigned,
    /// A number with a sign, of one to eight octets.
    Signed,
    /// A floating-point number of four or eight octets (IEEE 754).
    Float,
    /// An application id: engine in the top octet, selector below (RFC 6759).
    Application,
    /// An IPv4 address of four octets or an IPv6 address of sixteen.
    Address,
    /// A MAC address of six octets.
    Mac,
    /// Text, since the element's type is text.
    Text,
    /// Text, whatever the element's type is.
    AsText,
    /// The octets in hexadecimal.
    AsOctets,
}

impl ElementForm {
    /// Every form, by discriminant.
    const ALL: [Self; 9] = [
        Self::Unsigned,
        Self::Signed,
        Self::Float,
        Self::Application,
        Self::Address,
        Self::Mac,
        Self::Text,
        Self::AsText,
        Self::AsOctets,
    ];

    /// The type of the column.
    #[must_use]
    pub const fn kind(self) -> ColumnType {
        match self {
            Self::Unsigned | Self::Application => ColumnType::UInt64,
            Self::Signed => ColumnType::Int64,
            Self::Float => ColumnType::Float64,
            Self::Address => ColumnType::Address,
            Self::Mac => ColumnType::Mac,
            Self::Text | Self::AsText | Self::AsOctets => ColumnType::String,
        }
    }

    /// The function that reads it in SQL.
    const fn function(self) -> &'static str {
        match self {
            Self::AsText => "element_text",
            Self::AsOctets => "element_octets",
            _ => "element",
        }
    }
}

/// The bit that tells the positions of elements from those of fixed columns.
const IS_ELEMENT: u64 = 1 << 56;
const FORM_SHIFT: u32 = 48;
const ENTERPRISE_SHIFT: u32 = 16;

const _: () = assert!(usize::BITS == 64, "the position of an element takes 57 bits");

impl ElementColumn {
    /// Its position in lists of columns, behind all fixed ones.
    #[must_use]
    pub const fn position(self) -> usize {
        let form = (self.form as u64) << FORM_SHIFT;
        let enterprise = (self.enterprise as u64) << ENTERPRISE_SHIFT;
        (IS_ELEMENT | form | enterprise | self.id as u64) as usize
    }

    /// The element at a position; `None` where a fixed column stands.
    #[must_use]
    pub fn at(position: usize) -> Option<Self> {
        let bits = position as u64;
        let form = *ElementForm::ALL.get((bits.checked_sub(IS_ELEMENT)? >> FORM_SHIFT) as usize)?;
        Some(Self { enterprise: (bits >> ENTERPRISE_SHIFT) as u32, id: bits as u16, form })
    }

    /// Its name in results: the call that reads it, such as `element(95)` or `element(9, 12235)`.
    #[must_use]
    pub fn name(self) -> String {
        let (function, id) = (self.form.function(), self.id);
        match self.enterprise {
            0 => format!("{function}({id})"),
            enterprise => format!("{function}({enterprise}, {id})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_tell_elements_apart() {
        for (enterprise, id) in [(0, 0), (0, 95), (9, 12235), (u32::MAX, u16::MAX)] {
            for form in ElementForm::ALL {
                let element = ElementColumn { enterprise, id, form };
                assert_eq!(ElementColumn::at(element.position()), Some(element));
            }
        }
        for fixed in [0, 63, usize::MAX, (IS_ELEMENT - 1) as usize, (9 << FORM_SHIFT | IS_ELEMENT) as usize] {
            assert_eq!(ElementColumn::at(fixed), None);
        }
    }

    #[test]
    fn names_are_the_calls() {
        let name = |enterprise, id, form| ElementColumn { enterprise, id, form }.name();
        assert_eq!(name(0, 95, ElementForm::Application), "element(95)");
        assert_eq!(name(9, 12235, ElementForm::AsText), "element_text(9, 12235)");
    }
}

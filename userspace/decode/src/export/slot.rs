//! Where a field stands in the records of a template.

use super::template::{Element, Template, VARIABLE};

/// Where a field stands in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Position among the template's fields.
    pub(super) field: usize,
    /// First octet, where no field before it varies in length.
    pub(super) offset: usize,
    /// Octets, where they do not vary.
    pub(super) length: usize,
}

/// Where a template has an element, for the first time.
pub(super) fn find(template: &Template, element: Element) -> Option<Slot> {
    let field = template.fields.iter().position(|field| field.element == element)?;
    let length = |length: u16| if length == VARIABLE { 0 } else { usize::from(length) };
    let offset = template.fields[..field].iter().map(|field| length(field.length)).sum();
    Some(Slot { field, offset, length: length(template.fields[field].length) })
}

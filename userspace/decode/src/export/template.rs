//! Templates: what the octets of a data record mean.
//!
//! Takes the body of a template set, gives its templates in their order. The octets are taken apart by
//! `netflow_parser`; a record that is cut short ends the set: what came before it counts, and its number is told.

use super::enterprise::{IANA, REVERSE, V9_SCOPE};
use super::set_id;
use super::wire::u16_at;
use netflow_parser::variable_versions::{ipfix, v9};
use nom_derive::Parse as _;

/// The length of a field whose length each record tells (RFC 7011 §7).
pub(super) const VARIABLE: u16 = u16::MAX;

/// Templates have numbers from here on; lower ones name other sets.
pub(super) const TEMPLATE_ID_MIN: u16 = 256;

/// An information element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Element {
    /// Private enterprise number (`enterprise.rs`), [`IANA`] for its own.
    pub(super) enterprise: u32,
    pub(super) id: u16,
}

impl Element {
    /// One of IANA's elements.
    pub(super) const fn iana(id: u16) -> Self {
        Self { enterprise: IANA, id }
    }

    /// One of IANA's elements, seen from the other end of a biflow.
    pub(super) const fn reverse(id: u16) -> Self {
        Self { enterprise: REVERSE, id }
    }
}

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) element: Element,
    /// Octets, or [`VARIABLE`].
    pub(super) length: u16,
}

/// What a template describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemplateKind {
    /// Flow records.
    Data,
    /// Records about the exporter; so many fields, the first ones, say about which part of it.
    Options { scopes: u16 },
}

impl TemplateKind {
    /// Whether records are about the exporter.
    pub(super) const fn is_options(self) -> bool {
        matches!(self, Self::Options { .. })
    }
}

/// One template record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) id: u16,
    pub(super) kind: TemplateKind,
    /// None withdraw the template (RFC 7011 §8.1).
    pub(super) fields: Vec<Field>,
}

impl Template {
    /// Octets of a record, of those that vary the least: a length octet.
    pub(super) fn octets_min(&self) -> usize {
        let octets = |field: &Field| if field.length == VARIABLE { 1 } else { usize::from(field.length) };
        self.fields.iter().map(octets).sum()
    }

    /// Whether some field's length is told by each record.
    pub(super) fn is_variable(&self) -> bool {
        self.fields.iter().any(|field| field.length == VARIABLE)
    }
}

/// What a template set says of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// What the number means from now on.
    Template(Template),
    /// That the number means something, which the set is too short to say.
    Cut(u16),
}

/// Reads the body of a template set.
pub(super) type TemplateReader = fn(&[u8], &mut dyn FnMut(Announced));

/// Templates of a v9 set with number [`set_id::V9_TEMPLATE`].
pub(super) fn v9_templates(mut body: &[u8], visit: &mut dyn FnMut(Announced)) {
    while has_template(body) {
        let Ok((rest, template)) = v9::Template::parse(body) else { return cut_short(body, visit) };
        let field = |field: &v9::TemplateField| Field {
            element: Element::iana(field.field_type_number),
            length: field.field_length,
        };
        let fields = template.fields.iter().map(field).collect();
        visit(Announced::Template(Template { id: template.template_id, kind: TemplateKind::Data, fields }));
        body = rest;
    }
}

/// Templates of a v9 set with number [`set_id::V9_OPTIONS_TEMPLATE`].
pub(super) fn v9_options_templates(mut body: &[u8], visit: &mut dyn FnMut(Announced)) {
    while has_template(body) {
        let Ok((rest, template)) = v9::OptionsTemplate::parse(body) else { return cut_short(body, visit) };
        let scope = |scope: &v9::OptionsTemplateScopeField| Field {
            element: Element { enterprise: V9_SCOPE, id: scope.field_type_number },
            length: scope.field_length,
        };
        let field = |field: &v9::TemplateField| Field {
            element: Element::iana(field.field_type_number),
            length: field.field_length,
        };
        let scopes: Vec<_> = template.scope_fields.iter().map(scope).collect();
        let kind = TemplateKind::Options { scopes: u16::try_from(scopes.len()).unwrap_or(u16::MAX) };
        let fields = scopes.into_iter().chain(template.option_fields.iter().map(field)).collect();
        visit(Announced::Template(Template { id: template.template_id, kind, fields }));
        body = rest;
    }
}

/// Templates of an IPFIX set with number [`set_id::IPFIX_TEMPLATE`].
pub(super) fn ipfix_templates(mut body: &[u8], visit: &mut dyn FnMut(Announced)) {
    while has_template(body) {
        let Ok((rest, template)) = ipfix::Template::parse(body) else { return cut_short(body, visit) };
        let fields = template.fields.iter().map(ipfix_field).collect();
        visit(Announced::Template(Template { id: template.template_id, kind: TemplateKind::Data, fields }));
        body = rest;
    }
}

/// Templates of an IPFIX set with number [`set_id::IPFIX_OPTIONS_TEMPLATE`].
pub(super) fn ipfix_options_templates(mut body: &[u8], visit: &mut dyn FnMut(Announced)) {
    while has_template(body) {
        // A withdrawal has no scope count.
        if let (Some(id), Some(0)) = (u16_at(body, 0), u16_at(body, 2)) {
            let kind = TemplateKind::Options { scopes: 0 };
            visit(Announced::Template(Template { id, kind, fields: vec![] }));
            body = &body[4..];
            continue;
        }
        let Ok((rest, template)) = ipfix::OptionsTemplate::parse(body) else { return cut_short(body, visit) };
        let fields = template.fields.iter().map(ipfix_field).collect();
        let kind = TemplateKind::Options { scopes: template.scope_field_count };
        visit(Announced::Template(Template { id: template.template_id, kind, fields }));
        body = rest;
    }
}

fn ipfix_field(field: &ipfix::TemplateField) -> Field {
    let enterprise = field.enterprise_number.unwrap_or(IANA);
    Field { element: Element { enterprise, id: field.field_type_number }, length: field.field_length }
}

/// Tells the number of a template record that is not whole; without a count of fields it may be padding.
fn cut_short(body: &[u8], visit: &mut dyn FnMut(Announced)) {
    if let (Some(id), Some(_)) = (u16_at(body, 0), u16_at(body, 2)) {
        visit(Announced::Cut(id));
    }
}

/// Whether a template record may begin here; what begins otherwise is padding. An IPFIX set may withdraw
/// all templates by its own number.
fn has_template(body: &[u8]) -> bool {
    let is_withdrawal = |id| {
        matches!(id, set_id::IPFIX_TEMPLATE | set_id::IPFIX_OPTIONS_TEMPLATE) && u16_at(body, 2) == Some(0)
    };
    u16_at(body, 0).is_some_and(|id| id >= TEMPLATE_ID_MIN || is_withdrawal(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(parse: TemplateReader, words: &[u16]) -> Vec<Announced> {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let mut all = vec![];
        parse(&body, &mut |announced| all.push(announced));
        all
    }

    fn collect(parse: TemplateReader, words: &[u16]) -> Vec<Template> {
        let template = |announced| match announced {
            Announced::Template(template) => template,
            Announced::Cut(id) => panic!("{id} is cut short"),
        };
        announced(parse, words).into_iter().map(template).collect()
    }

    fn field(id: u16, length: u16) -> Field {
        Field { element: Element::iana(id), length }
    }

    #[test]
    fn v9_sets_hold_several_templates_and_padding() {
        let templates = collect(v9_templates, &[256, 2, 8, 4, 12, 4, 257, 1, 1, 8, 0, 0]);
        let ids: Vec<_> = templates.iter().map(|template| template.id).collect();
        assert_eq!(ids, [256, 257]);
        assert_eq!(templates[0].fields, [field(8, 4), field(12, 4)]);
        assert_eq!(templates[0].octets_min(), 8);
    }

    #[test]
    fn scopes_of_v9_are_no_elements() {
        let templates = collect(v9_options_templates, &[260, 4, 8, 1, 4, 34, 4, 35, 1, 0]);
        let scope = Field { element: Element { enterprise: V9_SCOPE, id: 1 }, length: 4 };
        assert_eq!(templates[0].fields, [scope, field(34, 4), field(35, 1)]);
        assert_eq!(templates[0].kind, TemplateKind::Options { scopes: 1 });
    }

    #[test]
    fn ipfix_enterprises_and_withdrawals() {
        let templates = collect(ipfix_templates, &[256, 2, 0x8001, 4, 0, 29305, 8, 4, 257, 0, 2, 0]);
        let reverse = Field { element: Element::reverse(1), length: 4 };
        assert_eq!(templates[0].fields, [reverse, field(8, 4)]);
        assert_eq!((templates[1].id, templates[1].fields.len()), (257, 0));
        assert_eq!((templates[2].id, templates[2].fields.len()), (2, 0));
        let options = collect(ipfix_options_templates, &[258, 0, 259, 2, 1, 149, 4, 305, 4]);
        assert_eq!(options[0].fields, []);
        assert_eq!(options[1].fields, [field(149, 4), field(305, 4)]);
        assert_eq!(options[1].kind, TemplateKind::Options { scopes: 1 });
    }

    #[test]
    fn a_template_that_is_cut_short_ends_the_set() {
        let cut = announced(v9_templates, &[256, 1, 8, 4, 257, 3, 8, 4]);
        assert_eq!((cut.len(), &cut[1]), (2, &Announced::Cut(257)));
        assert_eq!(announced(ipfix_templates, &[256, 40_000, 8, 4]), [Announced::Cut(256)]);
        assert_eq!(announced(v9_options_templates, &[256, 4, 8, 1]), [Announced::Cut(256)]);
        assert_eq!(announced(v9_options_templates, &[256]), [], "that may be padding");
    }
}

//! What options records announce rates for.
//!
//! Takes an options template, finds what its fields say of the rows that a rate holds for: nothing, so that it is
//! of all; a domain; or names, each with the value that rows must have. Gives these values of each record. Besides
//! the scope, fields count that name something which has a rate: NetFlow v9 has no scope for a sampler.

use super::enterprise::{IANA, V9_SCOPE};
use super::information_element as ie;
use super::rate_fields::RateFields;
use super::rate_tables::value_of;
use super::records::Records;
use super::scope_name::ScopeName;
use super::slot::Slot;
use super::template::{Element, Template, TemplateKind, VARIABLE};
use super::v9_scope;

/// What the records of an options template tell of rates.
#[derive(Debug)]
pub(super) struct RateScopes {
    rate: RateFields,
    domain: Option<Slot>,
    scopes: Vec<RateScope>,
}

/// Names that a rate is announced for, in order, and where their values are.
#[derive(Debug, Default)]
pub(super) struct RateScope {
    pub(super) names: Vec<ScopeName>,
    slots: Vec<Slot>,
}

/// What a field says of the rows that a rate holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Nothing: it is about the whole exporter, or about something else.
    Nothing,
    Domain,
    Name(ScopeName),
}

impl RateScopes {
    /// The scopes of an options template, if its records tell rates at all.
    pub(super) fn of(template: &Template) -> Option<Self> {
        let rate = RateFields::of(template)?;
        let TemplateKind::Options { scopes } = template.kind else { return None };
        let (mut domain, mut scope, mut sampler, mut offset) = (None, RateScope::default(), None, 0);
        for (position, field) in template.fields.iter().enumerate() {
            let length = if field.length == VARIABLE { 0 } else { usize::from(field.length) };
            let slot = Slot { field: position, offset, length };
            offset += length;
            let is_scope = position < usize::from(scopes);
            match says(field.element, is_scope) {
                Says::Domain => domain = domain.or(Some(slot)),
                Says::Name(ScopeName::Sampler) if !is_scope => sampler = sampler.or(Some(slot)),
                Says::Name(name) => scope.add(name, slot),
                Says::Nothing => {}
            }
        }
        Some(Self { rate, domain, scopes: scope.settled(sampler) })
    }

    /// What a record tells: the rate, and the domain that it is announced for if that is told.
    pub(super) fn read(&self, records: &Records<'_>, row: usize) -> Option<(u64, Option<u32>)> {
        let rate = self.rate.rate(records, row)?;
        let domain = self.domain.and_then(|slot| value_of(records.field_of(row, slot)));
        Some((rate, domain.map(|domain| u32::try_from(domain).unwrap_or(u32::MAX))))
    }

    /// What the rates are announced for; for each of them, they hold.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &RateScope> {
        self.scopes.iter()
    }
}

impl RateScope {
    /// The values of the names in a record; `None` when one is left out.
    pub(super) fn values(&self, records: &Records<'_>, row: usize) -> Option<Vec<u64>> {
        self.slots.iter().map(|&slot| value_of(records.field_of(row, slot))).collect()
    }

    fn add(&mut self, name: ScopeName, slot: Slot) {
        let place = self.names.partition_point(|known| *known < name);
        if self.names.get(place) != Some(&name) {
            self.names.insert(place, name);
            self.slots.insert(place, slot);
        }
    }

    /// The scopes of records that tell a sampler besides. A rate is the sampler's then, and that of an interface
    /// which uses it; elsewhere samplers may have numbers of their own.
    fn settled(mut self, sampler: Option<Slot>) -> Vec<Self> {
        self.tell_inputs_and_outputs_apart();
        let Some(slot) = sampler else { return vec![self] };
        let of_sampler = Self { names: vec![ScopeName::Sampler], slots: vec![slot] };
        match *self.names {
            [] => vec![of_sampler],
            [ScopeName::Interface | ScopeName::OutputInterface] => vec![of_sampler, self],
            _ => {
                self.add(ScopeName::Sampler, slot);
                vec![self]
            }
        }
    }

    /// An interface is the one that a flow was observed at, unless two are named.
    fn tell_inputs_and_outputs_apart(&mut self) {
        let pair = [ScopeName::Interface, ScopeName::OutputInterface];
        if pair.iter().all(|name| self.names.contains(name)) {
            for (name, id) in pair.into_iter().zip([ie::INGRESS_INTERFACE, ie::EGRESS_INTERFACE]) {
                let Some(place) = self.names.iter().position(|known| *known == name) else { return };
                self.names.remove(place);
                let slot = self.slots.remove(place);
                self.add(ScopeName::Element(IANA, id), slot);
            }
        }
    }
}

/// What a field of an options record says, in its scope or besides.
fn says(element: Element, is_scope: bool) -> Says {
    match (element.enterprise, element.id) {
        (V9_SCOPE, v9_scope::SYSTEM) => Says::Nothing,
        (V9_SCOPE, v9_scope::INTERFACE) | (IANA, ie::INGRESS_INTERFACE) => Says::Name(ScopeName::Interface),
        (V9_SCOPE, v9_scope::LINE_CARD) => Says::Name(ScopeName::Element(IANA, ie::LINE_CARD_ID)),
        (V9_SCOPE, v9_scope::TEMPLATE) | (IANA, ie::TEMPLATE_ID) => Says::Name(ScopeName::Template),
        // Numbers above NetFlow v9's own are those of elements.
        (V9_SCOPE, id) if id > v9_scope::TEMPLATE => says(Element::iana(id), is_scope),
        (IANA, ie::EGRESS_INTERFACE) => Says::Name(ScopeName::OutputInterface),
        (IANA, ie::SAMPLER_ID | ie::SELECTOR_ID) => Says::Name(ScopeName::Sampler),
        (IANA, ie::OBSERVATION_DOMAIN_ID) => Says::Domain,
        (IANA, ie::FLOW_DIRECTION) => Says::Name(ScopeName::Element(IANA, ie::FLOW_DIRECTION)),
        (enterprise, id) if is_scope => Says::Name(ScopeName::Element(enterprise, id)),
        _ => Says::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::Field;
    use super::*;

    /// The names of the scopes of a template with these fields, of which the first ones are its scope.
    fn scopes(scopes: u16, elements: &[(u32, u16)]) -> Vec<Vec<ScopeName>> {
        let field = |&(enterprise, id): &(u32, u16)| Field { element: Element { enterprise, id }, length: 2 };
        let fields = elements.iter().chain(&[(0, 34)]).map(field).collect();
        let template = Template { id: 256, kind: TemplateKind::Options { scopes }, fields };
        let scopes = RateScopes::of(&template).unwrap();
        scopes.scopes().map(|scope| scope.names.clone()).collect()
    }

    #[test]
    fn scopes_have_names() {
        use ScopeName as S;
        let of = |element| scopes(1, &[element]).concat();
        assert_eq!(of((V9_SCOPE, 1)), []);
        assert_eq!([of((V9_SCOPE, 2)), of((0, 10))], [[S::Interface]; 2]);
        assert_eq!([of((V9_SCOPE, 3)), of((0, 141))], [[S::Element(0, 141)]; 2]);
        assert_eq!([of((V9_SCOPE, 5)), of((V9_SCOPE, 145)), of((0, 145))], [[S::Template]; 3]);
        assert_eq!([of((V9_SCOPE, 48)), of((0, 48)), of((0, 302))], [[S::Sampler]; 3]);
        assert_eq!([of((V9_SCOPE, 14)), of((0, 14))], [[S::OutputInterface]; 2]);
        assert_eq!(of((V9_SCOPE, 4)), [S::Element(V9_SCOPE, 4)]);
        assert_eq!([of((V9_SCOPE, 900)), of((0, 900))], [[S::Element(0, 900)]; 2]);
        assert_eq!(of((0, 149)), [], "a domain is told apart");
    }

    #[test]
    fn a_scope_may_have_several_names() {
        use ScopeName as S;
        assert_eq!(scopes(2, &[(0, 61), (0, 10)]), [[S::Interface, S::Element(0, 61)]]);
        assert_eq!(scopes(2, &[(0, 14), (0, 10)]), [[S::Element(0, 10), S::Element(0, 14)]]);
        assert_eq!(scopes(2, &[(0, 302), (0, 149)]), [[S::Sampler]]);
        assert_eq!(scopes(1, &[(V9_SCOPE, 1), (0, 48)]), [[S::Sampler]], "told besides the scope");
        assert_eq!(scopes(1, &[(V9_SCOPE, 2), (0, 48)]), [[S::Sampler], [S::Interface]]);
        assert_eq!(scopes(1, &[(V9_SCOPE, 3), (0, 48)]), [[S::Sampler, S::Element(0, 141)]]);
        assert_eq!(scopes(1, &[(V9_SCOPE, 1), (0, 82)]), [[]], "what else is told does not matter");
    }
}

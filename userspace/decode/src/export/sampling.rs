//! Sampling rates that an exporter announced: for all, or for what `rate_tables.rs` tells apart.
//!
//! Some exporters announce in one observation domain what holds in others (Cisco's IOS XE), or name the domain
//! that a rate is for. So the domains of an exporter share what they know: what is told of a domain by name, what
//! an IPFIX exporter tells of itself in domain 0, and the rest as long as all agree.
//!
//! Of several rates the first of these holds: the record's own, that of its sampler, its template, its interface,
//! of what else its scope names; the domain's; the exporter's; the one that is assumed.

use super::rate_remarks::{RateRemarks, UnfollowedRates};
use super::rate_scopes::RateScopes;
use super::rate_tables::{Lookup, Noted, RowFields, Tables};
use super::records::Records;
use super::scope_name::ScopeName;
use super::template::Template;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rates that all domains together keep.
const RATES_ALL_MAX: usize = 1 << 16;

/// Rates of one table that other domains of its exporter learn of; with more, none.
const SHARED_MAX: usize = 256;

/// Rates that the domains of one exporter share.
const SHARED_ALL_MAX: usize = 4096;

/// Domains that share, and domains that one of them may speak of.
const DOMAINS_MAX: usize = 256;

/// What one exporter and domain said of its sampling.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampling {
    domain: u32,
    /// Whether domain 0 stands for the whole exporter (RFC 7011 §3.1).
    is_ipfix: bool,
    /// What the header of the last message said.
    header: Option<u64>,
    /// The rate that is assumed as long as the exporter says nothing.
    assumed: Option<u64>,
    own: Tables,
    of_others: BTreeMap<u32, Tables>,
    shared: Arc<Shared>,
    /// Whether something changed since the domains of the exporter last shared what they know.
    has_news: bool,
    /// Rates that there was no room for.
    refused: u64,
    known: Known,
}

/// What the domains of one exporter say together.
#[derive(Debug, Default)]
struct Shared {
    /// Rates that all domains agree on.
    agreed: Tables,
    /// The rate of the whole exporter.
    whole: Option<u64>,
    /// Rates of domains that others named, by their number.
    named: BTreeMap<u32, Tables>,
}

/// What follows from all that a domain and its exporter said.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The rate of what has none of its own. An exporter with a single sampler may leave its number out of the
    /// records.
    overall: Option<u64>,
    /// The rate of records that name a sampler which nobody announced.
    without_samplers: Option<u64>,
    tells_rows_apart: bool,
}

impl Sampling {
    /// What is assumed of a domain that has said nothing yet.
    pub(super) fn new(assumed: Option<u64>) -> Self {
        Self { assumed, ..Self::default() }.settled()
    }

    /// What is assumed of the domain with this number.
    pub(super) fn of_domain(self, domain: u32, is_ipfix: bool) -> Self {
        Self { domain, is_ipfix, ..self }
    }

    /// Another domain of the same exporter, of which nothing is known but what the others say.
    pub(super) fn of_sibling(&self, domain: u32) -> Self {
        let new = Self::new(self.assumed).of_domain(domain, self.is_ipfix);
        Self { shared: self.shared.clone(), ..new }.settled()
    }

    /// Forgets what its exporter said.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.assumed).of_domain(self.domain, self.is_ipfix);
    }

    /// The rate of what has none of its own.
    pub(super) const fn overall(&self) -> Option<u64> {
        self.known.overall
    }

    /// Notes what the header of a message says of all its records.
    pub(super) fn note_header(&mut self, rate: u64) {
        if self.header != Some(rate) {
            self.header = Some(rate);
            self.settle();
        }
    }

    /// Finds the rates of rows that have none of their own; 0 stands for an unknown one.
    pub(super) fn fill(&self, fields: RowFields<'_>, records: &Records<'_>, rates: &mut [u64]) {
        let is_sampler_told = self.known.tells_rows_apart && fields.sampler().is_some();
        if self.known.tells_rows_apart {
            let mut lookups: Vec<_> = self.lookups(fields).collect();
            lookups.sort_by_key(Lookup::order);
            lookups.iter().for_each(|lookup| lookup.fill(records, rates));
        }
        let rest = if is_sampler_told { self.known.without_samplers } else { self.known.overall };
        let rest = rest.unwrap_or(0);
        rates.iter_mut().filter(|rate| **rate == 0).for_each(|rate| *rate = rest);
    }

    /// Whether all rows without a rate of their own have the same.
    pub(super) const fn is_same_for_all(&self) -> bool {
        !self.known.tells_rows_apart
    }

    /// The tables that tell rows apart, what the domain says itself first.
    fn lookups<'a>(&'a self, fields: RowFields<'a>) -> impl Iterator<Item = Lookup<'a>> {
        let named = self.shared.named.get(&self.domain);
        let tables = [Some(&self.own), named, Some(&self.shared.agreed)].into_iter().flatten();
        tables.flat_map(move |tables| tables.lookups(fields))
    }

    /// Rates that are kept.
    pub(super) fn len(&self) -> usize {
        self.own.len() + self.of_others.values().map(Tables::len).sum::<usize>()
    }

    /// What holds for no record, when those of its exporter are of these templates.
    pub(super) fn remarks<'a>(&self, templates: impl Iterator<Item = &'a Template> + Clone) -> RateRemarks {
        let templates = templates.filter(|template| !template.kind.is_options());
        RateRemarks { unfollowed: self.unfollowed(&templates), refused: self.refused }
    }

    fn unfollowed<'a>(&self, templates: &(impl Iterator<Item = &'a Template> + Clone)) -> UnfollowedRates {
        let fields = |template| RowFields { template, is_reverse: false };
        let tells = |name| templates.clone().any(|template| fields(template).tells(name));
        let of_others = self.of_others.values().flat_map(Tables::iter);
        let narrow = self.own.iter().chain(of_others).filter(|table| !table.is_of_all());
        let mut unfollowed = UnfollowedRates::new();
        for table in narrow {
            let untold = table.names().iter().find(|&&name| !tells(name));
            let is_first_enough = |name| tells(name) && self.shared.agreed.agrees_on(name);
            let is_followed = table.names().first().is_some_and(|&first| is_first_enough(first));
            if let Some(&name) = untold.filter(|_| !is_followed) {
                *unfollowed.entry(name).or_default() += table.len() as u64;
            }
        }
        unfollowed
    }

    /// Tells the domains of one exporter what all of them say.
    pub(super) fn share<'a>(domains: impl Iterator<Item = &'a mut Self>) {
        let mut domains: Vec<_> = domains.collect();
        let has_few = domains.len() <= DOMAINS_MAX;
        let shared = Arc::new(if has_few { Shared::of(&domains) } else { Shared::default() });
        for domain in &mut domains {
            domain.shared = shared.clone();
            domain.has_news = false;
            domain.settle();
        }
    }

    /// Whether other domains of the exporter are to be told.
    pub(super) const fn has_news(&self) -> bool {
        self.has_news
    }

    /// Learns from options records; `held` is how many rates all domains keep.
    pub(super) fn learn(&mut self, template: &Template, records: &Records<'_>, held: &mut usize) {
        let Some(scopes) = RateScopes::of(template) else { return };
        let before = self.len();
        let room = RATES_ALL_MAX.saturating_sub(*held);
        for row in 0..records.len() {
            let Some((rate, domain)) = scopes.read(records, row) else { continue };
            for scope in scopes.scopes() {
                let Some(values) = scope.values(records, row) else { continue };
                let has_room = self.len() - before < room;
                let noted = self
                    .tables_of(domain)
                    .map_or(Noted::Refused, |tables| tables.note(&scope.names, &values, rate, has_room));
                self.has_news |= noted == Noted::Changed;
                self.refused += u64::from(noted == Noted::Refused);
            }
        }
        *held += self.len() - before;
        if self.has_news {
            self.settle();
        }
    }

    /// Where rates of a domain are kept: of its own, and of others if there is room for them.
    fn tables_of(&mut self, domain: Option<u32>) -> Option<&mut Tables> {
        match domain.filter(|&domain| domain != self.domain) {
            None => Some(&mut self.own),
            Some(other) if self.of_others.len() < DOMAINS_MAX || self.of_others.contains_key(&other) => {
                Some(self.of_others.entry(other).or_default())
            }
            Some(_) => None,
        }
    }

    fn settled(mut self) -> Self {
        self.settle();
        self
    }

    /// Works out what follows from all that is known.
    fn settle(&mut self) {
        let (shared, named) = (&self.shared, self.shared.named.get(&self.domain));
        let own = self.header.or_else(|| self.own.of_all()).or_else(|| named.and_then(Tables::of_all));
        let single = || [Some(&self.own), named].into_iter().flatten().find_map(Tables::of_only_sampler);
        let of_exporter = shared.whole.or_else(|| shared.agreed.of_all());
        let single_of_exporter = || shared.agreed.of_only_sampler();
        let tables = [Some(&self.own), named, Some(&shared.agreed)];
        self.known = Known {
            overall: own.or_else(single).or(of_exporter).or_else(single_of_exporter).or(self.assumed),
            without_samplers: own.or(of_exporter).or(self.assumed),
            tells_rows_apart: tables.into_iter().flatten().any(Tables::tells_rows_apart),
        };
    }
}

impl Shared {
    fn of(domains: &[&mut Sampling]) -> Self {
        let (mut shared, mut room) = (Self::default(), SHARED_ALL_MAX);
        for domain in domains {
            if let Some(rate) = domain.own.of_all() {
                shared.agreed.agree(&[], &[], Some(rate));
            }
            shared.agree(&domain.own, &mut room);
            for (&number, tables) in &domain.of_others {
                shared.name(number, tables, &mut room);
                shared.agree(tables, &mut room);
            }
        }
        let mut whole = domains.iter().filter(|domain| domain.is_ipfix && domain.domain == 0);
        let named = shared.named.get(&0).and_then(Tables::of_all);
        shared.whole = whole.find_map(|domain| domain.own.of_all()).or(named);
        shared
    }

    /// Takes in what tells rows apart in any domain; of a scope of several names also its first name alone.
    fn agree(&mut self, tables: &Tables, room: &mut usize) {
        let is_of_one_domain = |names: &[ScopeName]| names.is_empty() || names.contains(&ScopeName::Template);
        for table in tables.iter().filter(|table| !is_of_one_domain(table.names())) {
            if !takes_room(table.len(), room) {
                continue;
            }
            for (values, rate) in table.iter() {
                self.agreed.agree(table.names(), values, rate);
                if values.len() > 1 {
                    self.agreed.agree(&table.names()[..1], &values[..1], rate);
                }
            }
        }
    }

    /// Takes in what is told of a domain by its number.
    fn name(&mut self, number: u32, tables: &Tables, room: &mut usize) {
        let named = self.named.entry(number).or_default();
        for table in tables.iter().filter(|table| takes_room(table.len(), room)) {
            table.iter().for_each(|(values, rate)| named.agree(table.names(), values, rate));
        }
    }
}

/// Whether a table of so many rates is shared.
fn takes_room(rates: usize, room: &mut usize) -> bool {
    let has_room = rates <= SHARED_MAX.min(*room);
    *room -= if has_room { rates } else { 0 };
    has_room
}

#[cfg(test)]
mod tests {
    use super::super::enterprise::V9_SCOPE;
    use super::super::template::{Element, Field, TemplateKind};
    use super::*;

    fn learned(elements: &[(u32, u16)], records: &[&[u16]]) -> Sampling {
        learned_beside(&mut 0, elements, records)
    }

    /// The first element is the scope.
    fn learned_beside(held: &mut usize, elements: &[(u32, u16)], records: &[&[u16]]) -> Sampling {
        let mut sampling = Sampling::new(None).of_domain(7, true);
        learn(&mut sampling, held, elements, records);
        sampling
    }

    fn learn(sampling: &mut Sampling, held: &mut usize, elements: &[(u32, u16)], records: &[&[u16]]) {
        let template = template(TemplateKind::Options { scopes: 1 }, elements);
        let body: Vec<u8> = records.iter().copied().flatten().flat_map(|word| word.to_be_bytes()).collect();
        sampling.learn(&template, &Records::fixed(&body, 2 * elements.len()), held);
    }

    fn template(kind: TemplateKind, elements: &[(u32, u16)]) -> Template {
        let field = |&(enterprise, id): &(u32, u16)| Field { element: Element { enterprise, id }, length: 2 };
        Template { id: 256, kind, fields: elements.iter().map(field).collect() }
    }

    /// The rates of records with these elements.
    fn rates(sampling: &Sampling, elements: &[u16], records: &[&[u16]]) -> Vec<u64> {
        let elements: Vec<_> = elements.iter().map(|&id| (0, id)).collect();
        let template = template(TemplateKind::Data, &elements);
        let body: Vec<u8> = records.iter().copied().flatten().flat_map(|word| word.to_be_bytes()).collect();
        let mut rates = vec![0; records.len()];
        let fields = RowFields { template: &template, is_reverse: false };
        sampling.fill(fields, &Records::fixed(&body, 2 * elements.len()), &mut rates);
        rates
    }

    #[test]
    fn rates_of_all() {
        assert_eq!(learned(&[(V9_SCOPE, 1), (0, 34)], &[&[0, 100]]).overall(), Some(100));
        assert_eq!(learned(&[(0, 144), (0, 305), (0, 306)], &[&[1, 1, 999]]).overall(), Some(1000));
        assert_eq!(learned(&[(0, 149), (0, 309), (0, 310)], &[&[7, 10, 5000]]).overall(), Some(500));
        assert_eq!(learned(&[(0, 149), (0, 34)], &[&[8, 100]]).overall(), None, "of another domain");
        assert_eq!(
            learned(&[(0, 143), (0, 34)], &[&[1, 100], &[2, 200]]).overall(),
            None,
            "of two processes"
        );
        assert_eq!(learned(&[(0, 143), (0, 34)], &[&[1, 100], &[2, 100]]).overall(), Some(100));
        assert_eq!(learned(&[(V9_SCOPE, 1), (0, 34)], &[&[0, 0]]).overall(), None, "zero says nothing");
    }

    #[test]
    fn samplers_and_interfaces_have_their_own() {
        let sampling = learned(&[(V9_SCOPE, 1), (0, 48), (0, 50)], &[&[0, 1, 100], &[0, 2, 200]]);
        assert_eq!(rates(&sampling, &[48], &[&[1], &[2], &[3]]), [100, 200, 0]);
        assert_eq!(sampling.overall(), None, "of two, none speaks for all");
        let sampling = learned(&[(V9_SCOPE, 1), (0, 48), (0, 50)], &[&[0, 1, 100]]);
        assert_eq!(sampling.overall(), Some(100));
        assert_eq!(rates(&sampling, &[48], &[&[1], &[2]]), [100, 0], "another one's is not known");
        let sampling = learned(&[(V9_SCOPE, 2), (0, 34)], &[&[7, 100], &[8, 200]]);
        assert_eq!(rates(&sampling, &[10], &[&[7], &[8], &[9]]), [100, 200, 0]);
    }

    #[test]
    fn an_interface_is_where_the_flow_was_observed() {
        let by_interface = learned(&[(0, 10), (0, 34)], &[&[7, 100], &[9, 5000]]);
        let records: [&[u16]; 4] = [&[7, 9, 0], &[7, 9, 1], &[9, 7, 1], &[7, 8, 1]];
        assert_eq!(rates(&by_interface, &[10, 14, 61], &records), [100, 5000, 100, 0]);
        assert_eq!(rates(&by_interface, &[10, 14], &[&[7, 9], &[0, 9], &[1, 9]]), [100, 5000, 0]);
        assert_eq!(rates(&by_interface, &[14], &[&[9]]), [5000]);
        let mut by_both = learned(&[(0, 10), (0, 34)], &[&[7, 100]]);
        learn(&mut by_both, &mut 0, &[(0, 14), (0, 34)], &[&[7, 5000]]);
        let records: [&[u16]; 3] = [&[7, 7, 0], &[7, 7, 1], &[1, 7, 0]];
        assert_eq!(rates(&by_both, &[10, 14, 61], &records), [100, 5000, 0], "inputs and outputs are apart");
        assert_eq!(rates(&by_both, &[10, 14], &[&[7, 7], &[1, 7]]), [100, 5000]);
    }

    #[test]
    fn templates_and_other_fields_have_their_own() {
        let sampling = learned(&[(V9_SCOPE, 5), (0, 34)], &[&[256, 100], &[257, 1]]);
        assert_eq!((rates(&sampling, &[8], &[&[1]]), sampling.overall()), (vec![100], None));
        let sampling = learned(&[(V9_SCOPE, 3), (0, 34)], &[&[1, 100], &[2, 200]]);
        assert_eq!(rates(&sampling, &[141], &[&[2], &[3]]), [200, 0]);
        assert_eq!(rates(&sampling, &[8], &[&[2]]), [0]);
        let sampling = learned(&[(0, 234), (0, 34)], &[&[1, 100], &[2, 200]]);
        assert_eq!(rates(&sampling, &[234], &[&[2], &[1]]), [200, 100]);
    }

    #[test]
    fn what_narrows_down_more_counts() {
        let mut sampling = learned(&[(V9_SCOPE, 1), (0, 34)], &[&[0, 2]]);
        let fields = [8, 10, 48];
        let record: [&[u16]; 1] = [&[1, 7, 9]];
        assert_eq!(rates(&sampling, &fields, &record), [2]);
        learn(&mut sampling, &mut 0, &[(V9_SCOPE, 2), (0, 34)], &[&[7, 3]]);
        assert_eq!(rates(&sampling, &fields, &record), [3]);
        learn(&mut sampling, &mut 0, &[(V9_SCOPE, 5), (0, 34)], &[&[256, 4]]);
        assert_eq!(rates(&sampling, &fields, &record), [4]);
        learn(&mut sampling, &mut 0, &[(V9_SCOPE, 48), (0, 50)], &[&[9, 5]]);
        assert_eq!(rates(&sampling, &fields, &record), [5]);
        learn(&mut sampling, &mut 0, &[(V9_SCOPE, 5), (0, 48), (0, 50)], &[&[256, 9, 6]]);
        assert_eq!(rates(&sampling, &fields, &record), [6], "a sampler's of this template");
    }

    #[test]
    fn what_no_record_tells_is_named() {
        let mut sampling = learned(&[(V9_SCOPE, 3), (0, 34)], &[&[1, 100], &[2, 200]]);
        learn(&mut sampling, &mut 0, &[(V9_SCOPE, 4), (0, 34)], &[&[1, 100]]);
        learn(&mut sampling, &mut 0, &[(0, 144), (0, 34)], &[&[1, 100]]);
        assert_eq!(sampling.overall(), Some(100));
        let unfollowed = |ids: &[(u32, u16)]| {
            let template = template(TemplateKind::Data, ids);
            let unfollowed = sampling.unfollowed(&[&template].into_iter());
            unfollowed.into_iter().map(|(name, count)| format!("{} {count}", name.text())).collect::<Vec<_>>()
        };
        assert_eq!(unfollowed(&[(0, 8)]), ["line card 2", "cache 1"]);
        assert_eq!(unfollowed(&[(0, 8), (0, 141)]), ["cache 1"]);
    }

    #[test]
    fn domains_share_what_they_agree_on() {
        let mut domains = [0, 5, 6].map(|number| Sampling::new(None).of_domain(number, false));
        learn(&mut domains[0], &mut 0, &[(V9_SCOPE, 1), (0, 34)], &[&[0, 100]]);
        Sampling::share(domains.iter_mut());
        assert_eq!(domains.each_ref().map(Sampling::overall), [Some(100); 3]);
        learn(&mut domains[1], &mut 0, &[(V9_SCOPE, 1), (0, 34)], &[&[0, 200]]);
        Sampling::share(domains.iter_mut());
        assert_eq!(domains.each_ref().map(Sampling::overall), [Some(100), Some(200), None]);
        assert_eq!(domains[0].of_sibling(9).overall(), None);
        learn(&mut domains[0], &mut 0, &[(0, 149), (0, 34)], &[&[6, 300], &[9, 400]]);
        Sampling::share(domains.iter_mut());
        assert_eq!(domains.each_ref().map(Sampling::overall), [Some(100), Some(200), Some(300)]);
        assert_eq!(domains[0].of_sibling(9).overall(), Some(400), "a domain that was named before it came");
    }

    #[test]
    fn the_domain_without_number_is_the_whole_exporter() {
        let mut domains = [0, 5, 6].map(|number| Sampling::new(None).of_domain(number, true));
        learn(&mut domains[0], &mut 0, &[(0, 144), (0, 34)], &[&[0, 100]]);
        learn(&mut domains[1], &mut 0, &[(0, 144), (0, 34)], &[&[0, 200]]);
        Sampling::share(domains.iter_mut());
        assert_eq!(domains.each_ref().map(Sampling::overall), [Some(100), Some(200), Some(100)]);
    }

    #[test]
    fn all_domains_together_keep_so_many() {
        let (samplers, records) = ([(0, 48), (0, 50)], [[1, 100], [2, 200], [1, 150]]);
        let records = records.each_ref().map(|record| &record[..]);
        let mut held = RATES_ALL_MAX - 1;
        let sampling = learned_beside(&mut held, &samplers, &records);
        assert_eq!((held, sampling.len(), sampling.refused), (RATES_ALL_MAX, 1, 1));
        assert_eq!(rates(&sampling, &[48], &[&[1], &[2]]), [150, 0], "what is known changes");
    }
}

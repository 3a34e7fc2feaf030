//! Sampling rates that an exporter announced: for all, by sampler, by interface.
//!
//! Some exporters announce their samplers in one observation domain and name them in the records of others
//! (Cisco's IOS XE). So the domains of an exporter share what they know, as long as they agree.

use super::records::Records;
use super::template::{Element, Template, V9_SCOPE};
use super::wire::number;
use std::collections::HashMap;
use std::sync::Arc;

/// Samplers or interfaces of one domain that are told apart; further ones count as unknown.
const RATES_MAX: usize = 4096;

/// The same of all domains together.
const RATES_ALL_MAX: usize = 1 << 16;

/// Samplers of one domain that others of its exporter learn of; with more, none. And domains that share.
const SHARED_MAX: usize = 64;

/// Rates by the number of a sampler or an interface.
type Rates = HashMap<u64, u64>;

/// What one exporter and domain said of its sampling.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampling {
    /// For everything that has no rate of its own.
    pub(super) announced: Option<u64>,
    /// As long as the exporter says nothing.
    assumed: Option<u64>,
    by_sampler: Rates,
    by_interface: Rates,
    /// What the exporter's domains say together; `None` where they do not agree.
    shared: Arc<HashMap<u64, Option<u64>>>,
    /// Whether `by_sampler` has changed since it was shared.
    has_news: bool,
}

impl Sampling {
    /// What is assumed of an exporter that has said nothing yet.
    pub(super) fn new(assumed: Option<u64>) -> Self {
        Self { assumed, ..Self::default() }
    }

    /// The rate of what has none of its own. An exporter with a single sampler may leave its number out of the
    /// records.
    pub(super) fn overall(&self) -> Option<u64> {
        let single = || self.by_sampler.values().next().copied().filter(|_| self.by_sampler.len() == 1);
        self.announced.or_else(single).or(self.assumed)
    }

    pub(super) fn of_sampler(&self, sampler: u64) -> Option<u64> {
        let shared = || self.shared.get(&sampler).copied().flatten();
        self.by_sampler.get(&sampler).copied().or_else(shared).or(self.announced).or(self.assumed)
    }

    pub(super) fn of_interface(&self, interface: u64) -> Option<u64> {
        self.by_interface.get(&interface).copied().or_else(|| self.overall())
    }

    /// Samplers and interfaces that are kept.
    pub(super) fn len(&self) -> usize {
        self.by_sampler.len() + self.by_interface.len()
    }

    /// Tells the domains of one exporter what all of them say.
    pub(super) fn share<'a>(domains: impl Iterator<Item = &'a mut Self>) {
        let mut domains: Vec<_> = domains.collect();
        let has_few = domains.len() <= SHARED_MAX;
        let known = domains.iter().map(|domain| &domain.by_sampler);
        let known = known.filter(|known| has_few && known.len() <= SHARED_MAX);
        let mut shared = HashMap::new();
        for (&sampler, &rate) in known.flatten() {
            let agreed = shared.entry(sampler).or_insert(Some(rate));
            *agreed = agreed.filter(|&agreed| agreed == rate);
        }
        let shared = Arc::new(shared);
        for domain in &mut domains {
            domain.shared = shared.clone();
            domain.has_news = false;
        }
    }

    /// A domain that nothing is known of but what others of its exporter say.
    pub(super) fn share_of(&self, assumed: Option<u64>) -> Self {
        Self { shared: self.shared.clone(), ..Self::new(assumed) }
    }

    /// Whether other domains of the exporter are to be told.
    pub(super) const fn has_news(&self) -> bool {
        self.has_news
    }

    /// Learns from options records; `held` is how many rates all domains keep.
    pub(super) fn learn(&mut self, template: &Template, records: &Records<'_>, held: &mut usize) {
        let before = self.len();
        let room = RATES_ALL_MAX.saturating_sub(*held);
        for row in 0..records.len() {
            let announced = Announcement::read(template, records, row);
            let Some(rate) = announced.rate() else { continue };
            let has_room = self.len() - before < room;
            match (announced.sampler, announced.interface) {
                (Some(sampler), _) => {
                    self.has_news |= insert(&mut self.by_sampler, sampler, rate, has_room);
                }
                (None, Some(interface)) => {
                    insert(&mut self.by_interface, interface, rate, has_room);
                }
                (None, None) => self.announced = Some(rate),
            }
        }
        *held += self.len() - before;
    }
}

/// Notes a rate, of something new only where there is room; says whether that changes anything.
fn insert(rates: &mut Rates, key: u64, rate: u64, has_room: bool) -> bool {
    let has_room = has_room && rates.len() < RATES_MAX || rates.contains_key(&key);
    has_room && rates.insert(key, rate) != Some(rate)
}

/// The fields of an options record that have to do with sampling.
#[derive(Clone, Copy, Debug, Default)]
struct Announcement {
    sampler: Option<u64>,
    interface: Option<u64>,
    /// One packet in so many.
    interval: Option<u64>,
    /// So many packets in a row are taken …
    taken: Option<u64>,
    /// … and so many are left out.
    space: Option<u64>,
    size: Option<u64>,
    population: Option<u64>,
    probability: Option<f64>,
}

impl Announcement {
    fn read(template: &Template, records: &Records<'_>, row: usize) -> Self {
        let mut announced = Self::default();
        let mut offset = 0;
        for (position, field) in template.fields.iter().enumerate() {
            let slot = super::records::Slot { field: position, offset, length: usize::from(field.length) };
            let octets = records.field_of(row, slot);
            offset += slot.length;
            if !octets.is_empty() {
                announced.note(field.element, octets);
            }
        }
        announced
    }

    fn note(&mut self, element: Element, octets: &[u8]) {
        let value = Some(number(octets));
        match (element.enterprise, element.id) {
            (V9_SCOPE, 2) | (0, 10) => self.interface = value,
            (0, 48 | 302) => self.sampler = value,
            (0, 34 | 50) => self.interval = value,
            (0, 305) => self.taken = value,
            (0, 306) => self.space = value,
            (0, 309) => self.size = value,
            (0, 310) => self.population = value,
            (0, 311) => self.probability = probability(octets),
            _ => {}
        }
    }

    fn rate(&self) -> Option<u64> {
        let ratio = |all: u64, part: u64| Some(all.checked_div(part)?.max(1));
        if let Some(interval) = self.interval.filter(|&interval| interval > 0) {
            return Some(interval);
        }
        if let (Some(taken), Some(space)) = (self.taken, self.space) {
            return ratio(taken.saturating_add(space), taken);
        }
        if let (Some(size), Some(population)) = (self.size, self.population) {
            return ratio(population, size);
        }
        let probability = self.probability.filter(|&probability| probability > 0.0 && probability <= 1.0)?;
        Some((1.0 / probability).round() as u64)
    }
}

fn probability(octets: &[u8]) -> Option<f64> {
    match octets.len() {
        4 => Some(f64::from(f32::from_bits(u32::try_from(number(octets)).ok()?))),
        8 => Some(f64::from_bits(number(octets))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::{Field, TemplateKind};
    use super::*;

    fn learned(elements: &[(u32, u16)], records: &[&[u16]]) -> Sampling {
        learned_beside(&mut 0, elements, records)
    }

    fn learned_beside(held: &mut usize, elements: &[(u32, u16)], records: &[&[u16]]) -> Sampling {
        let field = |&(enterprise, id): &(u32, u16)| Field { element: Element { enterprise, id }, length: 2 };
        let fields = elements.iter().map(field).collect();
        let template = Template { id: 256, kind: TemplateKind::Options, fields };
        let body: Vec<u8> = records.iter().copied().flatten().flat_map(|word| word.to_be_bytes()).collect();
        let mut sampling = Sampling::default();
        sampling.learn(&template, &Records::fixed(&body, 2 * elements.len()), held);
        sampling
    }

    #[test]
    fn every_way_of_saying_it() {
        assert_eq!(learned(&[(V9_SCOPE, 1), (0, 34)], &[&[0, 100]]).overall(), Some(100));
        assert_eq!(learned(&[(0, 144), (0, 305), (0, 306)], &[&[1, 1, 999]]).overall(), Some(1000));
        assert_eq!(learned(&[(0, 309), (0, 310)], &[&[10, 5000]]).overall(), Some(500));
        assert_eq!(learned(&[(0, 34)], &[&[0]]).overall(), None, "zero says nothing");
        assert_eq!(learned(&[(0, 305), (0, 306)], &[&[0, 5]]).overall(), None);
    }

    #[test]
    fn samplers_and_interfaces_have_their_own() {
        let sampling = learned(&[(V9_SCOPE, 1), (0, 48), (0, 50)], &[&[0, 1, 100], &[0, 2, 200]]);
        assert_eq!([1, 2].map(|sampler| sampling.of_sampler(sampler)), [Some(100), Some(200)]);
        assert_eq!(sampling.overall(), None, "of two, none speaks for all");
        assert_eq!(learned(&[(V9_SCOPE, 1), (0, 48), (0, 50)], &[&[0, 1, 100]]).overall(), Some(100));
        let sampling = learned(&[(V9_SCOPE, 2), (0, 34)], &[&[7, 100], &[8, 200]]);
        assert_eq!([7, 8, 9].map(|interface| sampling.of_interface(interface)), [Some(100), Some(200), None]);
    }

    #[test]
    fn all_domains_together_keep_so_many() {
        let (samplers, records) = ([(0, 48), (0, 50)], [[1, 100], [2, 200], [1, 150]]);
        let records = records.each_ref().map(|record| &record[..]);
        let mut held = RATES_ALL_MAX - 1;
        let sampling = learned_beside(&mut held, &samplers, &records);
        assert_eq!((held, sampling.len()), (RATES_ALL_MAX, 1));
        assert_eq!(
            [1, 2].map(|sampler| sampling.of_sampler(sampler)),
            [Some(150), None],
            "what is known changes"
        );
    }
}

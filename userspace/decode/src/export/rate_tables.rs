//! Sampling rates by what they are announced for: a sampler, a template, an interface, any element.
//!
//! Takes rates with the names and values of their scope; gives the rates of rows whose records tell the same
//! values. Rates whose scope has the same names are a table; what narrows a rate down more goes first.

use super::information_element as ie;
use super::records::Records;
use super::scope_name::ScopeName;
use super::slot::{Slot, find};
use super::template::{Element, Template};
use super::wire::number;
use crate::frame::Direction;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

/// Tables of one domain; with more, the rates of further ones are not kept.
const TABLES_MAX: usize = 16;

/// Rates of one table; further ones are not kept.
const RATES_MAX: usize = 4096;

/// Names of one scope; rates of one with more are not kept.
const NAMES_MAX: usize = 8;

/// What came of noting a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// The rate was known.
    Same,
    Changed,
    /// There is no room for the rate.
    Refused,
}

/// Rates by the values of these names, in that order; `None` where several do not agree.
#[derive(Clone, Debug)]
pub(super) struct Table {
    names: Box<[ScopeName]>,
    rates: HashMap<Box<[u64]>, Option<u64>>,
}

/// All tables of one domain, or of several together.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables(Vec<Table>);

/// How rows are told apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowFields<'a> {
    pub(super) template: &'a Template,
    /// Whether the rows are of a biflow's other direction.
    pub(super) is_reverse: bool,
}

/// Where the value of a name is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Always(u64),
    Field(Slot),
    Interface { input: Option<Slot>, output: Option<Slot>, direction: Option<Slot> },
    OutputInterface { output: Slot, direction: Option<Slot> },
}

/// A table, and where rows tell the values of its names.
#[derive(Debug)]
pub(super) struct Lookup<'t> {
    table: &'t Table,
    places: Vec<Place>,
    order: (u8, Reverse<usize>),
}

impl Table {
    fn of(names: &[ScopeName]) -> Self {
        Self { names: names.into(), rates: HashMap::new() }
    }

    /// What its rates are by.
    pub(super) fn names(&self) -> &[ScopeName] {
        &self.names
    }

    pub(super) fn len(&self) -> usize {
        self.rates.len()
    }

    /// The values of its names with the rates, `None` where several do not agree.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u64], Option<u64>)> {
        self.rates.iter().map(|(values, &rate)| (&**values, rate))
    }

    /// The rate that all of them have.
    fn agreed(&self) -> Option<u64> {
        let first = self.rates.values().next().copied().flatten();
        first.filter(|_| self.rates.values().all(|&rate| rate == first))
    }

    /// Whether the exporter speaks of itself, and with one voice.
    pub(super) fn is_of_all(&self) -> bool {
        match *self.names {
            [] => true,
            [name] => name.is_itself() && self.agreed().is_some(),
            _ => false,
        }
    }
}

impl Tables {
    /// Notes a rate, of something new only where there is room.
    pub(super) fn note(&mut self, names: &[ScopeName], values: &[u64], rate: u64, has_room: bool) -> Noted {
        let Some(table) = self.table(names, has_room) else { return Noted::Refused };
        let has_room = has_room && table.rates.len() < RATES_MAX;
        match table.rates.get_mut(values) {
            Some(known) if *known == Some(rate) => Noted::Same,
            Some(known) => {
                *known = Some(rate);
                Noted::Changed
            }
            None if has_room => {
                table.rates.insert(values.into(), Some(rate));
                Noted::Changed
            }
            None => Noted::Refused,
        }
    }

    /// Takes in a rate of several, which hold as far as they agree.
    pub(super) fn agree(&mut self, names: &[ScopeName], values: &[u64], rate: Option<u64>) {
        if let Some(table) = self.table(names, true) {
            let agreed = table.rates.entry(values.into()).or_insert(rate);
            *agreed = agreed.filter(|_| *agreed == rate);
        }
    }

    /// The table of these names, a new one if there is room.
    fn table(&mut self, names: &[ScopeName], has_room: bool) -> Option<&mut Table> {
        let known = self.0.iter().position(|table| *table.names == *names);
        if known.is_none() {
            if !has_room || self.0.len() >= TABLES_MAX || names.len() > NAMES_MAX {
                return None;
            }
            self.0.push(Table::of(names));
        }
        let last = self.0.len() - 1;
        self.0.get_mut(known.unwrap_or(last))
    }

    /// Rates that are kept.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Table::len).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Table> {
        self.0.iter()
    }

    /// Whether some rates are not of all rows.
    pub(super) fn tells_rows_apart(&self) -> bool {
        self.0.iter().any(|table| !table.names.is_empty())
    }

    /// Whether all that is known by this name alone agrees.
    pub(super) fn agrees_on(&self, name: ScopeName) -> bool {
        let table = self.0.iter().find(|table| *table.names == [name]);
        table.is_some_and(|table| table.rates.values().all(Option::is_some))
    }

    /// The rate of everything: one without a scope, or one that the exporter tells of itself.
    pub(super) fn of_all(&self) -> Option<u64> {
        let without_scope = self.0.iter().find(|table| table.names.is_empty());
        let of_itself = self.0.iter().filter(|table| table.is_of_all());
        without_scope.into_iter().chain(of_itself).find_map(Table::agreed)
    }

    /// The rate of the only sampler.
    pub(super) fn of_only_sampler(&self) -> Option<u64> {
        let samplers = self.0.iter().find(|table| *table.names == [ScopeName::Sampler])?;
        samplers.agreed().filter(|_| samplers.len() == 1)
    }

    /// The tables whose names rows tell.
    pub(super) fn lookups(&self, fields: RowFields<'_>) -> impl Iterator<Item = Lookup<'_>> {
        let named = self.0.iter().filter(|table| !table.names.is_empty());
        named.filter_map(move |table| Lookup::of(table, fields))
    }
}

impl<'t> Lookup<'t> {
    fn of(table: &'t Table, fields: RowFields<'_>) -> Option<Self> {
        let places = table.names.iter().map(|&name| fields.place(name)).collect::<Option<Vec<_>>>()?;
        let first = table.names.first().map_or(u8::MAX, |&name| fields.order(name));
        Some(Self { table, order: (first, Reverse(places.len())), places })
    }

    /// What narrows a rate down more comes first.
    pub(super) const fn order(&self) -> (u8, Reverse<usize>) {
        self.order
    }

    /// Finds the rates of rows that have none yet.
    pub(super) fn fill(&self, records: &Records<'_>, rates: &mut [u64]) {
        let (mut values, mut last, mut found) = (vec![], vec![], 0);
        for (row, rate) in rates.iter_mut().enumerate().filter(|(_, rate)| **rate == 0) {
            values.clear();
            values.extend(self.places.iter().map_while(|place| place.value(records, row)));
            if values.len() < self.places.len() {
                continue;
            }
            // Consecutive records are often of one sampler.
            if values != last {
                found = self.table.rates.get(&values[..]).copied().flatten().unwrap_or(0);
                last.clone_from(&values);
            }
            *rate = found;
        }
    }
}

impl RowFields<'_> {
    /// Where rows tell the value of a name, if they do.
    fn place(self, name: ScopeName) -> Option<Place> {
        let [input, output] = if self.is_reverse {
            [ie::EGRESS_INTERFACE, ie::INGRESS_INTERFACE]
        } else {
            [ie::INGRESS_INTERFACE, ie::EGRESS_INTERFACE]
        }
        .map(|id| self.slot(id));
        let direction = self.slot(ie::FLOW_DIRECTION);
        match name {
            ScopeName::Sampler => self.sampler().map(Place::Field),
            ScopeName::Template => Some(Place::Always(self.template.id.into())),
            ScopeName::Interface if input.or(output).is_some() => {
                Some(Place::Interface { input, output, direction })
            }
            ScopeName::Interface => None,
            ScopeName::OutputInterface => output.map(|output| Place::OutputInterface { output, direction }),
            ScopeName::Element(enterprise, id) => {
                find(self.template, Element { enterprise, id }).map(Place::Field)
            }
        }
    }

    /// Whether rows tell the value of a name.
    pub(super) fn tells(self, name: ScopeName) -> bool {
        self.place(name).is_some()
    }

    /// Where rows name their sampler.
    pub(super) fn sampler(self) -> Option<Slot> {
        self.slot(ie::SAMPLER_ID).or_else(|| self.slot(ie::SELECTOR_ID))
    }

    fn slot(self, id: u16) -> Option<Slot> {
        find(self.template, Element::iana(id))
    }

    /// Which of several rates counts. Of a flow that does not tell where it was observed, that of its input.
    fn order(self, name: ScopeName) -> u8 {
        match name {
            ScopeName::Sampler => 0,
            ScopeName::Template => 1,
            ScopeName::OutputInterface if self.slot(ie::FLOW_DIRECTION).is_some() => 2,
            ScopeName::Interface => 3,
            ScopeName::OutputInterface => 4,
            ScopeName::Element(..) => 5,
        }
    }
}

impl Place {
    /// The value of a row; `None` where it has none.
    fn value(self, records: &Records<'_>, row: usize) -> Option<u64> {
        let field = |slot| value_of(records.field_of(row, slot));
        let is_output = |direction: Option<Slot>| {
            direction.and_then(field).map(|direction| direction == Direction::Egress as u64)
        };
        match self {
            Self::Always(value) => Some(value),
            Self::Field(slot) => field(slot),
            Self::Interface { output, direction, .. } if is_output(direction) == Some(true) => {
                output.and_then(field)
            }
            Self::Interface { input, output, .. } => {
                let input = input.and_then(field);
                input.filter(|&input| input > 0).or_else(|| output.and_then(field)).or(input)
            }
            Self::OutputInterface { output, direction } => {
                field(output).filter(|_| is_output(direction) != Some(false))
            }
        }
    }
}

/// What stands for the octets of a field: their number, and for texts and long addresses one that hardly anything
/// else has. Zeros in front of numbers and behind texts mean nothing.
pub(super) fn value_of(octets: &[u8]) -> Option<u64> {
    if octets.len() <= 8 {
        return (!octets.is_empty()).then(|| number(octets));
    }
    let end = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    let mut hasher = DefaultHasher::new();
    hasher.write(&octets[..end]);
    Some(hasher.finish())
}

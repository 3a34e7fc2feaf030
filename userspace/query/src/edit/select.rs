//! One SELECT of a query's text: what it selects, filters and groups by.

use super::selects::{Found, Item};
use super::text::{Clauses, Part, Text};
use std::collections::BTreeSet;

/// A SELECT in the text.
pub(super) struct Select {
    pub(super) found: Found,
    pub(super) clauses: Clauses,
    /// Its list.
    pub(super) items: Vec<Part>,
}

impl Select {
    /// Its conditions that all hold.
    pub(super) fn conditions(&self, text: &Text<'_>) -> Vec<Part> {
        self.clauses.filter.as_ref().map_or_else(Vec::new, |filter| text.conditions(&filter.body))
    }

    /// What it groups by, the window among it.
    pub(super) fn keys(&self, text: &Text<'_>) -> Vec<Part> {
        self.clauses.group.as_ref().map_or_else(Vec::new, |group| text.list(&group.body))
    }

    /// The item that is called so, by its name or by its text.
    pub(super) fn item(&self, text: &Text<'_>, called: &str) -> Option<(&Part, &Item)> {
        let wanted = normal(called);
        let is_it = |part: &Part, item: &Item| match &item.name {
            Some(name) => name.eq_ignore_ascii_case(called.trim()),
            None => text.normal(part) == wanted,
        };
        self.items.iter().zip(&self.found.items).find(|&(part, item)| is_it(part, item))
    }

    /// What a key means: an item, where it is its place or its name, else itself.
    pub(super) fn meant(&self, text: &Text<'_>, key: &Part) -> Part {
        let by_place = text.number(key).and_then(|place| place.checked_sub(1));
        let by_place = by_place.and_then(|place| self.items.get(place).zip(self.found.items.get(place)));
        let named = || self.item(text, text.text(key)).filter(|(_, item)| item.name.is_some());
        by_place
            .or_else(named)
            .map_or_else(|| key.clone(), |(part, item)| text.unnamed(part, item.name.is_some()))
    }

    /// Which items go, of which text and kind are looked at.
    pub(super) fn gone(&self, text: &Text<'_>, goes: impl Fn(&str, &Item) -> bool) -> BTreeSet<usize> {
        let items = (0..).zip(self.items.iter().zip(&self.found.items));
        let goes =
            |part: &Part, item: &Item| goes(&text.normal(&text.unnamed(part, item.name.is_some())), item);
        items.filter(|&(_, (part, item))| goes(part, item)).map(|(place, _)| place).collect()
    }

    /// Where columns are named by their places, behind GROUP BY and ORDER BY, and which.
    pub(super) fn places(&self, text: &Text<'_>) -> Vec<(Part, usize)> {
        let clauses = self.clauses.group.iter().chain(&self.clauses.order);
        clauses.flat_map(|clause| text.places(&clause.body)).collect()
    }
}

/// A text without what does not matter.
pub(super) fn normal(text: &str) -> String {
    Text::new(text).map_or_else(String::new, |text| text.normal(&text.all()))
}

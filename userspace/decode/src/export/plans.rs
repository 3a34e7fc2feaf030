//! The templates of one exporter and domain, compiled.
//!
//! Takes templates as they are announced, withdrawn or restored; gives the plan of a set. What all domains hold
//! together has a limit.

use super::account::{ExportCounts, Undecodable};
use super::domain::Output;
use super::plan::Plan;
use super::records::{Records, Span};
use super::sets::Set;
use super::template::{TEMPLATE_ID_MIN, Template};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Octets behind the last record of a set that fill it up to a multiple of four.
const PADDING_OCTETS_MAX: usize = 3;

/// What a template takes besides its fields, in fields.
const TEMPLATE_FIELDS: usize = 16;

/// Compiled templates by their number.
#[derive(Debug, Default)]
pub(super) struct Plans {
    by_id: BTreeMap<u16, Arc<Plan>>,
    /// How often they changed.
    changes: u64,
}

impl Plans {
    /// How often they changed.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// The templates, in the order of their numbers.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> + Clone {
        self.by_id.values().map(|plan| &plan.template)
    }

    /// Takes a template as it is announced; says whether its number has a new meaning now.
    pub(super) fn learn(
        &mut self,
        template: Template,
        counts: &mut ExportCounts,
        output: &mut Output,
    ) -> bool {
        counts.templates += 1;
        if template.fields.is_empty() {
            counts.withdrawn += self.withdraw(&template, output) as u64;
            return false;
        }
        if let Some(known) = self.by_id.get_mut(&template.id)
            && known.template == template
        {
            Arc::make_mut(known).is_provisional = false;
            return false;
        }
        let was_provisional = self.by_id.get(&template.id).map(|known| known.is_provisional);
        match self.insert(template, false, output) {
            Ok(()) => counts.redefined += u64::from(was_provisional == Some(false)),
            Err(reason) => {
                counts.reasons.count(reason);
                return false;
            }
        }
        self.changes += 1;
        true
    }

    /// Takes a template of an earlier run, which holds until the exporter announces one; says whether there is
    /// room.
    pub(super) fn restore(&mut self, template: Template, output: &mut Output) -> bool {
        self.by_id.contains_key(&template.id) || self.insert(template, true, output).is_ok()
    }

    /// The plan of a set. One of an earlier run goes when the set cannot be of it.
    pub(super) fn of(&mut self, set: Set<'_>, output: &mut Output) -> Option<&Arc<Plan>> {
        let Entry::Occupied(known) = self.by_id.entry(set.id) else { return None };
        let plan = known.get();
        if plan.is_provisional && !may_be_of(plan, set.body, &mut output.spans) {
            output.held.template_fields -= fields_of(&known.remove().template);
            self.changes += 1;
            return None;
        }
        Some(known.into_mut())
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self, output: &mut Output) {
        self.retain(output, |_| false);
    }

    /// Takes the place of what the number meant before.
    fn insert(
        &mut self,
        template: Template,
        is_provisional: bool,
        output: &mut Output,
    ) -> Result<(), Undecodable> {
        let (octets, options) = (template.octets_min(), &output.options);
        let is_sound = octets > 0 && octets <= usize::from(u16::MAX);
        if !is_sound || template.fields.len() > options.template_fields_max {
            return Err(Undecodable::Template);
        }
        let known = self.by_id.get(&template.id);
        let held = output.held.template_fields - known.map_or(0, |known| fields_of(&known.template));
        let held = held + fields_of(&template);
        if known.is_none() && self.by_id.len() >= options.templates_max
            || held > options.template_fields_all_max
        {
            return Err(Undecodable::Cap);
        }
        output.held.template_fields = held;
        let plan = Plan { is_provisional, ..Plan::compile(template, &output.columns) };
        self.by_id.insert(plan.template.id, Arc::new(plan));
        Ok(())
    }

    /// Takes back one template, or all of a kind; gives how many.
    fn withdraw(&mut self, template: &Template, output: &mut Output) -> usize {
        let before = self.by_id.len();
        self.retain(output, |known| match template.id {
            TEMPLATE_ID_MIN.. => known.id != template.id,
            _ => known.kind.is_options() != template.kind.is_options(),
        });
        before - self.by_id.len()
    }

    fn retain(&mut self, output: &mut Output, stays: impl Fn(&Template) -> bool) {
        let before = self.by_id.len();
        self.by_id.retain(|_, plan| {
            let stays = stays(&plan.template);
            output.held.template_fields -= if stays { 0 } else { fields_of(&plan.template) };
            stays
        });
        self.changes += u64::from(self.by_id.len() < before);
    }
}

/// Whether a set may hold records of this plan.
fn may_be_of(plan: &Plan, body: &[u8], spans: &mut Vec<Span>) -> bool {
    let records = records_of(plan, body, spans);
    records.len() > 0 && records.octets_left(body) <= PADDING_OCTETS_MAX
}

/// The records of a set's body by its plan.
pub(super) fn records_of<'a>(plan: &Plan, body: &'a [u8], spans: &'a mut Vec<Span>) -> Records<'a> {
    match plan.stride {
        Some(stride) => Records::fixed(body, stride),
        None => Records::varying(body, &plan.template, spans),
    }
}

/// What a template takes of the room for all.
fn fields_of(template: &Template) -> usize {
    TEMPLATE_FIELDS + template.fields.len()
}

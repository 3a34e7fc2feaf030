//! The templates of one exporter and domain, compiled.
//!
//! Takes templates as they are announced, withdrawn or restored; gives the plan of a set. A number whose meaning is
//! in doubt has none: nothing is decoded by it until its exporter announces it again. What all domains hold
//! together has a limit, of which an exporter may have a part.

use super::account::ExportCounts;
use super::output::Output;
use super::plan::{Plan, Standing};
use super::room::Limit;
use super::template::{Announced, TEMPLATE_ID_MIN, Template};
use super::undecodable::Undecodable;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_record::address::Address;

/// What a template takes besides its fields, in fields.
const TEMPLATE_FIELDS: usize = 16;

/// Fields that any exporter may have, as long as there is room: some hundred templates.
const EXPORTER_FIELDS: usize = 4096;

/// An exporter may have one part in so many of the room that is free.
const SHARE_PARTS: usize = 8;

/// Compiled templates by their number.
#[derive(Debug, Default)]
pub(super) struct Plans {
    by_id: BTreeMap<u16, Arc<Plan>>,
    /// Numbers whose meaning was refused, and why.
    refused: BTreeMap<u16, Undecodable>,
    exporter: Address,
    /// Whether messages come all of them and in their order, so that no template can have been missed.
    is_stream: bool,
    /// How often templates changed.
    changes: u64,
}

/// Why a set cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlan {
    /// The set's template may come.
    Yet(Undecodable),
    /// The set's template came and was refused.
    Refused(Undecodable),
}

impl NoPlan {
    const YET: Self = Self::Yet(Undecodable::NoTemplate);

    pub(super) const fn reason(self) -> Undecodable {
        let (Self::Yet(reason) | Self::Refused(reason)) = self;
        reason
    }
}

impl Plans {
    /// No templates yet, of an exporter whose messages come in a stream or one by one.
    pub(super) fn new(exporter: Address, is_stream: bool) -> Self {
        Self { exporter, is_stream, ..Self::default() }
    }

    /// How often templates changed.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// The templates that are not in doubt, in the order of their numbers.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Arc<Template>> + Clone {
        let believed = self.by_id.values().filter(|plan| plan.standing != Standing::Doubted);
        believed.map(|plan| &plan.template)
    }

    /// Takes in what is announced; says whether sets that waited for this number may be decoded now.
    pub(super) fn learn(
        &mut self,
        announced: Announced,
        counts: &mut ExportCounts,
        output: &mut Output,
    ) -> bool {
        counts.templates += 1;
        match announced {
            Announced::Cut(id) => {
                counts.reasons.count(Undecodable::Template);
                self.doubt(id, output);
                false
            }
            Announced::Template(template) if template.fields.is_empty() => {
                counts.withdrawn += self.withdraw(&template, output) as u64;
                false
            }
            Announced::Template(template) => match self.by_id.get_mut(&template.id) {
                Some(known) if *known.template == template => {
                    let before = known.standing;
                    if before != before.announced_again() {
                        Arc::make_mut(known).standing = before.announced_again();
                    }
                    before == Standing::Doubted
                }
                _ => self.redefine(template, counts, output),
            },
        }
    }

    /// Takes a template of an earlier run, which holds until the exporter announces one; says whether there is
    /// room.
    pub(super) fn restore(&mut self, template: Template, output: &mut Output) -> bool {
        self.by_id.contains_key(&template.id) || self.insert(template, Standing::Provisional, output).is_ok()
    }

    /// The plan of sets with this number; why there is none.
    pub(super) fn of(&self, id: u16) -> Result<&Arc<Plan>, NoPlan> {
        match self.by_id.get(&id) {
            Some(plan) if plan.standing != Standing::Doubted => Ok(plan),
            Some(_) => Err(NoPlan::YET),
            None => Err(self.refused.get(&id).map_or(NoPlan::YET, |&reason| NoPlan::Refused(reason))),
        }
    }

    /// Notes that a template does not fit what its exporter sends. One of an earlier run goes.
    pub(super) fn doubt(&mut self, id: u16, output: &mut Output) {
        let Some(plan) = self.by_id.get_mut(&id) else { return };
        match plan.standing {
            Standing::Provisional => {
                self.remove(id, output);
            }
            Standing::Announced => {
                Arc::make_mut(plan).standing = Standing::Doubted;
                self.changes += 1;
            }
            Standing::Doubted | Standing::Confirmed => {}
        }
    }

    /// Compiles all of them anew, for other columns.
    pub(super) fn recompile(&mut self, columns: &[usize]) {
        for plan in self.by_id.values_mut() {
            let (template, standing) = (plan.template.as_ref().clone(), plan.standing);
            *plan = Arc::new(Plan { standing, ..Plan::compile(template, columns) });
        }
    }

    /// Forgets all templates.
    pub(super) fn clear(&mut self, output: &mut Output) {
        self.refused.clear();
        self.retain(output, |_| false);
    }

    /// Gives a number a new meaning. Where that is refused, the number has none: what it meant before is void, and
    /// sets of the new meaning must not wait for another one.
    fn redefine(&mut self, template: Template, counts: &mut ExportCounts, output: &mut Output) -> bool {
        let (id, before) = (template.id, self.remove(template.id, output));
        let standing = if self.is_stream { Standing::Confirmed } else { Standing::Announced };
        if let Err(reason) = self.insert(template, standing, output) {
            counts.reasons.count(reason);
            if self.refused.len() < output.options.templates_max {
                self.refused.insert(id, reason);
            }
            return false;
        }
        self.refused.remove(&id);
        self.changes += 1;
        counts.redefined += u64::from(before.is_some_and(|before| before.standing != Standing::Provisional));
        true
    }

    /// Gives a number that has none a meaning.
    fn insert(
        &mut self,
        template: Template,
        standing: Standing,
        output: &mut Output,
    ) -> Result<(), Undecodable> {
        let (octets, options) = (template.octets_min(), &output.options);
        let is_sound = octets > 0 && octets <= usize::from(u16::MAX);
        if !is_sound || template.fields.len() > options.template_fields_max {
            return Err(Undecodable::Template);
        }
        let all = options.template_fields_all_max;
        let limit = Limit { all, each: EXPORTER_FIELDS, parts: SHARE_PARTS };
        let is_room = self.by_id.len() < options.templates_max
            && output.held.template_fields.take(self.exporter, fields_of(&template), limit);
        if !is_room {
            return Err(Undecodable::Cap);
        }
        let plan = Plan { standing, ..Plan::compile(template, &output.columns) };
        self.by_id.insert(plan.template.id, Arc::new(plan));
        Ok(())
    }

    /// Takes back one template, or all of a kind; gives how many.
    fn withdraw(&mut self, template: &Template, output: &mut Output) -> usize {
        self.refused.remove(&template.id);
        let before = self.by_id.len();
        self.retain(output, |known| match template.id {
            TEMPLATE_ID_MIN.. => known.id != template.id,
            _ => known.kind.is_options() != template.kind.is_options(),
        });
        before - self.by_id.len()
    }

    fn retain(&mut self, output: &mut Output, stays: impl Fn(&Template) -> bool) {
        let leaves = |plan: &&Arc<Plan>| !stays(&plan.template);
        let leaving: Vec<u16> = self.by_id.values().filter(leaves).map(|plan| plan.template.id).collect();
        leaving.into_iter().for_each(|id| drop(self.remove(id, output)));
    }

    fn remove(&mut self, id: u16, output: &mut Output) -> Option<Arc<Plan>> {
        let plan = self.by_id.remove(&id)?;
        output.held.template_fields.give_back(self.exporter, fields_of(&plan.template));
        self.changes += 1;
        Some(plan)
    }
}

/// What a template takes of the room for all.
fn fields_of(template: &Template) -> usize {
    TEMPLATE_FIELDS + template.fields.len()
}

//! What was changed by hand, taken up: the file that says what is read, and the folder of queries.

use super::{Catalog, ended};
use crate::definition::Definition;
use crate::error::CatalogError;
use crate::folder::QueryFolder;
use crate::input::InputSet;
use crate::inputs::{ChangedInputs, gives_flows_of_others};
use tapline_lookup::Refreshed;
use tapline_record::StreamId;

/// What reading everything anew changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Names of sources that came.
    pub sources_added: Vec<String>,
    /// Those that went.
    pub sources_removed: Vec<String>,
    /// What changed of the filters and rules of sources, in sentences.
    pub filters: Vec<String>,
    /// Names of lookup tables whose files have changed.
    pub lookups: Vec<String>,
    /// What else was read anew and has changed: by what the node proves that it is the one, and who may ask.
    pub access: Vec<String>,
    /// What does not hold before the next start, in sentences.
    pub later: Vec<String>,
    /// Names of queries that came.
    pub added: Vec<String>,
    /// Those that are others now.
    pub replaced: Vec<String>,
    /// Those that went.
    pub dropped: Vec<String>,
    /// What could not be done, and why.
    pub refused: Vec<String>,
}

impl Catalog {
    /// Reads anew what is to be read, lookup tables that have changed, and the folder of queries: what is there and does not run is added, what is another
    /// one is replaced, what is not there any more is dropped.
    ///
    /// # Errors
    /// When there is neither, or one cannot be read; then nothing changes.
    pub fn reload(&self) -> Result<Reloaded, CatalogError> {
        let folder = self.core().folder.clone();
        let renew = self.renew.get();
        if folder.is_none() && self.reread.is_none() && self.tables.is_empty() && renew.is_none() {
            return Err(CatalogError::KeepsNothing);
        }
        let found = folder.as_ref().map(QueryFolder::load).transpose().map_err(CatalogError::Failed)?;
        let mut reloaded = Reloaded::default();
        if let Some(reread) = &self.reread {
            let (inputs, later) = reread().map_err(CatalogError::wrong)?;
            self.change_inputs(inputs, &mut reloaded)?;
            reloaded.later = later;
        }
        for renewed in renew.into_iter().flatten().map(|renew| renew()) {
            match renewed {
                Ok(access) => reloaded.access.extend(access),
                Err(why) => reloaded.refused.push(why),
            }
        }
        let sensors = self.core().fleet.as_mut().map(|fleet| fleet.renew());
        reloaded.refused.extend(sensors.and_then(Result::err));
        for refreshed in self.tables.reload() {
            match refreshed {
                Refreshed::Taken(name, _) => reloaded.lookups.push(name),
                Refreshed::Refused(why) => reloaded.refused.push(why),
            }
        }
        if let Some(found) = found {
            self.change_queries(found, &mut reloaded);
        }
        Ok(reloaded)
    }

    /// Reads other inputs from now on.
    fn change_inputs(&self, inputs: InputSet, reloaded: &mut Reloaded) -> Result<(), CatalogError> {
        let core = &mut *self.core();
        let demand = core.demand();
        let needs = |stream| demand.columns(stream).is_some();
        if needs(StreamId::TableFlows)
            && inputs.inputs.iter().any(|input| gives_flows_of_others(input.as_ref()))
        {
            let message = "some query reads flows as the kernel counts them, to which what comes now would add others; start \
                 the node anew with it";
            return Err(CatalogError::wrong(message));
        }
        let needs_table = needs(StreamId::PacketFlows) || needs(StreamId::TableFlows);
        if needs_table && inputs.table.is_none() && core.table.is_some() {
            let message = "some query reads what the kernel counts by flow, which not all of these interfaces can; \
                 start the node anew with them";
            return Err(CatalogError::wrong(message));
        }
        core.look();
        let Some(engine) = &mut core.engine else { return Err(ended()) };
        let ChangedInputs { came, gone, wanted, refused } =
            core.inputs.change_to(inputs.inputs, engine, &demand);
        core.table = inputs.table;
        (reloaded.sources_added, reloaded.sources_removed, reloaded.filters) = (came, gone, wanted);
        reloaded.refused.extend(refused);
        Ok(())
    }

    /// Runs the queries of a folder, and no others.
    fn change_queries(&self, found: Vec<Result<Definition, String>>, reloaded: &mut Reloaded) {
        let (mut there, refused_before) = (vec![], reloaded.refused.len());
        for definition in found {
            match definition {
                Ok(definition) => {
                    there.push(definition.name.clone());
                    self.take_up(definition, reloaded);
                }
                Err(refused) => reloaded.refused.push(refused),
            }
        }
        // Where a file cannot be read, nobody knows whose it is.
        let is_read_whole = reloaded.refused.len() == refused_before;
        let running: Vec<String> = self.core().queries.keys().cloned().collect();
        for name in running.into_iter().filter(|name| is_read_whole && !there.contains(name)) {
            match self.drop_query(&name) {
                Ok(()) => reloaded.dropped.push(name),
                Err(error) => reloaded.refused.push(error.to_string()),
            }
        }
    }

    /// Adds what is there and does not run, replaces what is another one.
    fn take_up(&self, definition: Definition, reloaded: &mut Reloaded) {
        let running = self.core().queries.get(&definition.name).map(|entry| entry.definition.clone());
        let name = definition.name.clone();
        // It may come with the next start, as sinks do.
        let later = self.unknown_sink(&definition.options.alerts);
        let (outcome, done) = match running {
            Some(running) if running == definition => return,
            Some(running) if running.differs_in_alerts(&definition) => {
                (self.put_alerts(&mut self.core(), definition, true), &mut reloaded.replaced)
            }
            Some(_) => (self.replace_one(definition, true).map(drop), &mut reloaded.replaced),
            None => (self.add_one(definition, true).map(drop), &mut reloaded.added),
        };
        match outcome {
            Ok(()) => {
                done.push(name.clone());
                reloaded.later.extend(later.map(|why| format!("{name}: {why}")));
            }
            Err(error) => reloaded.refused.push(format!("{name}: {error}")),
        }
    }
}

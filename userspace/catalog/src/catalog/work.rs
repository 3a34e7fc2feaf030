//! What the queries of a catalog cost, and what is done about those that cost too much.

use super::asked::entry_of;
use super::{Core, Level, Tell};
use crate::meter::Measure;
use tapline_engine::Snapshot;
use tapline_record::EventTime;

impl Core {
    /// Measures all queries, and holds those back that work more than they may.
    pub(super) fn look_after_work(&mut self, snapshot: &Snapshot, now: EventTime, log: &dyn Tell) {
        let Some(engine) = &mut self.engine else { return };
        for query in snapshot.queries.iter().filter(|query| query.over.is_none()) {
            let entry = entry_of(&mut self.queries, &mut self.asked, query);
            let Some(entry) = entry else { continue };
            let Some(measure) = entry.meter.look(now, query.work_ns, query.ledger.delivered) else {
                continue;
            };
            let said = match measure {
                Measure::Stop(why) => {
                    engine.fail_query(query.id, why);
                    continue;
                }
                Measure::Sample(one_in) => {
                    engine.sample(query.id, one_in);
                    entry.meter.reason().unwrap_or_else(|| "it reads all rows again".to_owned())
                }
                Measure::Fold(folds) => {
                    engine.fold(query.id, folds);
                    entry.meter.reason().unwrap_or_else(|| "it gets new groups again".to_owned())
                }
            };
            log.say(Level::Warning, &format!("the query `{}`: {said}", query.name));
        }
    }
}

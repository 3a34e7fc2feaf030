//! The flows that are active, asked of whoever meters them.
//!
//! Where some query reads `flows` of interfaces or captures, their reader meters flows, and is asked, be it that of the
//! kernel's table. Else that table is asked, where it counts for some query; what it counts is metered for as long as
//! somebody asks. Where no
//! query needs either, an interface is watched for whoever asks: by a query of the node's own, which ends some minutes
//! after the last question. Folders of captures are not: what is read of them is read once.

use super::launch::{Gives, Terms};
use super::{Catalog, Core, ended, lock};
use crate::active_flows::{ActiveFlows, FlowOrder};
use crate::definition::{Definition, QueryOptions};
use crate::error::CatalogError;
use crate::flow_desk::{FlowDesk, Gathering, Reading, Teller, Told};
use crate::input::Meters;
use crate::inputs::MeteringInput;
use crate::status::SourceState;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tapline_decode::flow_meter::ActiveFlow;
use tapline_engine::{Engine, QueryId, SourceId};
use tapline_query::FlowTable;
use tapline_record::{EventTime, StreamId};
use tapline_sources::{FlowsAnswer, FlowsTold, Taken};

/// Flows are metered for so long after the last question.
const METERED: Duration = Duration::from_secs(300);
/// How long a source may say nothing, and between two looks.
const SAYS_WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_micros(200);

/// What lets the kernel's table, or whoever reads packets, count for who asks.
const BY_TABLE: &str = "SELECT count(*) AS packets FROM packets GROUP BY tumble('60 seconds')";
const BY_PACKETS: &str = "SELECT count(*) AS flows FROM flows GROUP BY tumble('60 seconds')";

/// Whether somebody asks for active flows.
#[derive(Debug, Default)]
pub(super) struct FlowsAsked {
    /// When somebody did, lately.
    at: Option<Instant>,
    /// The node's own query, where no other one lets flows be metered.
    query: Option<QueryId>,
}

/// A question on its way.
struct Asking {
    /// Whether whoever is asked makes records of `flows`; the kernel's table does not while no query reads any.
    gives_records: bool,
    inputs: Vec<MeteringInput>,
    answers: Vec<(SourceId, FlowsAnswer)>,
}

impl Catalog {
    /// The flows that are active, or ended lately: so many at the most, the first ones in this order. It takes some
    /// milliseconds, as sources answer between two turns; an answer that is as good as new is given again.
    ///
    /// # Errors
    /// When the node is about to end.
    pub fn active_flows(&self, limit: usize, order: FlowOrder) -> Result<ActiveFlows, CatalogError> {
        Ok(self.read_flows()?.answer(limit, order))
    }

    fn read_flows(&self) -> Result<Arc<Reading>, CatalogError> {
        let mut desk = lock(&self.flows);
        self.begin_metering()?;
        if let Some(reading) = desk.fresh() {
            return Ok(reading);
        }
        let asking = self.core().ask_flows()?;
        let as_of = self.clock.now();
        let (gathered, tellers, reasons) = asking.gather(as_of);
        Ok(desk.take(as_of, gathered, tellers, reasons))
    }

    /// Lets flows be metered, where that can be and no query does.
    fn begin_metering(&self) -> Result<(), CatalogError> {
        let sql = {
            let mut core = self.core();
            if core.engine.is_none() {
                return Err(ended());
            }
            core.flows_asked.at = Some(Instant::now());
            self.end_failed_metering(&mut core);
            if !core.needs_meter() {
                return Ok(());
            }
            if core.has_kernel_table() { BY_TABLE } else { BY_PACKETS }
        };
        let mut definition = Definition::new("active_flows", sql, QueryOptions::default())?;
        let planned = self.plan(&definition)?;
        let mut core = self.core();
        // Only `ledger` calls it so: no query of a node has a name with a space in it.
        definition.name = "active flows".to_owned();
        let allowance = core.allowed(&definition, &planned.query)?;
        let from = core.beginning_anew(&planned.query, self.clock.now());
        let (entry, _) =
            self.launch(&mut core, definition, planned, Terms { allowance, from, gives: Gives::ToOne })?;
        core.flows_asked.query = Some(entry.id);
        core.asked.insert(entry.id, entry);
        core.settle();
        Ok(())
    }

    fn end_failed_metering(&self, core: &mut Core) {
        let has_failed = |query: &QueryId| core.asked.get(query).is_none_or(|entry| entry.failure.is_some());
        if core.flows_asked.query.as_ref().is_some_and(has_failed) {
            self.end_metering_query(core);
        }
    }

    fn end_metering_query(&self, core: &mut Core) {
        if let Some(query) = core.flows_asked.query.take() {
            core.asked.remove(&query);
            self.end(core, query);
        }
    }

    /// Lets sources keep nothing any more for those who asked, when nobody has asked for long.
    pub(super) fn look_after_metering(&self) {
        let mut core = self.core();
        if core.flows_asked.at.is_none_or(|at| at.elapsed() < METERED) {
            return;
        }
        core.flows_asked.at = None;
        self.end_metering_query(&mut core);
        core.engine.iter_mut().for_each(Engine::forget_flows);
        drop(core);
        // Whoever asks at this moment has it.
        if let Ok(mut desk) = self.flows.try_lock() {
            *desk = FlowDesk::default();
        }
    }
}

impl Core {
    fn has_kernel_table(&self) -> bool {
        self.table == Some(FlowTable::Kernel)
    }

    /// Whether no query lets flows be metered, though all inputs can do so for whoever asks.
    fn needs_meter(&self) -> bool {
        let demand = self.demand();
        let is_read = |stream| demand.columns(stream).is_some();
        let is_counted = is_read(StreamId::PacketFlows) || is_read(StreamId::TableFlows);
        let is_metered = is_read(StreamId::Flows) || self.has_kernel_table() && is_counted;
        !is_metered && self.inputs.may_be_metered()
    }

    fn ask_flows(&mut self) -> Result<Asking, CatalogError> {
        let demand = self.demand();
        let is_read = |stream| demand.columns(stream).is_some();
        let of_table = self.has_kernel_table() && !is_read(StreamId::Flows);
        let gives_records = !of_table || is_read(StreamId::TableFlows);
        let inputs = self.inputs.metering();
        let engine = self.engine.as_mut().ok_or_else(ended)?;
        Ok(Asking { gives_records, inputs, answers: engine.ask_flows(of_table) })
    }
}

impl Asking {
    /// Takes what sources tell, until all have told or say nothing for too long; gives why there may be more.
    fn gather(self, as_of: EventTime) -> (Gathering, Vec<Teller>, Vec<String>) {
        let Self { gives_records, inputs, answers } = self;
        let (mut gathered, mut told) = (Gathering::default(), vec![None; inputs.len()]);
        let place = |source: &SourceId| inputs.iter().position(|input| input.sources.contains(source));
        let mut open: Vec<(usize, FlowsAnswer)> =
            answers.into_iter().filter_map(|(source, answer)| Some((place(&source)?, answer))).collect();
        let (mut silent, mut heard) = (vec![], Instant::now());
        while !open.is_empty() && heard.elapsed() < SAYS_WITHIN {
            let mut has_heard = false;
            open.retain_mut(|(input, answer)| {
                let taken = answer.take(|flow| gathered.push(told_by(*input, flow, gives_records)));
                has_heard |= taken == Taken::Part(true);
                match taken {
                    Taken::All(all @ FlowsTold::Metered { .. }) => told[*input] = Some(all),
                    Taken::Broken => silent.push(*input),
                    Taken::All(FlowsTold::Nothing) | Taken::Part(_) => {}
                }
                matches!(taken, Taken::Part(_))
            });
            if has_heard {
                heard = Instant::now();
            } else if !open.is_empty() {
                thread::sleep(LOOK);
            }
        }
        silent.extend(open.iter().map(|(input, _)| *input));
        let teller = |(input, told): (&MeteringInput, &Option<FlowsTold>)| {
            let now = if let Some(FlowsTold::Metered { now, .. }) = told { *now } else { as_of };
            Teller { name: Arc::clone(&input.name), now }
        };
        let tellers = inputs.iter().zip(&told).map(teller).collect();
        (gathered, tellers, reasons(&inputs, &told, &silent))
    }
}

/// A flow of an input; where no records are made, nothing is in one.
fn told_by(input: usize, flow: ActiveFlow, gives_records: bool) -> Told {
    let sent = if gives_records { (flow.packets_sent, flow.octets_sent) } else { (0, 0) };
    Told { input, flow: ActiveFlow { packets_sent: sent.0, octets_sent: sent.1, ..flow } }
}

/// Why there may be flows that are not known.
fn reasons(inputs: &[MeteringInput], told: &[Option<FlowsTold>], silent: &[usize]) -> Vec<String> {
    if inputs.iter().all(|input| input.meters == Meters::Never) {
        let reason = "nothing that this node reads is metered by it: flow exports tell of flows when these have ended, \
             and then they are in `flows`";
        return vec![reason.to_owned()];
    }
    let mut names: Vec<&Arc<str>> = vec![];
    for input in inputs.iter().filter(|input| input.meters != Meters::Never) {
        if !names.contains(&&input.name) {
            names.push(&input.name);
        }
    }
    let reason = |name: &Arc<str>| {
        // An interface may be two inputs, of which one is asked.
        let of_name = || (0..inputs.len()).filter(move |&place| inputs[place].name == *name);
        let all = of_name().find_map(|place| told[place]);
        let absent = || of_name().find_map(|place| inputs[place].absent());
        match all {
            Some(all) => shortcoming(name, all),
            None if of_name().any(|place| silent.contains(&place)) => {
                Some(format!("{name} does not answer in time"))
            }
            None => Some(absent().map_or_else(|| unread(name), |why| format!("{name} is not read: {why}"))),
        }
    };
    names.into_iter().filter_map(reason).collect()
}

/// What is not known of an input that meters.
fn shortcoming(name: &str, told: FlowsTold) -> Option<String> {
    let FlowsTold::Metered { now, since, inactive_timeout_ns, is_full } = told else { return None };
    let seconds = |ns: i64| ns / 1_000_000_000;
    let metered = now.0.saturating_sub(since.0);
    if is_full {
        return Some(format!("{name}: as many flows are metered as may be, and others end early for that"));
    }
    (metered < inactive_timeout_ns).then(|| {
        let (metered, timeout) = (seconds(metered), seconds(inactive_timeout_ns));
        format!(
            "{name} is metered for {metered} s: flows that were silent meanwhile are known after {timeout} s"
        )
    })
}

fn unread(name: &str) -> String {
    format!(
        "no query reads flows of {name}; add one, such as SELECT count(*) AS flows FROM flows GROUP BY \
         tumble('60 seconds')"
    )
}

impl MeteringInput {
    /// Why it is not there, if it is not.
    fn absent(&self) -> Option<&str> {
        if let SourceState::Absent(why) = &self.state { Some(why) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, meters: Meters, state: SourceState) -> MeteringInput {
        MeteringInput { name: name.into(), meters, state, sources: vec![] }
    }

    fn metered(seconds: i64, is_full: bool) -> FlowsTold {
        let (now, inactive_timeout_ns) = (EventTime(seconds * 1_000_000_000), 15_000_000_000);
        FlowsTold::Metered { now, since: EventTime(0), inactive_timeout_ns, is_full }
    }

    #[test]
    fn whoever_asks_is_told_why_flows_may_be_missing() {
        let (table, packets) = (
            input("far", Meters::WhenAsked, SourceState::Open),
            input("far", Meters::WhenAsked, SourceState::Unused),
        );
        let inputs = [table, packets];
        let of_first = |told| reasons(&inputs, &[told, None], &[]);
        assert!(of_first(Some(metered(15, false))).is_empty());
        let young = "far is metered for 3 s: flows that were silent meanwhile are known after 15 s";
        assert_eq!(of_first(Some(metered(3, false))), [young]);
        assert!(of_first(Some(metered(60, true)))[0].starts_with("far: as many flows are metered as may be"));
        assert!(of_first(None)[0].starts_with("no query reads flows of far; add one"));
        assert_eq!(reasons(&inputs, &[None, None], &[0]), ["far does not answer in time"]);
        let gone = [input("eth9", Meters::WhenAsked, SourceState::Absent("it is gone".to_owned()))];
        assert_eq!(reasons(&gone, &[None], &[]), ["eth9 is not read: it is gone"]);
        let listener = [input("udp://[::]:2055", Meters::Never, SourceState::Open)];
        for inputs in [&listener[..], &[]] {
            assert!(reasons(inputs, &vec![None; inputs.len()], &[])[0].starts_with("nothing that this node"));
        }
    }
}

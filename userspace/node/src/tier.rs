//! A tier: what an aggregator asks is asked of this node's sensors, and what these send is merged and handed on to it.
//!
//! ```text
//! aggregator ──assignments──► Upper ──► thread "tier" ──► Catalog::assign ──► NodeFleet ──assignments──► sensors
//!     ▲  ▲                                   │                                                              │
//!     │  └──── report: its own, sensors' ────┘                                                              │
//!     └─────────── panes that checkpoints have ─────────────── Receiver ◄────────────── parts ──────────────┘
//! ```
//! It makes no windows. What is asked is written before it is taken up, since halves of what is not asked at the next start
//! are let go then, with all that came for them.

use crate::forward_plan::ForwardPlan;
use crate::forwarding::{Told, fingerprints, upstream};
use crate::node_plan::NodePlan;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tapline_catalog::{
    Assignments, Catalog, ForwardStatus, Level, Log, ReportedSensor, SensorEnd, SensorReport, clock_reason,
};
use tapline_delivery::{OutgoingLimits, Role, SensorName};
use tapline_exports::put_whole;
use tapline_forward::{PAYLOAD_OCTETS_MAX, Receiver, Upstream};
use tapline_query::Identity;

/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at what came.
const LOOK: Duration = Duration::from_millis(20);
/// Octets of panes that may wait for the aggregator: each checkpoint has all of them.
const WAITING_OCTETS_MAX: u64 = 256 << 20;
/// Records that are under way at once.
const UNDER_WAY_MAX: usize = 4096;

/// Whom a node forwards to that has sensors of its own.
pub(crate) struct Upper {
    plan: ForwardPlan,
    /// What it asks.
    pub(crate) told: Told,
    /// From the moment on at which sensors are let in.
    receiver: Mutex<Weak<Receiver>>,
}

impl Upper {
    /// That of a node that is to be a tier.
    pub(crate) fn of(plan: &NodePlan) -> Option<Arc<Self>> {
        let plan = plan.aggregator.as_ref().and(plan.forward.clone())?;
        Some(Arc::new(Self { plan, told: Told::default(), receiver: Mutex::default() }))
    }

    /// What is to become of panes.
    ///
    /// # Errors
    /// A sentence, when a token cannot be kept.
    pub(crate) fn upwards(&self) -> Result<(Role, Upstream), String> {
        let limits = OutgoingLimits {
            octets_max: self.octets_max(),
            window_records: UNDER_WAY_MAX,
            ..OutgoingLimits::default()
        };
        Ok((Role::Forward(SensorName::new(&self.plan.name), limits), upstream(&self.plan)?))
    }

    fn octets_max(&self) -> u64 {
        self.plan.octets_max.min(WAITING_OCTETS_MAX)
    }

    /// Why nobody else asks its sensors.
    pub(crate) fn asks_itself(&self) -> String {
        format!(
            "this node hands on what its sensors send, and answers nothing by itself; add the query to the aggregator at {}",
            self.plan.to
        )
    }

    /// Sensors are let in.
    pub(crate) fn opened(&self, receiver: &Arc<Receiver>) {
        *self.receiver.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(receiver);
    }

    fn receiver(&self) -> Option<Arc<Receiver>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn status(&self) -> ForwardStatus {
        let status = self.receiver().map(|receiver| receiver.status()).unwrap_or_default();
        let uplink = status.uplink.unwrap_or_default();
        let of_clock = uplink.clock.and_then(|clock| clock_reason(clock.ahead_ns));
        ForwardStatus {
            to: self.plan.to.clone(),
            name: self.plan.name.clone(),
            is_connected: uplink.connected_since_ns.is_some(),
            spool_octets: [uplink.waiting_octets, self.octets_max()],
            lost: uplink.lost,
            reason: status.ended.or(status.store_trouble).or(uplink.trouble).or(of_clock),
        }
    }
}

/// A tier's thread, as long as it hands on.
pub(crate) struct Tier {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What the thread works with.
struct Worker {
    upper: Arc<Upper>,
    catalog: Arc<Catalog>,
    identity: Identity,
    tags: BTreeMap<String, String>,
    reported_at: Instant,
    log: Log,
}

impl Tier {
    /// Asks of sensors what was asked last, and from then on what is asked. It is called before the catalog is opened: what
    /// is not asked by then is over.
    ///
    /// # Errors
    /// A sentence: what was asked cannot be read, or there is no thread.
    pub(crate) fn start(
        upper: &Arc<Upper>,
        catalog: &Arc<Catalog>,
        (identity, tags): (&Identity, &BTreeMap<String, String>),
        log: &Log,
    ) -> Result<Self, String> {
        let worker = Worker {
            upper: Arc::clone(upper),
            catalog: Arc::clone(catalog),
            identity: identity.clone(),
            tags: tags.clone(),
            reported_at: Instant::now(),
            log: Arc::clone(log),
        };
        worker.ask_what_was_asked()?;
        let of_status = Arc::clone(upper);
        catalog.forwards(move || of_status.status());
        let ends = Arc::<AtomicBool>::default();
        let until = Arc::clone(&ends);
        let spawned = thread::Builder::new().name("tier".to_owned()).spawn(move || worker.run(&until));
        let thread = spawned.map_err(|error| format!("a thread cannot be started: {error}"))?;
        Ok(Self { ends, thread })
    }

    /// Takes nothing more that is asked.
    ///
    /// # Errors
    /// A sentence, when the thread died.
    pub(crate) fn finish(self) -> Result<(), String> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let ended = self.thread.join();
        ended.map_err(|_| "the thread that asks sensors died; please report this".to_owned())
    }
}

impl Worker {
    fn run(mut self, ends: &AtomicBool) {
        while !ends.load(Ordering::Relaxed) {
            if let Some(octets) = self.upper.told.take() {
                self.take_assigned(&octets);
            }
            if self.reported_at.elapsed() >= REPORT_EVERY {
                self.report();
            }
            thread::park_timeout(LOOK);
        }
    }

    fn ask_what_was_asked(&self) -> Result<(), String> {
        let path = &self.upper.plan.assigned;
        let said = |why: String| {
            format!("{} cannot be read: {why}; put a copy in its place, or move it away", path.display())
        };
        match fs::read(path) {
            Ok(octets) => {
                let assignments = serde_json::from_slice(&octets).map_err(|error| said(error.to_string()))?;
                self.assign(&assignments);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(said(error.to_string())),
        }
    }

    fn take_assigned(&mut self, octets: &[u8]) {
        let assignments: Assignments = match serde_json::from_slice(octets) {
            Ok(assignments) => assignments,
            Err(error) => {
                let what = format!("what the aggregator asks cannot be read: {error}");
                return self.log.say(Level::Warning, &what);
            }
        };
        let path = &self.upper.plan.assigned;
        if let Err(error) = put_whole(path, |file| file.write_all(octets)) {
            let what = format!(
                "{} cannot be written, so that sensors are not told what is asked now: {error}",
                path.display()
            );
            // It is tried again, unless something newer comes.
            self.upper.told.put_back(octets.to_vec());
            self.log.say(Level::Warning, &what);
            return thread::sleep(REPORT_EVERY);
        }
        self.assign(&assignments);
        self.report();
    }

    fn assign(&self, assignments: &Assignments) {
        let end = SensorEnd { name: &self.upper.plan.name, fingerprints };
        self.catalog.assign(assignments, end);
    }

    fn report(&mut self) {
        self.reported_at = Instant::now();
        let Some(receiver) = self.upper.receiver() else { return };
        let (mut report, status) = (self.catalog.report(), self.upper.status());
        report.site.clone_from(&self.identity.site);
        report.tags.clone_from(&self.tags);
        let name = &self.upper.plan.name;
        report.node = (self.identity.sensor != *name).then(|| self.identity.sensor.clone());
        (report.spool_octets, report.lost) = (status.spool_octets[0], status.lost);
        report.sensors = Some(self.catalog.sensors().into_iter().map(ReportedSensor::from).collect());
        if let Err(why) = short_enough(report).and_then(|octets| receiver.report(octets)) {
            self.log.say(Level::Warning, &format!("the aggregator is not told how this node is: {why}"));
        }
    }
}

/// A report that a message takes: where sensors are many, less is said of each, and then of fewer.
fn short_enough(mut report: SensorReport) -> Result<Vec<u8>, String> {
    let octets = |report: &SensorReport| serde_json::to_vec(report).map_err(|error| error.to_string());
    let all = octets(&report)?;
    if all.len() <= PAYLOAD_OCTETS_MAX {
        return Ok(all);
    }
    for sensor in report.sensors.iter_mut().flatten() {
        let SensorReport { sources, tags, .. } = &mut sensor.report;
        sources.clear();
        tags.clear();
    }
    let mut less = octets(&report)?;
    while less.len() > PAYLOAD_OCTETS_MAX {
        let Some(sensors) = report.sensors.as_mut().filter(|sensors| !sensors.is_empty()) else { break };
        sensors.truncate(sensors.len() / 2);
        less = octets(&report)?;
    }
    Ok(less)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_catalog::ReportedSource;

    #[test]
    fn a_report_of_many_sensors_says_less_of_each() {
        let of = |sensors: usize| {
            let sources = vec![ReportedSource { name: "x".repeat(400), ..ReportedSource::default() }];
            let report = SensorReport { sources, ..SensorReport::default() };
            let sensor = |number: usize| ReportedSensor {
                name: format!("pop-{number}"),
                report: report.clone(),
                ..ReportedSensor::default()
            };
            let sensors = Some((0..sensors).map(sensor).collect());
            let octets = short_enough(SensorReport { sensors, ..SensorReport::default() }).unwrap();
            assert!(octets.len() <= PAYLOAD_OCTETS_MAX);
            serde_json::from_slice::<SensorReport>(&octets).unwrap().sensors.unwrap()
        };
        assert_eq!((of(3).len(), of(3)[0].report.sources.len()), (3, 1));
        assert_eq!((of(800).len(), of(800)[0].report.sources.len()), (800, 0));
        let most = of(20_000).len();
        assert!(0 < most && most < 20_000, "{most}");
    }
}

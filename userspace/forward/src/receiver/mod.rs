//! An aggregator: sensors connect, what they send is merged, checkpoints are written, results are taken.
//!
//! ```text
//! thread "forward-hub": connections, links ──events──► thread "aggregator": Aggregator ──► thread "checkpoint": Store
//!        ▲   welcome, verdicts, covered, assignments ◄──────────┤  ▲   └──────────────────► thread "results": Taker
//!        │                                                      │  └─ written, taken, orders
//!      sensors                       where it forwards: orders, events ◄──► thread "forward-link": the link upwards
//! ```

mod books;
mod identity;
mod link;
mod options;
mod orders;
mod owner;
mod server;
mod start;
mod status;
mod tokens;
mod up;
mod workers;

pub use identity::Entrance;
pub use options::ReceiverOptions;
pub use status::{ReceiverStatus, SensorStatus, UplinkStatus};
pub use workers::Taker;

use crate::counted::Octets;
use crate::store::Store;
use crate::thread::{Running, runtime};
use crate::uplink::{LinkPlan, LinkState, Target, run};
use crate::wire::{BODY_OCTETS_MAX, PAYLOAD_OCTETS_MAX};
use bytes::Bytes;
use identity::Keys;
use orders::Order;
use owner::Owner;
use server::Front;
use status::Shared;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tapline_delivery::{HalfId, HalfSpec, Merge, Role, SensorName};
use tokio::sync::{mpsc, watch};
use up::Up;

/// What links say, until the thread "aggregator" takes it.
const EVENTS_MAX: usize = 1024;
/// What the link upwards and the thread say to each other.
const UP_EVENTS_MAX: usize = 256;
const ORDERS_MAX: usize = 4;
/// How long a last checkpoint may take, and between two looks whether it is there.
const FINISH_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// Takes what sensors send.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    orders: mpsc::UnboundedSender<Order>,
    assignments: watch::Sender<Option<Bytes>>,
    report: watch::Sender<Bytes>,
    front: Arc<Front>,
    shared: Arc<Shared>,
    /// Ends behind the others, in this order.
    _threads: Vec<Running>,
}

impl Receiver {
    /// Listens, takes over the store, and goes on with the checkpoint in it.
    ///
    /// Nothing is taken before the store is ours. Halves have to be there before sensors send parts of them: those of
    /// `options`, and others before they are assigned.
    ///
    /// # Errors
    /// A sentence: an address is taken or open to others, a file cannot be used, the store is another's or damaged.
    pub fn start<M>(
        options: ReceiverOptions,
        merge: M,
        store: Box<dyn Store>,
        mut taker: Box<dyn Taker>,
    ) -> Result<Self, String>
    where
        M: Merge + Send + 'static,
        M::State: Send,
    {
        let target = options.upstream()?.map(Target::of).transpose()?;
        let (keys, warnings) = Keys::read(&options.entrance)?;
        let listen = options.entrance.listen;
        let said = |error: std::io::Error| {
            format!("sensors cannot be listened to on {listen}: {error}; give another address")
        };
        let listener = TcpListener::bind(listen).map_err(said)?;
        listener.set_nonblocking(true).map_err(said)?;
        let address = listener.local_addr().map_err(said)?;
        let (aggregator, epoch) = start::start(merge, &options, &*store)?;
        let kept = options.halves.iter().filter_map(|(half, _)| aggregator.kept(*half));
        taker.resume(&kept.collect::<Vec<_>>());
        let (event, events) = mpsc::channel(EVENTS_MAX);
        let (orders, ordered) = mpsc::unbounded_channel();
        let (assignments, assigned) = watch::channel(None);
        let (report, reports) = watch::channel(Bytes::new());
        let shared = Arc::new(Shared::new(address, epoch));
        let front = Arc::new(Front::new(keys, event, assigned));
        let (checkpoints, of_checkpoints) = workers::writer(store, orders.clone())?;
        let (results, of_results) = workers::taker(taker, orders.clone())?;
        warnings.into_iter().for_each(|warning| results.tell(warning));
        let (up, link) = match (target, &options.aggregator.role) {
            (Some(target), Role::Forward(name, _)) => {
                let (up, plan) = upwards(target, name, &options, reports);
                shared.forwards(&plan);
                (Some(up), Some(Running::start("forward-link", runtime()?, run(plan))?))
            }
            _ => (None, None),
        };
        let halves = options.halves.iter().map(|(half, _)| *half).collect();
        let owner = Owner::new(
            (aggregator, halves),
            (checkpoints, results),
            up,
            Arc::clone(&shared),
            options.version,
        );
        let mut threads = vec![
            Running::start("aggregator", runtime()?, owner.run(ordered, events))?,
            Running::start("forward-hub", runtime()?, server::serve(listener, Arc::clone(&front)))?,
        ];
        threads.extend(link);
        threads.extend([of_checkpoints, of_results]);
        Ok(Self { address, orders, assignments, report, front, shared, _threads: threads })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes parts of a half from now on; to be called before the half is assigned to anybody.
    pub fn add_half(&self, half: HalfId, spec: HalfSpec) {
        self.order(Order::AddHalf(half, spec));
    }

    /// Lets go of a half, and of all that came for it.
    pub fn drop_half(&self, half: HalfId) {
        self.order(Order::DropHalf(half));
    }

    /// Nobody waits for a sensor any more, nor misses it, until it greets again.
    pub fn rest(&self, sensor: SensorName) {
        self.order(Order::Rest(sensor));
    }

    /// What sensors are to run from now on: all who are connected are told, and whoever connects.
    ///
    /// # Errors
    /// A sentence, when it is more than a message takes.
    pub fn assign(&self, octets: Vec<u8>) -> Result<(), String> {
        if octets.len() > BODY_OCTETS_MAX {
            return Err(format!(
                "assignments of {} octets are more than the {BODY_OCTETS_MAX} of a message; let fewer queries run on sensors",
                octets.len()
            ));
        }
        self.assignments.send_replace(Some(octets.into()));
        Ok(())
    }

    /// What this one says of itself where it forwards to, in place of what it said before.
    ///
    /// # Errors
    /// A sentence, when it is longer than 512 KiB.
    pub fn report(&self, octets: Vec<u8>) -> Result<(), String> {
        if octets.len() > PAYLOAD_OCTETS_MAX {
            let octets = octets.len();
            return Err(format!(
                "a report of {octets} octets is more than the {PAYLOAD_OCTETS_MAX} of a message; say less"
            ));
        }
        self.report.send_replace(octets.into());
        Ok(())
    }

    /// Reads certificates and tokens again: they count from the next link on. Gives what should not be so, in sentences.
    ///
    /// # Errors
    /// A sentence; then nothing changes.
    pub fn renew(&self, entrance: &Entrance) -> Result<Vec<String>, String> {
        let (keys, warnings) = Keys::read(&Entrance { listen: self.address, ..entrance.clone() })?;
        self.front.renew(keys);
        Ok(warnings)
    }

    /// All sensors that were here since it started, and those that were known before and are missed, by name.
    #[must_use]
    pub fn sensors(&self) -> Vec<SensorStatus> {
        self.shared.sensors()
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> ReceiverStatus {
        let mut status = self.shared.status();
        for (name, count) in self.front.refused() {
            *status.refused.entry(name.to_owned()).or_default() += count;
        }
        status
    }

    /// Ends it behind a checkpoint that has what is safe with whoever takes results by now.
    pub fn finish(&self) {
        self.order(Order::Finish);
        let begun = Instant::now();
        while !self.orders.is_closed() && begun.elapsed() < FINISH_WITHIN {
            thread::sleep(LOOK);
        }
    }

    fn order(&self, order: Order) {
        // Where it has ended, its status says so.
        let _ = self.orders.send(order);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.order(Order::End);
    }
}

/// The link to whom this one forwards.
fn upwards(
    target: Target,
    name: &SensorName,
    options: &ReceiverOptions,
    report: watch::Receiver<Bytes>,
) -> (Up, LinkPlan) {
    let (event, events) = mpsc::channel(UP_EVENTS_MAX);
    let (order, orders) = mpsc::channel(ORDERS_MAX);
    let plan = LinkPlan {
        target,
        version: options.version.clone(),
        states: options.states.clone(),
        report,
        state: Arc::<Mutex<LinkState>>::default(),
        octets: Arc::<Octets>::default(),
        events: event,
        orders,
    };
    (Up::new(name.clone(), order, events), plan)
}

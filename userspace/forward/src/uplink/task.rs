//! The task that makes a link, and makes it again.
//!
//! It survives whatever the other end says or does: a link ends by a sentence, and another one is tried after a while.

use super::connect::{Connection, Target, said};
use crate::clock::{Exchanges, wall_ns};
use crate::counted::Octets;
use crate::random;
use crate::wire::{Ask, FlightData, Greeting, Judged, Message, Refused, Welcome};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tapline_delivery::{Covered, Head, Hello};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Frames between the task and the connection.
const FRAMES_MAX: usize = 8;
/// How long the other end may say nothing; it answers what it is asked each second.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// How long the other end may take nothing.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// How often the other end is asked what time it is.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long it takes until another link is tried: twice as long each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a link says to whoever has the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromLink {
    /// It is being made.
    WantsHello,
    /// The other end listens, and has these.
    Welcomed(Covered),
    /// It has room for some records.
    WantsRecords,
    /// A checkpoint of the other end has these.
    Covered(Covered),
    /// The other end did not take a record.
    Judged(Judged),
    /// The other end does not listen.
    Refused(Refused),
    /// What is to be run.
    Assigned(Bytes),
}

/// What whoever has the records says to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToLink {
    /// To be said first.
    Hello(Hello),
    /// To be sent.
    Records(Vec<(Head, Bytes)>),
}

/// How a link is, as others see it.
#[derive(Debug, Default)]
pub(crate) struct LinkState {
    pub(crate) exchanges: Exchanges,
    /// Since when somebody listens, if somebody does.
    pub(crate) connected_since_ns: Option<i64>,
    /// The version of the program at the other end.
    pub(crate) version: Option<String>,
    /// Why there is none, or the last one ended.
    pub(crate) trouble: Option<String>,
}

/// What a link is made with.
pub(crate) struct LinkPlan {
    pub(crate) target: Target,
    pub(crate) version: String,
    pub(crate) states: String,
    pub(crate) report: watch::Receiver<Bytes>,
    pub(crate) state: Arc<Mutex<LinkState>>,
    pub(crate) octets: Arc<Octets>,
    pub(crate) events: mpsc::Sender<FromLink>,
    pub(crate) orders: mpsc::Receiver<ToLink>,
}

/// Why a link ended.
enum End {
    /// Nobody has records any more.
    Nobody,
    /// As a sentence.
    Trouble(String),
}

/// How long is waited for the next link.
struct Backoff(Duration);

impl Backoff {
    /// Between half and all of what it is.
    fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST_WAIT);
        wait / 2 + wait / 2 * (random::bits() as u32 >> 22) / 1024
    }
}

/// Makes links until nobody has records any more.
pub(crate) async fn run(mut plan: LinkPlan) {
    let mut backoff = Backoff(FIRST_WAIT);
    loop {
        let (end, was_welcomed) = link(&mut plan).await;
        let End::Trouble(trouble) = end else { return };
        {
            let mut state = plan.state();
            (state.connected_since_ns, state.trouble) = (None, Some(trouble));
        }
        if was_welcomed {
            backoff = Backoff(FIRST_WAIT);
        }
        tokio::select! {
            () = sleep(backoff.next()) => {}
            () = plan.events.closed() => return,
        }
    }
}

impl LinkPlan {
    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, event: FromLink) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::Nobody)
    }

    /// What is said first; records for the link before are not sent on this one.
    async fn hello(&mut self) -> Result<Hello, End> {
        self.tell(FromLink::WantsHello).await?;
        loop {
            match self.orders.recv().await {
                Some(ToLink::Hello(hello)) => return Ok(hello),
                Some(ToLink::Records(_)) => {}
                None => return Err(End::Nobody),
            }
        }
    }

    /// Greets, and gives the link when the other end listens.
    async fn greet(&mut self) -> Result<(Connection, mpsc::Sender<FlightData>), End> {
        let hello = self.hello().await?;
        let (out, outgoing) = mpsc::channel(FRAMES_MAX);
        let report = self.report.borrow_and_update().clone();
        let (version, states) = (self.version.clone(), self.states.clone());
        let greeting = Greeting { hello, version, states, report, sent_ns: wall_ns() };
        send(&out, Message::Hello(greeting)).await?;
        let connected = self.target.connect(outgoing, Arc::clone(&self.octets)).await;
        let mut connection = connected.map_err(End::Trouble)?;
        match next(&mut connection, &self.target).await? {
            Message::Welcome(Welcome { covered, version, answer }) => {
                {
                    let mut state = self.state();
                    state.exchanges.add(answer, wall_ns());
                    (state.connected_since_ns, state.version) = (Some(wall_ns()), Some(version));
                    state.trouble = None;
                }
                self.tell(FromLink::Welcomed(covered)).await?;
                self.tell(FromLink::WantsRecords).await?;
                Ok((connection, out))
            }
            message => Err(self.refused(message).await),
        }
    }

    /// What came is no reason to go on.
    async fn refused(&self, message: Message) -> End {
        let url = self.target.url();
        let Message::Refused(refused) = message else {
            return End::Trouble(format!(
                "{url} says what no aggregator says; let both ends run the same version"
            ));
        };
        let trouble = format!("{url} does not listen: {}", refused.why);
        match self.tell(FromLink::Refused(refused)).await {
            Ok(()) => End::Trouble(trouble),
            Err(end) => end,
        }
    }

    /// Takes what is said until the link ends.
    async fn read(&self, connection: &mut Connection) -> End {
        loop {
            let event = match next(connection, &self.target).await {
                Ok(Message::Covered(covered)) => FromLink::Covered(covered),
                Ok(Message::Verdict(_, judged)) => FromLink::Judged(judged),
                Ok(Message::Assignments(octets)) => FromLink::Assigned(octets),
                Ok(Message::Answer(answer)) => {
                    self.state().exchanges.add(answer, wall_ns());
                    continue;
                }
                Ok(message) => return self.refused(message).await,
                Err(end) => return end,
            };
            if let Err(end) = self.tell(event).await {
                return end;
            }
        }
    }
}

/// Makes a link, and gives how it ended, and whether anybody listened.
async fn link(plan: &mut LinkPlan) -> (End, bool) {
    let (mut connection, out) = match plan.greet().await {
        Ok(greeted) => greeted,
        Err(end) => return (end, false),
    };
    // What is written needs what the plan has for it, what is read the rest.
    let (_, closed) = mpsc::channel(1);
    let mut orders = std::mem::replace(&mut plan.orders, closed);
    let mut report = plan.report.clone();
    let end = tokio::select! {
        end = plan.read(&mut connection) => end,
        end = write(plan, &out, &mut orders, &mut report) => end,
    };
    plan.orders = orders;
    (end, true)
}

/// Says what there is to say until the link ends.
async fn write(
    plan: &LinkPlan,
    out: &mpsc::Sender<FlightData>,
    orders: &mut mpsc::Receiver<ToLink>,
    report: &mut watch::Receiver<Bytes>,
) -> End {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            order = orders.recv() => match order {
                Some(ToLink::Records(records)) => send_records(plan, out, records).await,
                Some(ToLink::Hello(_)) => Ok(()),
                None => Err(End::Nobody),
            },
            Ok(()) = report.changed() => {
                let octets = report.borrow_and_update().clone();
                send(out, Message::Report(octets)).await
            }
            _ = ticks.tick() => {
                let clock = plan.state().exchanges.best();
                send(out, Message::Ask(Ask { sent_ns: wall_ns(), clock })).await
            }
        };
        if let Err(end) = written {
            return end;
        }
    }
}

async fn send_records(
    plan: &LinkPlan,
    out: &mpsc::Sender<FlightData>,
    records: Vec<(Head, Bytes)>,
) -> Result<(), End> {
    for (head, payload) in records {
        send(out, Message::Record(head, payload)).await?;
    }
    plan.tell(FromLink::WantsRecords).await
}

async fn send(out: &mpsc::Sender<FlightData>, message: Message) -> Result<(), End> {
    match timeout(TAKEN_WITHIN, out.send(message.into_frame())).await {
        Ok(Ok(())) => Ok(()),
        // Why, is said by what is read.
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => {
            let seconds = TAKEN_WITHIN.as_secs();
            Err(End::Trouble(format!("the other end took nothing for {seconds} s, and the link was ended")))
        }
    }
}

/// The next message.
async fn next(connection: &mut Connection, target: &Target) -> Result<Message, End> {
    let url = target.url();
    let frame = match timeout(SILENT_MAX, connection.incoming.message()).await {
        Ok(Ok(Some(frame))) => frame,
        Ok(Ok(None)) => return Err(End::Trouble(format!("{url} ended the link"))),
        Ok(Err(status)) => return Err(End::Trouble(said(url, &status))),
        Err(_) => return Err(End::Trouble(format!("{url} said nothing for {} s", SILENT_MAX.as_secs()))),
    };
    Message::of(frame).map_err(|unread| End::Trouble(format!("{url} is not understood: {unread}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_tried_later_each_time_but_not_later_than_five_seconds() {
        let mut backoff = Backoff(FIRST_WAIT);
        for most_ms in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let wait = backoff.next().as_millis();
            assert!((most_ms / 2..=most_ms).contains(&wait), "{wait} of {most_ms}");
        }
    }
}

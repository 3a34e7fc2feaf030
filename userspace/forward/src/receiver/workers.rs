//! Threads for what takes its time: writing checkpoints, and whoever takes results. Each has one thing to do at once.

use super::orders::{Order, Written};
use crate::store::{Store, tidy, write};
use crate::thread::Running;
use bytes::Bytes;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tapline_delivery::{Checkpoint, Given, HalfId, KeptHalf};
use tokio::sync::mpsc::UnboundedSender;

/// Between two looks at what is safe.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Takes what an aggregator gives.
pub trait Taker: Send {
    /// What is kept of each half, of what was given in an earlier run and taken; before anything is given in this one.
    fn resume(&mut self, _kept: &[KeptHalf]) {}

    /// Takes results that a checkpoint has, oldest first; when it returns they are safe with whoever takes them, unless
    /// [`safe`](Self::safe) says when they are. After a crash those that are not come again.
    fn take(&mut self, given: &[Given]);

    /// Of what it took, so many of the oldest of each half are safe since this was asked before; asked several times a
    /// second. `None`: all that it has taken is.
    fn safe(&mut self) -> Option<Vec<(HalfId, usize)>> {
        None
    }

    /// Where it forwards: what it is to run, as the next aggregator gave it.
    fn assigned(&mut self, octets: &[u8]);

    /// Another process took its place; this one takes and gives nothing any more.
    fn ended(&mut self, why: &str);

    /// Something for whoever looks after it, as a sentence.
    fn tell(&mut self, sentence: &str);
}

/// Whoever writes checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoints(Sender<Checkpoint>);

impl Checkpoints {
    /// Writes one; how it went is said by an order.
    pub(crate) fn write(&self, checkpoint: Checkpoint) {
        // A thread that is gone says nothing any more, and nothing is written.
        let _ = self.0.send(checkpoint);
    }
}

/// Whoever takes results.
#[derive(Debug)]
pub(crate) struct Results(Sender<Job>);

#[derive(Debug)]
enum Job {
    Take(Vec<Given>),
    /// Say once more what is safe, since nothing more is asked.
    Settle,
    Assigned(Bytes),
    Ended(String),
    Tell(String),
}

impl Results {
    /// Gives some; that they are taken is said by an order.
    pub(crate) fn give(&self, given: Vec<Given>) {
        self.put(Job::Take(given));
    }

    /// Lets it be said what is safe, and then that this was all.
    pub(crate) fn settle(&self) {
        self.put(Job::Settle);
    }

    pub(crate) fn assign(&self, octets: Bytes) {
        self.put(Job::Assigned(octets));
    }

    pub(crate) fn end(&self, why: String) {
        self.put(Job::Ended(why));
    }

    pub(crate) fn tell(&self, sentence: String) {
        self.put(Job::Tell(sentence));
    }

    fn put(&self, job: Job) {
        // Nobody hears it any more.
        let _ = self.0.send(job);
    }
}

/// Starts the thread that writes checkpoints.
///
/// # Errors
/// A sentence, when there is none.
pub(crate) fn writer(
    store: Box<dyn Store>,
    orders: UnboundedSender<Order>,
) -> Result<(Checkpoints, Running), String> {
    let (sender, checkpoints): (_, Receiver<Checkpoint>) = channel();
    let work = move || {
        for checkpoint in checkpoints {
            let result = write(&*store, &checkpoint);
            let is_written = result.is_ok();
            let written = Written { stamp: checkpoint.manifest.stamp, result };
            if orders.send(Order::Written(written)).is_err() {
                return;
            }
            if is_written && let Err(why) = tidy(&*store, &checkpoint) {
                // Where nobody goes on, the next one deletes it.
                let _ = orders.send(Order::NotDeleted(why));
            }
        }
    };
    Ok((Checkpoints(sender), Running::spawn("checkpoint", work)?))
}

/// Starts the thread on which results are taken.
///
/// # Errors
/// A sentence, when there is none.
pub(crate) fn taker(
    mut taker: Box<dyn Taker>,
    orders: UnboundedSender<Order>,
) -> Result<(Results, Running), String> {
    let (sender, jobs): (_, Receiver<Job>) = channel();
    let work = move || {
        // Where nobody goes on, they come again.
        let say = |taken: Vec<Order>| taken.into_iter().for_each(|order| drop(orders.send(order)));
        loop {
            match jobs.recv_timeout(LOOK_EVERY) {
                Ok(Job::Take(given)) => {
                    taker.take(&given);
                    say(taken(taker.as_mut(), given.len()));
                }
                Ok(Job::Settle) => {
                    say(taken(taker.as_mut(), 0));
                    say(vec![Order::Settled]);
                }
                Ok(Job::Assigned(octets)) => taker.assigned(&octets),
                Ok(Job::Ended(why)) => taker.ended(&why),
                Ok(Job::Tell(sentence)) => taker.tell(&sentence),
                Err(RecvTimeoutError::Timeout) => say(taken(taker.as_mut(), 0)),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    Ok((Results(sender), Running::spawn("results", work)?))
}

/// What is said when so many more were given.
fn taken(taker: &mut dyn Taker, given: usize) -> Vec<Order> {
    let handed = |order: fn(usize) -> Order| (given > 0).then(|| order(given));
    match taker.safe() {
        None => handed(Order::Taken).into_iter().collect(),
        Some(safe) => {
            let safe = safe.into_iter().map(|(half, results)| Order::Safe(half, results));
            handed(Order::Handed).into_iter().chain(safe).collect()
        }
    }
}

//! Threads for what takes its time: writing checkpoints, and whoever takes results. Each has one thing to do at once.

use super::orders::{Order, Written};
use crate::store::Store;
use crate::thread::Running;
use bytes::Bytes;
use std::sync::mpsc::{Receiver, Sender, channel};
use tapline_delivery::{Checkpoint, Given, KeptHalf};
use tokio::sync::mpsc::UnboundedSender;

/// Takes what an aggregator gives.
pub trait Taker: Send {
    /// What is kept of each half, of what was given in an earlier run and taken; before anything is given in this one.
    fn resume(&mut self, _kept: &[KeptHalf]) {}

    /// Takes results that a checkpoint has, oldest first; when it returns they are safe with whoever takes them. After a
    /// crash some of them come again.
    fn take(&mut self, given: &[Given]);

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
    Assigned(Bytes),
    Ended(String),
    Tell(String),
}

impl Results {
    /// Gives some; that they are taken is said by an order.
    pub(crate) fn give(&self, given: Vec<Given>) {
        self.put(Job::Take(given));
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
            let result = store.replace(&checkpoint);
            let written = Written { stamp: checkpoint.stamp, result };
            if orders.send(Order::Written(written)).is_err() {
                return;
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
        for job in jobs {
            match job {
                Job::Take(given) => {
                    taker.take(&given);
                    // Where nobody goes on, they come again.
                    let _ = orders.send(Order::Taken(given.len()));
                }
                Job::Assigned(octets) => taker.assigned(&octets),
                Job::Ended(why) => taker.ended(&why),
                Job::Tell(sentence) => taker.tell(&sentence),
            }
        }
    };
    Ok((Results(sender), Running::spawn("results", work)?))
}

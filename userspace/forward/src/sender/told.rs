//! What whoever runs a sensor is told, on a thread of its own: nothing waits for it.

use crate::thread::Running;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Sentences that wait to be told; the oldest give way.
const SENTENCES_MAX: usize = 64;

/// Is told what concerns whoever runs a sensor.
pub trait SenderEvents: Send {
    /// What is to be run from now on, as the aggregator gave it: the newest only.
    fn assigned(&mut self, octets: &[u8]);

    /// Another process took its place; nothing of it is listened to any more.
    fn ended(&mut self, why: &str);

    /// Something for whoever looks after it, as a sentence.
    fn tell(&mut self, sentence: &str);
}

/// What waits to be told.
#[derive(Debug, Default)]
struct Waiting {
    sentences: VecDeque<String>,
    assigned: Option<Bytes>,
    ended: Option<String>,
    /// Nobody tells anything any more.
    is_over: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

/// Tells.
#[derive(Debug)]
pub(crate) struct Told(Arc<Queue>);

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to tell; `None` when there is nothing any more.
    fn next(&self) -> Option<Waiting> {
        let mut waiting = self.waiting();
        loop {
            let is_over = waiting.is_over;
            let next = std::mem::take(&mut *waiting);
            if !next.sentences.is_empty() || next.assigned.is_some() || next.ended.is_some() {
                waiting.is_over = is_over;
                return Some(next);
            }
            if is_over {
                return None;
            }
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Told {
    fn put(&self, put: impl FnOnce(&mut Waiting)) {
        put(&mut self.0.waiting());
        self.0.came.notify_one();
    }

    pub(crate) fn say(&self, sentence: &str) {
        self.put(|waiting| {
            if waiting.sentences.len() >= SENTENCES_MAX {
                waiting.sentences.pop_front();
            }
            waiting.sentences.push_back(sentence.to_owned());
        });
    }

    pub(crate) fn assign(&self, octets: Bytes) {
        self.put(|waiting| waiting.assigned = Some(octets));
    }

    pub(crate) fn end(&self, why: &str) {
        self.put(|waiting| waiting.ended = Some(why.to_owned()));
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.put(|waiting| waiting.is_over = true);
    }
}

/// Starts the thread that tells.
///
/// # Errors
/// A sentence, when there is none.
pub(crate) fn start(mut events: Box<dyn SenderEvents>) -> Result<(Told, Running), String> {
    let queue = Arc::<Queue>::default();
    let told = Told(Arc::clone(&queue));
    let tell = move || {
        while let Some(Waiting { sentences, assigned, ended, .. }) = queue.next() {
            sentences.iter().for_each(|sentence| events.tell(sentence));
            if let Some(octets) = assigned {
                events.assigned(&octets);
            }
            if let Some(why) = ended {
                events.ended(&why);
            }
        }
    };
    Ok((told, Running::spawn("forward-told", tell)?))
}

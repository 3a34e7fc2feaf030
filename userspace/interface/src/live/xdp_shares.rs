//! How the queues of an interface are shared out among readers, and what these have in common.
//!
//! Each reader has queues of its own, which nobody else looks at; so reading takes no lock. Somebody may need one reader
//! to see all frames: then the queues go to the first one, with what waits in them, and later come back. A queue that is
//! on its way is read by nobody, and fills up meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Promiscuous;
use super::xdp_queue::XdpQueue;
use crate::kernel::KernelCapture;

/// Who reads which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Queues of the interface, at least one.
    queues: u32,
    /// Readers, each with a queue at least.
    readers: u32,
    /// Whether the first reader reads all of them.
    are_gathered: bool,
}

impl Shares {
    /// All queues for one reader.
    pub(super) const fn of_one(queues: u32) -> Self {
        Self { queues, readers: 1, are_gathered: false }
    }

    /// The same queues for so many readers, as far as there is one for each.
    pub(super) fn among(self, readers: u32) -> Self {
        Self { readers: readers.clamp(1, self.queues.max(1)), ..self }
    }

    /// The same, all read by the first one, or each by its own.
    pub(super) const fn gathered(self, are_gathered: bool) -> Self {
        Self { are_gathered, ..self }
    }

    pub(super) const fn readers(self) -> u32 {
        self.readers
    }

    /// Who reads the queue of this number.
    pub(super) const fn reader_of(self, queue: u32) -> u32 {
        if self.are_gathered { 0 } else { queue % self.readers }
    }

    /// How many queues this reader reads.
    pub(super) fn queues_of(self, reader: u32) -> usize {
        (0..self.queues).filter(|queue| self.reader_of(*queue) == reader).count()
    }
}

/// What the readers of an interface have in common; it goes with the last of them.
pub(super) struct Common {
    held: Mutex<Held>,
    /// Whether the first reader reads all queues.
    are_gathered: AtomicBool,
    /// Whether the interface is there no more.
    is_gone: AtomicBool,
}

/// What is held for all readers.
struct Held {
    // In this order: the program comes off first, so that it does not look for sockets that are gone.
    _program: Option<KernelCapture>,
    /// Asks the interface for all frames.
    _promiscuous: Option<Promiscuous>,
    /// Queues that are on their way, and to whom.
    moving: Vec<(u32, XdpQueue)>,
    /// Those of readers that have ended: while others read, the program finds their sockets.
    left: Vec<XdpQueue>,
}

impl Common {
    /// Keeps a program and a question as long as somebody reads.
    pub(super) fn keeping(program: Option<KernelCapture>, promiscuous: Option<Promiscuous>) -> Self {
        let held = Held { _program: program, _promiscuous: promiscuous, moving: vec![], left: vec![] };
        Self { held: Mutex::new(held), are_gathered: AtomicBool::new(false), is_gone: AtomicBool::new(false) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the first reader takes all queues from now on, or does no more.
    pub(super) fn gather(&self, are_gathered: bool) {
        self.are_gathered.store(are_gathered, Ordering::Release);
    }

    /// Whether it takes them.
    pub(super) fn are_gathered(&self) -> bool {
        self.are_gathered.load(Ordering::Acquire)
    }

    /// Gives queues to others.
    pub(super) fn give(&self, queues: impl Iterator<Item = (u32, XdpQueue)>) {
        self.held().moving.extend(queues);
    }

    /// Takes the queues that were given to this reader.
    pub(super) fn take_for(&self, reader: u32) -> Vec<XdpQueue> {
        let mut held = self.held();
        held.moving.extract_if(.., |(to, _)| *to == reader).map(|(_, queue)| queue).collect()
    }

    /// Keeps the queues of a reader that has ended.
    pub(super) fn leave(&self, queues: Vec<XdpQueue>) {
        self.held().left.extend(queues);
    }

    /// Notes that the interface is gone, of which those do not hear who have no queue.
    pub(super) fn note_gone(&self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }

    /// That it is gone, if so.
    pub(super) fn check(&self, interface: &str) -> io::Result<()> {
        if self.is_gone.load(Ordering::Relaxed) { Err(gone(interface)) } else { Ok(()) }
    }
}

/// That there is no such interface any more.
pub(super) fn gone(interface: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("interface `{interface}` is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_one_reader_and_each_reader_a_queue() {
        for queues in 1..20 {
            for readers in 0..25_u32 {
                let shares = Shares::of_one(queues).among(readers);
                assert_eq!(shares.readers(), readers.clamp(1, queues));
                let of = |reader| shares.queues_of(reader);
                let of_all: Vec<_> = (0..shares.readers()).map(of).collect();
                assert_eq!(of_all.iter().sum::<usize>(), queues as usize);
                let (least, most) = (of_all.iter().min().unwrap(), of_all.iter().max().unwrap());
                assert!(*least > 0 && most - least <= 1, "{queues} for {readers}: {of_all:?}");
            }
        }
    }

    #[test]
    fn what_is_gathered_is_read_by_the_first() {
        let shares = Shares::of_one(5).among(2);
        assert_eq!([0, 1].map(|reader| shares.queues_of(reader)), [3, 2]);
        assert_eq!([0, 1].map(|reader| shares.gathered(true).queues_of(reader)), [5, 0]);
        assert_eq!(shares.gathered(true).gathered(false), shares);
    }
}

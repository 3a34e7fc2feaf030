//! Changes that are made while frames come in.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

/// Tells who sends that it is enough, also where a change went wrong.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Sends again and again until so many changes were made, numbered from 1, however long they take; gives how often it
/// has sent.
pub(crate) fn change_while_sending(changes: u64, mut change: impl FnMut(u64), send: impl Fn() + Sync) -> u64 {
    let is_enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut times = 0;
            while !is_enough.load(Relaxed) {
                send();
                times += 1;
            }
            times
        });
        let enough = Enough(&is_enough);
        (1..=changes).for_each(&mut change);
        drop(enough);
        sending.join().unwrap()
    })
}

//! Calls of the kernel that no signal ends early.
//!
//! The kernel gives up checking a program when a signal waits for the thread; it ends a test run after any number
//! of frames, and does not say how many. Any signal will do, also that a child has ended. So the thread takes none
//! meanwhile; those for the whole process go to another thread, or wait.

use std::mem::MaybeUninit;
use std::ptr::null_mut;

use libc::sigset_t;

/// Does something while this thread takes no signals.
pub(super) fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: the call fills in the set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    let mut before = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: reads one set and fills in the other, both alive during the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    let outcome = work();
    // SAFETY: reads a set that the call before filled in.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut()) };
    outcome
}

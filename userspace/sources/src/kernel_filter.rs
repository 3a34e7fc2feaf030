//! What readers of an interface want of its frames, told to the program in the kernel.
//!
//! Takes conditions, one of which holds of each frame that some query needs, and gives the program's filter all of them as
//! one. Queries look at their conditions all the same: what the kernel leaves out is what nobody would have taken. Who
//! wants more has it from a moment on that is known: when no program runs any more that may have seen less.

use crate::clock::Clock;
use crate::notice::Notice;
use crate::options::SourceOptions;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use tapline_filter::Predicate;
use tapline_interface::kernel::{FilterState, FrameReader, SharedFilter};
use tapline_record::EventTime;

/// So far the clock of frames may be off from ours, in nanoseconds.
const CLOCKS_DIFFER_NS: i64 = 1_000_000;
/// Within so many nanoseconds programs end that run now, where the kernel does not say when.
const ENDS_WITHIN_NS: i64 = 1_000_000_000;

/// A reader's part of a filter.
#[derive(Clone)]
pub(crate) struct ReaderFilter {
    interface: String,
    filter: SharedFilter,
    reader: FrameReader,
    /// What holds of all frames that the run looks at.
    own: Option<Arc<Predicate>>,
}

impl ReaderFilter {
    pub(crate) fn new(
        interface: &str,
        filter: SharedFilter,
        reader: FrameReader,
        options: &SourceOptions,
    ) -> Self {
        Self { interface: interface.to_owned(), filter, reader, own: options.filter.clone() }
    }

    /// Lets the reader have frames of which one of these conditions holds from now on, and maybe others.
    pub(crate) fn tell(&self, wanted: &[Predicate]) -> FilterState {
        let any = Predicate::any(wanted.iter().cloned());
        let all = Predicate::all(self.own.as_deref().cloned().into_iter().chain([any]));
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).set(self.reader, Some(all))
    }

    /// As [`Self::tell`]; waits until no program runs any more that was told less, and says when that was.
    fn tell_all(&self, wanted: &[Predicate], clock: &dyn Clock) -> Told {
        let state = self.tell(wanted);
        let settled = self.filter.lock().unwrap_or_else(PoisonError::into_inner).settle();
        let after_ns = if settled.is_ok() { CLOCKS_DIFFER_NS } else { ENDS_WITHIN_NS };
        Told { state, since: clock.now().plus(after_ns) }
    }
}

/// How a filter came to stand, and since when all programs know it.
struct Told {
    state: FilterState,
    since: EventTime,
}

/// Tells that a filter is not taken, once for each reason.
#[derive(Debug, Default)]
pub(crate) struct FilterNotices {
    state: FilterState,
    pending: Option<Notice>,
}

impl FilterNotices {
    pub(crate) fn note(&mut self, interface: &str, state: FilterState) {
        if let FilterState::Refused(why) = &state
            && state != self.state
        {
            let what = format!("frames of {interface} are filtered by the queries alone, not in the kernel: {why}");
            self.pending = Some(Notice::Filter(what));
        }
        self.state = state;
    }

    pub(crate) fn next(&mut self) -> Option<Notice> {
        self.pending.take()
    }

    /// How the filter stands.
    pub(crate) const fn state(&self) -> &FilterState {
        &self.state
    }
}

/// The part of who reads packets, whose ring is full soon while he does not: a thread of its own tells the kernel.
pub(crate) struct PacketFilter {
    filter: ReaderFilter,
    clock: Arc<dyn Clock>,
    wanted: Vec<Predicate>,
    telling: Option<JoinHandle<Told>>,
    /// Since when all frames come that are wanted.
    since: EventTime,
    notices: FilterNotices,
}

impl PacketFilter {
    /// That of a reader who has all frames.
    pub(crate) fn new(filter: ReaderFilter, options: &SourceOptions) -> Self {
        let (clock, notices) = (Arc::clone(&options.clock), FilterNotices::default());
        let wanted = vec![Predicate::ALWAYS];
        Self { filter, clock, wanted, telling: None, since: EventTime::MIN, notices }
    }

    /// Lets him have these, before he begins to read.
    pub(crate) fn begin(&mut self, wanted: Vec<Predicate>) {
        let state = self.filter.tell(&wanted);
        self.wanted = wanted;
        self.notices.note(&self.filter.interface, state);
    }

    /// Begins to let him have these; says whether all come that are wanted now. It is asked again until they do.
    pub(crate) fn prepare(&mut self, wanted: Vec<Predicate>) -> bool {
        if self.telling.as_ref().is_some_and(|telling| !telling.is_finished()) {
            return false;
        }
        self.take_told();
        if has_all(&self.wanted, &wanted) && has_all(&wanted, &self.wanted) {
            return true;
        }
        let is_narrower = has_all(&self.wanted, &wanted);
        self.wanted = wanted;
        self.begin_to_tell();
        is_narrower
    }

    /// Since when all frames come that are wanted.
    pub(crate) const fn since(&self) -> EventTime {
        self.since
    }

    /// How the filter stands.
    pub(crate) const fn state(&self) -> &FilterState {
        self.notices.state()
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notices.next()
    }

    fn begin_to_tell(&mut self) {
        let (filter, wanted, clock) = (self.filter.clone(), self.wanted.clone(), Arc::clone(&self.clock));
        let tell = move || filter.tell_all(&wanted, clock.as_ref());
        match thread::Builder::new().name("filter".to_owned()).spawn(tell) {
            Ok(telling) => self.telling = Some(telling),
            // Where there is no room for a thread, frames wait.
            Err(_) => self.note(self.filter.tell_all(&self.wanted, self.clock.as_ref())),
        }
    }

    fn take_told(&mut self) {
        let told = self.telling.take().and_then(|telling| telling.join().ok());
        told.into_iter().for_each(|told| self.note(told));
    }

    fn note(&mut self, told: Told) {
        self.since = self.since.max(told.since);
        self.notices.note(&self.filter.interface, told.state);
    }
}

/// Whether whoever has the frames of these conditions has those of others, too, as far as their form says.
fn has_all(these: &[Predicate], others: &[Predicate]) -> bool {
    these.iter().any(Predicate::is_always) || others.iter().all(|other| these.contains(other))
}

/// The part of who empties the table: what the table counts waits in the kernel, and so does he.
pub(crate) struct TableFilter {
    filter: ReaderFilter,
    wanted: Vec<Predicate>,
    /// Whether somebody needs all flows, whatever queries want.
    needs_all: bool,
    clock: Arc<dyn Clock>,
    notices: FilterNotices,
}

impl TableFilter {
    /// That of a table that counts all frames so far, but for those that the run does not look at.
    pub(crate) fn new(filter: ReaderFilter, options: &SourceOptions) -> Self {
        let (wanted, needs_all, clock) = (vec![Predicate::ALWAYS], false, Arc::clone(&options.clock));
        let mut notices = FilterNotices::default();
        notices.note(&filter.interface, filter.tell(&wanted));
        Self { filter, wanted, needs_all, clock, notices }
    }

    /// Counts frames of which one of these conditions holds. When this is done, no program runs any more that was told to
    /// count less.
    pub(crate) fn want(&mut self, wanted: Vec<Predicate>) {
        if self.wanted != wanted {
            self.wanted = wanted;
            self.tell();
        }
    }

    /// Counts all frames while somebody needs all flows; says whether some were left out before.
    pub(crate) fn need_all(&mut self, needs_all: bool) -> bool {
        let left_out = matches!(self.state(), FilterState::Placed { .. });
        if mem::replace(&mut self.needs_all, needs_all) != needs_all {
            self.tell();
        }
        left_out
    }

    /// How the filter stands.
    pub(crate) const fn state(&self) -> &FilterState {
        self.notices.state()
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notices.next()
    }

    fn tell(&mut self) {
        let all = [Predicate::ALWAYS];
        let wanted = if self.needs_all { all.as_slice() } else { self.wanted.as_slice() };
        let Told { state, .. } = self.filter.tell_all(wanted, self.clock.as_ref());
        self.notices.note(&self.filter.interface, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_filter::{Condition, Field};

    fn port(number: u128) -> Predicate {
        Condition::is_in(Field::DstPort, [number]).predicate()
    }

    #[test]
    fn whoever_wants_less_has_all_that_he_wants() {
        assert!(has_all(&[port(53), port(80)], &[port(80)]) && has_all(&[Predicate::ALWAYS], &[port(80)]));
        assert!(!has_all(&[port(80)], &[port(53), port(80)]) && !has_all(&[port(80)], &[Predicate::ALWAYS]));
        assert!(has_all(&[], &[]) && has_all(&[port(80)], &[]));
    }

    #[test]
    fn a_filter_that_is_not_taken_is_told_once() {
        let mut notices = FilterNotices::default();
        let refused = || FilterState::Refused("no".to_owned());
        notices.note("eth0", refused());
        let told = |notices: &mut FilterNotices| match notices.next() {
            Some(Notice::Filter(what)) => Some(what),
            _ => None,
        };
        assert_eq!(
            told(&mut notices).as_deref(),
            Some("frames of eth0 are filtered by the queries alone, not in the kernel: no")
        );
        notices.note("eth0", refused());
        assert_eq!(told(&mut notices), None);
        notices.note("eth0", FilterState::Open);
        notices.note("eth0", refused());
        assert!(told(&mut notices).is_some() && notices.state() == &refused());
    }
}

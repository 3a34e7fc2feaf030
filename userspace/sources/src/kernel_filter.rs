//! What readers of an interface want of its frames, told to the program in the kernel.
//!
//! Takes what holds of the frames that a source keeps, and conditions, one of which holds of each frame that some
//! query needs; gives the program's filter all of them as one. Whoever reads looks at the former all the same, and
//! queries at the latter: what the kernel leaves out is what nobody would have taken. Who wants more has it from a
//! moment on that is known: when no program runs any more that may have seen less.
//!
//! So another selection is told beside the one that holds, takes its place where frames are read when the kernel lets
//! through what either keeps, and is told alone then: each frame is looked at by one of the two.
//!
//! Several may read the packets of one interface, each some queues of it. The kernel knows them as one reader, who wants what
//! any of them does: so each goes over to something else when it is ready to, and the last one has the kernel told less.

mod wanted;

use crate::clock::Clock;
use crate::notice::Notice;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tapline_filter::Predicate;
use tapline_interface::kernel::{CARD_AWAY_NS_MAX, FilterState, FrameReader, SharedFilter, monotonic_ns};
use tapline_record::EventTime;
use wanted::{Course, Wanted};

/// So far the time of a frame, which may be that of a card, may be off from our clock, in nanoseconds.
const CLOCKS_DIFFER_NS: i64 = CARD_AWAY_NS_MAX.cast_signed() + 1_000_000;
/// Within so many nanoseconds programs end that run now, where the kernel does not say when.
const ENDS_WITHIN_NS: i64 = 1_000_000_000;

/// What those want who share the frames of an interface, and what was told of their filter.
#[derive(Default)]
pub(crate) struct Sharers {
    /// Of those that have begun.
    wanted: Mutex<BTreeMap<usize, Wanted>>,
    notices: Mutex<FilterNotices>,
}

/// A reader's part of a filter.
#[derive(Clone)]
pub(crate) struct ReaderFilter {
    interface: String,
    filter: SharedFilter,
    reader: FrameReader,
    sharers: Arc<Sharers>,
    /// Which of them it is.
    place: usize,
}

impl ReaderFilter {
    pub(crate) fn new(interface: &str, filter: SharedFilter, reader: FrameReader) -> Self {
        let (interface, sharers) = (interface.to_owned(), Arc::default());
        Self { interface, filter, reader, sharers, place: 0 }
    }

    /// That of one of several who share the frames.
    pub(crate) fn beside(self, sharers: &Arc<Sharers>, place: usize) -> Self {
        Self { sharers: Arc::clone(sharers), place, ..self }
    }

    /// Lets the reader have these frames from now on, and maybe others; gives what somebody should hear of.
    fn tell(&self, wanted: &Wanted) -> Option<Notice> {
        let mut all = lock(&self.sharers.wanted);
        all.insert(self.place, wanted.clone());
        let mut filter = lock(&self.filter);
        if self.reader == FrameReader::Packets {
            filter.set_whole(all.values().any(|wanted| wanted.is_whole));
        }
        let state = filter.set(self.reader, Some(Wanted::by_any(all.values())));
        drop(filter);
        let mut notices = lock(&self.sharers.notices);
        notices.note(&self.interface, state);
        notices.next()
    }

    /// As [`Self::tell`]; waits until no program runs any more that was told less, and says when that was.
    fn tell_all(&self, wanted: &Wanted, clock: &dyn Clock) -> Told {
        let notice = self.tell(wanted);
        let settled = lock(&self.filter).settle();
        let after_ns = if settled.is_ok() { CLOCKS_DIFFER_NS } else { ENDS_WITHIN_NS };
        let since_ns = settled.unwrap_or_else(|_| monotonic_ns() + ENDS_WITHIN_NS.unsigned_abs());
        Told { notice, since: clock.now().plus(after_ns), since_ns }
    }

    /// How the filter stands.
    fn state(&self) -> FilterState {
        lock(&self.sharers.notices).state().clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be heard of how a filter came to stand, and since when all programs know it.
struct Told {
    notice: Option<Notice>,
    since: EventTime,
    /// The same on the programs' clock.
    since_ns: u64,
}

/// Tells that a filter is not taken, or not as a whole, once for each reason.
#[derive(Debug, Default)]
pub(crate) struct FilterNotices {
    state: FilterState,
    pending: Option<Notice>,
}

impl FilterNotices {
    pub(crate) fn note(&mut self, interface: &str, state: FilterState) {
        let told = lack_of(interface, &self.state);
        if let Some(what) = lack_of(interface, &state).filter(|what| told.as_ref() != Some(what)) {
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

/// What a filter leaves to whoever reads.
fn lack_of(interface: &str, state: &FilterState) -> Option<String> {
    match state {
        FilterState::Open | FilterState::Placed { widened: None, .. } => None,
        FilterState::Placed { widened: Some(what), .. } => Some(format!(
            "frames of {interface} are filtered in the kernel {what}; the rest is left to queries"
        )),
        FilterState::Refused(why) => {
            Some(format!("frames of {interface} are filtered where they are read, not in the kernel: {why}"))
        }
    }
}

/// The part of who reads packets, whose ring is full soon while he does not: a thread of its own tells the kernel.
pub(crate) struct PacketFilter {
    filter: ReaderFilter,
    clock: Arc<dyn Clock>,
    course: Course,
    telling: Option<JoinHandle<Told>>,
    /// Since when all frames come that are wanted.
    since: EventTime,
    /// The same on the programs' clock, ns.
    since_ns: u64,
    notice: Option<Notice>,
}

impl PacketFilter {
    /// That of a reader who has all frames.
    pub(crate) fn new(filter: ReaderFilter, clock: Arc<dyn Clock>) -> Self {
        let course = Course::behind(Wanted::all_of(Predicate::ALWAYS));
        Self { filter, clock, course, telling: None, since: EventTime::MIN, since_ns: 0, notice: None }
    }

    /// Lets him have what is kept, as far as queries need it, before he begins to read; as a whole, or headers alone.
    pub(crate) fn begin(&mut self, kept: Predicate, needed: Vec<Predicate>, is_whole: bool) {
        let wanted = Wanted { needed, is_whole, ..Wanted::all_of(kept) };
        self.notice = self.filter.tell(&wanted);
        self.course = Course::behind(wanted);
    }

    /// Begins to let him have what queries need, frames as a whole if some do; says whether all comes that is wanted. It is
    /// asked again until it does.
    pub(crate) fn need(&mut self, needed: Vec<Predicate>, is_whole: bool) -> bool {
        self.want(|wanted| {
            wanted.needed = needed;
            wanted.is_whole |= is_whole;
        })
    }

    /// Lets him have no more of frames than their headers: nobody reads what is behind them any more.
    pub(crate) fn need_headers_only(&mut self) {
        self.want(|wanted| wanted.is_whole = false);
    }

    /// As [`Self::need`], where somebody needs all frames that are kept, or does no more.
    pub(crate) fn need_all(&mut self, needs_all: bool) -> bool {
        self.want(|wanted| wanted.needs_all = needs_all)
    }

    /// The same, where frames are kept of which one of these holds.
    pub(crate) fn keep(&mut self, kept: Vec<Predicate>) -> bool {
        self.want(|wanted| wanted.kept = kept)
    }

    fn want(&mut self, change: impl FnOnce(&mut Wanted)) -> bool {
        self.course.change(change);
        self.go_on()
    }

    /// Tells the kernel what is to be told next, if it knows what it was told before; says whether all comes that is
    /// wanted.
    pub(crate) fn go_on(&mut self) -> bool {
        self.take_told();
        if self.telling.is_none()
            && let Some(wanted) = self.course.begin_to_tell()
        {
            self.tell(&wanted);
        }
        self.course.comes()
    }

    /// Since when all frames come that are wanted.
    pub(crate) const fn since(&self) -> EventTime {
        self.since
    }

    /// The same on the programs' clock, ns.
    pub(crate) const fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// How the filter stands.
    pub(crate) fn state(&self) -> FilterState {
        self.filter.state()
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    fn tell(&mut self, wanted: &Wanted) {
        let (filter, clock) = (self.filter.clone(), Arc::clone(&self.clock));
        let told = wanted.clone();
        let tell = move || filter.tell_all(&told, clock.as_ref());
        match thread::Builder::new().name("filter".to_owned()).spawn(tell) {
            Ok(telling) => self.telling = Some(telling),
            // Where there is no room for a thread, frames wait.
            Err(_) => self.note(Some(self.filter.tell_all(wanted, self.clock.as_ref()))),
        }
    }

    fn take_told(&mut self) {
        if let Some(telling) = self.telling.take_if(|telling| telling.is_finished()) {
            self.note(telling.join().ok());
        }
    }

    fn note(&mut self, told: Option<Told>) {
        self.course.has_told();
        if let Some(told) = told {
            self.since = self.since.max(told.since);
            self.since_ns = self.since_ns.max(told.since_ns);
            self.notice = told.notice.or_else(|| self.notice.take());
        }
    }
}

/// The part of who empties the table: what the table counts waits in the kernel, and so does he.
pub(crate) struct TableFilter {
    filter: ReaderFilter,
    wanted: Wanted,
    clock: Arc<dyn Clock>,
    notice: Option<Notice>,
}

impl TableFilter {
    /// That of a table that counts all frames that are kept so far.
    pub(crate) fn new(filter: ReaderFilter, kept: Predicate, clock: Arc<dyn Clock>) -> Self {
        let wanted = Wanted::all_of(kept);
        let notice = filter.tell(&wanted);
        Self { filter, wanted, clock, notice }
    }

    /// Counts what is kept as far as queries need it. When this is done, no program runs any more that was told to
    /// count less.
    pub(crate) fn need(&mut self, needed: Vec<Predicate>) {
        self.want(|wanted| wanted.needed = needed);
    }

    /// Counts all that is kept while somebody needs all flows; says whether some were left out before.
    pub(crate) fn need_all(&mut self, needs_all: bool) -> bool {
        // Whom nobody wants needs no filter to be left out.
        let left_out = !self.wanted.predicate().is_always();
        self.want(|wanted| wanted.needs_all = needs_all);
        left_out
    }

    /// The same as [`Self::need`], where frames are kept of which one of these holds.
    pub(crate) fn keep(&mut self, kept: Vec<Predicate>) {
        self.want(|wanted| wanted.kept = kept);
    }

    /// How the filter stands.
    pub(crate) fn state(&self) -> FilterState {
        self.filter.state()
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    fn want(&mut self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.wanted.clone();
        change(&mut wanted);
        let is_as_before = wanted.is_as(&self.wanted);
        self.wanted = wanted;
        if !is_as_before {
            let Told { notice, .. } = self.filter.tell_all(&self.wanted, self.clock.as_ref());
            self.notice = notice.or_else(|| self.notice.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Some("frames of eth0 are filtered where they are read, not in the kernel: no")
        );
        notices.note("eth0", refused());
        assert_eq!(told(&mut notices), None);
        notices.note("eth0", FilterState::Open);
        notices.note("eth0", refused());
        assert!(told(&mut notices).is_some() && notices.state() == &refused());
        let placed = |sql: &str, widened: Option<&str>| FilterState::Placed {
            sql: sql.to_owned(),
            instructions: 9,
            lists: 0,
            widened: widened.map(ToOwned::to_owned),
        };
        notices.note("eth0", placed("dst_port = 53", None));
        assert_eq!(told(&mut notices), None);
        let without = Some("without conditions on src_ip (1): no");
        notices.note("eth0", placed("dst_port = 53", without));
        let expected = "frames of eth0 are filtered in the kernel without conditions on src_ip (1): no; the rest is left to \
                        queries";
        assert_eq!(told(&mut notices).as_deref(), Some(expected));
        notices.note("eth0", placed("dst_port = 80", without));
        assert_eq!(told(&mut notices), None);
    }
}

//! What readers of an interface want of its frames, told to the program in the kernel.
//!
//! Takes what holds of the frames that a source keeps, and conditions, one of which holds of each frame that some
//! query needs; gives the program's filter all of them as one. Whoever reads looks at the former all the same, and
//! queries at the latter: what the kernel leaves out is what nobody would have taken. Who wants more has it from a
//! moment on that is known: when no program runs any more that may have seen less.
//!
//! So another selection is told beside the one that holds, takes its place where frames are read when the kernel lets
//! through what either keeps, and is told alone then: each frame is looked at by one of the two.

use crate::clock::Clock;
use crate::notice::Notice;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use tapline_filter::Predicate;
use tapline_interface::kernel::{FilterState, FrameReader, SharedFilter};
use tapline_record::EventTime;

/// So far the clock of frames may be off from ours, in nanoseconds.
const CLOCKS_DIFFER_NS: i64 = 1_000_000;
/// Within so many nanoseconds programs end that run now, where the kernel does not say when.
const ENDS_WITHIN_NS: i64 = 1_000_000_000;

/// What is needed where all is.
static ALL: [Predicate; 1] = [Predicate::ALWAYS];

/// Which frames a reader wants: those that its source keeps, as far as they are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    /// One of these holds of each frame that the source keeps, or is to keep next.
    kept: Vec<Predicate>,
    /// One of these holds of each frame that some query needs.
    needed: Vec<Predicate>,
    /// Whether somebody needs all frames that are kept, whatever queries need.
    needs_all: bool,
}

impl Wanted {
    /// All that is kept.
    fn all_of(kept: Predicate) -> Self {
        Self { kept: vec![kept], needed: vec![Predicate::ALWAYS], needs_all: false }
    }

    fn needed(&self) -> &[Predicate] {
        if self.needs_all { &ALL } else { &self.needed }
    }

    fn predicate(&self) -> Predicate {
        let [kept, needed] = [self.kept.as_slice(), self.needed()].map(|any| Predicate::any(any.iter().cloned()));
        Predicate::all([kept, needed])
    }

    /// Whether whoever has these frames has others, too, as far as their form says.
    fn has_all_of(&self, others: &Self) -> bool {
        has_all(&self.kept, &others.kept) && has_all(self.needed(), others.needed())
    }

    /// Whether they are the same frames, as far as their form says.
    fn is_as(&self, others: &Self) -> bool {
        self.has_all_of(others) && others.has_all_of(self)
    }
}

/// Whether whoever has the frames of these conditions has those of others, too, as far as their form says.
fn has_all(these: &[Predicate], others: &[Predicate]) -> bool {
    these.iter().any(Predicate::is_always) || others.iter().all(|other| these.contains(other))
}

/// A reader's part of a filter.
#[derive(Clone)]
pub(crate) struct ReaderFilter {
    interface: String,
    filter: SharedFilter,
    reader: FrameReader,
}

impl ReaderFilter {
    pub(crate) fn new(interface: &str, filter: SharedFilter, reader: FrameReader) -> Self {
        Self { interface: interface.to_owned(), filter, reader }
    }

    /// Lets the reader have these frames from now on, and maybe others.
    fn tell(&self, wanted: &Wanted) -> FilterState {
        let wanted = Some(wanted.predicate());
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).set(self.reader, wanted)
    }

    /// As [`Self::tell`]; waits until no program runs any more that was told less, and says when that was.
    fn tell_all(&self, wanted: &Wanted, clock: &dyn Clock) -> Told {
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
            let what = format!("frames of {interface} are filtered where they are read, not in the kernel: {why}");
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
    /// What the kernel was told, or is being told; and what it is to be told behind that.
    told: Wanted,
    next: Option<Wanted>,
    telling: Option<JoinHandle<Told>>,
    /// Whether all frames come of which it was told.
    comes: bool,
    /// Since when they do.
    since: EventTime,
    notices: FilterNotices,
}

impl PacketFilter {
    /// That of a reader who has all frames.
    pub(crate) fn new(filter: ReaderFilter, clock: Arc<dyn Clock>) -> Self {
        let (told, notices) = (Wanted::all_of(Predicate::ALWAYS), FilterNotices::default());
        Self { filter, clock, told, next: None, telling: None, comes: true, since: EventTime::MIN, notices }
    }

    /// Lets him have what is kept, as far as queries need it, before he begins to read.
    pub(crate) fn begin(&mut self, kept: Predicate, needed: Vec<Predicate>) {
        self.told = Wanted { needed, ..Wanted::all_of(kept) };
        let state = self.filter.tell(&self.told);
        self.notices.note(&self.filter.interface, state);
    }

    /// Begins to let him have what queries need; says whether all comes that is wanted. It is asked again until it
    /// does.
    pub(crate) fn need(&mut self, needed: Vec<Predicate>) -> bool {
        self.want(|wanted| wanted.needed = needed)
    }

    /// The same, where somebody needs all frames that are kept, or does no more.
    pub(crate) fn need_all(&mut self, needs_all: bool) -> bool {
        self.want(|wanted| wanted.needs_all = needs_all)
    }

    /// The same, where frames are kept of which one of these holds.
    pub(crate) fn keep(&mut self, kept: Vec<Predicate>) -> bool {
        self.want(|wanted| wanted.kept = kept)
    }

    fn want(&mut self, change: impl FnOnce(&mut Wanted)) -> bool {
        let mut wanted = self.next.take().unwrap_or_else(|| self.told.clone());
        change(&mut wanted);
        if wanted.is_as(&self.told) {
            self.told = wanted;
        } else {
            self.next = Some(wanted);
        }
        self.go_on()
    }

    /// Tells the kernel what is to be told next, if it knows what it was told before; says whether all comes that is
    /// wanted.
    pub(crate) fn go_on(&mut self) -> bool {
        self.take_told();
        if self.telling.is_none()
            && let Some(next) = self.next.take()
        {
            // Where less is wanted nobody waits.
            self.comes = self.told.has_all_of(&next);
            self.told = next;
            self.begin_to_tell();
        }
        self.comes && self.next.is_none()
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
        let (filter, wanted, clock) = (self.filter.clone(), self.told.clone(), Arc::clone(&self.clock));
        let tell = move || filter.tell_all(&wanted, clock.as_ref());
        match thread::Builder::new().name("filter".to_owned()).spawn(tell) {
            Ok(telling) => self.telling = Some(telling),
            // Where there is no room for a thread, frames wait.
            Err(_) => self.note(self.filter.tell_all(&self.told, self.clock.as_ref())),
        }
    }

    fn take_told(&mut self) {
        let Some(telling) = self.telling.take_if(|telling| telling.is_finished()) else { return };
        self.comes = true;
        telling.join().into_iter().for_each(|told| self.note(told));
    }

    fn note(&mut self, told: Told) {
        self.comes = true;
        self.since = self.since.max(told.since);
        self.notices.note(&self.filter.interface, told.state);
    }
}

/// The part of who empties the table: what the table counts waits in the kernel, and so does he.
pub(crate) struct TableFilter {
    filter: ReaderFilter,
    wanted: Wanted,
    clock: Arc<dyn Clock>,
    notices: FilterNotices,
}

impl TableFilter {
    /// That of a table that counts all frames that are kept so far.
    pub(crate) fn new(filter: ReaderFilter, kept: Predicate, clock: Arc<dyn Clock>) -> Self {
        let (wanted, mut notices) = (Wanted::all_of(kept), FilterNotices::default());
        notices.note(&filter.interface, filter.tell(&wanted));
        Self { filter, wanted, clock, notices }
    }

    /// Counts what is kept as far as queries need it. When this is done, no program runs any more that was told to
    /// count less.
    pub(crate) fn need(&mut self, needed: Vec<Predicate>) {
        self.want(|wanted| wanted.needed = needed);
    }

    /// Counts all that is kept while somebody needs all flows; says whether some were left out before.
    pub(crate) fn need_all(&mut self, needs_all: bool) -> bool {
        let left_out = matches!(self.state(), FilterState::Placed { .. });
        self.want(|wanted| wanted.needs_all = needs_all);
        left_out
    }

    /// The same as [`Self::need`], where frames are kept of which one of these holds.
    pub(crate) fn keep(&mut self, kept: Vec<Predicate>) {
        self.want(|wanted| wanted.kept = kept);
    }

    /// How the filter stands.
    pub(crate) const fn state(&self) -> &FilterState {
        self.notices.state()
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notices.next()
    }

    fn want(&mut self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.wanted.clone();
        change(&mut wanted);
        let is_as_before = wanted.is_as(&self.wanted);
        self.wanted = wanted;
        if !is_as_before {
            let Told { state, .. } = self.filter.tell_all(&self.wanted, self.clock.as_ref());
            self.notices.note(&self.filter.interface, state);
        }
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
    fn a_reader_wants_what_is_kept_as_far_as_it_is_needed() {
        let needs = |needed| Wanted { needed, ..Wanted::all_of(port(53)) };
        let all = Wanted::all_of(port(53));
        assert_eq!(all.predicate(), port(53));
        let vlan = || Condition::is_in(Field::Vlan, [7]).predicate();
        assert_eq!(needs(vec![vlan()]).predicate(), Predicate::all([port(53), vlan()]));
        assert!(needs(vec![]).predicate().is_never());
        assert_eq!(Wanted { needs_all: true, ..needs(vec![]) }.predicate(), port(53));
        // Until another selection holds, what either keeps is let through.
        let either = Wanted { kept: vec![port(53), port(80)], ..needs(vec![vlan()]) };
        assert_eq!(either.predicate(), Predicate::all([Predicate::any([port(53), port(80)]), vlan()]));
        assert!(either.has_all_of(&needs(vec![vlan()])) && !needs(vec![vlan()]).has_all_of(&either));
        assert!(all.has_all_of(&needs(vec![vlan()])) && !either.has_all_of(&all));
        assert!(all.is_as(&Wanted { needs_all: true, ..needs(vec![vlan()]) }));
        let none = Wanted::all_of(Predicate::ALWAYS);
        assert!(none.predicate().is_always() && none.has_all_of(&either));
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
            Some("frames of eth0 are filtered where they are read, not in the kernel: no")
        );
        notices.note("eth0", refused());
        assert_eq!(told(&mut notices), None);
        notices.note("eth0", FilterState::Open);
        notices.note("eth0", refused());
        assert!(told(&mut notices).is_some() && notices.state() == &refused());
    }
}

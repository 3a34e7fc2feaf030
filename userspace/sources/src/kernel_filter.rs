//! What readers of an interface want of its frames, told to the program in the kernel.
//!
//! Takes what holds of the frames that a source keeps, and conditions, one of which holds of each frame that some
//! query needs; gives the program's filter all of them as one. Whoever reads looks at the former all the same, and
//! queries at the latter: what the kernel leaves out is what nobody would have taken. Who wants more has it from a
//! moment on that is known: when no program runs any more that may have seen less.
//!
//! A thread of its own tells the kernel, which may take seconds for a large list: whoever reads never waits for that, as
//! the rings and tables that he empties would run over meanwhile.
//!
//! So another selection is told beside the one that holds, takes its place where frames are read when the kernel lets
//! through what either keeps, and is told alone then: each frame is looked at by one of the two.
//!
//! Several may read the packets of one interface, each some queues of it. The kernel knows them as one reader, who wants what
//! any of them does: so each goes over to something else when it is ready to, and the last one has the kernel told less.

#[cfg(test)]
pub(crate) mod fake;
mod wanted;

use crate::clock::Clock;
use crate::notice::Notice;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tapline_filter::Predicate;
use tapline_interface::kernel::{
    CARD_AWAY_NS_MAX, FilterStanding, FilterState, FrameReader, SharedFilter, monotonic_ns,
};
use tapline_record::EventTime;
use wanted::{Course, Wanted};

/// So far the time of a frame, which may be that of a card, may be off from our clock, in nanoseconds.
const CLOCKS_DIFFER_NS: i64 = CARD_AWAY_NS_MAX.cast_signed() + 1_000_000;
/// Within so many nanoseconds programs end that run now, where the kernel does not say when.
const ENDS_WITHIN_NS: i64 = 1_000_000_000;

/// Who tells the program what a reader wants.
trait Teller: Send + Sync {
    /// Lets the reader have these frames from now on, and maybe others.
    fn tell(&self, wanted: &Wanted);

    /// How the filter stands, whoever told it last; somebody may tell it meanwhile.
    fn state(&self) -> FilterState;

    /// Waits until no program runs any more that was told less. Gives a time on the programs' clock, ns: no frame of such a
    /// program has a later one; `None` where the kernel does not say.
    fn settle(&self) -> Option<u64>;
}

/// What those want who share the frames of an interface, and what was told of their filter.
#[derive(Default)]
pub(crate) struct Sharers {
    wanted: Mutex<BTreeMap<usize, Wanted>>,
    notices: Mutex<FilterNotices>,
}

/// A reader's part of a filter in the kernel.
struct Part {
    filter: SharedFilter,
    standing: FilterStanding,
    reader: FrameReader,
    sharers: Arc<Sharers>,
    /// Which of them it is.
    place: usize,
}

impl Teller for Part {
    fn tell(&self, wanted: &Wanted) {
        let mut all = lock(&self.sharers.wanted);
        all.insert(self.place, wanted.clone());
        let predicate = Wanted::by_any(all.values());
        let mut filter = lock(&self.filter);
        if self.reader == FrameReader::Packets {
            filter.set_whole(all.values().any(|wanted| wanted.is_whole));
        }
        filter.set(self.reader, Some(predicate));
    }

    fn state(&self) -> FilterState {
        self.standing.state()
    }

    fn settle(&self) -> Option<u64> {
        lock(&self.filter).settle().ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Since when all programs know what was told, where somebody waits for that: by our clock, and by that of the programs, ns.
type Told = Option<(EventTime, u64)>;

/// Tells the kernel, and waits until all programs know it, or does not.
fn tell(teller: &dyn Teller, wanted: &Wanted, waits: bool, clock: &dyn Clock) -> Told {
    teller.tell(wanted);
    waits.then(|| {
        let settled = teller.settle();
        let after_ns = if settled.is_some() { CLOCKS_DIFFER_NS } else { ENDS_WITHIN_NS };
        let since_ns = settled.unwrap_or_else(|| monotonic_ns() + ENDS_WITHIN_NS.unsigned_abs());
        (clock.now().plus(after_ns), since_ns)
    })
}

/// Tells that a filter is not taken, or not as a whole, once for each reason.
#[derive(Debug, Default)]
pub(crate) struct FilterNotices {
    state: FilterState,
    pending: Option<Notice>,
}

impl FilterNotices {
    pub(crate) fn note(&mut self, interface: &str, state: FilterState) {
        let is_told = lacks_the_same(&self.state, &state);
        if let Some(what) = lack_of(interface, &state).filter(|_| !is_told) {
            self.pending = Some(Notice::Filter(what));
        }
        self.state = state;
    }

    pub(crate) fn next(&mut self) -> Option<Notice> {
        self.pending.take()
    }
}

/// Whether two filters lack something for the same reasons.
fn lacks_the_same(one: &FilterState, other: &FilterState) -> bool {
    use FilterState::{Placed, Refused};
    match (one, other) {
        (Placed { widened: Some(one), .. }, Placed { widened: Some(other), .. }) => one.is_like(other),
        (Refused(one), Refused(other)) => one == other,
        _ => false,
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

/// The part of a reader: of who reads packets, or of who empties the table.
pub(crate) struct ReaderFilter {
    interface: String,
    teller: Arc<dyn Teller>,
    clock: Arc<dyn Clock>,
    course: Course,
    telling: Option<JoinHandle<Told>>,
    /// Since when all frames come that are wanted.
    since: EventTime,
    /// The same on the programs' clock, ns.
    since_ns: u64,
    sharers: Arc<Sharers>,
    notice: Option<Notice>,
}

impl ReaderFilter {
    /// That of a reader who has all frames.
    pub(crate) fn new(
        interface: &str,
        filter: SharedFilter,
        reader: FrameReader,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::beside(interface, filter, reader, (0, &Arc::default()), clock)
    }

    /// That of one of several who share the frames, who has all of them, too.
    pub(crate) fn beside(
        interface: &str,
        filter: SharedFilter,
        reader: FrameReader,
        (place, sharers): (usize, &Arc<Sharers>),
        clock: Arc<dyn Clock>,
    ) -> Self {
        lock(&sharers.wanted).insert(place, everything());
        let sharers = Arc::clone(sharers);
        let standing = lock(&filter).standing();
        let part = Part { filter, standing, reader, sharers: Arc::clone(&sharers), place };
        Self { sharers, ..Self::by(interface, Arc::new(part), clock) }
    }

    fn by(interface: &str, teller: Arc<dyn Teller>, clock: Arc<dyn Clock>) -> Self {
        Self {
            interface: interface.to_owned(),
            teller,
            clock,
            course: Course::behind(everything()),
            telling: None,
            since: EventTime::MIN,
            since_ns: 0,
            sharers: Arc::default(),
            notice: None,
        }
    }

    /// Lets him have what is kept, as far as queries need it, when he begins to read; as a whole, or headers alone. Until
    /// the kernel knows it, more comes.
    pub(crate) fn begin(&mut self, kept: Arc<Predicate>, needed: Vec<Arc<Predicate>>, is_whole: bool) {
        self.want(|wanted| *wanted = Wanted { needed, is_whole, ..Wanted::all_of(kept) });
    }

    /// Begins to let him have what queries need, frames as a whole if some do; says whether all comes that is wanted. It is
    /// asked again until it does.
    pub(crate) fn need(&mut self, needed: Vec<Arc<Predicate>>, is_whole: bool) -> bool {
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
    pub(crate) fn keep(&mut self, kept: Vec<Arc<Predicate>>) -> bool {
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
        self.teller.state()
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    fn tell(&mut self, wanted: &Wanted) {
        let (teller, clock) = (Arc::clone(&self.teller), Arc::clone(&self.clock));
        let (told, waits) = (wanted.clone(), !self.course.comes_as_told());
        let telling = move || tell(teller.as_ref(), &told, waits, clock.as_ref());
        match thread::Builder::new().name("filter".to_owned()).spawn(telling) {
            Ok(telling) => self.telling = Some(telling),
            // Where there is no room for a thread, frames wait.
            Err(_) => self.note(tell(self.teller.as_ref(), wanted, waits, self.clock.as_ref())),
        }
    }

    fn take_told(&mut self) {
        if let Some(telling) = self.telling.take_if(|telling| telling.is_finished()) {
            match telling.join() {
                Ok(told) => self.note(told),
                Err(_) => self.course.has_broken_down(),
            }
        }
    }

    fn note(&mut self, told: Told) {
        self.course.has_told();
        if let Some((since, since_ns)) = told {
            self.since = self.since.max(since);
            self.since_ns = self.since_ns.max(since_ns);
        }
        // Others may have told something else since: what is noted last is how it stands by then.
        let mut notices = lock(&self.sharers.notices);
        notices.note(&self.interface, self.teller.state());
        self.notice = notices.next().or_else(|| self.notice.take());
    }
}

/// What a reader has whom the kernel was told nothing of.
fn everything() -> Wanted {
    Wanted::all_of(Arc::new(Predicate::ALWAYS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::SourceOptions;
    use fake::{FakeKernel, until};
    use tapline_filter::bpf::{Pushed, Widened};
    use tapline_filter::{Condition, Field};

    /// What is left out of a filter of so many addresses and ports that go together.
    fn widened(pairs: u128) -> Widened {
        let pair = |place: u128| {
            let [src, dst] = [Field::SrcIp, Field::DstPort].map(|field| Condition::is_in(field, [2 * place]));
            Condition::All(vec![src, dst])
        };
        let all = Condition::Any((0..pairs).map(pair).collect());
        Pushed::of(&all.predicate()).fitted().widened.unwrap()
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
        assert!(told(&mut notices).is_some() && notices.state == refused());
        let placed = |widened: Option<Widened>| FilterState::Placed {
            sql: "dst_port = 53".to_owned(),
            instructions: 9,
            lists: 0,
            widened,
        };
        notices.note("eth0", placed(None));
        assert_eq!(told(&mut notices), None);
        let (fewer, more) = (widened(400), widened(500));
        let expected =
            format!("frames of eth0 are filtered in the kernel {fewer}; the rest is left to queries");
        assert!(fewer.to_string() != more.to_string(), "{fewer}");
        notices.note("eth0", placed(Some(fewer)));
        assert_eq!(told(&mut notices), Some(expected));
        // With another query it is more of the same.
        notices.note("eth0", placed(Some(more)));
        assert_eq!(told(&mut notices), None);
    }

    fn is(field: Field, number: u128) -> Arc<Predicate> {
        Arc::new(Condition::is_in(field, [number]).predicate())
    }

    #[test]
    fn whoever_reads_waits_for_no_kernel() {
        let kernel = FakeKernel::new();
        let mut filter = kernel.filter(Arc::clone(&SourceOptions::default().clock));
        let port = |number| is(Field::DstPort, number);
        kernel.hold_up(true);
        filter.begin(is(Field::SrcPort, 1), vec![port(53)], true);
        assert!(filter.go_on() && kernel.told().is_empty(), "more than is wanted comes meanwhile");
        assert_eq!(filter.state(), FilterState::Open);
        assert!(!filter.need(vec![port(53), port(80)], true), "what comes may be less soon");
        kernel.hold_up(false);
        until(|| filter.go_on());
        let expected = ["dst_port = 53", "dst_port IN (53, 80)"];
        assert_eq!(kernel.told(), expected.map(|needed| format!("src_port = 1 AND {needed}")));
        assert_eq!(filter.since_ns(), FakeKernel::SETTLED_NS);
        // Nobody waits for less, so there is no moment since when it comes.
        let since = filter.since();
        assert!(filter.need(vec![port(80)], true));
        until(|| kernel.told().len() == 3);
        until(|| filter.go_on() && filter.telling.is_none());
        assert_eq!(filter.since(), since);
    }

    #[test]
    fn what_is_shown_is_what_was_told_last_whoever_hears_of_it_first() {
        let (kernel, sharers) = (FakeKernel::new(), Arc::<Sharers>::default());
        let clock = || Arc::clone(&SourceOptions::default().clock);
        let reader = |()| ReaderFilter { sharers: Arc::clone(&sharers), ..kernel.filter(clock()) };
        let mut readers = [(), ()].map(reader);
        let mut begin = |place: usize, port| {
            readers[place].begin(is(Field::SrcPort, 1), vec![is(Field::DstPort, port)], true);
            until(|| kernel.told().len() == place + 1);
        };
        begin(0, 53);
        begin(1, 80);
        let sql = "src_port = 1 AND dst_port = 80".to_owned();
        let last = FilterState::Placed { sql, instructions: 1, lists: 0, widened: None };
        assert!(readers.iter().all(|reader| reader.state() == last), "nobody has looked whether it is told");
        for place in [1, 0] {
            until(|| readers[place].go_on() && readers[place].telling.is_none());
            assert!(readers.iter().all(|reader| reader.state() == last), "{place}");
            assert_eq!(lock(&sharers.notices).state, last, "{place}");
        }
    }

    #[test]
    fn who_breaks_down_while_he_tells_leaves_nothing_out() {
        let kernel = FakeKernel::new();
        let mut filter = kernel.filter(Arc::clone(&SourceOptions::default().clock));
        filter.begin(is(Field::SrcPort, 1), vec![is(Field::DstPort, 53)], true);
        until(|| filter.go_on() && filter.telling.is_none());
        kernel.break_down_once();
        assert!(!filter.need(vec![is(Field::DstPort, 80)], true));
        until(|| filter.go_on() && filter.telling.is_none());
        assert_eq!((kernel.told().len(), kernel.gives_all()), (2, true));
        assert_eq!(filter.since_ns(), FakeKernel::SETTLED_NS);
    }
}

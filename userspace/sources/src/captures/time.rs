//! How far time has come in a folder of captures.
//!
//! Takes the times of frames, and our clock while none come; gives watermarks. Time is that of the frames: captures
//! of yesterday give yesterday's windows. While nothing comes, time goes on from the newest frame as fast as our
//! clock, so that windows close. A folder whose frames are of the past has nothing to say about the time that other
//! sources have come to: beside others than folders, it holds up nobody while nothing comes.

use tapline_record::EventTime;

/// So long nothing must have come for time to go on by our clock, at least, in nanoseconds: who writes a capture
/// keeps frames for a while.
const PATIENCE_NS: i64 = 5_000_000_000;

/// So long after the last frame time waits for files that grow and have no next one yet, in nanoseconds.
const STIR_NS: i64 = 60_000_000_000;

/// Frames that came so long after their time are of the past, in nanoseconds.
const RECENT_NS: i64 = 60_000_000_000;

/// Time in a folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct FolderTime {
    lateness_ns: i64,
    /// How long nothing comes before time goes on by our clock.
    patience_ns: i64,
    /// The latest time of a frame, but none that lies ahead of our clock; the beginning of time without any frame.
    newest: EventTime,
    /// When a frame came last, or something moved first, by our clock.
    heard: Option<EventTime>,
    /// Since when nothing has come, by our clock.
    silent_since: Option<EventTime>,
    now: EventTime,
}

impl FolderTime {
    /// Frames may lie so far behind the newest one, which has this time.
    pub(super) fn new(newest: EventTime, lateness_ns: i64) -> Self {
        let patience_ns = lateness_ns.max(PATIENCE_NS);
        Self { lateness_ns, patience_ns, newest, heard: None, silent_since: None, now: EventTime::MIN }
    }

    /// Frames came, the latest of which has this time.
    pub(super) fn come(&mut self, latest: EventTime, now: EventTime) {
        // What lies ahead of our clock would make all else late.
        self.newest = self.newest.max(latest.min(now));
        self.heard = Some(now);
        self.expect(now);
    }

    /// Frames are there, and come next.
    pub(super) const fn expect(&mut self, now: EventTime) {
        (self.silent_since, self.now) = (None, now);
    }

    /// Something moved, of which no frame is there: time waits for one, but not for long, and not once it goes on.
    pub(super) fn stir(&mut self, now: EventTime) {
        let heard = *self.heard.get_or_insert(now);
        let is_soon = (0..=STIR_NS).contains(&now.0.saturating_sub(heard.0));
        if is_soon && !self.is_silent() { self.expect(now) } else { self.be_silent(now) }
    }

    /// Nothing came, and nothing waits.
    pub(super) fn be_silent(&mut self, now: EventTime) {
        self.now = self.now.max(now);
        // A clock that was set back begins anew.
        if self.silent_since.is_none_or(|since| now < since) {
            (self.silent_since, self.now) = (Some(now), now);
        }
    }

    /// The latest time of a frame.
    pub(super) const fn newest(&self) -> EventTime {
        self.newest
    }

    /// Whether nothing has come for so long that time goes on without.
    pub(super) fn is_silent(&self) -> bool {
        self.silence_ns().is_some_and(|silence| silence >= self.patience_ns)
    }

    /// Whether frames are of about the time that our clock shows.
    pub(super) fn is_recent(&self) -> bool {
        let heard = self.silent_since.unwrap_or(self.now);
        self.newest > EventTime::MIN && heard.0.saturating_sub(self.newest.0) <= RECENT_NS
    }

    /// No frame that comes later is older, but those that are late. Where it `is_alone`, nobody but folders knows how
    /// far time has come.
    pub(super) fn watermark(&self, is_alone: bool) -> EventTime {
        let is_empty = self.newest == EventTime::MIN;
        let is_at_rest = is_empty || self.is_silent() && !self.is_recent();
        // Of several folders, one in which nothing ever was holds up none of the others.
        if is_at_rest && !is_alone || is_empty && self.is_silent() {
            return EventTime::MAX;
        }
        let behind = self.newest.plus(-self.lateness_ns);
        match self.silence_ns() {
            Some(silence) if silence >= self.patience_ns && self.newest > EventTime::MIN => {
                self.newest.plus(silence - self.patience_ns)
            }
            _ => behind,
        }
    }

    fn silence_ns(&self) -> Option<i64> {
        self.silent_since.map(|since| self.now.0.saturating_sub(since.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const LATENESS: i64 = 2 * SECOND;

    const fn at(second: i64) -> EventTime {
        EventTime(second * SECOND)
    }

    #[test]
    fn time_is_that_of_the_frames_and_goes_on_while_none_come() {
        for behind in [0, 1, 86_400] {
            let mut time = FolderTime::new(EventTime::MIN, LATENESS);
            assert_eq!(
                [true, false].map(|is_alone| time.watermark(is_alone)),
                [EventTime::MIN, EventTime::MAX]
            );
            time.come(at(1_000_000 - behind), at(1_000_000));
            let newest = 1_000_000 - behind;
            assert_eq!([true, false].map(|is_alone| time.watermark(is_alone)), [at(newest - 2); 2]);
            for (now, expected) in [(1, -2), (5, -2), (6, 0), (16, 10), (3606, 3600)] {
                time.be_silent(at(1_000_000 + now));
                assert_eq!(time.watermark(true), at(newest + expected), "{now} s behind {behind}");
            }
            let beside = if behind > 60 { EventTime::MAX } else { at(newest + 3600) };
            assert_eq!(time.watermark(false), beside);
        }
    }

    #[test]
    fn a_folder_in_which_nothing_ever_was_holds_up_no_other_one() {
        let mut time = FolderTime::new(EventTime::MIN, LATENESS);
        time.be_silent(at(100));
        assert_eq!(time.watermark(true), EventTime::MIN);
        time.be_silent(at(105));
        assert_eq!(time.watermark(true), EventTime::MAX);
        time.come(at(90), at(106));
        assert_eq!(time.watermark(true), at(88));
    }

    #[test]
    fn what_moves_is_not_silent() {
        let mut time = FolderTime::new(EventTime::MIN, LATENESS);
        time.come(at(100), at(100));
        time.be_silent(at(101));
        time.stir(at(109));
        time.be_silent(at(110));
        assert!(!time.is_silent());
        time.be_silent(at(115));
        assert!(time.is_silent());
        assert_eq!(time.watermark(true), at(100));
        // Nor does it wait again, but for a frame.
        time.stir(at(116));
        assert_eq!(time.watermark(true), at(101));
        time.come(at(101), at(117));
        assert!(!time.is_silent());
    }

    #[test]
    fn what_moves_without_a_frame_is_waited_for_no_longer_than_that() {
        let mut time = FolderTime::new(EventTime::MIN, LATENESS);
        time.come(at(100), at(100));
        (101..=160).for_each(|second| time.stir(at(second)));
        assert_eq!((time.is_silent(), time.watermark(true)), (false, at(98)));
        (161..=170).for_each(|second| time.stir(at(second)));
        assert_eq!((time.is_silent(), time.watermark(true)), (true, at(104)));
    }

    #[test]
    fn no_frame_takes_time_ahead_of_our_clock() {
        let mut time = FolderTime::new(EventTime::MIN, LATENESS);
        time.come(at(1 << 32), at(100));
        assert_eq!(time.watermark(true), at(98));
        time.come(at(150), at(160));
        assert_eq!(time.watermark(true), at(148));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_to_wait_anew() {
        let mut time = FolderTime::new(EventTime::MIN, LATENESS);
        time.come(at(100), at(100));
        time.be_silent(at(100));
        time.be_silent(at(10));
        assert_eq!(time.watermark(true), at(98));
        time.be_silent(at(17));
        assert_eq!(time.watermark(true), at(102));
    }

    #[test]
    fn whoever_allows_more_lateness_waits_for_longer() {
        let mut time = FolderTime::new(EventTime::MIN, 60 * SECOND);
        time.come(at(1000), at(1000));
        time.be_silent(at(1000));
        time.be_silent(at(1059));
        assert_eq!(time.watermark(true), at(940));
        time.be_silent(at(1070));
        assert_eq!(time.watermark(true), at(1010));
    }
}

//! The panes of one lower half in a cut.
//!
//! Takes what came of it by pane, how far its query has come since the last cut, and how much arrived by second; gives the
//! panes of which there is something to say: also that nothing came, since that looks like a loss else.

use crate::coverage::{CoveredSecond, Unread};
use crate::cut::CutPane;
use std::collections::BTreeMap;
use tapline_operators::{Parts, Span};
use tapline_record::EventTime;

/// Panes without rows that a cut has of one lower half because they were passed, and because of what is known of their
/// seconds; the latest ones.
const EMPTY_PANES_MAX: usize = 4096;

/// Panes that one second makes, at most; of narrower ones only those hear of it that are there.
const PANES_A_SECOND_MAX: i64 = 1024;

const SECOND_NS: i64 = 1_000_000_000;

/// The panes of one lower half.
pub(crate) struct HalfPanes {
    half: usize,
    width: i64,
    panes: BTreeMap<EventTime, CutPane>,
    /// How many of them are there because of their seconds.
    covered: usize,
}

impl HalfPanes {
    /// None yet, of this half; panes are so wide, in nanoseconds.
    pub(crate) const fn new(half: usize, width: i64) -> Self {
        Self { half, width, panes: BTreeMap::new(), covered: 0 }
    }

    fn pane(&mut self, start: EventTime) -> &mut CutPane {
        let Self { half, width, panes, .. } = self;
        panes.entry(start).or_insert_with(|| CutPane {
            half: *half,
            pane: Span { start, end: start.plus(*width) },
            parts: Parts::default(),
            covered: vec![],
            unread: Unread::default(),
        })
    }

    /// Adds what came for a pane.
    pub(crate) fn add(&mut self, start: EventTime, parts: Parts) {
        self.pane(start).parts = parts;
    }

    /// Adds rows that were not read, and belong to the pane of this moment.
    pub(crate) fn note_unread(&mut self, time: EventTime, rows: Unread) {
        self.pane(time.align_down(self.width)).unread.add(rows);
    }

    /// Adds the panes that end behind `passed`, but not behind `watermark`. At the end of time no pane was passed but those
    /// before the latest one.
    pub(crate) fn pass(&mut self, passed: EventTime, watermark: EventTime) {
        if passed == EventTime::MIN {
            // What was there before the first rows, nobody knows.
            return;
        }
        let latest = self.panes.last_key_value().map_or(passed, |(_, pane)| pane.pane.end);
        let until = if watermark == EventTime::MAX { latest } else { watermark };
        let mut end = until.align_down(self.width);
        for _ in 0..EMPTY_PANES_MAX {
            if end <= passed {
                break;
            }
            end = end.plus(-self.width);
            self.pane(end);
        }
    }

    /// Tells each pane that has some of this second; the latest seconds come first. What arrived of panes that end at
    /// `passed` or earlier, of which no row is there, came too late, and counts so: of these only what is missing is told.
    pub(crate) fn cover(&mut self, second: &CoveredSecond, passed: EventTime) {
        let begin = EventTime(second.second.saturating_mul(SECOND_NS));
        let (first, last) = (begin.align_down(self.width), begin.plus(SECOND_NS - 1).align_down(self.width));
        let has_rows = self.panes.get(&last).is_some_and(|pane| !pane.parts.is_empty());
        if second.missing == 0.0 && !has_rows && last.plus(self.width) <= passed {
            return;
        }
        let count = last.0.saturating_sub(first.0) / self.width + 1;
        if count > PANES_A_SECOND_MAX {
            return self.panes.range_mut(first..=last).for_each(|(_, pane)| pane.covered.push(*second));
        }
        for number in 0..count {
            let start = first.plus(number * self.width);
            if !self.panes.contains_key(&start) {
                if self.covered == EMPTY_PANES_MAX {
                    continue;
                }
                self.covered += 1;
            }
            self.pane(start).covered.push(*second);
        }
    }

    /// All of them.
    pub(crate) fn into_panes(self) -> impl Iterator<Item = CutPane> {
        self.panes.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_record::StreamId;

    const WIDTH: i64 = 10 * SECOND_NS;

    fn at(second: i64) -> EventTime {
        EventTime(second * SECOND_NS)
    }

    fn second(second: i64, missing: f64) -> CoveredSecond {
        CoveredSecond { stream: StreamId::Packets, second, delivered: 1.0, missing }
    }

    /// When panes begin, in seconds, and of which seconds they know.
    fn known(panes: HalfPanes) -> Vec<(i64, Vec<i64>)> {
        let seconds = |pane: &CutPane| pane.covered.iter().map(|second| second.second).collect();
        panes.into_panes().map(|pane| (pane.pane.start.0.div_euclid(SECOND_NS), seconds(&pane))).collect()
    }

    #[test]
    fn a_pane_that_was_passed_is_there_though_nothing_came() {
        let passed = |from, until| {
            let mut panes = HalfPanes::new(0, WIDTH);
            panes.pass(from, until);
            known(panes).into_iter().map(|(start, _)| start).collect::<Vec<_>>()
        };
        assert_eq!(passed(at(10), at(39)), [10, 20]);
        assert_eq!(passed(at(10), at(40)), [10, 20, 30]);
        assert_eq!(passed(at(15), at(19)), [0; 0]);
        assert_eq!(passed(at(15), at(20)), [10]);
        assert_eq!(passed(EventTime::MIN, at(40)), [0; 0], "before the first rows");
        assert_eq!(passed(at(10), EventTime::MAX), [0; 0], "nothing more will come");
        let days = passed(at(0), at(86_400 * 10));
        assert_eq!((days.len(), days.last()), (EMPTY_PANES_MAX, Some(&(86_400 * 10 - 10))));
        assert_eq!(passed(at(0), EventTime(i64::MAX - 1)).len(), EMPTY_PANES_MAX);
    }

    #[test]
    fn at_the_end_of_time_panes_before_the_latest_one_were_passed() {
        let mut panes = HalfPanes::new(1, WIDTH);
        panes.add(at(40), Parts::default());
        panes.pass(at(20), EventTime::MAX);
        let panes: Vec<_> = panes.into_panes().collect();
        assert!(panes.iter().all(|pane| pane.half == 1 && pane.parts.is_empty()));
        assert_eq!(panes.iter().map(|pane| pane.pane.start).collect::<Vec<_>>(), [at(20), at(30), at(40)]);
        assert_eq!(panes[2].pane, Span { start: at(40), end: at(50) });
    }

    #[test]
    fn a_second_is_told_to_each_pane_that_has_some_of_it() {
        let covered = |width: i64, seconds: &[i64]| {
            let mut panes = HalfPanes::new(0, width);
            seconds.iter().for_each(|number| panes.cover(&second(*number, 0.0), EventTime::MIN));
            known(panes)
        };
        assert_eq!(covered(WIDTH, &[19, 10, 9, -1]), [(-10, vec![-1]), (0, vec![9]), (10, vec![19, 10])]);
        assert_eq!(covered(SECOND_NS * 3 / 2, &[1]), [(0, vec![1]), (1, vec![1])], "it is in two of them");
        assert_eq!(covered(SECOND_NS / 4, &[7]).len(), 4);
        assert_eq!(covered(1, &[7]).len(), 0, "a thousand million panes are not made");
        assert_eq!(covered(WIDTH, &(0..10 * 5_000).rev().collect::<Vec<_>>()).len(), EMPTY_PANES_MAX);
        assert!(covered(WIDTH, &[i64::MAX, i64::MIN]).len() <= 4);
    }

    #[test]
    fn of_panes_that_were_passed_only_what_is_missing_is_told() {
        let mut panes = HalfPanes::new(0, WIDTH);
        for (number, missing) in [(25, 0.0), (19, 0.0), (12, f64::NAN), (9, 3.0), (-5, 0.0)] {
            panes.cover(&second(number, missing), at(20));
        }
        assert_eq!(known(panes), [(0, vec![9]), (10, vec![12]), (20, vec![25])]);
    }

    #[test]
    fn what_was_not_read_is_of_the_pane_of_that_moment() {
        let mut panes = HalfPanes::new(0, WIDTH);
        panes.note_unread(at(12), Unread { late: 1, left_out: 0 });
        panes.note_unread(at(19), Unread { late: 2, left_out: 5 });
        let panes: Vec<_> = panes.into_panes().collect();
        assert_eq!(panes.len(), 1);
        assert_eq!((panes[0].pane.start, panes[0].unread), (at(10), Unread { late: 3, left_out: 5 }));
    }
}

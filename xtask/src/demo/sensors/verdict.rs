//! Whether each window was what it must be, in sentences.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use tapline_fleet::Given;

use super::super::grouped;
use super::story::{Story, WINDOW, time_of_day};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    victim: String,
    gap: Range<i64>,
    without_aggregator: Range<i64>,
    /// Windows with all that was sent.
    exact: usize,
    /// Of those that lack something, since the sensor was not there: how many there are, records that were sent, records
    /// that are there, and how many were sent as completeness has it.
    short: usize,
    sent: u64,
    there: u64,
    told: f64,
    /// Those of which completeness says nothing but that something may be missing.
    unknown: usize,
    pub(super) wrong: Vec<String>,
}

impl Verdict {
    pub(super) fn of(story: &Story<'_>) -> Self {
        let mut verdict = Self {
            victim: story.victim().to_owned(),
            gap: story.gap.clone(),
            without_aggregator: story.without_aggregator.clone(),
            ..Self::default()
        };
        let truths = story.truths();
        let starts = truths.iter().flat_map(|truth| truth.sent.range(..story.until)).map(|(start, _)| *start);
        let starts: BTreeSet<i64> = starts.collect();
        for start in &starts {
            let Some(given) = story.books.windows().get(start) else {
                verdict.wrong.push(format!("the window of {} was not given", time_of_day(*start)));
                continue;
            };
            let sent = Story::sent(&truths, *start);
            if given.amount() == sent {
                verdict.exact += 1;
                // In the first one, sensors began.
                if given.tells_of_loss() && starts.first() != Some(start) && !verdict.is_in_gap(*start) {
                    let says = given.completeness;
                    verdict
                        .wrong
                        .push(format!("the window of {} is whole, and says {says:?}", time_of_day(*start)));
                }
            } else {
                verdict.lacks(*start, given, sent.records);
            }
        }
        if verdict.short == 0 {
            verdict.wrong.push("no window lacks what was sent while nobody was there".to_owned());
        }
        verdict
    }

    fn lacks(&mut self, start: i64, given: &Given, sent: u64) {
        let there = given.amount().records;
        if !self.is_in_gap(start) || there >= sent || !given.tells_of_loss() {
            let says = given.completeness;
            let window = time_of_day(start);
            self.wrong
                .push(format!("the window of {window} has {there} records of {sent}, and says {says:?}"));
            return;
        }
        self.short += 1;
        self.sent += sent;
        self.there += there;
        match given.completeness {
            Some(part) if part > 0.0 => self.told += there as f64 / part,
            _ => self.unknown += 1,
        }
    }

    /// Whether a window has some of the time in which the sensor was not there.
    fn is_in_gap(&self, start: i64) -> bool {
        start < self.gap.end && start + WINDOW.as_nanos() as i64 > self.gap.start
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [since, again] = [self.gap.start, self.gap.end].map(time_of_day);
        let [from, to] = [self.without_aggregator.start, self.without_aggregator.end].map(time_of_day);
        writeln!(
            f,
            "{} windows have exactly what was sent, to the record and the octet, and say that they are complete. Among them\n\
             are those from {from} to {to}, when there was no aggregator: its sensors kept what it had no checkpoint of,\n\
             and sent it again; nothing counts twice.",
            self.exact
        )?;
        writeln!(
            f,
            "{} was killed: what it had not cut yet, a second at most, and what its router sent meanwhile, is in none of the\n\
             {} windows between {since} and {again}: these have {} of {} records, {:.1} %.",
            self.victim,
            self.short,
            grouped(self.there),
            grouped(self.sent),
            100.0 * self.there as f64 / self.sent.max(1) as f64
        )?;
        if self.unknown == 0 && self.told > 0.0 {
            writeln!(
                f,
                "Their completeness, by the numbers of the router's exports, says {:.1} %.",
                100.0 * self.there as f64 / self.told
            )
        } else {
            writeln!(
                f,
                "Completeness says of {} of them that nobody knows how much is missing.",
                self.unknown
            )
        }
    }
}

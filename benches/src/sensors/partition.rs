//! A link that is away for an hour, and how soon that hour is caught up while others go on.
//!
//! The hour is made at once: three simulated sensors cut each of its seconds, two of them reach the aggregator, and what
//! the third has cut waits in its spool. Then all go on second by second, and its link is there again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tapline_benches::floors;
use tapline_fleet::{Books, Fault, Fleet, Link, now_ns};
use tapline_programs::style;

use super::delay::Delays;
use super::many::{aggregator, next_window, whole_windows};
use super::simulated::{Load, SECOND_NS, Simulated, WINDOW_SECONDS};
use super::{Setting, WINDOWS, questions};

/// What is measured, by the names of its marks.
pub(super) const FACTOR: &str = "sensors: times real time, of an hour";
pub(super) const DIFFER: &str = "sensors: windows that differ, of an hour";

const HOUR_SECONDS: i64 = 3600;
const SENSORS: usize = 3;
const LOAD: Load = Load { rows: 200, sources: 2000 };
/// Of the twenty, with the total.
const QUERIES: usize = 5;
/// Who is no further behind has caught up.
const CAUGHT_UP_NS: i64 = 3 * SECOND_NS;
/// It does so within this time, or is told not to have.
const WITHIN: Duration = Duration::from_secs(600);
/// All of it is in windows after so long.
const GIVEN_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks while the hour is made, in seconds of it.
const LOOK_SECONDS: i64 = 60;

pub(super) fn run(setting: &Setting) -> Result<()> {
    let queries: Vec<_> = questions::twenty().into_iter().take(QUERIES).collect();
    let fleet = aggregator(setting, &queries)?;
    let link = Link::to(fleet.listens())?;
    // The first one has a link of its own.
    let sensors = Simulated::join(&fleet, SENSORS, &[link.address(), fleet.listens(), fleet.listens()])?;
    link.set(Fault { is_cut: true, ..Fault::default() });
    let mut books = Books::default();
    eprintln!("{} an hour is made", style::step("Running"));
    let until = next_window(now_ns()) - WINDOW_SECONDS;
    let first = until - HOUR_SECONDS;
    let begun = Instant::now();
    for second in first..until {
        setting.interrupts.check()?;
        sensors.give(&sensors.parts(LOAD, second)?)?;
        if second % LOOK_SECONDS == 0 {
            fleet.look(questions::TOTAL.0, WINDOWS, &mut books)?;
        }
    }
    let made = begun.elapsed();
    let live = Live { setting, fleet: &fleet, sensors: &sensors };
    let now = live.go_on(until, &mut books, |sensors| Ok(sensors.lag_of_others() < CAUGHT_UP_NS))?;
    eprintln!("{} its link is there again", style::step("Running"));
    let spooled = sensors.first()?.spool_octets;
    let delays = Delays::watch(fleet.api().clone())?;
    let mended = Instant::now();
    link.set(Fault::default());
    let now = live.go_on(now, &mut books, |sensors| Ok(sensors.first()?.lag_ns < CAUGHT_UP_NS))?;
    let took = mended.elapsed();
    let end = whole_windows(now);
    let sent = LOAD.rows * WINDOW_SECONDS.unsigned_abs() * SENSORS as u64;
    let differing = |books: &Books| {
        let starts = (first..until).step_by(WINDOW_SECONDS as usize);
        let given =
            |start: i64| books.windows().get(&(start * SECOND_NS)).map(|given| given.amount().records);
        starts.filter(|start| given(*start) != Some(sent)).count()
    };
    let begun = Instant::now();
    let mut now = live.go_on(now, &mut books, |_| Ok(now_ns() >= end * SECOND_NS))?;
    while differing(&books) > 0 && begun.elapsed() < GIVEN_WITHIN {
        let next = now + 1;
        now = live.go_on(now, &mut books, |_| Ok(now_ns() > next * SECOND_NS))?;
    }
    let behind = delays.end()?.last().copied().unwrap_or_default();
    let (factor, differ) = (HOUR_SECONDS as f64 / took.as_secs_f64(), differing(&books));
    println!(
        "{SENSORS} simulated sensors, {} queries, {} records/s of each; an hour of them was made in {:.0} s. What one of them\n\
         could not send, {:.1} MB, was caught up in {:.1} s, {factor:.0} times real time ({}), while the others went on: the\n\
         results of windows were there {behind:.2} s behind their ends at the most. Of {} windows {differ} are not what was\n\
         sent ({}).",
        queries.len(),
        LOAD.rows,
        made.as_secs_f64(),
        spooled as f64 / 1e6,
        took.as_secs_f64(),
        floors::verdict(FACTOR, factor),
        HOUR_SECONDS / WINDOW_SECONDS,
        floors::verdict(DIFFER, differ as f64)
    );
    Ok(())
}

/// What goes on, second by second.
struct Live<'a> {
    setting: &'a Setting,
    fleet: &'a Fleet,
    sensors: &'a Simulated,
}

impl Live<'_> {
    /// Goes on from a second until something is so; gives the next second. Seconds that are over already go at once.
    fn go_on(&self, from: i64, books: &mut Books, is_so: impl Fn(&Simulated) -> Result<bool>) -> Result<i64> {
        let begun = Instant::now();
        let mut second = from;
        loop {
            let parts = self.sensors.parts(LOAD, second)?;
            while now_ns() < (second + 1) * SECOND_NS {
                self.fleet.look(questions::TOTAL.0, WINDOWS, books)?;
                if is_so(self.sensors)? {
                    return Ok(second);
                }
                self.setting.interrupts.sleep(Duration::from_millis(100))?;
                ensure!(begun.elapsed() < WITHIN, "it is not caught up within {} s", WITHIN.as_secs());
            }
            self.sensors.give(&parts)?;
            second += 1;
        }
    }
}

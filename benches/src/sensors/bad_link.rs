//! A link that is slow, loses packets, and is cut for a minute.
//!
//! It is the kernel that makes it bad where it can (netem); else a relay of this program, on which what is lost comes as
//! much later as TCP takes to send it again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tapline_benches::floors;
use tapline_fleet::{Books, Fault, Fleet, Plan};
use tapline_programs::style;

use super::{Setting, WINDOWS, differing, exact, sums};

/// Records of each sensor in a second.
const RATE: u64 = 30_000;
const QUERY: &str = "by_sensor";
const SQL: &str = "SELECT sensor, count(*) AS records, sum(octets) AS octets FROM flows \
                   GROUP BY sensor, tumble('2 seconds')";
const WINDOW: Duration = Duration::from_secs(2);
const LATENESS: Duration = Duration::from_secs(1);
/// The sensor whose link is bad.
const PLACE: usize = 0;
const DELAY: Duration = Duration::from_millis(200);
const LOST_PERCENT: u64 = 5;
const CUT: Duration = Duration::from_secs(60);
/// A sensor that is no further behind is as one whose link is good.
const CAUGHT_UP_LAG: f64 = 3.0;
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// What is measured, by the names of its marks.
pub(super) const DIFFER: &str = "sensors: windows that differ on a bad link";
pub(super) const CAUGHT_UP: &str = "sensors: seconds until a minute is caught up";

/// How a link is.
#[derive(Clone, Copy)]
enum Link {
    Slow,
    Cut,
}

pub(super) fn run(setting: &Setting) -> Result<()> {
    let fleet = start(setting)?;
    let how = if fleet.star().is_some() { "by netem" } else { "by a relay, since this kernel has no netem" };
    fleet.add(QUERY, SQL)?;
    fleet.wait_until_runs(QUERY, fleet.sensors().len())?;
    make(&fleet, Link::Slow)?;
    let traffic = exact::traffic(&fleet, WINDOW, RATE)?;
    let mut books = Books::default();
    setting.watch(&fleet, QUERY, &mut books, setting.seconds)?;
    eprintln!("{} the link is cut, for a minute", style::step("Running"));
    make(&fleet, Link::Cut)?;
    setting.watch(&fleet, QUERY, &mut books, CUT)?;
    let unknown = books.windows().values().filter(|given| given.completeness.is_none()).count();
    make(&fleet, Link::Slow)?;
    let mended = Instant::now();
    while lag(&fleet)?.is_none_or(|lag| lag > CAUGHT_UP_LAG) && mended.elapsed() < CATCHES_UP_WITHIN {
        setting.watch(&fleet, QUERY, &mut books, LOOK)?;
    }
    let caught_up = mended.elapsed().as_secs_f64();
    setting.watch(&fleet, QUERY, &mut books, setting.seconds)?;
    let so_far = sums(&traffic.truths()).len();
    let sent = setting.end(traffic, &fleet, QUERY, &mut books)?;
    fleet.look(QUERY, WINDOWS, &mut books)?;
    let (differ, revised) =
        (differing(&sent, &books), books.windows().values().filter(|given| given.revision > 0));
    println!(
        "Three sensors, {RATE} records/s each; the link of one takes {} ms, loses {LOST_PERCENT} of a hundred packets, and is\n\
         cut for a minute ({how}). Of {so_far} windows {unknown} were given without it, as unknown, and {} given again;\n\
         {differ} are not to the record what was sent ({}). {caught_up:.1} s after the cut, the sensor was no more than {CAUGHT_UP_LAG} s\n\
         behind{}.",
        DELAY.as_millis(),
        revised.count(),
        floors::verdict(DIFFER, differ as f64),
        marked(&floors::verdict(CAUGHT_UP, caught_up)),
    );
    Ok(())
}

/// A mark in brackets, where there is one.
fn marked(verdict: &str) -> String {
    if verdict.is_empty() { String::new() } else { format!(" ({verdict})") }
}

/// Three sensors whose links can be made bad.
fn start(setting: &Setting) -> Result<Fleet> {
    let plan = Plan::of_three(&setting.tapline, LATENESS);
    if Setting::has_networks() {
        let fleet = Fleet::start(&Plan { has_networks: true, ..plan.clone() })?;
        if fleet.star().is_some_and(tapline_programs::star::Star::can_impair) {
            return Ok(fleet);
        }
    }
    Fleet::start(&Plan { has_links: true, ..plan })
}

fn make(fleet: &Fleet, link: Link) -> Result<()> {
    let Some(star) = fleet.star() else {
        let slow = Fault { delay: DELAY, lost_percent: LOST_PERCENT, ..Fault::default() };
        let fault = match link {
            Link::Slow => slow,
            Link::Cut => Fault { holds: true, ..slow },
        };
        fleet.sensors().get(PLACE).context("there is no sensor")?.link()?.set(fault);
        return Ok(());
    };
    let (delay, lost) = (format!("{}ms", DELAY.as_millis()), format!("{LOST_PERCENT}%"));
    let lost = match link {
        Link::Slow => lost.as_str(),
        Link::Cut => "100%",
    };
    star.impair(PLACE + 1, &["delay", &delay, "loss", lost])
}

/// How far the sensor is behind, in seconds, as its aggregator knows it; `None` while it is away.
fn lag(fleet: &Fleet) -> Result<Option<f64>> {
    let sensors = fleet.known_sensors()?;
    let name = fleet.sensors().get(PLACE).context("there is no sensor")?.name();
    let is_it = |sensor: &&Value| sensor["name"] == name && sensor["state"] == "connected";
    let sensor = sensors.as_array().and_then(|all| all.iter().find(is_it));
    Ok(sensor.and_then(|sensor| sensor["lag_seconds"].as_f64()))
}

//! The processes, and what befalls them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tapline_trafficgen::random::Random;

use super::{Options, Report};
use crate::fleet::{Fleet, Plan};
use crate::given::{Books, Windows};
use crate::link::Fault;
use crate::sensor::Sensor;
use crate::traffic::{Exporter, Presence, Traffic, Truth};

/// Records of each sensor by windows.
const SQL: &str = "SELECT sensor, count(*) AS records, sum(octets) AS octets FROM flows \
                   GROUP BY sensor, tumble('2 seconds')";
const QUERY: &str = "by_sensor";
const WINDOW: Duration = Duration::from_secs(2);
/// Of each router in a second.
const RECORDS: u64 = 3000;
/// What waits in a sensor while it is paused is not late afterwards.
const LATENESS: Duration = Duration::from_secs(5);
const SENSORS: usize = 3;

/// A cut each second, and as long as that and its way to the disk may take.
const AT_RISK: Duration = Duration::from_secs(2);
/// What waited during a pause is cut when so much time has passed.
const CALM: Duration = Duration::from_secs(3);
/// Between two faults, at most, and between two looks at all of it.
const BETWEEN_FAULTS_MS: std::ops::Range<u64> = 100..900;
const LOOK: Duration = Duration::from_millis(25);
/// Between two looks at the results, of which an aggregator keeps more than come meanwhile.
const RESULTS_EVERY: Duration = Duration::from_millis(200);
const WINDOWS_KEPT: usize = 200;
/// How long somebody is away or paused.
const AWAY_MS: std::ops::Range<u64> = 0..2500;
const PAUSED_MS: std::ops::Range<u64> = 200..3000;
const CUT_MS: std::ops::Range<u64> = 200..5000;
/// Whoever is started is there within this time.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// Without faults, before the end.
const SETTLES: Duration = Duration::from_secs(6);

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Up,
    /// Since then.
    Starting(Instant),
    /// Until then.
    Away(Instant),
    Paused(Instant),
}

/// A process that faults befall.
#[derive(Clone, Copy)]
struct Subject {
    state: State,
    /// It is not killed before.
    calm_from: Instant,
}

/// The processes, and what befalls them.
pub(super) struct World<'a> {
    // First: nobody sends any more when processes end.
    traffic: Traffic,
    fleet: Fleet,
    /// The sensors, then the aggregator.
    subjects: [Subject; SENSORS + 1],
    /// Until when links are bad.
    links: [Option<Instant>; SENSORS],
    random: Random,
    check: &'a dyn Fn() -> Result<()>,
    books: Books,
    looked: Instant,
    next_fault: Instant,
    /// What may be lost, by sensor.
    at_risk: [Windows; SENSORS],
    pub(super) report: Report,
}

/// What came of it.
pub(super) struct Settled<'a> {
    pub(super) books: &'a Books,
    /// By sensor.
    pub(super) truths: Vec<Truth>,
    pub(super) at_risk: &'a [Windows],
    pub(super) names: Vec<String>,
    pub(super) report: Report,
}

impl<'a> World<'a> {
    pub(super) fn start(options: &Options<'a>) -> Result<Self> {
        let fleet = Fleet::start(&Plan { has_links: true, ..Plan::of_three(options.tapline, LATENESS) })?;
        fleet.add(QUERY, SQL)?;
        fleet.wait_until_runs(QUERY, SENSORS)?;
        let exporters = (0..).zip(fleet.sensors());
        let exporters = exporters.map(|(number, sensor)| Exporter::new(number, &[sensor.listens()], WINDOW));
        let traffic = Traffic::start(exporters.collect::<Result<_>>()?, RECORDS)?;
        let now = Instant::now();
        Ok(Self {
            traffic,
            fleet,
            subjects: [Subject { state: State::Up, calm_from: now + CALM }; SENSORS + 1],
            links: [None; SENSORS],
            random: Random::new(options.seed, "chaos"),
            check: options.check,
            books: Books::default(),
            looked: now,
            next_fault: now + CALM,
            at_risk: [const { Windows::new() }; SENSORS],
            report: Report::default(),
        })
    }

    /// Goes on for a moment; says what befell somebody.
    pub(super) fn step(&mut self) -> Result<Option<String>> {
        sleep(LOOK);
        self.go_on()?;
        if Instant::now() < self.next_fault {
            return Ok(None);
        }
        let pause = self.milliseconds(BETWEEN_FAULTS_MS);
        self.next_fault = Instant::now() + pause;
        let place = self.random.below(self.subjects.len() as u64) as usize;
        match self.random.below(10) {
            0..=5 => self.kill(place),
            6..=7 => self.pause(place),
            _ => self.cut(place % SENSORS),
        }
    }

    /// Lets everybody come back, and all windows be given.
    pub(super) fn settle(&mut self) -> Result<Settled<'_>> {
        while self.has_faults() {
            sleep(LOOK);
            self.go_on()?;
        }
        self.go_on_for(SETTLES)?;
        let truths = self.traffic.truths();
        // Routers go on: by their numbers it shows what was lost last, and windows end.
        self.go_on_for(2 * (LATENESS + WINDOW) + SETTLES)?;
        let names = self.fleet.sensors().iter().map(|sensor| sensor.name().to_owned()).collect();
        Ok(Settled { books: &self.books, truths, at_risk: &self.at_risk, names, report: self.report })
    }

    fn has_faults(&self) -> bool {
        let is_away = self.subjects.iter().any(|subject| subject.state != State::Up);
        is_away || self.links.iter().any(Option::is_some)
    }

    fn go_on_for(&mut self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            sleep(LOOK);
            self.go_on()?;
        }
        Ok(())
    }

    /// Whoever is to come back does; results are looked at.
    fn go_on(&mut self) -> Result<()> {
        (self.check)()?;
        for place in 0..self.subjects.len() {
            let next = self.next_state(place)?;
            self.subjects[place].state = next;
        }
        for (place, until) in self.links.iter_mut().enumerate() {
            if until.is_some_and(|until| Instant::now() >= until) {
                self.fleet.sensors()[place].link()?.set(Fault::default());
                *until = None;
            }
        }
        if self.looked.elapsed() >= RESULTS_EVERY && self.aggregator().state == State::Up {
            self.look()?;
        }
        Ok(())
    }

    fn next_state(&mut self, place: usize) -> Result<State> {
        let state = self.subjects[place].state;
        match state {
            State::Away(until) if Instant::now() >= until => {
                if place < SENSORS {
                    // From when on it receives is seen a little later.
                    self.traffic.set(place, Presence::Unsure);
                    self.fleet.spawn_sensor(place)?;
                } else {
                    self.fleet.spawn_aggregator()?;
                }
                Ok(State::Starting(Instant::now()))
            }
            State::Starting(since) => {
                let is_ready = if place < SENSORS {
                    self.fleet.sensor_is_ready(place)?
                } else {
                    self.fleet.aggregator_is_ready()?
                };
                if !is_ready {
                    ensure!(since.elapsed() < STARTS_WITHIN, "somebody does not start");
                    return Ok(state);
                }
                if place < SENSORS {
                    self.traffic.set(place, Presence::There);
                }
                Ok(State::Up)
            }
            State::Paused(until) if Instant::now() >= until => {
                self.signal(place, "CONT")?;
                self.subjects[place].calm_from = Instant::now() + CALM;
                Ok(State::Up)
            }
            State::Up | State::Away(_) | State::Paused(_) => Ok(state),
        }
    }

    fn look(&mut self) -> Result<()> {
        self.looked = Instant::now();
        self.fleet.look(QUERY, WINDOWS_KEPT, &mut self.books)
    }

    fn kill(&mut self, place: usize) -> Result<Option<String>> {
        let Subject { state, calm_from } = self.subjects[place];
        if state != State::Up || Instant::now() < calm_from {
            return Ok(None);
        }
        let away = self.milliseconds(AWAY_MS);
        if place < SENSORS {
            self.traffic.set(place, Presence::Unsure);
            for (window, amount) in self.traffic.reached_within(place, AT_RISK) {
                *self.at_risk[place].entry(window).or_default() += amount;
            }
            self.fleet.sensor_mut(place).kill()?;
            self.traffic.set(place, Presence::Gone);
            self.report.sensors_killed += 1;
        } else {
            // What it gives from here on is given again by the next one: no checkpoint says that it was.
            if self.aggregator().state == State::Up {
                self.look()?;
            }
            self.fleet.kill_aggregator()?;
            self.report.aggregator_killed += 1;
        }
        self.subjects[place].state = State::Away(Instant::now() + away);
        Ok(Some(format!("{} is killed, for {:.1} s", self.name(place), away.as_secs_f64())))
    }

    fn pause(&mut self, place: usize) -> Result<Option<String>> {
        if self.subjects[place].state != State::Up {
            return Ok(None);
        }
        let time = self.milliseconds(PAUSED_MS);
        self.signal(place, "STOP")?;
        self.report.pauses += 1;
        self.subjects[place].state = State::Paused(Instant::now() + time);
        Ok(Some(format!("{} is paused, for {:.1} s", self.name(place), time.as_secs_f64())))
    }

    fn cut(&mut self, place: usize) -> Result<Option<String>> {
        if self.links[place].is_some() {
            return Ok(None);
        }
        let (time, holds) = (self.milliseconds(CUT_MS), self.random.percent(50));
        let fault = Fault { holds, is_cut: !holds, ..Fault::default() };
        self.fleet.sensors()[place].link()?.set(fault);
        self.links[place] = Some(Instant::now() + time);
        self.report.cuts += 1;
        let what = if holds { "lets nothing through" } else { "is cut" };
        Ok(Some(format!("the link of {} {what}, for {:.1} s", self.name(place), time.as_secs_f64())))
    }

    fn signal(&self, place: usize, name: &str) -> Result<()> {
        match self.fleet.sensors().get(place) {
            Some(sensor) => sensor.process()?.running().signal(name),
            None => self.fleet.aggregator()?.running().signal(name),
        }
    }

    fn aggregator(&self) -> Subject {
        self.subjects[SENSORS]
    }

    fn name(&self, place: usize) -> &str {
        self.fleet.sensors().get(place).map_or("the aggregator", Sensor::name)
    }

    fn milliseconds(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.within(range))
    }
}

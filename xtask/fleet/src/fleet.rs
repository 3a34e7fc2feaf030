//! An aggregator and its sensors.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tapline_programs::star::Star;
use tempfile::TempDir;

use crate::api::Api;
use crate::certificate::Certificate;
use crate::given::Books;
use crate::ground::Ground;
use crate::link::Link;
use crate::process::Process;
use crate::sensor::{Sensor, Transport, listens};

/// Nothing that is waited for here takes longer.
const WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What a fleet is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `tapline`.
    pub tapline: PathBuf,
    /// Names of the sensors.
    pub sensors: Vec<String>,
    /// Whether each process has a network of its own, which needs rights; else all share this machine's.
    pub has_networks: bool,
    /// Whether there is a link before each sensor that can be cut; on this machine only.
    pub has_links: bool,
    /// How long a window waits for a sensor that says nothing, and for one that is slow.
    pub patience: [Duration; 2],
    /// What sensors are started with besides.
    pub arguments: Vec<String>,
}

/// An aggregator and its sensors; they end with this value.
pub struct Fleet {
    sensors: Vec<Sensor>,
    aggregator: Option<Process>,
    api: Api,
    config: PathBuf,
    listens: SocketAddr,
    tapline: PathBuf,
    // Behind the processes that use them.
    ground: Ground,
    folder: TempDir,
}

impl Plan {
    /// Three sensors on this machine, which take the times of exports from their heads, and close windows so much behind
    /// them.
    pub fn of_three(tapline: &Path, lateness: Duration) -> Self {
        let lateness = lateness.as_millis().to_string();
        let arguments = ["--event-time", "export", "--allowed-lateness-ms", &lateness];
        Self {
            tapline: tapline.to_owned(),
            sensors: ["pop-1", "pop-2", "pop-3"].map(str::to_owned).into(),
            has_networks: false,
            has_links: false,
            patience: [Duration::from_secs(2), Duration::from_secs(1)],
            arguments: arguments.map(str::to_owned).into(),
        }
    }
}

impl Fleet {
    /// Starts the aggregator, lets the sensors join and starts them.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(plan: &Plan) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tapline-fleet-").tempdir();
        let folder = folder.context("there is no temporary folder")?;
        let ground = Ground::new(plan.has_networks, &plan.sensors)?;
        let listens = ground.for_sensors()?;
        let certificate = match listens.ip() {
            IpAddr::V4(ip) if !ip.is_loopback() => Some(Certificate::make(folder.path(), ip)?),
            _ => None,
        };
        let config = folder.path().join("aggregator.toml");
        fs::write(&config, configuration(folder.path(), listens, plan, certificate.as_ref()))?;
        let mut fleet = Self {
            sensors: vec![],
            aggregator: None,
            api: Api::new(folder.path().join("aggregator.sock")),
            config,
            listens,
            tapline: plan.tapline.clone(),
            ground,
            folder,
        };
        fleet.start_aggregator()?;
        for name in &plan.sensors {
            fleet.join(name, plan, certificate.as_ref())?;
        }
        Ok(fleet)
    }

    /// Lets a sensor join, and starts it.
    fn join(&mut self, name: &str, plan: &Plan, certificate: Option<&Certificate>) -> Result<()> {
        let (place, folder) = (self.sensors.len(), self.folder.path());
        let token = folder.join(format!("{name}.token"));
        fs::write(&token, self.token(name)?)?;
        let link = plan.has_links.then(|| Link::to(self.listens)).transpose()?;
        let target = link.as_ref().map_or(self.listens, Link::address);
        let scheme = if certificate.is_some() { "https" } else { "http" };
        self.sensors.push(Sensor {
            name: name.to_owned(),
            process: None,
            listens: self.ground.for_exports(place + 1)?,
            to: format!("{scheme}://{target}"),
            ca: certificate.map(|certificate| certificate.certificate.clone()),
            state: folder.join(name),
            token,
            api: Api::new(folder.join(format!("{name}.sock"))),
            link,
            arguments: plan.arguments.clone(),
        });
        self.start_sensor(place)
    }

    /// A token by which a sensor of this name is known from now on.
    ///
    /// # Errors
    /// When the aggregator makes none.
    pub fn token(&self, name: &str) -> Result<String> {
        let joined = self.api.post("/api/v1/sensors", &json!({ "name": name }))?;
        joined["token"].as_str().map(str::to_owned).with_context(|| format!("no token: {joined}"))
    }

    /// The API of the aggregator.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Where the aggregator receives sensors.
    pub const fn listens(&self) -> SocketAddr {
        self.listens
    }

    /// The sensors.
    pub fn sensors(&self) -> &[Sensor] {
        &self.sensors
    }

    /// The sensor at a place, to be killed.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn sensor_mut(&mut self, place: usize) -> &mut Sensor {
        &mut self.sensors[place]
    }

    /// The networks of the processes, where they have some: the aggregator is at place 0, sensors at 1, 2 and so on.
    pub const fn star(&self) -> Option<&Star> {
        self.ground.star()
    }

    /// The process of the aggregator.
    ///
    /// # Errors
    /// When it is not there.
    pub fn aggregator(&self) -> Result<&Process> {
        self.aggregator.as_ref().context("the aggregator does not run")
    }

    /// Kills the aggregator, as a power cut does.
    ///
    /// # Errors
    /// When it is not there.
    pub fn kill_aggregator(&mut self) -> Result<()> {
        self.aggregator.take().context("the aggregator does not run")?.end("KILL").map(drop)
    }

    /// Starts the aggregator, where it was before, and does not wait for it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn_aggregator(&mut self) -> Result<()> {
        let mut command = self.ground.at(0, &self.tapline);
        command.args(["run", "--bare", "--api", "127.0.0.1:0", "--config"]).arg(&self.config);
        self.aggregator = Some(Process::start(command.arg("--socket").arg(self.api.socket()))?);
        Ok(())
    }

    /// Whether it lets sensors in: before that, it may answer, but not all queries are there. An error when it has ended.
    ///
    /// # Errors
    /// As said.
    pub fn aggregator_is_ready(&self) -> Result<bool> {
        let running = self.aggregator()?.running();
        ensure!(!running.has_ended(), "the aggregator has ended");
        listens(running.id(), Transport::Tcp, self.listens)
    }

    /// Starts it, and waits until it lets sensors in.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub fn start_aggregator(&mut self) -> Result<()> {
        self.spawn_aggregator()?;
        let is_ready = || {
            ensure!(self.aggregator_is_ready()?, "it lets no sensors in");
            Ok(())
        };
        let Err(error) = self.aggregator()?.running().wait_until_it_answers(is_ready) else { return Ok(()) };
        let process = self.aggregator.take().context("the aggregator does not run")?;
        let _ = process.running().signal("KILL");
        Err(error.context(format!("the aggregator said: {}", process.finish()?.said())))
    }

    /// Starts the sensor at a place, with the state that it had, and does not wait for it.
    ///
    /// # Errors
    /// When it does not start.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn spawn_sensor(&mut self, place: usize) -> Result<()> {
        let mut command = self.ground.at(place + 1, &self.tapline);
        let sensor = &mut self.sensors[place];
        sensor.process = Some(Process::start(sensor.command(&mut command))?);
        Ok(())
    }

    /// Whether the sensor at a place receives exports; an error when it has ended.
    ///
    /// # Errors
    /// As said.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn sensor_is_ready(&self, place: usize) -> Result<bool> {
        self.sensors[place].is_ready()
    }

    /// Starts it, and waits until it receives exports.
    ///
    /// # Errors
    /// When it does not, with what it said.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn start_sensor(&mut self, place: usize) -> Result<()> {
        self.spawn_sensor(place)?;
        let begun = Instant::now();
        loop {
            match self.sensor_is_ready(place) {
                Ok(true) => return Ok(()),
                Ok(false) if begun.elapsed() < WITHIN => sleep(BETWEEN_LOOKS),
                outcome => return self.give_up(place, outcome.err()),
            }
        }
    }

    /// Says what a sensor said that does not start.
    fn give_up(&mut self, place: usize, error: Option<anyhow::Error>) -> Result<()> {
        let sensor = &mut self.sensors[place];
        let process = sensor.process.take().with_context(|| format!("{} does not run", sensor.name))?;
        let _ = process.running().signal("KILL");
        let why = error.map_or_else(|| "it does not listen".to_owned(), |error| error.to_string());
        bail!("{}: {why}; it said: {}", sensor.name, process.finish()?.said())
    }

    /// Adds a query at the aggregator.
    ///
    /// # Errors
    /// When it is refused.
    pub fn add(&self, name: &str, sql: &str) -> Result<()> {
        self.api.post("/api/v1/queries", &json!({ "name": name, "sql": sql })).map(drop)
    }

    /// Waits until so many sensors are connected and run a query.
    ///
    /// # Errors
    /// When they do not in time.
    pub fn wait_until_runs(&self, name: &str, sensors: usize) -> Result<()> {
        wait_for(&format!("{sensors} sensors run {name}"), || {
            let connected = count(&self.known_sensors()?, |one| one["state"] == "connected");
            let query = self.api.get(&format!("/api/v1/queries/{name}"))?;
            let running = count(&query["parts"], |part| part["state"] == "running");
            ensure!(
                connected >= sensors && running >= sensors,
                "{connected} are connected, {running} run it"
            );
            Ok(())
        })
    }

    /// How its sensors stand, as the aggregator says it.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn known_sensors(&self) -> Result<Value> {
        Ok(self.api.get("/api/v1/sensors")?["sensors"].take())
    }

    /// Takes the newest so many windows of a query into the books.
    ///
    /// # Errors
    /// When the aggregator does not answer.
    pub fn look(&self, name: &str, windows: usize, books: &mut Books) -> Result<()> {
        books.take(&self.api.get(&format!("/api/v1/queries/{name}/results?windows={windows}"))?)
    }
}

/// What the aggregator reads.
fn configuration(folder: &Path, listens: SocketAddr, plan: &Plan, proof: Option<&Certificate>) -> String {
    let [idle_after, stragglers] = plan.patience.map(|time| time.as_secs());
    let proof = proof.map_or_else(String::new, |Certificate { certificate, key }| {
        format!("certificate = \"{}\"\nkey = \"{}\"\n", certificate.display(), key.display())
    });
    format!(
        "[node]\nstate = \"{}\"\n[aggregator]\nlisten = \"{listens}\"\n{proof}idle_after = \"{idle_after}s\"\n\
         stragglers = \"{stragglers}s\"\n",
        folder.join("aggregator").display()
    )
}

fn count(all: &Value, is_one: impl Fn(&Value) -> bool) -> usize {
    all.as_array().map_or(0, |all| all.iter().filter(|one| is_one(one)).count())
}

/// Looks until something is as it is to be.
fn wait_for(what: &str, mut look: impl FnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    loop {
        let Err(instead) = look() else { return Ok(()) };
        let seconds = WITHIN.as_secs();
        ensure!(begun.elapsed() < WITHIN, "{what}: not within {seconds} s, but: {instead:#}");
        sleep(BETWEEN_LOOKS);
    }
}

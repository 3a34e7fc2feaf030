//! Where the processes of a fleet are: on this machine, or each in a network of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use tapline_programs::star::Star;

/// Where exports are received, and sensors.
const EXPORTS: u16 = 2055;
const SENSORS: u16 = 8793;

/// Below those ports that the kernel gives to whoever names none: one that is left for a while is not taken meanwhile.
const PORTS: std::ops::Range<u32> = 10_000..30_000;

/// How many ports were asked for.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Where they are; the aggregator is at place 0, sensors at 1, 2 and so on.
#[derive(Debug)]
pub(crate) enum Ground {
    /// All on the loopback network of this machine.
    Machine,
    /// Each at a point of its own.
    Star(Star),
}

impl Ground {
    /// Places for an aggregator and sensors of these names.
    pub(crate) fn new(has_networks: bool, sensors: &[String]) -> Result<Self> {
        if !has_networks {
            return Ok(Self::Machine);
        }
        let names: Vec<&str> = std::iter::once("hub").chain(sensors.iter().map(String::as_str)).collect();
        Star::lay(&names).map(Self::Star)
    }

    /// A program at a place.
    pub(crate) fn at(&self, place: usize, program: &Path) -> Command {
        match self {
            Self::Machine => Command::new(program),
            Self::Star(star) => star.at(place, program),
        }
    }

    /// Where the aggregator receives sensors.
    pub(crate) fn for_sensors(&self) -> Result<SocketAddr> {
        match self {
            Self::Machine => free_address(),
            Self::Star(star) => Ok(SocketAddr::from((star.address(0), SENSORS))),
        }
    }

    /// Where the sensor at a place receives exports.
    pub(crate) fn for_exports(&self, place: usize) -> Result<SocketAddr> {
        match self {
            Self::Machine => free_address(),
            Self::Star(star) => Ok(SocketAddr::from((star.address(place), EXPORTS))),
        }
    }

    /// The points, where there are some.
    pub(crate) const fn star(&self) -> Option<&Star> {
        match self {
            Self::Machine => None,
            Self::Star(star) => Some(star),
        }
    }
}

/// An address of the loopback network whose port nobody has, and that this process gave to nobody else.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    let is_free =
        |address: &SocketAddr| UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok();
    // Tests that ask for ports elsewhere, too, begin half the way round.
    let begin = std::process::id() % 200 * 100 + PORTS.len() as u32 / 2;
    let next = || {
        let place = begin.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
        SocketAddr::from((Ipv4Addr::LOCALHOST, (PORTS.start + place) as u16))
    };
    let free = std::iter::repeat_with(next).take(PORTS.len()).find(is_free);
    free.context("no port is free")
}

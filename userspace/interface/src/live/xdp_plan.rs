//! Whether an interface can be read through `AF_XDP`, and what it means that it was not.
//!
//! Takes what is known of an interface, gives the queues and the memory to open, or the obstacle: one that another
//! way of reading gets around, or one that its user can take away.

use std::error::Error as _;
use std::io;

use xdp::socket::{OptName, SocketError};

use super::xdp_queue::{QueueError, UmemShape};
use super::{LiveError, LiveOptions};
use crate::kernel::KernelError;
use crate::link::{self, Link};

/// Queues that the program's map of sockets has room for.
const QUEUES_MAX: u32 = 256;
/// Octets of Ethernet's header with two VLAN tags.
const HEADER_OCTETS: u32 = 22;

/// Why an interface is not read through `AF_XDP`.
pub(super) enum Obstacle {
    /// It cannot be, so that another way must do: one sentence.
    Unsuitable(String),
    /// It could be, if its user helped.
    Fault(LiveError),
}

impl From<LiveError> for Obstacle {
    fn from(error: LiveError) -> Self {
        Self::Fault(error)
    }
}

/// How many queues to open, and the memory for each.
pub(super) fn plan(link: &Link, options: &LiveOptions) -> Result<(u32, UmemShape), Obstacle> {
    let shape = shape(link, options)?;
    let queues = queue_count(link)?;
    check_driver(link)?;
    Ok((queues, shape))
}

/// Memory for frames as long as the interface's packets.
fn shape(link: &Link, options: &LiveOptions) -> Result<UmemShape, Obstacle> {
    if !link.is_ethernet() {
        return Err(Obstacle::Unsuitable("AF_XDP is for Ethernet alone".to_owned()));
    }
    frame_shape(options.umem_frames, link.mtu_octets).ok_or_else(|| {
        Obstacle::Unsuitable(format!(
            "an MTU of {} octets is more than AF_XDP takes in one piece; `ip link set dev {} mtu 1500` lowers it, \
             if no longer packets come in",
            link.mtu_octets, link.name
        ))
    })
}

fn frame_shape(frames: u32, mtu_octets: u32) -> Option<UmemShape> {
    UmemShape::new(frames, mtu_octets.saturating_add(HEADER_OCTETS))
}

/// Whether packets of so many octets fit the memory of `AF_XDP` in one piece.
pub(crate) fn xdp_takes(mtu_octets: u32) -> bool {
    frame_shape(1, mtu_octets).is_some()
}

/// Queues on which an interface receives, as it is set up now: one at least.
pub(super) fn receive_queues(link: &Link) -> u32 {
    link::channels(&link.name).map_or(link.receive_queues, |channels| channels.receive).max(1)
}

/// Those of them that are read.
fn queue_count(link: &Link) -> Result<u32, Obstacle> {
    match receive_queues(link) {
        queues @ 1..=QUEUES_MAX => Ok(queues),
        queues => Err(Obstacle::Unsuitable(format!(
            "{queues} receive queues are more than the {QUEUES_MAX} that the program knows; \
             `ethtool -L {} combined {QUEUES_MAX}` lowers them",
            link.name
        ))),
    }
}

/// Asks whether the driver runs programs; where the kernel does not know, attaching one will tell.
fn check_driver(link: &Link) -> Result<(), Obstacle> {
    match link::xdp_features(link.index) {
        Ok(features) if !features.native || !features.redirect => {
            let driver = driver_name(&link.name);
            Err(Obstacle::Unsuitable(format!("the driver {driver} does not run XDP programs that redirect")))
        }
        _ => Ok(()),
    }
}

/// What it means that a program was not attached.
pub(super) fn refused(interface: &str, error: KernelError) -> Obstacle {
    match error {
        KernelError::NoInterface(_) => LiveError::no_interface(interface).into(),
        KernelError::Refused { .. } => Obstacle::Unsuitable(error.to_string()),
        error => Obstacle::Fault(error.into()),
    }
}

/// What it means that a queue, one of so many, was not opened.
pub(super) fn no_queue(
    link: &Link,
    (queue, queues): (u32, u32),
    shape: UmemShape,
    error: QueueError,
) -> Obstacle {
    let interface = link.name.clone();
    let octets = shape.octets() * u64::from(queues);
    let code = |error: &io::Error| error.raw_os_error().unwrap_or_default();
    match error {
        QueueError::Memory => LiveError::NoMemory { interface, octets: octets as usize }.into(),
        QueueError::Socket(SocketError::SetSockOpt { inner, option: OptName::UmemRegion })
            if code(&inner) == libc::ENOBUFS =>
        {
            LiveError::MemoryLimit { interface, queues, octets }.into()
        }
        QueueError::Socket(SocketError::Bind(error)) if code(&error) == libc::EBUSY => {
            LiveError::QueueInUse { interface, queue }.into()
        }
        QueueError::Socket(SocketError::SocketCreation(error)) if code(&error) == libc::EPERM => {
            LiveError::NoRights(interface).into()
        }
        QueueError::Socket(error) => Obstacle::Unsuitable(format!(
            "AF_XDP on queue {queue} failed: {}",
            error.source().map(ToString::to_string).unwrap_or_default()
        )),
    }
}

/// The name of a driver for a sentence.
pub(super) fn driver_name(interface: &str) -> String {
    link::driver(interface).map_or_else(|| format!("of `{interface}`"), |driver| format!("`{}`", driver.name))
}

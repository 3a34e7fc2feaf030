//! Frames of a live interface.
//!
//! Takes the name of an interface, gives its frames, lent for one call, and counts what was lost and where. A
//! port that only receives copies is read through `AF_XDP`, on all its queues, without copying where the driver
//! can; everything else through `AF_PACKET`, which reads copies and takes nothing from the host. What was chosen,
//! and why nothing better, is said. When a source is dropped, or its process ends, the interface is as it was.

mod calendar;
mod error;
mod options;
mod packet_ring;
mod packet_sender;
mod packet_socket;
mod packet_source;
mod promiscuous;
mod source;
mod tag;
mod xdp_plan;
mod xdp_queue;
mod xdp_shares;
mod xdp_source;

pub use error::LiveError;
pub use options::LiveOptions;
pub use packet_sender::PacketSender;
pub use packet_source::PacketSource;
pub use promiscuous::Promiscuous;
pub use source::{Description, Drops, FrameSource, LiveCounters, LiveMode};
pub use xdp_source::XdpSource;

pub(crate) use xdp_plan::xdp_takes;

use xdp_plan::Obstacle;

use crate::kernel::KernelCapture;
use crate::link::{self, Link};

/// Longest wait of one read: so long an order waits that comes meanwhile, such as a query that is new.
const WAIT_MS: u16 = 10;

/// Opens an interface in the best way that it and the options allow.
///
/// # Errors
/// What stands in the way, with the interface and what would help.
pub fn open(interface: &str, options: &LiveOptions) -> Result<Box<dyn FrameSource>, LiveError> {
    open_best(interface, options, |link| XdpSource::open(link, options))
}

/// As [`open`], of an interface that a program is attached to, such as to keep flows. A mirror's frames are then
/// redirected by that program, which goes on to want packets when the source is gone.
///
/// # Errors
/// As for [`open`].
pub fn open_on(
    program: &mut KernelCapture,
    interface: &str,
    options: &LiveOptions,
) -> Result<Box<dyn FrameSource>, LiveError> {
    open_best(interface, options, |link| XdpSource::open_on(program, link, options))
}

/// Opens a mirror through `AF_XDP`, if that can be, and all else through `AF_PACKET`.
fn open_best(
    interface: &str,
    options: &LiveOptions,
    open_xdp: impl FnOnce(&Link) -> Result<XdpSource, Obstacle>,
) -> Result<Box<dyn FrameSource>, LiveError> {
    let link = find(interface)?;
    if !link.is_up() {
        return Err(LiveError::Down(link.name));
    }
    let reason = if options.is_mirror {
        match open_xdp(&link) {
            Ok(source) => return Ok(Box::new(source)),
            Err(Obstacle::Fault(error)) => return Err(error),
            Err(Obstacle::Unsuitable(reason)) => reason,
        }
    } else {
        "the port is not said to be a mirror, so that the host gets all frames as well".to_owned()
    };
    Ok(Box::new(PacketSource::open(link, options, vec![reason])?))
}

/// Queues on which an interface receives, as many as can be shared out among readers; one where it is not there.
#[must_use]
pub fn receive_queues(interface: &str) -> usize {
    link::find(interface).ok().flatten().map_or(1, |link| xdp_plan::receive_queues(&link) as usize)
}

/// The interface of this name.
pub(crate) fn find(interface: &str) -> Result<Link, LiveError> {
    let link = link::find(interface).map_err(|error| LiveError::new(interface, "asking for it", error))?;
    link.ok_or_else(|| LiveError::no_interface(interface))
}

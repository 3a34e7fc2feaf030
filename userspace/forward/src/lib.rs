//! x
#![forbid(unsafe_code)]

mod clock;
mod counted;
#[cfg(test)]
mod hostile;
mod random;
mod receiver;
mod sender;
mod store;
mod thread;
mod uplink;
mod wire;

pub use clock::ClockOffset;
pub use receiver::{Entrance, Receiver, ReceiverOptions, ReceiverStatus, SensorStatus, Taker, UplinkStatus};
pub use sender::{NotKept, Part, Sender, SenderEvents, SenderOptions, SenderStatus, SpoolPlan};
pub use store::{FolderStore, Store, StoreError};
pub use uplink::Upstream;
pub use wire::PAYLOAD_OCTETS_MAX;

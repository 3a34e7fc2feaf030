//! What the kernel programs and user space agree on.
//!
//! Types that both sides read and write in shared memory, with their layouts asserted; names of programs and
//! maps; the version of it all, which user space asks the programs for before it trusts anything else. No code
//! but constructors and accessors: nothing here knows how a frame is parsed or a table is filled.
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

mod card;
mod config;
mod cpu;
mod entry;
mod filter;
mod key;
pub mod names;
mod part;
mod scratch;
mod send;
mod stamp;

pub use card::{CARD_AWAY_NS_MAX, Tag, ask};
pub use config::{Config, PaneGrid, flags};
pub use cpu::{Counters, CpuState, PaneCache};
pub use entry::{FlowEntry, FlowSet, RingRecord, SET_WAYS};
pub use filter::{RULES, Verdict, rule};
pub use key::{FlowKey, Network, Shape, Transport, word_4};
pub use part::{Part, Way};
pub use scratch::{Scratch, stage, wants};
pub use send::SendState;
pub use stamp::FrameStamp;

/// The version of everything in this crate: raise it with any change that the other side would misread.
pub const VERSION: u32 = 7;

/// Declares that a type may be read from and written to shared memory.
#[cfg(feature = "user")]
macro_rules! pod {
    ($($kind:ty),+) => {
        $(
            // SAFETY: `repr(C)` and made of integers without padding, so that any octets are a value of it.
            unsafe impl aya::Pod for $kind {}
        )+
    };
}

#[cfg(feature = "user")]
pod!(Config, CpuState, FlowEntry, FrameStamp, PaneGrid, RingRecord, SendState);

//! What a program takes from the card of its interface, besides frames, and the calendar that it compares times with.

use std::mem::offset_of;
use std::sync::atomic::Ordering;

use aya::Ebpf;
use tapline_ebpf_common::{Config, names};

use super::mapped::Mapped;
use super::{Clock, KernelError};

/// What a program takes from the card, or the driver, of the interface that it is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardUse {
    /// VLAN tags that stand beside frames.
    pub tags: bool,
    /// The time at which the card received a frame, where its clock is near to ours.
    pub times: bool,
    /// Why it takes nothing though the driver would tell; a sentence without its full stop.
    pub drawback: Option<String>,
}

/// Where the program finds UTC, to know whether a card's clock is near: told by who reads its frames.
pub(crate) struct ToldCalendar {
    config: Mapped<Config>,
    told: Clock,
}

impl ToldCalendar {
    /// That of a program, which was told of a clock when it was loaded.
    pub(super) fn new(ebpf: &Ebpf, told: Clock) -> Result<Self, KernelError> {
        Ok(Self { config: Mapped::new(ebpf, names::CONFIG, 1)?, told })
    }

    /// Tells where the clock stands, if that is elsewhere than before.
    pub(crate) fn follow(&mut self, clock: Clock) {
        if self.told != clock {
            self.told = clock;
            (0..2).for_each(|half| tell(&self.config, half, clock));
        }
    }
}

/// Tells where UTC stands in one half.
pub(super) fn tell(config: &Mapped<Config>, half: usize, clock: Clock) {
    let place = offset_of!(Config, utc_offsets_ns) + half * size_of::<u64>();
    config.long_number(0, place).store(clock.offset_ns, Ordering::Release);
}

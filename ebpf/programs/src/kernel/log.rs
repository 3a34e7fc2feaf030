//! What the programs say themselves: of what happens seldom, and of what happens more often at its first, second, fourth,
//! eighth time, so that nothing is said for each frame.
//!
//! Only in an object of its own, with the feature `log`: what carries it has a map of a kind that other loaders refuse.

/// What there is to say.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Event {
    /// The ring buffer was full: error.
    Lost,
    /// Nobody took frames that were redirected: warn.
    Unredirected,
    /// The filter was not in its slot: warn.
    Unshown,
    /// The times of the card are not near to ours: info.
    Mistrusted,
}

/// Says what has happened so many times on this CPU, if that is a power of two.
#[inline(always)]
pub(super) fn say(event: Event, times: u64) {
    #[cfg(feature = "log")]
    if times.is_power_of_two() {
        said::tapline_say(event as u32, times);
    }
    #[cfg(not(feature = "log"))]
    let _ = (event, times);
}

#[cfg(feature = "log")]
mod said {
    use aya_log_ebpf::{error, info, warn};

    use super::Event;

    /// A function of the object, so that the verifier checks it once.
    #[unsafe(no_mangle)]
    #[inline(never)]
    pub(super) extern "C" fn tapline_say(event: u32, times: u64) -> u32 {
        const LOST: u32 = Event::Lost as u32;
        const UNREDIRECTED: u32 = Event::Unredirected as u32;
        const UNSHOWN: u32 = Event::Unshown as u32;
        // What carries messages takes a context, and looks at none.
        let context = &();
        match event {
            LOST => error!(context, "no room in the ring buffer: {} frames are lost", times),
            UNREDIRECTED => warn!(context, "no socket took {} frames", times),
            UNSHOWN => warn!(context, "no filter in its slot: {} frames were shown to none", times),
            _ => info!(context, "the card's clock is not near to ours: {} frames have our time", times),
        }
        0
    }
}

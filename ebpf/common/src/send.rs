//! How the sender of synthetic frames numbers its flows.

/// The state of one sending CPU; one line of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SendState {
    /// Frames made so far.
    pub frames: u64,
    /// Flows less one, a power of two less one: frame `n` is of flow `n · MULTIPLIER & flow_mask`.
    pub flow_mask: u32,
    /// The source address of flow 0, host order.
    pub src_ip: u32,
    /// What a benchmark has found in the last frame, so that no compiler leaves it out.
    pub found: [u64; 6],
}

impl SendState {
    /// An odd number, so that flows come in a scattered order and each once in a round.
    pub const MULTIPLIER: u32 = 0x9e37_79b1;

    /// The flow of a frame, from its number.
    #[must_use]
    #[inline]
    pub const fn flow(&self, frame: u64) -> u32 {
        (frame as u32).wrapping_mul(Self::MULTIPLIER) & self.flow_mask
    }
}

const _: () = assert!(size_of::<SendState>() == 64);

//! Parts of the table: what a CPU receives and what it sends, it counts apart.
//!
//! The parts of received frames come first, by CPU, and behind them, where sent ones are counted, too, those of these. So a
//! part is written by one program of one CPU only, and says which way its frames went.

/// Which way a frame goes, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Way {
    /// Into it.
    Received = 0,
    /// Out of it.
    Sent = 1,
}

/// A part of the table, and the state of whoever writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub index: u32,
    /// Which way its frames go.
    pub way: Way,
}

impl Part {
    /// That of frames that a CPU receives.
    #[must_use]
    #[inline]
    pub const fn received(cpu: u32) -> Self {
        Self { index: cpu, way: Way::Received }
    }

    /// That of frames that one of so many CPUs sends.
    #[must_use]
    #[inline]
    pub const fn sent(cpu: u32, cpus: u32) -> Self {
        Self { index: cpus.wrapping_add(cpu), way: Way::Sent }
    }

    /// The part of this number, of so many CPUs.
    #[must_use]
    #[inline]
    pub const fn of_index(index: u32, cpus: u32) -> Self {
        Self { index, way: if index < cpus { Way::Received } else { Way::Sent } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_programs_write_to_one_part() {
        let cpus = 3;
        let sent = (0..cpus).map(|cpu| Part::sent(cpu, cpus));
        for (index, part) in (0..).zip((0..cpus).map(Part::received).chain(sent)) {
            assert_eq!((part.index, part), (index, Part::of_index(index, cpus)));
        }
    }
}

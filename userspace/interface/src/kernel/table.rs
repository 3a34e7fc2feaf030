//! The flow table, emptied while the programs go on.
//!
//! The table has two halves for each CPU, and two more for what it sends, and the programs' configuration names the one in
//! use. To empty it:
//!
//! 1. read the clock, write the other half's panes, name it (the *flip*);
//! 2. wait until every program that might not have seen the flip has ended;
//! 3. read what left the table early from the ring buffer, then the half at rest, and mark its entries as free.
//!
//! Step 2 is what makes this exact, whatever CPUs are at work. Programs read the name of the half before the clock; so
//! after step 3 everything with a time before that of step 1 has come out, and nothing that is later than that of step 3. The
//! time of a card may be a little before that of the clock, or behind it; where these are taken, so are both moments.

use std::mem::offset_of;
use std::sync::atomic::Ordering;

use aya::maps::{Map, MapData, RingBuf};
use aya::{Ebpf, Pod};
use tapline_ebpf_common::{CARD_AWAY_NS_MAX, Config, FlowSet, PaneGrid, Part, RingRecord, names};

use super::mapped::Mapped;
use super::quiesce::Quiesce;
use super::{Clock, KernelError, KernelFlow, card, monotonic_ns};

/// What emptying the table gave, besides the flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// All frames before this time on the programs' clock have come out, ns.
    pub until_ns: u64,
    /// No frame that has come out is later than this time on the programs' clock, ns.
    pub latest_ns: u64,
    /// Entries from the table.
    pub entries: u64,
    /// Entries from the ring buffer.
    pub ring_entries: u64,
}

/// The flow table.
pub struct FlowTable {
    config: Mapped<Config>,
    flows: Mapped<FlowSet>,
    ring: RingBuf<MapData>,
    /// More records than the ring buffer can hold.
    ring_entries_max: usize,
    quiesce: Quiesce,
    set_bits: u32,
    cpus: u32,
    parts: u32,
    /// How far the time of a frame may be behind the clock, or before it, when it is counted, ns.
    away_ns: u64,
}

impl FlowTable {
    /// Sets the table up, of so many parts, and lets the programs use it; `config` is the first one.
    pub(super) fn new(
        ebpf: &mut Ebpf,
        config: Config,
        parts: u32,
        ring_octets: u32,
    ) -> Result<Self, KernelError> {
        let mut mapped = Mapped::<Config>::new(ebpf, names::CONFIG, 1)?;
        mapped.write(0, config);
        let flows = Mapped::new(ebpf, names::FLOWS, (parts * 2) << config.set_bits)?;
        Ok(Self {
            config: mapped,
            flows,
            ring: RingBuf::try_from(take(ebpf, names::RING)?)?,
            ring_entries_max: ring_octets as usize / size_of::<RingRecord>(),
            quiesce: Quiesce::new(ebpf)?,
            set_bits: config.set_bits,
            cpus: config.cpus,
            parts,
            away_ns: 0,
        })
    }

    /// Empties the table; `each` sees every entry once. From now on panes are as `panes` says.
    ///
    /// # Errors
    /// When the kernel cannot replace a map; then nothing has come out and nothing is lost.
    pub fn drain(
        &mut self,
        panes: PaneGrid,
        mut each: impl FnMut(&KernelFlow),
    ) -> Result<Drained, KernelError> {
        let config = self.config.read(0);
        let old = config.epoch & 1;
        let until_ns = monotonic_ns().saturating_sub(self.away_ns);
        self.flip(config.epoch.wrapping_add(1), panes);
        self.quiesce.wait()?;
        let ring_entries = self.drain_ring(&mut each);
        let latest_ns = monotonic_ns().saturating_add(self.away_ns);
        let grid = config.grids[old as usize];
        let (parts, cpus, half) = (self.parts, self.cpus, old as usize);
        let drain = |part| self.drain_half(Part::of_index(part, cpus), half, grid, &mut each);
        let entries = (0..parts).map(drain).sum();
        Ok(Drained { until_ns, latest_ns, entries, ring_entries })
    }

    /// Takes what left the table early; often enough that the ring buffer does not fill up.
    pub fn drain_ring(&mut self, mut each: impl FnMut(&KernelFlow)) -> u64 {
        let mut entries = 0;
        while entries <= self.ring_entries_max
            && let Some(octets) = self.ring.next()
        {
            if let Some(record) = value::<RingRecord>(&octets) {
                each(&KernelFlow::from(&record));
            }
            entries += 1;
        }
        entries as u64
    }

    /// Frames may have the time of the card that received them from now on, or not any more.
    pub(super) const fn take_times_of_card(&mut self, are_taken: bool) {
        self.away_ns = if are_taken { CARD_AWAY_NS_MAX } else { 0 };
    }

    /// What it waits with for programs that run.
    pub(super) fn quiesce(&self) -> Quiesce {
        self.quiesce.clone()
    }

    /// Switches of the configuration on or off, see [`tapline_ebpf_common::flags`].
    pub(super) fn switch(&self, flags: u32, is_on: bool) {
        switch(&self.config, flags, is_on);
    }

    /// Writes the panes of the half that nobody uses, and names it.
    fn flip(&mut self, epoch: u32, panes: PaneGrid) {
        let grid = offset_of!(Config, grids) + (epoch & 1) as usize * size_of::<PaneGrid>();
        self.config.write_part(0, grid, panes);
        if self.away_ns > 0 {
            card::tell(&self.config, (epoch & 1) as usize, Clock::measure());
        }
        self.config.number(0, offset_of!(Config, epoch)).store(epoch, Ordering::Release);
    }

    /// Reads the half of a part that is at rest.
    fn drain_half(
        &mut self,
        part: Part,
        half: usize,
        grid: PaneGrid,
        each: &mut impl FnMut(&KernelFlow),
    ) -> u64 {
        let (sets, half) = (1 << self.set_bits, part.index as usize * 2 + half);
        // SAFETY: `drain` has named the other half and waited for all programs that knew this one.
        let sets = unsafe { self.flows.at_rest(half * sets, sets) };
        let mut entries = 0;
        for entry in sets.as_flattened_mut() {
            if entry.counted == 0 {
                continue;
            }
            each(&KernelFlow::new(entry, grid.start_ns(entry.pane), part.way));
            entry.counted = 0;
            entries += 1;
        }
        entries
    }
}

/// Switches of the configuration on or off; other threads may do so at the same time.
pub(super) fn switch(config: &Mapped<Config>, flags: u32, is_on: bool) {
    let number = config.number(0, offset_of!(Config, flags));
    if is_on {
        number.fetch_or(flags, Ordering::Release);
    } else {
        number.fetch_and(!flags, Ordering::Release);
    }
}

/// A map that is used from here only.
pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Missing(name))
}

/// The value that octets from the kernel are.
pub(super) fn value<T: Pod>(octets: &[u8]) -> Option<T> {
    let octets = octets.get(..size_of::<T>())?;
    // SAFETY: as many octets as a value has, and any octets are one.
    Some(unsafe { octets.as_ptr().cast::<T>().read_unaligned() })
}

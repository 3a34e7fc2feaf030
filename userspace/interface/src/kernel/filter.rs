//! The filter of the capture program, changed while the program runs.
//!
//! Takes what each reader wants, as a predicate, gives instructions to the slot that the program looks into, and the maps
//! of long lists with them. What cannot be said there, or has no room, lets more through, and never less. A filter is in
//! its slot before frames are shown to it, and another one takes its place by one write; where the kernel takes none, frames
//! are shown to none, and all are wanted.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aya::Ebpf;
use aya::maps::Map;
use aya::programs::Xdp;
use tapline_ebpf_common::{CARD_AWAY_NS_MAX, Config, flags, names, stage, wants};
use tapline_filter::Predicate;
use tapline_filter::bpf::{self, Fitted, NoMap, Pushed, Reader, Stage, Widened};

use super::bpf::Program;
use super::lists::{self, Lists};
use super::mapped::Mapped;
use super::quiesce::Quiesce;
use super::table::switch;
use super::{KernelError, bpf as calls, monotonic_ns};

/// What the kernel calls the program.
const NAME: &[u8; 16] = b"tapline_filter\0\0";

/// Who reads frames of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameReader {
    /// The flow table, and who empties it.
    Table,
    /// Who reads packets by `AF_XDP`.
    Packets,
}

/// How the filter stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FilterState {
    /// It leaves nothing out.
    #[default]
    Open,
    /// It leaves out what nobody wants.
    Placed {
        /// What some reader wants, as a condition of SQL; long lists are told by their length.
        sql: String,
        /// Instructions of all conditions together.
        instructions: usize,
        /// Lists that it looks into, each in a map.
        lists: usize,
        /// What is left out of the conditions, and why, where not all of them fit.
        widened: Option<Widened>,
    },
    /// It leaves nothing out, since the kernel does not take it; why.
    Refused(String),
}

/// How a filter stands, for whoever does not wait for a change that is under way.
#[derive(Clone, Debug, Default)]
pub struct FilterStanding(Arc<Mutex<FilterState>>);

impl FilterStanding {
    /// How it stands behind the last change that is done.
    #[must_use]
    pub fn state(&self) -> FilterState {
        self.lock().clone()
    }

    fn turn_to(&self, state: FilterState) {
        *self.lock() = state;
    }

    fn lock(&self) -> MutexGuard<'_, FilterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filter of a program that may be attached meanwhile.
pub type SharedFilter = Arc<Mutex<KernelFilter>>;

/// The filter.
pub struct KernelFilter {
    config: Mapped<Config>,
    stages: OwnedFd,
    cpus: OwnedFd,
    quiesce: Quiesce,
    /// Why the program has no place for one.
    unavailable: Option<String>,
    /// What readers want; `None` while there are none.
    table: Option<Predicate>,
    packets: Option<Predicate>,
    /// Those of the filter in the slot.
    lists: Lists,
    standing: FilterStanding,
}

impl KernelFilter {
    /// That of a program, in whose slots there is nothing yet; the table is read from the beginning, or not.
    pub(super) fn new(
        ebpf: &Ebpf,
        quiesce: Quiesce,
        reads_table: bool,
        unavailable: Option<String>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            config: Mapped::new(ebpf, names::CONFIG, 1)?,
            stages: descriptor(ebpf, names::STAGES)?,
            cpus: descriptor(ebpf, names::CPUS)?,
            quiesce,
            unavailable,
            table: reads_table.then_some(Predicate::ALWAYS),
            packets: None,
            lists: Lists::default(),
            standing: FilterStanding::default(),
        })
    }

    /// Fills the slot behind the filter.
    pub(super) fn put_behind(&self, program: &Xdp) -> Result<(), KernelError> {
        let program = program.fd()?.as_fd();
        Ok(calls::put(self.stages.as_fd(), stage::WANTED, program)?)
    }

    /// Leaves nothing out from now on, as the program has no place for a filter any more; why.
    pub(super) fn close(&mut self, why: String) {
        self.unavailable = Some(why);
        self.change();
    }

    /// How it stands from now on, whoever changes it.
    #[must_use]
    pub fn standing(&self) -> FilterStanding {
        self.standing.clone()
    }

    /// Lets a reader have the frames of which this holds from now on, and maybe others; of `None`, that he reads no more.
    /// Programs that run may have seen what was wanted before, see [`Self::settle`].
    pub fn set(&mut self, reader: FrameReader, wanted: Option<Predicate>) -> FilterState {
        let before = match reader {
            FrameReader::Table => &mut self.table,
            FrameReader::Packets => &mut self.packets,
        };
        if *before != wanted {
            *before = wanted;
            self.change();
        }
        self.standing.state()
    }

    fn change(&mut self) {
        let state = self.place();
        self.standing.turn_to(state);
    }

    /// Lets who reads packets have these as a whole from now on, or maybe no more of them than their headers, as far as the
    /// outermost transport header.
    pub fn set_whole(&mut self, is_whole: bool) {
        switch(&self.config, flags::HEADERS_ONLY, !is_whole);
    }

    /// Waits until no program runs any more that may have seen what was wanted before. Gives a time on the programs' clock,
    /// ns: no frame of such a program has a later one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn settle(&self) -> Result<u64, KernelError> {
        self.quiesce.wait()?;
        Ok(monotonic_ns() + CARD_AWAY_NS_MAX)
    }

    /// Gives the program what the readers want.
    fn place(&mut self) -> FilterState {
        let readers = [
            (wants::TABLE, flags::TABLE_UNWANTED, self.table.as_ref()),
            (wants::PACKETS, flags::PACKETS_UNWANTED, self.packets.as_ref()),
        ];
        let is_never = |wanted: Option<&Predicate>| wanted.is_some_and(Predicate::is_never);
        let reading = readers.into_iter().filter(|(_, _, wanted)| !is_never(*wanted));
        let pushed = reading.filter_map(|(bit, _, wanted)| Some((bit, Pushed::of(wanted?))));
        let pushed: Vec<_> = pushed.collect();
        let unwanted = readers.map(|(_, flag, wanted)| (flag, is_never(wanted)));
        let state = self.place_for(&pushed);
        // Who begins to want some is in the filter before; who wants none needs no filter for that.
        unwanted.into_iter().for_each(|(flag, is_on)| switch(&self.config, flag, is_on));
        state
    }

    fn place_for(&mut self, pushed: &[(u32, Pushed)]) -> FilterState {
        if pushed.iter().all(|(_, wanted)| wanted.lets_all_through()) {
            self.clear();
            return FilterState::Open;
        }
        match self.load(pushed) {
            Ok(fitted) => {
                switch(&self.config, flags::FILTERED, true);
                FilterState::Placed {
                    sql: fitted.sql(),
                    instructions: fitted.program.size(),
                    lists: fitted.program.lists.len(),
                    widened: fitted.widened,
                }
            }
            Err(why) => {
                self.clear();
                FilterState::Refused(why)
            }
        }
    }

    /// Loads a filter and puts it into its slot.
    fn load(&mut self, pushed: &[(u32, Pushed)]) -> Result<Fitted, String> {
        if let Some(why) = &self.unavailable {
            return Err(why.clone());
        }
        let [cpus, stages] = [&self.cpus, &self.stages].map(|map| map.as_raw_fd().cast_unsigned());
        let readers: Vec<_> = pushed.iter().map(|(bit, wanted)| Reader { bit: *bit, wanted }).collect();
        let fit = |no_map: Option<&NoMap>| bpf::stage(&readers, Stage { cpus, stages }, no_map);
        let (filter, lists) = self.lists.fitted(fit, lists::map_of);
        if let Some(why) = filter.why_nothing_is_left() {
            return Err(why);
        }
        let ours = |error: String| format!("the kernel refuses it, which is a fault of tapline: {error}");
        let instructions = filter.program.instructions(&lists.descriptors());
        let program =
            calls::load(Program { name: NAME, instructions: &instructions, bound: None }).map_err(ours)?;
        let put = calls::put(self.stages.as_fd(), stage::FILTER, program.as_fd());
        put.map_err(|error| ours(error.to_string()))?;
        self.lists = lists;
        Ok(filter)
    }

    /// Shows frames to no filter.
    fn clear(&mut self) {
        switch(&self.config, flags::FILTERED, false);
        self.lists = Lists::default();
        // Nobody looks into the slot any more, so what stays there does not matter.
        let _ = calls::remove(self.stages.as_fd(), stage::FILTER);
    }
}

/// A descriptor of our own of a map.
fn descriptor(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, KernelError> {
    let Some(Map::Array(map) | Map::ProgramArray(map)) = ebpf.map(name) else {
        return Err(KernelError::Missing(name));
    };
    Ok(map.fd().as_fd().try_clone_to_owned()?)
}

//! The capture program: loaded, checked, attached.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use aya::maps::XskMap;
use aya::programs::tc::SchedClassifierLinkId;
use aya::programs::xdp::XdpLinkId;
use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp, XdpMode};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use tapline_ebpf_common::{Config, Counters, CpuState, PaneGrid, SET_WAYS, VERSION, Verdict, flags, names};

use tapline_filter::Predicate;

use super::bound::{BoundProgram, Maps, Told};
use super::log::{self, LogLevel, Messages};
use super::mapped::Mapped;
use super::signals::without_signals;
use super::{
    CardUse, Clock, FlowTable, FrameReader, KernelError, KernelFilter, PreFilter, Rule, SharedFilter,
    ToldCalendar, object, sent, stamp,
};
use crate::link;

/// What the programs are to do, and limits of the kernel's memory, taken when they are loaded.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// Whether flows are kept in the table.
    pub keeps_flows: bool,
    /// Whether what an interface sends is counted, too, for which each CPU has as much of the table again.
    pub counts_sent: bool,
    /// Entries of a CPU's half of the flow table; the next power of two is taken. An entry has 64 octets.
    pub flow_entries_max: u32,
    /// Octets of the ring buffer for entries that leave the table early; a power of two.
    pub ring_octets: u32,
    /// Panes until the table is drained for the first time.
    pub panes: PaneGrid,
    /// Whether TCP flags tell flows apart.
    pub with_tcp_flags: bool,
    /// Whether frames begin with the IP header, as on interfaces that carry nothing else.
    pub is_raw_ip: bool,
    /// Rules of the pre-filter.
    pub rules: Vec<(Rule, Verdict)>,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            keeps_flows: true,
            counts_sent: false,
            flow_entries_max: 1 << 16,
            ring_octets: 1 << 24,
            panes: PaneGrid::default(),
            with_tcp_flags: true,
            is_raw_ip: false,
            rules: Vec::new(),
        }
    }
}

impl KernelOptions {
    /// Sets in a half of a CPU, as a power of two.
    pub(super) const fn set_bits(&self) -> u32 {
        let entries = if self.keeps_flows { self.flow_entries_max } else { 0 };
        let sets = entries.div_ceil(SET_WAYS as u32);
        if sets == 0 { 0 } else { sets.next_power_of_two().ilog2() }
    }

    /// Parts of the table, of so many CPUs.
    pub(super) const fn parts(&self, cpus: u32) -> u32 {
        if self.counts_sent { cpus * 2 } else { cpus }
    }

    /// What the programs are told first.
    pub(super) fn config(&self, cpus: u32) -> Config {
        let switches = [
            (self.keeps_flows, flags::FLOWS),
            (self.with_tcp_flags, flags::TCP_FLAGS),
            (self.is_raw_ip, flags::RAW_IP),
        ];
        Config {
            set_bits: self.set_bits(),
            cpus,
            flags: switches.into_iter().filter_map(|(is_on, flag)| is_on.then_some(flag)).sum(),
            grids: [self.panes; 2],
            utc_offsets_ns: [Clock::measure().offset_ns; 2],
            ..Config::default()
        }
    }
}

/// Who runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// The driver, before the kernel makes a packet of the frame.
    Native,
    /// The kernel, for a driver that cannot.
    Generic,
}

/// What the program did with a frame in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestedFrame {
    /// The XDP action: 1 drop, 2 pass, 3 send back, 4 redirect.
    pub action: u32,
    /// What a frame took on average, ns.
    pub ns: u64,
    /// Its arrival on the programs' clock, ns, if the program wrote it in front of the frame.
    pub arrival_ns: Option<u64>,
}

/// The pre-filter of a program that may be attached meanwhile.
pub type SharedPreFilter = Arc<Mutex<PreFilter>>;

/// The counters of a program, which goes on counting.
#[derive(Clone)]
pub struct Tally {
    parts: Arc<Mapped<CpuState>>,
    cpus: usize,
}

impl Tally {
    /// What all CPUs have counted since the program was loaded; each number is exact, but not all are of one moment
    /// while frames come in.
    #[must_use]
    pub fn counters(&self) -> Counters {
        counted_by(&self.parts)
    }

    /// What of that is of frames that were sent.
    fn sent(&self) -> Counters {
        counted_in(&self.parts, self.cpus)
    }
}

/// The capture program; it is taken off its interface when this is dropped, or when the process ends.
pub struct KernelCapture {
    // First, so that the program is off its interface before what it looks into goes.
    bound: Option<BoundProgram>,
    ebpf: Ebpf,
    maps: Maps,
    /// What the program was loaded from.
    object: &'static [u8],
    _messages: Option<Messages>,
    card: CardUse,
    /// The name of the program that is loaded, or will be.
    program: &'static str,
    table: FlowTable,
    tally: Tally,
    prefilter: SharedPreFilter,
    filter: SharedFilter,
    attached: Option<XdpLinkId>,
    /// By what frames are counted that an interface sends.
    attached_to_sent: Option<SchedClassifierLinkId>,
}

impl KernelCapture {
    /// Loads the program and makes sure that it is the one this code was written for.
    ///
    /// # Errors
    /// When it was not built in, when the rights are missing, or when the kernel refuses it.
    pub fn load(options: &KernelOptions) -> Result<Self, KernelError> {
        let cpus = nr_cpus().map_err(|(_, error)| error)? as u32;
        let parts = options.parts(cpus);
        let level = log::level();
        let object = object::capture(level.is_some())?;
        let number = level.map_or(0, LogLevel::number);
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(names::CPUS, parts)
            .map_max_entries(names::FLOWS, (parts * 2) << options.set_bits())
            .map_max_entries(names::RING, options.ring_octets)
            .override_global(aya_log::LEVEL, &number, level.is_some())
            .load(object)
            .map_err(KernelError::of_load)?;
        check_version(&mut ebpf)?;
        let maps = Maps::of(&ebpf)?;
        let messages = Messages::of(&mut ebpf)?;
        let config = options.config(cpus);
        let tally = Tally { parts: Arc::new(Mapped::new(&ebpf, names::CPUS, parts)?), cpus: cpus as usize };
        let table = FlowTable::new(&mut ebpf, config, parts, options.ring_octets)?;
        let mut prefilter = PreFilter::new(&mut ebpf)?;
        prefilter.replace(&options.rules.iter().copied().collect())?;
        let prefilter = Arc::new(Mutex::new(prefilter));
        let behind = program(&mut ebpf, names::WANTED).map(drop);
        let unavailable = behind.map_or_else(no_tail_call, |()| Ok(None))?;
        let program = if unavailable.is_none() { names::CAPTURE } else { names::UNFILTERED };
        let is_available = unavailable.is_none();
        let filter = KernelFilter::new(&ebpf, table.quiesce(), options.keeps_flows, unavailable)?;
        if is_available {
            filter.put_behind(loaded(&mut ebpf, names::WANTED)?)?;
        }
        if options.counts_sent {
            sent::load(&mut ebpf)?;
        }
        let filter = Arc::new(Mutex::new(filter));
        Ok(Self {
            bound: None,
            ebpf,
            maps,
            object,
            _messages: messages,
            card: CardUse::default(),
            program,
            table,
            tally,
            prefilter,
            filter,
            attached: None,
            attached_to_sent: None,
        })
    }

    /// Attaches the program to an interface; bound to it, so that it may ask the driver, where that knows more of frames
    /// than they say, see [`Self::card`].
    ///
    /// # Errors
    /// When there is no such interface, when it has a program, or when its driver refuses this one.
    pub fn attach(&mut self, interface: &str, mode: AttachMode) -> Result<(), KernelError> {
        self.detach_from_received()?;
        self.card = CardUse::default();
        self.table.take_times_of_card(false);
        if mode == AttachMode::Native && self.attach_bound(interface) {
            return Ok(());
        }
        let mode = match mode {
            AttachMode::Native => XdpMode::Driver,
            AttachMode::Generic => XdpMode::Skb,
        };
        let link = self
            .unbound()?
            .attach(interface, mode)
            .map_err(|error| KernelError::of_attach(interface, error))?;
        self.attached = Some(link);
        Ok(())
    }

    /// Counts what an interface sends, too; the programs must have been loaded for that.
    ///
    /// # Errors
    /// When there is no such interface, or when it refuses the program.
    pub fn attach_to_sent(&mut self, interface: &str) -> Result<(), KernelError> {
        self.attached_to_sent = Some(sent::attach(&mut self.ebpf, interface)?);
        Ok(())
    }

    /// Where the program is told of the calendar by who reads its frames.
    pub(crate) fn calendar(&self) -> Result<ToldCalendar, KernelError> {
        ToldCalendar::new(&self.ebpf, Clock { offset_ns: 0 })
    }

    /// What the program takes from the card of its interface.
    #[must_use]
    pub const fn card(&self) -> &CardUse {
        &self.card
    }

    /// Attaches the program bound to an interface, if its driver tells something; whether it did. The kernel lets other
    /// programs call no bound one, but since 6.16 a bound one may call others: before, tags go before the filter.
    fn attach_bound(&mut self, interface: &str) -> bool {
        let link = link::find(interface).ok().flatten();
        let features = link.as_ref().and_then(|link| link::xdp_features(link.index).ok());
        let Some((link, told)) = link.zip(features.and_then(Told::by)) else { return false };
        let bind = |program| BoundProgram::attach(self.object, program, &self.maps, (link.index, told));
        let outcome = match bind(self.program) {
            Err(why) if self.program != names::UNFILTERED && link::hidden_tags(&link).is_some() => {
                bind(names::UNFILTERED).inspect(|_| self.close_filter(&why))
            }
            outcome => outcome,
        };
        let bound = outcome.map_err(|why| {
            format!("the driver of {interface} tells the program nothing of frames, as it is not bound to it: {why}")
        });
        let is_bound = bound.is_ok();
        self.table.take_times_of_card(is_bound && told.times);
        self.card = CardUse {
            tags: is_bound && told.tags,
            times: is_bound && told.times,
            drawback: bound.as_ref().err().cloned(),
        };
        self.bound = bound.ok();
        is_bound
    }

    /// The program that is bound to no interface; loaded when it is needed, since to check it takes the kernel half a second.
    /// Where the kernel refuses a place for a filter in it, the one without.
    fn unbound(&mut self) -> Result<&mut Xdp, KernelError> {
        if loaded(&mut self.ebpf, self.program)?.fd().is_err()
            && let Err(error) = program(&mut self.ebpf, self.program)
        {
            let why = if self.program == names::CAPTURE { no_tail_call(error)? } else { return Err(error) };
            self.program = names::UNFILTERED;
            program(&mut self.ebpf, self.program)?;
            let mut filter = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
            why.into_iter().for_each(|why| filter.close(why));
        }
        loaded(&mut self.ebpf, self.program)
    }

    /// Has no filter in the kernel from now on, as the kernel takes none behind a bound program; why.
    fn close_filter(&self, why: &str) {
        let why = format!(
            "this kernel takes none behind the program that reads VLAN tags from the driver, as kernels do since Linux \
             6.16 ({why})"
        );
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).close(why);
    }

    /// Takes the programs off their interface, if they have one.
    ///
    /// # Errors
    /// When the kernel refuses that.
    pub fn detach(&mut self) -> Result<(), KernelError> {
        self.detach_from_received()?;
        if let Some(link) = self.attached_to_sent.take() {
            sent::detach(&mut self.ebpf, link)?;
        }
        Ok(())
    }

    fn detach_from_received(&mut self) -> Result<(), KernelError> {
        self.bound = None;
        if let Some(link) = self.attached.take() {
            loaded(&mut self.ebpf, self.program)?.detach(link)?;
        }
        Ok(())
    }

    /// The flow table.
    pub const fn table(&mut self) -> &mut FlowTable {
        &mut self.table
    }

    /// What all CPUs have counted since the program was loaded.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.tally.counters()
    }

    /// What of that is of frames that an interface sent.
    #[must_use]
    pub fn sent(&self) -> Counters {
        self.tally.sent()
    }

    /// The counters for another thread to look at.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// The pre-filter, for any thread to change.
    #[must_use]
    pub fn prefilter(&self) -> SharedPreFilter {
        Arc::clone(&self.prefilter)
    }

    /// The filter, for any thread to change.
    #[must_use]
    pub fn filter(&self) -> SharedFilter {
        Arc::clone(&self.filter)
    }

    /// Sets a rule of the pre-filter, or takes it away, see [`PreFilter::set`].
    ///
    /// # Errors
    /// When a map is full or cannot be written.
    pub fn set_rule(&self, rule: Rule, verdict: Option<Verdict>) -> Result<(), KernelError> {
        self.prefilter.lock().unwrap_or_else(PoisonError::into_inner).set(rule, verdict)
    }

    /// Whether the interface only receives copies: its frames are redirected or dropped, never passed on.
    pub fn set_mirror(&self, is_mirror: bool) {
        self.table.switch(flags::MIRROR, is_mirror);
    }

    /// Whether some query needs packets; a mirror's are then redirected to `AF_XDP`.
    pub fn set_packets_wanted(&self, are_wanted: bool) {
        let wanted = are_wanted.then_some(Predicate::ALWAYS);
        let mut filter = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        filter.set(FrameReader::Packets, wanted);
        filter.set_whole(true);
        drop(filter);
        self.table.switch(flags::PACKETS, are_wanted);
    }

    /// Gives the frames of a receive queue to an `AF_XDP` socket that is bound to it, until that is closed.
    ///
    /// # Errors
    /// When there is no room for the queue, or the socket is of another kind.
    pub(crate) fn set_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut(names::SOCKETS).ok_or(KernelError::Missing(names::SOCKETS))?;
        Ok(XskMap::try_from(map)?.set(queue, socket, 0)?)
    }

    /// Runs the program on a frame, so many times, as if a driver had handed it over; it counts.
    ///
    /// # Errors
    /// When the kernel takes no such frame: it must have 14 octets.
    pub fn test(&mut self, frame: &[u8], times: u32) -> Result<TestedFrame, KernelError> {
        test(self.unbound()?, frame, times)
    }
}

/// What all CPUs have counted.
pub(super) fn counted_by(cpus: &Mapped<CpuState>) -> Counters {
    counted_in(cpus, 0)
}

/// The same, of parts from the `first` one on.
fn counted_in(parts: &Mapped<CpuState>, first: usize) -> Counters {
    let mut sum = Counters::default();
    for part in first..parts.len() {
        sum.add(&parts.read(part).counters);
    }
    sum
}

/// Asks the object for the version of the contract.
fn check_version(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let found = test(program(ebpf, names::CONTRACT)?, &[0; 64], 1)?.action;
    if found == VERSION { Ok(()) } else { Err(KernelError::Version { found, expected: VERSION }) }
}

/// Why there is no place for a filter, where the kernel refuses a program that makes tail calls.
fn no_tail_call(error: KernelError) -> Result<Option<String>, KernelError> {
    let KernelError::Program(ProgramError::LoadError { io_error: why, .. }) = error else {
        return Err(error);
    };
    Ok(Some(format!(
        "this kernel takes no tail call in a program with functions ({why}): on x86-64 it is there since Linux 5.10, on \
         arm64 since 6.0, with the compiler of BPF switched on (`sysctl net.core.bpf_jit_enable=1`)"
    )))
}

/// Loads a program.
pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, KernelError> {
    let program = loaded(ebpf, name)?;
    without_signals(|| program.load())?;
    Ok(program)
}

/// A program that is loaded already, or will be.
pub(super) fn loaded<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, KernelError> {
    let program = ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
    Ok(program.try_into()?)
}

/// Runs a program on a frame, so many times.
pub(super) fn test(program: &Xdp, frame: &[u8], times: u32) -> Result<TestedFrame, KernelError> {
    let mut out = [0; 4096];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        repeat: times,
        ..TestRunOptions::default()
    };
    let result = without_signals(|| program.test_run(options))?;
    let in_front = (result.data_size_out as usize).saturating_sub(frame.len());
    Ok(TestedFrame {
        action: result.return_value,
        ns: result.duration.as_nanos() as u64,
        arrival_ns: out.get(..in_front).and_then(stamp::arrival_ns),
    })
}

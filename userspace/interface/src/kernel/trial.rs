//! What a frame costs in the kernel, part by part.
//!
//! Runs programs on a frame whose source address goes round so many flows, and gives what one frame took. Nothing
//! is sent; the kernel runs a program again and again on one CPU.

use aya::programs::xdp::XdpLinkId;
use aya::programs::{Xdp, XdpMode};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use tapline_ebpf_common::{Config, Counters, CpuState, SendState, flags, names};
use tapline_filter::{Comparison, Condition, Field, Predicate};

use super::mapped::Mapped;
use super::programs::{counted_by, loaded, program, test};
use super::{FlowTable, FrameReader, KernelError, KernelFilter, KernelOptions, object};

/// 10.0.0.0, the source address of the first flow.
const FIRST_SRC_IP: u32 = 10 << 24;
/// The port that filters look at: that of DNS.
const PORT: u128 = 53;

/// What a program does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Numbers it, as all of them do.
    Nothing,
    /// Reads its headers.
    Parse,
    /// Reads its headers and the clock.
    Clock,
    /// All that the capture program does.
    Table,
    /// The same with a filter that leaves out what goes to port 53.
    Unwanted,
    /// The same with a filter that leaves out all else.
    Wanted,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 6] =
        [Self::Nothing, Self::Parse, Self::Clock, Self::Table, Self::Unwanted, Self::Wanted];

    const fn program(self) -> &'static str {
        match self {
            Self::Nothing => names::parts::NOTHING,
            Self::Parse => names::parts::PARSE,
            Self::Clock => names::parts::CLOCK,
            Self::Table | Self::Unwanted | Self::Wanted => names::parts::TABLE,
        }
    }

    /// Which frames the table is to have.
    fn wanted(self) -> Predicate {
        let by = |comparison| Condition::compare(Field::DstPort, comparison, PORT).predicate();
        match self {
            Self::Nothing | Self::Parse | Self::Clock | Self::Table => Predicate::ALWAYS,
            Self::Unwanted => by(Comparison::NotEqual),
            Self::Wanted => by(Comparison::Equal),
        }
    }
}

/// The programs under trial.
pub struct Trial {
    ebpf: Ebpf,
    table: FlowTable,
    filter: KernelFilter,
    cpus: Mapped<CpuState>,
    senders: Mapped<SendState>,
    attached: Option<(Part, XdpLinkId)>,
}

impl Trial {
    /// Loads them.
    ///
    /// # Errors
    /// When they were not built in, when the rights are missing, or when the kernel refuses them.
    pub fn load(options: &KernelOptions) -> Result<Self, KernelError> {
        let cpus = nr_cpus().map_err(|(_, error)| error)? as u32;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(names::CPUS, cpus)
            .map_max_entries(names::SENDERS, cpus)
            .map_max_entries(names::FLOWS, (cpus * 2) << options.set_bits())
            .map_max_entries(names::RING, options.ring_octets)
            .load(object::load()?)
            .map_err(KernelError::of_load)?;
        for part in [Part::Nothing, Part::Parse, Part::Clock, Part::Table] {
            program(&mut ebpf, part.program())?;
        }
        program(&mut ebpf, names::WANTED)?;
        // What is received is dropped, as all other parts do.
        let config = options.config(cpus);
        let config = Config { flags: config.flags | flags::MIRROR, ..config };
        let table = FlowTable::new(&mut ebpf, config, cpus, options.ring_octets)?;
        let filter = KernelFilter::new(&ebpf, table.quiesce(), options.keeps_flows, None)?;
        filter.put_behind(loaded(&mut ebpf, names::WANTED)?)?;
        Ok(Self {
            cpus: Mapped::new(&ebpf, names::CPUS, cpus)?,
            senders: Mapped::new(&ebpf, names::SENDERS, cpus)?,
            table,
            filter,
            ebpf,
            attached: None,
        })
    }

    /// Runs a part on so many frames of so many flows, a power of two; gives ns per frame.
    ///
    /// # Errors
    /// When the kernel refuses the frame.
    pub fn run(&mut self, part: Part, template: &[u8], flows: u32, frames: u32) -> Result<u64, KernelError> {
        self.set_flows(flows);
        self.filter.set(FrameReader::Table, Some(part.wanted()));
        let program: &mut Xdp = loaded(&mut self.ebpf, part.program())?;
        Ok(test(program, template, frames)?.ns)
    }

    /// How many flows there are, a power of two.
    pub fn set_flows(&mut self, flows: u32) {
        for cpu in 0..self.senders.len() {
            let state = self.senders.read(cpu);
            self.senders.write(cpu, SendState { flow_mask: flows - 1, src_ip: FIRST_SRC_IP, ..state });
        }
    }

    /// Attaches a part to an interface, so that frames on the wire run it, in place of the one before.
    ///
    /// # Errors
    /// When there is no such interface, or when it refuses the program.
    pub fn attach(&mut self, part: Part, interface: &str) -> Result<(), KernelError> {
        if let Some((part, link)) = self.attached.take() {
            loaded(&mut self.ebpf, part.program())?.detach(link)?;
        }
        self.filter.set(FrameReader::Table, Some(part.wanted()));
        let outcome = loaded(&mut self.ebpf, part.program())?.attach(interface, XdpMode::Driver);
        let link = outcome.map_err(|error| KernelError::of_attach(interface, error))?;
        self.attached = Some((part, link));
        Ok(())
    }

    /// The flow table of [`Part::Table`].
    pub const fn table(&mut self) -> &mut FlowTable {
        &mut self.table
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        counted_by(&self.cpus)
    }
}

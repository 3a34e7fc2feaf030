//! The maps, and the only places where their memory is touched.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, LpmTrie, ProgramArray, RingBuf, XskMap};
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{
    self as common, Config, CpuState, FlowSet, PaneGrid, RingRecord, SendState, stage,
};

/// User space may map the array.
const MAPPED: usize = aya_ebpf::bindings::BPF_F_MMAPABLE as usize;
/// Whoever reads the ring buffer looks for itself.
const NO_WAKEUP: u64 = aya_ebpf::bindings::BPF_RB_NO_WAKEUP as u64;

// Numbers of entries that depend on the machine are set when the object is loaded.
#[btf_map]
static CONFIG: Array<Config, 1, MAPPED> = Array::new();
#[btf_map]
static CPUS: Array<CpuState, 1, MAPPED> = Array::new();
#[btf_map]
static FLOWS: Array<FlowSet, 1, MAPPED> = Array::new();
#[btf_map]
static RING: RingBuf<(), 4096> = RingBuf::new();
#[btf_map]
static QUIESCE: ArrayOfMaps<Array<u32, 1>, 1> = ArrayOfMaps::new();
#[btf_map]
static PREFIXES_V4: LpmTrie<[u8; 4], u8, 65536> = LpmTrie::new();
#[btf_map]
static PREFIXES_V6: LpmTrie<[u8; 16], u8, 65536> = LpmTrie::new();
#[btf_map]
static RULES: Array<u8, { common::RULES as usize }> = Array::new();
#[btf_map]
static STAGES: ProgramArray<{ stage::COUNT as usize }> = ProgramArray::new();
#[btf_map]
static SOCKETS: XskMap<256> = XskMap::new();
#[btf_map]
static SENDERS: Array<SendState, 1, MAPPED> = Array::new();

/// What user space wants of one frame: read once, before the clock, so that user space knows by the time of its
/// flip what the half at rest has.
pub struct Wanted {
    /// The epoch, whose lowest bit is the half in use.
    pub epoch: u32,
    /// See `tapline_ebpf_common::flags`.
    pub flags: u32,
    /// Sets in a half, as a power of two.
    pub set_bits: u32,
    /// CPUs that the table has room for.
    pub cpus: u32,
    /// The panes of the half in use.
    pub panes: &'static PaneGrid,
    /// UTC less the programs' clock, ns.
    pub utc_offset_ns: u64,
}

impl Wanted {
    /// Reads the configuration.
    #[inline(always)]
    pub fn read() -> Option<Self> {
        let config = CONFIG.get_ptr(0)?;
        // SAFETY: an entry of an array stays where it is; user space writes its numbers whole.
        let (epoch, flags) = unsafe { ((&raw const (*config).epoch).read_volatile(), (*config).flags) };
        // SAFETY: as above; the panes of the half in use are at rest.
        let config = unsafe { &*config };
        let half = (epoch & 1) as usize;
        let (panes, utc_offset_ns) = (&config.grids[half], config.utc_offsets_ns[half]);
        Some(Self { epoch, flags, set_bits: config.set_bits, cpus: config.cpus, panes, utc_offset_ns })
    }
}

/// What this CPU keeps of a part of its own: of what it receives, that of its number.
#[inline(always)]
pub(super) fn cpu_state(part: u32) -> Option<&'static mut CpuState> {
    let state = CPUS.get_ptr_mut(part)?;
    // SAFETY: an entry of an array stays where it is, and only this CPU writes to it, one program at a time.
    Some(unsafe { &mut *state })
}

/// A set of the flow table.
#[inline(always)]
pub(super) fn flow_set(index: u32) -> Option<&'static mut FlowSet> {
    let set = FLOWS.get_ptr_mut(index)?;
    // SAFETY: as above; the index names a part of this CPU's, and the half that user space does not read.
    Some(unsafe { &mut *set })
}

/// Sends an entry out; whether there was room for it.
#[inline(always)]
pub(super) fn send(record: RingRecord) -> bool {
    let Some(mut place) = RING.reserve_untyped::<RingRecord>(0) else { return false };
    place.write(record);
    place.submit(NO_WAKEUP);
    true
}

/// Keeps the map that user space waits with in the object.
#[inline(always)]
pub(super) fn mention_quiesce() {
    let _ = QUIESCE.get(0);
}

/// The key of a trie, which is packed, such that its address is aligned: the stack has no other writes.
#[repr(C, align(8))]
struct Aligned<K> {
    reserved: u32,
    key: Key<K>,
}

/// The verdict on the longest prefix that holds an IPv4 address; zero if there is none.
#[inline(always)]
pub(super) fn prefix_v4(address: [u8; 4]) -> u8 {
    let aligned = Aligned { reserved: 0, key: Key::new(32, address) };
    PREFIXES_V4.get(&aligned.key).copied().unwrap_or(0)
}

/// The verdict on the longest prefix that holds an IPv6 address; zero if there is none.
#[inline(always)]
pub(super) fn prefix_v6(address: [u8; 16]) -> u8 {
    let aligned = Aligned { reserved: 0, key: Key::new(128, address) };
    PREFIXES_V6.get(&aligned.key).copied().unwrap_or(0)
}

/// The verdict on a port, protocol or VLAN; zero if there is none.
#[inline(always)]
pub(super) fn rule(place: u32) -> u8 {
    RULES.get(place).copied().unwrap_or(0)
}

/// Goes on with the filter, which reads the frame in the scratch of this CPU; comes back if there is none.
#[inline(always)]
pub(super) fn filter(context: &XdpContext) {
    // SAFETY: nothing of the caller's waits to be dropped.
    unsafe { STAGES.tail_call(context, stage::FILTER) };
}

/// Redirects the frame to the socket of its queue; `otherwise` if there is none.
#[inline(always)]
pub(super) fn redirect(queue: u32, otherwise: u32) -> Result<u32, u32> {
    SOCKETS.redirect(queue, otherwise.into())
}

/// What this CPU sends.
#[inline(always)]
pub(super) fn sender(cpu: u32) -> Option<&'static mut SendState> {
    let state = SENDERS.get_ptr_mut(cpu)?;
    // SAFETY: as for the state of a CPU.
    Some(unsafe { &mut *state })
}

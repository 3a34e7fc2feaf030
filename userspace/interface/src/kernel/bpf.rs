//! Calls of bpf(2) for what the library which loads objects does not load: programs that are made of instructions while
//! this process runs, maps that these look into, and programs that are bound to an interface.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::from_ref;

use super::signals::without_signals;

const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEMENT: libc::c_int = 2;
const MAP_DELETE_ELEMENT: libc::c_int = 3;
const PROGRAM_LOAD: libc::c_int = 5;
const TYPES_LOAD: libc::c_int = 18;
const LINK_CREATE: libc::c_int = 28;

/// `BPF_PROG_TYPE_XDP`, attached as `BPF_XDP`, for frames in several parts (`BPF_F_XDP_HAS_FRAGS`): as the programs that
/// call this one are loaded, or the kernel lets them not.
const TYPE_XDP: u32 = 6;
const ATTACHED_AS_XDP: u32 = 37;
const HAS_FRAGMENTS: u32 = 1 << 5;
/// Only for one interface, whose driver it may ask (`BPF_F_XDP_DEV_BOUND_ONLY`).
const BOUND: u32 = 1 << 6;
/// Run by the driver (`XDP_FLAGS_DRV_MODE`).
const BY_DRIVER: u32 = 1 << 2;

/// `BPF_F_NO_PREALLOC`, without which the kernel makes no trie.
const NO_PREALLOCATION: u32 = 1;

const LICENSE: &CStr = c"Dual MIT/GPL";
/// Octets of what the verifier may say.
const LOG_OCTETS: usize = 1 << 20;

/// Arguments of `BPF_PROG_LOAD`, as far as they are given.
#[repr(C)]
struct LoadArguments {
    kind: u32,
    instructions: u32,
    first_instruction: u64,
    license: u64,
    log_level: u32,
    log_octets: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface_index: u32,
    attached_as: u32,
    types: u32,
    function_octets: u32,
    first_function: u64,
    functions: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<LoadArguments>() == 96);

/// Arguments of `BPF_BTF_LOAD`, as far as they are given.
#[repr(C)]
struct TypesArguments {
    octets: u64,
    log: u64,
    length: u32,
    log_octets: u32,
}

const _: () = assert!(size_of::<TypesArguments>() == 24);

/// Arguments of `BPF_LINK_CREATE`, for XDP.
#[repr(C)]
struct LinkArguments {
    program: u32,
    interface_index: u32,
    attached_as: u32,
    flags: u32,
}

const _: () = assert!(size_of::<LinkArguments>() == 16);

/// A program of XDP.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    /// What the kernel calls it.
    pub(super) name: &'a [u8; 16],
    pub(super) instructions: &'a [u64],
    /// Whom it is for alone, if it is.
    pub(super) bound: Option<Bound<'a>>,
}

/// The interface of a program that is bound to it, and what the verifier must know of its functions.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) interface_index: u32,
    /// Its BTF.
    pub(super) types: BorrowedFd<'a>,
    /// Where each function begins, and its type: records of so many octets.
    pub(super) functions: &'a [u8],
    pub(super) function_octets: u32,
}

/// Kinds of maps (`BPF_MAP_TYPE_…`).
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum MapKind {
    Hash = 1,
    Array = 2,
    Trie = 11,
}

/// Octets of a map's keys and values, and how many there are.
#[derive(Clone, Copy)]
pub(super) struct MapShape {
    pub(super) kind: MapKind,
    pub(super) key_octets: usize,
    pub(super) value_octets: usize,
    pub(super) entries: usize,
}

/// Arguments of `BPF_MAP_CREATE`, as far as they are given.
#[repr(C)]
struct MapArguments {
    kind: u32,
    key_octets: u32,
    value_octets: u32,
    entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; 16],
}

const _: () = assert!(size_of::<MapArguments>() == 44);

/// Arguments of calls about an element of a map.
#[repr(C)]
struct ElementArguments {
    map: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

const _: () = assert!(size_of::<ElementArguments>() == 32);

/// Loads a program of XDP. It may be called by tail call, and goes when nothing has it any more.
///
/// # Errors
/// What the kernel says, and why, in the last line of its verifier.
pub(super) fn load(program: Program<'_>) -> Result<OwnedFd, String> {
    match load_with_log(program, &mut []) {
        Ok(program) => Ok(program),
        Err(error) => Err(refusal(program, &error)),
    }
}

/// Why a program is refused: asks again, and lets the verifier say it.
fn refusal(program: Program<'_>, error: &io::Error) -> String {
    let mut log = vec![0; LOG_OCTETS];
    let _ = load_with_log(program, &mut log);
    let said = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
    match last_line(&said) {
        Some(line) => format!("{error}; its verifier ends with: {line}"),
        None => error.to_string(),
    }
}

/// The last thing that a verifier said, but for how much it had to do.
fn last_line(said: &str) -> Option<&str> {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let (counts, reasons): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("processed "));
    reasons.last().or(counts.last()).copied()
}

fn load_with_log(program: Program<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let Program { name, instructions, bound } = program;
    let arguments = LoadArguments {
        kind: TYPE_XDP,
        instructions: instructions.len() as u32,
        first_instruction: instructions.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_octets: log.len() as u32,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kernel_version: 0,
        flags: HAS_FRAGMENTS | if bound.is_some() { BOUND } else { 0 },
        name: *name,
        interface_index: bound.map_or(0, |bound| bound.interface_index),
        attached_as: ATTACHED_AS_XDP,
        types: bound.map_or(0, |bound| bound.types.as_raw_fd().cast_unsigned()),
        function_octets: bound.map_or(0, |bound| bound.function_octets),
        first_function: bound.map_or(0, |bound| bound.functions.as_ptr() as u64),
        functions: bound.map_or(0, Bound::function_count),
        reserved: 0,
    };
    without_signals(|| call_for_descriptor(PROGRAM_LOAD, &arguments))
}

impl Bound<'_> {
    fn function_count(self) -> u32 {
        (self.functions.len() as u32).checked_div(self.function_octets).unwrap_or_default()
    }
}

/// Gives the kernel types (BTF), for programs that are loaded afterwards.
///
/// # Errors
/// What the kernel says.
pub(super) fn load_types(octets: &[u8]) -> io::Result<OwnedFd> {
    let length = octets.len() as u32;
    let arguments = TypesArguments { octets: octets.as_ptr() as u64, log: 0, length, log_octets: 0 };
    call_for_descriptor(TYPES_LOAD, &arguments)
}

/// Has a driver run a program on what its interface receives, until what this gives is closed.
///
/// # Errors
/// What the kernel says.
pub(super) fn attach(program: BorrowedFd<'_>, interface_index: u32) -> io::Result<OwnedFd> {
    let program = program.as_raw_fd().cast_unsigned();
    let arguments =
        LinkArguments { program, interface_index, attached_as: ATTACHED_AS_XDP, flags: BY_DRIVER };
    call_for_descriptor(LINK_CREATE, &arguments)
}

/// Makes a map, which goes when nothing has it any more.
///
/// # Errors
/// What the kernel says.
pub(super) fn map(name: &[u8; 16], shape: MapShape) -> io::Result<OwnedFd> {
    let arguments = MapArguments {
        kind: shape.kind as u32,
        key_octets: shape.key_octets as u32,
        value_octets: shape.value_octets as u32,
        entries: shape.entries as u32,
        flags: if matches!(shape.kind, MapKind::Trie) { NO_PREALLOCATION } else { 0 },
        inner_map: 0,
        numa_node: 0,
        name: *name,
    };
    call_for_descriptor(MAP_CREATE, &arguments)
}

/// Puts a value into a map of this shape, under a key.
///
/// # Errors
/// What the kernel says.
pub(super) fn insert(map: BorrowedFd<'_>, shape: MapShape, key: &[u8], value: &[u8]) -> io::Result<()> {
    if (key.len(), value.len()) != (shape.key_octets, shape.value_octets) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    element(MAP_UPDATE_ELEMENT, map, key.as_ptr() as u64, value.as_ptr() as u64)
}

/// Puts a program, or what else has a descriptor, into a map; whoever looks there finds what was there before, or this.
///
/// # Errors
/// What the kernel says.
pub(super) fn put(map: BorrowedFd<'_>, key: u32, value: BorrowedFd<'_>) -> io::Result<()> {
    let value = value.as_raw_fd();
    element(MAP_UPDATE_ELEMENT, map, from_ref(&key) as u64, from_ref(&value) as u64)
}

/// Takes a program out of a map, if there is one.
///
/// # Errors
/// What the kernel says.
pub(super) fn remove(map: BorrowedFd<'_>, key: u32) -> io::Result<()> {
    match element(MAP_DELETE_ELEMENT, map, from_ref(&key) as u64, 0) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn element(command: libc::c_int, map: BorrowedFd<'_>, key: u64, value: u64) -> io::Result<()> {
    let map = map.as_raw_fd().cast_unsigned();
    let arguments = ElementArguments { map, reserved: 0, key, value, flags: 0 };
    call(command, &arguments).map(drop)
}

/// Calls the kernel, which makes something new.
fn call_for_descriptor<T>(command: libc::c_int, arguments: &T) -> io::Result<OwnedFd> {
    let descriptor = call(command, arguments)?;
    // SAFETY: the kernel has just given it to this process, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Calls the kernel, whose answer may be a descriptor.
fn call<T>(command: libc::c_int, arguments: &T) -> io::Result<libc::c_int> {
    // SAFETY: the arguments are those of the command, of the size that is said, and alive during the call; what they point
    // to is, too.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, from_ref(arguments), size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as libc::c_int) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_quoted_by_its_last_reason() {
        let log = "0: (b7) r0 = 1\n1: (95) exit\nunreachable insn 2\nprocessed 2 insns (limit 1000000)\n";
        assert_eq!(last_line(log), Some("unreachable insn 2"));
        assert_eq!(last_line("processed 2 insns\n\n"), Some("processed 2 insns"));
        assert_eq!(last_line("\n"), None);
    }
}

//! Swapped hash maps, emptied while the programs go on.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use tapline_ebpf_common::FlowKey;

use super::KernelError;
use super::table::take;

type Inner = OwnedFd;

/// The tables of all CPUs, and as many to swap them for.
pub struct SwapTable {
    outer: MapData,
    live: Vec<Inner>,
    spare: Vec<Inner>,
    keys: Vec<FlowKey>,
    values: Vec<[u32; 6]>,
}

/// The attributes of bpf(2) for batches.
#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

const LOOKUP_AND_DELETE_BATCH: i64 = 25;
const UPDATE_BATCH: i64 = 26;
const BATCH: usize = 16_384;

impl SwapTable {
    pub(super) fn new(ebpf: &mut Ebpf, cpus: u32, entries: u32) -> Result<Self, KernelError> {
        let Map::ArrayOfMaps(outer) = take(ebpf, "SWAP")? else { return Err(KernelError::Missing("SWAP")) };
        let create = || (0..cpus).map(|_| create_hash(entries)).collect::<Result<Vec<_>, _>>();
        let (keys, values) = (vec![FlowKey::default(); BATCH], vec![[0; 6]; BATCH]);
        let mut table = Self { outer, live: create()?, spare: create()?, keys, values };
        table.swap()?;
        Ok(table)
    }

    fn swap(&mut self) -> io::Result<()> {
        std::mem::swap(&mut self.live, &mut self.spare);
        let keys: Vec<u32> = (0..self.live.len() as u32).collect();
        let values: Vec<i32> = self.live.iter().map(fd).collect();
        let mut batch = Batch {
            keys: keys.as_ptr() as u64,
            values: values.as_ptr() as u64,
            count: keys.len() as u32,
            map_fd: self.outer.fd().as_fd().as_raw_fd() as u32,
            ..Batch::default()
        };
        bpf(UPDATE_BATCH, &mut batch)
    }

    /// Empties the tables; `each` sees every entry once.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn drain(&mut self, mut each: impl FnMut(&FlowKey, &[u32; 6])) -> Result<u64, KernelError> {
        self.swap()?;
        let mut entries = 0;
        for map in 0..self.spare.len() {
            let map_fd = fd(&self.spare[map]) as u32;
            let (mut token, mut next) = (0_u64, 0_u64);
            let mut is_first = true;
            loop {
                let mut batch = Batch {
                    in_batch: if is_first { 0 } else { (&raw mut token) as u64 },
                    out_batch: (&raw mut next) as u64,
                    keys: self.keys.as_mut_ptr() as u64,
                    values: self.values.as_mut_ptr() as u64,
                    count: BATCH as u32,
                    map_fd,
                    ..Batch::default()
                };
                let outcome = bpf(LOOKUP_AND_DELETE_BATCH, &mut batch);
                let count = batch.count as usize;
                self.keys[..count].iter().zip(&self.values[..count]).for_each(|(k, v)| each(k, v));
                entries += count as u64;
                match outcome {
                    Ok(()) => {}
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
                    Err(error) => return Err(error.into()),
                }
                token = next;
                is_first = false;
            }
        }
        Ok(entries)
    }
}

fn fd(map: &Inner) -> i32 {
    map.as_raw_fd()
}

fn bpf(command: i64, batch: &mut Batch) -> io::Result<()> {
    // SAFETY: the attributes point to memory that is long enough.
    let outcome = unsafe { libc::syscall(libc::SYS_bpf, command, batch as *mut Batch, size_of::<Batch>()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn create_hash(entries: u32) -> io::Result<OwnedFd> {
    let mut attributes = [1_u32, 40, 24, entries, 0, 0, 0, 0];
    // SAFETY: the attributes are memory of this length.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 0, attributes.as_mut_ptr(), size_of_val(&attributes)) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

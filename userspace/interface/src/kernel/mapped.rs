//! An array of the kernel programs, in the memory of this process.
//!
//! The programs may write to it at any time; so it is read entry by entry, and never lent, but for parts that the
//! caller knows to be at rest.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::atomic::{AtomicU32, AtomicU64};

use aya::Pod;
use aya::maps::{Map, MapData};
use memmap2::{MmapOptions, MmapRaw};

use super::KernelError;

/// All entries of an array.
pub(super) struct Mapped<T> {
    memory: MmapRaw,
    entries: usize,
    _kind: PhantomData<T>,
}

impl<T: Pod> Mapped<T> {
    /// Maps an array of so many entries.
    pub(super) fn new(ebpf: &aya::Ebpf, name: &'static str, entries: u32) -> Result<Self, KernelError> {
        let Some(Map::Array(map)) = ebpf.map(name) else { return Err(KernelError::Missing(name)) };
        Ok(Self::of_map(map, entries as usize)?)
    }

    fn of_map(map: &MapData, entries: usize) -> io::Result<Self> {
        let octets = entries * size_of::<T>();
        let memory = MmapOptions::new().len(octets).map_raw(map.fd().as_fd().as_raw_fd())?;
        Ok(Self { memory, entries, _kind: PhantomData })
    }

    /// How many entries there are.
    pub(super) const fn len(&self) -> usize {
        self.entries
    }

    /// A copy of an entry; its numbers are whole, but need not be of one moment.
    pub(super) fn read(&self, entry: usize) -> T {
        // SAFETY: the entry is within the mapped memory, as `place` asserts, and any octets are a value.
        unsafe { self.place(entry).read_volatile() }
    }

    /// Overwrites an entry that no program reads or writes now.
    pub(super) fn write(&mut self, entry: usize, value: T) {
        // SAFETY: as above.
        unsafe { self.place(entry).write_volatile(value) }
    }

    /// Overwrites a part of an entry, at an offset, that no program reads or writes now.
    pub(super) fn write_part<U: Pod>(&mut self, entry: usize, offset: usize, value: U) {
        assert!(offset + size_of::<U>() <= size_of::<T>(), "invariant: a part of the entry");
        // SAFETY: within the entry, and any octets are a value.
        unsafe { self.place(entry).cast::<u8>().wrapping_add(offset).cast::<U>().write_unaligned(value) }
    }

    /// Entries that no program writes to as long as they are borrowed.
    ///
    /// # Safety
    /// No program may have access to these entries.
    pub(super) unsafe fn at_rest(&mut self, first: usize, count: usize) -> &mut [T] {
        assert!(first + count <= self.entries, "invariant: entries are within the array");
        // SAFETY: within the mapped memory, and the caller promises that nobody else has access.
        unsafe { std::slice::from_raw_parts_mut(self.place(first), count) }
    }

    /// A number at an offset in an entry, which this process alone writes and the programs read whole.
    pub(super) fn number(&self, entry: usize, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset < size_of::<T>(), "invariant: a number of the entry");
        let number = self.place(entry).cast::<u8>().wrapping_add(offset).cast();
        // SAFETY: aligned, within the entry, mapped as long as `self`, and only used as an atomic on this side.
        unsafe { AtomicU32::from_ptr(number) }
    }

    /// The same of 64 bits.
    pub(super) fn long_number(&self, entry: usize, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset < size_of::<T>(), "invariant: a number of the entry");
        let number = self.place(entry).cast::<u8>().wrapping_add(offset).cast();
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(number) }
    }

    fn place(&self, entry: usize) -> *mut T {
        assert!(entry < self.entries, "invariant: entries are within the array");
        self.memory.as_mut_ptr().cast::<T>().wrapping_add(entry)
    }
}

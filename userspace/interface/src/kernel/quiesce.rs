//! Waiting until every program that runs now has ended.
//!
//! A program runs in a read-side section of RCU, and the kernel promises user space that replacing a map within a map
//! returns only after all programs that ran have ended (`maybe_wait_bpf_programs`), so an array of one map is replaced
//! by itself.

use std::sync::{Arc, Mutex, PoisonError};

use aya::Ebpf;
use aya::maps::{Array, ArrayOfMaps, MapData};
use tapline_ebpf_common::names;

use super::KernelError;
use super::table::take;

/// What is waited with, by any thread.
#[derive(Clone)]
pub(super) struct Quiesce(Arc<Mutex<Outer>>);

struct Outer {
    map: ArrayOfMaps<MapData, Array<MapData, u32>>,
    bystander: Array<MapData, u32>,
}

impl Quiesce {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ArrayOfMaps::try_from(take(ebpf, names::QUIESCE)?)?;
        Ok(Self(Arc::new(Mutex::new(Outer { map, bystander: Array::create(1, 0)? }))))
    }

    /// Waits until all programs that run now have ended.
    pub(super) fn wait(&self) -> Result<(), KernelError> {
        let mut outer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Outer { map, bystander } = &mut *outer;
        Ok(map.set(0, &*bystander, 0)?)
    }
}

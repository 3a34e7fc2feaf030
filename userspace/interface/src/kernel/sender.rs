//! Synthetic frames at the rate of the kernel, for tests and benchmarks.
//!
//! A program rewrites a template's source address and sends it out of an interface again and again; how many
//! frames each flow gets follows from their numbers alone, so that the truth is known.

use std::ffi::CString;

use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, XdpMode};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use tapline_ebpf_common::{SendState, names};

use super::mapped::Mapped;
use super::programs::{loaded, program};
use super::signals::without_signals;
use super::{KernelError, object};

/// Frames that the kernel sends at once.
const BATCH_FRAMES: u32 = 64;

/// Sends frames.
pub struct Sender {
    ebpf: Ebpf,
}

impl Sender {
    /// Loads the sending program: `flows`, a power of two, with source addresses from `src_ip` on; every CPU that
    /// sends begins with the first flow.
    ///
    /// # Errors
    /// When it was not built in, when the rights are missing, or when the kernel refuses it.
    pub fn load(flows: u32, src_ip: u32) -> Result<Self, KernelError> {
        let cpus = nr_cpus().map_err(|(_, error)| error)? as u32;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(names::SENDERS, cpus)
            .load(object::load()?)
            .map_err(KernelError::of_load)?;
        let mut senders = Mapped::new(&ebpf, names::SENDERS, cpus)?;
        for cpu in 0..senders.len() {
            senders.write(cpu, SendState { flow_mask: flows - 1, src_ip, ..SendState::default() });
        }
        program(&mut ebpf, names::SEND)?;
        program(&mut ebpf, names::SINK)?;
        Ok(Self { ebpf })
    }

    /// Lets an interface take frames: native XDP hands none to a peer that runs no program.
    ///
    /// # Errors
    /// When there is no such interface, or when it refuses the program.
    pub fn open(&mut self, interface: &str) -> Result<(), KernelError> {
        let program = loaded(&mut self.ebpf, names::SINK)?;
        let outcome = program.attach(interface, XdpMode::Driver);
        outcome.map(drop).map_err(|error| KernelError::of_attach(interface, error))
    }

    /// Sends so many frames like `template`, which is Ethernet and IPv4, out of an interface, on this thread's CPU.
    ///
    /// # Errors
    /// When there is no such interface, or when the kernel refuses the frame.
    pub fn send(&mut self, interface: &str, template: &[u8], frames: u32) -> Result<(), KernelError> {
        let interface_index = index(interface)?;
        // An `xdp_md`: data, its end, metadata, receiving interface and queue, sending interface.
        let context = [0, template.len() as u32, 0, interface_index, 0, 0].map(u32::to_ne_bytes);
        let options = TestRunOptions {
            data_in: Some(template),
            ctx_in: Some(context.as_flattened()),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH_FRAMES),
            ..TestRunOptions::default()
        };
        let program = loaded(&mut self.ebpf, names::SEND)?;
        without_signals(|| program.test_run(options))?;
        Ok(())
    }
}

/// The flow of a frame that a [`Sender`] makes, from the frame's number on its CPU; `flows` is a power of two.
#[must_use]
pub const fn flow_of(frame: u64, flows: u32) -> u32 {
    let state = SendState { frames: 0, flow_mask: flows - 1, src_ip: 0, found: [0; 6] };
    state.flow(frame)
}

/// The number of an interface.
fn index(interface: &str) -> Result<u32, KernelError> {
    let unknown = || KernelError::NoInterface(interface.to_owned());
    let name = CString::new(interface).map_err(|_| unknown())?;
    // SAFETY: the name is a string of C as long as this call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(unknown()),
        index => Ok(index),
    }
}

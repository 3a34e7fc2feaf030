//! The program that counts what an interface sends, into parts of the table of its own.
//!
//! It is attached by tcx, behind all that is there, as what these let through is sent; nothing else that is attached is
//! touched, and it goes with the process.

use aya::Ebpf;
use aya::programs::links::LinkOrder;
use aya::programs::tc::{SchedClassifierLinkId, TcAttachOptions};
use aya::programs::{SchedClassifier, TcAttachType};
use tapline_ebpf_common::names;

use super::KernelError;
use super::signals::without_signals;
use crate::directions::has_tcx;

/// Loads the program.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    if !has_tcx() {
        return Err(KernelError::NoTcx);
    }
    let program = loaded(ebpf)?;
    Ok(without_signals(|| program.load())?)
}

/// Attaches it to an interface.
pub(super) fn attach(ebpf: &mut Ebpf, interface: &str) -> Result<SchedClassifierLinkId, KernelError> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::last());
    let attached = loaded(ebpf)?.attach_with_options(interface, TcAttachType::Egress, order);
    attached.map_err(|error| KernelError::of_attach(interface, error))
}

/// Takes it off again.
pub(super) fn detach(ebpf: &mut Ebpf, link: SchedClassifierLinkId) -> Result<(), KernelError> {
    Ok(loaded(ebpf)?.detach(link)?)
}

fn loaded(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, KernelError> {
    let program = ebpf.program_mut(names::SENT).ok_or(KernelError::Missing(names::SENT))?;
    Ok(program.try_into()?)
}

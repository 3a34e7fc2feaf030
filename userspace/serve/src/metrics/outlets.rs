//! What became of results that are stored or sent.

use super::exposition::Exposition;
use super::families as of;
use tapline_sinks::{OutletState, OutletStatus};

pub(super) fn expose(outlets: &[OutletStatus], out: &mut Exposition) {
    let all = || outlets.iter().map(|outlet| ([&*outlet.name, outlet.kind], outlet));
    out.family(&of::OUTLET_UP, all().map(|(labels, outlet)| (labels, outlet.state == OutletState::Running)));
    out.family(&of::OUTLET_GIVEN, all().map(|(labels, outlet)| (labels, outlet.given)));
    out.family(&of::OUTLET_LOST, all().map(|(labels, outlet)| (labels, outlet.lost.values().sum::<u64>())));
    out.family(&of::OUTLET_WAITING, all().map(|(labels, outlet)| (labels, outlet.waiting)));
}

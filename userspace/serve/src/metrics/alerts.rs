//! What fires.

use super::exposition::Exposition;
use super::families as of;
use std::collections::BTreeMap;
use tapline_catalog::AlertStatus;

pub(super) fn expose(standing: &[AlertStatus], out: &mut Exposition) {
    // The configuration and the query may have alerts that differ in what is done about them alone.
    let mut firing: BTreeMap<[&str; 2], u64> = BTreeMap::new();
    for status in standing {
        let known = firing.entry([&*status.query, &*status.alert.said]).or_default();
        *known = (*known).max(status.firing() as u64);
    }
    out.family(&of::ALERT_FIRING, firing);
}

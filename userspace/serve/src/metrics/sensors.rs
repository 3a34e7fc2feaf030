//! How sensors stand, and whom a sensor forwards to.

use super::exposition::Exposition;
use super::families as of;
use std::collections::BTreeSet;
use tapline_catalog::{ForwardStatus, SensorStatus};

pub(super) fn expose(sensors: &[SensorStatus], forwards: Option<&ForwardStatus>, out: &mut Exposition) {
    let to = || forwards.iter().map(|forward| ([&*forward.to], *forward));
    out.family(&of::FORWARD_UP, to().map(|(labels, forward)| (labels, forward.is_connected)));
    out.family(&of::FORWARD_BYTES, to().map(|(labels, forward)| (labels, forward.spool_octets[0])));
    out.family(&of::FORWARD_LOST, to().map(|(labels, forward)| (labels, forward.lost)));
    // One that comes by two ways is one of them.
    let mut names = BTreeSet::new();
    let sensors: Vec<&SensorStatus> = sensors.iter().filter(|sensor| names.insert(&sensor.name)).collect();
    let all = || sensors.iter().map(|sensor| ([&*sensor.name], *sensor));
    out.family(&of::SENSOR_UP, all().map(|(labels, sensor)| (labels, sensor.is_connected)));
    let seconds = |ns: i64| ns as f64 / 1e9;
    let lags = all().filter_map(|(labels, sensor)| Some((labels, seconds(sensor.lag_ns?))));
    out.family(&of::SENSOR_LAG, lags);
    let clocks = all().filter_map(|(labels, sensor)| Some((labels, seconds(sensor.clock_offset_ns?))));
    out.family(&of::SENSOR_CLOCK, clocks);
    out.family(&of::SENSOR_BYTES, all().map(|(labels, sensor)| (labels, sensor.report.spool_octets)));
    out.family(&of::SENSOR_LOST, all().map(|(labels, sensor)| (labels, sensor.report.lost)));
    let refused = sensors.iter().flat_map(|sensor| {
        sensor.refused.iter().map(|(reason, count)| ([&*sensor.name, reason.as_str()], *count))
    });
    out.family(&of::SENSOR_REFUSED, refused);
}

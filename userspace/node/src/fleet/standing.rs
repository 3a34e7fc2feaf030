//! How sensors stand: what their links say, and what they say of themselves.

use std::collections::{BTreeMap, HashMap};
use tapline_catalog::{Assigned, ReportedQuery, SensorReport, SensorStatus};
use tapline_forward::Receiver;
use tapline_record::EventTime;

/// How they stood at the last look.
#[derive(Debug, Default)]
pub(super) struct Standing {
    sensors: Vec<SensorStatus>,
    /// What each said of itself last, as octets and as what they mean.
    reports: HashMap<String, (Vec<u8>, SensorReport)>,
}

impl Standing {
    /// Looks at them; these are the queries that they may run.
    pub(super) fn look<'a>(
        &mut self,
        receiver: Option<&Receiver>,
        queries: impl Iterator<Item = &'a Assigned>,
    ) {
        let names: BTreeMap<u64, &str> =
            queries.map(|assigned| (assigned.id, assigned.name.as_str())).collect();
        let known = receiver.map(Receiver::sensors).unwrap_or_default();
        self.sensors = known.into_iter().map(|sensor| self.status(sensor, &names)).collect();
    }

    pub(super) fn sensors(&self) -> &[SensorStatus] {
        &self.sensors
    }

    /// The sensors that run a query or are to, each with its state.
    pub(super) fn parts(&self, assigned: &Assigned) -> Vec<(String, ReportedQuery)> {
        let asked = self.sensors.iter().filter(|sensor| assigned.is_for(&sensor.name));
        let part = |sensor: &SensorStatus| (sensor.name.clone(), part_of(sensor, assigned.id));
        asked.map(part).collect()
    }

    fn status(&mut self, sensor: tapline_forward::SensorStatus, names: &BTreeMap<u64, &str>) -> SensorStatus {
        let tapline_forward::SensorStatus {
            name, address, connected_since_ns, clock, lag_ns, refused, ..
        } = sensor;
        let report = self.report(&name, sensor.report);
        let of_names = |query: &ReportedQuery| Some(((*names.get(&query.id)?).to_owned(), query.clone()));
        let heard = Some(report.now_ns).filter(|now| *now > 0);
        SensorStatus {
            is_connected: connected_since_ns.is_some(),
            since: connected_since_ns.or(heard).map(EventTime),
            address: address.map(|address| address.to_string()),
            lag_ns,
            clock_offset_ns: clock.map(|clock| clock.ahead_ns),
            refused,
            queries: report.queries.iter().filter_map(of_names).collect(),
            report,
            name,
        }
    }

    /// What a sensor says of itself; it is read when it changes.
    fn report(&mut self, name: &str, octets: Vec<u8>) -> SensorReport {
        if let Some((known, report)) = self.reports.get(name)
            && *known == octets
        {
            return report.clone();
        }
        // What cannot be read says nothing.
        let report: SensorReport = serde_json::from_slice(&octets).unwrap_or_default();
        self.reports.insert(name.to_owned(), (octets, report.clone()));
        report
    }
}

/// How a query stands on a sensor.
fn part_of(sensor: &SensorStatus, id: u64) -> ReportedQuery {
    let waiting = |why: &str| ReportedQuery { id, state: "waiting".to_owned(), reason: Some(why.to_owned()) };
    if !sensor.is_connected {
        return waiting("the sensor is away");
    }
    let reported = sensor.report.queries.iter().find(|query| query.id == id);
    reported.cloned().unwrap_or_else(|| waiting("the sensor has not said that it runs it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_runs_where_a_sensor_says_so() {
        let running = ReportedQuery { id: 7, state: "running".to_owned(), reason: None };
        let report = SensorReport { queries: vec![running.clone()], ..SensorReport::default() };
        let connected =
            SensorStatus { is_connected: true, name: "a".to_owned(), report, ..SensorStatus::default() };
        let away = SensorStatus { is_connected: false, name: "b".to_owned(), ..connected.clone() };
        assert_eq!(part_of(&connected, 7), running);
        assert_eq!(
            (part_of(&connected, 8).state, part_of(&away, 7).state),
            ("waiting".to_owned(), "waiting".to_owned())
        );
        let standing = Standing { sensors: vec![connected, away], reports: HashMap::new() };
        let assigned = Assigned { id: 7, sensors: Some(vec!["a".to_owned()]), ..Assigned::default() };
        assert_eq!(standing.parts(&assigned), [("a".to_owned(), running)]);
    }
}

//! How sensors stand: what their links say, and what they say of themselves.

use std::collections::{BTreeMap, HashMap};
use std::mem::take;
use tapline_catalog::{Assigned, ReportedQuery, ReportedSensor, SensorReport, SensorStatus};
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
        let mut sensors = vec![];
        for sensor in known {
            let mut status = self.status(sensor, &names);
            let behind = status.report.sensors.as_mut().map(take).unwrap_or_default();
            let behind = behind.into_iter().map(|leaf| status_behind(&status, leaf, &names));
            let behind: Vec<SensorStatus> = behind.collect();
            sensors.push(status);
            sensors.extend(behind);
        }
        self.sensors = sensors;
    }

    pub(super) fn sensors(&self) -> &[SensorStatus] {
        &self.sensors
    }

    /// The sensors that run a query or are to, each with its state.
    pub(super) fn parts(&self, assigned: &Assigned) -> Vec<(String, ReportedQuery)> {
        let part = |sensor: &SensorStatus| (sensor.name.clone(), part_of(sensor, assigned.id));
        let is_asked = |sensor: &&SensorStatus| {
            // Whoever hands on what others send matters where he cannot.
            let fails = || part_of(sensor, assigned.id).state == "failed";
            if sensor.is_tier() { fails() } else { assigned.is_for(&sensor.name) }
        };
        self.sensors.iter().filter(is_asked).map(part).collect()
    }

    fn status(&mut self, sensor: tapline_forward::SensorStatus, names: &BTreeMap<u64, &str>) -> SensorStatus {
        let tapline_forward::SensorStatus {
            name, address, connected_since_ns, clock, lag_ns, refused, ..
        } = sensor;
        let report = self.report(&name, sensor.report);
        let heard = Some(report.now_ns).filter(|now| *now > 0);
        SensorStatus {
            is_connected: connected_since_ns.is_some(),
            since: connected_since_ns.or(heard).map(EventTime),
            address: address.map(|address| address.to_string()),
            lag_ns,
            clock_offset_ns: clock.map(|clock| clock.ahead_ns),
            refused,
            queries: named(&report, names),
            report,
            through: None,
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

/// What a sensor runs, by the names of the queries.
fn named(report: &SensorReport, names: &BTreeMap<u64, &str>) -> Vec<(String, ReportedQuery)> {
    let of_names = |query: &ReportedQuery| Some(((*names.get(&query.id)?).to_owned(), query.clone()));
    report.queries.iter().filter_map(of_names).collect()
}

/// How a sensor stands that comes through another one.
fn status_behind(tier: &SensorStatus, leaf: ReportedSensor, names: &BTreeMap<u64, &str>) -> SensorStatus {
    let ReportedSensor { name, through, is_connected, since_ns, address, lag_ns, refused, report, .. } = leaf;
    let through = through.map_or_else(|| tier.name.clone(), |further| format!("{}/{further}", tier.name));
    // Its clock was compared with that of the one before it.
    let offset = |ns: i64| ns.saturating_add(tier.clock_offset_ns.unwrap_or_default());
    SensorStatus {
        queries: named(&report, names),
        name,
        through: Some(through),
        is_connected: is_connected && tier.is_connected,
        since: since_ns.map(EventTime),
        address,
        lag_ns,
        clock_offset_ns: leaf.clock_offset_ns.map(offset),
        refused,
        report,
    }
}

/// How a query stands on a sensor.
fn part_of(sensor: &SensorStatus, id: u64) -> ReportedQuery {
    let waiting = |why: &str| ReportedQuery { id, state: "waiting".to_owned(), reason: Some(why.to_owned()) };
    if !sensor.is_connected {
        let away = sensor.through.as_ref().map_or_else(
            || "the sensor is away".to_owned(),
            |through| format!("the sensor is away, or {through}, through which it comes"),
        );
        return waiting(&away);
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

    #[test]
    fn sensors_behind_others_are_shown_with_their_way() {
        let leaf = ReportedSensor {
            name: "pop-1".to_owned(),
            through: Some("city".to_owned()),
            is_connected: true,
            clock_offset_ns: Some(3),
            ..ReportedSensor::default()
        };
        let report = SensorReport { sensors: Some(vec![]), ..SensorReport::default() };
        let tier = SensorStatus {
            name: "region".to_owned(),
            is_connected: true,
            clock_offset_ns: Some(4),
            report,
            ..SensorStatus::default()
        };
        let behind = status_behind(&tier, leaf.clone(), &BTreeMap::new());
        assert_eq!((behind.through.as_deref(), behind.clock_offset_ns), (Some("region/city"), Some(7)));
        assert!(behind.is_connected && !behind.is_tier() && tier.is_tier());
        let away =
            status_behind(&SensorStatus { is_connected: false, ..tier.clone() }, leaf, &BTreeMap::new());
        let part = part_of(&away, 7);
        assert!(!away.is_connected && part.reason.unwrap().contains("region/city"));
        // Who hands on is none of those who run a query.
        let standing = Standing { sensors: vec![tier, behind], reports: HashMap::new() };
        let names: Vec<String> =
            standing.parts(&Assigned::default()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["pop-1"]);
    }
}

//! Rows without an aggregate: what sensors saw, row by row, at the aggregator.

use super::super::node::{json, kept_windows, query};
use super::fleet::{self, Central, SECOND, Sensor, rows, start_of, text};
use harness::waiting::wait_for;
use std::collections::BTreeMap;
use std::time::Duration;

/// So few that an aggregator has all of them in memory.
const PACE: Duration = Duration::from_millis(100);
const ROWS: &str = "SELECT sensor, octets FROM flows";

/// A window of a second as it was given.
#[derive(Clone, Debug)]
struct Given {
    by_sensor: BTreeMap<String, u64>,
    octets: u64,
    status: String,
    completeness: Option<f64>,
}

impl Given {
    fn rows(&self) -> u64 {
        self.by_sensor.values().sum()
    }
}

fn send(sensors: &mut [Sensor], seconds: u32) {
    fleet::send_each(&mut sensors.iter_mut().collect::<Vec<_>>(), SECOND * seconds, PACE);
}

/// What is given of a query, by the starts of windows; the rows of each are in the order of sensors.
fn given(central: &Central, name: &str) -> BTreeMap<i64, Given> {
    let mut given = BTreeMap::new();
    for window in kept_windows(central.node(), name) {
        let (mut by_sensor, mut octets) = (BTreeMap::<String, u64>::new(), 0);
        let sensors: Vec<String> = rows(&window).iter().map(|row| text(&row["sensor"])).collect();
        assert!(sensors.is_sorted(), "rows are in the order of sensors: {sensors:?}");
        for (row, sensor) in rows(&window).iter().zip(sensors) {
            *by_sensor.entry(sensor).or_default() += 1;
            octets += row["octets"].as_u64().unwrap();
        }
        let (status, completeness) = (text(&window["status"]), window["completeness"].as_f64());
        given.insert(start_of(&window), Given { by_sensor, octets, status, completeness });
    }
    given
}

/// Records that were sent to each sensor, by the starts of seconds.
fn sent(sensors: &[Sensor]) -> BTreeMap<i64, BTreeMap<String, u64>> {
    let mut sent = BTreeMap::<i64, BTreeMap<String, u64>>::new();
    for sensor in sensors {
        for (second, records) in sensor.sent_by_second() {
            sent.entry(*second).or_default().insert(sensor.name().to_owned(), *records);
        }
    }
    sent
}

/// Waits until each second has these rows; gives the windows.
fn wait_for_rows(
    central: &Central,
    name: &str,
    expected: &BTreeMap<i64, BTreeMap<String, u64>>,
) -> BTreeMap<i64, Given> {
    wait_for(&format!("{name} gives the rows that were sent"), || {
        let given = given(central, name);
        let rows: BTreeMap<i64, BTreeMap<String, u64>> =
            given.iter().map(|(start, given)| (*start, given.by_sensor.clone())).collect();
        if rows == *expected { Ok(given) } else { Err(format!("{rows:?} in place of {expected:?}")) }
    })
}

#[test]
fn rows_of_sensors_are_what_was_sent_to_each() {
    let central = Central::start();
    central.add("rows", ROWS);
    central.add("one", &format!("{ROWS} WHERE sensor = 'pop-2'"));
    let mut sensors = ["pop-1", "pop-2"].map(|name| central.sensor(name));
    central.wait_until_runs("rows", 2);
    central.wait_until_runs("one", 1);
    send(&mut sensors, 8);
    let expected = sent(&sensors);
    let given = wait_for_rows(&central, "rows", &expected);
    let octets: u64 = sensors.iter().map(Sensor::octets).sum();
    assert_eq!(given.values().map(|given| given.octets).sum::<u64>(), octets);
    // At first it is not known of each what it has.
    for given in given.values().skip(2) {
        assert_eq!((given.status.as_str(), given.completeness), ("final", Some(1.0)), "{given:?}");
    }
    let of_one = expected.into_iter().map(|(second, mut rows)| {
        rows.retain(|sensor, _| sensor == "pop-2");
        (second, rows)
    });
    wait_for_rows(&central, "one", &of_one.collect());
    let best = format!("{ROWS} ORDER BY octets LIMIT 3");
    let refused = central.node().ask(&["queries", "add", "best", &best]);
    assert!(refused.stderr.contains("the best of all rows are known when"), "{}", refused.stderr);
}

#[test]
fn of_rows_a_sensor_sends_no_more_than_it_may_and_says_how_many_are_missing() {
    const MOST: u64 = 100;
    let central = Central::start();
    let most = MOST.to_string();
    let added = central.node().ask(&["queries", "add", "--rows-per-second-max", &most, "rows", ROWS]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let mut sensors = ["pop-1", "pop-2"].map(|name| central.sensor(name));
    central.wait_until_runs("rows", 2);
    send(&mut sensors, 8);
    let sent = sent(&sensors);
    let mut expected = sent.clone();
    expected.values_mut().flat_map(BTreeMap::values_mut).for_each(|records| *records = MOST.min(*records));
    let given = wait_for_rows(&central, "rows", &expected);
    for (start, given) in given.iter().skip(2) {
        let all: u64 = sent[start].values().sum();
        let part = given.rows() as f64 / all as f64;
        assert!(given.completeness.is_some_and(|told| (told - part).abs() < 1e-6), "{given:?} of {all}");
    }
    let beyond = |records: &u64| records.saturating_sub(MOST);
    let beyond: u64 = sensors[0].sent_by_second().values().map(beyond).sum();
    wait_for("the sensor counts them", || {
        let status = json(&sensors[0].node().ask(&["status", "--format", "json"]));
        let forwarded = &status["forwarded"][0];
        if forwarded["dropped"] == beyond { Ok(()) } else { Err(format!("{beyond}: {forwarded}")) }
    });
    wait_for("the aggregator says so of each sensor", || {
        let shown = query(central.node(), "rows").to_string();
        let told = shown.matches("were more than the 100 rows or").count();
        if told == 2 { Ok(()) } else { Err(shown) }
    });
    let shown = central.node().ask(&["queries", "show", "rows"]);
    assert!(shown.success().contains("were more than the 100 rows or"), "{}", shown.text());
}

#[test]
fn rows_of_a_sensor_that_is_killed_come_once_and_what_is_lost_is_told() {
    let central = Central::start();
    central.add("rows", ROWS);
    let mut sensors = ["pop-1", "pop-2"].map(|name| central.sensor(name));
    central.wait_until_runs("rows", 2);
    send(&mut sensors, 5);
    sensors[1].kill();
    send(&mut sensors[..1], 3);
    sensors[1].restart(&central);
    central.wait_until_runs("rows", 2);
    send(&mut sensors, 5);
    let (sent, most) = (sent(&sensors), sensors[1].sent_in(2 * SECOND));
    wait_for("what was sent is there, but for what the killed one lost", || {
        let (given, mut lost) = (given(&central, "rows"), 0);
        for (start, records) in &sent {
            let given = given.get(start).ok_or_else(|| format!("nothing at {start}: {given:?}"))?;
            for (sensor, records) in records {
                let rows = given.by_sensor.get(sensor).copied().unwrap_or_default();
                assert!(rows <= *records, "twice at {start}: {given:?} of {records} of {sensor}");
                let is_told = rows == *records || given.completeness.is_none_or(|part| part < 1.0);
                assert!(is_told, "not told at {start}: {given:?} of {records} of {sensor}");
                lost += records - rows;
            }
        }
        if lost <= most { Ok(()) } else { Err(format!("{lost} are lost, {most} came in two seconds")) }
    });
}

//! Sensors and an aggregator, as processes on this machine: what they give together equals what was sent, to the record and
//! the window, whatever dies meanwhile.
//!
//! Exporters of NetFlow v5 put the time of each datagram into its head, and number their flows. So it is known of each
//! record which window it is of, and a record that is missing is told.

mod chaos;
mod fleet;
mod rows;

use super::metrics;
use super::node::{http, json, query};
use super::psql::{has_psql, port_of, psql, refused};
use fleet::{Central, Given, SECOND, Sensor, WINDOW, sums};
use harness::tapline;
use harness::waiting::wait_for;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Records of each sensor, and their octets, by windows.
const BY_SENSOR: &str = "SELECT sensor, count(*) AS records, sum(octets) AS octets FROM flows \
                         GROUP BY sensor, tumble('2 seconds')";
const ALL: &str = "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('2 seconds')";

/// Sends to all of them for so long, as a router does that is busy.
fn send(sensors: &mut [Sensor], seconds: u32) {
    fleet::send(&mut sensors.iter_mut().collect::<Vec<_>>(), SECOND * seconds);
}

/// Waits until a query gives for each window what was sent; gives the windows.
fn wait_for_truth(central: &Central, name: &str, sensors: &[Sensor]) -> BTreeMap<i64, Given> {
    wait_for(&format!("{name} gives what was sent"), || {
        let given = central.given(name);
        let sent = sums(sensors);
        // The last one closes when time has gone on.
        let records: BTreeMap<i64, u64> =
            given.iter().map(|(start, given)| (*start, given.records)).collect();
        if records == sent { Ok(given) } else { Err(format!("{records:?} in place of {sent:?}")) }
    })
}

#[test]
fn a_statement_of_psql_runs_on_the_sensors_that_it_names_and_ends_with_its_cursor() {
    if !has_psql() {
        return;
    }
    let central = Central::start();
    let mut sensors = ["pop-1", "pop-2", "lab"].map(|name| central.sensor(name));
    central.add("all", ALL);
    central.wait_until_runs("all", 3);
    let port = port_of(central.node());
    let cursor =
        format!("BEGIN; DECLARE c CURSOR FOR {BY_SENSOR} ON SENSORS 'pop-*'; FETCH 4 FROM c; COMMIT");
    let asking = std::thread::spawn(move || psql(port, &cursor));
    while !asking.is_finished() {
        send(&mut sensors, 1);
    }
    let given = asking.join().unwrap();
    assert!(given.contains("pop-1") && given.contains("pop-2") && !given.contains("lab"), "{given}");
    wait_for("nothing but the query runs on its sensors", || {
        let status = json(&sensors[0].node().ask(&["status", "--format", "json"]));
        let runs = status["forwarded"].as_array().map_or(0, Vec::len);
        if runs == 1 { Ok(()) } else { Err(status.to_string()) }
    });
    let told = refused(port, "SELECT * FROM \"all\" ON SENSORS 'pop-*'");
    assert!(told.contains("this statement reads none"), "{told}");
}

#[test]
fn sensors_give_together_what_was_sent_to_each() {
    let central = Central::start();
    central.add("by_sensor", BY_SENSOR);
    let mut sensors = ["pop-1", "pop-2", "lab"].map(|name| central.sensor(name));
    central.wait_until_runs("by_sensor", 3);
    send(&mut sensors, 5);
    // One that is added later runs everywhere within a second, and sees all from there on.
    central.add("later", ALL);
    central.add("pops", &format!("{BY_SENSOR} ON SENSORS 'pop-*'"));
    central.wait_until_runs("later", 3);
    central.wait_until_runs("pops", 2);
    let joined = fleet::window_of(fleet::now_ns()) + WINDOW.as_nanos() as i64;
    send(&mut sensors, 7);
    let given = wait_for_truth(&central, "by_sensor", &sensors);
    assert!(given.values().skip(1).all(|given| given.completeness == Some(1.0)), "{given:?}");
    let of_sensors = sensors.iter().map(|sensor| (sensor.name().to_owned(), sensor.octets()));
    assert_eq!(central.octets_by_sensor("by_sensor"), of_sensors.collect::<BTreeMap<_, _>>());
    let sent: BTreeMap<i64, u64> = sums(&sensors).into_iter().filter(|(start, _)| *start >= joined).collect();
    let later = central.given("later");
    assert!(sent.iter().all(|(start, records)| later[start].records == *records), "{later:?}: {sent:?}");
    let names: BTreeSet<String> = central.octets_by_sensor("pops").into_keys().collect();
    assert_eq!(names, ["pop-1", "pop-2"].map(str::to_owned).into());
    let shown = query(central.node(), "pops");
    assert_eq!(shown["parts"].as_array().unwrap().len(), 2, "{shown}");
}

#[test]
fn nobody_waits_for_sensors_of_which_nothing_is_asked() {
    let central = Central::start();
    central.add("one", &ALL.replace("GROUP", "WHERE sensor = 'pop-1' GROUP"));
    let mut sensors = ["pop-1", "pop-2"].map(|name| central.sensor(name));
    central.wait_until_runs("one", 1);
    send(&mut sensors, 9);
    let given = wait_for_truth(&central, "one", &sensors[..1]);
    // At first it is not known of the other one that it has nothing.
    let later: Vec<_> = given.values().skip(2).map(|given| given.completeness).collect();
    assert!(!later.is_empty() && later.iter().all(|part| *part == Some(1.0)), "{given:?}");
}

#[test]
fn whoever_looks_sees_how_sensors_stand() {
    let central = Central::start();
    central.add("by_sensor", BY_SENSOR);
    let sensor = central.sensor("pop-1");
    central.wait_until_runs("by_sensor", 1);
    let sensors = wait_for("it says what it reads", || {
        let sensors = json(&central.node().ask(&["sensors", "--format", "json"]));
        if sensors[0]["sources"].as_array().is_some_and(|all| !all.is_empty()) {
            Ok(sensors)
        } else {
            Err(sensors.to_string())
        }
    });
    let pop = &sensors[0];
    assert_eq!((&pop["name"], &pop["state"]), (&"pop-1".into(), &"connected".into()), "{pop}");
    assert_eq!((&pop["lost"], &pop["queries"][0]["name"]), (&0.into(), &"by_sensor".into()), "{pop}");
    assert!(central.node().ask(&["sensors"]).success().contains("pop-1"));
    let told = central.node().ask(&["queries", "show", "by_sensor"]);
    assert!(told.success().contains("runs on     pop-1"), "{}", told.text());
    let (status, rows) =
        http(central.node(), "POST", "/api/v1/sql", r#"{"sql": "SELECT name, state FROM sensors"}"#);
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!((status, &rows["rows"][0]["state"]), (200, &"connected".into()), "{rows}");
    let node = sensor.node();
    // That something was refused is told when it was.
    let refused = "tapline_sensor_refused_records_total".to_owned();
    let documented = metrics::documented().into_iter().filter(|name| metrics::is_of_a_fleet(name));
    let documented: BTreeSet<String> = documented.filter(|name| *name != refused).collect();
    wait_for("both tell all that is documented", || {
        let told = [central.node(), node].map(|node| metrics::names(&http(node, "GET", "/metrics", "").1));
        let told: BTreeSet<String> =
            told.into_iter().flatten().filter(|name| metrics::is_of_a_fleet(name)).collect();
        if told == documented { Ok(()) } else { Err(format!("{told:?}")) }
    });
    // On its side it is told whose it is, and nobody changes what it is asked.
    assert!(
        node.ask(&["status"]).success().contains("as pop-1: connected"),
        "{}",
        node.ask(&["status"]).text()
    );
    assert!(node.ask(&["queries", "list"]).success().contains("forwarded by_sensor"));
    assert_ne!(node.ask(&["queries", "drop", "forwarded by_sensor"]).code, Some(0));
    let refused = node.ask(&["sensors", "join", "pop-2"]);
    assert!(refused.stderr.contains("this node has no sensors"), "{}", refused.stderr);
}

#[test]
fn a_sensor_that_is_killed_loses_a_second_and_says_so() {
    let central = Central::start();
    central.add("all", ALL);
    let mut sensors = ["pop-1", "pop-2", "pop-3"].map(|name| central.sensor(name));
    central.wait_until_runs("all", 3);
    send(&mut sensors, 5);
    sensors[1].kill();
    let [first, killed, third] = &mut sensors;
    fleet::send(&mut [first, third], 3 * SECOND);
    killed.restart(&central);
    central.wait_until_runs("all", 3);
    send(&mut sensors, 5);
    let sent = sums(&sensors);
    let given = wait_for("all windows are there", || {
        let given = central.given("all");
        if sent.keys().all(|start| given.contains_key(start)) { Ok(given) } else { Err(format!("{given:?}")) }
    });
    let mut lost = 0;
    for (start, records) in &sent {
        let given = &given[start];
        assert!(given.records <= *records, "twice at {start}: {given:?} of {records}");
        lost += records - given.records;
        let is_told = given.records == *records || given.completeness.is_none_or(|part| part < 1.0);
        assert!(is_told, "not told at {start}: {given:?} of {records}");
    }
    // The first window may have begun before they ran it; where the other one was away, what is missing is known.
    let partial: Vec<&i64> = sent.keys().skip(1).filter(|start| given[start].status == "partial").collect();
    assert!(partial.is_empty(), "{partial:?} are partial: {given:?}");
    let most = sensors[1].sent_in(2 * SECOND);
    assert!(lost <= most, "{lost} records are lost, and {most} came in two seconds");
}

#[test]
fn a_sensor_that_is_stopped_loses_nothing() {
    let central = Central::start();
    central.add("all", ALL);
    let mut sensors = ["pop-1", "pop-2", "pop-3"].map(|name| central.sensor(name));
    central.wait_until_runs("all", 3);
    send(&mut sensors, 4);
    sensors[2].stop();
    let [first, second, stopped] = &mut sensors;
    fleet::send(&mut [first, second], 2 * SECOND);
    stopped.restart(&central);
    central.wait_until_runs("all", 3);
    send(&mut sensors, 4);
    wait_for_truth(&central, "all", &sensors);
}

#[test]
fn an_aggregator_that_is_killed_goes_on_where_it_was() {
    let mut central = Central::start();
    central.add("all", ALL);
    let mut sensors = ["pop-1", "pop-2", "pop-3"].map(|name| central.sensor(name));
    central.wait_until_runs("all", 3);
    send(&mut sensors, 5);
    let before = central.given("all");
    central.kill();
    send(&mut sensors, 4);
    central.restart();
    send(&mut sensors, 4);
    let sent = sums(&sensors);
    // What it keeps of results in memory only is gone with it; nothing is given twice, or as something else.
    let all = wait_for("all windows are there", || {
        let mut all = before.clone();
        all.extend(central.given("all"));
        let missing = sent.keys().filter(|start| !all.contains_key(*start)).count();
        // One may have been given between the last look and the end.
        if missing <= 1 { Ok(all) } else { Err(format!("{all:?} of {sent:?}")) }
    });
    wait_for("each has what was sent", || {
        let mut all = all.clone();
        all.extend(central.given("all"));
        let other = all.iter().find(|(start, given)| sent.get(*start) != Some(&given.records));
        other.map_or(Ok(()), |(start, given)| {
            Err(format!("{given:?} at {start}, in place of {:?}", sent.get(start)))
        })
    });
}

#[test]
fn results_that_were_not_stored_when_an_aggregator_was_killed_are_stored_by_the_next_one() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("history");
    let history = format!("[history]\nfolder = \"{}\"\nflush_after = \"4s\"\n", folder.display());
    let mut central = Central::with(&history);
    central.add("all", ALL);
    let mut sensors = ["pop-1", "pop-2", "pop-3"].map(|name| central.sensor(name));
    central.wait_until_runs("all", 3);
    for _ in 0..2 {
        // Some are in files by then, others in memory only.
        send(&mut sensors, 7);
        central.kill();
        central.restart();
        central.wait_until_runs("all", 3);
    }
    send(&mut sensors, 4);
    let sent = sums(&sensors);
    let stored = wait_for("each window is stored", || {
        let stored = central.stored("all");
        let records: BTreeMap<i64, u64> =
            stored.iter().map(|(start, (records, _))| (*start, *records)).collect();
        if records == sent { Ok(stored) } else { Err(format!("{records:?} in place of {sent:?}")) }
    });
    let twice: Vec<&i64> =
        stored.iter().filter(|(_, (_, finals))| *finals > 1).map(|(start, _)| start).collect();
    assert!(twice.is_empty(), "{twice:?} are there twice");
}

#[test]
fn windows_do_not_wait_for_one_that_is_away_and_are_revised_when_it_is_back() {
    let central = Central::start();
    central.add("all", ALL);
    let mut sensors = ["pop-1", "pop-2", "pop-3"].map(|name| central.sensor(name));
    central.wait_until_runs("all", 3);
    send(&mut sensors, 4);
    // What it has received and not cut yet is with it for ten seconds.
    sensors[2].node().signal("STOP");
    let [first, second, away] = &mut sensors;
    fleet::send(&mut [first, second], 10 * SECOND);
    let given = central.given("all");
    let unsure = given.values().filter(|given| given.completeness.is_none()).count();
    assert!(unsure > 0, "windows were given without it, and say so: {given:?}");
    away.node().signal("CONT");
    send(&mut sensors, 3);
    let given = wait_for_truth(&central, "all", &sensors);
    assert!(given.values().any(|given| given.status == "revised"), "{given:?}");
}

#[test]
fn nobody_is_let_in_by_another_name_or_without_a_token() {
    let central = Central::start();
    central.add("all", ALL);
    let mut sensors = [central.sensor("pop-1")];
    central.wait_until_runs("all", 1);
    let wrong = central.stranger("pop-2", "wrong-0123456789abcdef");
    let said = wait_for("it is told why", || {
        let status = json(&wrong.node().ask(&["status", "--format", "json"]));
        status["forwards"]["reason"].as_str().map(str::to_owned).ok_or_else(|| status["forwards"].to_string())
    });
    assert!(said.contains("token"), "{said}");
    // The token of another sensor is that of another sensor.
    let thief = central.stranger("pop-3", &sensors[0].token());
    let said = wait_for("it is told whose it is", || {
        let status = json(&thief.node().ask(&["status", "--format", "json"]));
        status["forwards"]["reason"].as_str().map(str::to_owned).ok_or_else(|| status["forwards"].to_string())
    });
    assert!(said.contains("pop-1"), "{said}");
    send(&mut sensors, 4);
    wait_for_truth(&central, "all", &sensors);
    let known = json(&central.node().ask(&["sensors", "--format", "json"]));
    let connected = known.as_array().unwrap().iter().filter(|sensor| sensor["state"] == "connected").count();
    assert_eq!(connected, 1, "{known}");
}

#[test]
fn of_two_of_one_name_one_counts() {
    let central = Central::start();
    central.add("all", ALL);
    let mut sensors = [central.sensor("pop-1")];
    central.wait_until_runs("all", 1);
    send(&mut sensors, 3);
    let mut twin = central.stranger("pop-1", &sensors[0].token());
    wait_for("one of them is told to end", || {
        let told = [sensors[0].node().told(), twin.node().told()];
        let is_fenced = |told: &String| told.contains("nothing is forwarded any more");
        if told.iter().any(is_fenced) { Ok(()) } else { Err(told.concat()) }
    });
    let from = fleet::window_of(fleet::now_ns()) + WINDOW.as_nanos() as i64;
    fleet::send(&mut [&mut sensors[0], &mut twin], 6 * SECOND);
    // A window of both would have more than either was sent.
    let mut most: BTreeMap<i64, u64> = BTreeMap::new();
    for (start, records) in sensors[0].sent().iter().chain(twin.sent()) {
        let known = most.entry(*start).or_default();
        *known = (*known).max(*records);
    }
    most.retain(|start, _| *start >= from);
    let given = wait_for("windows of one of them are there", || {
        let given = central.given("all");
        if most.keys().all(|start| given.contains_key(start)) { Ok(given) } else { Err(format!("{given:?}")) }
    });
    assert!(most.iter().all(|(start, most)| given[start].records <= *most), "{given:?} of {most:?}");
}

#[test]
fn three_levels_give_what_was_sent_though_one_in_the_middle_dies() {
    let central = Central::start();
    central.add("by_sensor", BY_SENSOR);
    central.add("pops", &format!("{BY_SENSOR} ON SENSORS 'pop-*'"));
    let mut tiers = ["north", "south"].map(|name| central.tier(name));
    let [north, south] = &tiers;
    let mut sensors =
        [north.sensor("pop-1"), north.sensor("lab-1"), south.sensor("pop-2"), south.sensor("lab-2")];
    central.wait_until_runs("by_sensor", 4);
    central.wait_until_runs("pops", 2);
    send(&mut sensors, 5);
    tiers[0].kill();
    send(&mut sensors, 4);
    tiers[0].restart();
    central.wait_until_runs("by_sensor", 4);
    send(&mut sensors, 5);
    wait_for_truth(&central, "by_sensor", &sensors);
    let of_sensors = sensors.iter().map(|sensor| (sensor.name().to_owned(), sensor.octets()));
    assert_eq!(central.octets_by_sensor("by_sensor"), of_sensors.collect::<BTreeMap<_, _>>());
    let pops = wait_for("the others are not asked", || {
        let names: BTreeSet<String> = central.octets_by_sensor("pops").into_keys().collect();
        if names.len() == 2 { Ok(names) } else { Err(format!("{names:?}")) }
    });
    assert_eq!(pops, ["pop-1", "pop-2"].map(str::to_owned).into());
}

#[test]
fn whoever_looks_sees_through_whom_sensors_come() {
    let central = Central::start();
    central.add("all", ALL);
    let mut tier = central.tier("north");
    let _sensors = ["pop-1", "pop-2"].map(|name| tier.sensor(name));
    central.wait_until_runs("all", 2);
    let ways = |central: &Central| -> BTreeMap<String, (Value, Value)> {
        let sensors = json(&central.node().ask(&["sensors", "--format", "json"]));
        let of = |one: &Value| (one["through"].clone(), one["state"].clone());
        let named = |one: &Value| (one["name"].as_str().unwrap().to_owned(), of(one));
        sensors.as_array().unwrap().iter().map(named).collect()
    };
    let connected = |through: Value| (through, Value::from("connected"));
    let of_pops = ["pop-1", "pop-2"].map(|name| (name.to_owned(), connected("north".into())));
    let mut expected = BTreeMap::from(of_pops);
    expected.insert("north".to_owned(), connected(Value::Null));
    assert_eq!(ways(&central), expected);
    let told = tier.node().ask(&["status"]).success().to_owned();
    assert!(told.contains("as north: connected"), "{told}");
    assert!(tier.node().ask(&["queries", "list"]).success().contains("forwarded all"));
    let refused = tier.node().ask(&["queries", "add", "own", ALL]);
    assert!(refused.stderr.contains("add the query to the aggregator at"), "{}", refused.stderr);
    let refused = central.node().ask(&["sensors", "rest", "pop-1"]);
    assert!(refused.stderr.contains("comes here through `north`"), "{}", refused.stderr);
    tier.kill();
    wait_for("all are away", || {
        let ways = ways(&central);
        if ways.values().all(|(_, state)| state == "away") { Ok(()) } else { Err(format!("{ways:?}")) }
    });
}

#[test]
fn an_aggregator_reads_nothing_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (file, state) = (folder.path().join("node.toml"), folder.path().join("state"));
    let text = format!(
        "[node]\nstate = \"{}\"\n[aggregator]\nlisten = \"127.0.0.1:0\"\n[[source]]\nlisten = \"udp://127.0.0.1:0\"\n",
        state.display()
    );
    std::fs::write(&file, text).unwrap();
    let refused = tapline(&["run", "--api", "127.0.0.1:0", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("an aggregator reads nothing by itself"), "{}", refused.stderr);
}

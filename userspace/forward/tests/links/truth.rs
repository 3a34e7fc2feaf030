//! What sensors had is what is taken, each once, whatever becomes of links and aggregators.

use crate::proxy::Proxy;
use crate::scene::{
    HALF, Results, WIDTH_NS, begin_ns, cut, options, part, sensor, start, through, upstream, wait,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tapline_delivery::{Fingerprint, HalfId, HalfSpec, SensorName};
use tapline_forward::Sender;

const SENSORS: u64 = 3;
const CUTS: u64 = 60;
const NUMBERS: u64 = 20;

/// Cuts of a sensor: ten to a pane, each with a number of its own for each row.
fn send(sender: &Sender, of: u64, begin: i64, mut between: impl FnMut(u64)) {
    for number in 0..CUTS {
        let pane = (number / 10) as i64;
        let numbers: Vec<u64> = (0..NUMBERS).map(|row| (of << 32) + number * NUMBERS + row).collect();
        let watermark = begin + (pane + i64::from(number % 10 == 9)) * WIDTH_NS;
        cut(sender, vec![part(begin, pane, &numbers, watermark)], number.to_le_bytes().to_vec());
        between(number);
    }
}

fn truth() -> BTreeSet<u64> {
    (0..SENSORS).flat_map(|of| (0..CUTS * NUMBERS).map(move |number| (of << 32) + number)).collect()
}

/// Sends all that a sensor has, over links that are cut.
fn be_cut_off(proxy: &Proxy, of: u64, begin: i64, place: &Path) {
    let sender = through(proxy, &format!("pop-{of}"), place);
    send(&sender, of, begin, |number| {
        thread::sleep(Duration::from_millis(20));
        if number % 15 == of {
            proxy.cut();
        }
    });
    wait("all is acknowledged", || sender.status().acknowledged == CUTS);
    let status = sender.status();
    assert_eq!((status.lost, status.lag_ns, status.disk_trouble), (0, 0, None));
    assert!(status.connected_since_ns.is_some() && status.octets_sent > 1000);
    assert_eq!(status.version.as_deref(), Some("1.2.3"));
}

#[test]
fn links_are_cut_slow_and_said_again() {
    let folder = tempfile::tempdir().unwrap();
    let results = Results::default();
    let receiver = start(options(), &folder.path().join("hub"), &results).unwrap();
    let (proxy, begin) = (Proxy::new(), begin_ns());
    proxy.lead(Some(receiver.address()));
    proxy.delay(Duration::from_millis(2));
    thread::scope(|scope| {
        for of in 0..SENSORS {
            let (proxy, place) = (proxy.clone(), folder.path().join(of.to_string()));
            scope.spawn(move || be_cut_off(&proxy, of, begin, &place));
        }
    });
    wait("all is taken", || results.0.lock().unwrap().numbers() == truth());
    let before = receiver.sensors();
    assert!(proxy.say_again() > 3);
    wait("what is said again is seen", || {
        receiver.sensors().iter().map(|sensor| sensor.seen).sum::<u64>()
            > before.iter().map(|sensor| sensor.seen).sum()
    });
    thread::sleep(Duration::from_millis(1500));
    let taken = results.0.lock().unwrap();
    assert_eq!((taken.numbers(), taken.missing()), (truth(), 0));
    let sensors = receiver.sensors();
    assert_eq!(sensors.iter().map(|sensor| sensor.taken).collect::<Vec<_>>(), [CUTS; SENSORS as usize]);
    assert!(sensors.iter().all(|sensor| sensor.version == "1.2.3" && sensor.lag_ns > Some(0)));
    assert_eq!(receiver.status().ended, None);
}

#[test]
fn aggregators_come_and_go_and_take_each_others_place() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, proxy, begin) = (folder.path().join("hub"), Proxy::new(), begin_ns());
    let results = Results::default();
    let mut receiver = Some(start(options(), &hub, &results).unwrap());
    proxy.lead(receiver.as_ref().map(tapline_forward::Receiver::address));
    let senders: Vec<_> = (0..SENSORS)
        .map(|of| through(&proxy, &format!("pop-{of}"), &folder.path().join(of.to_string())))
        .collect();
    let mut fenced = vec![];
    for (of, sender) in (0..).zip(&senders) {
        send(sender, of, begin, |number| match number % 20 {
            // It ends, and another one comes later.
            7 => {
                proxy.lead(None);
                drop(receiver.take());
            }
            9 => {
                receiver = Some(start(options(), &hub, &results).unwrap());
                proxy.lead(receiver.as_ref().map(tapline_forward::Receiver::address));
            }
            // Another one takes over while the one before lives.
            15 => {
                let next = start(options(), &hub, &results).unwrap();
                proxy.lead(Some(next.address()));
                fenced.extend(receiver.replace(next));
            }
            _ => thread::sleep(Duration::from_millis(30)),
        });
    }
    wait("all is acknowledged", || senders.iter().all(|sender| sender.status().lag_ns == 0));
    wait("all is taken", || results.0.lock().unwrap().numbers() == truth());
    for before in fenced {
        wait("the one before ends", || before.status().ended.is_some());
        let ended = before.status().ended.unwrap();
        assert!(ended.contains("another process") && ended.contains("ends"), "{ended}");
    }
    assert_eq!(receiver.unwrap().status().ended, None);
    assert!(results.0.lock().unwrap().ended.is_some());
}

#[test]
fn what_is_assigned_and_reported_is_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = start(options(), &folder.path().join("hub"), &Results::default()).unwrap();
    receiver.assign(b"first".to_vec()).unwrap();
    receiver.assign(b"second".to_vec()).unwrap();
    let told = Results::default();
    let to = upstream(format!("http://{}", receiver.address()));
    let plan = sensor("pop-1", to, &folder.path().join("pop-1"));
    let (sender, positions) = Sender::start(plan, Box::new(told.clone())).unwrap();
    assert_eq!(positions, None);
    sender.report(b"well".to_vec()).unwrap();
    wait("it is told what to run", || told.0.lock().unwrap().assigned == b"second");
    receiver.assign(b"third".to_vec()).unwrap();
    wait("it is told what to run then", || told.0.lock().unwrap().assigned == b"third");
    wait("its report comes", || receiver.sensors().first().is_some_and(|sensor| sensor.report == b"well"));
    sender.report(b"not so well".to_vec()).unwrap();
    wait("its next one comes", || {
        receiver.sensors().first().is_some_and(|sensor| sensor.report == b"not so well")
    });
    wait("its clock is known", || receiver.sensors().first().is_some_and(|sensor| sensor.clock.is_some()));
    let clock = receiver.sensors().first().unwrap().clock.unwrap();
    assert!(clock.ahead_ns.abs() < 1_000_000_000 && clock.uncertainty_ns < 1_000_000_000, "{clock:?}");
    assert!(sender.report(vec![0; 600_000]).unwrap_err().contains("say less"));
    assert!(receiver.assign(vec![0; 4 << 20]).unwrap_err().contains("let fewer queries run"));

    // A half that is added is taken from then on, one that is dropped is not known.
    let (begin, other) = (begin_ns(), HalfId(9));
    let spec = HalfSpec { fingerprint: Fingerprint(4), width_ns: WIDTH_NS, sensors: None };
    receiver.add_half(other, spec);
    let of_half = |half| {
        let (head, payload) = part(begin, 0, &[1], begin);
        vec![(tapline_delivery::PartHead { half, ..head }, payload)]
    };
    cut(&sender, of_half(other), vec![]);
    wait("it is taken", || receiver.sensors().first().is_some_and(|sensor| sensor.taken == 1));
    receiver.drop_half(other);
    receiver.drop_half(HALF);
    cut(&sender, of_half(other), vec![]);
    wait("it is refused", || sender.status().refused.get("unknown_half") == Some(&1));
    wait("it is counted", || {
        receiver.sensors().first().is_some_and(|sensor| sensor.refused.get("unknown_half") == Some(&1))
    });
    receiver.rest(SensorName::new("pop-1"));
    assert_eq!(receiver.status().links, 1);
}

#[test]
fn a_copy_of_a_sensor_takes_its_place_and_the_one_before_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (results, begin) = (Results::default(), begin_ns());
    let receiver = start(options(), &folder.path().join("hub"), &results).unwrap();
    let url = format!("http://{}", receiver.address());
    let (one, other, told) = (folder.path().join("one"), folder.path().join("other"), Results::default());
    let begun = |place: &Path, told: &Results| {
        Sender::start(sensor("pop-1", upstream(url.clone()), place), Box::new(told.clone())).unwrap().0
    };
    let first = begun(&one, &told);
    cut(&first, vec![part(begin, 0, &[1], begin)], vec![1]);
    wait("it is acknowledged", || first.status().acknowledged == 1);
    fs::create_dir(&other).unwrap();
    for entry in fs::read_dir(&one).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, other.join(from.file_name().unwrap())).unwrap();
    }
    let second = begun(&other, &Results::default());
    wait("the one before ends", || told.0.lock().unwrap().ended.is_some());
    let why = told.0.lock().unwrap().ended.clone().unwrap();
    assert!(why.contains("an older process, or a copy of it, still runs"), "{why}");
    let not_kept = first.cut(vec![part(begin, 0, &[2], begin)], vec![2]).unwrap_err();
    assert_eq!((not_kept.why, not_kept.parts.len()), (why.clone(), 1));
    assert_eq!(first.status().ended, Some(why));
    cut(&second, vec![part(begin, 0, &[3], begin + WIDTH_NS)], vec![3]);
    wait("the copy is listened to", || results.0.lock().unwrap().numbers().into_iter().eq([1, 3]));
    assert_eq!(results.0.lock().unwrap().missing(), 0);
}

//! Outlets before sinks that come and go.

use super::*;
use crate::test_results::{origin, result};
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_record::EventTime;
use tapline_sources::SystemClock;

/// Notes what it takes, unless it is told not to.
#[derive(Clone, Default)]
struct Notes {
    taken: Arc<Mutex<Vec<String>>>,
    numbers: Arc<Mutex<Vec<i64>>>,
    is_away: Arc<AtomicBool>,
}

impl Sink for Notes {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        if parcel.origin.name == "never" {
            return Err(Refusal::Never("it is never taken".to_owned()));
        }
        if self.is_away.load(Ordering::Relaxed) {
            return Err(Refusal::Later("it is away".to_owned()));
        }
        self.taken.lock().unwrap().push(parcel.origin.name.clone());
        self.numbers.lock().unwrap().push(parcel.id.number);
        Ok(())
    }

    fn is_watching(&self) -> bool {
        true
    }

    fn know(&mut self, known: &Known) {
        self.taken.lock().unwrap().push(format!("known at {}", known.at.0));
    }
}

fn outlet(notes: &Notes, results_max: usize) -> Outlet {
    telling(notes, results_max, Arc::new(|_, _| {}))
}

fn telling(notes: &Notes, results_max: usize, told: Told) -> Outlet {
    started(Box::new(notes.clone()), results_max, told)
}

fn started(sink: Box<dyn Sink>, results_max: usize, told: Told) -> Outlet {
    let limits = QueueLimits { results_max, octets_max: 1 << 20 };
    let options = OutletOptions {
        name: "notes".to_owned(),
        kind: "test",
        wanted: Box::new(|origin: &Origin| origin.name != "unwanted"),
        limits,
        clock: Arc::new(SystemClock),
        told,
    };
    Outlet::start(options, sink).unwrap()
}

fn wait(outlet: &Outlet, is_so: impl Fn(&OutletStatus) -> bool) {
    let begun = Instant::now();
    while !is_so(&outlet.status()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", outlet.status());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn results_come_in_their_order_and_unwanted_ones_do_not() {
    let notes = Notes::default();
    let outlet = outlet(&notes, 10);
    for name in ["a", "unwanted", "b", "never", "c"] {
        outlet.take(&origin(name), &result(0, Status::Final));
    }
    outlet.take(&origin("a"), &result(0, Status::Early));
    outlet.finish();
    assert_eq!(*notes.taken.lock().unwrap(), ["a", "b", "c"]);
    assert_eq!(*notes.numbers.lock().unwrap(), [1, 2, 4]);
    let status = outlet.status();
    assert_eq!((status.given, status.waiting), (4, 0));
    assert_eq!(status.lost, BTreeMap::from([("never".to_owned(), 1)]));
}

/// Stores results, and watches over nothing.
struct Stores(Notes);

impl Sink for Stores {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        self.0.take(parcel)
    }
}

#[test]
fn only_whoever_watches_over_alarms_looks_again() {
    let (watches, stores) = (Notes::default(), Notes::default());
    let watching = outlet(&watches, 10);
    let storing = started(Box::new(Stores(stores.clone())), 10, Arc::new(|_, _| {}));
    for outlet in [&watching, &storing] {
        outlet.take(&origin("a"), &result(0, Status::Final));
        outlet.look_again(&origin("again"), &result(0, Status::Final));
        outlet.finish();
    }
    assert_eq!(*watches.taken.lock().unwrap(), ["a", "again"]);
    assert_eq!(*stores.taken.lock().unwrap(), ["a"]);
}

#[test]
fn what_is_known_comes_in_its_place_among_results() {
    let notes = Notes::default();
    let outlet = outlet(&notes, 10);
    let know = |at| outlet.know(&Arc::new(Known { at: EventTime(at), queries: vec![] }));
    know(1);
    let begun = Instant::now();
    while notes.taken.lock().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(5));
    }
    notes.is_away.store(true, Ordering::Relaxed);
    outlet.take(&origin("a"), &result(0, Status::Final));
    know(2);
    know(3);
    outlet.take(&origin("b"), &result(0, Status::Final));
    wait(&outlet, |status| status.state == OutletState::Failing("it is away".to_owned()));
    notes.is_away.store(false, Ordering::Relaxed);
    wait(&outlet, |status| status.state == OutletState::Running && status.waiting == 0);
    outlet.finish();
    let taken = notes.taken.lock().unwrap();
    // The second one may have been forgotten for the third.
    let taken: Vec<&String> = taken.iter().filter(|taken| *taken != "known at 2").collect();
    assert_eq!(taken, ["known at 1", "a", "known at 3", "b"]);
}

#[test]
fn what_has_no_room_is_lost_and_the_rest_comes_when_the_sink_is_back() {
    let notes = Notes::default();
    notes.is_away.store(true, Ordering::Relaxed);
    let outlet = outlet(&notes, 3);
    (0..5).for_each(|start| outlet.take(&origin("a"), &result(start, Status::Final)));
    wait(&outlet, |status| status.state == OutletState::Failing("it is away".to_owned()));
    let status = outlet.status();
    assert_eq!((status.given, status.waiting, status.lost["a"]), (5, 3, 2));
    notes.is_away.store(false, Ordering::Relaxed);
    wait(&outlet, |status| status.state == OutletState::Running && status.waiting == 0);
    assert_eq!(notes.taken.lock().unwrap().len(), 3);
    notes.is_away.store(true, Ordering::Relaxed);
    outlet.take(&origin("b"), &result(0, Status::Final));
    outlet.finish();
    let status = outlet.status();
    assert_eq!((status.given, status.waiting, status.lost["b"]), (6, 0, 1));
    outlet.take(&origin("b"), &result(0, Status::Final));
    assert_eq!(outlet.status().lost["b"], 2, "nobody takes it any more");
}

#[test]
fn what_is_lost_at_the_end_is_told() {
    let (notes, said) = (Notes::default(), Arc::new(Mutex::new(vec![])));
    notes.is_away.store(true, Ordering::Relaxed);
    let ears = Arc::clone(&said);
    let told = move |_: Turn, what: &str| ears.lock().unwrap().push(what.to_owned());
    let outlet = telling(&notes, 10, Arc::new(told));
    (0..2).for_each(|start| outlet.take(&origin("a"), &result(start, Status::Final)));
    outlet.finish();
    let said = said.lock().unwrap();
    let expected = "2 results are lost, which had no room or could not be written";
    assert_eq!(said.last().map(String::as_str), Some(expected), "{said:?}");
}

//! Alarms of rows that come and go, before whoever is told.

use super::*;
use crate::alert::{Comparison, Condition};
use crate::test_results::{self, alert, result};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_operators::Status;

const SECOND: i64 = 1_000_000_000;

/// Notes what it is told, unless it is away.
#[derive(Clone, Default)]
struct Notes {
    told: Arc<Mutex<Vec<String>>>,
    is_away: Arc<AtomicBool>,
}

impl Tell for Notes {
    fn tell(&mut self, notice: &Notice) -> Result<(), Refusal> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(Refusal::Later("it is away".to_owned()));
        }
        self.told.lock().unwrap().push(format!("{} {}", notice.query, notice.state.name()));
        Ok(())
    }

    fn tries_max(&self) -> u32 {
        u32::MAX
    }
}

fn sink(notes: &Notes, file: Option<&Path>) -> AlertSink {
    with_memory(notes, AlertMemory { file: file.map(Path::to_owned), comes_again: false })
}

fn with_memory(notes: &Notes, memory: AlertMemory) -> AlertSink {
    let audience = Audience::Told { name: "pager".to_owned(), teller: Box::new(notes.clone()), rows_max: 10 };
    AlertSink::new(audience, memory, Arc::new(|_, _| {}))
}

/// What shows all alarms, and keeps them here.
fn board(file: Option<&Path>) -> AlertSink {
    let memory = AlertMemory { file: file.map(Path::to_owned), comes_again: false };
    AlertSink::showing(memory, Arc::new(|_, _| {}))
}

/// A query of this name, with an alert on all of its rows.
fn origin(name: &str) -> Arc<Origin> {
    with_alerts(name, vec![alert(&["pager"])])
}

fn with_alerts(name: &str, alerts: Vec<Alert>) -> Arc<Origin> {
    let alerts = alerts.into_iter().map(Arc::new).collect();
    Arc::new(Origin { alerts, ..Origin::clone(&test_results::origin(name)) })
}

fn parcel(name: &str, second: i64) -> Parcel {
    Parcel { origin: origin(name), ..test_results::parcel(name, second) }
}

/// What a board shows: keys, and whether they fire.
fn shown(sink: &AlertSink) -> Vec<(String, bool)> {
    let board = sink.board().unwrap();
    let board = board.lock().unwrap();
    board.iter().map(|firing| (firing.condition.clone(), firing.ended.is_none())).collect()
}

/// How many alarms fire.
fn firing(sink: &AlertSink) -> usize {
    sink.alarms.firing().len()
}

/// A row of the query in the window of this second.
fn take(sink: &mut AlertSink, query: &str, second: i64) {
    let given = EventTime((second + 1) * SECOND);
    let parcel = Parcel { given, ..parcel(query, second) };
    sink.take(&parcel).unwrap();
    sink.tend(given).unwrap();
}

/// All windows of this query that end by this second have passed; nothing else runs.
fn know(sink: &mut AlertSink, query: &str, second: i64) {
    let at = EventTime(second * SECOND + 1);
    let passed = Passed::Until(EventTime(second * SECOND));
    sink.know(&Known { at, queries: vec![(origin(query), passed)] });
    sink.tend(at).unwrap();
}

#[test]
fn an_alarm_fires_once_and_is_over_when_windows_pass_without_rows() {
    let notes = Notes::default();
    let mut sink = sink(&notes, None);
    (0..5).for_each(|second| take(&mut sink, "sweep", second));
    know(&mut sink, "sweep", 6);
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing"]);
    assert_eq!(firing(&sink), 1);
    know(&mut sink, "sweep", 7);
    take(&mut sink, "sweep", 9);
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing", "sweep resolved", "sweep firing"]);
    // The window of this second says by itself that none came in between.
    take(&mut sink, "sweep", 20);
    assert_eq!(notes.told.lock().unwrap()[3..], ["sweep resolved", "sweep firing"]);
    know(&mut sink, "another", 21);
    assert_eq!(notes.told.lock().unwrap()[5..], ["sweep resolved"], "it runs no more");
    assert_eq!(firing(&sink), 0);
}

/// The window of this second is revised at that one, and has a row.
fn revise(sink: &mut AlertSink, second: i64, at: i64) {
    let given = EventTime(at * SECOND);
    let parcel = Parcel { given, result: result(second, Status::Revised), ..parcel("sweep", second) };
    sink.take(&parcel).unwrap();
    sink.tend(given).unwrap();
}

#[test]
fn a_window_that_is_revised_long_afterwards_is_told_but_changes_no_alarm() {
    let notes = Notes::default();
    let mut sink = sink(&notes, None);
    take(&mut sink, "sweep", 0);
    know(&mut sink, "sweep", 3);
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing", "sweep resolved"]);
    revise(&mut sink, 1, 3);
    revise(&mut sink, 0, 3);
    assert_eq!(notes.told.lock().unwrap()[2..], ["sweep revised"], "once in a cool-down");
    assert_eq!(firing(&sink), 0);
    revise(&mut sink, 2, 3);
    assert_eq!(notes.told.lock().unwrap()[3..], ["sweep firing"], "nothing later was looked at");
    (3..6).for_each(|second| take(&mut sink, "sweep", second));
    revise(&mut sink, 4, 400);
    assert_eq!(notes.told.lock().unwrap().len(), 4, "it fired then");
    revise(&mut sink, 1, 401);
    assert_eq!(notes.told.lock().unwrap()[4..], ["sweep revised"]);
    let last = sink.alarms.firing()[0].last;
    assert_eq!(last, EventTime(6 * SECOND));
}

#[test]
fn an_alarm_goes_on_while_its_source_is_away() {
    let notes = Notes::default();
    let mut sink = sink(&notes, None);
    take(&mut sink, "sweep", 0);
    let unread = vec![(origin("sweep"), Passed::Unread)];
    sink.know(&Known { at: EventTime(2 * SECOND), queries: unread });
    let unknown = vec![(origin("sweep"), Passed::Unknown)];
    sink.know(&Known { at: EventTime(900 * SECOND), queries: unknown });
    // It is back: windows closed meanwhile, which nobody saw.
    take(&mut sink, "sweep", 901);
    know(&mut sink, "sweep", 903);
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing", "sweep firing"], "it goes on for long");
    know(&mut sink, "sweep", 904);
    assert_eq!(notes.told.lock().unwrap()[2..], ["sweep resolved"]);
}

#[test]
fn what_fires_and_what_waits_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts-pager.json");
    let notes = Notes::default();
    notes.is_away.store(true, Ordering::Relaxed);
    let mut first = sink(&notes, Some(&file));
    take(&mut first, "sweep", 0);
    assert_eq!((first.held(), first.trouble()), (1, Some("it is away".to_owned())));
    assert!(first.finish(EventTime(0)).is_err() && first.lost().is_empty());
    notes.is_away.store(false, Ordering::Relaxed);
    let mut second = sink(&notes, Some(&file));
    assert_eq!(firing(&second), 1);
    take(&mut second, "sweep", 1);
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing"], "it had begun before");
    know(&mut second, "sweep", 4);
    assert_eq!(notes.told.lock().unwrap()[1..], ["sweep resolved"]);
    drop(second);
    let third = sink(&notes, Some(&file));
    assert!(third.waiting.is_empty() && firing(&third) == 0);
    fs::write(&file, "{").unwrap();
    let told = Arc::new(Mutex::new(vec![]));
    let hears = Arc::clone(&told);
    let hear = Arc::new(move |_, what: &str| hears.lock().unwrap().push(what.to_owned()));
    let opened = AlertSink::showing(AlertMemory { file: Some(file), comes_again: false }, hear);
    assert!(opened.board().is_some() && told.lock().unwrap()[0].contains("put aside"));
}

#[test]
fn nothing_is_written_while_alarms_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let [of_board, of_pager] = ["alerts.json", "alerts-pager.json"].map(|name| folder.path().join(name));
    let notes = Notes::default();
    let mut board = board(Some(&of_board));
    let mut pager = sink(&notes, Some(&of_pager));
    let names: Vec<String> = (0..100).map(|number| format!("q{number}")).collect();
    names.iter().for_each(|name| take(&mut board, name, 0));
    take(&mut pager, "sweep", 0);
    // Whoever takes them away sees when they are written.
    for file in [&of_board, &of_pager] {
        fs::remove_file(file).unwrap();
    }
    for second in 1..300 {
        let go_on = if second < 4 { 100 } else { 1 };
        names.iter().take(go_on).for_each(|name| take(&mut board, name, second));
        take(&mut pager, "sweep", second);
    }
    assert!(!of_board.exists() && !of_pager.exists());
    // The cool-down is over: somebody is told again, which is not forgotten.
    take(&mut pager, "sweep", 300);
    assert_eq!((of_pager.exists(), notes.told.lock().unwrap().len()), (true, 2));
    take(&mut board, "q0", 300);
    assert!(!of_board.exists(), "it tells nobody");
    board.finish(EventTime(301 * SECOND)).unwrap();
    let mut again = self::board(Some(&of_board));
    assert_eq!((firing(&again), again.alarms.firing()[0].last), (100, EventTime(301 * SECOND)));
    fs::remove_file(&of_board).unwrap();
    know(&mut again, "q0", 301);
    assert!(of_board.exists() && firing(&again) == 1, "the others run no more");
}

#[test]
fn a_crash_changes_nothing_of_an_alarm_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts-pager.json");
    let notes = Notes::default();
    let mut first = sink(&notes, Some(&file));
    (0..50).for_each(|second| take(&mut first, "sweep", second));
    drop(first);
    let mut second = sink(&notes, Some(&file));
    let known = second.alarms.firing().remove(0);
    assert_eq!((known.since, known.last), (EventTime(0), EventTime(SECOND)), "of when it was told");
    take(&mut second, "sweep", 50);
    know(&mut second, "sweep", 52);
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing"], "it goes on");
    know(&mut second, "sweep", 53);
    assert_eq!(notes.told.lock().unwrap()[1..], ["sweep resolved"]);
    // Without another row: it is over when it is known for so long that there is none.
    take(&mut second, "sweep", 60);
    (61..70).for_each(|number| take(&mut second, "sweep", number));
    drop(second);
    let mut third = sink(&notes, Some(&file));
    know(&mut third, "sweep", 70);
    know(&mut third, "sweep", 71);
    assert_eq!(firing(&third), 1);
    know(&mut third, "sweep", 72);
    assert_eq!((firing(&third), notes.told.lock().unwrap().len()), (0, 4));
}

#[test]
fn what_is_taken_is_known_after_a_crash_and_what_cannot_be_kept_is_unsafe() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state/alerts-pager.json");
    let notes = Notes::default();
    let mut first = sink(&notes, Some(&file));
    let taken = first.take_all(&[parcel("sweep", 0), parcel("sweep", 1)]);
    assert!(matches!(taken, (2, Ok(()))));
    assert_eq!(
        first.unsafe_since(),
        BTreeMap::from([("sweep".to_owned(), EventTime(0))]),
        "there is no folder"
    );
    fs::create_dir(folder.path().join("state")).unwrap();
    assert!(matches!(first.take_all(&[parcel("other", 2)]), (1, Ok(()))));
    assert!(first.unsafe_since().is_empty());
    // It is killed before anybody is told.
    drop(first);
    assert!(notes.told.lock().unwrap().is_empty());
    let mut second = sink(&notes, Some(&file));
    assert_eq!(firing(&second), 2);
    second.tend(EventTime(3 * SECOND)).unwrap();
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing", "other firing"]);
    assert!(
        second.take_all(&[parcel("sweep", 4)]).1.is_ok() && second.unsafe_since().is_empty(),
        "it goes on"
    );
}

#[test]
fn nobody_is_told_again_of_what_an_aggregator_gives_again_behind_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let memory = AlertMemory { file: Some(folder.path().join("alerts-pager.json")), comes_again: true };
    let notes = Notes::default();
    let mut first = with_memory(&notes, memory.clone());
    (0..3).for_each(|second| take(&mut first, "sweep", second));
    know(&mut first, "sweep", 6);
    take(&mut first, "sweep", 8);
    revise(&mut first, 6, 9);
    let before = notes.told.lock().unwrap().clone();
    assert_eq!(before, ["sweep firing", "sweep resolved", "sweep firing", "sweep revised"]);
    drop(first);
    let mut second = with_memory(&notes, memory);
    let again = |second: &mut AlertSink, of: i64, status: Status, at: i64| {
        let (given, result) = (EventTime(at * SECOND), result(of, status));
        second.take(&Parcel { given, result, ..parcel("sweep", of) }).unwrap();
        second.tend(given).unwrap();
    };
    // Within the cool-down, as it was told in the last run, too.
    again(&mut second, 6, Status::Revised, 20);
    // And each of those that fired long after it was given before.
    for of in [0, 1, 2, 8] {
        again(&mut second, of, Status::Final, 1000 + of);
    }
    assert_eq!(*notes.told.lock().unwrap(), before);
    assert_eq!(firing(&second), 1);
    // What comes behind that is looked at as ever.
    again(&mut second, 9, Status::Final, 1009);
    assert_eq!(notes.told.lock().unwrap()[before.len()..], ["sweep firing"], "it goes on for long");
    know(&mut second, "sweep", 1012);
    take(&mut second, "sweep", 1020);
    assert_eq!(notes.told.lock().unwrap()[before.len() + 1..], ["sweep resolved", "sweep firing"]);
}

#[test]
fn a_window_that_is_looked_at_again_fires_by_alerts_that_are_new() {
    let notes = Notes::default();
    let mut sink = sink(&notes, None);
    take(&mut sink, "sweep", 5);
    let above = |value: f64| {
        let text = format!("n > {value}");
        let condition = Condition::Column { place: 1, comparison: Comparison::Above, value };
        Alert { text: text.clone(), said: text, condition, ..alert(&["pager"]) }
    };
    let origin = with_alerts("sweep", vec![alert(&["pager"]), above(4.0), above(5.0)]);
    // Long behind the cool-down.
    let given = EventTime(1000 * SECOND);
    sink.take(&Parcel { origin, given, ..parcel("sweep", 5) }).unwrap();
    sink.tend(given).unwrap();
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing"; 2], "each of those that hold, once");
    assert_eq!(firing(&sink), 2);
}

#[test]
fn notices_wait_with_pauses_and_the_oldest_are_lost() {
    let notes = Notes::default();
    notes.is_away.store(true, Ordering::Relaxed);
    let mut sink = sink(&notes, None);
    take(&mut sink, "first", 0);
    assert!(sink.retry_at.is_some(), "it is left alone");
    let (origin, result) = (origin("sweep"), result(0, Status::Final));
    for number in 0..WAITING_MAX + 2 {
        let origin = Arc::new(Origin { name: format!("q{number}"), ..Origin::clone(&origin) });
        let parcel = Parcel { origin, result: Arc::clone(&result), ..parcel("sweep", 1) };
        sink.take(&parcel).unwrap();
    }
    assert_eq!((sink.held(), sink.lost().len()), (WAITING_MAX as u64, 3));
    notes.is_away.store(false, Ordering::Relaxed);
    sink.retry_at = None;
    sink.tend(EventTime(SECOND)).unwrap();
    assert_eq!((notes.told.lock().unwrap().len(), sink.trouble()), (WAITING_MAX, None));
    let late = EventTime(alarms::nanoseconds(GIVE_UP_AFTER) + 3000 * SECOND);
    notes.is_away.store(true, Ordering::Relaxed);
    take(&mut sink, "late", 1);
    sink.retry_at = None;
    sink.tend(late).unwrap();
    assert_eq!(sink.lost(), BTreeMap::from([("late".to_owned(), 1)]));
}

#[test]
fn an_alert_is_looked_at_by_the_sinks_that_it_names_and_shown_to_all() {
    let notes = Notes::default();
    let (mut pager, mut board) = (sink(&notes, None), board(None));
    let above = |value: f64, sinks: &[&str]| {
        let text = format!("n > {value}");
        let condition = Condition::Column { place: 1, comparison: Comparison::Above, value };
        Alert { text: text.clone(), said: text, condition, ..alert(sinks) }
    };
    let alerts = vec![above(4.0, &["pager"]), above(2.0, &["mail"])];
    let origin = with_alerts("sweep", alerts.clone());
    // The count of each is its second.
    for second in 0..6 {
        let parcel = Parcel { origin: Arc::clone(&origin), ..parcel("sweep", second) };
        for sink in [&mut pager, &mut board] {
            sink.take(&parcel).unwrap();
            sink.tend(parcel.given).unwrap();
        }
    }
    assert_eq!(*notes.told.lock().unwrap(), ["sweep firing"]);
    assert_eq!(shown(&board), [("n > 2".to_owned(), true), ("n > 4".to_owned(), true)]);
    let row = board.alarms.firing()[0].row.clone().unwrap();
    assert!(row.contains("192.0.2.7") && row.contains("\"n\":5"), "{row}");
    // One of them is taken away, which changes nothing of the other.
    let known = |second: i64, alerts: Vec<Alert>| {
        let passed = Passed::Until(EventTime(second * SECOND));
        Known { at: EventTime(second * SECOND), queries: vec![(with_alerts("sweep", alerts), passed)] }
    };
    for sink in [&mut pager, &mut board] {
        sink.know(&known(6, alerts[1..].to_vec()));
        sink.tend(EventTime(6 * SECOND)).unwrap();
    }
    assert_eq!(notes.told.lock().unwrap()[1..], ["sweep resolved"]);
    assert_eq!(shown(&board), [("n > 2".to_owned(), true), ("n > 4".to_owned(), false)]);
    board.know(&known(8, alerts[1..].to_vec()));
    assert_eq!(shown(&board), [("n > 2".to_owned(), false), ("n > 4".to_owned(), false)]);
    assert_eq!((board.held(), board.lost().len(), pager.board().is_some()), (0, 0, false));
}

//! Which alarms fire, and when somebody is told.
//!
//! Takes the keys of the rows of each window for which an alert holds, and how far windows are closed; gives which rows
//! are to be told, and which alarms are over. No clock is read, nothing is sent: times are arguments, in nanoseconds
//! since the epoch. Those of windows are event times; of rows without windows of time, they are when results were given.

use crate::alert::{Alert, AlertBy};
use crate::origin::{Firing, Origin};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tapline_record::EventTime;

/// Keys of an alert that are told apart; rows of others are told with them, and never alone.
const KEYS_MAX: usize = 4096;

/// What was seen of an alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fired {
    /// The start of the first window with rows.
    pub(super) since: i64,
    /// The end of the last one.
    pub(super) last: i64,
    /// When it was told last, by the clock.
    pub(super) told: i64,
    /// The newest row of it as JSON, where somebody shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<String>,
}

impl Fired {
    fn new(seen: Seen<'_>, row: Option<&String>) -> Self {
        Self { since: seen.since, last: seen.last, told: seen.given, row: row.cloned() }
    }

    /// Notes that it was seen again.
    fn go_on(&mut self, seen: Seen<'_>, row: Option<&String>) {
        self.last = self.last.max(seen.last);
        if let Some(row) = row {
            self.row = Some(row.clone());
        }
    }

    /// Whether this window of it was seen before, as behind a crash, or when another alert of its query comes. Of rows
    /// without windows of time, what was seen last is when they were given.
    const fn is_again(&self, seen: Seen<'_>) -> bool {
        seen.last <= self.last && seen.last != seen.given
    }

    /// Whether it was not told for so long; so it is when the clock was set back.
    const fn is_due(&self, seen: Seen<'_>, cool_down: i64) -> bool {
        seen.given < self.told || seen.given.saturating_sub(self.told) >= cool_down
    }

    /// Both of them.
    fn and(self, other: &Self) -> Self {
        let (since, last) = (self.since.min(other.since), self.last.max(other.last));
        Self { since, last, told: self.told.max(other.told), row: self.row }
    }
}

/// What fires by an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alarm {
    /// The query's text.
    sql: String,
    /// As the alert says it, which may be gone.
    said: String,
    by: AlertBy,
    whole: Fired,
    /// By key.
    keys: BTreeMap<String, Fired>,
    /// Since when it is known what comes, of windows and by the clock; nothing as long as an alarm of an earlier run was
    /// not heard of, or nothing is read for it.
    #[serde(skip)]
    known_since: Option<(i64, i64)>,
}

/// What fires of each query, by the text of its alert.
pub(super) type AlarmsByQuery = BTreeMap<String, BTreeMap<String, Alarm>>;

/// The rows of a result for which an alert holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// The start of their window, and its end.
    pub(super) since: i64,
    pub(super) last: i64,
    /// When they were given, by the clock.
    pub(super) given: i64,
    /// The key of each.
    pub(super) keys: &'a [String],
    /// Each of them as JSON; none where nobody shows them.
    pub(super) rows: &'a [String],
}

/// Why somebody is told of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Began,
    NewKeys,
    GoesOn,
    /// A window that is not the newest one has other rows than before.
    Revised,
}

/// What of a result is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) cause: Cause,
    /// Since when it fires.
    pub(super) since: i64,
    /// Of each row, whether it is.
    pub(super) rows: Vec<bool>,
}

/// An alarm that is over, or some keys of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over {
    /// As the alert was written, and its condition.
    pub(super) alert: String,
    pub(super) said: String,
    pub(super) by: AlertBy,
    pub(super) fired: Fired,
    pub(super) keys: Vec<(String, Fired)>,
}

/// What fires.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    pub(super) queries: AlarmsByQuery,
    /// Whether alarms, or keys of them, have come or gone; whoever keeps that takes it back. That one goes on is nothing of
    /// the kind.
    pub(super) has_news: bool,
}

impl Alarms {
    /// Notes rows of a query for which an alert holds; gives which ones are to be told.
    pub(super) fn see(&mut self, origin: &Origin, alert: &Alert, seen: Seen<'_>) -> Option<Told> {
        let cool_down = nanoseconds(alert.cool_down);
        let of_query = self.queries.entry(origin.name.clone()).or_default();
        let is_known = of_query.contains_key(&alert.text);
        let alarm =
            of_query.entry(alert.text.clone()).or_insert_with(|| Alarm::new(&origin.sql, alert, seen));
        alarm.known_since.get_or_insert((seen.last, seen.given));
        let is_again = alarm.whole.is_again(seen);
        alarm.whole.go_on(seen, seen.rows.first());
        let (mut has_new, mut rows) = (false, Vec::with_capacity(seen.keys.len()));
        for (number, key) in seen.keys.iter().enumerate() {
            let (is_new, is_due) = alarm.see_key(key, seen, (seen.rows.get(number), cool_down));
            has_new |= is_new;
            rows.push(is_due);
        }
        let cause = match (is_known, has_new) {
            (false, _) => Cause::Began,
            (true, true) => Cause::NewKeys,
            (true, false) => Cause::GoesOn,
        };
        self.has_news |= cause != Cause::GoesOn;
        let is_due = !is_again && alarm.whole.is_due(seen, cool_down);
        let is_told = match alert.by {
            AlertBy::Whole => cause != Cause::GoesOn || is_due,
            AlertBy::Key => rows.contains(&true),
        };
        if !is_told {
            return None;
        }
        alarm.whole.told = seen.given;
        let since = match alert.by {
            AlertBy::Whole => {
                rows.fill(true);
                alarm.whole.since
            }
            AlertBy::Key => alarm.since(seen.keys.iter().zip(&rows)).unwrap_or(seen.since),
        };
        Some(Told { cause, since, rows })
    }

    /// Of rows of a window that is not the newest one, which ones nobody was told of by what fires: those that did not at that
    /// time. It changes nothing.
    pub(super) fn untold(&self, query: &str, alert: &Alert, seen: Seen<'_>) -> Vec<bool> {
        let alarm = self.queries.get(query).and_then(|of_query| of_query.get(&alert.text));
        let fired = |key: &String| alarm.and_then(|alarm| alarm.keys.get(key));
        let is_told = |fired: &Fired| fired.since <= seen.since && seen.last <= fired.last;
        seen.keys.iter().map(|key| !fired(key).is_some_and(is_told)).collect()
    }

    /// Notes that nothing is read for a query: what comes meanwhile nobody sees.
    pub(super) fn lose_sight(&mut self, query: &str) {
        let of_query = self.queries.get_mut(query).into_iter().flat_map(BTreeMap::values_mut);
        of_query.for_each(|alarm| alarm.known_since = None);
    }

    /// Notes that no rows of windows that end by `until` come any more, which is so `now`; gives what is over by that.
    pub(super) fn pass(&mut self, origin: &Origin, alert: &Alert, (until, now): (i64, i64)) -> Option<Over> {
        let every = origin.every_ns.map(|every| every.saturating_mul(alert.resolve_after.into()));
        let quiet = every.unwrap_or_else(|| nanoseconds(alert.cool_down));
        let of_query = self.queries.get_mut(&origin.name)?;
        let alarm = of_query.get_mut(&alert.text)?;
        let (known_since, heard_since) = *alarm.known_since.get_or_insert((until, now));
        // Behind a restart time goes on where it was, and may be here at once, as it may be where a source is back: what
        // came meanwhile nobody saw.
        let is_heard = now >= heard_since.saturating_add(quiet);
        let is_over = |fired: &Fired| is_heard && until >= fired.last.max(known_since).saturating_add(quiet);
        let gone: Vec<(String, Fired)> = alarm.keys.extract_if(.., |_, fired| is_over(fired)).collect();
        self.has_news |= !gone.is_empty();
        if !is_over(&alarm.whole) {
            return (alarm.by == AlertBy::Key).then(|| alarm.over(&alert.text, gone)).flatten();
        }
        let alarm = of_query.remove(&alert.text)?;
        self.has_news = true;
        self.queries.retain(|_, of_query| !of_query.is_empty());
        alarm.over(&alert.text, gone)
    }

    /// Takes away what fires of a query; gives that.
    pub(super) fn forget(&mut self, query: &str) -> Vec<Over> {
        self.forget_but(query, &[])
    }

    /// The same, but for what fires by these alerts.
    pub(super) fn forget_but(&mut self, query: &str, alerts: &[&Alert]) -> Vec<Over> {
        let Some(of_query) = self.queries.get_mut(query) else { return vec![] };
        let is_gone = |text: &String, _: &mut Alarm| alerts.iter().all(|alert| alert.text != *text);
        let gone: Vec<(String, Alarm)> = of_query.extract_if(.., is_gone).collect();
        self.has_news |= !gone.is_empty();
        if of_query.is_empty() {
            self.queries.remove(query);
        }
        let over = |(text, mut alarm): (String, Alarm)| {
            let keys = std::mem::take(&mut alarm.keys).into_iter().collect();
            alarm.over(&text, keys)
        };
        gone.into_iter().filter_map(over).collect()
    }

    /// Whether what fires under this query's name is of another query.
    pub(super) fn is_of_another(&self, origin: &Origin) -> bool {
        let of_query = self.queries.get(&origin.name);
        of_query.is_some_and(|of_query| of_query.values().any(|alarm| alarm.sql != origin.sql))
    }

    /// What fires.
    pub(super) fn firing(&self) -> Vec<Firing> {
        let mut firing = vec![];
        for (query, of_query) in &self.queries {
            for (alert, alarm) in of_query {
                match alarm.by {
                    AlertBy::Whole => firing.push(shown((query, alert, &alarm.said), None, &alarm.whole)),
                    AlertBy::Key => firing.extend(
                        alarm
                            .keys
                            .iter()
                            .map(|(key, fired)| shown((query, alert, &alarm.said), Some(key), fired)),
                    ),
                }
            }
        }
        firing
    }
}

impl Alarm {
    fn new(sql: &str, alert: &Alert, seen: Seen<'_>) -> Self {
        Self {
            sql: sql.to_owned(),
            said: alert.said.clone(),
            by: alert.by,
            whole: Fired::new(seen, seen.rows.first()),
            keys: BTreeMap::new(),
            known_since: Some((i64::MIN, i64::MIN)),
        }
    }

    /// Since when the first of these keys fires that is told.
    fn since<'a>(&self, keys: impl Iterator<Item = (&'a String, &'a bool)>) -> Option<i64> {
        let told = keys.filter(|(_, is_told)| **is_told).filter_map(|(key, _)| self.keys.get(key));
        told.map(|fired| fired.since).min()
    }

    /// Notes a row of this key; says whether the key is new, and whether it is to be told of.
    fn see_key(
        &mut self,
        key: &str,
        seen: Seen<'_>,
        (row, cool_down): (Option<&String>, i64),
    ) -> (bool, bool) {
        if let Some(fired) = self.keys.get_mut(key) {
            let is_again = fired.is_again(seen);
            fired.go_on(seen, row);
            // Several rows of a result may have one key.
            let is_due = fired.told == seen.given || (!is_again && fired.is_due(seen, cool_down));
            if is_due {
                fired.told = seen.given;
            }
            return (false, is_due);
        }
        let has_room = self.keys.len() < KEYS_MAX;
        if has_room {
            self.keys.insert(key.to_owned(), Fired::new(seen, row));
        }
        (has_room, has_room)
    }

    /// What is told where it is over, or these keys are: of keys that are alarms of their own, when they fired, and nothing
    /// where none of them did.
    fn over(&self, alert: &str, keys: Vec<(String, Fired)>) -> Option<Over> {
        let fired = match self.by {
            AlertBy::Whole => Some(self.whole.clone()),
            AlertBy::Key => keys.iter().map(|(_, fired)| fired.clone()).reduce(|all, one| all.and(&one)),
        };
        let (alert, said) = (alert.to_owned(), self.said.clone());
        Some(Over { alert, said, by: self.by, fired: fired?, keys })
    }
}

impl Over {
    /// What fired, as it is shown: it was over at this time.
    pub(super) fn ended(&self, query: &str, at: EventTime) -> Vec<Firing> {
        let of = (query, &*self.alert, &*self.said);
        let ended = |firing: Firing| Firing { ended: Some(at), ..firing };
        match self.by {
            AlertBy::Whole => vec![ended(shown(of, None, &self.fired))],
            AlertBy::Key => self.keys.iter().map(|(key, fired)| ended(shown(of, Some(key), fired))).collect(),
        }
    }
}

fn shown((query, alert, said): (&str, &str, &str), key: Option<&String>, fired: &Fired) -> Firing {
    let [since, last, told] = [fired.since, fired.last, fired.told].map(EventTime);
    let [query, alert, condition] = [query, alert, said].map(str::to_owned);
    let (key, row) = (key.cloned(), fired.row.clone());
    Firing { query, alert, condition, key, since, last, told, row, ended: None }
}

pub(super) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::{alert, origin};

    const SECOND: i64 = 1_000_000_000;

    /// What fires by one alert.
    struct One {
        alarms: Alarms,
        alert: Alert,
    }

    impl One {
        fn see(&mut self, seen: Seen<'_>) -> Option<Told> {
            self.alarms.see(&origin("sweep"), &self.alert, seen)
        }

        fn over(&mut self, second: i64) -> Option<Over> {
            self.alarms.pass(&origin("sweep"), &self.alert, (second * SECOND, second * SECOND))
        }

        fn firing(&self) -> Vec<Firing> {
            self.alarms.firing()
        }
    }

    fn alarms(by: AlertBy) -> One {
        let alert = Alert { by, cool_down: Duration::from_secs(10), ..alert(&["pager"]) };
        One { alarms: Alarms::default(), alert }
    }

    /// Rows of these keys in the window of this second; why they are told, and which.
    fn see(alarms: &mut One, second: i64, keys: &[&str]) -> Option<(Cause, Vec<bool>)> {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let (since, last) = (second * SECOND, (second + 1) * SECOND);
        let seen = Seen { since, last, given: last + 1, keys: &keys, rows: &[] };
        alarms.see(seen).map(|told| (told.cause, told.rows))
    }

    fn names(over: Over) -> Vec<String> {
        over.keys.into_iter().map(|(key, _)| key).collect()
    }

    fn pass(alarms: &mut One, second: i64) -> Option<Vec<String>> {
        alarms.over(second).map(names)
    }

    #[test]
    fn a_whole_alarm_is_told_once_and_again_for_new_keys_and_when_it_lasts() {
        let mut alarms = alarms(AlertBy::Whole);
        assert_eq!(see(&mut alarms, 0, &["a"]), Some((Cause::Began, vec![true])));
        assert_eq!(see(&mut alarms, 1, &["a"]), None);
        assert_eq!(see(&mut alarms, 2, &["a", "b"]), Some((Cause::NewKeys, vec![true, true])));
        for second in 3..12 {
            assert_eq!(see(&mut alarms, second, &["a"]), None, "{second}");
        }
        assert_eq!(see(&mut alarms, 12, &["a"]), Some((Cause::GoesOn, vec![true])));
        assert_eq!(alarms.firing().len(), 1);
        assert_eq!(pass(&mut alarms, 14), None, "one window without rows");
        assert_eq!(pass(&mut alarms, 15), Some(vec!["a".to_owned()]));
        assert!(pass(&mut alarms, 16).is_none() && alarms.firing().is_empty());
        assert_eq!(see(&mut alarms, 16, &["a"]), Some((Cause::Began, vec![true])));
    }

    #[test]
    fn of_an_earlier_window_only_what_did_not_fire_then_is_news() {
        let mut alarms = alarms(AlertBy::Key);
        see(&mut alarms, 3, &["a"]);
        see(&mut alarms, 5, &["a", "b"]);
        let untold = |One { alarms, alert }: &One, second: i64| {
            let keys = ["a", "b", "c"].map(str::to_owned);
            let (since, last) = (second * SECOND, (second + 1) * SECOND);
            alarms.untold("sweep", alert, Seen { since, last, given: 9 * SECOND, keys: &keys, rows: &[] })
        };
        assert_eq!(untold(&alarms, 4), [false, true, true]);
        assert_eq!(untold(&alarms, 1), [true, true, true]);
        assert_eq!(alarms.firing().len(), 2, "nothing changes");
    }

    #[test]
    fn a_key_that_went_and_came_back_is_new() {
        let mut alarms = alarms(AlertBy::Whole);
        see(&mut alarms, 0, &["a", "b"]);
        see(&mut alarms, 1, &["a"]);
        see(&mut alarms, 2, &["a"]);
        assert_eq!(pass(&mut alarms, 3), None, "the alarm goes on");
        assert_eq!(see(&mut alarms, 3, &["b"]), Some((Cause::NewKeys, vec![true])));
    }

    #[test]
    fn what_comes_and_goes_is_news_and_what_goes_on_is_none() {
        let mut alarms = alarms(AlertBy::Whole);
        let mut news = |work: &dyn Fn(&mut One)| {
            work(&mut alarms);
            std::mem::take(&mut alarms.alarms.has_news)
        };
        let sees = |second: i64, keys: &'static [&'static str]| {
            move |alarms: &mut One| {
                see(alarms, second, keys);
            }
        };
        let passes = |second: i64| {
            move |alarms: &mut One| {
                pass(alarms, second);
            }
        };
        assert!(news(&sees(0, &["a"])) && !news(&sees(1, &["a"])) && news(&sees(2, &["a", "b"])));
        assert!(!news(&sees(3, &["a"])) && !news(&passes(4)), "nothing is over");
        // When it is seen again it is told as new, which is so after a crash, too.
        assert!(news(&passes(5)), "a key has gone, and the alarm goes on");
        assert!(!news(&sees(12, &["a"])), "that is told again, and is no other alarm");
        assert!(news(&passes(15)) && !news(&passes(16)));
    }

    #[test]
    fn keys_are_alarms_of_their_own() {
        let mut alarms = alarms(AlertBy::Key);
        assert_eq!(see(&mut alarms, 0, &["a", "a"]), Some((Cause::Began, vec![true, true])));
        assert_eq!(see(&mut alarms, 1, &["a", "b"]), Some((Cause::NewKeys, vec![false, true])));
        assert_eq!(see(&mut alarms, 2, &["b"]), None);
        let firing: Vec<String> = alarms.firing().into_iter().filter_map(|firing| firing.key).collect();
        assert_eq!(firing, ["a", "b"]);
        assert_eq!(pass(&mut alarms, 4), Some(vec!["a".to_owned()]));
        assert_eq!(pass(&mut alarms, 5), Some(vec!["b".to_owned()]));
        assert!(alarms.firing().is_empty());
    }

    #[test]
    fn what_nobody_looked_at_does_not_end_an_alarm() {
        let mut before = alarms(AlertBy::Whole);
        see(&mut before, 0, &["a"]);
        let kept = serde_json::to_string(&before.alarms.queries).unwrap();
        let queries = serde_json::from_str(&kept).unwrap();
        let mut after = One { alarms: Alarms { queries, has_news: false }, ..alarms(AlertBy::Whole) };
        // The node was away for an hour.
        assert_eq!(pass(&mut after, 3600), None);
        assert_eq!(pass(&mut after, 3601), None);
        assert_eq!(pass(&mut after, 3602), Some(vec!["a".to_owned()]));
        let mut forget = || before.alarms.forget("sweep").into_iter().flat_map(names).collect::<Vec<_>>();
        assert_eq!(forget(), ["a"]);
        assert_eq!((forget().len(), before.alarms.is_of_another(&origin("sweep"))), (0, false));
        let mut unread = alarms(AlertBy::Whole);
        see(&mut unread, 0, &["a"]);
        unread.alarms.lose_sight("sweep");
        // The source was away for an hour, and windows closed without it.
        assert_eq!((pass(&mut unread, 3600), pass(&mut unread, 3601)), (None, None));
        assert_eq!(pass(&mut unread, 3602), Some(vec!["a".to_owned()]));
    }

    #[test]
    fn a_window_that_is_seen_again_is_told_once_however_long_that_is_ago() {
        for by in AlertBy::ALL {
            let mut alarms = alarms(by);
            let mut see = |window: i64, given: i64| {
                let (since, last) = (window * SECOND, (window + 1) * SECOND);
                let seen = Seen { since, last, given: given * SECOND, keys: &["a".to_owned()], rows: &[] };
                alarms.see(seen).map(|told| told.cause)
            };
            assert_eq!([see(5, 7), see(5, 100)], [Some(Cause::Began), None], "{by:?}");
            assert_eq!([see(4, 101), see(6, 102)], [None, Some(Cause::GoesOn)], "{by:?}");
        }
    }

    #[test]
    fn keys_have_times_of_their_own() {
        let mut alarms = alarms(AlertBy::Key);
        let mut since = |second: i64, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
            let (start, end) = (second * SECOND, (second + 1) * SECOND);
            let seen = Seen { since: start, last: end, given: end, keys: &keys, rows: &[] };
            alarms.see(seen).map(|told| told.since / SECOND)
        };
        assert_eq!([since(0, &["a"]), since(1, &["a", "b"]), since(2, &["b"])], [Some(0), Some(1), None]);
        let over = |alarms: &mut One, second: i64| {
            let over = alarms.over(second)?;
            Some((over.fired.since / SECOND, over.fired.last / SECOND, names(over)))
        };
        assert_eq!(over(&mut alarms, 4), Some((0, 2, vec!["a".to_owned()])));
        assert_eq!(over(&mut alarms, 5), Some((1, 3, vec!["b".to_owned()])));
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nobody() {
        let mut alarms = alarms(AlertBy::Whole);
        let mut is_told = |window: i64, given: i64| {
            let seen = Seen { since: window, last: window + 1, given, keys: &["a".to_owned()], rows: &[] };
            alarms.see(seen).is_some()
        };
        assert!(is_told(0, 3600 * SECOND));
        assert!(is_told(1, SECOND) && !is_told(2, 2 * SECOND) && is_told(3, 11 * SECOND));
    }

    #[test]
    fn keys_beyond_the_cap_are_told_with_others_only() {
        let mut alarms = alarms(AlertBy::Key);
        let many: Vec<String> = (0..=KEYS_MAX).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = see(&mut alarms, 0, &many).unwrap().1;
        assert_eq!(told.iter().filter(|is_told| **is_told).count(), KEYS_MAX);
        assert_eq!(see(&mut alarms, 1, &["one more"]), None);
        assert_eq!(pass(&mut alarms, 3).map(|keys| keys.len()), Some(KEYS_MAX));
        assert!(alarms.firing().is_empty() && !alarms.alarms.queries.is_empty());
        assert_eq!(pass(&mut alarms, 4), None, "nobody was told of the one more");
        assert!(alarms.alarms.queries.is_empty());
    }

    #[test]
    fn alerts_of_one_query_fire_each_by_itself_and_show_their_newest_rows() {
        let mut first = alarms(AlertBy::Key);
        let second = Alert { text: "n > 1".to_owned(), said: "n > 1".to_owned(), ..first.alert.clone() };
        let mut see = |alert: &Alert, at: i64, row: &str| {
            let (keys, rows) = (["a".to_owned()], [row.to_owned()]);
            let seen = Seen { since: at, last: at + SECOND, given: at + SECOND, keys: &keys, rows: &rows };
            first.alarms.see(&origin("sweep"), alert, seen).is_some()
        };
        let alert = alarms(AlertBy::Key).alert;
        assert!(see(&alert, 0, "old") && see(&second, 0, "other") && !see(&alert, SECOND, "new"));
        let rows: Vec<Option<String>> = first.firing().into_iter().map(|firing| firing.row).collect();
        assert_eq!(rows, [Some("other".to_owned()), Some("new".to_owned())]);
        let gone = first.alarms.forget_but("sweep", &[&second]);
        assert_eq!(gone.len(), 1);
        let ended = gone[0].ended("sweep", EventTime(9));
        assert_eq!((ended[0].ended, ended[0].key.as_deref()), (Some(EventTime(9)), Some("a")));
        assert_eq!((first.firing().len(), first.firing()[0].alert.as_str()), (1, "n > 1"));
    }
}

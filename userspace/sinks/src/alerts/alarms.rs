//! Which alarms fire, and when somebody is told.
//!
//! Takes the keys of the rows of each window, and how far windows are closed; gives which rows are to be told, and which
//! alarms are over. No clock is read, nothing is sent: times are arguments, in nanoseconds since the epoch. Those of
//! windows are event times; of rows without windows of time, they are when results were given.

use crate::origin::{Firing, Origin};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tapline_record::EventTime;

/// Keys of a query that are told apart; rows of others are told with them, and never alone.
const KEYS_MAX: usize = 4096;

/// What is one alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertBy {
    /// A query, whatever rows it has.
    Whole,
    /// A group of it.
    Key,
}

/// When somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRules {
    /// What is one alarm.
    pub by: AlertBy,
    /// How long an alarm that goes on is not told again.
    pub cool_down: Duration,
    /// After so many windows without rows it is over; without windows of time, after the cool-down.
    pub resolve_after: u32,
    /// Rows that are told at a time.
    pub rows_max: usize,
}

/// What was seen of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fired {
    /// The start of the first window with rows.
    pub(super) since: i64,
    /// The end of the last one.
    pub(super) last: i64,
    /// When it was told last, by the clock.
    pub(super) told: i64,
}

impl Fired {
    const fn new(seen: Seen<'_>) -> Self {
        Self { since: seen.since, last: seen.last, told: seen.given }
    }

    /// Notes that it was seen again.
    fn go_on(&mut self, seen: Seen<'_>) {
        self.last = self.last.max(seen.last);
    }

    /// Whether it was not told for so long; so it is when the clock was set back.
    const fn is_due(&self, seen: Seen<'_>, cool_down: i64) -> bool {
        seen.given < self.told || seen.given.saturating_sub(self.told) >= cool_down
    }

    /// Both of them.
    fn and(self, other: Self) -> Self {
        let (since, last) = (self.since.min(other.since), self.last.max(other.last));
        Self { since, last, told: self.told.max(other.told) }
    }
}

/// The alarm of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alarm {
    /// The query's text.
    sql: String,
    whole: Fired,
    /// By key.
    keys: BTreeMap<String, Fired>,
    /// Since when it is known what comes, of windows and by the clock; nothing as long as an alarm of an earlier run was
    /// not heard of, or nothing is read for it.
    #[serde(skip)]
    known_since: Option<(i64, i64)>,
}

/// All alarms that fire, by query.
pub(super) type AlarmsByQuery = BTreeMap<String, Alarm>;

/// The rows of a result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// The start of their window, and its end.
    pub(super) since: i64,
    pub(super) last: i64,
    /// When they were given, by the clock.
    pub(super) given: i64,
    /// The key of each.
    pub(super) keys: &'a [String],
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
    pub(super) fired: Fired,
    pub(super) keys: Vec<String>,
}

/// What fires, and the rules for it.
#[derive(Debug)]
pub(super) struct Alarms {
    pub(super) rules: AlertRules,
    pub(super) queries: AlarmsByQuery,
}

impl Alarms {
    /// Notes rows of a query; gives which ones are to be told.
    pub(super) fn see(&mut self, origin: &Origin, seen: Seen<'_>) -> Option<Told> {
        let cool_down = nanoseconds(self.rules.cool_down);
        let is_known = self.queries.contains_key(&origin.name);
        let alarm = self.queries.entry(origin.name.clone()).or_insert_with(|| Alarm::new(&origin.sql, seen));
        alarm.known_since.get_or_insert((seen.last, seen.given));
        alarm.whole.go_on(seen);
        let (mut has_new, mut rows) = (false, Vec::with_capacity(seen.keys.len()));
        for key in seen.keys {
            let (is_new, is_due) = alarm.see_key(key, seen, cool_down);
            has_new |= is_new;
            rows.push(is_due);
        }
        let cause = match (is_known, has_new) {
            (false, _) => Cause::Began,
            (true, true) => Cause::NewKeys,
            (true, false) => Cause::GoesOn,
        };
        let is_due = alarm.whole.is_due(seen, cool_down);
        let is_told = match self.rules.by {
            AlertBy::Whole => cause != Cause::GoesOn || is_due,
            AlertBy::Key => rows.contains(&true),
        };
        if !is_told {
            return None;
        }
        alarm.whole.told = seen.given;
        let since = match self.rules.by {
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
    pub(super) fn untold(&self, query: &str, seen: Seen<'_>) -> Vec<bool> {
        let alarm = self.queries.get(query);
        let fired = |key: &String| alarm.and_then(|alarm| alarm.keys.get(key));
        let is_told = |fired: &Fired| fired.since <= seen.since && seen.last <= fired.last;
        seen.keys.iter().map(|key| !fired(key).is_some_and(is_told)).collect()
    }

    /// Notes that nothing is read for a query: what comes meanwhile nobody sees.
    pub(super) fn lose_sight(&mut self, query: &str) {
        self.queries.get_mut(query).into_iter().for_each(|alarm| alarm.known_since = None);
    }

    /// Notes that no rows of windows that end by `until` come any more, which is so `now`; gives what is over by that.
    pub(super) fn pass(&mut self, origin: &Origin, until: i64, now: i64) -> Option<Over> {
        let every = origin.every_ns.map(|every| every.saturating_mul(self.rules.resolve_after.into()));
        let quiet = every.unwrap_or_else(|| nanoseconds(self.rules.cool_down));
        let alarm = self.queries.get_mut(&origin.name)?;
        let (known_since, heard_since) = *alarm.known_since.get_or_insert((until, now));
        // Behind a restart time goes on where it was, and may be here at once, as it may be where a source is back: what
        // came meanwhile nobody saw.
        let is_heard = now >= heard_since.saturating_add(quiet);
        let is_over = |fired: &Fired| is_heard && until >= fired.last.max(known_since).saturating_add(quiet);
        let whole = Some(alarm.whole).filter(is_over);
        let gone: Vec<(String, Fired)> = alarm.keys.extract_if(.., |_, fired| is_over(fired)).collect();
        if whole.is_some() {
            self.queries.remove(&origin.name);
        }
        self.over(whole, gone)
    }

    /// Takes away the alarm of a query that is no more; gives it if it fired.
    pub(super) fn forget(&mut self, query: &str) -> Option<Over> {
        let Alarm { whole, keys, .. } = self.queries.remove(query)?;
        self.over(Some(whole), keys.into_iter().collect())
    }

    /// What is told of that: of keys that are alarms of their own, when they fired, and nothing where none of them did.
    fn over(&self, whole: Option<Fired>, keys: Vec<(String, Fired)>) -> Option<Over> {
        let fired = match self.rules.by {
            AlertBy::Whole => whole,
            AlertBy::Key => keys.iter().map(|(_, fired)| *fired).reduce(Fired::and),
        };
        Some(Over { fired: fired?, keys: keys.into_iter().map(|(key, _)| key).collect() })
    }

    /// Whether the alarm of this query's name is that of another query.
    pub(super) fn is_of_another(&self, origin: &Origin) -> bool {
        self.queries.get(&origin.name).is_some_and(|alarm| alarm.sql != origin.sql)
    }

    /// What fires.
    pub(super) fn firing(&self) -> Vec<Firing> {
        let mut firing = vec![];
        for (query, alarm) in &self.queries {
            match self.rules.by {
                AlertBy::Whole => firing.push(shown(query, None, alarm.whole)),
                AlertBy::Key => {
                    let keys = alarm.keys.iter().map(|(key, fired)| shown(query, Some(key.clone()), *fired));
                    firing.extend(keys);
                }
            }
        }
        firing
    }
}

impl Alarm {
    fn new(sql: &str, seen: Seen<'_>) -> Self {
        Self {
            sql: sql.to_owned(),
            whole: Fired::new(seen),
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
    fn see_key(&mut self, key: &str, seen: Seen<'_>, cool_down: i64) -> (bool, bool) {
        if let Some(fired) = self.keys.get_mut(key) {
            fired.go_on(seen);
            // Several rows of a result may have one key.
            let is_due = fired.told == seen.given || fired.is_due(seen, cool_down);
            if is_due {
                fired.told = seen.given;
            }
            return (false, is_due);
        }
        let has_room = self.keys.len() < KEYS_MAX;
        if has_room {
            self.keys.insert(key.to_owned(), Fired::new(seen));
        }
        (has_room, has_room)
    }
}

fn shown(query: &str, key: Option<String>, fired: Fired) -> Firing {
    let Fired { since, last, told } = fired;
    let [since, last, told] = [since, last, told].map(EventTime);
    Firing { query: query.to_owned(), key, since, last, told }
}

pub(super) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::origin;

    const SECOND: i64 = 1_000_000_000;

    fn alarms(by: AlertBy) -> Alarms {
        let rules = AlertRules { by, cool_down: Duration::from_secs(10), resolve_after: 2, rows_max: 10 };
        Alarms { rules, queries: BTreeMap::new() }
    }

    /// Rows of these keys in the window of this second; why they are told, and which.
    fn see(alarms: &mut Alarms, second: i64, keys: &[&str]) -> Option<(Cause, Vec<bool>)> {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let (since, last) = (second * SECOND, (second + 1) * SECOND);
        let seen = Seen { since, last, given: last + 1, keys: &keys };
        alarms.see(&origin("sweep"), seen).map(|told| (told.cause, told.rows))
    }

    fn pass(alarms: &mut Alarms, second: i64) -> Option<Vec<String>> {
        alarms.pass(&origin("sweep"), second * SECOND, second * SECOND).map(|over| over.keys)
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
        let untold = |alarms: &Alarms, second: i64| {
            let keys = ["a", "b", "c"].map(str::to_owned);
            let (since, last) = (second * SECOND, (second + 1) * SECOND);
            alarms.untold("sweep", Seen { since, last, given: 9 * SECOND, keys: &keys })
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
        let kept = serde_json::to_string(&before.queries).unwrap();
        let mut after = Alarms { queries: serde_json::from_str(&kept).unwrap(), ..alarms(AlertBy::Whole) };
        // The node was away for an hour.
        assert_eq!(pass(&mut after, 3600), None);
        assert_eq!(pass(&mut after, 3601), None);
        assert_eq!(pass(&mut after, 3602), Some(vec!["a".to_owned()]));
        assert_eq!(before.forget("sweep").map(|over| over.keys), Some(vec!["a".to_owned()]));
        assert_eq!((before.forget("sweep"), before.is_of_another(&origin("sweep"))), (None, false));
        let mut unread = alarms(AlertBy::Whole);
        see(&mut unread, 0, &["a"]);
        unread.lose_sight("sweep");
        // The source was away for an hour, and windows closed without it.
        assert_eq!((pass(&mut unread, 3600), pass(&mut unread, 3601)), (None, None));
        assert_eq!(pass(&mut unread, 3602), Some(vec!["a".to_owned()]));
    }

    #[test]
    fn keys_have_times_of_their_own() {
        let mut alarms = alarms(AlertBy::Key);
        let mut since = |second: i64, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
            let (start, end) = (second * SECOND, (second + 1) * SECOND);
            let seen = Seen { since: start, last: end, given: end, keys: &keys };
            alarms.see(&origin("sweep"), seen).map(|told| told.since / SECOND)
        };
        assert_eq!([since(0, &["a"]), since(1, &["a", "b"]), since(2, &["b"])], [Some(0), Some(1), None]);
        let over = |alarms: &mut Alarms, second: i64| {
            let over = alarms.pass(&origin("sweep"), second * SECOND, second * SECOND)?;
            Some((over.fired.since / SECOND, over.fired.last / SECOND, over.keys))
        };
        assert_eq!(over(&mut alarms, 4), Some((0, 2, vec!["a".to_owned()])));
        assert_eq!(over(&mut alarms, 5), Some((1, 3, vec!["b".to_owned()])));
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nobody() {
        let mut alarms = alarms(AlertBy::Whole);
        let mut is_told = |window: i64, given: i64| {
            let seen = Seen { since: window, last: window + 1, given, keys: &["a".to_owned()] };
            alarms.see(&origin("sweep"), seen).is_some()
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
        assert!(alarms.firing().is_empty() && !alarms.queries.is_empty());
        assert_eq!(pass(&mut alarms, 4), None, "nobody was told of the one more");
        assert!(alarms.queries.is_empty());
    }
}

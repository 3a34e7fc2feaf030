//! What is merged and what goes: decided over names, ages and sizes, by functions of them alone.

use crate::options::{HistoryOptions, RollUp};
use crate::place::Hour;
use crate::store::Part;
use std::collections::BTreeMap;
use std::time::Duration;
use tapline_record::EventTime;

/// How long after its end an hour is taken for over: results of its last windows have come by then.
const OVER_AFTER_NS: i64 = 5 * 60 * 1_000_000_000;
/// Small files of an hour that lasts are merged when there are so many of them, of at most so many octets each.
const SMALL_FILES_MAX: usize = 32;
const SMALL_OCTETS: u64 = 8 << 20;
/// Files that are merged at a time: of each some rows are in memory.
const FILES_MAX: usize = 64;
/// Octets that are merged into one file.
const MERGED_OCTETS_MAX: u64 = 256 << 20;

/// Files of an hour to be merged into one, if there are some; all have the same columns.
pub(crate) fn to_merge(parts: &[Part], hour: Hour, now: EventTime) -> Option<Vec<Part>> {
    let (octets_max, least) =
        if is_over(hour, now) { (MERGED_OCTETS_MAX / 2, 2) } else { (SMALL_OCTETS, SMALL_FILES_MAX) };
    let mut by_columns: BTreeMap<u32, (u64, Vec<Part>)> = BTreeMap::new();
    for part in parts.iter().filter(|part| part.octets <= octets_max) {
        let (octets, parts) = by_columns.entry(part.columns).or_default();
        if *octets + part.octets <= MERGED_OCTETS_MAX && parts.len() < FILES_MAX {
            *octets += part.octets;
            parts.push(part.clone());
        }
    }
    by_columns.into_values().map(|(_, parts)| parts).find(|parts| parts.len() >= least)
}

/// Whether an hour is over: results of its last windows have come.
pub(crate) const fn is_over(hour: Hour, now: EventTime) -> bool {
    is_past(hour.end(), now)
}

/// Whether all windows that end then have come.
const fn is_past(end: EventTime, now: EventTime) -> bool {
    now.0 >= end.0.saturating_add(OVER_AFTER_NS)
}

/// The width of windows that results of an hour become, in nanoseconds: the widest one of those that they are old enough
/// for, with all hours of the window, and whose first hour, where they will lie, has not to go yet.
pub(crate) fn rolls_to(hour: Hour, options: &HistoryOptions, now: EventTime) -> Option<i64> {
    let is_due = |one: &&RollUp| {
        let block = hour.block(nanoseconds(one.window));
        let end = block.end.start();
        let is_old = end.0 < now.0.saturating_sub(nanoseconds(one.after)) && is_past(end, now);
        is_old && !is_too_old(block.start, options.keep, now)
    };
    options.rollup.iter().filter(is_due).map(|one| nanoseconds(one.window)).max()
}

/// A time in the unit of windows.
pub(crate) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether an hour is older than it is kept.
pub(crate) fn is_too_old(hour: Hour, keep: Option<Duration>, now: EventTime) -> bool {
    let keep = keep.map(|keep| i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX));
    keep.is_some_and(|keep| hour.end().0 < now.0.saturating_sub(keep))
}

/// An hour of a query, and the octets of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HourSize {
    pub(crate) hour: Hour,
    pub(crate) query: String,
    pub(crate) octets: u64,
    /// Whether all of it lies elsewhere, too.
    pub(crate) is_safe: bool,
}

/// The oldest hours, those first that lie elsewhere, so many that the others are within their octets; never the one that
/// lasts.
pub(crate) fn too_many(mut hours: Vec<HourSize>, octets_max: u64, now: EventTime) -> Vec<HourSize> {
    hours.sort_by(|one, other| {
        (!one.is_safe, one.hour, &one.query).cmp(&(!other.is_safe, other.hour, &other.query))
    });
    let mut octets: u64 = hours.iter().map(|hour| hour.octets).sum();
    let current = Hour::of(now);
    let goes = |one: &HourSize| {
        let goes = octets > octets_max && one.hour < current;
        octets -= if goes { one.octets } else { 0 };
        goes
    };
    hours.into_iter().filter(goes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::RollUp;
    use std::path::{Path, PathBuf};
    use std::slice;

    const MINUTE_NS: i64 = 60 * 1_000_000_000;

    fn part(number: u64, columns: u32, octets: u64) -> Part {
        Part { path: PathBuf::new(), hour: Hour::of(EventTime(0)), number, columns, octets }
    }

    fn merged(parts: &[Part], minutes: i64) -> Vec<u64> {
        let parts = to_merge(parts, Hour::of(EventTime(0)), EventTime(minutes * MINUTE_NS));
        parts.unwrap_or_default().iter().map(|part| part.number).collect()
    }

    #[test]
    fn an_hour_that_is_over_becomes_a_file_for_each_set_of_columns() {
        let parts = [part(1, 7, 10), part(2, 8, 10), part(3, 7, 10)];
        assert_eq!(merged(&parts, 64), [0; 0]);
        assert_eq!(merged(&parts, 65), [1, 3]);
        assert_eq!(merged(&parts[..2], 65), [0; 0]);
        let large =
            [part(1, 7, 200 << 20), part(2, 7, 100 << 20), part(3, 7, 100 << 20), part(4, 7, 100 << 20)];
        assert_eq!(merged(&large, 65), [2, 3]);
    }

    #[test]
    fn an_hour_that_lasts_has_few_small_files() {
        let small: Vec<Part> = (1..=32).map(|number| part(number, 7, 1000)).collect();
        assert_eq!(merged(&small[..31], 10).len(), 0);
        assert_eq!(merged(&small, 10).len(), 32);
        let with_large = [&[part(0, 7, 100 << 20)], &small[..]].concat();
        assert_eq!(merged(&with_large, 10).len(), 32);
    }

    #[test]
    fn windows_are_the_wider_the_older_they_are() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let rollup = [(60, 5), (240, 60), (120, 15)];
        let rollup = rollup.map(|(after, window)| RollUp { after: minutes(after), window: minutes(window) });
        let options = |rollup: &[RollUp], keep: Option<u64>| HistoryOptions {
            rollup: rollup.to_vec(),
            keep: keep.map(minutes),
            ..HistoryOptions::new(Path::new(""))
        };
        let width = |now: i64| {
            let options = options(&rollup, None);
            let width = rolls_to(Hour::of(EventTime(0)), &options, EventTime(now * MINUTE_NS + 1));
            width.map(|width| width / MINUTE_NS)
        };
        assert_eq!([119, 120, 180, 299, 300].map(width), [None, Some(5), Some(15), Some(15), Some(60)]);
        let day = [RollUp { after: minutes(60), window: minutes(24 * 60) }];
        let by_day = |hour: i64, now: i64, keep: Option<u64>| {
            let hour = Hour::of(EventTime(hour * 60 * MINUTE_NS));
            rolls_to(hour, &options(&day, keep), EventTime(now * MINUTE_NS + 1))
        };
        let whole = Some(24 * 60 * MINUTE_NS);
        assert_eq!([by_day(0, 25 * 60 - 1, None), by_day(0, 25 * 60, None)], [None, whole]);
        // It would go with its first hour at once.
        let kept = [12 * 60, 30 * 60].map(|keep| by_day(20, 25 * 60, Some(keep)));
        assert_eq!(kept, [None, whole]);
        let soon = [RollUp { after: Duration::from_secs(1), window: minutes(5) }];
        let soon = rolls_to(Hour::of(EventTime(0)), &options(&soon, None), EventTime(64 * MINUTE_NS));
        assert_eq!(soon, None, "more may come");
    }

    #[test]
    fn hours_go_by_age_and_by_size() {
        let hour = |number: i64| Hour::of(EventTime(number * 60 * MINUTE_NS));
        let now = EventTime(10 * 60 * MINUTE_NS + MINUTE_NS);
        let keep = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert!(is_too_old(hour(4), keep(5), now) && !is_too_old(hour(5), keep(5), now));
        assert!(!is_too_old(hour(0), None, now));
        let size = |number, query: &str, octets| HourSize {
            hour: hour(number),
            query: query.to_owned(),
            octets,
            is_safe: false,
        };
        let hours = vec![size(9, "a", 10), size(10, "a", 100), size(8, "b", 10), size(8, "a", 10)];
        let gone = |octets_max| too_many(hours.clone(), octets_max, now);
        assert!(gone(130).is_empty());
        assert_eq!(gone(120), [size(8, "a", 10)]);
        assert_eq!(gone(115), [size(8, "a", 10), size(8, "b", 10)]);
        assert_eq!(gone(1).len(), 3, "the hour that lasts stays");
        let safe = HourSize { is_safe: true, ..size(9, "a", 10) };
        let some_safe = [slice::from_ref(&safe), &hours[1..]].concat();
        assert_eq!(too_many(some_safe, 120, now), [safe], "what lies elsewhere goes first");
    }
}

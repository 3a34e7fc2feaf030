//! What somebody is told of an alarm: an object in JSON, and what of it stands beside.

use super::alarms::{Cause, Over, Told};
use crate::alert::{Alert, Condition};
use crate::host::host_name;
use crate::json::{array, lines, quoted, string};
use crate::origin::Origin;
use crate::printable::time_text;
use crate::sink::Parcel;
use datafusion::arrow::array::{BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use tapline_operators::Status;
use tapline_record::EventTime;

/// Keys that are named in one notice.
const KEYS_NAMED_MAX: usize = 100;
/// Octets of a row that is shown.
const ROW_OCTETS_MAX: usize = 1024;

/// Whether an alarm fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Firing,
    Resolved,
    /// It would have, had it been known in time.
    Revised,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Revised => "revised",
        }
    }
}

/// What somebody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notice {
    /// The same each time that it is sent, and of no other one.
    pub(super) id: String,
    pub(super) query: String,
    pub(super) state: State,
    /// When that was decided, by the clock, in nanoseconds.
    pub(super) decided: i64,
    /// How often it was sent in vain.
    pub(super) tries: u32,
    /// All of it, as JSON.
    pub(super) body: String,
}

/// The rows of a result that can be alarms, side by side with their keys.
pub(super) struct Rows {
    pub(super) batches: Vec<RecordBatch>,
    /// As JSON objects.
    pub(super) keys: Vec<String>,
    /// Rows that were not looked at.
    pub(super) left_out: usize,
}

impl Rows {
    /// The first `rows_max` rows of a result of which a condition holds. What is folded into one row has no key, and no
    /// HAVING has seen it: it is none of them.
    pub(super) fn of(parcel: &Parcel, condition: Condition, rows_max: usize) -> Result<Self, ArrowError> {
        let Parcel { origin, result, .. } = parcel;
        let mut rows = Self { batches: vec![], keys: vec![], left_out: 0 };
        if origin.gives_folded_row && result.status == Status::Folded {
            return Ok(rows);
        }
        for batch in &result.rows {
            let batch = condition.rows(batch)?;
            let taken = batch.num_rows().min(rows_max.saturating_sub(rows.keys.len()));
            rows.left_out += batch.num_rows() - taken;
            let batch = batch.slice(0, taken);
            rows.keys.extend(keys(&batch, &origin.keys)?);
            rows.batches.push(batch);
        }
        Ok(rows)
    }

    /// Each of them as a JSON object, to be shown: of one that is too long, its key.
    pub(super) fn shown(&self) -> Result<Vec<String>, ArrowError> {
        let text = lines(&self.batches)?;
        let text = String::from_utf8_lossy(&text);
        let rows = text.lines().zip(&self.keys);
        Ok(rows
            .map(|(row, key)| if row.len() > ROW_OCTETS_MAX { key.clone() } else { row.to_owned() })
            .collect())
    }

    /// Those that are told, up to so many, as JSON; and how many there are.
    fn told(&self, told: &[bool], rows_max: usize) -> Result<(Vec<u8>, usize), ArrowError> {
        let (mut text, mut count, mut first) = (vec![], 0, 0);
        for batch in &self.batches {
            let mask = told.iter().skip(first).take(batch.num_rows()).copied();
            first += batch.num_rows();
            let chosen = filter_record_batch(batch, &BooleanArray::from_iter(mask.map(Some)))?;
            let room = rows_max.saturating_sub(count).min(chosen.num_rows());
            count += chosen.num_rows();
            if room > 0 {
                text.extend(lines(&[chosen.slice(0, room)])?);
            }
        }
        Ok((text, count))
    }
}

fn keys(batch: &RecordBatch, places: &[usize]) -> Result<Vec<String>, ArrowError> {
    if places.is_empty() {
        return Ok(vec!["{}".to_owned(); batch.num_rows()]);
    }
    let text = lines(&[batch.project(places)?])?;
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

/// Whose alarm it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) query: &'a str,
    pub(super) note: &'a str,
    /// The alert as it is written, and its condition.
    pub(super) alert: &'a str,
    pub(super) said: &'a str,
}

impl<'a> Subject<'a> {
    pub(super) fn of(parcel: &'a Parcel, alert: &'a Alert) -> Self {
        let Origin { name, note, .. } = &*parcel.origin;
        Self { query: name, note, alert: &alert.text, said: &alert.said }
    }
}

impl Notice {
    /// That rows of a result fire, or would have.
    pub(super) fn firing(
        parcel: &Parcel,
        alert: &Alert,
        rows: &Rows,
        told: &Told,
        rows_max: usize,
    ) -> Result<Self, ArrowError> {
        let (text, count) = rows.told(&told.rows, rows_max)?;
        let keys = rows.keys.iter().zip(&told.rows).filter(|(_, is_told)| **is_told).map(|(key, _)| key);
        let mut named: Vec<&String> = vec![];
        // The rows of a group stand side by side, where it has several.
        keys.take(KEYS_NAMED_MAX).for_each(|key| {
            if named.last() != Some(&key) {
                named.push(key);
            }
        });
        let result = &parcel.result;
        let [start, end] = match result.window {
            Some(window) => [window.start, window.end].map(quoted),
            None => ["null", "null"].map(str::to_owned),
        };
        let completeness = result.completeness.map_or_else(|| "null".to_owned(), |part| part.to_string());
        let (state, reason) = match told.cause {
            Cause::Began => (State::Firing, "it began"),
            Cause::NewKeys => (State::Firing, "it has new keys"),
            Cause::GoesOn => (State::Firing, "it goes on"),
            Cause::Revised => (State::Revised, "an earlier window has other rows than before"),
        };
        let members = [
            ("reason", string(reason)),
            ("since", quoted(EventTime(told.since))),
            ("window_start", start),
            ("window_end", end),
            ("status", string(result.status.name())),
            ("completeness", completeness),
            ("keys", list(&named)),
            ("rows", array(&String::from_utf8_lossy(&text))),
            ("rows_left_out", (count.saturating_sub(rows_max) + rows.left_out).to_string()),
        ];
        Ok(Self::new(Subject::of(parcel, alert), (state, parcel.given), &members))
    }

    /// That an alarm, or some keys of it, is over.
    pub(super) fn resolved(subject: Subject<'_>, over: &Over, reason: &str, now: EventTime) -> Self {
        let keys: Vec<&String> = over.keys.iter().map(|(key, _)| key).take(KEYS_NAMED_MAX).collect();
        let members = [
            ("reason", string(reason)),
            ("since", quoted(EventTime(over.fired.since))),
            ("last", quoted(EventTime(over.fired.last))),
            ("keys", list(&keys)),
        ];
        Self::new(subject, (State::Resolved, now), &members)
    }

    fn new(subject: Subject<'_>, (state, decided): (State, EventTime), members: &[(&str, String)]) -> Self {
        let Subject { query, note, alert, said } = subject;
        // A word of it goes where programs read it; what somebody wrote does not.
        let which = crc32fast::hash(alert.as_bytes());
        let id = format!("{query} {which:08x} {} {}", state.name(), time_text(decided));
        let own = [
            ("id", string(&id)),
            ("state", string(state.name())),
            ("query", string(query)),
            ("note", string(note)),
            ("condition", string(said)),
            ("host", string(host_name())),
        ];
        let all = own.iter().chain(members).map(|(name, value)| format!("\"{name}\":{value}"));
        let body = format!("{{{}}}", all.collect::<Vec<_>>().join(","));
        Self { id, query: query.to_owned(), state, decided: decided.0, tries: 0, body }
    }
}

/// Objects in an array.
fn list(objects: &[&String]) -> String {
    let objects: Vec<&str> = objects.iter().map(|object| object.as_str()).collect();
    format!("[{}]", objects.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{AlertBy, Comparison};
    use crate::alerts::alarms::Fired;
    use crate::test_results;
    use serde_json::{Value, json};

    fn parcel() -> Parcel {
        Parcel { given: EventTime(8_000_000_000), ..test_results::parcel("sweep", 7) }
    }

    #[test]
    fn a_notice_is_an_object() {
        let (alert, rows) = (test_results::alert(&[]), Rows::of(&parcel(), Condition::Rows, 10).unwrap());
        assert_eq!(rows.keys, [r#"{"src_ip":"192.0.2.7"}"#]);
        assert_eq!(rows.shown().unwrap(), [r#"{"src_ip":"192.0.2.7","n":7}"#]);
        let told = Told { cause: Cause::Began, since: 7_000_000_000, rows: vec![true] };
        let notice = Notice::firing(&parcel(), &alert, &rows, &told, 10).unwrap();
        let body: Value = serde_json::from_str(&notice.body).unwrap();
        assert_eq!(
            (&body["state"], &body["query"], &body["status"]),
            (&json!("firing"), &json!("sweep"), &json!("final"))
        );
        assert_eq!((&body["id"], &body["condition"]), (&json!(notice.id), &json!("rows")));
        assert_eq!(body["rows"], json!([{ "src_ip": "192.0.2.7", "n": 7 }]));
        assert_eq!(body["keys"], json!([{ "src_ip": "192.0.2.7" }]));
        assert_eq!(
            (&body["window_start"], &body["rows_left_out"]),
            (&json!("1970-01-01T00:00:07Z"), &json!(0))
        );
        let none: Value =
            serde_json::from_str(&Notice::firing(&parcel(), &alert, &rows, &told, 0).unwrap().body).unwrap();
        assert_eq!((&none["rows"], &none["rows_left_out"]), (&json!([]), &json!(1)));
        let fired = Fired { since: 0, last: 0, told: 0, row: None };
        let keys = rows.keys.into_iter().map(|key| (key, fired.clone())).collect();
        let (by, [alert, said]) = (AlertBy::Whole, ["rows", "rows"].map(str::to_owned));
        let over = Over { alert, said, by, fired, keys };
        let note = "a \"note\"\nof two lines";
        let subject = Subject { query: "sweep", note, alert: "rows", said: "rows" };
        let notice = Notice::resolved(subject, &over, "no rows", EventTime(9));
        let body: Value = serde_json::from_str(&notice.body).unwrap();
        assert_eq!((&body["state"], &body["note"]), (&json!("resolved"), &json!("a \"note\"\nof two lines")));
        assert_eq!(body["keys"], json!([{ "src_ip": "192.0.2.7" }]));
    }

    #[test]
    fn rows_beyond_the_limit_are_counted_and_the_folded_row_is_no_alarm() {
        let rows = Rows::of(&parcel(), Condition::Rows, 0).unwrap();
        assert_eq!((rows.keys.len(), rows.left_out), (0, 1));
        let above = |value| Condition::Column { place: 1, comparison: Comparison::Above, value };
        let of = |value| Rows::of(&parcel(), above(value), 0).unwrap().left_out;
        assert_eq!([of(6.0), of(7.0)], [1, 0], "rows of which it does not hold are none");
        let folded = |sql: &str| {
            let result = test_results::result(7, Status::Folded);
            let parcel = Parcel { origin: test_results::origin_of("q", sql), result, ..parcel() };
            Rows::of(&parcel, Condition::Rows, 10).unwrap().keys.len()
        };
        let of_window = "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second')";
        assert_eq!(folded(of_window), 0, "it stands beside the others");
        let without_keys =
            "SELECT count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second') HAVING count(*) > 9";
        assert_eq!(folded(without_keys), 0, "no HAVING has seen it");
        let of_groups = "SELECT src_ip, count(*) AS n FROM (SELECT src_ip, dst_ip FROM packets GROUP BY src_ip, dst_ip, \
             tumble('1 second')) GROUP BY src_ip";
        assert_eq!(folded(of_groups), 1, "it has what was not folded");
    }
}

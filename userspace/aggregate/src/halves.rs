//! What the halves of a query are called on the wire, and what both ends must have in common of them.

use crate::payload::VERSION;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use tapline_delivery::{Fingerprint, HalfId, HalfSpec, SensorName};
use tapline_operators::{DATAFUSION_VERSION, HalfStates, STATES_VERSION};
use tapline_query::ContinuousQuery;

/// Bits of the number of a half.
const HALF_BITS: u32 = 8;

/// The greatest number that a query may have on the wire.
const QUERY_MAX: u64 = u64::MAX >> HALF_BITS;

/// A half on the wire: which life of which query, and the half's place in it.
#[must_use]
pub const fn half_id(query: u64, half: usize) -> HalfId {
    HalfId((query << HALF_BITS) | half as u64)
}

/// Refuses a number that no query can have on the wire: its halves would be called as those of another one.
///
/// # Errors
/// A sentence.
pub fn check_query_id(id: u64) -> Result<(), String> {
    if id > QUERY_MAX {
        return Err(format!("a query has a number of {QUERY_MAX} at most, and not {id}"));
    }
    Ok(())
}

/// The query of a half, and its place in it.
pub(crate) const fn place_of(half: HalfId) -> (u64, usize) {
    (half.0 >> HALF_BITS, (half.0 & ((1 << HALF_BITS) - 1)) as usize)
}

/// What two ends must have in common to merge states of a half: text and plan, panes, columns of states, versions.
///
/// # Errors
/// A sentence, when sensors cannot answer for the query, or it has no such half.
pub fn fingerprint(query: &ContinuousQuery, half: usize) -> Result<Fingerprint, String> {
    let digest = Sha256::digest(text_of(query, half)?.as_bytes());
    Ok(Fingerprint(digest.iter().take(8).fold(0, |number, octet| (number << 8) | u64::from(*octet))))
}

/// The halves of a query as an aggregator takes them, which asks these sensors; `None`: all.
///
/// # Errors
/// A sentence, when sensors cannot answer for the query.
pub fn half_specs(
    id: u64,
    query: &ContinuousQuery,
    sensors: Option<&BTreeSet<SensorName>>,
) -> Result<Vec<(HalfId, HalfSpec)>, String> {
    check_query_id(id)?;
    let width_ns = pane_width(query)?;
    let spec = |half: usize| -> Result<_, String> {
        let fingerprint = fingerprint(query, half)?;
        Ok((half_id(id, half), HalfSpec { fingerprint, width_ns, sensors: sensors.cloned() }))
    };
    (0..query.lowers.len()).map(spec).collect()
}

/// The width of the panes that sensors send.
///
/// # Errors
/// A sentence, when there are none.
pub(crate) fn pane_width(query: &ContinuousQuery) -> Result<i64, String> {
    query.pane_width().ok_or_else(|| {
        let why = "sensors send what comes for windows of time, and the query has none";
        format!("{why}: add to its GROUP BY: tumble('60 seconds')")
    })
}

/// How the states of each half become octets.
///
/// # Errors
/// A sentence, when sensors cannot answer for the query.
pub(crate) fn states_of(query: &ContinuousQuery) -> Result<Vec<HalfStates>, String> {
    pane_width(query)?;
    if query.lowers.len() > 1 << HALF_BITS {
        return Err(format!("the query has {} aggregates, more than {}", query.lowers.len(), 1 << HALF_BITS));
    }
    (0..query.lowers.len()).map(|half| HalfStates::new(query, half)).collect()
}

fn text_of(query: &ContinuousQuery, half: usize) -> Result<String, String> {
    let (width, states) = (pane_width(query)?, HalfStates::new(query, half)?);
    let versions = format!("payload {VERSION}, states {STATES_VERSION}, DataFusion {DATAFUSION_VERSION}");
    let mut text = format!("{versions}\nhalf {half}, panes of {width} ns\n{}\n", query.sql);
    if let Some(lower) = query.lowers.get(half) {
        text.push_str(&lower.plan.display_indent().to_string());
    }
    for field in states.columns().fields() {
        let _ = write!(text, "\n{} {:?}", field.name(), field.data_type());
    }
    Ok(renumbered(&text))
}

/// Names that planning makes up are numbered through all that a planner has planned: here, through this text.
fn renumbered(text: &str) -> String {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (mut known, mut new): (Vec<&str>, _) = (vec![], String::with_capacity(text.len()));
    for word in text.split_inclusive(|c: char| !is_name(c)) {
        let name = word.trim_end_matches(|c: char| !is_name(c));
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if !stem.starts_with("__") || stem == name {
            new.push_str(word);
            continue;
        }
        let number = known.iter().position(|known| *known == name).unwrap_or(known.len());
        if number == known.len() {
            known.push(name);
        }
        let _ = write!(new, "{stem}{number}{}", word.get(name.len()..).unwrap_or_default());
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_query::Planner;

    const SQL: &str = "SELECT src_ip, sum(octets) FROM packets GROUP BY src_ip, tumble('10 seconds')";

    fn fingerprint_of(planner: &Planner, sql: &str) -> Fingerprint {
        fingerprint(&planner.plan(sql).unwrap(), 0).unwrap()
    }

    #[test]
    fn a_half_is_found_by_its_number() {
        for (query, half) in [(0, 0), (1, 255), (1 << 40, 7)] {
            assert_eq!(place_of(half_id(query, half)), (query, half));
        }
    }

    #[test]
    fn a_query_whose_halves_would_be_those_of_another_one_is_refused() {
        let (planner, most) = (Planner::new(), (1 << 56) - 1);
        let query = planner.plan(SQL).unwrap();
        assert_eq!(half_specs(most, &query, None).unwrap()[0].0, half_id(most, 0));
        for id in [most + 1, u64::MAX] {
            let why = half_specs(id, &query, None).unwrap_err();
            assert!(why.contains("at most") && why.contains(&id.to_string()), "{why}");
        }
    }

    #[test]
    fn the_same_query_has_the_same_fingerprint_and_another_one_has_not() {
        let (one, other) = (Planner::new(), Planner::new());
        let expected = fingerprint_of(&one, SQL);
        let twice = "SELECT src_ip, sum((octets + 1) * (octets + 1)) FROM packets WHERE (octets + 1) * 2 > 7 GROUP BY src_ip, tumble('10 seconds')";
        assert_eq!(fingerprint_of(&one, twice), fingerprint_of(&one, twice), "however often it is planned");
        assert_eq!(fingerprint_of(&other, twice), fingerprint_of(&one, twice));
        assert_eq!(fingerprint_of(&other, SQL), expected);
        for (from, to) in [("10 s", "20 s"), ("sum(", "min("), ("GROUP", "WHERE src_ip = '10.0.0.1' GROUP")] {
            assert_ne!(fingerprint_of(&other, &SQL.replace(from, to)), expected, "{to}");
        }
        let filtered = |host: &str| SQL.replace("GROUP", &format!("WHERE src_ip = '10.0.0.{host}' GROUP"));
        assert_ne!(fingerprint_of(&one, &filtered("1")), fingerprint_of(&one, &filtered("2")));
    }

    #[test]
    fn what_sensors_cannot_answer_is_refused() {
        let planner = Planner::new();
        for (sql, why) in [
            ("SELECT octets FROM packets", "windows of time"),
            ("SELECT count(*) FROM packets GROUP BY tumble_rows(10)", "windows of time"),
        ] {
            let query = planner.plan(sql).unwrap();
            assert!(half_specs(1, &query, None).unwrap_err().contains(why), "{sql}");
            assert!(states_of(&query).unwrap_err().contains(why), "{sql}");
        }
        let nothing = planner.plan("SELECT octets FROM packets WHERE false").unwrap().of_sensors().unwrap();
        assert_eq!(half_specs(2, &nothing, None), Ok(vec![]));
        let specs = half_specs(3, &planner.plan(SQL).unwrap(), None).unwrap();
        assert_eq!(specs.len(), 1);
        assert_eq!((specs[0].0, specs[0].1.width_ns), (HalfId(3 << 8), 10_000_000_000));
    }

    #[test]
    fn names_that_planning_makes_up_count_from_none() {
        let text = "__common_expr_7 AS a, __common_expr_9, b_7, __common_expr_7";
        assert_eq!(renumbered(text), "__common_expr_0 AS a, __common_expr_1, b_7, __common_expr_0");
    }
}

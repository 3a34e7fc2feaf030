//! What is wrong with windows that could not be made as they should be.

use std::collections::BTreeSet;
use tapline_delivery::SensorName;
use tapline_operators::Span;

/// Sensors that are named.
const NAMED_MAX: usize = 8;

/// A window that could not be made, or not of all groups that came for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Which window.
    pub window: Span,
    /// Whether there is none.
    pub is_lost: bool,
    /// What is wrong with it, and whose records it holds, as the end of a sentence.
    pub what: String,
}

impl Flaw {
    /// That of a window without so many groups, or of none: what could not be computed, and who sent something of it.
    pub(crate) fn new(
        window: Span,
        left_out: Option<usize>,
        why: &str,
        from: &BTreeSet<&SensorName>,
    ) -> Self {
        let lacks = match left_out {
            None => "cannot be computed".to_owned(),
            Some(1) => "is without one group that cannot be computed".to_owned(),
            Some(groups) => format!("is without {groups} groups that cannot be computed"),
        };
        let what = format!("{lacks}: {why}{}", senders(from));
        Self { window, is_lost: left_out.is_none(), what }
    }
}

/// Who sent something, as far as that is known.
fn senders(from: &BTreeSet<&SensorName>) -> String {
    let named: Vec<&str> = from.iter().take(NAMED_MAX).map(|name| name.as_str()).collect();
    match from.len().saturating_sub(NAMED_MAX) {
        _ if from.is_empty() => String::new(),
        0 => format!("; its records came from {}", named.join(", ")),
        others => format!("; its records came from {} and {others} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_record::EventTime;

    #[test]
    fn a_flaw_names_who_may_have_made_it() {
        let window = Span { start: EventTime(0), end: EventTime(10) };
        let names = (1..=10).map(|number| SensorName::new(&format!("pop-{number:02}")));
        let names: Vec<SensorName> = names.collect();
        let flaw = |left_out, names: &[SensorName]| {
            Flaw::new(window, left_out, "Divide by zero", &names.iter().collect())
        };
        let one = flaw(Some(1), &names[..2]);
        let expected = "is without one group that cannot be computed: Divide by zero; its records came from pop-01, pop-02";
        assert_eq!((one.what.as_str(), one.is_lost), (expected, false));
        let lost = flaw(None, &[]);
        assert_eq!((lost.what.as_str(), lost.is_lost), ("cannot be computed: Divide by zero", true));
        assert!(flaw(Some(7), &names).what.ends_with("pop-08 and 2 more"));
    }
}

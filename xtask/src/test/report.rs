//! Reads what test programs print.
//!
//! Takes their output line by line, counts results and remembers why tests were skipped. The output of tests
//! that passed is read but not shown: libtest prints it between `successes:` and the next heading.

use std::collections::BTreeMap;

/// What the lines so far said.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) passed: u64,
    pub(super) failed: u64,
    ignored: u64,
    /// Tests of the passed ones that printed a reason for which they tested nothing.
    skipped: u64,
    reasons: BTreeMap<String, u64>,
    in_output_of_skipped: bool,
    in_output_of_successes: bool,
}

impl Report {
    /// Takes a line; true when it is to be shown.
    pub(super) fn take(&mut self, line: &str) -> bool {
        if line.starts_with("---- ") {
            self.in_output_of_skipped = false;
        }
        if line.starts_with("skipped:") {
            *self.reasons.entry(line.to_owned()).or_default() += 1;
            self.skipped += u64::from(!self.in_output_of_skipped);
            self.in_output_of_skipped = true;
        }
        let counts = line.strip_prefix("test result: ");
        if let Some(counts) = counts {
            self.add(counts);
        }
        if line == "successes:" {
            self.in_output_of_successes = true;
        } else if line == "failures:" || counts.is_some() {
            self.in_output_of_successes = false;
        }
        !self.in_output_of_successes
    }

    /// The reasons for which tests were skipped, with their number.
    pub(super) fn reasons(&self) -> impl Iterator<Item = String> {
        self.reasons.iter().map(|(line, times)| match times {
            1 => line.clone(),
            _ => format!("{line} ({times} times)"),
        })
    }

    /// What the totals do not say.
    pub(super) fn remarks(&self) -> String {
        let remarks =
            [(self.ignored, "ignored"), (self.skipped, "of the passed skipped what they were to test")];
        remarks
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!(", {count} {what}"))
            .collect()
    }

    /// Adds counts such as `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s`.
    fn add(&mut self, counts: &str) {
        for count in counts.split(['.', ';']) {
            let mut words = count.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 3 tests
test a ... ok
test b ... ok
test c ... FAILED

successes:

---- a stdout ----
skipped: tshark not found

---- b stdout ----
skipped: tshark not found
skipped: capinfos not found
nothing else

successes:
    a
    b

failures:

---- c stdout ----
left is not right

failures:
    c

test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    fn read(output: &str) -> (Report, Vec<&str>) {
        let mut report = Report::default();
        let shown = output.lines().filter(|line| report.take(line)).collect();
        (report, shown)
    }

    #[test]
    fn results_add_up() {
        let (report, _) = read(&OUTPUT.repeat(2));
        assert_eq!((report.passed, report.failed, report.ignored), (4, 2, 8));
    }

    #[test]
    fn skips_are_found_in_hidden_output() {
        let (report, shown) = read(OUTPUT);
        assert_eq!(
            report.reasons().collect::<Vec<_>>(),
            ["skipped: capinfos not found", "skipped: tshark not found (2 times)"]
        );
        assert!(!shown.contains(&"nothing else"));
        assert_eq!(report.remarks(), ", 4 ignored, 2 of the passed skipped what they were to test");
    }

    #[test]
    fn failures_are_shown() {
        let (_, shown) = read(OUTPUT);
        assert!(shown.contains(&"left is not right") && shown.contains(&"test c ... FAILED"));
        assert!(shown.last().is_some_and(|line| line.starts_with("test result:")));
    }
}

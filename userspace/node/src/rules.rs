//! The pre-filter's rules, from the command line and from a file that may change while a query runs.
//!
//! A line of the file is `allow` or `deny` and what it names, or nothing; `#` begins a comment. What the command line
//! says holds whatever the file says.

use crate::failure::Failure;
use crate::message::say;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, SystemTime};
use tapline_interface::kernel::{Rule, SharedPreFilter, Verdict};

/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the file is called on a command line.
const FLAG: &str = "--rules";

/// Rules by what they name.
pub(crate) type RuleSet = BTreeMap<Rule, Verdict>;

/// Where rules come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct RulePlan {
    pub(crate) fixed: RuleSet,
    pub(crate) file: Option<PathBuf>,
}

impl RulePlan {
    /// These rules, and those of a file.
    pub(crate) fn new<'a>(
        allow: impl IntoIterator<Item = &'a Rule>,
        deny: impl IntoIterator<Item = &'a Rule>,
        file: Option<&Path>,
    ) -> Self {
        let allowed = allow.into_iter().map(|rule| (*rule, Verdict::Allow));
        let denied = deny.into_iter().map(|rule| (*rule, Verdict::Deny));
        Self { fixed: allowed.chain(denied).collect(), file: file.map(Path::to_owned) }
    }

    /// Whether there are none and will be none.
    pub(crate) fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.file.is_none()
    }

    /// All rules as they are now.
    pub(crate) fn read(&self) -> Result<RuleSet, Failure> {
        self.read_as(FLAG).map_err(Failure::Usage)
    }

    /// The same, where the file is called so.
    pub(crate) fn read_as(&self, name: &str) -> Result<RuleSet, String> {
        self.read_all().map_err(|wrong| format!("{name} {wrong}"))
    }

    /// Lets the pre-filter follow the file, in a thread of its own; a file that cannot be read leaves the rules as
    /// they were, with a warning.
    pub(crate) fn follow(&self, prefilter: SharedPreFilter, is_quiet: bool) {
        if self.file.is_none() {
            return;
        }
        let (plan, mut seen) = (self.clone(), self.state());
        thread::spawn(move || {
            loop {
                thread::sleep(LOOK_EVERY);
                let now = plan.state();
                if now == seen {
                    continue;
                }
                seen = now;
                match plan.apply(&prefilter) {
                    Ok(rules) if !is_quiet => say!("{rules} rules of the pre-filter hold from now on"),
                    Ok(_) => {}
                    Err(message) => say!("warning: the pre-filter's rules stay as they were: {message}"),
                }
            }
        });
    }

    /// Reads all rules, lets them hold, and says how many they are.
    fn apply(&self, prefilter: &SharedPreFilter) -> Result<usize, String> {
        let rules = self.read_as(FLAG)?;
        let mut prefilter = prefilter.lock().unwrap_or_else(PoisonError::into_inner);
        prefilter.replace(&rules).map_err(|error| error.to_string())?;
        Ok(rules.len())
    }

    fn read_all(&self) -> Result<RuleSet, String> {
        let mut rules = match &self.file {
            None => RuleSet::new(),
            Some(file) => {
                let said = |what: String| format!("{}: {what}", file.display());
                let text = fs::read_to_string(file).map_err(|error| said(error.to_string()))?;
                parse(&text).map_err(said)?
            }
        };
        rules.extend(&self.fixed);
        Ok(rules)
    }

    /// When the file was changed last, and its length; `None` when it is not there.
    fn state(&self) -> Option<(SystemTime, u64)> {
        let file = fs::metadata(self.file.as_ref()?).ok()?;
        Some((file.modified().ok()?, file.len()))
    }
}

/// The rules in a file's text, or the first line that is none.
fn parse(text: &str) -> Result<RuleSet, String> {
    let mut rules = RuleSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().collect();
        let (verdict, named) = match words[..] {
            [] => continue,
            ["allow", named] => (Verdict::Allow, named),
            ["deny", named] => (Verdict::Deny, named),
            _ => {
                return Err(format!(
                    "line {number}: write allow or deny, and one rule, such as: deny port:53"
                ));
            }
        };
        let rule = named.parse().map_err(|error| format!("line {number}: {named}: {error}"))?;
        rules.insert(rule, verdict);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_verdict_and_a_rule() {
        let rules = parse("# ours\n\nallow 10.0.0.0/8  # all of it\n deny port:53\nallow port:53\n").unwrap();
        let expected = [("10.0.0.0/8", Verdict::Allow), ("port:53", Verdict::Allow)];
        assert_eq!(rules, expected.map(|(rule, verdict)| (rule.parse().unwrap(), verdict)).into());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let message = parse("allow port:1\nport:53\n").unwrap_err();
        assert_eq!(message, "line 2: write allow or deny, and one rule, such as: deny port:53");
        let message = parse("deny port:x").unwrap_err();
        assert!(message.starts_with("line 1: port:x: write a prefix such as"), "{message}");
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "deny port:53\ndeny port:80\n").unwrap();
        let rule = |text: &str| text.parse::<Rule>().unwrap();
        let fixed = RuleSet::from([(rule("port:53"), Verdict::Allow)]);
        let plan = RulePlan { fixed, file: Some(file.path().to_owned()) };
        let expected = [(rule("port:53"), Verdict::Allow), (rule("port:80"), Verdict::Deny)];
        assert_eq!(plan.read_all(), Ok(expected.into()));
    }
}

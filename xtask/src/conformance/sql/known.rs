//! Differences that are explained, by class.

use super::answer::Answer;
use super::question::Question;

/// A class of differences, and why tapline is right, or what is to be mended.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) reason: &'static str,
    applies: fn(&Question, &Answer, &Answer) -> bool,
}

const CLASSES: [Class; 1] = [Class {
    name: "sign of an unsigned column",
    reason: "refused: tapline negates signed numbers only, which no column is; 0 - x says the same",
    applies: |_, ours, _| is_error(ours, "Unary operator '-' only supports signed numeric"),
}];

fn is_error(answer: &Answer, beginning: &str) -> bool {
    answer.as_ref().is_err_and(|error| error.starts_with(beginning))
}

/// The class of a difference between our answer and theirs.
pub(super) fn class(question: &Question, ours: &Answer, theirs: &Answer) -> Option<&'static Class> {
    CLASSES.iter().find(|class| (class.applies)(question, ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::super::both::Both;
    use super::*;

    #[test]
    fn a_class_explains_its_error_and_no_other() {
        let question = Question { sql: Both::default(), kinds: vec![], is_ordered: false };
        let class_of = |ours: Answer| class(&question, &ours, &Ok(vec![])).map(|class| class.name);
        let refused = "Unary operator '-' only supports signed numeric, interval and timestamp types";
        assert_eq!(class_of(Err(refused.to_owned())), Some("sign of an unsigned column"));
        assert_eq!(class_of(Err("Internal error".to_owned())), None);
        assert_eq!(class_of(Ok(vec![vec![]])), None);
    }
}

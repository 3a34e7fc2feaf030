//! Names of queries and columns, as metrics and labels may be called.

/// A text as a part of a metric's name: whatever is no letter, digit or `_` becomes one `_`.
pub(crate) fn part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for character in text.chars() {
        let fits = character.is_ascii_alphanumeric();
        if fits || !part.ends_with('_') {
            part.push(if fits { character } else { '_' });
        }
    }
    let part = part.trim_matches('_');
    if part.is_empty() { "column".to_owned() } else { part.to_owned() }
}

/// Texts as names of which each is another one, and none of `taken`; `is_label` where they must not begin with a digit.
pub(crate) fn distinct<'a>(
    texts: impl Iterator<Item = &'a str>,
    taken: &[&str],
    is_label: bool,
) -> Vec<String> {
    let mut names: Vec<String> = taken.iter().map(|&name| name.to_owned()).collect();
    for text in texts {
        let mut name = part(text);
        if is_label && name.starts_with(|first: char| first.is_ascii_digit()) {
            name.insert(0, '_');
        }
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.clone()).chain(numbered);
        names.extend(candidates.find(|name| !names.contains(name)));
    }
    names.split_off(taken.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_column_is_called_its_name_is_allowed() {
        let cases = [
            ("octets", "octets"),
            ("sum(octets)", "sum_octets"),
            ("count(*)", "count"),
            ("a-b__c", "a_b_c"),
            ("größe", "gr_e"),
            ("*", "column"),
        ];
        for (text, expected) in cases {
            assert_eq!(part(text), expected);
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let names = distinct(["a", "a", "A(a)", "query", "9"].into_iter(), &["query"], true);
        assert_eq!(names, ["a", "a_2", "A_a", "query_2", "_9"]);
        assert_eq!(distinct(["9"].into_iter(), &[], false), ["9"]);
    }
}

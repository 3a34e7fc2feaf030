//! Patterns of queries' names.

/// Whether a name is as some pattern has it, in which `*` stands for any letters.
#[must_use]
pub fn is_named(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(place) = left.find(part) else { return false };
        left = &left[place + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        let cases = [
            ("*", "top_talkers", true),
            ("top_talkers", "top_talkers", true),
            ("top_talkers", "top_talkers_2", false),
            ("top*", "top_talkers", true),
            ("*talkers", "top_talkers", true),
            ("t*_*s", "top_talkers", true),
            ("a*a", "a", false),
            ("*x*", "top_talkers", false),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(is_named(&["a".to_owned(), "b*".to_owned()], "bc"));
    }
}

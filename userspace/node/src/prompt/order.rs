//! What a line at the prompt asks for.

/// A line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order<'a> {
    /// It is empty.
    Nothing,
    /// Statements.
    Sql(&'a str),
    /// A word behind a backslash, and what stands behind it.
    Command { name: &'a str, argument: &'a str },
}

impl<'a> Order<'a> {
    /// The order in a line, or in several.
    pub(super) fn of(text: &'a str) -> Self {
        let trimmed = text.trim();
        let Some(command) = trimmed.strip_prefix('\\') else {
            let is_empty = trimmed.chars().all(|character| character == ';' || character.is_whitespace());
            return if is_empty { Self::Nothing } else { Self::Sql(text) };
        };
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let end = |text: &'a str| text.trim().trim_end_matches(';').trim_end();
        Self::Command { name: end(name), argument: end(argument) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_behind_a_backslash() {
        for (text, expected) in [
            ("", Order::Nothing),
            (" ;\n", Order::Nothing),
            (" SELECT 1;", Order::Sql(" SELECT 1;")),
            ("\\d", Order::Command { name: "d", argument: "" }),
            ("\\q;", Order::Command { name: "q", argument: "" }),
            (" \\d  packets ;", Order::Command { name: "d", argument: "packets" }),
            ("\\explain SELECT\n1;", Order::Command { name: "explain", argument: "SELECT\n1" }),
        ] {
            assert_eq!(Order::of(text), expected, "{text:?}");
        }
    }
}

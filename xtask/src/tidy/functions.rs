//! Finds functions and their lengths in Rust text.
//!
//! Takes text as rustfmt leaves it: a function ends at the first closing brace that is indented like its
//! beginning. So a line reader is enough, and no parser is compiled.

/// A function with a body of several lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of its `fn`, from 1.
    pub(super) line: usize,
    /// From that line to the closing brace, both included.
    pub(super) lines: usize,
}

/// The functions of a text, in its order, inner ones too.
pub(super) fn find(text: &str) -> Vec<Function> {
    let lines: Vec<_> = text.lines().collect();
    let starts = lines.iter().enumerate().filter_map(|(at, line)| Some((at, name(line)?)));
    let functions = starts.filter_map(|(at, name)| {
        let length = length(&lines[at..])?;
        Some(Function { name: name.to_owned(), line: at + 1, lines: length })
    });
    functions.collect()
}

/// The name of the function that begins on this line.
fn name(line: &str) -> Option<&str> {
    const QUALIFIERS: &[&str] = &["const", "async", "unsafe", "extern", "\"C\"", "default"];
    let line = line.trim_start();
    let public = line.strip_prefix("pub").unwrap_or(line);
    let scope = public.strip_prefix('(').and_then(|scope| scope.split_once(')'));
    let item = scope.map_or(public, |(_, item)| item);
    let mut words = item.split_whitespace().skip_while(|word| QUALIFIERS.contains(word));
    words.next().filter(|word| *word == "fn")?;
    words.next()?.split(['(', '<']).next()
}

/// The lines of the function that begins the text; `None` when it has no body of several lines.
fn length(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    if first.ends_with(['}', ';']) {
        return None;
    }
    let indentation = &first[..first.len() - first.trim_start().len()];
    let (closing, declared) = (format!("{indentation}}}"), format!("{indentation})"));
    let is_end = |line: &&str| *line == closing || line.starts_with(&declared) && line.ends_with(';');
    let end = lines.iter().position(is_end)?;
    (lines[end] == closing).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
impl A {
    pub(in crate::a) const fn first(&self) -> u8 {
        1
    }

    fn one_line() -> u8 { 1 }
}

trait B {
    fn declared(&self);
    fn declared_long(
        &self,
    ) -> u8;
    async fn provided(
        &self,
    ) -> u8 {
        fn inner<T>() {
            x();
        }
        2
    }
}

unsafe extern "C" fn last() {
}
"#;

    #[test]
    fn functions_are_found_with_their_lengths() {
        let found: Vec<_> =
            find(TEXT).into_iter().map(|function| (function.name, function.line, function.lines)).collect();
        let expected = [("first", 3, 3), ("provided", 15, 8), ("inner", 18, 3), ("last", 25, 2)];
        assert_eq!(found, expected.map(|(name, line, lines)| (name.to_owned(), line, lines)));
    }
}

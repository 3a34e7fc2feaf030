//! SQL in two dialects side by side.

/// A piece of SQL as tapline and as the other engine read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) ours: String,
    pub(super) theirs: String,
}

impl Both {
    pub(super) fn new(ours: impl Into<String>, theirs: impl Into<String>) -> Self {
        Self { ours: ours.into(), theirs: theirs.into() }
    }

    /// What both read alike.
    pub(super) fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { ours: text.clone(), theirs: text }
    }

    /// The template with a part in the place of each `{}`.
    pub(super) fn join(template: &str, parts: &[&Self]) -> Self {
        Self::join_apart(template, template, parts)
    }

    /// The templates, of which each dialect has its own, with a part in the place of each `{}`.
    pub(super) fn join_apart(ours: &str, theirs: &str, parts: &[&Self]) -> Self {
        Self {
            ours: filled(ours, parts.iter().map(|part| part.ours.as_str())),
            theirs: filled(theirs, parts.iter().map(|part| part.theirs.as_str())),
        }
    }

    /// The parts with commas between them.
    pub(super) fn list<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|part| (part.ours.as_str(), part.theirs.as_str())).unzip();
        Self { ours: ours.join(", "), theirs: theirs.join(", ") }
    }
}

fn filled<'a>(template: &str, mut parts: impl Iterator<Item = &'a str>) -> String {
    let mut pieces = template.split("{}");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(parts.next().unwrap_or_default());
        text.push_str(piece);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_templates_in_order() {
        let parts = [Both::same("a"), Both::new("x", "y")];
        let joined = Both::join_apart("({} / {})", "({} // {})", &[&parts[0], &parts[1]]);
        assert_eq!(joined, Both::new("(a / x)", "(a // y)"));
        assert_eq!(Both::list(&parts), Both::new("a, x", "a, y"));
    }
}

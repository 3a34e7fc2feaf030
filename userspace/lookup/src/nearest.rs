//! Which of the names that there are one that there is not may have been meant to be.

/// How much two names must look alike, from 0 to 1.
const LIKENESS_MIN: f64 = 0.5;

/// The known name that looks most like `name`, if any does.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    let alike = known.map(|known| (likeness(known), known)).filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known.to_owned())
}

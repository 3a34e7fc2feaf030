//! Rules for what is not code: decision records, the change log, configuration files.
//!
//! Takes the workspace's root, gives findings.

use std::path::Path;

use anyhow::Result;
use toml_edit::Document;

use super::files::{self, File};
use super::{Finding, line_at};

const DECISION_PARTS: [&str; 4] = ["Status", "Context", "Decision", "Consequences"];

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = change_log(root)?;
    let records = files::below(root, "docs/decisions", "md")?;
    findings.extend(records.iter().flat_map(decision));
    findings.extend(unlisted(&records));
    for file in files::below(root, "configs", files::ANY)? {
        findings.extend(configuration(&file));
    }
    Ok(findings)
}

/// The change log has a part for what is not released.
fn change_log(root: &Path) -> Result<Vec<Finding>> {
    const PATH: &str = "CHANGELOG.md";
    if !root.join(PATH).is_file() {
        return Ok(vec![Finding::new(PATH, 1, "the change log is missing")]);
    }
    let file = files::read(root, &root.join(PATH))?;
    if headings(&file.text).any(|heading| heading.contains("Unreleased")) {
        return Ok(Vec::new());
    }
    Ok(vec![Finding::new(PATH, 1, "write a heading `## Unreleased` above the newest release")])
}

/// The index has a line for every decision record.
fn unlisted(records: &[File]) -> Vec<Finding> {
    let is_index = |file: &&File| file.path.ends_with("/README.md");
    let index = records.iter().find(is_index).map_or("", |file| file.text.as_str());
    let missing = records.iter().filter(|file| !is_index(file)).filter_map(|file| {
        let name = file.path.rsplit('/').next()?;
        let says = format!("name it in README.md beside it: [0001]({name})");
        (!index.contains(&format!("({name})"))).then(|| Finding::new(&file.path, 1, says))
    });
    missing.collect()
}

/// The part of a decision record in which tables of figures stand.
const MEASURED: &str = "## Measured";

/// A decision record is named `0001-title.md` and has four parts; what was measured stands behind them.
fn decision(file: &File) -> Vec<Finding> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if name == "README.md" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let (number, _) = name.split_once('-').unwrap_or_default();
    if number.len() != 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        findings.push(Finding::new(
            &file.path,
            1,
            "name it by number and title, such as 0001-build-profile.md",
        ));
    }
    for part in DECISION_PARTS {
        if !headings(&file.text).any(|heading| heading.starts_with(part)) {
            findings.push(Finding::new(&file.path, 1, format!("write a part with the heading `## {part}`")));
        }
    }
    findings.extend(figures(file));
    findings
}

/// A table is of figures, unless it stands where they belong.
fn figures(file: &File) -> Option<Finding> {
    let decided = file.text.lines().take_while(|line| *line != MEASURED);
    let (line, _) = decided.enumerate().find(|(_, line)| line.starts_with("|--"))?;
    let right = format!("a table of figures stands in a last part `{MEASURED}`");
    Some(Finding::new(&file.path, line + 1, right))
}

/// What is in the folder of configuration files is TOML, a query of the starting set, a unit of systemd, a schema for
/// editors, a dashboard of Grafana, or what Prometheus reads, which a test has it check; a README may explain it.
fn configuration(file: &File) -> Vec<Finding> {
    let is_in = |folder: &str, end: &str| file.path.starts_with(folder) && file.path.ends_with(end);
    if is_in("configs/grafana/", ".json") {
        return dashboard(file);
    }
    let is_known = is_in("configs/queries/", ".sql") || is_in("configs/prometheus/", ".yml");
    if is_known || ["README.md", ".service", ".schema.json"].iter().any(|end| file.path.ends_with(end)) {
        return Vec::new();
    }
    if !file.path.ends_with(".toml") {
        let right = "configuration files are named `*.toml`, queries `queries/*.sql`, units `*.service`, schemas `*.schema.json`, dashboards `grafana/*.json`, files of Prometheus `prometheus/*.yml`";
        return vec![Finding::new(&file.path, 1, right)];
    }
    let Err(error) = Document::parse(file.text.as_str()) else { return Vec::new() };
    let start = error.span().map_or(0, |span| span.start);
    let line = line_at(&file.text, start);
    vec![Finding::new(&file.path, line, format!("this is not TOML: {}", error.message()))]
}

/// A dashboard is JSON.
fn dashboard(file: &File) -> Vec<Finding> {
    let Err(error) = serde_json::from_str::<serde_json::Value>(&file.text) else { return Vec::new() };
    vec![Finding::new(&file.path, error.line(), format!("this is not JSON: {error}"))]
}

/// The text of the headings, and of lines such as `Status: accepted`.
fn headings(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| line.starts_with('#') || line.contains(": "))
        .map(|line| line.trim_start_matches(['#', '*', '-', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn decision_records_have_a_number_and_four_parts() {
        let text = "# Title\nStatus: accepted\n## Context\n## Decision\n## Consequences\n";
        assert!(decision(&file("docs/decisions/0001-a.md", text)).is_empty());
        assert_eq!(decision(&file("docs/decisions/1-a.md", text)).len(), 1);
        assert_eq!(decision(&file("docs/decisions/0001-a.md", "# Title\n## Context\n")).len(), 3);
    }

    #[test]
    fn figures_stand_apart_from_what_was_decided() {
        let found = |text: &str| figures(&file("docs/decisions/0001-a.md", text)).map(|finding| finding.line);
        assert_eq!(found("# A\n## Decision\n| a |\n|---|\n## Measured\n"), Some(4));
        assert_eq!(found("# A\n## Decision\n## Measured\n| a |\n|---|\n"), None);
    }

    #[test]
    fn the_index_names_every_record() {
        let records = ["0001-a.md", "0002-b.md"].map(|name| file(&format!("docs/decisions/{name}"), ""));
        let index = file("docs/decisions/README.md", "| [0001](0001-a.md) | why |");
        let missing = unlisted(&[&records[..], &[index]].concat());
        assert_eq!(
            missing.iter().map(|finding| finding.file.as_str()).collect::<Vec<_>>(),
            ["docs/decisions/0002-b.md"]
        );
        assert_eq!(unlisted(&records).len(), 2);
    }

    #[test]
    fn configurations_are_toml() {
        assert!(configuration(&file("configs/a.toml", "a = 1\n")).is_empty());
        assert!(configuration(&file("configs/README.md", "These are\n")).is_empty());
        assert_eq!(configuration(&file("configs/a.yaml", "a: 1\n")).len(), 1);
        assert_eq!(configuration(&file("configs/a.json", "{}")).len(), 1);
        assert!(configuration(&file("configs/prometheus/a.yml", "a: 1\n")).is_empty());
        assert!(configuration(&file("configs/grafana/a.json", "{}")).is_empty());
        assert_eq!(configuration(&file("configs/grafana/a.json", "{")).len(), 1);
        let found = configuration(&file("configs/a.toml", "a = 1\nb = [1,\nc = 2\n"));
        assert_eq!(found.len(), 1);
        assert!(found[0].line >= 2, "{found:?}");
    }

    #[test]
    fn only_headings_count() {
        assert_eq!(headings("# A\nB\n**Status**: x\n").collect::<Vec<_>>(), ["A", "Status**: x"]);
    }
}

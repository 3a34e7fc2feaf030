//! Rules for `Cargo.toml` files.
//!
//! Takes the members of the workspace, gives findings: every member inherits its package fields, lints and
//! dependencies from the workspace, and only few may see DataFusion or Arrow.

use std::path::Path;

use anyhow::{Context, Result};
use toml_edit::{Document, Item};

use super::{Finding, files, line_at};

const INHERITED_FIELDS: &[&str] = &["version", "edition", "rust-version", "license"];

/// The tables that hold dependencies.
pub(super) const DEPENDENCY_TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// The folders of the only packages that may depend on DataFusion.
const MAY_SEE_DATAFUSION: &[&str] = &[
    "userspace/functions",
    "userspace/query",
    "userspace/operators",
    "userspace/sinks",
    "userspace/tables",
    "userspace/psql",
    "userspace/history",
    "userspace/kafka",
    "userspace/node",
    "tests",
    "benches",
];

/// The folders of the packages that build in seconds, which Arrow would forbid.
const LIGHT: &[&str] = &["userspace/trafficgen", "xtask/programs", "xtask/fleet", "xtask"];

/// A package of the workspace.
#[derive(Debug)]
pub(super) struct Member {
    /// Its folder, relative to the workspace's root.
    pub(super) folder: String,
    /// Its name.
    pub(super) name: String,
    /// What it depends on.
    pub(super) dependencies: Vec<Dependency>,
    manifest: Document<String>,
}

/// A line in a table of dependencies.
#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// For tests, examples and benches only.
    pub(super) is_dev: bool,
    pub(super) line: usize,
    is_inherited: bool,
}

impl Member {
    /// The path of its manifest.
    pub(super) fn path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    fn parse(folder: &str, text: String) -> Result<Self> {
        let path = format!("{folder}/Cargo.toml");
        let manifest = Document::parse(text).with_context(|| format!("{path} is not TOML"))?;
        let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Item::as_str);
        let name = name.with_context(|| format!("{path} has no package.name"))?.to_owned();
        let dependencies =
            DEPENDENCY_TABLES.iter().flat_map(|table| dependencies(&manifest, table)).collect();
        Ok(Self { folder: folder.to_owned(), name, dependencies, manifest })
    }
}

/// The members that the workspace lists, in its order.
pub(super) fn members(root: &Path) -> Result<Vec<Member>> {
    let file = files::read(root, &root.join("Cargo.toml"))?;
    let manifest = Document::parse(file.text).context("Cargo.toml is not TOML")?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    let members = members.and_then(Item::as_array).context("Cargo.toml has no workspace.members")?;
    let folders = members.iter().filter_map(|member| member.as_str());
    folders
        .map(|folder| {
            let file = files::read(root, &root.join(folder).join("Cargo.toml"))?;
            Member::parse(folder, file.text)
        })
        .collect()
}

pub(super) fn check(members: &[Member]) -> Vec<Finding> {
    members.iter().flat_map(|member| [inheritance(member), visibility(member)].concat()).collect()
}

/// Fields, lints and dependencies come from the workspace.
fn inheritance(member: &Member) -> Vec<Finding> {
    let path = member.path();
    let package = member.manifest.get("package");
    let missing = INHERITED_FIELDS
        .iter()
        .filter(|field| !inherits(package.and_then(|package| package.get(field))))
        .map(|field| Finding::new(&path, 1, format!("write `{field}.workspace = true` under [package]")));
    let mut findings: Vec<_> = missing.collect();
    if !inherits(member.manifest.get("lints")) {
        findings.push(Finding::new(&path, 1, "write `[lints]` and below it `workspace = true`"));
    }
    let own = member.dependencies.iter().filter(|dependency| !dependency.is_inherited);
    findings.extend(own.map(|Dependency { name, line, .. }| {
        let right =
            format!("declare {name} in the workspace's Cargo.toml and write `{name}.workspace = true`");
        Finding::new(&path, *line, right)
    }));
    findings
}

/// DataFusion and Arrow stay where they belong.
fn visibility(member: &Member) -> Vec<Finding> {
    let folder = member.folder.as_str();
    let wrong = |dependency: &Dependency| {
        let name = dependency.name.as_str();
        if name.starts_with("datafusion") && !MAY_SEE_DATAFUSION.contains(&folder) {
            return Some(format!("{name} may only be seen by {}", MAY_SEE_DATAFUSION.join(", ")));
        }
        let is_heavy = name.starts_with("arrow") || name == "tapline-record";
        let is_light = LIGHT.contains(&folder);
        (is_heavy && is_light).then(|| format!("{folder} builds in seconds; {name} would end that"))
    };
    let findings = member.dependencies.iter().filter_map(|dependency| {
        wrong(dependency).map(|message| Finding::new(&member.path(), dependency.line, message))
    });
    findings.collect()
}

fn inherits(item: Option<&Item>) -> bool {
    item.and_then(|item| item.get("workspace")).and_then(Item::as_bool) == Some(true)
}

fn dependencies(manifest: &Document<String>, table: &str) -> Vec<Dependency> {
    let Some(entries) = manifest.get(table).and_then(Item::as_table_like) else { return Vec::new() };
    let dependency = |(name, item): (&str, &Item)| {
        let key = entries.key(name).and_then(toml_edit::Key::span);
        let start = key.or_else(|| item.span()).map_or(0, |span| span.start);
        Dependency {
            name: name.to_owned(),
            is_dev: table == "dev-dependencies",
            line: line_at(manifest.raw(), start),
            is_inherited: inherits(Some(item)),
        }
    };
    entries.iter().map(dependency).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const INHERITED: &str = "\
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
";

    /// A member that keeps the rules, with these dependencies.
    pub(crate) fn member(folder: &str, name: &str, dependencies: &str) -> Member {
        let text = format!(
            "[package]\nname = \"{name}\"\n{INHERITED}\n[lints]\nworkspace = true\n\n[dependencies]\n{dependencies}"
        );
        Member::parse(folder, text).expect("the manifest is right")
    }

    fn messages(member: Member) -> Vec<String> {
        check(&[member]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_inherited_is_right() {
        assert_eq!(messages(member("a", "a", "anyhow.workspace = true\n")), [""; 0]);
    }

    #[test]
    fn what_is_not_inherited_is_named_with_its_line() {
        let found = messages(member("a", "a", "anyhow.workspace = true\nserde = \"1\"\n"));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("a/Cargo.toml:13: declare serde"), "{found:?}");
        let bare = Member::parse("b", "[package]\nname = \"b\"\nversion = \"1\"\n".to_owned()).unwrap();
        assert_eq!(check(&[bare]).len(), INHERITED_FIELDS.len() + 1);
    }

    #[test]
    fn datafusion_is_seen_by_few() {
        let datafusion = "datafusion.workspace = true\n";
        assert_eq!(messages(member("userspace/query", "q", datafusion)), [""; 0]);
        assert_eq!(messages(member("userspace/engine", "p", datafusion)).len(), 1);
        let child = "datafusion-expr = { workspace = true, features = [\"x\"] }\n";
        assert_eq!(messages(member("userspace/decode", "d", child)).len(), 1);
    }

    #[test]
    fn light_packages_stay_light() {
        let found = messages(member("xtask", "xtask", "arrow-array.workspace = true\n"));
        assert!(found[0].contains("arrow-array would end that"), "{found:?}");
        assert_eq!(messages(member("userspace/decode", "d", "arrow-array.workspace = true\n")), [""; 0]);
    }
}

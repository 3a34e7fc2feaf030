//! The layers of the workspace: a package depends on lower layers only.
//!
//! Takes the members, gives findings. Every package stands in one of two tables: in a layer, or above all of them,
//! where nothing may depend on it.

use super::Finding;
use super::manifests::{Dependency, Member};

/// The folders of the packages, lowest layer first; those of one layer do not see each other.
const LAYERS: &[&[&str]] = &[
    &["ebpf/common"],
    &["userspace/delivery", "userspace/record", "userspace/socket", "userspace/spool", "userspace/tls"],
    &[
        "userspace/decode",
        "userspace/filter",
        "userspace/forward",
        "userspace/lookup",
        "userspace/trafficgen",
    ],
    &["userspace/capture", "userspace/functions", "userspace/interface"],
    &["userspace/exports", "userspace/query"],
    &["userspace/operators", "userspace/sources"],
    &["userspace/engine", "userspace/sinks"],
    &["userspace/aggregate", "userspace/catalog", "userspace/history", "userspace/kafka", "userspace/web"],
    &["userspace/tables"],
    &["userspace/psql", "userspace/serve"],
    &["userspace/node"],
    &["xtask/programs"],
    &["userspace/load", "tests/harness", "xtask/fleet"],
];

/// The folders of the packages that are above all layers.
const ABOVE_ALL: &[&str] = &["ebpf/programs", "xtask", "tests", "benches"];

/// The packages that the tests of all others may use: one makes input, one holds what tests share.
const FOR_TESTS_OF_ALL: [&str; 2] = ["userspace/trafficgen", "tests/harness"];

pub(super) fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings: Vec<_> = members.iter().flat_map(|member| check_member(member, members)).collect();
    findings.extend(members.iter().filter(|member| !is_known(&member.folder)).map(unknown));
    findings
}

/// Whether one of the tables names a folder.
fn is_known(folder: &str) -> bool {
    LAYERS.iter().copied().flatten().chain(ABOVE_ALL).any(|known| *known == folder)
}

fn unknown(member: &Member) -> Finding {
    let right =
        format!("{} has no layer: name it in LAYERS or ABOVE_ALL, and in ARCHITECTURE.md", member.folder);
    Finding::new(&member.path(), 1, right)
}

fn check_member(member: &Member, members: &[Member]) -> Vec<Finding> {
    let upward = member.dependencies.iter().filter_map(|dependency| {
        let target = members.iter().find(|other| other.name == dependency.name)?;
        wrong(&member.folder, &target.folder, dependency.is_dev).then(|| finding(member, dependency, target))
    });
    upward.collect()
}

/// Whether the dependency of one folder on another is against the table.
fn wrong(from: &str, to: &str, is_dev: bool) -> bool {
    if is_dev && FOR_TESTS_OF_ALL.contains(&to) {
        return false;
    }
    layer(to) >= layer(from)
}

/// The number of a folder's layer; that of no layer is above all.
fn layer(folder: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&folder)).unwrap_or(LAYERS.len())
}

fn finding(member: &Member, dependency: &Dependency, target: &Member) -> Finding {
    let order: Vec<_> = LAYERS.iter().map(|layer| layer.join(", ")).collect();
    let message = format!(
        "{} may not depend on {}: only on lower layers, which are, lowest first: {}",
        member.folder,
        target.folder,
        order.join(" → ")
    );
    Finding::new(&member.path(), dependency.line, message)
}

#[cfg(test)]
mod tests {
    use super::super::manifests::tests::member;
    use super::*;

    #[test]
    fn lower_layers_are_seen_and_no_others() {
        let members = [
            member("userspace/record", "record", ""),
            member("userspace/query", "query", "record.workspace = true\n"),
            member("userspace/capture", "capture", "query.workspace = true\nrecord.workspace = true\n"),
            member("xtask", "xtask", "record.workspace = true\n"),
        ];
        let found = check(&members);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.starts_with("userspace/capture may not depend on userspace/query"));
    }

    #[test]
    fn nothing_depends_on_what_is_above_all() {
        assert!(wrong("userspace/node", "xtask", false));
        assert!(wrong("xtask", "tests", true));
        assert!(!wrong("tests", "userspace/node", false));
    }

    #[test]
    fn a_package_without_a_layer_is_found() {
        let found = check(&[member("userspace/record", "record", ""), member("userspace/new", "new", "")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("userspace/new/Cargo.toml:1: userspace/new has no layer"));
    }

    #[test]
    fn tests_of_all_may_generate_traffic_and_share_a_harness() {
        assert!(!wrong("userspace/record", "userspace/trafficgen", true));
        assert!(wrong("userspace/record", "userspace/trafficgen", false));
        assert!(
            !wrong("userspace/decode", "tests/harness", true)
                && wrong("userspace/decode", "tests/harness", false)
        );
    }
}

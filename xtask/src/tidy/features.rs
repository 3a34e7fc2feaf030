//! The product and the rest of the workspace choose the same features of dependencies.
//!
//! Cargo adds up the features that all selected packages ask for, those of development dependencies when tests
//! are built. Where another member asks for a feature that the product does without, everything above that
//! dependency is compiled twice, and if it is below DataFusion that costs ten minutes. Takes cargo's trees,
//! gives the packages that differ.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::Finding;
use crate::process;
use crate::workspace::WITH_KAFKA;

/// Packages by name and version, each with its features; more than once when it is built for the machine that
/// builds with other features.
type Features<'a> = BTreeSet<(&'a str, &'a str)>;

pub(super) fn check() -> Result<Vec<Finding>> {
    let product = tree(&[&["--package", "tapline", "--edges", "normal,build"], &WITH_KAFKA[..]].concat())?;
    let workspace = tree(&[&["--workspace", "--edges", "normal,build,dev"], &WITH_KAFKA[..]].concat())?;
    Ok(compare(&features(&product), &features(&workspace)))
}

/// What cargo says about the selected packages: one a line, with features.
fn tree(arguments: &[&str]) -> Result<String> {
    let mut command = process::cargo();
    command.args(["tree", "--quiet", "--prefix", "none", "--format", "{p}|{f}"]).args(arguments);
    let output = command.output().with_context(|| process::does_not_start(&command))?;
    process::succeeded(&command, output.status)
        .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn features(tree: &str) -> Features<'_> {
    tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')).collect()
}

fn compare(product: &Features, workspace: &Features) -> Vec<Finding> {
    let findings = product.difference(workspace).map(|(package, own)| {
        let found = workspace.iter().filter(|(other, _)| other == package);
        let found: Vec<_> = found.map(|(_, features)| format!("[{features}]")).collect();
        let message = format!(
            "the product takes features [{own}] of {package}, the workspace {}: all above it is compiled twice; \
             find who asks with `cargo tree --workspace --edges features --invert {}`",
            found.join(" and "),
            package.split(' ').next().unwrap_or_default()
        );
        Finding::new("Cargo.toml", 1, message)
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCT: &str = "tapline v0.1.0|\ngetrandom v0.4.3|\n";

    #[test]
    fn equal_features_are_right() {
        let workspace = "tapline v0.1.0|\ngetrandom v0.4.3|\ngetrandom v0.4.3| (*)\nproptest v1.0.0|std\n";
        assert!(compare(&features(PRODUCT), &features(workspace)).is_empty());
    }

    #[test]
    fn a_feature_that_only_others_ask_for_is_found() {
        let workspace = "tapline v0.1.0|\ngetrandom v0.4.3|std,sys_rng\n";
        let found = compare(&features(PRODUCT), &features(workspace));
        assert_eq!(found.len(), 1);
        let start = "the product takes features [] of getrandom v0.4.3, the workspace [std,sys_rng]: ";
        assert!(found[0].message.starts_with(start), "{found:?}");
        assert!(found[0].message.ends_with("--invert getrandom`"), "{found:?}");
    }
}

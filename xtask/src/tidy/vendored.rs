//! The libraries of the page are what `cargo xtask vendor-web` made.
//!
//! Takes the folder `web/vendor`, gives findings: a file that is not as its SHA-256 says, is missing, or is not listed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::Finding;

const FOLDER: &str = "web/vendor";
/// In the format of sha256sum(1).
const LIST: &str = "SHA256SUMS";

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let folder = root.join(FOLDER);
    let mut there = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{FOLDER} cannot be read"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let octets = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        there.insert(name, octets);
    }
    let list = there.remove(LIST).unwrap_or_default();
    let sums = there.into_iter().map(|(name, octets)| (name, sum(&octets))).collect();
    Ok(compare(&String::from_utf8_lossy(&list), &sums))
}

/// What a list says otherwise than the files are, by their names.
fn compare(list: &str, there: &BTreeMap<String, String>) -> Vec<Finding> {
    let listed: BTreeMap<&str, &str> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    let finding = |name: &str, what: &str| {
        let right = format!("{what}: `cargo xtask vendor-web` makes this folder");
        Finding::new(&format!("{FOLDER}/{name}"), 1, right)
    };
    let changed = there.iter().filter_map(|(name, sum)| match listed.get(name.as_str()) {
        None => Some(finding(name, &format!("{LIST} does not name this file"))),
        Some(listed) if listed != sum => Some(finding(name, &format!("this is not what {LIST} says"))),
        Some(_) => None,
    });
    let missing = listed.keys().filter(|name| !there.contains_key(**name));
    changed.chain(missing.map(|name| finding(name, "this file is missing"))).collect()
}

fn sum(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_is_listed_is_found() {
        let sum = sum(b"abc");
        assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let there: BTreeMap<String, String> =
            ["a.js", "b.js"].into_iter().map(|name| (name.to_owned(), sum.clone())).collect();
        let found =
            |list: &str| compare(list, &there).into_iter().map(|finding| finding.file).collect::<Vec<_>>();
        assert_eq!(found(&format!("{sum}  a.js\n{sum}  b.js\n")), [""; 0]);
        assert_eq!(found(&format!("{sum}  a.js\n00  b.js\n")), ["web/vendor/b.js"]);
        assert_eq!(found(&format!("{sum}  a.js\n")), ["web/vendor/b.js"]);
        assert_eq!(found(&format!("{sum}  a.js\n{sum}  b.js\n{sum}  c.js\n")), ["web/vendor/c.js"]);
    }
}

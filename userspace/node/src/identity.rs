//! Who this node is: what its file says, or the name of its host.

use crate::config::NodeTable;
use tapline_query::Identity;
use tapline_sinks::host_name;

/// Characters of a name, of a site, and of each tag.
const LENGTH_MAX: usize = 64;

/// The name of a node on a host that has none.
const NO_NAME: &str = "localhost";

/// A node of which nothing is said.
pub(crate) fn of_host() -> Identity {
    let name = if host_name().is_empty() { NO_NAME } else { host_name() };
    Identity { sensor: name.to_owned(), site: None }
}

/// A node as its file has it.
pub(crate) fn of_table(table: &NodeTable) -> Identity {
    let sensor = table.name.clone().unwrap_or_else(|| of_host().sensor);
    Identity { sensor, site: table.site.clone() }
}

/// Refuses names by which nobody could call it.
pub(crate) fn check(table: &NodeTable) -> Result<(), String> {
    if let Some(name) = table.name.as_deref().filter(|name| !is_name(name)) {
        return Err(format!("[node] name = \"{}\": {NAMES}", name.escape_debug()));
    }
    if let Some(site) = table.site.as_deref().filter(|site| !is_text(site)) {
        return Err(format!("[node] site = \"{}\": {TEXTS}", site.escape_debug()));
    }
    match table.tags.iter().find(|(tag, value)| !is_name(tag) || !is_text(value)) {
        None => Ok(()),
        Some((tag, _)) if !is_name(tag) => Err(format!("[node] tags: \"{}\": {NAMES}", tag.escape_debug())),
        Some((tag, value)) => Err(format!("[node] tags: {tag} = \"{}\": {TEXTS}", value.escape_debug())),
    }
}

const NAMES: &str = "a name is 1 to 64 letters, digits, dots, hyphens and underscores";
const TEXTS: &str = "write 1 to 64 characters, none of them a control character";

/// Patterns are told from names by their letters, and files are called after names.
fn is_name(name: &str) -> bool {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    is_text(name) && name.chars().all(is_of_name)
}

fn is_text(text: &str) -> bool {
    let length = text.chars().count();
    (1..=LENGTH_MAX).contains(&length) && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_as_its_file_says_or_as_its_host() {
        let table = NodeTable { site: Some("Berlin 2".to_owned()), ..NodeTable::default() };
        let identity = of_table(&table);
        assert_eq!((&identity.sensor, identity.site.as_deref()), (&of_host().sensor, Some("Berlin 2")));
        assert!(!identity.sensor.is_empty());
        let named = NodeTable { name: Some("pop-1".to_owned()), ..table };
        assert_eq!((check(&named), of_table(&named).sensor), (Ok(()), "pop-1".to_owned()));
    }

    #[test]
    fn names_are_such_as_patterns_can_tell() {
        let long = "a".repeat(LENGTH_MAX + 1);
        for name in ["", "pop 1", "pop-*", "ü", long.as_str()] {
            let table = NodeTable { name: Some(name.to_owned()), ..NodeTable::default() };
            assert!(check(&table).unwrap_err().ends_with(NAMES), "{name}");
        }
        let tagged = |tag: &str, value: &str| NodeTable {
            tags: [(tag.to_owned(), value.to_owned())].into(),
            ..NodeTable::default()
        };
        assert_eq!(check(&tagged("rack", "B 4")), Ok(()));
        assert!(check(&tagged("a rack", "B 4")).unwrap_err().contains("\"a rack\""));
        assert!(check(&tagged("rack", "")).unwrap_err().contains("rack = \"\""));
    }
}

//! The files of the page.
//!
//! Takes a path, gives what is served there, gzipped beforehand. The files stand in the folder `web`, and are in the
//! binary: a node needs nothing beside it.

#![forbid(unsafe_code)]

use flate2::read::GzDecoder;
use std::io::Read as _;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its media type, as in the header `Content-Type`.
    pub content_type: &'static str,
    /// Another one for other octets, in quotes, as in the header `ETag`.
    pub etag: &'static str,
    /// What is in it, gzipped.
    pub gzip: &'static [u8],
}

impl Asset {
    /// What is in it, for whoever does not take it gzipped.
    ///
    /// # Panics
    /// Never: what was gzipped here is whole.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = vec![];
        GzDecoder::new(self.gzip)
            .read_to_end(&mut octets)
            .expect("invariant: the file was gzipped as a whole");
        octets
    }
}

/// The file at a path, such as `/js/main.js`; `/` is the page itself.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    let path = if path == "/" { "/index.html" } else { path };
    ASSETS.iter().find(|(known, _)| *known == path).map(|(_, asset)| asset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn text(path: &str) -> String {
        String::from_utf8(asset(path).unwrap().octets()).unwrap()
    }

    #[test]
    fn the_page_is_there_with_all_that_it_names() {
        let page = text("/");
        let quoted: BTreeSet<&str> = page.split('"').skip(1).step_by(2).collect();
        let is_file = |value: &&str| value.starts_with('/') && !value.starts_with("/api/");
        let named: Vec<&str> = quoted.into_iter().filter(is_file).collect();
        assert!(named.len() > 10, "{named:?}");
        let missing: Vec<&str> = named.into_iter().filter(|path| asset(path).is_none()).collect();
        assert_eq!(missing, [""; 0]);
        assert!(asset("/js/nothing.js").is_none() && asset("/vendor/SHA256SUMS").is_none());
    }

    /// The modules that one of ours needs at once, by their paths.
    fn imports(path: &str) -> Vec<String> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let text = text(path);
        let named = text.lines().filter_map(|line| line.split_once(" from \"")?.1.strip_suffix("\";"));
        named.map(|name| joined(folder, name)).collect()
    }

    /// A path below a folder, without `.` and `..`.
    fn joined(folder: &str, name: &str) -> String {
        let mut parts: Vec<&str> = folder.split('/').collect();
        for part in name.split('/') {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    #[test]
    fn what_the_first_screen_needs_is_loaded_at_once() {
        let page = text("/");
        let mut found = vec!["/js/main.js".to_owned()];
        for place in 0.. {
            let Some(path) = found.get(place).cloned() else { break };
            assert!(asset(&path).is_some(), "there is no {path}");
            assert!(
                page.contains(&format!("\"{path}\"")),
                "name {path} in web/index.html, as `modulepreload`"
            );
            let new = if path.starts_with("/js/") { imports(&path) } else { vec![] };
            found.extend(new.into_iter().filter(|path| !found.contains(path)).collect::<Vec<_>>());
        }
        assert!(found.len() > 10, "{found:?}");
    }

    #[test]
    fn every_module_that_is_imported_is_there() {
        for (path, _) in ASSETS.iter().filter(|(path, _)| path.starts_with("/js/")) {
            let missing: Vec<String> =
                imports(path).into_iter().filter(|path| asset(path).is_none()).collect();
            assert_eq!(missing, [""; 0], "{path}");
        }
    }

    #[test]
    fn nothing_stands_inline_which_the_policy_forbids() {
        for (path, asset) in ASSETS.iter().filter(|(path, _)| path.ends_with(".html")) {
            let text = String::from_utf8(asset.octets()).unwrap();
            for inline in ["<style", " style=", "javascript:", " onclick="] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
    }

    #[test]
    fn other_octets_have_another_tag() {
        let tags: BTreeSet<&str> = ASSETS.iter().map(|(_, asset)| asset.etag).collect();
        assert_eq!(tags.len(), ASSETS.len());
        assert!(tags.iter().all(|tag| tag.starts_with('"') && tag.ends_with('"') && tag.len() == 18));
    }
}

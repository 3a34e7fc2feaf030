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
        let named: Vec<&str> = quoted.into_iter().filter(|value| value.starts_with('/')).collect();
        assert!(named.len() > 10, "{named:?}");
        let missing: Vec<&str> = named.into_iter().filter(|path| asset(path).is_none()).collect();
        assert_eq!(missing, [""; 0]);
        assert!(asset("/js/nothing.js").is_none() && asset("/vendor/SHA256SUMS").is_none());
    }

    #[test]
    fn every_module_is_loaded_before_it_is_asked_for() {
        let page = text("/");
        let modules = ASSETS.iter().map(|(path, _)| *path).filter(|path| path.starts_with("/js/"));
        let late: Vec<&str> = modules.filter(|path| !page.contains(&format!("\"{path}\""))).collect();
        assert_eq!(late, [""; 0], "name them in web/index.html, as `modulepreload`");
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

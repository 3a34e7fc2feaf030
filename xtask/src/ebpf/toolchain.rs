//! What can build kernel programs: a compiler that may use unstable features, the sources of its library, and
//! bpf-linker.
//!
//! Takes what is installed, gives a cargo that is set up for it, or says what is missing. A nightly toolchain of
//! rustup goes before the system's compiler, which Debian packages with its sources.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Where Debian's `rustc-web` and its relatives put their programs.
const SYSTEM_PROGRAMS: &str = "/usr/bin";
/// The library's sources, below a toolchain's root.
const SOURCES: &str = "lib/rustlib/src/rust/library/core/Cargo.toml";

/// How kernel programs are compiled: debug information becomes BTF; `v3` is what kernels have understood since
/// 5.1; frames are not aligned, and the kernel lets programs read them all the same.
const RUSTFLAGS: [&str; 4] = [
    "-Cdebuginfo=2",
    "-Ctarget-cpu=v3",
    "-Clink-arg=--btf",
    "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
];

/// What the environment of this program's own cargo says, which does not hold for the other one.
const NOT_INHERITED: [&str; 6] =
    ["RUSTUP_TOOLCHAIN", "RUSTC", "RUSTC_WRAPPER", "RUSTFLAGS", "RUSTDOC", "CARGO_BUILD_TARGET"];

/// A toolchain that builds kernel programs.
#[derive(Debug)]
pub(crate) struct Toolchain {
    compiler: Compiler,
    linker: PathBuf,
}

/// A compiler whose library's sources are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// rustup's toolchain `nightly`.
    Nightly,
    /// The system's own.
    System,
}

impl Toolchain {
    /// The toolchain that is there, or what is missing.
    pub(crate) fn find() -> Result<Self> {
        let Some(compiler) = Compiler::find() else {
            bail!("no Rust compiler with the sources of its library; `cargo xtask setup --for ebpf` helps");
        };
        let Some(linker) = linker() else {
            bail!("bpf-linker not found; `cargo xtask setup --for ebpf` helps");
        };
        Ok(Self { compiler, linker })
    }

    /// Its cargo.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.compiler.cargo();
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        if self.compiler == Compiler::System {
            command.env("RUSTC", Path::new(SYSTEM_PROGRAMS).join("rustc")).env("RUSTC_BOOTSTRAP", "1");
        }
        let linker = format!("-Clinker={}", self.linker.display());
        let flags: Vec<_> = RUSTFLAGS.into_iter().chain([linker.as_str()]).collect();
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        command
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compiler = match self.compiler {
            Compiler::Nightly => "rustup's nightly",
            Compiler::System => "the system's rustc",
        };
        write!(f, "{compiler} and {}", self.linker.display())
    }
}

impl Compiler {
    /// The compiler that is there.
    pub(crate) fn find() -> Option<Self> {
        [Self::Nightly, Self::System].into_iter().find(|compiler| compiler.has_sources())
    }

    fn has_sources(self) -> bool {
        self.root().is_some_and(|root| root.join(SOURCES).is_file())
    }

    /// The folder that the compiler says it lives in.
    fn root(self) -> Option<PathBuf> {
        let mut command = match self {
            Self::Nightly => rustup("rustc")?,
            Self::System => Command::new(Path::new(SYSTEM_PROGRAMS).join("rustc")),
        };
        let output = command.env_remove("RUSTUP_TOOLCHAIN").args(["--print", "sysroot"]).output().ok()?;
        let root = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| PathBuf::from(root.trim()))
    }

    fn cargo(self) -> Command {
        match self {
            Self::Nightly => rustup("cargo").unwrap_or_else(|| Command::new("cargo")),
            Self::System => Command::new(Path::new(SYSTEM_PROGRAMS).join("cargo")),
        }
    }
}

/// A program of rustup's toolchain `nightly`; it is not installed by asking for it.
fn rustup(program: &str) -> Option<Command> {
    let mut command = Command::new(process::find("rustup")?);
    command.args(["run", "nightly", program]);
    Some(command)
}

/// Where bpf-linker is: in the search path, or where cargo installs programs.
pub(crate) fn linker() -> Option<PathBuf> {
    process::find("bpf-linker").or_else(|| {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
        Some(home.join("bin/bpf-linker")).filter(|file| file.is_file())
    })
}

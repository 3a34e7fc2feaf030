//! `cargo xtask package`: a package for Debian and its descendants.
//!
//! Takes a profile, builds the product by it, gives `<target>/package/tapline_<version>_<architecture>.deb`: the binary,
//! a unit of systemd, a configuration, pages of the manual, completions. `--check` installs it in a copy of this system's
//! files, starts a node from it, and purges it.

mod texts;
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tapline_programs::folders;

use crate::setup::{self, Purpose};
use crate::{ebpf, process, style, workspace};
use tree::Tree;

/// What tries the package.
const CHECK: &str = include_str!("check.sh");
/// Namespaces that it has of its own.
const OF_ITS_OWN: [&str; 4] = ["--mount", "--net", "--pid", "--fork"];

/// Build the package for Debian.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How the binary is built
    #[arg(long, value_enum, default_value_t = Profile::Dist)]
    profile: Profile,
    /// Install it in a copy of this system's files, start a node from it, and purge it
    #[arg(long)]
    check: bool,
}

/// How a binary is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// All of it optimised, which takes long
    Dist,
    /// As for tests: only what runs per row is optimised
    Release,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Dist => "dist",
            Self::Release => "release",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::try_for(Purpose::Package);
    ebpf::prepare();
    let package = build(&binary(arguments.profile)?)?;
    process::run(Command::new("dpkg-deb").arg("--info").arg(&package))?;
    lint(&package)?;
    if arguments.check {
        check(&package)?;
    }
    println!("{}", package.display());
    Ok(())
}

/// Builds the product; its features are those of the whole workspace, as everywhere.
fn binary(profile: Profile) -> Result<PathBuf> {
    if profile == Profile::Release {
        return workspace::build_whole_tapline();
    }
    let arguments = ["build", "--profile", profile.name(), "--workspace", "--bin", "tapline"];
    process::run(process::cargo().args(arguments).args(workspace::WITH_KAFKA))?;
    Ok(folders::target()?.join(profile.name()).join("tapline"))
}

/// Puts the package together.
fn build(binary: &Path) -> Result<PathBuf> {
    let folder = workspace::scratch("package")?;
    let root = folder.join("tree");
    fs::create_dir_all(&root)?;
    folders::clear(&root)?;
    let tree = Tree::new(root);
    eprintln!("{} the package", style::step("Building"));
    program(&tree, binary)?;
    manual(&tree, binary)?;
    completions(&tree, binary)?;
    settings(&tree)?;
    documents(&tree)?;
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    control(&tree, binary, &architecture)?;
    let package = folder.join(format!("tapline_{}_{architecture}.deb", env!("CARGO_PKG_VERSION")));
    let mut command = Command::new("dpkg-deb");
    // The same sources give the same package.
    command.env("SOURCE_DATE_EPOCH", said(workspace_git().args(["log", "-1", "--format=%ct"]))?);
    command.args(["--root-owner-group", "-Zxz", "--build"]).arg(tree.root()).arg(&package);
    process::run(&mut command)?;
    Ok(package)
}

fn program(tree: &Tree, binary: &Path) -> Result<()> {
    let to = tree.copy(binary, "usr/bin/tapline")?;
    process::run(Command::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).arg(&to))?;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    tree.copy(&workspace::root().join("configs/tapline.service"), "usr/lib/systemd/system/tapline.service")?;
    Ok(())
}

fn manual(tree: &Tree, binary: &Path) -> Result<()> {
    let folder = tree.folder("usr/share/man/man1")?;
    process::run(Command::new(binary).arg("manual").arg(&folder))?;
    let pages: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    pages.iter().try_for_each(|page| compress(&page.path()))
}

fn completions(tree: &Tree, binary: &Path) -> Result<()> {
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/tapline"),
        ("zsh", "usr/share/zsh/vendor-completions/_tapline"),
        ("fish", "usr/share/fish/vendor_completions.d/tapline.fish"),
    ] {
        tree.write(path, &output(Command::new(binary).args(["completions", shell]))?)?;
    }
    Ok(())
}

/// What people edit, and what they copy from; its schema is found where it is installed.
fn settings(tree: &Tree) -> Result<()> {
    let configs = workspace::root().join("configs");
    tree.copy(&configs.join("node.schema.json"), "usr/share/tapline/node.schema.json")?;
    for (from, to) in [
        ("node.toml", "etc/tapline/node.toml"),
        ("collector.toml", "usr/share/doc/tapline/examples/collector.toml"),
        ("sensor.toml", "usr/share/doc/tapline/examples/sensor.toml"),
        ("captures.toml", "usr/share/doc/tapline/examples/captures.toml"),
    ] {
        let text =
            fs::read_to_string(configs.join(from)).with_context(|| format!("{from} cannot be read"))?;
        tree.write(
            to,
            &text.replacen("./node.schema.json", "file:///usr/share/tapline/node.schema.json", 1),
        )?;
    }
    Ok(())
}

fn documents(tree: &Tree) -> Result<()> {
    const FOLDER: &str = "usr/share/doc/tapline";
    let root = workspace::root();
    tree.write(&format!("{FOLDER}/copyright"), texts::COPYRIGHT)?;
    let date = said(workspace_git().args(["log", "-1", "--format=%cD"]))?;
    compress(&tree.write(&format!("{FOLDER}/changelog"), &texts::change_log(&date))?)?;
    compress(&tree.copy(&root.join("CHANGELOG.md"), &format!("{FOLDER}/CHANGELOG.md"))?)?;
    tree.copy(&root.join("SECURITY.md"), &format!("{FOLDER}/SECURITY.md"))?;
    let of_product =
        ["tree", "--package", "tapline", "--edges", "normal", "--prefix", "none", "--format", "{p} {l}"];
    let dependencies = output(process::cargo().args(of_product).args(workspace::WITH_KAFKA))?;
    tree.write(&format!("{FOLDER}/dependencies"), &texts::dependencies(&dependencies))?;
    Ok(())
}

/// What dpkg is told, and what it runs.
fn control(tree: &Tree, binary: &Path, architecture: &str) -> Result<()> {
    let versions = ["--text", "--only-matching", "--extended-regexp", "GLIBC_2\\.[0-9]+"];
    let libc = texts::libc_needed(&output(Command::new("grep").args(versions).arg(binary))?);
    let installed_kib = tree.octets()?.div_ceil(1024);
    tree.write("DEBIAN/control", &texts::control(architecture, installed_kib, libc))?;
    tree.write("DEBIAN/conffiles", texts::CONFFILES)?;
    for (name, text) in texts::SCRIPTS {
        let script = tree.write(&format!("DEBIAN/{name}"), text)?;
        fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
    }
    // Behind all that is installed.
    let files = tree.files()?;
    let sums = output(Command::new("md5sum").args(files).current_dir(tree.root()))?;
    tree.write("DEBIAN/md5sums", &sums)?;
    Ok(())
}

/// Looks for what Debian would refuse, where the program that knows it is there.
fn lint(package: &Path) -> Result<()> {
    if process::find("lintian").is_none() {
        eprintln!(
            "{} lintian is not installed, so that nobody looks at the package",
            style::warning("warning:")
        );
        return Ok(());
    }
    process::run(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).arg(package))
}

/// Tries the package.
fn check(package: &Path) -> Result<()> {
    if !setup::is_root() {
        bail!("only root can install the package to try it; please type: sudo cargo xtask package --check");
    }
    let mut command = Command::new("unshare");
    process::run(command.args(OF_ITS_OWN).args(["bash", "-c", CHECK, "check.sh"]).arg(package))
}

fn compress(file: &Path) -> Result<()> {
    process::run(Command::new("gzip").args(["--best", "--no-name", "--force"]).arg(file))
}

fn workspace_git() -> Command {
    let mut command = Command::new("git");
    command.current_dir(workspace::root());
    command
}

/// What a command says, in one line.
fn said(command: &mut Command) -> Result<String> {
    Ok(output(command)?.trim().to_owned())
}

/// What a command that ends well writes.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| process::does_not_start(command))?;
    process::succeeded(command, output.status)
        .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

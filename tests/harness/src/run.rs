//! Runs the built binary.
//!
//! Takes a command line, gives exit code and output. The binary is the one that `TAPLINE_BIN` names,
//! or the newest in the release and debug folders beside the running test. A run that takes longer
//! than `TIME_LIMIT` is ended and fails the test.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No run of the tests takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What came of a run.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("results are UTF-8")
    }

    /// Standard output of a run that must have succeeded.
    ///
    /// # Panics
    /// When the exit code is not 0.
    #[must_use]
    pub fn success(&self) -> &str {
        assert_eq!(self.code, Some(0), "exit code; stderr:\n{}", self.stderr);
        self.text()
    }
}

/// Runs `tapline` with these arguments and no input.
///
/// # Panics
/// When there is no binary, or it does not end in time.
#[must_use]
pub fn tapline<A: AsRef<OsStr>>(arguments: &[A]) -> Finished {
    finish(command(arguments).stdin(Stdio::null()))
}

/// Runs `tapline` with these arguments and a file as its standard input.
///
/// # Panics
/// When there is no binary, it does not end in time, or the file cannot be read.
#[must_use]
pub fn tapline_reading<A: AsRef<OsStr>>(input: &Path, arguments: &[A]) -> Finished {
    let input = File::open(input).expect("the input can be opened");
    finish(command(arguments).stdin(input))
}

/// Runs `tapline` with these arguments and a standard input that holds `octets` and never ends.
///
/// # Panics
/// When there is no binary, or it does not end in time.
#[must_use]
pub fn tapline_fed<A: AsRef<OsStr>>(octets: Vec<u8>, arguments: &[A]) -> Finished {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let _never_ends = writer.try_clone().expect("a pipe");
    // The child's end closes the pipe, and that ends the writing.
    std::thread::spawn(move || writer.write_all(&octets));
    finish(command(arguments).stdin(reader))
}

/// Runs `tapline` with these arguments and a standard input that holds `octets` and goes on. When standard
/// output shows `text`, it ends, or the run gets Ctrl-C's signal.
///
/// # Panics
/// When there is no binary, the text is not shown in time, or the run does not end in time.
#[must_use]
pub fn tapline_fed_until<A: AsRef<OsStr>>(
    octets: Vec<u8>,
    arguments: &[A],
    text: &str,
    how: Ending,
) -> Finished {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let goes_on = writer.try_clone().expect("a pipe");
    std::thread::spawn(move || writer.write_all(&octets));
    let running = Running::start(command(arguments).stdin(reader));
    running.wait_for("out", text);
    let goes_on = match how {
        Ending::Input => {
            drop(goes_on);
            None
        }
        Ending::Interrupt => {
            running.interrupt();
            Some(goes_on)
        }
    };
    let finished = running.finish();
    drop(goes_on);
    finished
}

/// Runs `tapline` with these arguments and a standard input that holds `octets` and goes on. When all but what a pipe
/// holds is read, the run gets Ctrl-C's signal.
///
/// # Panics
/// When there is no binary, it does not read, or it does not end in time.
#[must_use]
pub fn tapline_fed_and_interrupted<A: AsRef<OsStr>>(octets: &[u8], arguments: &[A]) -> Finished {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let running = Running::start(command(arguments).stdin(reader));
    writer.write_all(octets).expect("the run reads");
    running.interrupt();
    running.finish()
}

/// Runs `tapline` with these arguments and no input; gives it Ctrl-C's signal when `work` is done.
///
/// # Panics
/// When there is no binary, or it does not end in time.
#[must_use]
pub fn tapline_during<A: AsRef<OsStr>>(arguments: &[A], work: impl FnOnce()) -> Finished {
    let running = Running::start(command(arguments).stdin(Stdio::null()));
    work();
    running.interrupt();
    running.finish()
}

/// Runs `tapline` with these arguments and no input; does `work` again and again until it ends by itself.
///
/// # Panics
/// When there is no binary, or it does not end in time.
#[must_use]
pub fn tapline_while<A: AsRef<OsStr>>(arguments: &[A], mut work: impl FnMut()) -> Finished {
    let mut running = Running::start(command(arguments).stdin(Stdio::null()));
    while running.child.try_wait().expect("the child can be waited for").is_none() {
        running.nap();
        work();
    }
    running.finish()
}

/// Where output goes that nobody takes.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// A device that is full.
    Full,
    /// A pipe whose reader has gone.
    Closed,
}

impl Stream {
    fn open(self) -> Stdio {
        match self {
            Self::Full => File::options().write(true).open("/dev/full").expect("a full device").into(),
            Self::Closed => std::io::pipe().expect("a pipe").1.into(),
        }
    }
}

/// Runs `tapline` with these arguments and no input, standard output or standard error being such a stream.
///
/// # Panics
/// When there is no binary, or it does not end in time.
#[must_use]
pub fn tapline_into<A: AsRef<OsStr>>(
    arguments: &[A],
    stdout: Option<Stream>,
    stderr: Option<Stream>,
) -> Finished {
    let mut command = command(arguments);
    Running::start_into(command.stdin(Stdio::null()), [stdout, stderr].map(|stream| stream.map(Stream::open)))
        .finish()
}

/// Runs `tapline` with these arguments and no input; what it writes to either stream comes as standard output, through
/// one pipe.
///
/// # Panics
/// When there is no binary, or it does not end.
#[must_use]
pub fn tapline_in_one<A: AsRef<OsStr>>(arguments: &[A]) -> Finished {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = command(arguments);
    let both = writer.try_clone().expect("a pipe");
    let mut child =
        command.stdin(Stdio::null()).stdout(writer).stderr(both).spawn().expect("the binary starts");
    // The command keeps the ends that the child writes to.
    drop(command);
    let mut stdout = vec![];
    reader.read_to_end(&mut stdout).expect("a pipe");
    let code = child.wait().expect("the child can be waited for").code();
    Finished { code, stdout, stderr: String::new() }
}

/// A command of `tapline-load`, the program behind `cargo xtask load`, which is built beside `tapline`.
///
/// # Panics
/// When there is no binary.
#[must_use]
pub fn tapline_load() -> Command {
    let program = BINARY.with_file_name("tapline-load");
    assert!(program.is_file(), "no binary: cargo build --release --workspace --bin tapline-load");
    Command::new(program)
}

/// A command of `xtask`, the program behind `cargo xtask`, as it was built last in either profile.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn xtask() -> Command {
    Command::new(newest_built("xtask").expect("no binary: cargo build --package xtask"))
}

/// The binary.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn binary() -> &'static Path {
    &BINARY
}

/// How a run is brought to its end.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// Its standard input ends.
    Input,
    /// It gets SIGINT.
    Interrupt,
}

pub(crate) fn command<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(&*BINARY);
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

fn finish(command: &mut Command) -> Finished {
    Running::start(command).finish()
}

/// A run that may still go on; it ends with this value.
pub(crate) struct Running {
    child: Child,
    /// Output goes to files, so that neither pipe can fill up and stop the child.
    folder: TempDir,
    /// Since when its end is waited for.
    waiting_since: Instant,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_into(command, [None, None])
    }

    fn start_into(command: &mut Command, [stdout, stderr]: [Option<Stdio>; 2]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let create = |name: &str| File::create(folder.path().join(name)).expect("a temporary file").into();
        let [out, err] = ["out", "err"].map(create);
        command.stdout(stdout.unwrap_or(out)).stderr(stderr.unwrap_or(err));
        let child = command.spawn().expect("the binary starts");
        Self { child, folder, waiting_since: Instant::now() }
    }

    /// Waits until it ends.
    pub(crate) fn finish(mut self) -> Finished {
        self.waiting_since = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                break status.code();
            }
            self.nap();
        };
        let stderr = String::from_utf8_lossy(&self.output("err")).into_owned();
        Finished { code, stdout: self.output("out"), stderr }
    }

    fn interrupt(&self) {
        self.signal("INT");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal can be sent");
    }

    pub(crate) fn resident_octets(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("by proc(5)");
        1024 * kibibytes.trim().trim_end_matches(" kB").parse::<u64>().expect("by proc(5)")
    }

    /// Waits until standard output, `out`, or standard error, `err`, shows a text.
    pub(crate) fn wait_for(&self, stream: &str, text: &str) {
        let begun = Instant::now();
        while !self.text(stream).contains(text) {
            assert!(begun.elapsed() < TIME_LIMIT, "not said: {text}; but: {}", self.text(stream));
            sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn text(&self, stream: &str) -> String {
        String::from_utf8_lossy(&self.output(stream)).into_owned()
    }

    fn output(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).expect("a temporary file")
    }

    fn nap(&self) {
        assert!(self.waiting_since.elapsed() < TIME_LIMIT, "still running after {} s", TIME_LIMIT.as_secs());
        sleep(Duration::from_millis(2));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let named = std::env::var_os("TAPLINE_BIN").map(PathBuf::from);
    let found = named.or_else(|| newest_built("tapline")).filter(|path| path.is_file());
    found.expect("no binary: cargo build --release -p tapline, or set TAPLINE_BIN")
});

/// The program of this name that was built last. Test binaries are in `TARGET/PROFILE/deps`.
fn newest_built(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let target = test.ancestors().nth(3)?;
    let candidates = ["release", "debug"].map(|profile| target.join(profile).join(name));
    let built = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    candidates.into_iter().filter(|path| path.is_file()).max_by_key(built)
}

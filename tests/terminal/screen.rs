//! A pseudo-terminal with the product on it, or another program: what is typed, and what is to be seen.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const TIME_LIMIT: Duration = Duration::from_secs(60);

pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const TAB: &str = "\t";
pub(crate) const UP: &str = "\x1b[A";

/// The product on a terminal; it ends with this value.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// What was looked at already.
    seen: usize,
}

impl Terminal {
    /// Starts `tapline` on a terminal of so many columns, with its state in a folder.
    pub(crate) fn start(arguments: &[&str], columns: u16, state: &Path) -> Self {
        let mut command = Command::new(harness::run::binary());
        command.args(arguments).env("XDG_STATE_HOME", state).env_remove("RUST_LOG");
        Self::with(command, columns)
    }

    /// Starts a program on a terminal of so many columns.
    pub(crate) fn with(mut command: Command, columns: u16) -> Self {
        let (master, slave) = pair(columns);
        let end = || slave.try_clone().unwrap();
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        // SAFETY: both calls are allowed between fork and exec; they make the terminal the child's own.
        unsafe { command.pre_exec(own_terminal) };
        let child = command.spawn().unwrap();
        drop((command, slave));
        let mut keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(vec![]));
        let (mut reader, shown) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        thread::spawn(move || {
            let mut octets = [0; 4096];
            // At its end, a terminal without a program gives an error.
            while let Ok(count @ 1..) = reader.read(&mut octets) {
                shown.lock().unwrap().extend_from_slice(&octets[..count]);
            }
        });
        keyboard.flush().unwrap();
        Self { child, keyboard, screen, seen: 0 }
    }

    /// Types keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line when the prompt is there, and gives what is shown up to the next prompt.
    pub(crate) fn answer(&mut self, line: &str) -> String {
        self.press(line);
        self.press("\r");
        self.shown_before_prompt()
    }

    /// What is shown up to the next prompt, without what steers the terminal.
    pub(crate) fn shown_before_prompt(&mut self) -> String {
        // What was typed ends with a new line, or with the mark of Ctrl-C, over which the prompt is written.
        let is_typed = |new: &str| new.contains("\r\n") || new.contains("^C");
        self.wait_for(|new| is_typed(new) && new.trim_end_matches(['\r', '\n']).ends_with("tapline> "))
    }

    /// Waits until something is shown behind what was looked at, and gives all of it.
    pub(crate) fn wait_for(&mut self, is_there: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let shown = self.all();
            let new = plain(&shown[self.seen.min(shown.len())..]);
            if is_there(&new) {
                self.seen = shown.len();
                return new;
            }
            assert!(started.elapsed() < TIME_LIMIT, "not shown in time; but: {new:?}");
            sleep(Duration::from_millis(5));
        }
    }

    fn all(&self) -> Vec<u8> {
        self.screen.lock().unwrap().clone()
    }

    /// The exit code, when it has ended by itself.
    pub(crate) fn code(mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < TIME_LIMIT, "still there: {:?}", plain(&self.all()));
            sleep(Duration::from_millis(5));
        }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Text without sequences that steer a terminal.
fn plain(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\x1b' {
            plain.push(character);
            continue;
        }
        if rest.next() == Some('[') {
            let _ = rest.find(|character| ('@'..='~').contains(character));
        }
    }
    plain
}

/// Both ends of a new terminal of so many columns.
fn pair(columns: u16) -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let nothing = std::ptr::null_mut();
    // SAFETY: it writes two numbers and reads the size; no name and no settings are asked for or given.
    let opened =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, nothing, std::ptr::null(), &raw const size) };
    assert_eq!(opened, 0, "a terminal is there");
    // SAFETY: both were just opened, and nobody else has them.
    unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

/// Makes standard input the terminal of a session of its own.
fn own_terminal() -> std::io::Result<()> {
    // SAFETY: no memory is touched.
    let is_done = unsafe { libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0 };
    if is_done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

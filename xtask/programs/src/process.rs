//! Runs other programs.
//!
//! Takes commands, gives their success or an error that names the command line and how it ended.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};

/// Runs the command; its output goes where ours goes.
///
/// # Errors
/// When it does not start, or does not end well.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| does_not_start(command))?;
    succeeded(command, status)
}

/// An error unless the command ended well.
///
/// # Errors
/// Unless it did.
pub fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("`{}` ended with {}", line(command), describe(status))
}

/// What to say when the command could not be started.
pub fn does_not_start(command: &Command) -> String {
    format!("`{}` does not start", line(command))
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_owned();
    let words = std::iter::once(name.as_os_str()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Where a program is: in the search path, or where the system keeps its daemons.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_typed() {
        let mut command = Command::new("/usr/bin/tshark");
        command.args(["-r", "it's here.pcap", "-q"]);
        assert_eq!(line(&command), r"tshark -r 'it'\''s here.pcap' -q");
    }

    #[test]
    fn failures_name_the_command_and_its_end() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'exit 3'` ended with exit code 3");
        let error = run(Command::new("sh").args(["-c", "kill -9 $$"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'kill -9 $$'` ended with signal 9");
        assert!(run(&mut Command::new("no-such-program")).is_err());
    }
}

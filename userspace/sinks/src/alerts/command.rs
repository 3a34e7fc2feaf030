//! Notices by a program of this machine: one at a time, without a shell, with the notice on its standard input.

use super::notice::Notice;
use super::{Tell, harmless};
use crate::outlet::{Told, Turn};
use crate::sink::Refusal;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often a notice is given to a program that fails.
const TRIES_MAX: u32 = 5;
/// Between two looks whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long its output is waited for behind its end: what it left in the background may have it open.
const OUTPUT_WITHIN: Duration = Duration::from_millis(500);
/// Octets of its output that are read, and lines of it that are told.
const OUTPUT_OCTETS_MAX: u64 = 1 << 16;
const LINES_TOLD_MAX: usize = 20;

/// Which program is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOptions {
    /// The program.
    pub program: String,
    /// What it is given; nothing of it is looked at by a shell.
    pub arguments: Vec<String>,
    /// How long it may take; then it is killed, with all of its process group.
    pub time_limit: Duration,
}

pub(super) struct CommandTeller {
    options: CommandOptions,
    told: Told,
}

impl CommandTeller {
    pub(super) fn new(options: CommandOptions, told: Told) -> Self {
        Self { options, told }
    }

    /// Runs it; gives how it ended, nothing where it was killed, and what it said.
    fn run(&self, notice: &Notice) -> io::Result<(Option<ExitStatus>, String)> {
        let (reader, writer) = io::pipe()?;
        let (input, mut inlet) = io::pipe()?;
        let output = read(reader)?;
        let body = notice.body.clone();
        // One that reads none of it does not hold us up.
        thread::Builder::new()
            .name("out input".to_owned())
            .spawn(move || inlet.write_all(body.as_bytes()))?;
        let mut command = Command::new(&self.options.program);
        command
            .args(&self.options.arguments)
            .env("TAPLINE_STATE", notice.state.name())
            .env("TAPLINE_QUERY", &notice.query)
            .env("TAPLINE_ID", &notice.id)
            .stdin(input)
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let mut child = command.spawn()?;
        // Ends of pipes that are the program's now; as long as we have them open, its output does not end.
        drop(command);
        let status = wait(&mut child, self.options.time_limit)?;
        Ok((status, output.recv_timeout(OUTPUT_WITHIN).unwrap_or_default()))
    }
}

impl Tell for CommandTeller {
    fn tell(&mut self, notice: &Notice) -> Result<(), Refusal> {
        let program = &self.options.program;
        let outcome = self.run(notice);
        let (status, output) =
            outcome.map_err(|error| Refusal::Later(format!("{program} cannot be run: {error}")))?;
        for line in output.lines().filter(|line| !line.trim().is_empty()).take(LINES_TOLD_MAX) {
            (self.told)(Turn::Better, &format!("{program}: {}", harmless(line)));
        }
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Refusal::Later(format!("{program} {}", said(status)))),
            None => {
                let limit = self.options.time_limit.as_secs_f64();
                Err(Refusal::Later(format!("{program} was killed: it took longer than {limit} s")))
            }
        }
    }

    fn tries_max(&self) -> u32 {
        TRIES_MAX
    }
}

fn said(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Reads what it says, on a thread of its own, as far as that is of use; the rest is read and dropped.
fn read(mut reader: PipeReader) -> io::Result<Receiver<String>> {
    let (sender, receiver) = channel();
    let read = move || {
        let mut output = vec![];
        // What was read before an error counts.
        let _ = (&mut reader).take(OUTPUT_OCTETS_MAX).read_to_end(&mut output);
        let _ = io::copy(&mut reader, &mut io::sink());
        let _ = sender.send(String::from_utf8_lossy(&output).into_owned());
    };
    thread::Builder::new().name("out output".to_owned()).spawn(read)?;
    Ok(receiver)
}

/// Waits until it ends; what takes too long is killed.
fn wait(child: &mut Child, at_most: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= at_most {
            // It leads its group, and as long as nobody has waited for it, its number is nobody else's.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notice::State;
    use std::sync::{Arc, Mutex};

    type Said = Arc<Mutex<Vec<String>>>;

    fn teller(script: &str, time_limit: Duration) -> (CommandTeller, Said) {
        let said = Said::default();
        let hears = Arc::clone(&said);
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let options = CommandOptions { program: "/bin/sh".to_owned(), arguments, time_limit };
        let told: Told = Arc::new(move |_, line: &str| hears.lock().unwrap().push(line.to_owned()));
        (CommandTeller::new(options, told), said)
    }

    fn notice(body: String) -> Notice {
        let (id, query) = ("sweep firing 1".to_owned(), "sweep".to_owned());
        Notice { id, query, state: State::Firing, decided: 0, tries: 0, body }
    }

    #[test]
    fn it_reads_the_notice_and_what_it_says_is_told() {
        let script = "cat; echo; printf '%s of \\033[7m%s\\n' $TAPLINE_STATE $TAPLINE_QUERY >&2";
        let (mut teller, said) = teller(script, Duration::from_secs(10));
        teller.tell(&notice(r#"{"a":1}"#.to_owned())).unwrap();
        assert_eq!(*said.lock().unwrap(), [r#"/bin/sh: {"a":1}"#, "/bin/sh: firing of [7msweep"]);
    }

    #[test]
    fn what_fails_hangs_or_is_not_there_is_said() {
        let why = |script: &str| {
            let (mut teller, _) = teller(script, Duration::from_millis(300));
            let begun = Instant::now();
            // More than a pipe has room for, which nobody reads.
            let refusal = teller.tell(&notice("x".repeat(1 << 20))).unwrap_err();
            assert!(begun.elapsed() < Duration::from_secs(5), "{script}");
            assert!(matches!(refusal, Refusal::Later(_)), "{refusal}");
            refusal.to_string()
        };
        assert_eq!(why("exit 7"), "/bin/sh ended with exit code 7");
        assert_eq!(why("kill -TERM $$"), "/bin/sh was ended by signal 15");
        // A child of it that would go on is killed with it.
        assert_eq!(why("sleep 60 & sleep 60"), "/bin/sh was killed: it took longer than 0.3 s");
        let (mut teller, _) = teller("", Duration::from_secs(1));
        teller.options.program = "/no/such/program".to_owned();
        let refusal = teller.tell(&notice(String::new())).unwrap_err().to_string();
        assert!(refusal.starts_with("/no/such/program cannot be run: "), "{refusal}");
    }
}

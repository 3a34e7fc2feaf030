//! What the programs say themselves, of what happens seldom in them.
//!
//! Takes a level, for all programs that this process loads from then on, and somebody to tell; a thread for each program
//! looks for messages now and then. A message that there is no room for is lost, and no frame with it.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// Between two looks for messages.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who is told what is said.
type Tell = fn(&str);

/// What is said, and who is told.
static LOGGING: OnceLock<(LogLevel, Tell)> = OnceLock::new();

/// From which level on programs say something; each one holds what is above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LogLevel {
    /// Frames are lost.
    Error = 1,
    /// Something does not do what it is there for.
    Warn,
    /// Something is not used, and why.
    Info,
}

impl LogLevel {
    const ALL: [(&str, Self); 3] = [("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info)];

    /// As the programs know it.
    pub(super) const fn number(self) -> u8 {
        self as u8
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found
            .map(|(_, level)| level)
            .ok_or_else(|| "programs speak at the levels error, warn and info".to_owned())
    }
}

/// Has the programs that are loaded from now on say what happens in them; the first call counts.
pub fn log_at(level: LogLevel, tell: fn(&str)) {
    let _ = LOGGING.set((level, tell));
}

/// From which level on programs say something, if they are to.
pub(super) fn level() -> Option<LogLevel> {
    LOGGING.get().map(|(level, _)| *level)
}

/// Somebody who is told what programs say.
struct Listener(Tell);

impl Log for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        (self.0)(&format!("{}: {}", record.level().as_str().to_lowercase(), record.args()));
    }

    fn flush(&self) {}
}

/// A thread that tells what a program says, until this is dropped.
pub(super) struct Messages {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Messages {
    /// Begins to tell what an object says, which was loaded for that.
    ///
    /// # Errors
    /// When the object says nothing.
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Option<Self>, aya_log::Error> {
        let Some((_, tell)) = LOGGING.get() else { return Ok(None) };
        let mut logger = EbpfLogger::init_with_logger(ebpf, Listener(*tell))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Acquire) {
                logger.flush();
                thread::sleep(LOOK_EVERY);
            }
            logger.flush();
        });
        Ok(Some(Self { is_over, thread: Some(thread) }))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names() {
        assert_eq!("warn".parse(), Ok(LogLevel::Warn));
        let message = "programs speak at the levels error, warn and info".to_owned();
        assert_eq!("trace".parse::<LogLevel>(), Err(message));
    }
}

//! Signals that a node takes.

use crate::failure::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What was asked for by signals.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// By Ctrl-C, or SIGTERM: to end; the second one ends the program at once.
    pub(crate) ends: Arc<AtomicBool>,
    /// By SIGHUP: to read anew what can change.
    pub(crate) reloads: Arc<AtomicBool>,
}

/// Listens to the signals of a node.
pub(crate) fn listen() -> Result<Signals, Failure> {
    let signals = Signals { ends: ends().map_err(|error| cannot(&error))?, reloads: Arc::default() };
    register(SIGHUP, Arc::clone(&signals.reloads)).map_err(|error| cannot(&error))?;
    Ok(signals)
}

/// Set by the first Ctrl-C, or SIGTERM; the second one ends the program at once.
pub(crate) fn interrupts() -> Result<Arc<AtomicBool>, Failure> {
    ends().map_err(|error| cannot(&error))
}

fn ends() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))?;
        register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

fn cannot(error: &io::Error) -> Failure {
    Failure::Run(format!("signals cannot be handled: {error}"))
}

//! Signals that a node takes.

use crate::failure::Failure;
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default, register_conditional_shutdown};
use signal_hook::low_level::unregister;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Ctrl-C, which ends one thing and not the program, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Interrupt {
    flag: Arc<AtomicBool>,
    id: SigId,
}

impl Interrupt {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        let id = register(SIGINT, Arc::clone(&flag)).map_err(|error| cannot(&error))?;
        Ok(Self { flag, id })
    }

    pub(crate) const fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    pub(crate) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        unregister(self.id);
    }
}

/// SIGTERM and SIGHUP, which end the program at once, but while something is held that is to be given back before.
#[derive(Debug)]
pub(crate) struct Leaving {
    is_free: Arc<AtomicBool>,
    is_asked: Arc<AtomicBool>,
}

impl Leaving {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let leaving = Self { is_free: Arc::new(AtomicBool::new(true)), is_asked: Arc::default() };
        for signal in [SIGTERM, SIGHUP] {
            register_conditional_default(signal, Arc::clone(&leaving.is_free))
                .map_err(|error| cannot(&error))?;
            register(signal, Arc::clone(&leaving.is_asked)).map_err(|error| cannot(&error))?;
        }
        Ok(leaving)
    }

    /// Whether such a signal came while something was held.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Something is held until what this gives is dropped.
    pub(crate) fn hold(&self) -> Held {
        self.is_free.store(false, Ordering::Relaxed);
        Held(Arc::clone(&self.is_free))
    }
}

/// Something that is to be given back before the program ends.
#[derive(Debug)]
pub(crate) struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn cannot(error: &io::Error) -> Failure {
    Failure::Run(format!("signals cannot be handled: {error}"))
}

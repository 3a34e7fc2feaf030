//! Why the program ends without success, and the exit code that says so.

use std::process::ExitCode;

/// A failure, told in the words for the person at the keyboard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Wrong usage or SQL: nothing was started.
    #[error("{0}")]
    Usage(String),
    /// Something failed while it ran.
    #[error("{0}")]
    Run(String),
    /// The same, of which was told already.
    #[error("told already")]
    Told,
}

impl Failure {
    /// 1 failed while running, 2 wrong usage or SQL.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run(_) | Self::Told => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

//! What whoever runs queries sees while they run: results, warnings, and how far the input was read.

use crate::arguments::QueryPlan;
use crate::message::say;
use crate::output::Output;
use crate::progress::ProgressBar;
use crate::summary;
use crate::windows::WindowCount;
use std::io;
use tapline_engine::WindowResult;
use tapline_sources::{Notice, Progress};

/// Results and progress, as they come.
pub(crate) struct Screen {
    output: Output,
    progress: ProgressBar,
    windows: Option<WindowCount>,
    allowed_lateness_ms: u32,
}

impl Screen {
    /// A screen for results in `output`, which are counted where `--windows` asks for so many.
    pub(crate) fn new(plan: &QueryPlan, output: Output, windows: Option<WindowCount>) -> Self {
        let allowed_lateness_ms = plan.source_options.exports_lateness_ms();
        Self { output, progress: ProgressBar::new(plan.has_progress), windows, allowed_lateness_ms }
    }

    /// Writes what is left.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.progress.clear();
        self.output.finish()
    }

    /// Writes a result of the query at this place.
    pub(crate) fn write(&mut self, query: usize, result: &WindowResult) -> io::Result<()> {
        if let Some(windows) = &mut self.windows {
            windows.note(query, result);
        }
        self.output.write(query, result)
    }

    /// Tells what somebody should hear of.
    pub(crate) fn notice(&self, notice: &Notice) {
        let text = summary::notice(notice, self.allowed_lateness_ms);
        self.progress.aside(|| say!("warning: {text}"));
    }

    /// Tells that a source ended before its input did, while others may go on.
    pub(crate) fn source_failed(&self, name: &str, failure: &str) {
        self.progress.aside(|| say!("warning: {}", summary::of_failure(name, failure)));
    }

    /// Shows what was written, and how far the input was read: nothing comes at the moment.
    pub(crate) fn idle(&mut self, now: Progress) -> io::Result<()> {
        self.progress.show(now);
        self.output.show()
    }
}

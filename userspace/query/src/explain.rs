//! What `--explain` prints: both halves, the panes between them, and the columns that are built.

use crate::catalog::STREAMS;
use crate::continuous::{ContinuousQuery, Upper};
use crate::flow_table::FlowTable;
use crate::in_kernel::InKernel;
use crate::limits;
use crate::lower::{Fold, LowerHalf};
use crate::window::{Window, format_interval};
use std::fmt::Write as _;
use tapline_record::{PACKET_FLOWS, TABLE_FLOWS};

impl ContinuousQuery {
    /// A description for a person, several lines.
    #[must_use]
    pub fn describe(&self) -> String {
        limits::with_stack(|| self.describe_all())
    }

    fn describe_all(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.describe_window());
        if let Some(sensors) = self.written_sensors() {
            let _ = writeln!(text, "on sensors: {sensors}");
        }
        for stream in STREAMS.into_iter().chain([&PACKET_FLOWS, &TABLE_FLOWS]) {
            let Some(columns) = self.columns_of(stream) else { continue };
            let names: Vec<String> =
                columns.iter().map(|&column| stream.field(column).name().clone()).collect();
            let _ = writeln!(text, "columns built: {} ({})", stream.name, names.join(", "));
        }
        match self.in_kernel() {
            Some(InKernel::AllBut { condition, extent }) => {
                let _ = writeln!(text, "kernel filter: WHERE {condition}, {extent}");
            }
            Some(InKernel::Nothing(why)) => {
                let _ = writeln!(text, "kernel filter: none: {why}");
            }
            None => {}
        }
        for lower in &self.lowers {
            describe_lower(&mut text, lower, self.flow_table);
        }
        match &self.upper {
            Upper::Stream { skip, fetch } => {
                let limit = fetch.map_or("all rows".to_owned(), |rows| format!("at most {rows} rows"));
                let offset = if *skip > 0 { format!(", after the first {skip}") } else { String::new() };
                let by = if self.window.is_some() { "by sensor, " } else { "" };
                let _ = writeln!(text, "upper half: none; {limit}{offset}, {by}in input order");
            }
            Upper::Windows(upper) => {
                let often = if self.window.is_some() { "once per closed window" } else { "once, at the end" };
                describe_upper(&mut text, often, &upper.plan.display_indent().to_string());
            }
            Upper::Best { half: upper, .. } => {
                let often = "over the best rows so far and new ones";
                describe_upper(&mut text, often, &upper.plan.display_indent().to_string());
            }
        }
        text
    }

    fn describe_window(&self) -> String {
        let Some(window) = self.window else {
            return "window: none, the whole input is one".to_owned();
        };
        if let (Some(every), Some(pane), Some((size, _))) =
            (self.early, self.pane_width(), window.size_and_slide())
        {
            let [every, pane_width] = [every, pane].map(format_interval);
            return format!(
                "window: {window}, given so far each {every}, put together from {} panes of {pane_width}",
                size / pane
            );
        }
        match (window, window.pane_width()) {
            (Window::Hop { size, .. }, Some(pane)) => {
                let pane_width = format_interval(pane);
                format!("window: {window}, put together from {} panes of {pane_width}", size / pane)
            }
            (_, Some(pane)) => format!("window: {window}, one pane of {}", format_interval(pane)),
            (_, None) => format!("window: {window}, rows after WHERE in input order, on one worker"),
        }
    }
}

fn describe_lower(text: &mut String, lower: &LowerHalf, table: Option<FlowTable>) {
    let fold = match &lower.fold {
        Fold::Rows(_) => "rows as they are",
        Fold::Aggregate(_) => "one partial aggregate a group and pane",
    };
    let over = table.map(|table| format!(", over {}", table.name())).unwrap_or_default();
    let nothing = if lower.branches.is_empty() { "; nothing is read for it here" } else { "" };
    let _ = writeln!(text, "lower half, per batch on every worker{over}: {fold}{nothing}");
    indent(text, &lower.plan.display_indent().to_string());
}

fn describe_upper(text: &mut String, often: &str, plan: &str) {
    let _ = writeln!(text, "upper half, {often}:");
    indent(text, plan);
}

fn indent(text: &mut String, plan: &str) {
    for line in plan.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

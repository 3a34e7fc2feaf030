//! `tapline query`: plan the queries, open the input, run, print.

use crate::arguments::{QueryPlan, SummaryFormat};
use crate::failure::Failure;
use crate::identity;
use crate::input;
use crate::log::NodeLog;
use crate::lookups;
use crate::message::say;
use crate::output::{Output, QueryOutput};
use crate::running::{self, RunError};
use crate::screen::Screen;
use crate::signals;
use crate::summary::{self, Account};
use crate::windows::WindowCount;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tapline_capture::End;
use tapline_catalog::Log;
use tapline_engine::EngineError;
use tapline_query::{ContinuousQuery, Planner, check_elements};
use tapline_sources::{Clock as _, SystemClock};

/// Runs the command.
pub(crate) fn run(plan: &QueryPlan) -> Result<(), Failure> {
    run_until(plan, signals::interrupts)
}

/// Runs the queries until the input ends, or what `interrupts` gives is set.
pub(crate) fn run_until(
    plan: &QueryPlan,
    interrupts: impl FnOnce() -> Result<Arc<AtomicBool>, Failure>,
) -> Result<(), Failure> {
    let queries = plan_queries(plan)?;
    input::check(plan, &queries)?;
    input::check_flags(plan, &queries)?;
    let (queries, reasons) = input::place(plan, &queries);
    if plan.explain || queries.iter().any(|query| query.explain) {
        return Output::to_stdout_text(&describe(plan, &queries, &reasons));
    }
    let opened = input::open(plan, &queries)?;
    let named = plan.queries.iter().zip(&queries);
    let named: Vec<_> =
        named.map(|((name, _), query)| QueryOutput::new(name, query, plan.input.is_live())).collect();
    let output = Output::open(plan.format, plan.output.as_deref(), named)?;
    let input_ends = interrupts()?;
    if plan.input.is_live() {
        let log: Log = Arc::new(NodeLog::new(plan.source_options.exports_lateness_ms()));
        lookups::follow(&plan.tables, &log);
    }
    let windows = plan.windows.map(|wanted| WindowCount::new(wanted, &queries, Arc::clone(&input_ends)));
    let mut screen = Screen::new(plan, output, windows);
    if let Some(duration) = plan.duration {
        end_after(duration, Arc::clone(&input_ends));
    }
    let outcome = running::run(opened.sources, queries, plan, &input_ends, &mut screen);
    let finished = screen.finish();
    let account = outcome.and_then(|outcome| {
        finished.map_err(RunError::Output)?;
        let account = Account::of(outcome, &opened.accounts, opened.disorder_ns);
        account.ok_or(RunError::Engine(EngineError::ThreadDied))
    });
    report(plan, account)
}

/// Ends the input when the time is over.
fn end_after(duration: Duration, input_ends: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        std::thread::sleep(duration);
        input_ends.store(true, Ordering::Relaxed);
    });
}

fn plan_queries(plan: &QueryPlan) -> Result<Vec<ContinuousQuery>, Failure> {
    let planner = Planner::with_tables(&plan.tables).starting(SystemClock.now());
    let planner = planner.with_identity(identity::of_host());
    let plan_one = |(name, sql): &(String, String)| {
        let planned = planner.plan(sql).and_then(|query| query.check_names_no_sensors().map(|()| query));
        planned.map_err(|error| {
            let which = if plan.queries.len() > 1 { format!("{name}: ") } else { String::new() };
            Failure::Usage(format!("{which}{error}"))
        })
    };
    let queries = plan.queries.iter().map(plan_one).collect::<Result<Vec<_>, _>>()?;
    let queries = with_early(plan, queries)?;
    check_elements(&queries).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(queries)
}

/// The queries, given early where that is asked for.
fn with_early(plan: &QueryPlan, queries: Vec<ContinuousQuery>) -> Result<Vec<ContinuousQuery>, Failure> {
    let Some(every) = plan.early else { return Ok(queries) };
    let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
    let with_early = |(query, (name, _)): (ContinuousQuery, &(String, String))| {
        let refused = |message: String| Failure::Usage(format!("--early: {name}: {message}"));
        query.with_early(every).map_err(refused)
    };
    queries.into_iter().zip(&plan.queries).map(with_early).collect()
}

/// What the filter and each query do, and why a query reads packets where a flow table is.
fn describe(plan: &QueryPlan, queries: &[ContinuousQuery], reasons: &[Vec<String>]) -> String {
    let named = plan.queries.iter().zip(queries).zip(reasons);
    let describe = |(((name, _), query), reasons): ((&(String, String), &ContinuousQuery), &Vec<String>)| {
        let title = if queries.len() > 1 { format!("{name}\n") } else { String::new() };
        let reasons = reasons.iter().map(|reason| format!("reads packets: {reason}\n"));
        format!("{title}{}{}", query.describe(), reasons.collect::<String>())
    };
    let is_told_to_kernel = queries.iter().any(|query| query.is_told_to_kernel);
    let filter = plan.filter.iter().map(|filter| filter.describe(is_told_to_kernel));
    let directions = input::describe_directions(plan, queries).into_iter();
    let readers = input::describe_readers(plan, queries).into_iter();
    filter.chain(directions).chain(readers).chain(named.map(describe)).collect::<Vec<_>>().join("\n")
}

/// What was not read to its end, for other reasons than that somebody ended it.
fn failures_of(account: &Account) -> Vec<String> {
    let damaged = account.files.iter().filter(|(_, end)| matches!(end, Some(End::Damaged { .. })));
    let damaged = damaged.map(|(name, _)| format!("{name} is damaged; its rest was not read"));
    let failed = account.failures.iter();
    damaged.chain(failed.map(|(name, failure)| summary::of_failure(name, failure))).collect()
}

fn tell(failures: &[String]) {
    failures.iter().for_each(|failure| say!("error: {failure}"));
}

/// Prints the account, and says what went wrong.
fn report(plan: &QueryPlan, result: Result<Account, RunError>) -> Result<(), Failure> {
    match result {
        Ok(account) => {
            let failures = failures_of(&account);
            // As JSON, the account is the last line.
            let is_json = plan.summary == SummaryFormat::Json;
            if is_json {
                tell(&failures);
            }
            summary::print(plan, &account);
            if !is_json {
                tell(&failures);
            }
            if failures.is_empty() { Ok(()) } else { Err(Failure::Told) }
        }
        Err(RunError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(RunError::Query { query, message }) => {
            let name = plan.queries.get(query).map_or("query", |(name, _)| name.as_str());
            Err(Failure::Run(format!("{name} failed on a row: {message}")))
        }
        Err(error) => Err(Failure::Run(error.to_string())),
    }
}

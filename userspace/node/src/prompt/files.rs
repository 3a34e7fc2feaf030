//! The prompt over capture files or files of exports, each of whose answers is a run of its own.

use super::{Asked, Look, converse};
use crate::arguments::{QueryPlan, name_statements};
use crate::failure::Failure;
use crate::message::say;
use crate::output::Output;
use crate::signals::Interrupt;
use crate::{input, query, schema};
use std::sync::Arc;

/// Answers what is asked at a prompt, about the input of `plan`.
pub(crate) fn run(plan: QueryPlan) -> Result<(), Failure> {
    input::check_files(&plan)?;
    say!("SQL up to a ; asks, such as SELECT protocol, count(*) FROM packets GROUP BY protocol;");
    say!("\\d lists tables, \\? commands; TAB completes; Ctrl-D leaves");
    let format = plan.format;
    converse(&mut Files { plan }, format)
}

struct Files {
    plan: QueryPlan,
}

impl Files {
    fn run(&mut self, sql: &str, is_explained: bool) -> Result<(), Failure> {
        self.plan.queries = name_statements(sql);
        self.plan.explain = is_explained;
        self.plan.check_queries()?;
        let interrupt = Interrupt::listen()?;
        query::run_until(&self.plan, || Ok(Arc::clone(interrupt.flag())))
    }
}

impl Asked for Files {
    fn ask(&mut self, sql: &str, look: Look) -> Result<(), Failure> {
        self.plan.format = look.format;
        self.plan.quiet = !look.has_timing;
        self.run(sql, false)
    }

    fn explain(&mut self, sql: &str) -> Result<(), Failure> {
        self.run(sql, true)
    }

    fn describe(&mut self, name: Option<&str>) -> Result<(), Failure> {
        match name {
            None => Output::to_stdout_text(&schema::tables()),
            Some(_) => schema::print(name),
        }
    }
}

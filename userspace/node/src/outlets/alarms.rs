//! Alarms and who is told of them, as `[[sink]]` of a file says it.

use super::destination::{one_of, time};
use crate::config::SinkTable;
use crate::proof::is_of_this_machine;
use std::time::Duration;
use tapline_catalog::{AlertCondition, AlertOption, ConfiguredAlert};
use tapline_sinks::{AlertBy, CommandOptions, WebhookOptions};

/// Where nothing is said of them.
const ROWS_MAX: u32 = 20;
/// More of them would be no notice: a thousand of these may wait.
const ROWS_MOST: u32 = 1000;
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What the table of this name says of the queries that it names: each row of them is to be told.
pub(super) fn alert(table: &SinkTable, name: &str) -> Result<Option<ConfiguredAlert>, String> {
    let Some(queries) = table.queries.clone() else {
        let said = [
            ("by", table.by.is_some()),
            ("cool_down", table.cool_down.is_some()),
            ("resolve_after", table.resolve_after.is_some()),
        ];
        return match said.into_iter().find(|(_, is_said)| *is_said) {
            None => Ok(None),
            Some((key, _)) => Err(format!(
                "{key} is for the queries that a sink names; give queries = [\"port_sweep\"], or leave it out"
            )),
        };
    };
    let usual = AlertOption::default();
    let by = table.by.as_deref().unwrap_or("whole");
    let by = one_of("by", by, &[("whole", AlertBy::Whole), ("key", AlertBy::Key)])?;
    let resolve_after = table.resolve_after.unwrap_or(usual.resolve_after);
    if resolve_after == 0 {
        return Err("resolve_after: write a number of windows, at least 1".to_owned());
    }
    let cool_down = time("cool_down", table.cool_down.as_ref(), usual.cool_down)?;
    let (condition, sinks) = (AlertCondition::Rows, vec![name.to_owned()]);
    Ok(Some(ConfiguredAlert {
        queries,
        alert: AlertOption { condition, by, cool_down, resolve_after, sinks },
    }))
}

/// Rows of one notice.
pub(super) fn rows_max(table: &SinkTable) -> Result<usize, String> {
    let rows_max = table.rows_max.unwrap_or(ROWS_MAX);
    if rows_max > ROWS_MOST {
        return Err(format!("rows_max: a notice has {ROWS_MOST} rows at the most, and not {rows_max}"));
    }
    Ok(rows_max as usize)
}

pub(super) fn webhook(table: &SinkTable) -> Result<WebhookOptions, String> {
    let url = table.url.clone().ok_or("it needs a url: url = \"https://alerts.example/tapline\"")?;
    let is_secure = url.starts_with("https://");
    if !is_secure && !url.starts_with("http://") {
        // It may hold a secret.
        return Err("url: it is none of HTTP; write https://HOST/PATH or http://HOST/PATH".to_owned());
    }
    if table.token_file.is_some() && !is_secure && !is_of_this_machine(&url) {
        return Err(
            "token_file: a token goes to other machines over TLS only; write https:// in url".to_owned()
        );
    }
    Ok(WebhookOptions {
        url,
        headers: table.headers.clone().unwrap_or_default().into_iter().collect(),
        token_file: table.token_file.clone(),
        ca: table.ca_file.clone(),
        time_limit: time("time_limit", table.time_limit.as_ref(), TIME_LIMIT)?,
    })
}

pub(super) fn command(table: &SinkTable) -> Result<CommandOptions, String> {
    let words = table.command.as_deref().unwrap_or_default();
    let Some((program, arguments)) = words.split_first().filter(|(program, _)| !program.is_empty()) else {
        return Err("it needs a command: command = [\"/usr/local/bin/page\", \"--loud\"]".to_owned());
    };
    Ok(CommandOptions {
        program: program.clone(),
        arguments: arguments.to_vec(),
        time_limit: time("time_limit", table.time_limit.as_ref(), TIME_LIMIT)?,
    })
}

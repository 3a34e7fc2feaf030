//! `tapline flows`: the flows that a node sees now, refreshed each second on a terminal, as JSON elsewhere.

use crate::arguments::{FlowsArguments, Shape};
use crate::client::{Client, NodeArguments};
use crate::failure::Failure;
use crate::output::Output;
use crate::overview::{CLEAR, REFRESH, cell, each, short};
use crate::standing::{self, table, text, to_the_right};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, stdout};
use std::thread::sleep;

/// What is shown of a flow; what stands from the fourth on is a number.
const COLUMNS: [&str; 10] =
    ["source", "from", "to", "protocol", "age", "idle", "packets", "octets", "octets/s", "over 10 s"];
const FIRST_NUMBER: usize = 4;

/// Shows the flows of a node so many times, or until Ctrl-C on a terminal.
pub(crate) fn run(node: &NodeArguments, arguments: &FlowsArguments) -> Result<(), Failure> {
    let (client, is_terminal) = (Client::new(node)?, stdout().is_terminal());
    let shape = arguments.format.unwrap_or(if is_terminal { Shape::Table } else { Shape::Json });
    let times = arguments.times.or((!is_terminal).then_some(1));
    let FlowsArguments { limit, order, .. } = arguments;
    let path = format!("/api/v1/active-flows?limit={limit}&order={order}");
    for time in 1.. {
        let answer = client.get(&path)?;
        match shape {
            Shape::Json => standing::print_json(&answer)?,
            Shape::Table => {
                Output::to_stdout_text(&format!(
                    "{}{}",
                    if is_terminal { CLEAR } else { "" },
                    page(&answer)
                ))?;
            }
        }
        if times == Some(time) {
            break;
        }
        sleep(REFRESH);
    }
    Ok(())
}

/// The flows, a line each, and what may be missing.
fn page(answer: &Value) -> String {
    let flows: Vec<&Value> = each(&answer["flows"]).collect();
    let mut page =
        format!("{} of {} flows, {}\n", flows.len(), answer["total"], short(&text(&answer["as_of"])));
    for reason in standing::texts(&answer["reasons"]) {
        let _ = writeln!(page, "! {reason}");
    }
    let mut lines = table(COLUMNS.into_iter());
    for flow in flows {
        let numbers = ["packets", "octets"].map(|name| cell(&flow[name]));
        let rates = ["octets_rate_1s", "octets_rate_10s"].map(|name| whole(&flow[name]));
        let words = [text(&flow["source"]), end(flow, "src"), end(flow, "dst"), protocol(flow)];
        let times = [whole(&flow["age"]), idle(flow)];
        lines.add_row(words.into_iter().chain(times).chain(numbers).chain(rates));
    }
    to_the_right(&mut lines, FIRST_NUMBER..COLUMNS.len());
    let _ = writeln!(page, "\n{lines}");
    page
}

/// An address, and the port behind it where there is one.
fn end(flow: &Value, which: &str) -> String {
    let (ip, port) = (text(&flow[format!("{which}_ip")]), flow[format!("{which}_port")].as_u64());
    match port {
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
        None => ip,
    }
}

/// The protocol by the name that most know it by, with the type of ICMP.
fn protocol(flow: &Value) -> String {
    let kind = flow["icmp_type"].as_u64().map_or_else(String::new, |kind| format!(" type {kind}"));
    match flow["protocol"].as_u64() {
        Some(1) => format!("ICMP{kind}"),
        Some(6) => "TCP".to_owned(),
        Some(17) => "UDP".to_owned(),
        Some(58) => format!("ICMPv6{kind}"),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// Seconds since the last packet, or why there will be none.
fn idle(flow: &Value) -> String {
    let reason = text(&flow["end_reason"]);
    if reason.is_empty() { whole(&flow["idle"]) } else { format!("ended: {reason}") }
}

fn whole(number: &Value) -> String {
    number.as_f64().map_or_else(String::new, |number| format!("{number:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flows_are_shown_with_what_is_known_of_them() {
        let flow = json!({
            "source": "eth0", "src_ip": "10.0.0.1", "dst_ip": "2001:db8::1", "src_port": 1234, "dst_port": 443,
            "protocol": 6, "icmp_type": null, "age": 61.6, "idle": 0.2, "packets": 12, "octets": 3400,
            "octets_rate_1s": 99.5, "octets_rate_10s": null, "end_reason": null,
        });
        let mut echo = flow.clone();
        for (name, value) in [
            ("src_port", Value::Null),
            ("dst_port", Value::Null),
            ("protocol", 1.into()),
            ("icmp_type", 8.into()),
            ("end_reason", "idle".into()),
        ] {
            echo[name] = value;
        }
        let answer = json!({
            "as_of": "2026-11-29T16:00:00.25Z", "complete": false, "reasons": ["eth1 is not read"], "total": 7,
            "flows": [flow, echo],
        });
        let page = page(&answer);
        let lines: Vec<String> =
            page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[0], "2 of 7 flows, 2026-11-29T16:00:00Z");
        assert_eq!(lines[1], "! eth1 is not read");
        assert_eq!(lines[4], "eth0 10.0.0.1:1234 [2001:db8::1]:443 TCP 62 0 12 3400 100");
        assert_eq!(lines[5], "eth0 10.0.0.1 2001:db8::1 ICMP type 8 62 ended: idle 12 3400 100");
    }
}

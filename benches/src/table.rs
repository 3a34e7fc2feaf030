//! The table of `bench offline`.
//!
//! Takes what every program took, gives Markdown: CPU time, wall time, memory, how many times tapline's CPU
//! time that is, and whether the mark is reached.

use anyhow::Result;
use std::fmt::Write;
use tapline_benches::floors;
use tapline_programs::usage::Cost;
use tapline_trafficgen::workload::Workload;

use super::peers::{Contestant, Query, Role};

/// A program and what it cost, or why that is not known.
pub(super) struct Row {
    pub(super) contestant: &'static Contestant,
    pub(super) outcome: Result<Cost>,
}

pub(super) fn markdown(rows: &[Row], workload: &Workload) -> String {
    let Workload { packets, flows, frame_octets, spread, .. } = workload;
    let mut text = format!(
        "\n{packets} packets of {frame_octets} octets, {flows} flows ({spread:?}), one program at a time, \
         CPU time of all its processes; memory at the most, mapped files included.\n\n\
         | program | CPU s | wall s | MB | M packets / CPU s | × tapline | mark |\n\
         |---|--:|--:|--:|--:|--:|---|\n"
    );
    for row in rows {
        let cells = match &row.outcome {
            Ok(Cost { cpu, wall, memory_octets }) => {
                let (cpu, wall) = (cpu.as_secs_f64(), wall.as_secs_f64());
                let (rate, memory) = (*packets as f64 / cpu / 1e6, memory_octets / 1_000_000);
                format!("{cpu:.2} | {wall:.2} | {memory} | {rate:.2} | {}", comparison(row, rows, cpu))
            }
            Err(error) => format!("– | – | – | – | – | {}", error.to_string().replace(['\n', '|'], " ")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {cells} |", row.contestant.name);
    }
    text
}

/// The factor to tapline and the verdict.
fn comparison(row: &Row, rows: &[Row], cpu: f64) -> String {
    let Role::Peer(query) = row.contestant.role else { return " | ".to_owned() };
    let name = format!("offline: {}", row.contestant.name);
    let Some(tapline) = tapline_cpu(rows, query) else {
        return format!("– | {}, tapline was not measured", floors::asked(&name));
    };
    let factor = cpu / tapline;
    format!("{factor:.1} | {}", floors::verdict(&name, factor))
}

fn tapline_cpu(rows: &[Row], query: Query) -> Option<f64> {
    let own = rows.iter().find(|row| matches!(row.contestant.role, Role::Tapline(own) if own == query));
    own?.outcome.as_ref().ok().map(|cost| cost.cpu.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tapline_trafficgen::workload::Spread;

    use super::super::peers::CONTESTANTS;
    use super::*;

    const WORKLOAD: Workload =
        Workload { packets: 5_000_000, flows: 100, frame_octets: 64, spread: Spread::Uniform, seed: 1 };

    fn row(name: &str, seconds: u64) -> Row {
        let contestant = CONTESTANTS.iter().find(|contestant| contestant.name == name).expect("it is known");
        let time = Duration::from_secs(seconds);
        Row { contestant, outcome: Ok(Cost { cpu: time, wall: time, memory_octets: 7_600_000 }) }
    }

    #[test]
    fn factors_and_marks_are_told() {
        let rows = [row("tapline, five-tuple", 2), row("pmacctd", 20), row("nfpcapd", 10)];
        let text = markdown(&rows, &WORKLOAD);
        assert!(text.contains("| tapline, five-tuple | 2.00 | 2.00 | 7 | 2.50 |  |  |\n"), "{text}");
        assert!(text.contains("| pmacctd | 20.00 | 20.00 | 7 | 0.25 | 10.0 | ≥ 10 reached |\n"), "{text}");
        assert!(text.contains("| nfpcapd | 10.00 | 10.00 | 7 | 0.50 | 5.0 | ≥ 9 MISSED |\n"), "{text}");
    }

    #[test]
    fn what_is_missing_is_told() {
        let failed = Row { outcome: Err(anyhow::anyhow!("not built")), ..row("tapline, protocols", 1) };
        let text = markdown(&[failed, row("tcpdump -w /dev/null", 1)], &WORKLOAD);
        assert!(text.contains("| tapline, protocols | – | – | – | – | – | not built |\n"), "{text}");
        assert!(text.contains("≥ 2, tapline was not measured"), "{text}");
    }
}

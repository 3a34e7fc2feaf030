//! `tapline doctor`: what this machine can do for a live capture, and what would help.

use crate::failure::Failure;
use crate::output::Output;
use std::fmt::Write as _;
use tapline_interface::doctor::{self, Finding};

/// Prints what was found of the machine, and of one interface or all.
pub(crate) fn print(interface: Option<&str>) -> Result<(), Failure> {
    let names = match interface {
        Some(name) => vec![name.to_owned()],
        None => doctor::interfaces().map_err(|error| Failure::Run(error.to_string()))?,
    };
    let mut sections = vec![("this machine".to_owned(), doctor::machine())];
    for name in names {
        let findings = doctor::interface(&name).map_err(|error| Failure::Usage(error.to_string()))?;
        sections.push((format!("interface {name}"), findings));
    }
    Output::to_stdout_text(&text(&sections))
}

/// Sections, each with its findings, and how many problems there are.
fn text(sections: &[(String, Vec<Finding>)]) -> String {
    let mut text = String::new();
    for (title, findings) in sections {
        let _ = writeln!(text, "{title}");
        for finding in findings {
            let _ = writeln!(text, "{finding}");
        }
    }
    let problems =
        sections.iter().flat_map(|(_, findings)| findings).filter(|found| found.is_problem).count();
    let _ = match problems {
        0 => writeln!(text, "\nno problems"),
        1 => writeln!(text, "\n1 problem, marked !"),
        _ => writeln!(text, "\n{problems} problems, marked !"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_marked_and_counted() {
        let found = |what: &str, is_problem, mend: Option<&str>| Finding {
            what: what.to_owned(),
            is_problem,
            mend: mend.map(str::to_owned),
        };
        let sections = [
            ("this machine".to_owned(), vec![found("kernel 6.18", false, None)]),
            ("interface eth0".to_owned(), vec![found("switched off", true, Some("ip link set dev eth0 up"))]),
        ];
        let expected = "this machine\n  kernel 6.18\ninterface eth0\n! switched off\n    ip link set dev eth0 up\n\
                        \n1 problem, marked !\n";
        assert_eq!(text(&sections), expected);
    }
}

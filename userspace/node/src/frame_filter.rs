//! `--filter`: which frames a run looks at, in pcap syntax.

use crate::failure::Failure;
use std::sync::Arc;
use tapline_catalog::WantedFilter;
use tapline_filter::bpf::{Convention, Pushed, Stage};
use tapline_filter::{Field, Predicate, pcap};

/// How the kernel would call a filter; the numbers are put in when it is loaded.
const IN_KERNEL: Convention = Convention::Stage(Stage { scratch: 0, stages: 0, next: 0 });

/// A filter that was read.
#[derive(Clone, Debug)]
pub(crate) struct FrameFilter {
    text: String,
    predicate: Arc<Predicate>,
}

impl FrameFilter {
    /// Reads a filter.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        Self::parse_as("--filter", text).map_err(Failure::Usage)
    }

    /// The same, where it is called so.
    pub(crate) fn parse_as(name: &str, text: &str) -> Result<Self, String> {
        let condition = pcap::parse(text).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { text: text.to_owned(), predicate: Arc::new(condition.predicate()) })
    }

    /// As a node has it.
    pub(crate) fn wanted(&self) -> WantedFilter {
        WantedFilter { text: self.text.trim().to_owned(), predicate: self.predicate() }
    }

    /// What holds of the frames that are kept.
    pub(crate) fn predicate(&self) -> Arc<Predicate> {
        Arc::clone(&self.predicate)
    }

    /// Whether it looks at a column.
    pub(crate) fn looks_at(&self, column: &str) -> bool {
        self.predicate.fields().into_iter().any(|field| field.name() == column)
    }

    /// What it is in SQL, where it runs, and what the kernel could do of it.
    pub(crate) fn describe(&self) -> String {
        let (sql, kernel) = (self.predicate.sql(), self.in_kernel());
        let where_it_runs = "on the thread that reads frames, before flows are built and queries look";
        format!("filter: {}\n  WHERE {sql}\n  {where_it_runs}\n  {kernel}\n", self.text.trim())
    }

    fn in_kernel(&self) -> String {
        let pushed = Pushed::of(&self.predicate);
        let unknown: Vec<_> = pushed.left_out.iter().copied().map(Field::name).collect();
        let unknown = unknown.join(", ");
        if pushed.lets_all_through() {
            return match unknown.as_str() {
                "" => "the kernel would keep every frame, too".to_owned(),
                unknown => format!("the kernel could leave out nothing, as it does not parse {unknown}"),
            };
        }
        match (pushed.program(IN_KERNEL), unknown.as_str()) {
            (Err(reason), _) => format!("the kernel could not decide it: {reason}"),
            (Ok(program), "") => {
                format!("the kernel could decide it by {} instructions", program.instructions.len())
            }
            (Ok(program), unknown) => format!(
                "the kernel could leave out some by {} instructions, but does not parse {unknown}",
                program.instructions.len()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> String {
        FrameFilter::parse(text).unwrap().describe()
    }

    #[test]
    fn a_filter_says_what_it_is_and_what_the_kernel_could_do() {
        let text = described(" vlan 5 and tcp ");
        assert!(text.starts_with("filter: vlan 5 and tcp\n  WHERE vlan = 5 AND protocol = 6\n"), "{text}");
        assert!(text.contains("the kernel could decide it by "), "{text}");
        assert!(described("arp").ends_with("could leave out nothing, as it does not parse ethertype\n"));
        assert!(described("tcp and ip[8] = 1").contains("could leave out some by "));
        assert!(described("1 = 1").ends_with("keep every frame, too\n"));
        let ports: Vec<_> = (1..100).map(|port| format!("tcp[0:2] = {}", 3 * port)).collect();
        let text = described(&ports.join(" or "));
        assert!(text.contains("instructions") || text.contains("could not decide it"), "{text}");
    }

    #[test]
    fn a_wrong_filter_names_the_flag_and_its_place() {
        let failure = FrameFilter::parse("tcp prot 443").unwrap_err().to_string();
        assert!(failure.starts_with("--filter: ") && failure.contains("column 5:"), "{failure}");
    }
}

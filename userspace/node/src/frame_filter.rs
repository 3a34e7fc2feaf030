//! `--filter`: which frames a run looks at, in pcap syntax.

use crate::failure::Failure;
use std::fmt::Write as _;
use std::sync::Arc;
use tapline_catalog::WantedFilter;
use tapline_filter::bpf::Pushed;
use tapline_filter::{Field, Predicate, pcap};

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

    /// A column that it looks at and that is not the same of all frames of a flow, if there is one.
    pub(crate) fn not_of_flows(&self) -> Option<&'static str> {
        self.predicate.not_of_flows().map(Field::name)
    }

    /// What it is in SQL, where it runs, and what the kernel does of it, or could where it is not told.
    pub(crate) fn describe(&self, is_told_to_kernel: bool) -> String {
        let (sql, kernel) = (self.predicate.brief_sql(), self.in_kernel(is_told_to_kernel));
        let where_it_runs = "on the thread that reads, before flows are built and queries look";
        format!("filter: {}\n  WHERE {sql}\n  {where_it_runs}\n  {kernel}\n", self.text.trim())
    }

    fn in_kernel(&self, is_told: bool) -> String {
        let pushed = Pushed::of(&self.predicate);
        let unknown: Vec<_> = pushed.left_out.iter().copied().map(Field::name).collect();
        let unknown = unknown.join(", ");
        let [keeps, leaves_nothing, cannot, decides, leaves_some] = if is_told {
            [
                "keeps every frame, too",
                "leaves out nothing",
                "does not decide it",
                "decides it",
                "leaves out some",
            ]
        } else {
            [
                "would keep every frame, too",
                "could leave out nothing",
                "could not decide it",
                "could decide it",
                "could leave out some",
            ]
        };
        if pushed.lets_all_through() {
            return match unknown.as_str() {
                "" => format!("the kernel {keeps}"),
                unknown => format!("the kernel {leaves_nothing}, as it does not parse {unknown}"),
            };
        }
        let fitted = pushed.fitted();
        if let Some(reason) = fitted.why_nothing_is_left() {
            return format!("the kernel {cannot}: {reason}");
        }
        let does = if unknown.is_empty() && fitted.widened.is_none() { decides } else { leaves_some };
        let mut text = format!("the kernel {does} by {}", fitted.extent());
        if !unknown.is_empty() {
            let _ = write!(text, ", but does not parse {unknown}");
        }
        if let Some(widened) = &fitted.widened {
            let _ = write!(text, ", {widened}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> String {
        FrameFilter::parse(text).unwrap().describe(false)
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
        let pair = |n: u32| format!("(src host 10.0.{}.{} and dst port {n})", n / 250, n % 250);
        let pairs: Vec<_> = (0..500).map(pair).collect();
        let text = described(&format!("ip[8] = 1 and ({})", pairs.join(" or ")));
        let both = ["but does not parse ttl", "without conditions on dst_port ("];
        assert!(both.iter().all(|part| text.contains(part)), "{text}");
        let told = FrameFilter::parse("tcp port 443").unwrap().describe(true);
        assert!(told.contains("\n  the kernel decides it by "), "{told}");
    }

    #[test]
    fn what_is_not_the_same_of_a_flow_is_named() {
        let of = |text: &str| FrameFilter::parse(text).unwrap().not_of_flows();
        assert_eq!(of("vlan and tcp port 443 and not net 10.0.0.0/8 or icmp"), None);
        assert_eq!([of("len > 100"), of("tcp[13] & 2 != 0")], [Some("frame_octets"), Some("tcp_flags")]);
    }

    #[test]
    fn a_wrong_filter_names_the_flag_and_its_place() {
        let failure = FrameFilter::parse("tcp prot 443").unwrap_err().to_string();
        assert!(failure.starts_with("--filter: ") && failure.contains("column 5:"), "{failure}");
    }
}

//! What of a query's conditions the kernel decides, in words.

use crate::continuous::ContinuousQuery;
use crate::flow_table::FlowTable;
use std::fmt::Write as _;
use tapline_filter::Field;
use tapline_filter::bpf::Pushed;
use tapline_record::{FLOWS, PACKET_FLOWS, PACKETS, TABLE_FLOWS};

/// What the kernel leaves out for a query alone; beside others it lets through what any of them needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InKernel {
    /// All but the packets of which this condition holds.
    AllBut {
        /// In SQL.
        condition: String,
        /// How much it is, and what of the query's conditions it lacks.
        extent: String,
    },
    /// Nothing; why.
    Nothing(String),
}

impl ContinuousQuery {
    /// The same query, whose conditions the kernel is told or not: where it reads packets, and where it reads what the
    /// kernel counts.
    #[must_use]
    pub fn told_to_kernel(self, of_packets: bool, of_table: bool) -> Self {
        let is_of_table = self.flow_table == Some(FlowTable::Kernel);
        Self { is_told_to_kernel: if is_of_table { of_table } else { of_packets }, ..self }
    }

    /// What the kernel leaves out for it; `None` where it is not told, or no packets are read.
    pub(crate) fn in_kernel(&self) -> Option<InKernel> {
        if !self.is_told_to_kernel {
            return None;
        }
        let reads_flows = [&FLOWS, &TABLE_FLOWS].into_iter().any(|flows| self.columns_of(flows).is_some());
        if reads_flows {
            return Some(InKernel::Nothing("flows are made of all packets".to_owned()));
        }
        let stream = if self.flow_table.is_some() { &PACKET_FLOWS } else { &PACKETS };
        self.columns_of(stream)?;
        let pushed = Pushed::of(&self.wanted_of(stream));
        let unknown: Vec<_> = pushed.left_out.iter().copied().map(Field::name).collect();
        let unknown = unknown.join(", ");
        if pushed.lets_all_through() {
            let why = match unknown.as_str() {
                "" => "it has no condition that can be said of single fields of a packet".to_owned(),
                unknown => format!("the kernel does not parse {unknown}"),
            };
            return Some(InKernel::Nothing(why));
        }
        let fitted = pushed.fitted();
        if let Some(why) = fitted.why_nothing_is_left() {
            return Some(InKernel::Nothing(why));
        }
        let mut extent = fitted.extent();
        if !unknown.is_empty() {
            let _ = write!(extent, ", without {unknown}, which the kernel does not parse");
        }
        if let Some(widened) = &fitted.widened {
            let _ = write!(extent, ", {widened}");
        }
        Some(InKernel::AllBut { condition: fitted.sql(), extent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoxKind, Planner, Runs};

    fn planned(sql: &str) -> ContinuousQuery {
        Planner::new().plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    #[test]
    fn explain_says_what_the_kernel_leaves_out() {
        let text = |sql: &str| planned(sql).told_to_kernel(true, false).describe();
        let dns = text("SELECT src_ip, ttl FROM packets WHERE dst_port = 53 AND ttl > 3");
        assert!(dns.contains("\nkernel filter: WHERE dst_port = 53, "), "{dns}");
        assert!(dns.contains(" instructions, without ttl, which the kernel does not parse\n"), "{dns}");
        let none = |sql: &str| {
            let text = text(sql);
            text.lines().find(|line| line.starts_with("kernel filter: none: ")).unwrap_or(&text).to_owned()
        };
        assert!(none("SELECT ttl FROM packets WHERE ttl > 3").ends_with("the kernel does not parse ttl"));
        assert!(none("SELECT ttl FROM packets").ends_with("of single fields of a packet"));
        assert!(
            none("SELECT src_ip FROM flows WHERE dst_port = 53").ends_with("flows are made of all packets")
        );
        let ports: Vec<String> = (0..100).map(|port| (2 * port).to_string()).collect();
        let long = text(&format!("SELECT ttl FROM packets WHERE dst_port IN ({})", ports.join(", ")));
        assert!(long.contains("\nkernel filter: WHERE dst_port IN (100 values), "), "{long}");
        assert!(long.contains(" instructions, 1 list\n"), "{long}");
        assert!(!planned("SELECT ttl FROM packets WHERE dst_port = 53").describe().contains("kernel"));
    }

    #[test]
    fn what_the_kernel_leaves_out_is_a_box_of_its_own() {
        let sql = "SELECT count(*) FROM packets WHERE dst_port = 53 GROUP BY tumble('1 second')";
        let (query, _) = planned(sql).over_packet_flows(FlowTable::Kernel);
        let boxes = query.told_to_kernel(false, true).diagram().boxes;
        let of_filters: Vec<_> = boxes.iter().filter(|one| one.kind == BoxKind::Filter).collect();
        assert_eq!(of_filters.iter().map(|one| one.runs).collect::<Vec<_>>(), [Runs::Kernel, Runs::Worker]);
        assert!(of_filters.iter().all(|one| one.title == "WHERE dst_port = 53"));
        let unread = planned("SELECT ttl FROM packets WHERE ttl > 3").told_to_kernel(true, true).diagram();
        assert!(unread.boxes[0].lines[1].starts_with("nothing is left out in the kernel: "), "{unread:?}");
    }
}

//! What leaves the VLAN tags that XDP does not see out of account.
//!
//! Takes the rules and the queries of a run, gives what of their answers looks at tags. `AF_PACKET` puts tags back, so
//! what is read through it is right all the same.

use tapline_filter::Predicate;
use tapline_interface::kernel::{Rule, Verdict};
use tapline_query::{ContinuousQuery, FlowTable};
use tapline_record::{FLOWS, PACKET_FLOWS, PACKETS, Stream, TABLE_FLOWS};

/// Columns that look at the outermost tag, or count its octets.
const COLUMNS: [&str; 3] = ["vlan", "inner_vlan", "frame_octets"];

/// Columns, tables and rules that leave the outermost tag out of account, for a sentence; `None` if none does. With
/// `is_read_by_xdp`, packets are read by a program of XDP, too, and not only counted.
pub(crate) fn left_out_of(
    rules: &[(Rule, Verdict)],
    queries: &[ContinuousQuery],
    filter: Option<&Predicate>,
    is_read_by_xdp: bool,
) -> Option<String> {
    let by_xdp = |query: &&ContinuousQuery| is_read_by_xdp || query.flow_table == Some(FlowTable::Kernel);
    let mut places = columns_read(queries.iter().filter(by_xdp), &PACKET_FLOWS);
    let reads = |stream| queries.iter().any(|query| query.columns_of(stream).is_some());
    if is_read_by_xdp {
        places.extend(columns_read(queries, &PACKETS));
    }
    if is_read_by_xdp || queries.iter().any(|query| by_xdp(&query)) {
        let fields = filter.map(Predicate::fields).unwrap_or_default();
        let filters_by_tags = fields.into_iter().any(|field| COLUMNS.contains(&field.name()));
        places.extend(filters_by_tags.then(|| "the filter".to_owned()));
    }
    // Flows of two VLANs become one, whatever is asked of them.
    if reads(&TABLE_FLOWS) || is_read_by_xdp && reads(&FLOWS) {
        places.push("the table flows".to_owned());
    }
    let looks_at_tags = rules.iter().any(|(rule, _)| matches!(rule, Rule::Vlan(_)));
    places.extend(looks_at_tags.then(|| "the rules of the pre-filter".to_owned()));
    places.sort();
    places.dedup();
    (!places.is_empty()).then(|| places.join(", "))
}

/// The columns of a stream that the queries read and that look at tags.
fn columns_read<'a>(queries: impl IntoIterator<Item = &'a ContinuousQuery>, stream: &Stream) -> Vec<String> {
    let read = queries.into_iter().filter_map(|query| query.columns_of(stream)).flatten();
    let names = read.map(|column| stream.columns[column].name);
    names.filter(|name| COLUMNS.contains(name)).map(|name| format!("`{name}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_filter::pcap;
    use tapline_query::Planner;

    fn left_out(sql: &str, is_by_table: bool, is_read_by_xdp: bool) -> Option<String> {
        let query = Planner::new().plan(sql).expect("a query");
        let query = if is_by_table { query.over_packet_flows(FlowTable::Kernel).0 } else { query };
        left_out_of(&[], &[query], None, is_read_by_xdp)
    }

    #[test]
    fn the_table_leaves_tags_out_of_what_looks_at_them() {
        let of_table = |sql| left_out(sql, true, false);
        assert_eq!(of_table("SELECT count(*) FROM packets WHERE dst_port = 53"), None);
        let vlan = Some("`vlan`".to_owned());
        assert_eq!(of_table("SELECT vlan, count(*) FROM packets GROUP BY vlan"), vlan);
        assert_eq!(of_table("SELECT count(*) FROM packets WHERE vlan = 100"), vlan);
        let octets = Some("`frame_octets`".to_owned());
        assert_eq!(of_table("SELECT sum(frame_octets) FROM packets"), octets);
        let both = "SELECT vlan, sum(frame_octets) FROM packets GROUP BY vlan";
        assert_eq!(of_table(both).as_deref(), Some("`frame_octets`, `vlan`"));
    }

    #[test]
    fn what_is_read_leaves_tags_out_only_where_xdp_reads() {
        for sql in ["SELECT ttl, inner_vlan FROM packets", "SELECT octets FROM flows"] {
            assert_eq!(left_out(sql, false, false), None, "{sql}");
            assert!(left_out(sql, false, true).is_some(), "{sql}");
        }
        assert_eq!(left_out("SELECT ttl FROM packets", false, true), None);
        for is_by_table in [false, true] {
            let places = left_out("SELECT packets FROM flows", is_by_table, !is_by_table);
            assert_eq!(places.as_deref(), Some("the table flows"));
        }
    }

    #[test]
    fn a_cache_sees_the_tags_that_its_packets_have() {
        let query = Planner::new().plan("SELECT vlan, count(*) FROM packets GROUP BY vlan").expect("a query");
        let query = query.over_packet_flows(FlowTable::Cache).0;
        let left_out = |is_read_by_xdp| left_out_of(&[], std::slice::from_ref(&query), None, is_read_by_xdp);
        assert_eq!(left_out(false), None);
        assert_eq!(left_out(true).as_deref(), Some("`vlan`"));
    }

    #[test]
    fn a_filter_sees_no_tags_where_xdp_reads() {
        let left_out = |text, is_read_by_xdp| {
            let filter = pcap::parse(text).expect("a filter").predicate();
            left_out_of(&[], &[], Some(&filter), is_read_by_xdp)
        };
        assert_eq!(left_out("vlan 5", true).as_deref(), Some("the filter"));
        assert_eq!((left_out("vlan 5", false), left_out("tcp", true)), (None, None));
    }

    #[test]
    fn rules_about_tags_do_not_see_them() {
        let rules = |rule| left_out_of(&[(rule, Verdict::Deny)], &[], None, false);
        assert_eq!(rules(Rule::Port(53)), None);
        let expected = Some("the rules of the pre-filter".to_owned());
        assert_eq!(rules(Rule::Vlan(Some(5))), expected);
    }
}

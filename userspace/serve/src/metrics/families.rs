//! All metrics of a node but those of results; docs/metrics.md has the same.

use super::exposition::{Family, Kind};

/// Declares families, and the list of all.
macro_rules! families {
    ($($NAME:ident: $kind:ident $name:literal $unit:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(crate) const $NAME: Family =
            Family { name: $name, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], help: $help };)+
        /// Every one of them, in the order in which they are written.
        #[cfg(test)]
        pub(crate) const ALL: [Family; [$($name),+].len()] = [$($NAME),+];
    };
}

families! {
    BUILD: Info "tapline_build" "" ["version"] "1; the version stands in the label";

    SOURCE: Info "tapline_source" "" ["source", "kind", "unit"] "1; what a source is, and what its records are: frames, or rows";
    SOURCE_UP: Gauge "tapline_source_up" "" ["source", "kind"] "1 where a source is read, 0 where it is not there; nothing where no query needs it";
    SOURCE_STATE: Gauge "tapline_source_state" "" ["source", "kind", "state"] "1 for the state that a source is in: open, unused (no query needs it) or absent (it is tried again and again)";
    SOURCE_SINCE: Gauge "tapline_source_state_change_timestamp_seconds" "seconds" ["source", "kind"] "When a source came into its state";
    SOURCE_OFFERED: Counter "tapline_source_offered_records" "records" ["source", "kind"] "Records that reached the node: delivered + filtered + control + undecodable + dropped + lost";
    SOURCE_DELIVERED: Counter "tapline_source_delivered_records" "records" ["source", "kind"] "Records that became rows";
    SOURCE_FILTERED: Counter "tapline_source_filtered_records" "records" ["source", "kind"] "Frames that a filter or a rule left out, or that no query needs";
    SOURCE_CONTROL: Counter "tapline_source_control_records" "records" ["source", "kind"] "Templates and options, which are no rows";
    SOURCE_UNDECODABLE: Counter "tapline_source_undecodable_records" "records" ["source", "kind"] "Records that could not be decoded";
    SOURCE_DROPPED: Counter "tapline_source_dropped_records" "records" ["source", "kind", "place"] "Records that there was no room for, before they were read (capture) or between reading and the operators (operators)";
    SOURCE_LOST: Gauge "tapline_source_lost_records" "records" ["source", "kind"] "Records of the account that never arrived; late arrivals take them back";
    SOURCE_MISSING: Gauge "tapline_source_missing_records" "records" ["source", "kind"] "Data records that exporters sent and that became no rows, lost on the way or not decoded, by their numbers: what completeness rests on, an estimate for NetFlow v9; late arrivals take them back";
    SOURCE_BYTES: Counter "tapline_source_received_bytes" "bytes" ["source", "kind"] "Octets of the frames or messages that were read";
    SOURCE_MESSAGES: Counter "tapline_source_received_messages" "messages" ["source", "kind"] "Frames or messages that were read";
    SOURCE_RING: Gauge "tapline_source_ring_fill_ratio" "ratio" ["source", "kind"] "How full the ring to the operator thread is that is furthest behind, from 0 to 1; a live source drops rows where it is full";

    QUERY_STATE: Gauge "tapline_query_state" "" ["query", "state"] "1 for the state that a query is in: running, waiting (no source that is open carries what it reads) or failed";
    QUERY_HELD_BACK: Gauge "tapline_query_held_back" "" ["query"] "1 where a query is folded or sampled, since it worked more than it may, or rows of it that a sensor may not send are missing";
    QUERY_DELIVERED: Counter "tapline_query_delivered_rows" "rows" ["query"] "Rows that reached a query: used + filtered + late + dropped";
    QUERY_USED: Counter "tapline_query_used_rows" "rows" ["query"] "Rows that count in a result";
    QUERY_FILTERED: Counter "tapline_query_filtered_rows" "rows" ["query"] "Rows that WHERE left out";
    QUERY_LATE: Counter "tapline_query_late_rows" "rows" ["query"] "Rows whose window was closed already";
    QUERY_DROPPED: Counter "tapline_query_dropped_rows" "rows" ["query"] "Rows that there was no room for, or that a query may not read or give";
    QUERY_FOLDED: Counter "tapline_query_folded_rows" "rows" ["query"] "Of the rows used, those of groups beyond the cap, which count in the folded row";
    QUERY_RESULTS_LOST: Counter "tapline_query_lost_results" "results" ["query"] "Results that were lost on their way, since whoever reads them was too slow";
    QUERY_GROUPS: Gauge "tapline_query_held_groups" "groups" ["query"] "Groups of windows that are open";
    QUERY_BYTES: Gauge "tapline_query_held_bytes" "bytes" ["query"] "Octets of what is held for windows that are open, or not yet given";
    QUERY_WORK: Counter "tapline_query_work_seconds" "seconds" ["query"] "Time that threads worked for a query; what several share is shared out";
    QUERY_ROW_WORK: Gauge "tapline_query_row_work_seconds" "seconds" ["query"] "Work a row, in the second that was measured last";
    QUERY_WINDOW_END: Gauge "tapline_query_last_window_end_timestamp_seconds" "seconds" ["query"] "The end of the newest window that was given as a whole";
    QUERY_COMPLETENESS: Gauge "tapline_query_last_window_completeness_ratio" "ratio" ["query"] "Which part of that window's records arrived, from 0 to 1; nothing where that is not known";
    QUERY_ROWS: Gauge "tapline_query_last_window_rows" "rows" ["query"] "Rows of that window's result";
    QUERY_LAG: Gauge "tapline_query_watermark_lag_seconds" "seconds" ["query"] "How far the time up to which all windows are closed is behind now";
    QUERY_LEFT_OUT: Gauge "tapline_query_metric_rows_left_out" "" ["query"] "Of a query marked as metrics, the rows of the newest window that are in none: more than 1,000, or with the labels of another one";

    ALERT_FIRING: Gauge "tapline_alert_firing_alarms" "alarms" ["query", "condition"] "Alarms that fire by an alert of a query: 0 or 1 for the query as a whole, else one a group";

    OUTLET_UP: Gauge "tapline_outlet_up" "" ["outlet", "kind"] "1 where an outlet (history, a sink) does its work, 0 where it cannot and is tried again";
    OUTLET_GIVEN: Counter "tapline_outlet_given_results" "results" ["outlet", "kind"] "Results that an outlet was given; those that neither wait nor are lost have arrived";
    OUTLET_LOST: Counter "tapline_outlet_lost_results" "results" ["outlet", "kind"] "Results that an outlet lost, since it had no room for them or could not write them";
    OUTLET_WAITING: Gauge "tapline_outlet_waiting_results" "results" ["outlet", "kind"] "Results that wait to be safe";

    FORWARD_UP: Gauge "tapline_forward_up" "" ["to"] "1 where the aggregator listens that this sensor sends to, 0 where it does not";
    FORWARD_BYTES: Gauge "tapline_forward_spool_bytes" "bytes" ["to"] "Octets that wait until a checkpoint of the aggregator has them";
    FORWARD_LOST: Counter "tapline_forward_lost_records" "records" ["to"] "Records that count as missing there, since there was no room for what came of them";
    SENSOR_UP: Gauge "tapline_sensor_up" "" ["sensor"] "1 where a sensor is connected, 0 where it is away";
    SENSOR_LAG: Gauge "tapline_sensor_lag_seconds" "seconds" ["sensor"] "How far a sensor is behind now, with the query that is furthest behind";
    SENSOR_CLOCK: Gauge "tapline_sensor_clock_offset_seconds" "seconds" ["sensor"] "How far the clock of a sensor is ahead of ours, about";
    SENSOR_BYTES: Gauge "tapline_sensor_spool_bytes" "bytes" ["sensor"] "Octets that wait with a sensor until a checkpoint has them";
    SENSOR_LOST: Counter "tapline_sensor_lost_records" "records" ["sensor"] "Records that count as missing, since a sensor had no room for what came of them";
    SENSOR_REFUSED: Counter "tapline_sensor_refused_records" "records" ["sensor", "reason"] "How often something of a sensor was refused, or held until there is room";

    API_REFUSED: Counter "tapline_api_refused_requests" "requests" [] "Requests to the API that brought a wrong token";

    THREAD_CPU: Counter "tapline_thread_cpu_seconds" "seconds" ["thread"] "Time on a processor of a thread: capture-N reads a source, operator-N filters and groups, merger closes windows";
    PROCESS_CPU: Counter "process_cpu_seconds" "seconds" [] "Time on a processor of the process, user and system";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" "bytes" [] "Memory of the process that is in RAM";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" "bytes" [] "Memory that the process has addresses for";
    PROCESS_FDS: Gauge "process_open_fds" "" [] "File descriptors that are open";
    PROCESS_FDS_MAX: Gauge "process_max_fds" "" [] "File descriptors that may be open";
    PROCESS_START: Gauge "process_start_time_seconds" "seconds" [] "When the process began";
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../../docs/metrics.md");

    fn line(family: &Family) -> String {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        };
        let Family { unit, labels, help, .. } = family;
        format!("| `{}` | {kind} | {unit} | {} | {help} |", family.sample(), labels.join(", "))
    }

    #[test]
    fn the_reference_has_them_all_and_no_other() {
        let documented: Vec<&str> = DOCUMENT.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = ALL.iter().map(line).collect();
        assert_eq!(documented, expected);
    }

    #[test]
    fn a_unit_stands_at_the_end_of_its_name() {
        for Family { name, unit, .. } in ALL {
            assert!(unit.is_empty() || name.ends_with(&format!("_{unit}")), "{name} {unit}");
        }
    }
}

//! What is asked of sensors.

/// The project's reference queries, over flows and in windows of ten seconds, and a five-tuple, by name.
pub(super) const OF_FLOWS: [(&str, &str); 5] = [
    (
        "traffic matrix",
        "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as, tumble('10 seconds')",
    ),
    (
        "port sweep",
        "SELECT src_ip, count(*) AS probes FROM (SELECT src_ip, dst_ip FROM flows WHERE packets = 1 \
         GROUP BY src_ip, dst_ip, tumble('10 seconds')) GROUP BY src_ip HAVING count(*) >= 500",
    ),
    (
        "protocols",
        "SELECT protocol, sum(packets) AS packets FROM flows WHERE protocol IN (6, 17) \
         GROUP BY protocol, tumble('10 seconds')",
    ),
    (
        "top talkers",
        "SELECT src_ip, sum(octets) AS octets FROM flows GROUP BY src_ip, hop('1 second', '10 seconds') \
         ORDER BY octets DESC LIMIT 10",
    ),
    (
        "five-tuple",
        "SELECT src_ip, dst_ip, src_port, dst_port, protocol, sum(packets) AS packets, sum(octets) AS octets FROM flows \
         GROUP BY src_ip, dst_ip, src_port, dst_port, protocol, tumble('10 seconds')",
    ),
];

/// The query whose windows are compared with what was sent, in windows of ten seconds.
pub(super) const TOTAL: (&str, &str) =
    ("total", "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('10 seconds')");

/// What has as many groups as there are sources.
pub(super) const TALKERS: (&str, &str) = (
    "talkers",
    "SELECT src_ip, count(*) AS records, sum(octets) AS octets FROM flows GROUP BY src_ip, tumble('10 seconds') \
     ORDER BY octets DESC, src_ip LIMIT 10",
);

/// Twenty that are asked at once, with the two above; each has windows of ten seconds.
pub(super) fn twenty() -> Vec<(String, String)> {
    const KEYS: [&str; 9] = [
        "protocol",
        "dst_port",
        "src_as",
        "dst_as",
        "src_as, dst_as",
        "input_interface",
        "tos",
        "dst_ip",
        "network(src_ip, 24, 48)",
    ];
    const AGGREGATES: [&str; 2] =
        ["count(*) AS n, sum(octets) AS octets", "sum(packets) AS n, max(octets) AS largest"];
    let named = |(name, sql): (&str, &str)| (name.to_owned(), sql.to_owned());
    let pairs = KEYS.iter().flat_map(|keys| AGGREGATES.map(|aggregates| (*keys, aggregates)));
    let grouped = pairs.enumerate().map(|(number, (keys, aggregates))| {
        let sql = format!("SELECT {keys}, {aggregates} FROM flows GROUP BY {keys}, tumble('10 seconds')");
        (format!("q{number}"), sql)
    });
    [TOTAL, TALKERS].map(named).into_iter().chain(grouped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_query::Planner;

    #[test]
    fn all_of_it_can_be_asked() {
        let planner = Planner::new();
        let all = OF_FLOWS.iter().map(|(_, sql)| (*sql).to_owned());
        for sql in all.chain(twenty().into_iter().map(|(_, sql)| sql)) {
            planner.plan(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        assert_eq!(twenty().len(), 20);
    }
}

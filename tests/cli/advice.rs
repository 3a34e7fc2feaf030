//! Every piece of advice in a refusal is tried: what it says to write is asked, and answered.

use super::refusals::REFUSED;
use super::{capture, query};

/// Advice, and queries that follow it.
const FOLLOWED: [(&str, &[&str]); 40] = [
    (
        "the tables are packets, flows, interface_counters, ledger",
        &["SELECT count(*) FROM flows", "SELECT count(*) FROM interface_counters"],
    ),
    ("streams can only be asked: write SELECT … FROM packets", &["SELECT * FROM packets LIMIT 1"]),
    (
        "write e.g. '10.0.0.1', '2001:db8::1' or '00:11:22:33:44:55'",
        &[
            "SELECT ts FROM packets WHERE src_ip IN ('10.0.0.1', '2001:db8::1') OR src_mac = '00:11:22:33:44:55' LIMIT 1",
        ],
    ),
    (
        "write e.g. '10.0.0.0/8' or '2001:db8::/32'",
        &["SELECT count(*) FROM packets WHERE cidr(src_ip, '10.0.0.0/8') OR cidr(src_ip, '2001:db8::/32')"],
    ),
    ("use quantile(x, 0.5), which merges", &["SELECT quantile(octets, 0.5) FROM packets"]),
    ("use top_k(x, k), which merges", &["SELECT top_k(src_ip, 3) FROM packets"]),
    (
        "write e.g. '60 seconds', '5 minutes' or '500 ms'",
        &[
            "SELECT count(*) FROM packets GROUP BY tumble('60 seconds')",
            "SELECT count(*) FROM packets GROUP BY tumble('5 minutes')",
            "SELECT count(*) FROM packets GROUP BY tumble('500 ms')",
        ],
    ),
    ("write e.g. '1 second'", &["SELECT count(*) FROM packets GROUP BY tumble('1 second')"]),
    (
        "write hop('slide', 'size') with slide <= size",
        &["SELECT count(*) FROM packets GROUP BY hop('5 seconds', '10 seconds')"],
    ),
    (
        "aggregate both sides by the same window first, and join the results",
        &[
            "SELECT a.n, b.m FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 s')) a JOIN (SELECT dst_ip, count(*) AS m FROM packets GROUP BY dst_ip, tumble('1 s')) b ON a.src_ip = b.dst_ip",
        ],
    ),
    (
        "every row of a windowed query begins with window_start and window_end, and windows come in the order of time: leave it out",
        &["SELECT protocol, count(*) FROM packets GROUP BY protocol, tumble('1 s')"],
    ),
    ("add FROM packets or flows or interface_counters or ledger", &["SELECT 1 FROM packets LIMIT 1"]),
    (
        "write SELECT … FROM packets GROUP BY …, tumble('60 seconds'); the window is there for every part of the query",
        &["SELECT protocol, count(*) FROM packets GROUP BY protocol, tumble('60 seconds')"],
    ),
    ("keep one of tumble, hop and tumble_rows", &["SELECT count(*) FROM packets GROUP BY tumble('1 s')"]),
    (
        "give every GROUP BY that reads a stream the same window",
        &[
            "SELECT count(*) FROM packets GROUP BY tumble('1 s') UNION ALL SELECT count(*) FROM packets GROUP BY tumble('1 s')",
        ],
    ),
    (
        "write one query for each grouping and join them with UNION ALL",
        &[
            "SELECT protocol, count(*) FROM packets GROUP BY protocol UNION ALL SELECT NULL, count(*) FROM packets",
        ],
    ),
    (
        "put one LIMIT at the end of the whole query; filter with WHERE, or use tumble_rows(n)",
        &["SELECT ts FROM packets LIMIT 5", "SELECT count(*) FROM packets GROUP BY tumble_rows(5)"],
    ),
    (
        "add LIMIT n, or aggregate first",
        &[
            "SELECT ts FROM packets ORDER BY ts LIMIT 3",
            "SELECT ts, count(*) FROM packets GROUP BY ts ORDER BY ts",
        ],
    ),
    (
        "aggregate first, and use OVER on the result",
        &["SELECT protocol, rank() OVER (ORDER BY sum(octets)) FROM packets GROUP BY protocol"],
    ),
    ("write it without", &["SELECT quantile(octets, 0.5) FROM packets"]),
    (
        "group by it, or take one of its values, such as max(x)",
        &[
            "SELECT src_ip FROM packets GROUP BY src_ip, dst_ip",
            "SELECT max(src_port) FROM packets GROUP BY dst_ip",
        ],
    ),
    (
        "write the element's number, or its enterprise and number, as literals: element(95) or element(9, 12235); numbers go up to 65535",
        &["SELECT element(95), element(9, 12235), element(65535) FROM flows LIMIT 1"],
    ),
    (
        "write it in the SELECT whose FROM names flows; there, AS gives it a name for the others",
        &["SELECT e FROM (SELECT element(95) AS e FROM flows) LIMIT 1"],
    ),
    (
        "leave it out: every row counts; to see some rows, write LIMIT n",
        &["SELECT * FROM packets", "SELECT * FROM packets LIMIT 3"],
    ),
    ("leave it out: nobody writes to a stream", &["SELECT count(*) FROM packets"]),
    ("write LIMIT 3 at the end of the query", &["SELECT src_ip FROM packets LIMIT 3"]),
    (
        "number groups and keep the first ones: SELECT * FROM (SELECT protocol, src_ip, row_number() OVER (PARTITION BY protocol ORDER BY sum(octets) DESC) AS place FROM packets GROUP BY protocol, src_ip) WHERE place <= 3",
        &[
            "SELECT * FROM (SELECT protocol, src_ip, row_number() OVER (PARTITION BY protocol ORDER BY sum(octets) DESC) AS place FROM packets GROUP BY protocol, src_ip) WHERE place <= 3",
        ],
    ),
    ("write WHERE", &["SELECT src_ip FROM packets WHERE protocol = 6"]),
    (
        "group by these, and say which value of the others: SELECT x, max(y) … GROUP BY x",
        &["SELECT src_ip, max(dst_port) FROM packets GROUP BY src_ip"],
    ),
    (
        "order what the query gives, with ORDER BY and LIMIT at its end",
        &["SELECT src_ip FROM packets ORDER BY src_ip LIMIT 3"],
    ),
    ("leave it out, and give --format table, csv, json or arrow", &["SELECT src_ip FROM packets"]),
    ("write GROUP BY 2", &["SELECT count(*), src_ip FROM packets GROUP BY 2"]),
    ("call it something else: AS status_2", &["SELECT count(*) AS status_2 FROM packets"]),
    ("give one of them a name of its own: AS other", &["SELECT octets, octets AS other FROM packets"]),
    (
        "compare groups with it, as in GROUP BY src_ip HAVING avg(octets) > (SELECT avg(octets) FROM packets); or ask for that answer first, and write it here",
        &[
            "SELECT src_ip FROM packets GROUP BY src_ip HAVING avg(octets) > (SELECT avg(octets) FROM packets)",
            "SELECT count(*) FROM packets WHERE octets > 853.9",
        ],
    ),
    (
        "leave what is around ORDER BY … LIMIT out, or aggregate first",
        &[
            "SELECT ts FROM packets ORDER BY octets LIMIT 5",
            "SELECT count(*) FROM (SELECT octets, count(*) FROM packets GROUP BY octets ORDER BY octets LIMIT 5)",
        ],
    ),
    (
        "take a window of time, tumble('60 seconds'), or one query for each",
        &[
            "SELECT count(*) FROM packets GROUP BY tumble('60 seconds') UNION ALL SELECT count(*) FROM flows GROUP BY tumble('60 seconds')",
            "SELECT count(*) FROM flows GROUP BY tumble_rows(5)",
        ],
    ),
    (
        "write hop('10 seconds', '1 day')",
        &["SELECT count(*) FROM packets GROUP BY hop('10 seconds', '1 day')"],
    ),
    (
        "write hop('1 minute', '1 minute')",
        &["SELECT count(*) FROM packets GROUP BY hop('1 minute', '1 minute')"],
    ),
    (
        "write tumble('60 seconds')",
        &["SELECT sum(octets) FROM packets GROUP BY src_ip, tumble('60 seconds')"],
    ),
];

/// What a refusal advises: its help, or what stands in its sentence behind the fault.
fn advice(stderr: &str) -> Option<&str> {
    if let Some((_, help)) = stderr.split_once("\n  help: ") {
        return help.lines().next();
    }
    let sentence = stderr.lines().next()?;
    let advice = sentence.find("write ").filter(|_| sentence.contains(';') || sentence.contains(':'));
    advice.map(|start| &sentence[start..])
}

/// The refused query with the name that is offered first in place of the unknown one.
fn renamed(sql: &str, stderr: &str, offered: &str) -> String {
    let unknown = stderr.split('\'').nth(1).expect("the unknown name is quoted");
    let first = offered.trim_end_matches('?').split(" or ").next().expect("a name is offered");
    sql.replace(unknown, first)
}

#[test]
fn all_advice_is_followed() {
    let mut unused: Vec<&str> = FOLLOWED.iter().map(|(advice, _)| *advice).collect();
    for (sql, _) in REFUSED {
        let run = query(capture(), &["--format", "csv", sql]);
        let Some(advice) = advice(&run.stderr) else { continue };
        if let Some(offered) = advice.strip_prefix("did you mean ") {
            let renamed = renamed(sql, &run.stderr, offered);
            let run = query(capture(), &["--format", "csv", &renamed]);
            assert_eq!(run.code, Some(0), "{sql}: {advice}\n{renamed}: {}", run.stderr);
            continue;
        }
        let known = FOLLOWED.iter().find(|(known, _)| *known == advice);
        let (known, _) = known.unwrap_or_else(|| panic!("{sql}: nobody has tried {advice:?}"));
        unused.retain(|advice| advice != known);
    }
    assert_eq!(unused, Vec::<&str>::new(), "advice that nobody gives");
}

#[test]
fn what_is_advised_works() {
    for (advice, queries) in FOLLOWED {
        for sql in queries {
            let run = query(capture(), &["--format", "csv", sql]);
            assert_eq!(run.code, Some(0), "{advice}\n{sql}: {}", run.stderr);
        }
    }
}

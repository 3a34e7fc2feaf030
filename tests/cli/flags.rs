//! Flags that would be ignored are refused.

use super::{assert_failed, capture};
use harness::tapline;

const FLOWS: &str = "SELECT count(*) FROM flows GROUP BY tumble('1 second')";

/// What is read, a flag that means nothing for it, and what the refusal names besides the flag.
const IGNORED: [(&[&str], &[&str], &str); 16] = [
    (&["--pcap", "FILE"], &["--allow", "port:53"], "--interface IF"),
    (&["--pcap", "FILE"], &["--deny", "port:53"], "WHERE"),
    (&["--pcap", "FILE"], &["--rules", "no-such-file"], "--interface IF"),
    (&["--pcap", "FILE"], &["--mirror"], "--interface IF"),
    (&["--pcap", "FILE"], &["--port", "2055"], "--exports FILE"),
    (&["--pcap", "FILE"], &["--sampling-rate", "10"], "--listen udp://HOST:PORT"),
    (&["--pcap", "FILE"], &["--exporter-identity", "address-and-port"], "--exports FILE"),
    (&["--pcap", "FILE"], &["--event-time", "flow"], "--exports FILE"),
    (&["--pcap", "FILE"], &["--allowed-lateness-ms", "5"], "--pcap -"),
    (&["--exports", "FILE"], &["--filter", "tcp"], "WHERE"),
    (&["--listen", "udp://127.0.0.1:0"], &["--filter", "tcp"], "--interface IF"),
    (&["--exports", "FILE"], &["--receive-buffer", "8192"], "--listen udp://HOST:PORT"),
    (&["--exports", "FILE"], &["--state", "folder"], "--listen udp://HOST:PORT"),
    (&["--listen", "tcp://127.0.0.1:0"], &["--state", "folder"], "tcp://HOST:PORT"),
    (&["--listen", "udp://127.0.0.1:0"], &["--deny", "vlan:1"], "--interface IF"),
    (&["--interface", "lo"], &["--sampling-rate", "10"], "--interface IF"),
];

#[test]
fn a_flag_that_means_nothing_is_refused() {
    for (input, flag, part) in IGNORED {
        let file = capture().to_str().unwrap();
        let input: Vec<_> = input.iter().map(|word| if *word == "FILE" { file } else { word }).collect();
        let run = tapline(&[&["query"], &input[..], flag, &[FLOWS]].concat());
        println!("{input:?} {flag:?}");
        assert_failed(&run, 2, &[flag[0], "is for", part]);
    }
}

#[test]
fn rules_that_are_not_there_are_refused_even_when_nothing_runs() {
    for explain in [&[][..], &["--explain"]] {
        let arguments = [&["query", "--interface", "lo", "--rules", "no-such-file", FLOWS], explain].concat();
        assert_failed(&tapline(&arguments), 2, &["--rules no-such-file"]);
    }
}

#[test]
fn windows_are_counted_where_there_are_some() {
    let file = capture().to_str().unwrap();
    let count = "SELECT count(*) FROM packets";
    let run = tapline(&["query", "--pcap", file, "--windows", "1", count]);
    assert_failed(&run, 2, &["--windows", "tumble"]);
    let windowed = format!("{count} GROUP BY tumble('1 second')");
    let run = tapline(&["query", "--pcap", file, "--windows", "1", "--format", "json", &windowed, count]);
    assert_eq!(run.code, Some(0), "one of them has some: {}", run.stderr);
}

#[test]
fn an_interface_that_is_named_twice_is_refused() {
    let run = tapline(&["query", "--interface", "lo", "--interface", "lo", "--explain", FLOWS]);
    assert_failed(&run, 2, &["--interface lo is given twice"]);
    let both = ["query", "--interface", "lo", "--listen", "udp://127.0.0.1:2055", "--explain"];
    assert_eq!(tapline(&[&both[..], &[FLOWS]].concat()).code, Some(0));
    let counters = "SELECT count(*) FROM interface_counters GROUP BY tumble('1 second')";
    assert_eq!(tapline(&[&both[..], &[counters]].concat()).code, Some(0), "a listener may have them");
}

#[test]
fn a_filter_is_refused_where_not_all_are_frames() {
    let both =
        ["query", "--interface", "lo", "--listen", "udp://127.0.0.1:2055", "--explain", "--filter", "tcp"];
    assert_failed(&tapline(&[&both[..], &[FLOWS]].concat()), 2, &["--filter looks at frames", "WHERE"]);
}

#[test]
fn two_queries_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["a", "b"].map(|part| folder.path().join(part).join("same.sql"));
    for file in &files {
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(file, FLOWS).unwrap();
    }
    let [a, b] = files.map(|file| file.to_str().unwrap().to_owned());
    let file = capture().to_str().unwrap();
    let run = tapline(&["query", "--pcap", file, "--query-file", &a, "--query-file", &b]);
    assert_failed(&run, 2, &["two queries are called same"]);
}

//! Exports in capture files.

use super::account::{AS_JSON, fates, matrix, matrix_query, remark, summary, truth_matrix};
use super::sender::faulty;
use harness::tapline;
use tapline_trafficgen::exports::{ExportCapture, ExportPlan, Faults, Fleet, Outbox, Protocol};

fn capture_of(plan: ExportPlan) -> ExportCapture {
    ExportCapture { plan, exporters: 3, records_per_second: 10_000, records: 100_000 }
}

#[test]
fn every_record_of_a_capture_is_found() {
    for protocol in Protocol::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exports.pcap");
        let capture = capture_of(ExportPlan::new(protocol, 7));
        let (_, truth) = capture.write_pcap(std::fs::File::create(&path).unwrap()).unwrap();
        let path = path.to_str().unwrap();
        for window in ["", ", tumble('5 seconds')", ", hop('5 seconds', '5 seconds')"] {
            let query = matrix_query(window);
            let run =
                tapline(&[&["query", "--exports", path, "--format", "csv", &query], &AS_JSON[..]].concat());
            assert!(matrix(&run) == truth_matrix(&truth), "{protocol}{window}: {}", run.stderr);
            assert_eq!(summary(&run)["queries"][0]["late"], 0, "nothing is late in a file: {}", run.stderr);
        }
    }
}

#[test]
fn faults_in_a_capture_are_accounted_for() {
    let faults =
        Faults { lose_percent: 5, reorder_percent: 5, redefine_every_datagrams: 50, ..Faults::default() };
    let units =
        [(Protocol::NetflowV5, 0), (Protocol::NetflowV9, 1), (Protocol::Ipfix, 0), (Protocol::Sflow, 0)];
    for (protocol, unit) in units {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exports.pcap");
        let capture = capture_of(faulty(ExportPlan::new(protocol, 11), faults));
        let (_, truth) = capture.write_pcap(std::fs::File::create(&path).unwrap()).unwrap();
        let (path, query) = (path.to_str().unwrap(), matrix_query(""));
        let run = tapline(&[&["query", "--exports", path, "--format", "csv", &query], &AS_JSON[..]].concat());
        assert!(matrix(&run) == truth_matrix(&truth), "{protocol}: {}", run.stderr);
        let [_, delivered, _, undecodable, lost] = fates(&run);
        let of = |amount: tapline_trafficgen::exports::Amount| [amount.records, amount.datagrams][unit];
        assert_eq!([delivered, undecodable, lost], [of(truth.sent), 0, of(truth.lost)], "{protocol}");
    }
}

#[test]
fn counters_of_interfaces_are_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exports.pcap");
    let plan = ExportPlan { control_every_datagrams: 50, ..ExportPlan::new(Protocol::Sflow, 3) };
    let (_, truth) = capture_of(plan).write_pcap(std::fs::File::create(&path).unwrap()).unwrap();
    let sql = "SELECT count(*) AS samples FROM interface_counters";
    let run = tapline(&["query", "--exports", path.to_str().unwrap(), "--format", "csv", sql]);
    assert_eq!(run.success(), format!("samples\n{}\n", truth.control.counter_samples));
    assert!(truth.control.counter_samples > 0);
}

#[test]
fn the_ledger_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exports.pcap");
    let faults = Faults { lose_percent: 5, ..Faults::default() };
    let capture = capture_of(faulty(ExportPlan::new(Protocol::Ipfix, 3), faults));
    let (_, truth) = capture.write_pcap(std::fs::File::create(&path).unwrap()).unwrap();
    let sql = "SELECT sum(offered) AS offered, sum(delivered) AS delivered, sum(lost) AS lost, count(DISTINCT exporter) AS exporters FROM ledger WHERE unit = 'records'";
    let run = tapline(&["query", "--exports", path.to_str().unwrap(), "--format", "csv", sql]);
    let (delivered, lost) = (truth.sent.records, truth.lost.records);
    let expected = format!("offered,delivered,lost,exporters\n{},{delivered},{lost},3\n", delivered + lost);
    assert_eq!(run.success(), expected);
}

#[test]
fn what_is_cut_off_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exports.dat");
    let mut outbox = Outbox::default();
    let mut fleet = Fleet::new(&ExportPlan::new(Protocol::NetflowV5, 3), 0..1).unwrap();
    fleet.emit(0, 1_800_000_000_000_000_000, &mut outbox);
    let octets = outbox.datagrams().collect::<Vec<_>>().concat();
    std::fs::write(&path, &octets[..octets.len() - 1]).unwrap();
    let (path, query) = (path.to_str().unwrap(), matrix_query(""));
    let run = tapline(&[&["query", "--exports", path, &query], &AS_JSON[..]].concat());
    assert_eq!(remark(&run, "messages and segments cut short"), 1, "{}", run.stderr);
}

/// Rows by source, which is the name of a file.
fn rows_by_source(paths: &[&str]) -> Vec<String> {
    let files = paths.iter().flat_map(|path| ["--exports", *path]);
    let sql = "SELECT source, count(*) AS rows FROM flows GROUP BY source ORDER BY source";
    let arguments: Vec<_> = ["query", "--format", "csv"].into_iter().chain(files).chain([sql]).collect();
    tapline(&arguments).success().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn every_row_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut expected = vec![];
    for (name, protocol, records) in [
        ("a.pcap", Protocol::Ipfix, 20_000),
        ("b.pcap", Protocol::NetflowV9, 10_000),
        ("c.pcap", Protocol::Sflow, 7_000),
    ] {
        let capture = ExportCapture { records, ..capture_of(ExportPlan::new(protocol, 7)) };
        let file = std::fs::File::create(path(name)).unwrap();
        let (_, truth) = capture.write_pcap(file).unwrap();
        expected.push(format!("{},{}", path(name), truth.sent.records));
    }
    let [a, b, c] = ["a.pcap", "b.pcap", "c.pcap"].map(path);
    assert_eq!(rows_by_source(&[&a, &b, &c]), expected, "merged by time");
    let mut outbox = Outbox::default();
    let mut fleet = Fleet::new(&ExportPlan::new(Protocol::NetflowV5, 3), 0..1).unwrap();
    fleet.emit(0, 1_800_000_000_000_000_000, &mut outbox);
    let raw = path("d.dat");
    std::fs::write(&raw, outbox.datagrams().collect::<Vec<_>>().concat()).unwrap();
    expected.extend(rows_by_source(&[&raw]));
    assert_eq!(expected.len(), 4);
    assert_eq!(rows_by_source(&[&raw, &a, &b, &c]), expected, "one file after the other");
}

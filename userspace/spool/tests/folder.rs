//! A spool in a real folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tapline_spool::{Recovered, Spool, SpoolError, SpoolLimits, SpoolOptions};

fn options(folder: &Path, drawn: u64) -> SpoolOptions {
    let limits = SpoolLimits {
        record_octets_max: 1 << 16,
        segment_octets: 1 << 16,
        octets_max: 1 << 18,
        age_max_ns: 1000,
    };
    SpoolOptions { folder: folder.to_owned(), kind: "test", drawn, limits }
}

fn all(spool: &Spool) -> Vec<(u64, Vec<u8>)> {
    let (mut all, mut next) = (vec![], 0);
    while next <= spool.safe() {
        let records = spool.read(next, 1 << 20).unwrap();
        assert!(records.damaged().is_empty());
        all.extend(records.iter().map(|(number, octets)| (number, octets.to_vec())));
        next = records.next();
    }
    all
}

#[test]
fn what_is_safe_comes_back_by_number_and_what_was_forgotten_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("some").join("where");
    let (mut spool, _) = Spool::open(&options(&place, 7)).unwrap();
    let record = |number: u64| vec![number as u8; 1000];
    for number in 1..=150 {
        assert_eq!(spool.append(&[record(number)], 0).unwrap(), number..number + 1);
    }
    assert_eq!((spool.last(), spool.sync().unwrap()), (150, 150));
    spool.append(&[b"not safe, though it is there"], 0).unwrap();
    let before = spool.octets();
    spool.forget_before(100).unwrap();
    assert!(spool.octets() < before);
    let expected: Vec<_> = (100..=150).map(|number| (number, record(number))).collect();
    assert_eq!(all(&spool), expected);
    drop(spool);
    let (spool, recovered) = Spool::open(&options(&place, 8)).unwrap();
    assert_eq!((recovered, spool.identity(), spool.safe()), (Recovered::default(), 7, 151));
    assert!(all(&spool).ends_with(&[(150, record(150)), (151, b"not safe, though it is there".to_vec())]));
    assert_eq!(spool.read(151, 0).unwrap().iter().count(), 1);
}

#[test]
fn who_appends_decides_what_goes_when_it_is_full_or_old() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(&options(folder.path(), 7)).unwrap();
    let full = loop {
        if let Err(error) = spool.append(&[vec![1; 30_000]], 5) {
            break error;
        }
    };
    assert!(
        matches!(full, SpoolError::Full { .. }) && full.to_string().contains("forget the oldest"),
        "{full}"
    );
    let oldest = spool.oldest().unwrap();
    assert!(oldest.numbers.start == 1 && oldest.octets <= 1 << 16 && oldest.written_ns == 5, "{oldest:?}");
    spool.sync().unwrap();
    assert_eq!((spool.aged_before(1005), spool.aged_before(1006)), (1, spool.last() + 1));
    spool.forget_before(oldest.numbers.end).unwrap();
    spool.append(&[vec![1; 30_000]], 5).unwrap();
    let long = spool.append(&[vec![0; 1 << 17]], 5).unwrap_err();
    assert!(long.to_string().contains("raise record_octets_max"), "{long}");
}

#[test]
fn a_folder_is_of_one_spool_and_what_is_no_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&options(folder.path(), 7)).unwrap();
    let second = Spool::open(&options(folder.path(), 7)).unwrap_err();
    assert!(second.to_string().contains("another process has it"), "{second}");
    drop(spool);
    assert!(Spool::open(&options(folder.path(), 7)).is_ok());
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Spool::open(&options(&file, 7)).unwrap_err().to_string();
    assert!(error.contains("cannot be made"), "{error}");
}

/// Megabytes a second of so many octets.
fn rate(octets: usize, took: Duration) -> f64 {
    octets as f64 / 1e6 / took.as_secs_f64()
}

/// What the disk does; `TAPLINE_SPOOL` names a folder on it.
#[test]
#[ignore = "it measures"]
fn throughput() {
    let place = std::env::var("TAPLINE_SPOOL").unwrap_or_else(|_| "/var/tmp".to_owned());
    for record_octets in [200, 10_000, 500_000] {
        let folder = tempfile::tempdir_in(&place).unwrap();
        let options = SpoolOptions { limits: SpoolLimits::default(), ..options(folder.path(), 7) };
        let (mut spool, _) = Spool::open(&options).unwrap();
        let records: Vec<_> =
            (0..1_000_000 / record_octets).map(|of| vec![of as u8; record_octets]).collect();
        let (begun, mut synced, mut syncing, mut octets) =
            (Instant::now(), Instant::now(), Duration::ZERO, 0);
        let mut longest = Duration::ZERO;
        while octets < 1 << 30 {
            spool.append(&records, 0).unwrap();
            octets += records.len() * record_octets;
            if synced.elapsed() > Duration::from_millis(250) {
                let begin = Instant::now();
                spool.sync().unwrap();
                (syncing, longest) = (syncing + begin.elapsed(), longest.max(begin.elapsed()));
                synced = Instant::now();
            }
        }
        spool.sync().unwrap();
        println!(
            "{record_octets} octets: append and sync {:.0} MB/s, {syncing:.1?} of {:.1?} in syncs, the longest {longest:.1?}",
            rate(octets, begun.elapsed()),
            begun.elapsed()
        );
        drop(spool);
        let begun = Instant::now();
        let (spool, _) = Spool::open(&options).unwrap();
        println!("{record_octets} octets: open {:.0} MB/s", rate(octets, begun.elapsed()));
        for at_once in [0, 1 << 20] {
            let (begun, mut next, mut read) = (Instant::now(), 0, 0);
            while next <= spool.safe() && begun.elapsed() < Duration::from_secs(10) {
                let records = spool.read(next, at_once).unwrap();
                read += records.iter().map(|(_, octets)| octets.len()).sum::<usize>();
                next = records.next();
            }
            println!(
                "{record_octets} octets: read {at_once} at once {:.0} MB/s",
                rate(read, begun.elapsed())
            );
        }
    }
}

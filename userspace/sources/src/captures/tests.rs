//! A folder as writers of all kinds leave it, and the seconds of the frames that come of it.

use super::*;
use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::AtomicI64;

const SECOND: i64 = 1_000_000_000;

/// What time it is here; the files that tests write are of the machine's own time.
#[derive(Debug)]
struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn now(&self) -> EventTime {
        EventTime(self.0.load(Ordering::Relaxed))
    }
}

/// A folder of captures with whoever reads it.
struct Bench {
    folder: tempfile::TempDir,
    memory: SharedMemory,
    clock: Arc<FakeClock>,
    reader: CaptureFolder,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let memory = SharedMemory::default();
        // Far behind whatever is written here, so that files are left alone as soon as they are written.
        let clock = Arc::new(FakeClock(AtomicI64::new(1 << 62)));
        let reader = reader(folder.path(), &memory, &clock);
        Self { folder, memory, clock, reader }
    }

    /// Another run, which goes on behind this one.
    fn restart(&mut self) {
        self.reader.note();
        let memory = FolderMemory::of_text(&self.memory.lock().to_text()).unwrap();
        self.memory = SharedMemory::default();
        *self.memory.lock() = memory;
        self.reader = reader(self.folder.path(), &self.memory, &self.clock);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, octets: &[u8]) {
        fs::write(self.path(name), octets).unwrap();
    }

    /// Waits until nothing comes for a while; gives the seconds of the frames that came.
    fn read(&mut self) -> Vec<i64> {
        let (mut seconds, mut heard) = (vec![], Instant::now());
        while heard.elapsed() < Duration::from_millis(700) {
            let frames = self.reader.read(3, &mut |frame| seconds.push(frame.ts.0 / SECOND));
            if frames > 0 {
                heard = Instant::now();
            }
        }
        seconds
    }

    /// What was told.
    fn told(&mut self) -> Vec<String> {
        let text = |notice| match notice {
            Notice::Captures(text) => text,
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| self.reader.notice()).map(text).collect()
    }
}

fn reader(folder: &Path, memory: &SharedMemory, clock: &Arc<FakeClock>) -> CaptureFolder {
    let options = SourceOptions { clock: Arc::clone(clock) as Arc<dyn Clock>, ..SourceOptions::default() };
    CaptureFolder::open("ring", folder, memory, &options).unwrap()
}

/// A capture of a frame in each of these seconds.
fn capture(seconds: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let words = [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 1];
    let mut octets: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for second in seconds {
        octets.extend([second, 0, 60, 60].iter().flat_map(|word: &u32| word.to_le_bytes()));
        octets.extend([0; 60]);
    }
    octets
}

fn nobody() -> Vec<i64> {
    vec![]
}

#[test]
fn files_come_in_the_order_of_their_first_frames() {
    let mut bench = Bench::new();
    bench.write("a.pcap", &capture(20..25));
    bench.write("b.pcap", &capture(10..15));
    bench.write("c.pcap", &capture(15..20));
    assert_eq!(bench.read(), (10..25).collect::<Vec<i64>>());
    assert_eq!((bench.read(), bench.told()), (nobody(), vec![]));
    assert_eq!(bench.reader.counters().frames, 15);
}

#[test]
fn captures_of_the_same_time_are_merged() {
    let mut bench = Bench::new();
    bench.write("lan-1.pcap", &capture((10..20).step_by(2)));
    bench.write("wan-1.pcap", &capture((11..20).step_by(2)));
    assert_eq!(bench.read(), (10..20).collect::<Vec<i64>>());
}

#[test]
fn a_file_that_grows_is_followed_and_goes_on_when_it_grew_late() {
    let mut bench = Bench::new();
    let octets = capture(1..31);
    let mut writer = File::create(bench.path("x1.pcap")).unwrap();
    writer.write_all(&octets[..24 + 76 * 10 + 33]).unwrap();
    assert_eq!(bench.read(), (1..11).collect::<Vec<i64>>());
    writer.write_all(&octets[24 + 76 * 10 + 33..24 + 76 * 20]).unwrap();
    assert_eq!(bench.read(), (11..21).collect::<Vec<i64>>());
    bench.write("x2.pcap", &capture(40..43));
    assert_eq!(bench.read(), [40, 41, 42]);
    writer.write_all(&octets[24 + 76 * 20..]).unwrap();
    assert_eq!(bench.read(), (21..31).collect::<Vec<i64>>());
    assert_eq!(bench.told(), nobody_told());
}

fn nobody_told() -> Vec<String> {
    vec![]
}

#[test]
fn a_name_or_a_place_that_is_used_again_is_another_capture() {
    let mut bench = Bench::new();
    bench.write("x0", &capture(1..4));
    bench.write("x1", &capture(4..7));
    assert_eq!(bench.read(), (1..7).collect::<Vec<i64>>());
    // As tcpdump -W does it: the file is cut, and written anew.
    bench.write("x0", &capture(7..12));
    assert_eq!(bench.read(), (7..12).collect::<Vec<i64>>());
    fs::remove_file(bench.path("x1")).unwrap();
    bench.write("x1", &capture(12..14));
    assert_eq!(bench.read(), [12, 13]);
    // A file that only gets another name, or goes and comes back, is the same.
    fs::rename(bench.path("x0"), bench.path("y0")).unwrap();
    assert_eq!(bench.read(), nobody());
    let elsewhere = tempfile::tempdir_in(bench.folder.path()).unwrap();
    fs::rename(bench.path("y0"), elsewhere.path().join("z")).unwrap();
    assert_eq!(bench.read(), nobody());
    fs::rename(elsewhere.path().join("z"), bench.path("z")).unwrap();
    assert_eq!(bench.read(), nobody());
}

#[test]
fn another_run_goes_on_behind_this_one() {
    let mut bench = Bench::new();
    let octets = capture(1..21);
    bench.write("x1.pcap", &capture(100..103));
    bench.write("x0.pcap", &octets[..24 + 76 * 8 + 5]);
    assert_eq!(bench.read(), (1..9).chain(100..103).collect::<Vec<i64>>());
    bench.restart();
    assert_eq!(bench.reader.newest(), EventTime(102 * SECOND));
    assert_eq!(bench.read(), nobody());
    bench.restart();
    bench.write("x0.pcap", &octets);
    bench.write("x2.pcap", &capture(103..105));
    assert_eq!(bench.read(), (9..21).chain(103..105).collect::<Vec<i64>>());
    // The place of one that was read is used again while nobody looks.
    bench.restart();
    bench.write("x2.pcap", &capture(200..203));
    assert_eq!(bench.read(), [200, 201, 202]);
    assert_eq!(bench.told(), nobody_told());
}

#[test]
fn what_goes_before_it_was_read_is_told() {
    let mut bench = Bench::new();
    bench.write("x0.pcap", &capture(1..4));
    bench.write("x1.pcap", &capture(4..3004));
    while bench.reader.read(2, &mut |_| {}) == 0 {}
    // One is open and the other one waits.
    let read = bench.reader.counters().frames;
    fs::remove_file(bench.path("x0.pcap")).unwrap();
    fs::remove_file(bench.path("x1.pcap")).unwrap();
    let rest = bench.read().len() as u64;
    assert_eq!(read + rest, 3, "what is open is read to its end");
    let told = bench.told();
    assert!(
        told.len() == 1 && told[0].contains("x1.pcap was deleted or moved away before it was read"),
        "{told:?}"
    );
}

#[test]
fn what_is_overwritten_before_it_was_read_is_told_and_missing() {
    let mut bench = Bench::new();
    bench.write("x0.pcap", &capture(1..30_001));
    let mut read = 0;
    while read == 0 {
        read = bench.reader.read(2, &mut |_| {});
    }
    bench.write("x0.pcap", &capture(60_000..60_003));
    let rest = bench.read();
    assert!(rest.ends_with(&[60_000, 60_001, 60_002]));
    let read = (read + rest.len() - 3) as u64;
    assert_eq!(bench.reader.newly_missing(), 30_000 - read);
    let told = bench.told().join("\n");
    assert!(
        told.contains("x0.pcap was overwritten before it was read to its end: 2280024 octets, of which"),
        "{told}"
    );
}

#[test]
fn a_place_that_is_used_again_continues_nothing() {
    let mut bench = Bench::new();
    bench.write("x0.pcap", &capture(1..4));
    bench.read();
    bench.reader.note();
    assert!(is_continued(bench.folder.path(), &bench.memory.lock()));
    bench.write("x0.pcap", &capture(4..7));
    assert!(!is_continued(bench.folder.path(), &bench.memory.lock()));
}

#[test]
fn what_is_wrong_with_a_file_is_told_once_and_costs_no_other_one() {
    let mut bench = Bench::new();
    bench.write("a.pcap", &capture(1..4));
    bench.write("notes.txt", b"what this folder is for");
    let mut damaged = capture(4..10);
    damaged[24 + 76 * 2 + 8..][..4].copy_from_slice(&[0xff; 4]);
    bench.write("b.pcap", &damaged);
    bench.write("c1.pcap", &capture(10..13)[..24 + 76 * 2 + 40]);
    bench.write("c2.pcap", &capture(13..15));
    bench.write(".hidden", b"whatever somebody is about to write here");
    let expected: Vec<i64> = (1..6).chain(10..12).chain(13..15).collect();
    assert_eq!(bench.read(), expected);
    let told = bench.told().join("\n");
    for part in [
        "notes.txt is not a capture file: it looks like a text file",
        "b.pcap is damaged at octet 176: a frame claims",
        "c1.pcap ends within a frame, at octet 176; the 2 frames before it count",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
    bench.write("e.pcap", &capture(15..17));
    assert_eq!((bench.read(), bench.told()), (vec![15, 16], nobody_told()));
}

#[test]
fn a_compressed_copy_of_what_was_read_is_not_read() {
    let mut bench = Bench::new();
    bench.write("x0.pcap", &capture(1..4));
    assert_eq!(bench.read(), [1, 2, 3]);
    // As tcpdump -z gzip does it.
    let Ok(gzip) = Command::new("gzip").arg(bench.path("x0.pcap")).status() else {
        return println!("skipped: gzip not found");
    };
    assert!(gzip.success());
    assert_eq!(bench.read(), nobody());
    bench.restart();
    assert_eq!(bench.read(), nobody());
    bench.write("x1.pcap", &capture(4..6));
    let alone = Command::new("gzip").arg(bench.path("x1.pcap")).status().unwrap();
    assert!(alone.success());
    assert_eq!(bench.read(), [4, 5]);
}

#[test]
fn a_capture_that_is_delivered_again_counts_once() {
    let mut bench = Bench::new();
    let octets = capture(1..501);
    bench.write("a.pcap", &octets);
    assert_eq!(bench.read(), (1..501).collect::<Vec<i64>>());
    let told_of = |bench: &mut Bench, name: &str| {
        let whole = format!("{name} is a capture that was read before: its 500 frames count once");
        bench.told().iter().filter(|told| told.ends_with(&whole)).count()
    };
    bench.write("b.pcap", &octets);
    assert_eq!((bench.read(), told_of(&mut bench, "b.pcap")), (nobody(), 1));
    // As rsync does it, and as cp does.
    bench.write(".a.pcap.17", &octets);
    fs::rename(bench.path(".a.pcap.17"), bench.path("a.pcap")).unwrap();
    assert_eq!((bench.read(), told_of(&mut bench, "a.pcap")), (nobody(), 1));
    bench.write("b.pcap", &octets);
    assert_eq!(bench.read(), nobody());
    // Another run knows it, too.
    bench.restart();
    bench.write("c.pcap", &octets);
    assert_eq!((bench.read(), told_of(&mut bench, "c.pcap")), (nobody(), 1));
    // More of the same capture is read, and one that only begins so is another one.
    bench.write("d.pcap", &capture(1..601));
    assert_eq!(bench.read(), (501..601).collect::<Vec<i64>>());
    bench.write("c.pcap", &capture(1..601));
    assert_eq!(bench.read(), nobody(), "what looks as if a file had grown may be a copy of another one");
    bench.write("e.pcap", &capture((1..400).chain(700..901)));
    assert_eq!(bench.read(), (1..400).chain(700..901).collect::<Vec<i64>>());
    assert_eq!(bench.reader.counters().frames, 100 + 600, "of the second run");
    // Nor does it matter that no file is there any more which it was read of.
    for name in ["a.pcap", "b.pcap", "c.pcap", "d.pcap"] {
        fs::remove_file(bench.path(name)).unwrap();
    }
    assert_eq!(bench.read(), nobody());
    bench.write("f.pcap", &capture(1..601));
    assert_eq!(bench.read(), nobody());
}

#[test]
fn two_copies_that_appear_together_count_once() {
    let mut bench = Bench::new();
    bench.write("a.pcap", &capture(1..2001));
    bench.write("b.pcap", &capture(1..2001));
    assert_eq!(bench.read(), (1..2001).collect::<Vec<i64>>());
}

#[test]
fn the_oldest_capture_is_forgotten_for_the_newest() {
    let mut delivered = Delivered::default();
    let beginning = Beginning { octets: 100, checksum: 1 };
    let ending = tapline_capture::Ending { octets: 100, checksum: 2 };
    let mut add = |second: i64| {
        let (frames, undecodable, read) = (1, 0, EventTime(second));
        let capture = delivered::DeliveredCapture { beginning, ending, frames, undecodable, read };
        delivered.add(EventTime(-second), capture)
    };
    assert!((0..4096).all(|second| !add(second)) && add(4096) && add(4097));
    assert!(delivered.iter().all(|(first, _)| first <= EventTime(-2)));
}

#[test]
fn a_folder_that_goes_is_told_and_read_on_when_it_is_back() {
    let mut bench = Bench::new();
    let (folder, away) = (bench.folder.path().to_owned(), bench.folder.path().with_extension("away"));
    bench.write("x0.pcap", &capture(1..4));
    assert_eq!(bench.read(), [1, 2, 3]);
    fs::rename(&folder, &away).unwrap();
    assert_eq!(bench.read(), nobody());
    assert!(bench.told()[0].contains("cannot be read: No such file"));
    fs::rename(&away, &folder).unwrap();
    bench.write("x1.pcap", &capture(4..6));
    assert_eq!(bench.read(), [4, 5]);
    assert!(bench.told()[0].ends_with("can be read again"));
}

#[test]
fn one_reads_a_folder_at_a_time() {
    let bench = Bench::new();
    let open = || CaptureFolder::open("x", bench.folder.path(), &bench.memory, &SourceOptions::default());
    assert_eq!(open().unwrap_err(), "whoever read it before has not ended yet");
}

#[test]
fn time_goes_on_from_the_newest_frame() {
    let mut bench = Bench::new();
    bench.restart();
    bench.reader.alone_in = vec![StreamId::Packets];
    bench.write("x0.pcap", &capture(1..4));
    bench.read();
    let of = |bench: &Bench| [StreamId::Packets, StreamId::Flows].map(|of| bench.reader.watermark(of));
    assert_eq!(of(&bench), [EventTime(SECOND); 2]);
    bench.clock.0.fetch_add(15 * SECOND, Ordering::Relaxed);
    bench.read();
    // Flows come from others, too, which know how far time has come.
    assert_eq!(of(&bench), [EventTime(13 * SECOND), EventTime::MAX]);
    assert!(bench.reader.is_silent());
}

//! Disks that are full, spools that are old, and positions behind which sources go on.

use crate::proxy::Proxy;
use crate::scene::{Results, WIDTH_NS, begin_ns, cut, options, part, sensor, start, upstream, wait};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tapline_forward::{PAYLOAD_OCTETS_MAX, Sender};

/// Numbers of a part: half a megabyte, with what is said of it.
const NUMBERS: u64 = 50_000;
const CUTS: u64 = 100;

#[test]
fn what_a_spool_has_no_room_for_is_told_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, begin) = (Proxy::new(), begin_ns());
    let mut plan = sensor("pop-1", upstream(proxy.url()), &folder.path().join("pop-1"));
    plan.spool.octets_max = 16 << 20;
    let (sender, _) = Sender::start(plan, Box::<Results>::default()).unwrap();
    for number in 0..CUTS {
        let pane = (number / 10) as i64;
        let numbers: Vec<u64> = (0..NUMBERS).map(|row| number * NUMBERS + row).collect();
        let watermark = begin + (pane + i64::from(number % 10 == 9)) * WIDTH_NS;
        cut(&sender, vec![part(begin, pane, &numbers, watermark)], vec![7; 100]);
    }
    wait("all is written", || sender.status().unsafe_octets == 0);
    let status = sender.status();
    assert!(status.spool_octets <= 16 << 20 && status.lost > 50, "{status:?}");
    assert_eq!(status.lost_source_records, status.lost * NUMBERS);
    let results = Results::default();
    let receiver = start(options(), &folder.path().join("hub"), &results).unwrap();
    proxy.lead(Some(receiver.address()));
    wait("all is taken, or told to be missing", || {
        let taken = results.0.lock().unwrap();
        taken.panes.len() == 10 && taken.numbers().len() as u64 + taken.missing() == CUTS * NUMBERS
    });
    let status = sender.status();
    assert_eq!(results.0.lock().unwrap().missing(), status.lost_source_records);
    wait("what is told is counted", || {
        let sensors = receiver.sensors();
        sensors[0].lost >= status.lost
    });
}

/// A folder of little room, while this lives.
struct Small(PathBuf);

impl Small {
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        println!("skipped: needs CAP_SYS_ADMIN to mount a small disk");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().unwrap();
    }
}

#[test]
fn a_disk_that_is_full_is_told_once_and_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(&folder.path().join("small")) else { return };
    let (proxy, begin) = (Proxy::new(), begin_ns());
    let mut plan = sensor("pop-1", upstream(proxy.url()), &small.0.join("spool"));
    plan.spool.octets_max = 16 << 20;
    let told = Results::default();
    let (sender, _) = Sender::start(plan, Box::new(told.clone())).unwrap();
    for number in 0..20 {
        let numbers: Vec<u64> = (0..NUMBERS).map(|row| number * NUMBERS + row).collect();
        let parts = vec![part(begin, number as i64, &numbers, begin + (number as i64 + 1) * WIDTH_NS)];
        cut(&sender, parts, vec![]);
    }
    wait("all is written that has room", || sender.status().unsafe_octets == 0);
    let status = sender.status();
    assert!(status.lost > 0 && status.disk_trouble.is_none(), "{status:?}");
    let said = told.0.lock().unwrap().said.clone();
    assert!(said.len() == 1 && said[0].contains("No space left on device"), "{said:?}");
    let results = Results::default();
    let receiver = start(options(), &folder.path().join("hub"), &results).unwrap();
    proxy.lead(Some(receiver.address()));
    wait("all is taken, or told to be missing", || {
        let taken = results.0.lock().unwrap();
        taken.numbers().len() as u64 + taken.missing() == 20 * NUMBERS
    });
    drop(sender);
}

#[test]
fn an_aggregator_whose_disk_is_full_acknowledges_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(&folder.path().join("small")) else { return };
    let (proxy, begin, results) = (Proxy::new(), begin_ns(), Results::default());
    let receiver = start(options(), &small.0.join("hub"), &results).unwrap();
    proxy.lead(Some(receiver.address()));
    let filling = small.0.join("filling");
    fs::write(&filling, vec![0; 3 << 20]).unwrap();
    let plan = sensor("pop-1", upstream(proxy.url()), &folder.path().join("pop-1"));
    let (sender, _) = Sender::start(plan, Box::<Results>::default()).unwrap();
    for number in 0..4 {
        let numbers: Vec<u64> = (0..NUMBERS).map(|row| number * NUMBERS + row).collect();
        let parts = vec![part(begin, number as i64, &numbers, begin + (number as i64 + 1) * WIDTH_NS)];
        cut(&sender, parts, vec![]);
    }
    let is_told = || receiver.status().store_trouble.is_some_and(|why| why.contains("No space left"));
    wait("it is told", is_told);
    let said = results.0.lock().unwrap().said.clone();
    assert!(said.len() == 1 && said[0].contains("nothing is acknowledged"), "{said:?}");
    fs::remove_file(filling).unwrap();
    wait("all is taken", || results.0.lock().unwrap().numbers().len() as u64 == 4 * NUMBERS);
    wait("all is acknowledged", || sender.status().lag_ns == 0);
    assert_eq!((receiver.status().store_trouble, results.0.lock().unwrap().missing()), (None, 0));
    drop(receiver);
    let names = fs::read_dir(small.0.join("hub")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_str().unwrap().ends_with(".new")), "nothing is left half");
    drop(sender);
}

#[test]
fn what_is_too_old_is_told_to_be_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, begin) = (Proxy::new(), begin_ns());
    let mut plan = sensor("pop-1", upstream(proxy.url()), &folder.path().join("pop-1"));
    plan.spool.age_max = Duration::from_secs(1);
    let (sender, _) = Sender::start(plan, Box::<Results>::default()).unwrap();
    cut(&sender, vec![part(begin, 0, &[1, 2, 3], begin + WIDTH_NS)], vec![]);
    wait("it is too old", || sender.status().lost == 1);
    let results = Results::default();
    let receiver = start(options(), &folder.path().join("hub"), &results).unwrap();
    proxy.lead(Some(receiver.address()));
    cut(&sender, vec![part(begin, 1, &[4], begin + 2 * WIDTH_NS)], vec![]);
    wait("what is left is taken, and what is not is told", || {
        let taken = results.0.lock().unwrap();
        taken.missing() == 3 && taken.numbers().into_iter().eq([4])
    });
}

#[test]
fn a_sensor_goes_on_behind_the_last_cut_that_is_safe() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, place, begin) = (Proxy::new(), folder.path().join("pop-1"), begin_ns());
    let plan = || sensor("pop-1", upstream(proxy.url()), &place);
    let begun = || Sender::start(plan(), Box::<Results>::default()).unwrap();
    for number in 0..5_u64 {
        let (sender, positions) = begun();
        let expected = number.checked_sub(1).map(|before| before.to_le_bytes().to_vec());
        assert_eq!(positions, expected);
        // One that nothing came in counts, too.
        let parts = if number == 3 { vec![] } else { vec![part(begin, 0, &[number], begin)] };
        cut(&sender, parts, number.to_le_bytes().to_vec());
        wait("it is safe", || sender.status().unsafe_octets == 0);
        assert!(
            Sender::start(plan(), Box::<Results>::default()).unwrap_err().contains("another process has it")
        );
    }
    let results = Results::default();
    let receiver = start(options(), &folder.path().join("hub"), &results).unwrap();
    proxy.lead(Some(receiver.address()));
    let (sender, _) = begun();
    cut(&sender, vec![part(begin, 0, &[9], begin + WIDTH_NS)], vec![9]);
    wait("all is taken", || results.0.lock().unwrap().numbers().into_iter().eq([0, 1, 2, 4, 9]));
    wait("all is acknowledged", || sender.status().lag_ns == 0);
    drop(sender);
    let (sender, positions) = begun();
    assert_eq!(positions.as_deref(), Some(&[9][..]), "it is kept though nothing else is");
    cut(&sender, vec![part(begin, 1, &[10], begin + 2 * WIDTH_NS)], vec![]);
    wait("the next one is taken", || results.0.lock().unwrap().numbers().contains(&10));
    let taken = results.0.lock().unwrap();
    assert!(taken.panes.values().all(|given| !given.told.is_doubted), "nothing is in doubt");
    let long =
        sender.cut(vec![part(begin, 1, &vec![0; PAYLOAD_OCTETS_MAX / 8 + 1], begin)], vec![]).unwrap_err();
    assert!(long.to_string().contains("split it") && long.parts.len() == 1, "{long}");
}

#[test]
fn a_folder_or_an_address_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let begin = |url: &str, folder| {
        let plan = sensor("pop-1", upstream(url.to_owned()), folder);
        Sender::start(plan, Box::<Results>::default()).map(drop).unwrap_err()
    };
    assert!(begin("hub", folder.path()).contains("give https://HOST:PORT"));
    assert!(begin("http://127.0.0.1:1", &file).contains("cannot be made"));
    let first = start(options(), &folder.path().join("hub"), &Results::default()).unwrap();
    let mut taken = options();
    taken.entrance.listen = first.address();
    let said = start(taken, &folder.path().join("hub"), &Results::default()).unwrap_err();
    assert!(said.contains("cannot be listened to"), "{said}");
    let mut forwards = options();
    forwards.forward = Some(upstream("http://127.0.0.1:1".to_owned()));
    let said = start(forwards, &folder.path().join("hub"), &Results::default()).unwrap_err();
    assert!(said.contains("would get nothing"), "{said}");
    fs::write(folder.path().join("hub").join("checkpoint"), "torn").unwrap();
    let said = start(options(), &folder.path().join("hub"), &Results::default()).unwrap_err();
    assert!(said.contains("checkpoint is damaged"), "{said}");
    assert_eq!(first.status().ended, None, "nobody took its place");
}

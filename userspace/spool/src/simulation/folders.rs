//! Folders that are not ours, and disks that let nobody write.

use super::disk::{Disk, Faults};
use crate::error::SpoolError;
use crate::header::{OCTETS, SpoolHeader};
use crate::limits::SpoolLimits;
use crate::spool::{Spool, SpoolOptions};
use std::path::PathBuf;

fn options() -> SpoolOptions {
    let limits = SpoolLimits { segment_octets: 4096, octets_max: 1 << 20, ..SpoolLimits::default() };
    SpoolOptions { folder: PathBuf::from("spool"), kind: "test", drawn: 7, limits }
}

fn open(disk: &Disk) -> Result<Spool, SpoolError> {
    Spool::open_on(Box::new(disk.clone()), &options()).map(|(spool, _)| spool)
}

/// Why a folder is refused, which is left as it was.
fn refused(disk: &Disk) -> String {
    let before: Vec<_> = disk.names().into_iter().map(|name| (disk.get(&name), name)).collect();
    let why = open(disk).map(|_| ()).unwrap_err();
    let after = disk.names().into_iter().map(|name| (disk.get(&name), name));
    assert!(
        after.filter(|(_, name)| name != "lock").eq(before.into_iter().filter(|(_, name)| name != "lock"))
    );
    assert!(matches!(why, SpoolError::Refused { .. }), "{why}");
    why.to_string()
}

/// A disk with a spool of one record, and the name of its file.
fn with_one() -> (Disk, String) {
    let disk = Disk::new(1);
    let mut spool = open(&disk).unwrap();
    spool.append(&[b"one"], 0).unwrap();
    spool.sync().unwrap();
    (disk.clone(), disk.names().into_iter().find(|name| name.ends_with(".segment")).unwrap())
}

/// Another version, with a sum that is right.
fn of_version(disk: &Disk, name: &str, version: u8) {
    disk.damage(name, |octets, _| {
        octets[8] = version;
        let sum = crc32fast::hash(&octets[..OCTETS - 4]);
        octets[OCTETS - 4..OCTETS].copy_from_slice(&sum.to_le_bytes());
    });
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let disk = Disk::new(1);
    disk.put("thesis.tex", b"important");
    assert!(refused(&disk).contains("thesis.tex is in it"));
    assert_eq!(disk.names(), ["thesis.tex"]);
    let disk = Disk::new(1);
    disk.put("lost+found", b"");
    assert!(open(&disk).is_ok());
    let disk = Disk::new(1);
    let header = SpoolHeader { kind: "results".to_owned(), identity: 1 };
    disk.put("spool", &header.encode());
    assert!(refused(&disk).contains("it holds results, not test"));
}

#[test]
fn another_version_is_refused_by_name() {
    let (disk, _) = with_one();
    of_version(&disk, "spool", 2);
    assert!(refused(&disk).contains("spool is of version 2, and this program reads version 1"));
    let (disk, name) = with_one();
    of_version(&disk, &name, 3);
    assert!(refused(&disk).contains(&format!("{name} is of version 3")));
}

#[test]
fn a_damaged_header_and_a_file_of_another_spool_are_refused() {
    let (disk, name) = with_one();
    let other = disk.get(&name);
    disk.damage("spool", |octets, _| octets[30] ^= 1);
    assert!(refused(&disk).contains("is damaged; move the folder away"));
    let disk = Disk::new(2);
    let options = SpoolOptions { drawn: 8, ..options() };
    drop(Spool::open_on(Box::new(disk.clone()), &options).unwrap());
    disk.put(&name, &other);
    assert!(refused(&disk).contains("belongs to another one"));
}

#[test]
fn a_folder_is_of_one_process_and_free_when_that_ends() {
    let disk = Disk::new(1);
    let spool = open(&disk).unwrap();
    assert!(open(&disk).unwrap_err().to_string().contains("another process has it"));
    drop(spool);
    assert!(open(&disk).is_ok());
}

#[test]
fn a_file_header_that_is_damaged_costs_no_record() {
    let (disk, name) = with_one();
    disk.damage(&name, |octets, _| octets[20] ^= 1);
    let spool = open(&disk).unwrap();
    let records = spool.read(0, 100).unwrap();
    assert_eq!(records.iter().collect::<Vec<_>>(), [(1, &b"one"[..])]);
}

#[test]
fn a_disk_without_room_and_one_that_is_read_only_lose_nothing_and_go_on_later() {
    let (disk, _) = with_one();
    let mut spool = open(&disk).unwrap();
    for faults in
        [Faults { room: Some(100), ..Faults::default() }, Faults { is_read_only: true, ..Faults::default() }]
    {
        disk.set(faults);
        let why = spool.append(&[b"two"], 0).unwrap_err().to_string();
        assert!(why.contains("the spool spool cannot be appended to: "), "{why}");
        assert_eq!((spool.last(), spool.read(0, 100).unwrap().iter().count()), (1, 1));
        assert_eq!(disk.names().len(), 3, "{:?}", disk.names());
        disk.set(Faults::default());
    }
    let numbers = spool.append(&[b"two"], 0).unwrap();
    assert_eq!(spool.sync().unwrap(), numbers.start);
    disk.set(Faults { is_read_only: true, ..Faults::default() });
    drop(spool);
    let why = open(&Disk::new(3)).and_then(|_| open(&disk)).unwrap_err();
    assert!(why.to_string().contains("cannot"), "{why}");
}

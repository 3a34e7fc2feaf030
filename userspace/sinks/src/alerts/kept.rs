//! What fires and what is still to be told, in a file, from one run of a node to the next.

use super::alarms::AlarmsByQuery;
use super::looks::Looks;
use super::notice::Notice;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

const VERSION: u32 = 2;

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    version: u32,
    pub(super) alarms: AlarmsByQuery,
    pub(super) waiting: VecDeque<Notice>,
    /// How far queries were looked at by then; files of earlier versions do not say it.
    #[serde(default)]
    pub(super) looks: Looks,
}

/// The same, to be written.
#[derive(Serialize)]
struct Keeping<'a> {
    version: u32,
    alarms: &'a AlarmsByQuery,
    waiting: &'a VecDeque<Notice>,
    looks: &'a Looks,
}

/// What an earlier run kept; nothing where there is no file. One that cannot be read is put aside.
///
/// # Errors
/// A sentence that says so.
pub(super) fn load(path: &Path) -> Result<Kept, String> {
    let said = |what: &str| format!("{}: {what}", path.display());
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(said(&error.to_string())),
    };
    let kept = serde_json::from_slice::<Kept>(&text).map_err(|error| error.to_string());
    let why = match kept {
        Ok(kept) if kept.version == VERSION => return Ok(kept),
        Ok(kept) => format!("it is of version {}, and this tapline reads {VERSION}", kept.version),
        Err(why) => why,
    };
    let aside = path.with_extension("refused");
    Err(match fs::rename(path, &aside) {
        Ok(()) => said(&format!("{why}; it is put aside as {}", aside.display())),
        Err(error) => said(&format!("{why}, and it cannot be put aside: {error}")),
    })
}

/// Writes it, as a whole or not at all.
///
/// # Errors
/// A sentence; then what was there is there still.
pub(super) fn save(
    path: &Path,
    alarms: &AlarmsByQuery,
    waiting: &VecDeque<Notice>,
    looks: &Looks,
) -> Result<(), String> {
    let keeping = Keeping { version: VERSION, alarms, waiting, looks };
    let text = serde_json::to_vec(&keeping).map_err(|error| error.to_string())?;
    put(path, &text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts-pager.json");
        assert!(load(&path).unwrap().alarms.is_empty());
        save(&path, &AlarmsByQuery::new(), &VecDeque::new(), &Looks::default()).unwrap();
        assert!(load(&path).unwrap().waiting.is_empty());
        fs::write(&path, r#"{"version":2,"alarms":{},"waiting":[]}"#).unwrap();
        assert!(load(&path).is_ok(), "an earlier version has written it");
        for (text, reason) in
            [("{", "EOF"), (r#"{"version":1,"alarms":{},"waiting":[]}"#, "it is of version 1")]
        {
            fs::write(&path, text).unwrap();
            let why = load(&path).unwrap_err();
            assert!(why.contains(reason) && why.contains("alerts-pager.refused"), "{why}");
            assert!(!path.exists());
        }
    }
}

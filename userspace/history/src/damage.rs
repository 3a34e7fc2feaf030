//! Files whose ends can be read, and whose rows cannot: which ones these are is found by reading each to its end.

use crate::reading::{Running, Stored, in_order, whole};
use crate::shared::Shared;
use crate::store::Part;
use crate::unread::Wrong;
use datafusion::common::Result;
use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_record::EventTime;

/// What is wrong with a file, as a sentence that names it, where not all of it can be read; nothing where it ends before.
pub(crate) fn damage(shared: &Arc<Shared>, part: &Part, ends: &AtomicBool) -> Option<String> {
    let error = read(shared, part, ends).err()?;
    let (name, said) = (part.path.display().to_string(), error.message().into_owned());
    Some(if said.starts_with(&name) { said } else { format!("{name} cannot be read: {said}") })
}

fn read(shared: &Arc<Shared>, part: &Part, ends: &AtomicBool) -> Result<()> {
    let schema = Arc::clone(shared.reader(part)?.schema());
    let rows = whole(shared, from_ref(part), &schema).into_iter().map(Stored::partition).collect();
    for batch in Running::start(&in_order(rows, &schema, &[])?, Arc::default())? {
        batch?;
        if ends.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Whether a file of the folder can be read, as far as that is known. One that could not be is read by itself when it has
/// rested, before others are read with it.
pub(crate) fn is_readable(shared: &Arc<Shared>, part: &Part, (now, ends): (EventTime, &AtomicBool)) -> bool {
    let moved = shared.moved();
    let (wrong, rests) = (moved.unread.wrong(&part.path), moved.unread.rests(&part.path, now));
    drop(moved);
    if rests || wrong != Some(Wrong::Unread) {
        return !rests;
    }
    let damage = damage(shared, part, ends);
    if ends.load(Ordering::Acquire) {
        return false;
    }
    let (mut moved, is_whole) = (shared.moved(), damage.is_none());
    match damage {
        Some(why) => moved.unread.note(&part.path, why, now),
        None => moved.unread.forget(&part.path),
    }
    is_whole
}

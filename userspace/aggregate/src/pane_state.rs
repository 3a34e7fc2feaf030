//! What came of one half for one pane, as it is held.
//!
//! What comes is put beside what is there, and put together when it is asked for, or before, where there is much. Asked
//! for, it becomes octets, and stays so until more comes. Rows are refused where they would be more than can be written and
//! read again; groups are folded.

use crate::guard::guarded;
use crate::merging::Half;
use crate::payload::{OWN, Payload, said_of};
use crate::settled::settled;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapline_delivery::{Origin, SensorName};
use tapline_operators::HalfStates;

/// Groups that a pane may always have.
const GROUPS_MIN: usize = 255;

/// Pieces of rows of one pane that one sensor sends, a record each: a minute of cuts, and some of them in several. Of a tier
/// so many for each sensor that it stands for, but no more than three quarters of all.
pub(crate) const PIECES_OF_SENSOR_MAX: usize = 512;

/// What came of one half for one pane.
#[derive(Debug)]
pub struct PaneState {
    held: Mutex<Held>,
    /// Of rows, how much there is, and how many pieces of it came of each sender in this process.
    pub(crate) size: Size,
    pieces: BTreeMap<SensorName, usize>,
    /// What all states of its query take.
    of_query: Arc<AtomicUsize>,
}

/// How much rows are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pieces: usize,
    rows: u64,
    octets: usize,
}

/// What a state holds, and what its query is charged for it.
#[derive(Debug)]
struct Held {
    form: Form,
    octets: usize,
}

#[derive(Debug)]
pub(crate) enum Form {
    /// As it comes, and with what it is merged.
    Open(Box<Open>),
    /// As it goes.
    Packed(Arc<[u8]>),
}

#[derive(Debug)]
pub(crate) struct Open {
    payload: Payload,
    states: Arc<HalfStates>,
    groups_max: usize,
}

impl PaneState {
    pub(crate) fn new(form: Form, of_query: Arc<AtomicUsize>) -> Self {
        let octets = form.octets();
        of_query.fetch_add(octets, Ordering::Relaxed);
        let held = Mutex::new(Held { form, octets });
        Self { held, size: Size::default(), pieces: BTreeMap::new(), of_query }
    }

    /// How much rows would be with these; refuses those that there is no room for: nothing can be made of them that is
    /// shorter.
    fn size_with(&self, news: &Payload, half: &Half) -> Result<Size, String> {
        if news.parts.is_empty() {
            return Ok(self.size);
        }
        if half.is_full() {
            let why = "the query holds as many octets of rows as it may; ask for fewer, or raise octets_max";
            return Err(why.to_owned());
        }
        let size = self.size.with(Size::of(news));
        let bounds = [
            ("pieces", size.pieces as u64, OWN.parts),
            ("rows", size.rows, OWN.rows),
            // What is around rows takes some, too.
            ("octets", size.octets as u64, OWN.unpacked / 2),
        ];
        match bounds.into_iter().find(|(_, sum, most)| *sum > *most as u64) {
            None => Ok(size),
            Some((what, sum, most)) => Err(format!("their pane would be of {sum} {what}, more than {most}")),
        }
    }

    /// How many pieces there are of a sender with so many more.
    pub(crate) fn pieces_with(&self, from: Origin<'_>, more: usize) -> Result<usize, String> {
        let most = PIECES_OF_SENSOR_MAX.saturating_mul(from.stands_for.unwrap_or(1).max(1));
        let most = most.min(OWN.parts - OWN.parts / 4);
        match self.pieces.get(from.sensor).copied().unwrap_or(0) + more {
            pieces if pieces <= most => Ok(pieces),
            pieces => Err(format!("its pane would have {pieces} pieces of this sensor, more than {most}")),
        }
    }

    /// Adds what came, as a whole or not at all.
    pub(crate) fn add(&mut self, news: Payload, half: &Half) -> Result<(), String> {
        let size = if half.states.are_rows() { self.size_with(&news, half)? } else { self.size };
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Form::Packed(octets) = &held.form {
            let payload = Payload::decode(octets, &half.states, OWN)?;
            let (states, groups_max) = (Arc::clone(&half.states), half.limits.groups_max);
            held.form = Form::Open(Box::new(Open { payload, states, groups_max }));
        }
        if let Form::Open(open) = &mut held.form {
            open.append(news, half);
        }
        held.count(&self.of_query);
        self.size = size;
        Ok(())
    }

    /// All of it as a payload, which whoever asks shares with it.
    pub(crate) fn packed(&self) -> Arc<[u8]> {
        let mut held = self.held();
        let octets: Arc<[u8]> = match &mut held.form {
            Form::Packed(octets) => return Arc::clone(octets),
            Form::Open(open) => open.pack().into(),
        };
        held.set(Form::Packed(Arc::clone(&octets)), &self.of_query);
        octets
    }

    /// Octets that it takes.
    pub(crate) fn octets(&self) -> usize {
        self.held().octets
    }

    /// That a sender has given so many pieces.
    pub(crate) fn note_pieces(&mut self, from: &SensorName, pieces: usize) {
        if pieces > 0 {
            self.pieces.insert(from.clone(), pieces);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Size {
    /// How much rows of a payload are.
    pub(crate) fn of(payload: &Payload) -> Self {
        let parts = &payload.parts;
        Self { pieces: parts.len(), rows: parts.rows(), octets: parts.octets() }
    }

    const fn with(self, other: Self) -> Self {
        Self {
            pieces: self.pieces.saturating_add(other.pieces),
            rows: self.rows.saturating_add(other.rows),
            octets: self.octets.saturating_add(other.octets),
        }
    }
}

impl Drop for PaneState {
    fn drop(&mut self) {
        let octets = self.held().octets;
        self.of_query.fetch_sub(octets, Ordering::Relaxed);
    }
}

impl Held {
    fn set(&mut self, form: Form, of_query: &AtomicUsize) {
        self.form = form;
        self.count(of_query);
    }

    /// Charges its query with what it holds.
    fn count(&mut self, of_query: &AtomicUsize) {
        let octets = self.form.octets();
        of_query.fetch_add(octets, Ordering::Relaxed);
        of_query.fetch_sub(self.octets, Ordering::Relaxed);
        self.octets = octets;
    }
}

impl Form {
    fn octets(&self) -> usize {
        size_of::<PaneState>()
            + match self {
                Self::Open(open) => size_of::<Open>() + open.payload.parts.octets(),
                Self::Packed(octets) => octets.len(),
            }
    }
}

impl Open {
    /// Takes what came. Where there is no room, no groups are taken that are not known.
    fn append(&mut self, news: Payload, half: &Half) {
        let is_full = half.is_full();
        let room = if is_full { self.payload.parts.groups_in_all().max(GROUPS_MIN) } else { usize::MAX };
        self.groups_max = half.limits.groups_max.min(room);
        self.payload.append(news);
        if !half.states.are_rows() && (self.payload.parts.are_many() || is_full) {
            self.settle();
        }
    }

    /// Puts its parts together, but for those that cannot be merged: how much is missing with them is not known.
    fn settle(&mut self) {
        let settled = settled(&self.states, &self.payload.parts, self.groups_max);
        self.payload.parts = settled.parts;
        self.payload.is_doubted |= settled.any_is_left_out;
    }

    fn pack(&mut self) -> Vec<u8> {
        self.settle();
        let packed = guarded(|| self.payload.encode(&self.states));
        // What would be too long to be read again is as little kept as what cannot be written.
        let packed = packed
            .ok()
            .filter(|packed| packed.unpacked <= OWN.unpacked && said_of(&packed.octets).parts <= OWN.parts);
        packed.map_or_else(|| self.payload.clone().encode_doubt(), |packed| packed.octets)
    }
}

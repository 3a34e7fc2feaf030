//! How a sensor goes on with what its spool has.

use super::options::SenderOptions;
use super::spooled::{Place, Spooled};
use crate::random;
use bytes::Bytes;
use std::collections::BTreeMap;
use tapline_delivery::{Head, Incarnation, Kind, Lineage, Outgoing, OutgoingLimits, Position};
use tapline_spool::{Recovered, Spool, SpoolOptions};

/// What the folder of a spool is known by.
const KIND: &str = "tapline parts";
/// Octets that are read at once.
const READ_OCTETS: usize = 1 << 20;

/// What a sensor begins with.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) spool: Spool,
    pub(crate) outgoing: Outgoing,
    /// By record, where it is in the spool.
    pub(crate) slots: BTreeMap<Position, Slot>,
    /// How far sources had come at the last cut that is safe.
    pub(crate) positions: Option<Vec<u8>>,
    /// Where that is in the spool: it is kept until there is a later one.
    pub(crate) place: u64,
    /// What is wrong with the spool, in sentences.
    pub(crate) said: Vec<String>,
}

/// Where a record is in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its number there.
    pub(crate) number: u64,
    /// Records of sources that it accounts for.
    pub(crate) records: u64,
    /// Whether it was counted as covered, or as lost.
    pub(crate) is_counted: bool,
}

impl Slot {
    /// That of a record; what only says what is gone is counted by that.
    pub(crate) const fn of(head: &Head, number: u64) -> Self {
        match &head.kind {
            Kind::Part(part) => Self { number, records: part.records, is_counted: false },
            Kind::Gone(_) => Self { number, records: 0, is_counted: true },
        }
    }
}

/// What was found in a spool.
#[derive(Debug, Default)]
struct Found {
    records: Vec<(Head, u64)>,
    slots: BTreeMap<Position, Slot>,
    places: Vec<(u64, Place)>,
}

/// Opens the spool, and begins another life behind what is in it.
///
/// # Errors
/// A sentence, when it cannot be used.
pub(crate) fn start(options: &SenderOptions) -> Result<Started, String> {
    let plan = &options.spool;
    let open = SpoolOptions {
        folder: plan.folder.clone(),
        kind: KIND,
        drawn: random::bits(),
        limits: plan.limits()?,
    };
    let (spool, recovered) = Spool::open(&open).map_err(|error| error.to_string())?;
    let Found { records, slots, places } = read(&spool)?;
    let of_records = records.last().map(|(head, _)| head.position);
    let of_places = places.last().map(|(_, place)| place.last);
    let latest = of_records.max(of_places).unwrap_or(Position::START).incarnation;
    let life = Incarnation::after(latest, random::life());
    let lineage = Lineage(spool.identity());
    let outgoing = resume((lineage, life), plan.outgoing(), records, of_places);
    // That of a cut which is not whole counts as little as the cut.
    let place = places.iter().rev().find(|(_, place)| place.last <= outgoing.safe_cut());
    let positions = place.map(|(_, place)| place.positions.to_vec());
    let place = place.map_or(u64::MAX, |(number, _)| *number);
    let said = said(options, &recovered);
    Ok(Started { spool, outgoing, slots, positions, place, said })
}

fn resume(
    (lineage, life): (Lineage, Incarnation),
    limits: OutgoingLimits,
    mut records: Vec<(Head, u64)>,
    place: Option<Position>,
) -> Outgoing {
    let last = records.last().map(|(head, _)| head.position);
    match (last, place) {
        // The end of the last cut is damaged: something has to stand behind it, so that it is said to be missing.
        (Some(last), Some(place)) if place > last => {
            let position = Position { number: place.number + 1, ..place };
            let head = Head { position, after: place, ends_cut: true, kind: Kind::Gone(vec![]) };
            records.push((head, 0));
            Outgoing::resume(lineage, life, limits, records)
        }
        // Nothing is kept: only by the place it is known where it stood.
        (None, Some(place)) => Outgoing::new(lineage, life, limits).behind(place),
        _ => Outgoing::resume(lineage, life, limits, records),
    }
}

fn read(spool: &Spool) -> Result<Found, String> {
    let (mut found, mut next) = (Found::default(), 0);
    while next <= spool.safe() {
        let records = spool.read(next, READ_OCTETS).map_err(|error| error.to_string())?;
        for (number, octets) in records.iter() {
            match Spooled::of(Bytes::copy_from_slice(octets)) {
                Some(Spooled::Record(head, payload)) => {
                    found.slots.insert(head.position, Slot::of(&head, number));
                    found.records.push((head, payload.len() as u64));
                }
                Some(Spooled::Place(place)) => found.places.push((number, place)),
                None => {}
            }
        }
        next = records.next();
    }
    Ok(found)
}

/// What whoever looks after the sensor should know.
fn said(options: &SenderOptions, recovered: &Recovered) -> Vec<String> {
    let folder = options.spool.folder.display();
    let missing: u64 = recovered.missing.iter().map(|numbers| numbers.end() - numbers.start() + 1).sum();
    let mut said = vec![];
    if missing > 0 {
        said.push(format!(
            "of the records of the spool {folder} {missing} are damaged or missing; what they had is told to be missing, \
             or to be in doubt"
        ));
    }
    if recovered.torn_octets > 0 {
        let octets = recovered.torn_octets;
        said.push(format!(
            "the last {octets} octets of the spool {folder} are no whole cut, and count as never made"
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::SpoolPlan;
    use crate::uplink::Upstream;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;
    use tapline_delivery::{Gap, SensorName};

    fn options(folder: &Path) -> SenderOptions {
        let age_max = Duration::from_secs(60);
        let to = Upstream { url: "http://127.0.0.1:1".to_owned(), ca: None, own: None, token_file: None };
        SenderOptions {
            name: SensorName::new("pop-1"),
            to,
            spool: SpoolPlan { folder: folder.to_owned(), octets_max: 16 << 20, age_max },
            version: String::new(),
            states: String::new(),
        }
    }

    fn position(number: u64) -> Position {
        Position { incarnation: Incarnation(1), number }
    }

    fn record(number: u64) -> Vec<u8> {
        let after = if number == 1 { Position::START } else { position(number - 1) };
        let head = Head { position: position(number), after, ends_cut: true, kind: Kind::Gone(vec![]) };
        Spooled::record(&head, format!("payload {number}").as_bytes())
    }

    #[test]
    fn the_end_of_a_spool_that_is_damaged_is_told_to_be_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = start(&options(folder.path())).unwrap().spool;
        for number in [1, 2] {
            spool.append(&[record(number), Spooled::place(position(number), b"then")], 0).unwrap();
            spool.sync().unwrap();
        }
        spool.append(&[Spooled::place(position(2), b"here")], 0).unwrap();
        spool.sync().unwrap();
        drop(spool);
        let whole = start(&options(folder.path())).unwrap();
        assert_eq!((whole.outgoing.safe_cut(), whole.said), (position(2), vec![]));
        drop(whole.spool);
        let file = folder.path().join("00000000000000000001.segment");
        let mut octets = fs::read(&file).unwrap();
        let place = octets.windows(9).position(|window| window == b"payload 2").unwrap();
        octets[place] ^= 1;
        fs::write(&file, octets).unwrap();
        let started = start(&options(folder.path())).unwrap();
        assert_eq!(started.positions.as_deref(), Some(&b"here"[..]));
        assert!(started.said[0].contains(" 1 are damaged"), "{:?}", started.said);
        let told: Vec<_> = started.outgoing.unsafe_heads().map(|head| head.kind.clone()).collect();
        let gap = Gap { after: position(1), last: position(2), records: 0, losses: vec![] };
        assert_eq!(told, [Kind::Gone(vec![gap])]);
    }
}

//! An aggregator as a checkpoint, and back.

use super::{Aggregator, AggregatorOptions, Given, Merge, Role, Untaken};
use crate::blobs::{Blob, BlobId, Bundle, Bundling, FoundBlobs, NotFound, Place, read_places, write_places};
use crate::checkpoint::{Form, Manifest, Stamp, begin, open, read_stamp, seal};
use crate::codec::{Garbage, Reader, Writer};
use crate::half::{Half, HalfSpec, Pane};
use crate::link::{Link, Standing};
use crate::mutation::{Mutation, is_mutated};
use crate::names::{Fingerprint, HalfId, Incarnation, Lineage, Moment, SensorName};
use crate::outgoing::Outgoing;
use crate::record::{
    Head, Told, read_behind, read_leaves, read_position, read_span, write_behind, write_leaves,
    write_position, write_span,
};
use crate::seen::{Reach, Seen, Stretch, octets_of};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a checkpoint is as octets.
pub(super) struct Encoded {
    pub(super) manifest: Manifest,
    pub(super) bundle: Option<Bundle>,
    /// Where the blobs are that it names.
    pub(super) places: BTreeMap<BlobId, Place>,
}

impl<M: Merge> Aggregator<M> {
    /// Goes on with what a checkpoint has, after its manifest was claimed for this aggregator. The bundles that it names
    /// are got one after the other; one that was written before there were bundles names none.
    ///
    /// # Errors
    /// A sentence, when it is no checkpoint, is damaged, has a bundle that cannot be got, or states that cannot be merged
    /// any more.
    pub fn restore(
        merge: M,
        options: AggregatorOptions,
        manifest: &[u8],
        get: impl FnMut(Stamp) -> Result<Vec<u8>, String>,
        now: Moment,
    ) -> Result<Self, RestoreError> {
        let (form, mut reader) = open(manifest).ok_or(Garbage("checkpoint"))?;
        let stamp = read_stamp(&mut reader).ok_or(Garbage("checkpoint"))?;
        let blobs = match form {
            Form::Whole => FoundBlobs::default(),
            Form::Named => {
                let places = read_places(&mut reader).ok_or(Garbage("checkpoint"))?;
                FoundBlobs::get(places, get)?
            }
        };
        let lineage = reader.u64().map(Lineage).ok_or(Garbage("checkpoint"))?;
        let mut aggregator = Self::new(merge, options, stamp.epoch, lineage);
        let mut found = Found { form, reader, blobs };
        aggregator.read_links(&mut found.reader, now).ok_or(Garbage("checkpoint"))?;
        aggregator.read_halves(&mut found)?;
        aggregator.read_results(&mut found).ok_or(Garbage("checkpoint"))?;
        aggregator.read_outgoing(&mut found, lineage).ok_or(Garbage("checkpoint"))?;
        if !found.reader.is_done() {
            return Err(Garbage("checkpoint").into());
        }
        aggregator.blobs = found.blobs.blobs;
        aggregator.resume(stamp);
        aggregator.tell_leaves();
        Ok(aggregator)
    }

    /// What the checkpoint has is safe.
    fn resume(&mut self, stamp: Stamp) {
        self.stamp = stamp;
        self.safe_results = self.results.len();
        self.count_waiting();
        let covered = self.links.iter().map(|(name, link)| (name.clone(), link.seen.covered(link.lineage)));
        self.covered = covered.collect();
    }

    pub(super) fn encode(&self) -> Encoded {
        let (mut writer, mut bundling) = (Writer::default(), Bundling::new(&self.blobs, self.stamp));
        let lineage = self.forwarding.as_ref().map_or(Lineage(0), |forwarding| forwarding.outgoing.lineage());
        writer.u64(lineage.0);
        writer.list(self.links.iter(), |writer, (name, link)| {
            writer.octets(name.as_str().as_bytes());
            write_link(writer, link);
        });
        writer.list(self.halves.iter(), |writer, (id, half)| {
            self.write_half(writer, (*id, half), &mut bundling);
        });
        writer.list(self.results.iter(), |writer, untaken| write_untaken(writer, untaken, &mut bundling));
        if let Some(forwarding) = &self.forwarding {
            write_position(&mut writer, forwarding.outgoing.last());
            let heads: Vec<&Head> = forwarding.outgoing.heads().collect();
            writer.list(heads.into_iter(), |writer, head| {
                head.write(writer);
                let payload = forwarding.payloads.get(&head.position);
                writer.flag(payload.is_some());
                if let Some(Blob { id, octets }) = payload {
                    bundling.name(writer, *id, || Arc::clone(octets));
                }
            });
        }
        let (body, (bundle, places)) = (writer.0, bundling.finish());
        let mut writer = begin(Form::Named, self.stamp);
        write_places(&mut writer, &places);
        writer.0.extend_from_slice(&body);
        Encoded { manifest: Manifest::new(self.stamp, seal(writer)), bundle, places }
    }

    fn write_half(
        &self,
        writer: &mut Writer,
        (id, half): (HalfId, &Half<M::State>),
        bundling: &mut Bundling<'_>,
    ) {
        writer.u64(id.0);
        writer.u64(half.spec.fingerprint.0);
        writer.i64(half.spec.width_ns);
        writer.flag(half.spec.sensors.is_some());
        writer.list(half.spec.sensors.iter().flatten().collect::<Vec<_>>().into_iter(), write_name);
        writer.i64(half.given_from);
        writer.i64(half.given_until);
        writer.i64(half.taken_until);
        writer.i64(half.closed_until);
        writer.flag(half.looks_again);
        write_behind(writer, &half.said_behind);
        write_position(writer, half.said_at);
        writer.list(half.overtaken.iter(), |writer, (name, (last, start))| {
            write_name(writer, name);
            write_position(writer, *last);
            writer.i64(*start);
        });
        writer.list(half.panes.iter(), |writer, (start, pane)| {
            writer.i64(*start);
            let state = pane.state.as_ref().zip(pane.blob);
            writer.flag(state.is_some());
            if let Some((state, blob)) = state {
                bundling.name(writer, blob, || self.merge.encode(id, state));
            }
            writer.u64(pane.records);
            pane.told.write(writer);
            writer.list(pane.contributors.iter(), write_name);
            write_name(writer, &pane.opened_by);
            writer.u64(pane.given);
            writer.list(pane.absent.iter(), write_name);
            writer.flag(pane.is_dirty);
        });
    }

    fn read_links(&mut self, reader: &mut Reader, now: Moment) -> Option<()> {
        let links = reader.list(|reader| Some((read_name(reader)?, read_link(reader, now)?)))?;
        self.links = links.into_iter().collect();
        Some(())
    }

    fn read_halves(&mut self, found: &mut Found) -> Result<(), RestoreError> {
        let halves = found.list(|found| Some((HalfId(found.reader.u64()?), read_half(found)?)));
        for (id, (mut half, states)) in halves.ok_or(Garbage("checkpoint"))? {
            for (start, Blob { id: blob, octets }) in states {
                let state =
                    self.merge.decode(id, &octets).map_err(|why| RestoreError::State { half: id, why })?;
                let pane = half.panes.entry(start);
                pane.and_modify(|pane| (pane.state, pane.blob) = (Some(state), Some(blob)));
            }
            self.halves.insert(id, half);
        }
        Ok(())
    }

    fn read_results(&mut self, found: &mut Found) -> Option<()> {
        self.results = found.list(read_untaken)?.into();
        Some(())
    }

    fn read_outgoing(&mut self, found: &mut Found, lineage: Lineage) -> Option<()> {
        let Role::Forward(_, limits) = &self.options.role else { return Some(()) };
        let Some(forwarding) = &mut self.forwarding else { return Some(()) };
        let last = read_position(&mut found.reader)?;
        let kept = found.list(read_kept)?;
        let life = if is_mutated(Mutation::NumbersAnew) {
            Incarnation(1)
        } else {
            forwarding.outgoing.incarnation()
        };
        let octets = |payload: &Option<Blob>| payload.as_ref().map_or(0, |blob| blob.octets.len() as u64);
        let heads = kept.iter().map(|(head, payload)| (head.clone(), octets(payload)));
        forwarding.outgoing = Outgoing::restore(lineage, life, *limits, heads).for_one_life();
        if !is_mutated(Mutation::NumbersAnew) {
            forwarding.outgoing = forwarding.outgoing.clone().behind(last);
        }
        let payloads = kept.into_iter().filter_map(|(head, payload)| Some((head.position, payload?)));
        forwarding.payloads = payloads.collect();
        Some(())
    }
}

/// A checkpoint that is read.
struct Found<'a> {
    form: Form,
    reader: Reader<'a>,
    blobs: FoundBlobs,
}

impl Found<'_> {
    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.reader.length()?;
        (0..length).map(|_| each(self)).collect()
    }

    fn blob(&mut self) -> Option<Blob> {
        match self.form {
            Form::Whole => self.blobs.whole(&mut self.reader),
            Form::Named => self.blobs.named(&mut self.reader),
        }
    }
}

/// Why an aggregator cannot go on with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is none.
    #[error(transparent)]
    Garbage(#[from] Garbage),
    /// A bundle that it names cannot be got, for this reason.
    #[error("{0}")]
    Missing(String),
    /// A bundle that it names is not what was put there.
    #[error("bundle {} of epoch {} is damaged", .0.sequence, .0.epoch)]
    Damaged(Stamp),
    /// It has states that cannot be merged.
    #[error("the states of half {} in the checkpoint cannot be merged: {why}; start the version that wrote it", half.0)]
    State {
        /// Of which half.
        half: HalfId,
        /// Why not.
        why: String,
    },
}

impl From<NotFound> for RestoreError {
    fn from(not_found: NotFound) -> Self {
        match not_found {
            NotFound::NotGot(why) => Self::Missing(why),
            NotFound::Damaged(bundle) => Self::Damaged(bundle),
        }
    }
}

type HalfAndStates<S> = (Half<S>, Vec<(i64, Blob)>);

fn read_half<S>(found: &mut Found) -> Option<HalfAndStates<S>> {
    let reader = &mut found.reader;
    let (fingerprint, width_ns) = (Fingerprint(reader.u64()?), reader.i64().filter(|width| *width > 0)?);
    let (asks_some, sensors) = (reader.flag()?, reader.list(read_name)?);
    let sensors = asks_some.then(|| sensors.into_iter().collect());
    let mut half = Half::new(HalfSpec { fingerprint, width_ns, sensors });
    half.given_from = reader.i64()?;
    (half.given_until, half.taken_until) = (reader.i64()?, reader.i64()?);
    half.closed_until = reader.i64()?;
    (half.looks_again, half.said_behind) = (reader.flag()?, read_behind(reader)?);
    half.said_at = read_position(reader)?;
    let overtaken = reader.list(|reader| {
        let (name, last) = (read_name(reader)?, read_position(reader)?);
        Some((name, (last, reader.i64()?)))
    })?;
    half.overtaken = overtaken.into_iter().collect();
    let mut states = vec![];
    let panes = found.list(|found| {
        let (start, has_state) = (found.reader.i64()?, found.reader.flag()?);
        // Where a pane had none, a whole checkpoint has no octets of it.
        let state = if has_state || found.form == Form::Whole { Some(found.blob()?) } else { None };
        states.extend(state.filter(|_| has_state).map(|state| (start, state)));
        Some((start, read_pane(&mut found.reader)?))
    })?;
    half.panes = panes.into_iter().collect();
    Some((half, states))
}

/// All of a pane but its state.
fn read_pane<S>(reader: &mut Reader) -> Option<Pane<S>> {
    let (records, told) = (reader.u64()?, Told::read(reader)?);
    let contributors = reader.list(read_name)?.into_iter().collect();
    let mut pane = Pane::new(read_name(reader)?);
    (pane.records, pane.told, pane.contributors) = (records, told, contributors);
    (pane.given, pane.absent, pane.is_dirty) = (reader.u64()?, reader.list(read_name)?, reader.flag()?);
    Some(pane)
}

fn write_link(writer: &mut Writer, link: &Link) {
    writer.u64(link.lineage.0);
    writer.u64(link.newest.0);
    write_leaves(writer, link.leaves.as_ref());
    writer.flag(link.rests);
    write_position(writer, link.seen.mark());
    let none = BTreeMap::new();
    let above = if is_mutated(Mutation::NoneAboveMark) { &none } else { link.seen.above() };
    writer.list(above.iter(), |writer, (last, stretch)| {
        write_position(writer, stretch.after);
        write_position(writer, *last);
        writer.list(stretch.reaches.iter(), |writer, reach| {
            writer.u64(reach.half.0);
            writer.i64(reach.watermark);
            write_behind(writer, &reach.behind);
        });
    });
    writer.list(link.standings.iter(), |writer, (half, standing)| {
        writer.u64(half.0);
        writer.i64(standing.reached);
        write_behind(writer, &standing.behind);
        writer.flag(standing.is_left);
        writer.flag(standing.doubt.is_some());
        let (from, until) = standing.doubt.unwrap_or_default();
        writer.i64(from);
        writer.i64(until);
    });
}

fn read_link(reader: &mut Reader, now: Moment) -> Option<Link> {
    let (lineage, newest) = (Lineage(reader.u64()?), Incarnation(reader.u64()?));
    let leaves = read_leaves(reader)?;
    let (rests, mark) = (reader.flag()?, read_position(reader)?);
    let above = reader.list(|reader| {
        let (after, last) = (read_position(reader)?, read_position(reader)?);
        Some((last, Stretch { after, reaches: reader.list(read_reach)? }))
    })?;
    let standings = reader.list(|reader| Some((HalfId(reader.u64()?), read_standing(reader)?)))?;
    let standings: BTreeMap<HalfId, Standing> = standings.into_iter().collect();
    Some(Link {
        lineage,
        newest,
        seen: Seen::from_parts(mark, above.into_iter().collect()),
        standings_octets: standings.values().map(|standing| octets_of(&standing.behind)).sum(),
        standings,
        leaves,
        rests,
        heard_ns: now.steady_ns,
        octets: 0,
        panes_told: 0,
        panes_open: 0,
        results_alone: 0,
        counts: BTreeMap::new(),
    })
}

fn read_reach(reader: &mut Reader) -> Option<Reach> {
    let (half, watermark) = (HalfId(reader.u64()?), reader.i64()?);
    Some(Reach { half, watermark, behind: read_behind(reader)? })
}

fn read_standing(reader: &mut Reader) -> Option<Standing> {
    let (reached, behind, is_left) = (reader.i64()?, read_behind(reader)?, reader.flag()?);
    let (doubts, from, until) = (reader.flag()?, reader.i64()?, reader.i64()?);
    let doubt = doubts.then_some((from, until));
    Some(Standing { reached, behind, is_left, doubt, tells_doubt: false })
}

fn write_untaken(writer: &mut Writer, Untaken { given, blob }: &Untaken, bundling: &mut Bundling<'_>) {
    writer.u64(given.half.0);
    write_span(writer, given.pane);
    writer.u64(given.revision);
    bundling.name(writer, *blob, || Arc::clone(&given.state));
    writer.u64(given.records);
    given.told.write(writer);
    writer.list(given.absent.iter(), write_name);
    writer.list(given.from.iter(), write_name);
}

fn read_untaken(found: &mut Found) -> Option<Untaken> {
    let (half, pane) = (HalfId(found.reader.u64()?), read_span(&mut found.reader)?);
    let (revision, Blob { id: blob, octets: state }) = (found.reader.u64()?, found.blob()?);
    let reader = &mut found.reader;
    let (records, told) = (reader.u64()?, Told::read(reader)?);
    let (absent, from) = (reader.list(read_name)?, reader.list(read_name)?);
    Some(Untaken { given: Given { half, pane, revision, state, records, told, absent, from }, blob })
}

/// A record that is on its way, and its payload, where it has one.
fn read_kept(found: &mut Found) -> Option<(Head, Option<Blob>)> {
    let head = Head::read(&mut found.reader)?;
    let has_payload = match found.form {
        Form::Whole => true,
        Form::Named => found.reader.flag()?,
    };
    let payload = if has_payload { Some(found.blob()?) } else { None };
    Some((head, payload))
}

fn write_name(writer: &mut Writer, name: &SensorName) {
    writer.octets(name.as_str().as_bytes());
}

fn read_name(reader: &mut Reader) -> Option<SensorName> {
    reader.text().map(SensorName::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{AggregatorLimits, Patience};
    use crate::message::{Hello, Verdict};
    use crate::names::{Position, Span};
    use crate::outgoing::OutgoingLimits;
    use crate::record::{Kind, PartHead};
    use proptest::prelude::*;

    /// States are payloads, one behind the other.
    #[derive(Debug)]
    struct Octets;

    impl Merge for Octets {
        type State = Vec<u8>;

        fn empty(&self, _: HalfId) -> Vec<u8> {
            vec![]
        }

        fn merge(&self, _: HalfId, state: &mut Vec<u8>, payload: &[u8]) -> Result<(), String> {
            state.extend_from_slice(payload);
            Ok(())
        }

        fn encode(&self, _: HalfId, state: &Vec<u8>) -> Arc<[u8]> {
            state.as_slice().into()
        }
    }

    const HALF: HalfId = HalfId(1);
    const LIFE: Incarnation = Incarnation(1);
    const NOW: Moment = Moment { steady_ns: 0, wall_ns: 1 << 30 };

    /// What comes next.
    #[derive(Clone, Debug)]
    enum Step {
        /// A record of a pane.
        Receive(i64, Vec<u8>),
        /// So many results are taken.
        Take(usize),
        /// A checkpoint, which is written or not.
        Write(bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let payload = prop::collection::vec(any::<u8>(), 0..60);
        let step = prop_oneof![
            4 => (0_i64..12, payload).prop_map(|(pane, payload)| Step::Receive(pane, payload)),
            1 => (0_usize..4).prop_map(Step::Take),
            3 => prop::bool::weighted(0.8).prop_map(Step::Write),
        ];
        prop::collection::vec(step, 1..80)
    }

    fn options(is_final: bool) -> AggregatorOptions {
        let region = SensorName::new("region");
        let role = if is_final { Role::Final } else { Role::Forward(region, OutgoingLimits::default()) };
        AggregatorOptions { role, limits: AggregatorLimits::default(), patience: Patience::default() }
    }

    fn receive(aggregator: &mut Aggregator<Octets>, number: u64, pane: i64, payload: &[u8]) {
        let sensor = SensorName::new("pop-1");
        let part = PartHead {
            half: HALF,
            fingerprint: Fingerprint(4),
            pane: Span { start: 10 * pane, end: 10 * (pane + 1) },
            watermark: 10 * (pane - 2),
            records: 1,
            told: Told::default(),
            behind: vec![],
        };
        let position = |number| Position { incarnation: LIFE, number };
        let after = if number == 1 { Position::START } else { position(number - 1) };
        let head = Head { position: position(number), after, ends_cut: true, kind: Kind::Part(part) };
        if number == 1 {
            let hello = Hello {
                name: sensor.clone(),
                lineage: Lineage(1),
                incarnation: LIFE,
                kept_after: Position::START,
                gaps: vec![],
                leaves: None,
            };
            aggregator.hello(&sensor, &hello, NOW).unwrap();
        }
        assert_eq!(aggregator.receive(&sensor, LIFE, (&head, payload), NOW), Verdict::Taken);
    }

    proptest! {
        #[test]
        fn a_manifest_and_its_bundles_are_what_was_written(steps in steps(), is_final in any::<bool>()) {
            let mut aggregator = Aggregator::new(Octets, options(is_final), 1, Lineage(9));
            aggregator.add_half(HALF, HalfSpec { fingerprint: Fingerprint(4), width_ns: 10, sensors: None });
            let (mut store, mut number) = (BTreeMap::new(), 0);
            for step in steps {
                let is_written = match step {
                    Step::Receive(pane, payload) => {
                        number += 1;
                        receive(&mut aggregator, number, pane, &payload);
                        continue;
                    }
                    Step::Take(results) => {
                        aggregator.taken(results);
                        continue;
                    }
                    Step::Write(is_written) => is_written,
                };
                let checkpoint = aggregator.checkpoint(NOW);
                if !is_written {
                    continue;
                }
                let bundle = checkpoint.bundle.iter();
                store.extend(bundle.map(|bundle| {
                    (bundle.stamp(), bundle.pieces().collect::<Vec<_>>().concat())
                }));
                aggregator.written(checkpoint.manifest.stamp);
                store.retain(|bundle, _| !checkpoint.leaves(*bundle));
                let octets = &checkpoint.manifest.octets;
                let get = |bundle| store.get(&bundle).cloned().ok_or_else(|| "it is missing".to_owned());
                let restored = Aggregator::restore(Octets, options(is_final), octets, get, NOW).unwrap();
                prop_assert!(restored.results().eq(aggregator.results()));
                prop_assert_eq!(restored.kept(HALF), aggregator.kept(HALF));
                let payloads = |aggregator: &Aggregator<Octets>| {
                    let forwarding = aggregator.forwarding.iter();
                    let blobs = forwarding.flat_map(|forwarding| forwarding.payloads.iter());
                    blobs.map(|(at, blob)| (*at, Arc::clone(&blob.octets))).collect::<Vec<_>>()
                };
                prop_assert_eq!(payloads(&restored), payloads(&aggregator));
                // What is as it was is not written, unless it gives way to a bundle that is less full.
                let again = restored.encode();
                prop_assert!(again.bundle.is_some() || again.manifest.octets == *octets);
            }
        }
    }
}

//! An aggregator as a checkpoint, and back.

use super::{Aggregator, AggregatorOptions, Given, Merge, Role};
use crate::checkpoint::{Stamp, begin, open, read_stamp, seal};
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

impl<M: Merge> Aggregator<M> {
    /// Goes on with what a checkpoint has, after it was claimed for this aggregator.
    ///
    /// # Errors
    /// A sentence, when it is no checkpoint, is damaged, or has states that cannot be merged any more.
    pub fn restore(
        merge: M,
        options: AggregatorOptions,
        octets: &[u8],
        now: Moment,
    ) -> Result<Self, RestoreError> {
        let mut reader = open(octets).ok_or(Garbage("checkpoint"))?;
        let stamp = read_stamp(&mut reader).ok_or(Garbage("checkpoint"))?;
        let lineage = reader.u64().map(Lineage).ok_or(Garbage("checkpoint"))?;
        let mut aggregator = Self::new(merge, options, stamp.epoch, lineage);
        aggregator.read_links(&mut reader, now).ok_or(Garbage("checkpoint"))?;
        aggregator.read_halves(&mut reader)?;
        aggregator.read_results(&mut reader).ok_or(Garbage("checkpoint"))?;
        aggregator.read_outgoing(&mut reader, lineage).ok_or(Garbage("checkpoint"))?;
        if !reader.is_done() {
            return Err(Garbage("checkpoint").into());
        }
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

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = begin(self.stamp);
        let lineage = self.forwarding.as_ref().map_or(Lineage(0), |forwarding| forwarding.outgoing.lineage());
        writer.u64(lineage.0);
        writer.list(self.links.iter(), |writer, (name, link)| {
            writer.octets(name.as_str().as_bytes());
            write_link(writer, link);
        });
        writer.list(self.halves.iter(), |writer, (id, half)| self.write_half(writer, *id, half));
        writer.list(self.results.iter(), write_given);
        if let Some(forwarding) = &self.forwarding {
            write_position(&mut writer, forwarding.outgoing.last());
            let heads: Vec<&Head> = forwarding.outgoing.heads().collect();
            writer.list(heads.into_iter(), |writer, head| {
                head.write(writer);
                writer.octets(forwarding.payloads.get(&head.position).map_or(&[], |payload| payload));
            });
        }
        seal(writer)
    }

    fn write_half(&self, writer: &mut Writer, id: HalfId, half: &Half<M::State>) {
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
            writer.flag(pane.state.is_some());
            let state = pane.state.as_ref().map(|state| self.merge.encode(id, state));
            writer.octets(&state.unwrap_or_default());
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

    fn read_halves(&mut self, reader: &mut Reader) -> Result<(), RestoreError> {
        let halves = reader.list(|reader| Some((HalfId(reader.u64()?), read_half(reader)?)));
        for (id, (mut half, states)) in halves.ok_or(Garbage("checkpoint"))? {
            for (start, state) in states {
                let state =
                    self.merge.decode(id, state).map_err(|why| RestoreError::State { half: id, why })?;
                half.panes.entry(start).and_modify(|pane| pane.state = Some(state));
            }
            self.halves.insert(id, half);
        }
        Ok(())
    }

    fn read_results(&mut self, reader: &mut Reader) -> Option<()> {
        self.results = reader.list(read_given)?.into();
        Some(())
    }

    fn read_outgoing(&mut self, reader: &mut Reader, lineage: Lineage) -> Option<()> {
        let Role::Forward(_, limits) = &self.options.role else { return Some(()) };
        let Some(forwarding) = &mut self.forwarding else { return Some(()) };
        let last = read_position(reader)?;
        let kept = reader.list(|reader| Some((Head::read(reader)?, reader.octets()?)))?;
        let life = if is_mutated(Mutation::NumbersAnew) {
            Incarnation(1)
        } else {
            forwarding.outgoing.incarnation()
        };
        let heads = kept.iter().map(|(head, payload)| (head.clone(), payload.len() as u64));
        forwarding.outgoing = Outgoing::restore(lineage, life, *limits, heads).for_one_life();
        if !is_mutated(Mutation::NumbersAnew) {
            forwarding.outgoing = forwarding.outgoing.clone().behind(last);
        }
        forwarding.payloads =
            kept.into_iter().map(|(head, payload)| (head.position, Arc::from(payload))).collect();
        Some(())
    }
}

/// Why an aggregator cannot go on with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is none.
    #[error(transparent)]
    Garbage(#[from] Garbage),
    /// It has states that cannot be merged.
    #[error("the states of half {} in the checkpoint cannot be merged: {why}; start the version that wrote it", half.0)]
    State {
        /// Of which half.
        half: HalfId,
        /// Why not.
        why: String,
    },
}

type HalfAndStates<'a, S> = (Half<S>, Vec<(i64, &'a [u8])>);

fn read_half<'a, S>(reader: &mut Reader<'a>) -> Option<HalfAndStates<'a, S>> {
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
    let panes = reader.list(|reader| {
        let (start, has_state, state) = (reader.i64()?, reader.flag()?, reader.octets()?);
        states.extend(has_state.then_some((start, state)));
        Some((start, read_pane(reader)?))
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

fn write_given(writer: &mut Writer, given: &Given) {
    writer.u64(given.half.0);
    write_span(writer, given.pane);
    writer.u64(given.revision);
    writer.octets(&given.state);
    writer.u64(given.records);
    given.told.write(writer);
    writer.list(given.absent.iter(), write_name);
    writer.list(given.from.iter(), write_name);
}

fn read_given(reader: &mut Reader) -> Option<Given> {
    let (half, pane) = (HalfId(reader.u64()?), read_span(reader)?);
    let (revision, state) = (reader.u64()?, Arc::from(reader.octets()?));
    let (records, told) = (reader.u64()?, Told::read(reader)?);
    let (absent, from) = (reader.list(read_name)?, reader.list(read_name)?);
    Some(Given { half, pane, revision, state, records, told, absent, from })
}

fn write_name(writer: &mut Writer, name: &SensorName) {
    writer.octets(name.as_str().as_bytes());
}

fn read_name(reader: &mut Reader) -> Option<SensorName> {
    reader.text().map(SensorName::new)
}

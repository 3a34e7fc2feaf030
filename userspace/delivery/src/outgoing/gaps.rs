//! What is said of records that were not kept: each by itself where somebody may have seen it, else adjacent ones as one.
//!
//! Of a gap of one record its receiver knows whether it has it, and so what is missing. Of several records that nobody
//! has seen he knows it, too. Only where there are more gaps than may be told apart, some that may have been seen become
//! one with others, and what is missing is said to be at most so much.

use crate::mutation::{Mutation, is_mutated};
use crate::record::{Gap, Head, Kind, Loss};

/// The gaps that records leave, each with whether somebody may have seen it, in the order of the chain.
pub(super) fn of<'a>(
    dropped: impl Iterator<Item = (&'a Head, bool)>,
    gaps_max: usize,
    losses_max: usize,
) -> Vec<Gap> {
    let mut gaps: Vec<(Gap, bool)> = vec![];
    for (head, may_be_seen) in dropped {
        let own = Gap { after: head.after, last: head.position, records: 1, losses: losses(head) };
        if let Kind::Gone(earlier) = &head.kind {
            // Whether it came is not known: what it says is said again.
            gaps.extend(earlier.iter().map(|gap| (gap.clone(), true)));
        }
        match gaps.last_mut().filter(|(last, is_seen)| !is_seen && !may_be_seen && last.last == own.after) {
            Some((last, _)) => join(last, own, losses_max),
            None => gaps.push((own, may_be_seen)),
        }
    }
    gaps.sort_by_key(|(gap, _)| gap.last);
    let mut gaps = join_first(gaps.into_iter().map(|(gap, _)| gap).collect(), (gaps_max, losses_max));
    gaps.iter_mut().for_each(|gap| bound(&mut gap.losses, losses_max));
    gaps
}

/// Octets of what is said of one record, at most.
pub(super) fn octets_of(head: &Head) -> u64 {
    let earlier = match &head.kind {
        Kind::Part(_) => 0,
        Kind::Gone(earlier) => earlier.iter().map(Gap::octets).sum(),
    };
    let own = Gap { after: head.after, last: head.position, records: 1, losses: losses(head) };
    own.octets() + earlier
}

/// Gaps as records say them, each of so many octets or of a single one.
pub(super) fn in_records(gaps: Vec<Gap>, octets_max: u64) -> Vec<Vec<Gap>> {
    let (mut records, mut octets) = (Vec::<Vec<Gap>>::new(), 0);
    for gap in gaps {
        octets += gap.octets();
        if let Some(record) = records.last_mut().filter(|_| octets <= octets_max) {
            record.push(gap);
        } else {
            octets = gap.octets();
            records.push(vec![gap]);
        }
    }
    records
}

fn losses(head: &Head) -> Vec<Loss> {
    match &head.kind {
        Kind::Part(_) if is_mutated(Mutation::SilentDrops) => vec![],
        Kind::Part(part) => vec![Loss { half: part.half, span: part.pane, told: part.lost() }],
        Kind::Gone(_) => vec![],
    }
}

/// Makes one of gaps that touch, the first ones first, until there are no more than may be.
fn join_first(gaps: Vec<Gap>, (gaps_max, losses_max): (usize, usize)) -> Vec<Gap> {
    let mut too_many = gaps.len().saturating_sub(gaps_max);
    let mut joined: Vec<Gap> = Vec::with_capacity(gaps.len());
    for gap in gaps {
        match joined.last_mut().filter(|last| too_many > 0 && last.last == gap.after) {
            Some(last) => {
                join(last, gap, losses_max);
                too_many -= 1;
            }
            None => joined.push(gap),
        }
    }
    joined
}

/// Makes one of a gap and the one behind it. Where nobody knows how many there are in one, nobody does of both.
fn join(gap: &mut Gap, next: Gap, losses_max: usize) {
    gap.last = next.last;
    gap.records = if gap.records == 0 || next.records == 0 { 0 } else { gap.records + next.records };
    for loss in next.losses {
        match gap.losses.iter_mut().find(|known| (known.half, known.span) == (loss.half, loss.span)) {
            Some(known) => known.told.add(loss.told),
            None => gap.losses.push(loss),
        }
    }
    // So that many records cost no more than so many times a few.
    if gap.losses.len() > losses_max.saturating_mul(2) {
        bound(&mut gap.losses, losses_max);
    }
}

/// Makes one of all losses of each half where they are too many.
fn bound(losses: &mut Vec<Loss>, losses_max: usize) {
    if losses.len() <= losses_max {
        return;
    }
    let mut halves: Vec<Loss> = vec![];
    for loss in losses.drain(..) {
        match halves.iter_mut().find(|known| known.half == loss.half) {
            Some(known) => {
                known.span.start = known.span.start.min(loss.span.start);
                known.span.end = known.span.end.max(loss.span.end);
                known.told.add(loss.told);
            }
            None => halves.push(loss),
        }
    }
    *losses = halves;
}

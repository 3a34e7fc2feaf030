//! A query as boxes and arrows.
//!
//! Takes a planned query, gives what becomes of its rows, box by box: sources, filters, groups, windows and the rest of
//! the SQL. Each box has a title and details as a person would write them, and says where it runs. What only moves or
//! renames columns is no box, and what reads one stream several times is one source.

mod expression;
mod lower;
mod upper;

use crate::continuous::{ContinuousQuery, Upper};
use crate::limits;
use std::fmt;
use tapline_record::StreamId;

/// Characters of a title; what is longer ends with an ellipsis, and stands among the details.
const TITLE_MAX: usize = 60;

/// A query as boxes and arrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagram {
    /// What becomes of rows: each box behind all that it takes them from.
    pub boxes: Vec<DiagramBox>,
    /// From which box to which one rows go, by their places.
    pub arrows: Vec<(usize, usize)>,
}

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagramBox {
    /// What it does.
    pub kind: BoxKind,
    /// The same in a few words, such as `WHERE protocol = 6`.
    pub title: String,
    /// Details.
    pub lines: Vec<String>,
    /// Where it runs.
    pub runs: Runs,
}

/// What a part of a query does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxKind {
    /// Gives the rows of a stream.
    Source,
    /// Leaves rows out before they are grouped.
    Filter,
    /// Computes columns.
    Project,
    /// Folds rows into groups.
    Aggregate,
    /// Collects groups until a window closes.
    Window,
    /// Puts rows beside others.
    Join,
    /// Puts rows below others.
    Union,
    /// Leaves groups out.
    Having,
    /// Puts rows in order.
    Sort,
    /// Leaves out what is too much.
    Limit,
    /// Gives the result.
    Output,
}

/// Where a part of a query runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// In the kernel, which counts packets by flow.
    Kernel,
    /// On the thread that reads a source.
    Reader,
    /// On each worker, for each batch.
    Worker,
    /// Behind the workers: once for each window that closes, or for the rows that they give.
    Window,
}

impl fmt::Display for BoxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Filter => "filter",
            Self::Project => "project",
            Self::Aggregate => "aggregate",
            Self::Window => "window",
            Self::Join => "join",
            Self::Union => "union",
            Self::Having => "having",
            Self::Sort => "sort",
            Self::Limit => "limit",
            Self::Output => "output",
        })
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Reader => "reader",
            Self::Worker => "worker",
            Self::Window => "window",
        })
    }
}

impl ContinuousQuery {
    /// The query as boxes and arrows, which end in one box, the output.
    #[must_use]
    pub fn diagram(&self) -> Diagram {
        limits::with_stack(|| Drawing::of(self))
    }
}

/// A diagram that is being drawn.
struct Drawing<'a> {
    query: &'a ContinuousQuery,
    diagram: Diagram,
    /// The boxes of streams.
    sources: Vec<(StreamId, usize)>,
}

/// What stands below a part: where its rows come from, and what a person calls its columns.
#[derive(Clone, Debug, Default)]
struct Below {
    boxes: Vec<usize>,
    texts: Vec<String>,
}

impl<'a> Drawing<'a> {
    fn of(query: &'a ContinuousQuery) -> Diagram {
        let mut drawing = Self { query, diagram: Diagram::default(), sources: vec![] };
        let halves: Vec<Below> = query.lowers.iter().map(|lower| drawing.lower(lower)).collect();
        let below = match &query.upper {
            Upper::Stream { skip, fetch } => {
                let below = halves.into_iter().next().unwrap_or_default();
                drawing.limit_rows(below, *skip, *fetch)
            }
            Upper::Windows(half) | Upper::Best { half, .. } => drawing.upper(&half.plan, &halves),
        };
        let columns = query.schema.fields().iter().map(|field| field.name().clone()).collect();
        drawing.put(BoxKind::Output, ("result".to_owned(), columns), Runs::Window, &below.boxes);
        drawing.diagram
    }

    fn limit_rows(&mut self, below: Below, skip: usize, fetch: Option<usize>) -> Below {
        let title = limit_title(fetch.map(|rows| rows.to_string()), (skip > 0).then(|| skip.to_string()));
        match title {
            Some(title) => self.behind(BoxKind::Limit, (title, vec![]), Runs::Window, below),
            None => below,
        }
    }

    /// A box behind what gives its rows, whose columns are those that come.
    fn behind(&mut self, kind: BoxKind, said: (String, Vec<String>), runs: Runs, below: Below) -> Below {
        let place = self.put(kind, said, runs, &below.boxes);
        Below { boxes: vec![place], texts: below.texts }
    }

    /// Puts a box, of which title and details are said, behind others; gives its place.
    fn put(
        &mut self,
        kind: BoxKind,
        (title, mut lines): (String, Vec<String>),
        runs: Runs,
        from: &[usize],
    ) -> usize {
        let Diagram { boxes, arrows } = &mut self.diagram;
        let place = boxes.len();
        let title = match cut(&title) {
            Some(short) => {
                lines.insert(0, title);
                short
            }
            None => title,
        };
        boxes.push(DiagramBox { kind, title, lines, runs });
        for &from in from {
            // What reads one stream twice has one arrow from it.
            if !arrows.contains(&(from, place)) {
                arrows.push((from, place));
            }
        }
        place
    }
}

/// The beginning of a title that is too long.
fn cut(title: &str) -> Option<String> {
    let (end, _) = title.char_indices().nth(TITLE_MAX)?;
    Some(format!("{}…", title[..end].trim_end()))
}

/// `LIMIT 10 OFFSET 5`, as far as it is said.
fn limit_title(fetch: Option<String>, skip: Option<String>) -> Option<String> {
    let parts = [fetch.map(|rows| format!("LIMIT {rows}")), skip.map(|rows| format!("OFFSET {rows}"))];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(" "))
}

#[cfg(test)]
mod tests;

//! A query as boxes and arrows, as JSON.

use serde::Serialize;
use serde_json::{Map, Value};
use tapline_catalog::Picture;
use tapline_query::{Diagram, DiagramBox};
use tapline_sinks::time_text;

/// A query as boxes and arrows.
#[derive(Debug, Serialize)]
pub(crate) struct DiagramShape {
    boxes: Vec<BoxShape>,
    arrows: Vec<ArrowShape>,
}

/// A part of a query.
#[derive(Debug, Serialize)]
struct BoxShape {
    id: String,
    kind: String,
    title: String,
    lines: Vec<String>,
    runs: String,
    /// Of a query that runs, what is known of this part.
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<Map<String, Value>>,
}

/// The way of rows from one part to another.
#[derive(Debug, Serialize)]
struct ArrowShape {
    from: String,
    to: String,
}

/// A query that runs, as boxes and arrows with numbers.
#[derive(Debug, Serialize)]
pub(crate) struct PictureShape {
    now: String,
    diagram: DiagramShape,
}

impl From<Diagram> for DiagramShape {
    fn from(diagram: Diagram) -> Self {
        let Diagram { boxes, arrows } = diagram;
        let boxes = boxes.into_iter().enumerate().map(|(place, one)| BoxShape::of(place, one));
        let arrows = arrows.into_iter().map(|(from, to)| ArrowShape { from: id(from), to: id(to) });
        Self { boxes: boxes.collect(), arrows: arrows.collect() }
    }
}

impl BoxShape {
    fn of(place: usize, one: DiagramBox) -> Self {
        let DiagramBox { kind, title, lines, runs } = one;
        Self { id: id(place), kind: kind.to_string(), title, lines, runs: runs.to_string(), numbers: None }
    }
}

impl From<Picture> for PictureShape {
    fn from(picture: Picture) -> Self {
        let Picture { now, diagram, numbers } = picture;
        let mut diagram = DiagramShape::from(diagram);
        for (one, numbers) in diagram.boxes.iter_mut().zip(numbers) {
            let numbers = numbers.into_iter().map(|(name, number)| (name.to_owned(), number.into()));
            one.numbers = Some(numbers.collect());
        }
        Self { now: time_text(now), diagram }
    }
}

fn id(place: usize) -> String {
    format!("b{place}")
}

//! Puts windows of an hour together: results that are old become those of wider windows.
//!
//! Rows are grouped by their keys and the wider window, and each number is put together as its file says it can be. Of
//! the wider window, completeness is that of the windows in it, weighted by their widths, and unknown where one of them
//! is; its status is the worst of theirs. Where a file of its hours cannot be read, it is partial, of unknown completeness.
//! What is beyond the cap of groups stays a row of its own. All of it goes row by row through files that are in order;
//! nothing is kept but what is known of windows.

use crate::grouped::{Computed, grouped};
use crate::layout::{Layout, Use};
use crate::merge::{Failed, Merged, replace};
use crate::place::Hour;
use crate::reading::{Running, Stored, in_order, whole};
use crate::shared::Shared;
use crate::store::Part;
use crate::wider::{Wider, WiderWindows, Windows};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result as QueryResult;
use datafusion::physical_plan::ExecutionPlan;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tapline_query::RolledColumn;

/// Files of an hour whose windows become wider ones, together.
#[derive(Clone, Debug)]
pub(crate) struct ToRoll {
    parts: Vec<Part>,
    /// The columns that they will have, which say so.
    schema: SchemaRef,
    layout: Layout,
    width: i64,
    /// Whether something is known to be missing in them.
    lacks_some: bool,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rolls {
    /// It has windows of this width already, or wider ones.
    IsDone,
    Yes,
    /// It stays as it is; why, as the end of a sentence.
    Never(String),
}

/// Whether the windows of a file can become some of this width.
pub(crate) fn rolls(layout: Option<&Layout>, width: i64) -> Rolls {
    let never = |why: &str| Rolls::Never(why.to_owned());
    let Some(layout) = layout else {
        return never("they were stored by a version that did not say what their columns are");
    };
    match (&layout.stays, layout.width) {
        (Some(why), _) => never(why),
        (None, None) => never("they have no adjacent windows"),
        (None, Some(own)) if own >= width => Rolls::IsDone,
        (None, Some(own)) if width % own == 0 => Rolls::Yes,
        (None, Some(_)) => never("the wider window does not consist of whole windows of theirs"),
    }
}

impl ToRoll {
    /// Those of these files, each with its columns, that become one file of wider windows; those that have such windows
    /// already among them, if others come to them.
    pub(crate) fn of(files: &[(Part, SchemaRef)], width: i64) -> Option<Self> {
        let layout_of = |schema: &SchemaRef| Layout::read(schema);
        let (_, first) =
            files.iter().find(|(_, schema)| rolls(layout_of(schema).as_ref(), width) == Rolls::Yes)?;
        let wide = |layout: Layout| Layout { width: Some(width), ..layout };
        let layout = layout_of(first).map(wide)?;
        let is_alike = |schema: &SchemaRef| {
            let is_within = |own: &Layout| own.width.is_some_and(|own| width % own == 0);
            let own = layout_of(schema).filter(is_within).map(wide);
            schema.fields() == first.fields() && own.as_ref() == Some(&layout)
        };
        let parts = files.iter().filter(|(_, schema)| is_alike(schema)).map(|(part, _)| part.clone());
        let (parts, schema) = (parts.collect(), layout.written(first));
        Some(Self { parts, schema, layout, width, lacks_some: false })
    }

    /// The same, where something may be known to be missing in them.
    pub(crate) fn lacking(self, lacks_some: bool) -> Self {
        Self { lacks_some, ..self }
    }

    /// Puts the windows together, unless it ends; `None` where some were revised: they stay as they are.
    pub(crate) fn roll(
        &self,
        shared: &Arc<Shared>,
        (query, hour): (&str, Hour),
        ends: &AtomicBool,
    ) -> Result<Option<Merged>, String> {
        match self.rolled(shared, (query, hour), ends) {
            Ok(rolled) => Ok(rolled),
            Err(failed) => failed.blamed(shared, &self.parts, ends).map(Some),
        }
    }

    fn rolled(
        &self,
        shared: &Arc<Shared>,
        (query, hour): (&str, Hour),
        ends: &AtomicBool,
    ) -> Result<Option<Merged>, Failed> {
        let said = |error: &dyn Display| {
            let folder = shared.store.hour_folder(query, hour);
            Failed::Rows(format!("{} cannot be rolled up: {error}", folder.display()))
        };
        let windows = self.windows(shared).map_err(|error| said(&error))?;
        let Some(windows) = windows else { return Ok(None) };
        let windows = if self.lacks_some { windows.lacking() } else { windows };
        let plan = self.plan(shared).map_err(|error| said(&error))?;
        let groups = Running::start(&plan, Arc::default()).map_err(|error| said(&error))?;
        let rows = groups.map(|batch| windows.finish(&batch?, &self.layout, &self.schema));
        replace(shared, (query, hour), &self.parts, (&self.schema, rows), ends).map(Some)
    }

    /// What is known of the windows in these files; `None` where some were revised.
    fn windows(&self, shared: &Arc<Shared>) -> QueryResult<Option<WiderWindows>> {
        let of_windows = [Use::WindowStart, Use::WindowEnd, Use::Completeness, Use::Status];
        let places: Vec<usize> = of_windows.iter().flat_map(|one| self.layout.places(*one)).collect();
        let schema = Arc::new(self.schema.project(&places)?);
        let partitions = whole(shared, &self.parts, &schema).into_iter().map(Stored::partition).collect();
        let plan = in_order(partitions, &schema, &[])?;
        let mut windows = Windows::new(self.width);
        for batch in Running::start(&plan, Arc::default())? {
            windows.note(&batch?)?;
        }
        Ok(windows.wider())
    }

    /// Groups by the keys, the wider window, and whether it is the folded row.
    fn plan(&self, shared: &Arc<Shared>) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let wider = Wider::of(&self.schema, self.width);
        let order = self.layout.order(&self.schema);
        let partitions = whole(shared, &self.parts, &self.schema).into_iter();
        let partitions = partitions.map(|stored| wider.partition(stored.partition())).collect();
        let rows = in_order(partitions, wider.schema(), &order)?;
        let name = |place: usize| self.schema.field(place).name().as_str();
        let keys = self.layout.keys().chain(self.layout.places(Use::WindowStart));
        let keys: Vec<&str> = keys.chain(self.layout.places(Use::Status)).map(name).collect();
        let computed = |(place, one): (usize, &Use)| {
            let computed = match one {
                Use::Rolled(RolledColumn::Sum) => Computed::Sum(name(place)),
                Use::Rolled(RolledColumn::Least) => Computed::Least(name(place)),
                Use::Rolled(RolledColumn::Greatest) => Computed::Greatest(name(place)),
                Use::Rolled(RolledColumn::Key | RolledColumn::Window)
                | Use::WindowStart
                | Use::WindowEnd
                | Use::Completeness
                | Use::Status
                | Use::Other => return None,
            };
            Some((computed, name(place).to_owned()))
        };
        let computed: Vec<_> = (0..).zip(&self.layout.uses).filter_map(computed).collect();
        grouped(rows, &keys, &computed)
    }
}

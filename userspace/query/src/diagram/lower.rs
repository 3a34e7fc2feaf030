//! The boxes below the split: what runs where rows are read, and on the workers.

use super::expression::Names;
use super::{Below, BoxKind, Drawing, Runs};
use crate::catalog::StreamTable;
use crate::flow_table::FlowTable;
use crate::in_kernel::InKernel;
use crate::lower::{Fold, LowerHalf};
use crate::window::{Window, format_interval};
use crate::window_functions::window_of;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Projection, TableScan, Union};
use datafusion::logical_expr::{Expr, LogicalPlan};
use tapline_record::{PACKET_FLOWS, Stream, StreamId, TABLE_FLOWS};

impl Drawing<'_> {
    /// A lower half, up to what gives its windows.
    pub(super) fn lower(&mut self, lower: &LowerHalf) -> Below {
        let below = self.below_split(&lower.plan);
        match lower.fold {
            Fold::Rows(_) if self.query.window.is_none() => below,
            Fold::Rows(_) | Fold::Aggregate(_) => self.window(below),
        }
    }

    fn below_split(&mut self, plan: &LogicalPlan) -> Below {
        match plan {
            LogicalPlan::TableScan(scan) => self.source(scan),
            LogicalPlan::SubqueryAlias(alias) => self.below_split(&alias.input),
            LogicalPlan::Filter(filter) => {
                let below = self.below_split(&filter.input);
                self.filter(filter, BoxKind::Filter, Runs::Worker, below)
            }
            LogicalPlan::Projection(projection) => {
                let below = self.below_split(&projection.input);
                self.project(projection, Runs::Worker, below)
            }
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| self.below_split(input)).collect();
                self.union(union, Runs::Worker, inputs)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let below = self.below_split(&aggregate.input);
                self.aggregate(aggregate, Runs::Worker, &below)
            }
            // Nothing else is below the split.
            _ => Below::default(),
        }
    }

    /// The stream that a scan reads; one box, however often it is read.
    fn source(&mut self, scan: &TableScan) -> Below {
        let provider = source_as_provider(&scan.source);
        let Ok(provider) = provider else { return Below::default() };
        let Some(table) = provider.downcast_ref::<StreamTable>() else { return Below::default() };
        let fields = scan.projected_schema.fields().iter();
        let texts = fields.map(|field| field.name().clone()).collect();
        let known = self.sources.iter().find(|(id, _)| *id == table.stream.id).map(|(_, place)| *place);
        let place = known.unwrap_or_else(|| self.new_source(table.stream));
        Below { boxes: vec![place], texts }
    }

    fn new_source(&mut self, stream: &'static Stream) -> usize {
        let (table, read) = match (self.query.flow_table, stream.id) {
            (table @ Some(_), StreamId::Packets) => (table, &PACKET_FLOWS),
            (table @ Some(FlowTable::Kernel), StreamId::Flows) => (table, &TABLE_FLOWS),
            _ => (None, stream),
        };
        let columns = self.query.columns_of(read).unwrap_or_default();
        let names: Vec<String> = columns.iter().map(|&column| read.field(column).name().clone()).collect();
        let (runs, what) = match table {
            Some(FlowTable::Kernel) => (Runs::Kernel, "counted by flow in the kernel"),
            Some(FlowTable::Cache) => (Runs::Reader, "counted by flow as they are decoded"),
            None => (Runs::Reader, "columns built"),
        };
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let sensors = self.query.written_sensors().map(|sensors| format!("on sensors {sensors}"));
        let is_of_packets = matches!(stream.id, StreamId::Packets | StreamId::Flows);
        let in_kernel = is_of_packets.then(|| self.query.in_kernel()).flatten();
        let nothing = match &in_kernel {
            Some(InKernel::Nothing(why)) => Some(format!("nothing is left out in the kernel: {why}")),
            Some(InKernel::AllBut { .. }) | None => None,
        };
        let lines = [format!("{what}: {names}")].into_iter().chain(nothing).chain(sensors).collect();
        let said = (stream.name.to_owned(), lines);
        let mut place = self.put(BoxKind::Source, said, runs, &[]);
        if let Some(InKernel::AllBut { condition, extent }) = in_kernel {
            let said = (format!("WHERE {condition}"), vec![extent]);
            place = self.put(BoxKind::Filter, said, Runs::Kernel, &[place]);
        }
        self.sources.push((stream.id, place));
        place
    }

    /// What collects groups until their window closes.
    fn window(&mut self, below: Below) -> Below {
        let Some(window) = self.query.window else {
            let lines = vec!["it closes when the input ends".to_owned()];
            return self.behind(BoxKind::Window, ("the whole input".to_owned(), lines), Runs::Window, below);
        };
        let title = match window {
            Window::Tumble { size } => format!("tumble {}", format_interval(size)),
            Window::Hop { slide, size } => {
                format!("hop {} over {}", format_interval(slide), format_interval(size))
            }
            Window::Rows { count } => format!("tumble {count} rows"),
        };
        let panes = self.query.pane_width().zip(window.size_and_slide()).map(|(pane, (size, _))| {
            let panes = size / pane;
            format!("{panes} pane{} of {}", if panes == 1 { "" } else { "s" }, format_interval(pane))
        });
        let early = self.query.early.map(|every| format!("given so far each {}", format_interval(every)));
        let lines = panes.into_iter().chain(early).collect();
        self.behind(BoxKind::Window, (title, lines), Runs::Window, below)
    }

    /// What leaves rows out: all of its conditions are one box.
    pub(super) fn filter(&mut self, filter: &Filter, kind: BoxKind, runs: Runs, below: Below) -> Below {
        let names = Names { schema: filter.input.schema(), texts: &below.texts };
        let word = if kind == BoxKind::Having { "HAVING" } else { "WHERE" };
        let conditions = names.conditions(&filter.predicate);
        let title = format!("{word} {}", conditions.join(" AND "));
        let lines = if conditions.len() > 1 { conditions } else { vec![] };
        self.behind(kind, (title, lines), runs, below)
    }

    /// What computes columns; where they are only picked or renamed, there is no box.
    pub(super) fn project(&mut self, projection: &Projection, runs: Runs, below: Below) -> Below {
        let names = Names { schema: projection.input.schema(), texts: &below.texts };
        let texts: Vec<String> = projection.expr.iter().map(|one| name_of(one, names)).collect();
        let computed = projection.expr.iter().filter(|one| computes(one)).map(|one| item(one, names));
        let computed: Vec<String> = computed.collect();
        if computed.is_empty() {
            return Below { texts, ..below };
        }
        let title = computed.join(", ");
        let lines = if computed.len() > 1 { computed } else { vec![] };
        let place = self.put(BoxKind::Project, (title, lines), runs, &below.boxes);
        Below { boxes: vec![place], texts }
    }

    pub(super) fn union(&mut self, union: &Union, runs: Runs, inputs: Vec<Below>) -> Below {
        let fields = union.schema.fields();
        let own = || fields.iter().map(|field| field.name().clone()).collect();
        let first = inputs.first().map(|below| below.texts.clone());
        let texts: Vec<String> = first.filter(|texts| texts.len() == fields.len()).unwrap_or_else(own);
        let lines = vec![format!("{} parts", inputs.len())];
        let boxes: Vec<usize> = inputs.into_iter().flat_map(|below| below.boxes).collect();
        self.behind(BoxKind::Union, ("UNION ALL".to_owned(), lines), runs, Below { boxes, texts })
    }

    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, runs: Runs, below: &Below) -> Below {
        let names = Names { schema: aggregate.input.schema(), texts: &below.texts };
        let is_key = |key: &&Expr| window_of(key).is_none();
        let keys = names.list(aggregate.group_expr.iter().filter(is_key));
        let columns = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
        let texts = columns.map(|one| names.text(one)).collect();
        let computed: Vec<String> = aggregate.aggr_expr.iter().map(|one| names.text(one)).collect();
        let said = match (keys.as_str(), computed.is_empty()) {
            ("", true) => ("one group".to_owned(), vec![]),
            ("", false) => (computed.join(", "), vec![]),
            (keys, _) => (format!("GROUP BY {keys}"), computed),
        };
        let place = self.put(BoxKind::Aggregate, said, runs, &below.boxes);
        Below { boxes: vec![place], texts }
    }
}

/// Whether a column is more than one of those below, by another name.
fn computes(expression: &Expr) -> bool {
    match expression {
        Expr::Alias(alias) => computes(&alias.expr),
        Expr::Cast(cast) => computes(&cast.expr),
        other => other.try_as_col().is_none(),
    }
}

/// What a person calls a column of a projection: what optimisation has named is called by its text.
fn name_of(expression: &Expr, names: Names<'_>) -> String {
    match expression {
        Expr::Alias(alias) if !alias.name.starts_with("__") => alias.name.clone(),
        other => names.text(other),
    }
}

/// A column as a SELECT list has it.
fn item(expression: &Expr, names: Names<'_>) -> String {
    let (text, name) = (names.text(expression), name_of(expression, names));
    match expression {
        Expr::Alias(_) if name != text => format!("{text} AS {name}"),
        _ => text,
    }
}

//! The boxes above the split: what runs once for each window that closes.

use super::expression::Names;
use super::{Below, BoxKind, Drawing, Runs, limit_title};
use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::logical_plan::{Join, Limit, Sort, TableScan, Window};
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};

impl Drawing<'_> {
    /// The rest of a plan over its lower halves.
    pub(super) fn upper(&mut self, plan: &LogicalPlan, halves: &[Below]) -> Below {
        match plan {
            LogicalPlan::TableScan(scan) => partial(scan, halves),
            LogicalPlan::SubqueryAlias(alias) => self.upper(&alias.input, halves),
            // It only gives the columns of a partial table their names.
            LogicalPlan::Projection(projection)
                if matches!(&*projection.input, LogicalPlan::TableScan(_)) =>
            {
                self.upper(&projection.input, halves)
            }
            LogicalPlan::Projection(projection) => {
                let below = self.upper(&projection.input, halves);
                self.project(projection, Runs::Window, below)
            }
            LogicalPlan::Filter(filter) => {
                let below = self.upper(&filter.input, halves);
                let kind = if self.is_of_groups(&below) { BoxKind::Having } else { BoxKind::Filter };
                self.filter(filter, kind, Runs::Window, below)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let below = self.upper(&aggregate.input, halves);
                self.aggregate(aggregate, Runs::Window, &below)
            }
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| self.upper(input, halves)).collect();
                self.union(union, Runs::Window, inputs)
            }
            LogicalPlan::Join(join) => self.join(join, halves),
            LogicalPlan::Window(window) => self.over(window, halves),
            LogicalPlan::Sort(sort) => {
                let sorted = self.sort(sort, halves);
                let title = sort.fetch.and_then(|rows| limit_title(Some(rows.to_string()), None));
                self.limited(title, sorted)
            }
            LogicalPlan::Limit(limit) => self.limit(limit, halves),
            other => self.other(other, halves),
        }
    }

    /// Whether the rows that come are groups, or what was left of them.
    fn is_of_groups(&self, below: &Below) -> bool {
        let kind = |place: &usize| self.diagram.boxes.get(*place).map(|one| one.kind);
        let [place] = below.boxes.as_slice() else { return false };
        matches!(kind(place), Some(BoxKind::Window | BoxKind::Aggregate | BoxKind::Having))
    }

    fn sort(&mut self, sort: &Sort, halves: &[Below]) -> Below {
        let below = self.upper(&sort.input, halves);
        let names = Names { schema: sort.input.schema(), texts: &below.texts };
        let (by, ties) = sort.expr.split_at(asked(&sort.expr));
        let title = format!("ORDER BY {}", names.sorted(by));
        let lines = if ties.is_empty() { vec![] } else { vec![format!("then by {}", names.sorted(ties))] };
        self.behind(BoxKind::Sort, (title, lines), Runs::Window, below)
    }

    fn limit(&mut self, limit: &Limit, halves: &[Below]) -> Below {
        let below = match &*limit.input {
            // It keeps as many as are asked for here.
            LogicalPlan::Sort(sort) => self.sort(sort, halves),
            other => self.upper(other, halves),
        };
        let names = Names { schema: limit.input.schema(), texts: &below.texts };
        let said = |rows: &Option<Box<Expr>>| rows.as_ref().map(|rows| names.text(rows));
        let skip = said(&limit.skip).filter(|skip| skip != "0");
        let title = limit_title(said(&limit.fetch).filter(|fetch| fetch != "NULL"), skip);
        self.limited(title, below)
    }

    fn limited(&mut self, title: Option<String>, below: Below) -> Below {
        match title {
            Some(title) => self.behind(BoxKind::Limit, (title, vec![]), Runs::Window, below),
            None => below,
        }
    }

    fn join(&mut self, join: &Join, halves: &[Below]) -> Below {
        let [left, right] = [&join.left, &join.right].map(|side| self.upper(side, halves));
        let own = padded(left.texts.clone(), join.left.schema());
        let others = padded(right.texts.clone(), join.right.schema());
        let of_left = Names { schema: join.left.schema(), texts: &own };
        let of_right = Names { schema: join.right.schema(), texts: &others };
        let on =
            join.on.iter().map(|(one, other)| format!("{} = {}", of_left.text(one), of_right.text(other)));
        let mut on: Vec<String> = on.collect();
        let both = [own.as_slice(), others.as_slice()].concat();
        if let (Some(filter), Ok(schema)) = (&join.filter, join.left.schema().join(join.right.schema())) {
            on.extend(Names { schema: &schema, texts: &both }.conditions(filter));
        }
        let word = word_of(join.join_type);
        let title =
            if on.is_empty() { format!("CROSS {word}") } else { format!("{word} ON {}", on.join(" AND ")) };
        // Of a join that only looks whether there are others, the columns are those of one side.
        let texts = if is_of_right(join.join_type) { others } else { both };
        let texts = padded(texts, &join.schema);
        let below = Below { boxes: [left.boxes, right.boxes].concat(), texts };
        let lines = if on.len() > 1 { on } else { vec![] };
        self.behind(BoxKind::Join, (title, lines), Runs::Window, below)
    }

    fn over(&mut self, window: &Window, halves: &[Below]) -> Below {
        let below = self.upper(&window.input, halves);
        let names = Names { schema: window.input.schema(), texts: &below.texts };
        let computed: Vec<String> = window.window_expr.iter().map(|one| names.text(one)).collect();
        let texts = padded([below.texts.clone(), computed.clone()].concat(), &window.schema);
        let title = computed.join(", ");
        let lines = if computed.len() > 1 { computed } else { vec![] };
        let place = self.put(BoxKind::Project, (title, lines), Runs::Window, &below.boxes);
        Below { boxes: vec![place], texts }
    }

    /// What is rare: rows that are no stream, lists that become rows.
    fn other(&mut self, plan: &LogicalPlan, halves: &[Below]) -> Below {
        let inputs: Vec<Below> = plan.inputs().into_iter().map(|input| self.upper(input, halves)).collect();
        let boxes: Vec<usize> = inputs.into_iter().flat_map(|below| below.boxes).collect();
        let kind = if boxes.is_empty() { BoxKind::Source } else { BoxKind::Project };
        let place = self.put(kind, (plan.display().to_string(), vec![]), Runs::Window, &boxes);
        Below { boxes: vec![place], texts: padded(vec![], plan.schema()) }
    }
}

/// A lower half, where its partial table is read.
fn partial(scan: &TableScan, halves: &[Below]) -> Below {
    let number =
        scan.table_name.table().strip_prefix("partial_").and_then(|number| number.parse::<usize>().ok());
    let Some(below) = number.and_then(|number| halves.get(number)) else { return Below::default() };
    let Some(columns) = &scan.projection else { return below.clone() };
    let texts = columns.iter().map(|&column| below.texts.get(column).cloned().unwrap_or_default());
    Below { boxes: below.boxes.clone(), texts: texts.collect() }
}

/// How many of the orders somebody asked for: ties are broken on all other columns, ascending.
fn asked(by: &[SortExpr]) -> usize {
    let is_tie = |sort: &&SortExpr| sort.asc && !sort.nulls_first && sort.expr.try_as_col().is_some();
    let ties = by.iter().rev().take_while(is_tie).count();
    by.len().saturating_sub(ties).max(1).min(by.len())
}

/// As many texts as a node has columns; those that are missing are the names of the columns.
fn padded(mut texts: Vec<String>, schema: &DFSchema) -> Vec<String> {
    texts.truncate(schema.fields().len());
    let missing = schema.fields().iter().skip(texts.len()).map(|field| field.name().clone());
    let missing: Vec<String> = missing.collect();
    texts.extend(missing);
    texts
}

fn word_of(join: JoinType) -> String {
    match join {
        JoinType::Inner => "JOIN".to_owned(),
        JoinType::Left => "LEFT JOIN".to_owned(),
        JoinType::Right => "RIGHT JOIN".to_owned(),
        JoinType::Full => "FULL JOIN".to_owned(),
        JoinType::LeftSemi | JoinType::RightSemi => "WHERE there is".to_owned(),
        JoinType::LeftAnti | JoinType::RightAnti => "WHERE there is no".to_owned(),
        other => format!("{other} JOIN"),
    }
}

const fn is_of_right(join: JoinType) -> bool {
    matches!(join, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark)
}

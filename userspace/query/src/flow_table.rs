//! Which lower halves can read flows of packets instead of packets.
//!
//! A row of a flow table stands for many packets of one key. So it is a partial aggregate already: where a lower
//! half asks of packets nothing but their keys, how many there are, sums of their octets and their first and last
//! times, its aggregates merge the row as they merge a part of their own. What only looks at keys, and does not
//! care how often it sees one, takes the row as it is.
//!
//! Records of flows come out of the kernel's table as they come of packets, but for a few columns: who reads none of these
//! reads them from there, and is otherwise what it is.

use crate::continuous::ContinuousQuery;
use crate::lower::{Aggregate, AggregateFold, Branch, Fold, LowerHalf, Step};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, IsNotNullExpr, Literal};
use datafusion::physical_expr::utils::collect_columns;
use std::sync::Arc;
use tapline_record::{FLOWS, FlowColumn, PACKET_FLOWS, PACKETS, PacketFlowColumn, StreamId, TABLE_FLOWS};

/// Aggregates of keys that are the same however often a key comes.
const ONCE_IS_ENOUGH: [&str; 7] =
    ["min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "approx_distinct"];

/// What a column says of the packets of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// A key: the same of every packet.
    Key,
    /// The sum over them.
    Sum,
    /// When the first one came.
    Time,
}

/// What the columns behind a branch's steps are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Behind {
    /// The columns that the steps give.
    columns: Vec<Says>,
    /// The time of the last packet is behind them, and then how many packets there are.
    last_ts: usize,
}

/// Who counts packets by flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowTable {
    /// A program in the kernel.
    Kernel,
    /// The thread that reads packets.
    Cache,
}

impl FlowTable {
    /// Its name, for a sentence.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "the kernel's flow table",
            Self::Cache => "the flow cache",
        }
    }

    /// The position in [`PACKET_FLOWS`] of a column of packets that tells its flows apart, or counts their packets.
    fn place_of(self, name: &str) -> Result<usize, String> {
        let place = PACKET_FLOWS.columns.iter().position(|column| column.name == name);
        let has = |place: &usize| self == Self::Cache || PacketFlowColumn::ALL[*place].is_in_kernel();
        place.filter(has).ok_or_else(|| format!("{name} is no key of {}", self.name()))
    }
}

impl ContinuousQuery {
    /// The same query over [`PACKET_FLOWS`], as `table` gives them, and where that is the kernel's, [`TABLE_FLOWS`], where
    /// all of its lower halves can be; for each lower half the reason why it cannot. Halves over both would count each
    /// packet twice.
    #[must_use]
    pub fn over_packet_flows(&self, table: FlowTable) -> (Self, Vec<Option<String>>) {
        let counts_rows = self.window.is_some_and(|window| window.pane_width().is_none());
        let reads_any = self.lowers.iter().any(|lower| !lower.branches.is_empty());
        let over_flows = |lower: &LowerHalf| match counts_rows {
            _ if table == FlowTable::Kernel && lower.reads_flows() => lower.over_table_flows(),
            true => Err("a window that counts rows needs every packet".to_owned()),
            false if reads_any && lower.branches.is_empty() => Ok(lower.clone()),
            false => lower.over_packet_flows(table),
        };
        let halves: Vec<_> = self.lowers.iter().map(over_flows).collect();
        let reasons = halves.iter().map(|half| half.as_ref().err().cloned()).collect();
        let mut query = self.clone();
        if let Ok(lowers) = halves.into_iter().collect() {
            query.lowers = lowers;
            query.flow_table = Some(table);
        }
        (query, reasons)
    }

    /// The same as [`Self::over_packet_flows`], beside flows of others, which no table of packets has: a query over `flows`
    /// reads all of them as they are.
    #[must_use]
    pub fn over_packet_flows_beside_flows(&self, table: FlowTable) -> (Self, Vec<Option<String>>) {
        if self.columns_of(&FLOWS).is_none() {
            return self.over_packet_flows(table);
        }
        let reason = format!("what is read besides gives flows, too, which are none of {}", table.name());
        (self.clone(), vec![Some(reason)])
    }
}

impl LowerHalf {
    /// Whether it reads records of flows, and nothing else.
    fn reads_flows(&self) -> bool {
        !self.branches.is_empty() && self.branches.iter().all(|branch| branch.stream.id == StreamId::Flows)
    }

    /// The same half over [`TABLE_FLOWS`], or why there is none.
    fn over_table_flows(&self) -> Result<Self, String> {
        let mut columns = self.branches.iter().flat_map(|branch| branch.columns.iter().copied());
        let is_known =
            |column: usize| FlowColumn::ALL.get(column).copied().is_some_and(FlowColumn::is_in_kernel);
        if let Some(column) = columns.find(|column| !is_known(*column)) {
            let name = FLOWS.field(column).name().clone();
            return Err(format!("{name} of flows is not in {}", FlowTable::Kernel.name()));
        }
        let mut half = self.clone();
        half.branches.iter_mut().for_each(|branch| branch.stream = &TABLE_FLOWS);
        Ok(half)
    }

    /// The same half over [`PACKET_FLOWS`], or why there is none.
    fn over_packet_flows(&self, table: FlowTable) -> Result<Self, String> {
        let Fold::Aggregate(fold) = &self.fold else {
            return Err("rows without an aggregate are packets".to_owned());
        };
        let branches = self.branches.iter().map(|branch| rewrite_branch(branch, table));
        let branches = branches.collect::<Result<Vec<_>, _>>()?;
        let Some((_, behind)) = branches.first().cloned() else {
            return Err("it reads nothing".to_owned());
        };
        if branches.iter().any(|(_, other)| *other != behind) {
            return Err("the parts of UNION ALL have different columns".to_owned());
        }
        Ok(Self {
            branches: branches.into_iter().map(|(branch, _)| branch).collect(),
            fold: Fold::Aggregate(rewrite_fold(fold, &behind)?),
            plan: self.plan.clone(),
        })
    }
}

fn rewrite_branch(branch: &Branch, table: FlowTable) -> Result<(Branch, Behind), String> {
    if branch.stream.id != StreamId::Packets {
        return Err(format!("{} are no packets", branch.stream.name));
    }
    let places = branch.columns.iter().map(|&column| table.place_of(PACKETS.field(column).name()));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let mut behind =
        Behind { columns: places.iter().map(|&place| says(place)).collect(), last_ts: places.len() };
    let own = [PacketFlowColumn::LastTs as usize, PacketFlowColumn::Packets as usize];
    let columns = [places, own.to_vec()].concat();
    let steps = branch.steps.iter().map(|step| rewrite_step(step, &mut behind));
    let steps = steps.collect::<Result<_, _>>()?;
    let packets = Some(behind.last_ts + 1);
    Ok((Branch { stream: &PACKET_FLOWS, columns, steps, packets }, behind))
}

fn says(place: usize) -> Says {
    match place {
        _ if place == PacketFlowColumn::Ts as usize => Says::Time,
        _ if place == PacketFlowColumn::Octets as usize => Says::Sum,
        _ if place == PacketFlowColumn::FrameOctets as usize => Says::Sum,
        _ => Says::Key,
    }
}

fn rewrite_step(step: &Step, behind: &mut Behind) -> Result<Step, String> {
    match step {
        Step::Filter(predicate) => {
            behind.reads_keys(predicate.as_ref(), "a condition")?;
            Ok(step.clone())
        }
        Step::Project(expressions, schema) => {
            let columns = expressions.iter().map(|expression| behind.says_of(expression.as_ref()));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let own = [("last_ts", behind.last_ts), ("packets", behind.last_ts + 1)];
            let own = own.map(|(name, place)| Arc::new(Column::new(name, place)) as Arc<dyn PhysicalExpr>);
            *behind = Behind { last_ts: columns.len(), columns };
            Ok(Step::Project([expressions.as_slice(), &own].concat(), with_own_columns(schema)))
        }
    }
}

fn with_own_columns(schema: &SchemaRef) -> SchemaRef {
    let own = [PacketFlowColumn::LastTs, PacketFlowColumn::Packets].map(|column| {
        let column = &PACKET_FLOWS.columns[column as usize];
        Arc::new(Field::new(column.name, column.kind.data_type(), true))
    });
    Arc::new(Schema::new(schema.fields().iter().cloned().chain(own).collect::<Vec<_>>()))
}

fn rewrite_fold(fold: &AggregateFold, behind: &Behind) -> Result<AggregateFold, String> {
    for key in &fold.keys {
        behind.reads_keys(key.as_ref(), "a group")?;
    }
    let aggregates = fold.aggregates.iter().map(|aggregate| rewrite_aggregate(aggregate, behind));
    Ok(AggregateFold { aggregates: aggregates.collect::<Result<_, _>>()?, ..fold.clone() })
}

fn rewrite_aggregate(aggregate: &Aggregate, behind: &Behind) -> Result<Aggregate, String> {
    let name = aggregate.function.fun().name();
    if let Some(filter) = &aggregate.filter {
        behind.reads_keys(filter.as_ref(), "FILTER")?;
    }
    let reads_keys =
        aggregate.arguments.iter().all(|argument| behind.says_of(argument.as_ref()) == Ok(Says::Key));
    if reads_keys && ONCE_IS_ENOUGH.contains(&name) {
        return Ok(aggregate.clone());
    }
    let needs_packets = || format!("{} needs every packet", aggregate.function.name());
    let [argument] = aggregate.arguments.as_slice() else { return Err(needs_packets()) };
    let column = match (name, behind.plain(argument.as_ref())) {
        ("count", _) if reads_keys => behind.last_ts + 1,
        ("sum", Some((place, Says::Sum))) | ("min", Some((place, Says::Time))) => place,
        ("max", Some((_, Says::Time))) => behind.last_ts,
        _ => return Err(needs_packets()),
    };
    let state = aggregate.function.state_fields().map_err(|error| error.to_string())?;
    let [state] = state.as_slice() else { return Err(needs_packets()) };
    let counted = (name == "count").then(|| where_there_is(argument, aggregate.filter.as_ref()));
    Ok(Aggregate {
        function: aggregate.function.clone(),
        arguments: vec![cast(column, state.data_type())],
        filter: counted.unwrap_or_else(|| aggregate.filter.clone()),
        takes_states: true,
    })
}

/// The condition under which count(argument) counts a row.
fn where_there_is(
    argument: &Arc<dyn PhysicalExpr>,
    filter: Option<&Arc<dyn PhysicalExpr>>,
) -> Option<Arc<dyn PhysicalExpr>> {
    let is_null = argument.downcast_ref::<Literal>().is_some_and(|literal| literal.value().is_null());
    if collect_columns(argument).is_empty() && !is_null {
        return filter.cloned();
    }
    let is_there: Arc<dyn PhysicalExpr> = Arc::new(IsNotNullExpr::new(Arc::clone(argument)));
    Some(match filter {
        Some(filter) => Arc::new(BinaryExpr::new(Arc::clone(filter), Operator::And, is_there)),
        None => is_there,
    })
}

fn cast(column: usize, data_type: &DataType) -> Arc<dyn PhysicalExpr> {
    let column = Arc::new(Column::new("state", column));
    Arc::new(CastExpr::new(column, data_type.clone(), None))
}

impl Behind {
    /// Whether an expression only looks at keys; `what` it is, for the reason why not.
    fn reads_keys(&self, expression: &dyn PhysicalExpr, what: &str) -> Result<(), String> {
        let mut says =
            columns_in(expression).into_iter().filter_map(|column| self.columns.get(column).copied());
        match says.find(|says| *says != Says::Key) {
            Some(Says::Sum) => Err(format!("{what} looks at the octets of each packet")),
            Some(_) => Err(format!("{what} looks at the time of each packet")),
            None => Ok(()),
        }
    }

    /// What the value of an expression says.
    fn says_of(&self, expression: &dyn PhysicalExpr) -> Result<Says, String> {
        if let Some((_, says)) = self.plain(expression) {
            return Ok(says);
        }
        let mut columns = columns_in(expression).into_iter();
        if columns.all(|column| self.columns.get(column) == Some(&Says::Key)) {
            return Ok(Says::Key);
        }
        Err(format!("{expression} is computed of each packet"))
    }

    /// The column that an expression is, but for its type.
    fn plain(&self, expression: &dyn PhysicalExpr) -> Option<(usize, Says)> {
        if let Some(cast) = expression.downcast_ref::<CastExpr>() {
            // What fits of each packet may not fit of many.
            let is_wide = cast.cast_type().primitive_width().is_some_and(|octets| octets >= 8);
            return self.plain(cast.expr().as_ref()).filter(|(_, says)| is_wide || *says == Says::Key);
        }
        let column = expression.downcast_ref::<Column>()?.index();
        Some((column, *self.columns.get(column)?))
    }
}

/// The columns that an expression reads.
fn columns_in(expression: &dyn PhysicalExpr) -> Vec<usize> {
    if let Some(column) = expression.downcast_ref::<Column>() {
        return vec![column.index()];
    }
    expression.children().into_iter().flat_map(|child| columns_in(child.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::{FLOWS, FlowTable, TABLE_FLOWS};
    use crate::Planner;

    fn reason(sql: &str) -> Option<String> {
        let query = Planner::new().plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        query.over_packet_flows(FlowTable::Kernel).1.swap_remove(0)
    }

    #[test]
    fn a_cache_has_more_keys_than_the_kernel() {
        let query = Planner::new().plan("SELECT ttl, src_mac, count(*) FROM packets GROUP BY 1, 2").unwrap();
        let (kept, reasons) = query.over_packet_flows(FlowTable::Kernel);
        assert_eq!((kept.flow_table, reasons[0].is_some()), (None, true));
        let (cached, reasons) = query.over_packet_flows(FlowTable::Cache);
        assert_eq!((cached.flow_table, &reasons[0]), (Some(FlowTable::Cache), &None));
    }

    #[test]
    fn what_asks_for_keys_and_sums_reads_the_flow_table() {
        for sql in [
            "SELECT protocol, count(*) FROM packets GROUP BY protocol, tumble('1 second')",
            "SELECT src_ip, sum(octets), sum(frame_octets), min(ts), max(ts) FROM packets
             WHERE dst_port IN (80, 443) AND cidr(src_ip, '10.0.0.0/8') GROUP BY src_ip, hop('1 second', '10 seconds')",
            "SELECT network(src_ip, 24, 64) AS net, count(vlan) FILTER (WHERE protocol = 6), approx_distinct(dst_ip),
             max(dst_port) FROM packets GROUP BY net, tumble('1 second') HAVING count(*) > 5",
            "SELECT service(protocol, dst_port), tcp_flags & 2, count(*) FROM packets
             GROUP BY service(protocol, dst_port), tcp_flags & 2, tumble('1 second')",
            "SELECT direction, count(*), sum(frame_octets) FROM packets WHERE direction = 1
             GROUP BY direction, tumble('1 second')",
            "SELECT count(DISTINCT src_ip) FROM packets GROUP BY tumble('1 second')",
            "SELECT text(src_ip), hex(tcp_flags & 0x12), coalesce(dst_ip, '0.0.0.0') AS d, count(*) FROM packets
             WHERE (src_ip, dst_port) IN (('10.0.0.1', 80), ('10.0.0.2', 443)) OR src_ip LIKE '10.%'
             GROUP BY text(src_ip), hex(tcp_flags & 0x12), d, tumble('1 second')",
            "SELECT p, sum(o) FROM (SELECT src_port AS p, octets AS o FROM packets UNION ALL
             SELECT dst_port, octets FROM packets) GROUP BY p, tumble('1 second')",
        ] {
            let sql = if sql.contains("UNION") { sql.replace(", tumble('1 second')", "") } else { sql.to_owned() };
            assert_eq!(reason(&sql), None, "{sql}");
        }
    }

    #[test]
    fn what_asks_for_more_says_why_it_reads_packets() {
        for (sql, expected) in [
            ("SELECT ttl, count(*) FROM packets GROUP BY ttl", "ttl is no key of the kernel's flow table"),
            (
                "SELECT count(*) FROM packets WHERE octets > 100",
                "a condition looks at the octets of each packet",
            ),
            (
                "SELECT octets, count(*) FROM packets GROUP BY octets",
                "a group looks at the octets of each packet",
            ),
            ("SELECT max(octets) FROM packets", "max(packets.octets) needs every packet"),
            (
                "SELECT count(*) FROM packets WHERE payload LIKE '%GET%'",
                "payload is no key of the kernel's flow table",
            ),
            ("SELECT sum(extract(second FROM ts)) FROM packets", "needs every packet"),
            ("SELECT sum(octets * 8) FROM packets", "octets"),
            ("SELECT quantile(frame_octets, 0.5) FROM packets", "needs every packet"),
            ("SELECT sum(dst_port) FROM packets", "sum(packets.dst_port) needs every packet"),
            ("SELECT src_ip FROM packets", "rows without an aggregate are packets"),
            ("SELECT max(src_mac) FROM flows", "src_mac of flows is not in the kernel's flow table"),
            ("SELECT * FROM flows", "tos of flows is not in the kernel's flow table"),
            (
                "SELECT p, count(*) FROM (SELECT protocol AS p FROM flows UNION ALL SELECT protocol FROM packets) GROUP BY p",
                "flows are no packets",
            ),
            (
                "SELECT count(*) FROM packets GROUP BY tumble_rows(5)",
                "a window that counts rows needs every packet",
            ),
        ] {
            let reason = reason(sql).unwrap_or_else(|| panic!("{sql} reads the flow table"));
            assert!(reason.contains(expected), "{sql}: {reason}");
        }
    }
    #[test]
    fn flows_are_read_from_the_kernel_as_they_are() {
        for sql in [
            "SELECT src_ip, dst_port, sum(packets), max(octets), min(start_time) FROM flows WHERE packets > 1
             GROUP BY src_ip, dst_port, tumble('60 seconds')",
            "SELECT start_time, end_time, tcp_flags, flow_end_reason, direction, vlan, src_as FROM flows",
            "SELECT quantile(octets, 0.9) FROM flows GROUP BY tumble_rows(5)",
            "SELECT p, count(*) FROM (SELECT src_port AS p FROM flows UNION ALL SELECT dst_port FROM flows) GROUP BY p",
        ] {
            let query = Planner::new().plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            let (placed, reasons) = query.over_packet_flows(FlowTable::Kernel);
            assert_eq!((placed.flow_table, &reasons[0]), (Some(FlowTable::Kernel), &None), "{sql}");
            assert_eq!(placed.columns_of(&TABLE_FLOWS), query.columns_of(&FLOWS), "{sql}");
            assert_eq!(placed.columns_of(&FLOWS), None, "{sql}");
            let (cached, reasons) = query.over_packet_flows(FlowTable::Cache);
            assert_eq!((cached.flow_table, reasons[0].is_some()), (None, true), "{sql}");
            let (beside, reasons) = query.over_packet_flows_beside_flows(FlowTable::Kernel);
            assert_eq!((beside.flow_table, reasons[0].is_some()), (None, true), "{sql}");
        }
        let packets = Planner::new().plan("SELECT count(*) FROM packets").unwrap();
        let (beside, _) = packets.over_packet_flows_beside_flows(FlowTable::Kernel);
        assert_eq!(beside.flow_table, Some(FlowTable::Kernel));
    }
}

//! Which rows a query needs, as far as a filter over fields of frames can say it.
//!
//! Takes the conditions in front of a lower half as they are executed, gives a predicate that holds of each row of which
//! they all are true. What cannot be said holds of every row; so it may hold of more rows, and never of fewer: who leaves
//! out the others changes no answer, while the conditions are looked at all the same.

use crate::continuous::ContinuousQuery;
use crate::limits;
use crate::lower::{Branch, Step};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr, TryCastExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use std::net::IpAddr;
use std::sync::Arc;
use tapline_filter::{Comparison, Condition, Field, Operand, Predicate, Ranges};
use tapline_record::address::{Address, network, to_ip};
use tapline_record::{Stream, StreamId};

type Expression = Arc<dyn PhysicalExpr>;

/// What is compared, where a filter knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A field.
    Field(Field),
    /// Some bits of a number.
    Bits(Field, u64),
    /// `network(field, v4_bits, v6_bits)`
    Network(Field, u8, u8),
}

impl Subject {
    const fn field(self) -> Field {
        match self {
            Self::Field(field) | Self::Bits(field, _) | Self::Network(field, ..) => field,
        }
    }

    /// What it is for a condition; `None` of what is computed of a field.
    const fn operand(self) -> Option<Operand> {
        match self {
            Self::Field(field) => Some(Operand::of(field)),
            Self::Bits(field, mask) => Some(Operand::masked(field, mask)),
            Self::Network(..) => None,
        }
    }
}

impl ContinuousQuery {
    /// What holds of each row of `stream` that it needs: packets, or what packets of a flow have in common.
    #[must_use]
    pub fn wanted_of(&self, stream: &Stream) -> Predicate {
        let branches = self.lowers.iter().flat_map(|lower| &lower.branches);
        let reading: Vec<_> = branches.filter(|branch| branch.stream.id == stream.id).collect();
        if reading.iter().any(|branch| branch.steps.is_empty()) {
            return Predicate::ALWAYS;
        }
        limits::with_stack(|| Predicate::any(reading.iter().map(|branch| wanted_of(branch).predicate())))
    }
}

fn wanted_of(branch: &Branch) -> Condition {
    let known = |column: &usize| known(branch.stream, *column).map_or(Known::Nothing, Known::field);
    let mut behind = Behind(branch.columns.iter().map(known).collect());
    let mut conditions = vec![];
    for step in &branch.steps {
        match step {
            Step::Filter(predicate) => conditions.push(behind.condition(predicate)),
            Step::Project(expressions, _) => {
                behind = Behind(expressions.iter().map(|one| behind.known(one)).collect());
            }
        }
    }
    Condition::All(conditions)
}

/// What is known of a column.
#[derive(Clone, Debug)]
enum Known {
    /// What is compared.
    Subject(Subject),
    /// Whether something holds.
    Condition(Condition),
    Nothing,
}

impl Known {
    const fn field(field: Field) -> Self {
        Self::Subject(Subject::Field(field))
    }
}

/// The field that a column is, the same for each packet of a row.
fn known(stream: &Stream, column: usize) -> Option<Field> {
    let field = Field::of_name(stream.columns.get(column)?.name)?;
    match stream.id {
        StreamId::Packets => Some(field),
        // Lengths are sums there.
        StreamId::PacketFlows => Some(field).filter(|field| field.is_of_flow() || *field == Field::TcpFlags),
        StreamId::Flows | StreamId::TableFlows | StreamId::InterfaceCounters | StreamId::Ledger => None,
    }
}

/// What is known of what the steps so far give, column by column.
struct Behind(Vec<Known>);

impl Behind {
    fn known(&self, expression: &Expression) -> Known {
        let subject = self.subject(expression).map(Known::Subject);
        let known = subject.or_else(|| self.said(expression).map(Known::Condition));
        known.unwrap_or(Known::Nothing)
    }

    fn condition(&self, expression: &Expression) -> Condition {
        self.said(expression).unwrap_or(Condition::Unsaid)
    }

    /// What is asked, if it can be said.
    fn said(&self, expression: &Expression) -> Option<Condition> {
        if let Some(binary) = expression.downcast_ref::<BinaryExpr>() {
            return self.binary(expression, binary);
        }
        if let Some(not) = expression.downcast_ref::<NotExpr>() {
            return Some(Condition::Not(Box::new(self.said(not.arg())?)));
        }
        if let Some(is_null) = expression.downcast_ref::<IsNullExpr>() {
            return Some(Condition::IsNull(self.subject(is_null.arg())?.field()));
        }
        if let Some(is_not_null) = expression.downcast_ref::<IsNotNullExpr>() {
            return Some(Condition::is_not_null(self.subject(is_not_null.arg())?.field()));
        }
        if let Some(list) = expression.downcast_ref::<InListExpr>() {
            return self.list(list);
        }
        if let Some(call) = expression.downcast_ref::<ScalarFunctionExpr>() {
            return self.prefix(call);
        }
        if let Some(column) = expression.downcast_ref::<Column>() {
            return match self.0.get(column.index())? {
                Known::Condition(condition) => Some(condition.clone()),
                Known::Subject(_) | Known::Nothing => None,
            };
        }
        match expression.downcast_ref::<Literal>()?.value() {
            ScalarValue::Boolean(Some(true)) => Some(Condition::All(vec![])),
            ScalarValue::Boolean(Some(false)) => Some(Condition::Any(vec![])),
            _ => None,
        }
    }

    fn binary(&self, expression: &Expression, binary: &BinaryExpr) -> Option<Condition> {
        let (left, right) = (binary.left(), binary.right());
        let all =
            |operator| parts_of(expression, operator).into_iter().map(|part| self.condition(part)).collect();
        let comparison = match binary.op() {
            Operator::And => return Some(Condition::All(all(Operator::And))),
            Operator::Or => return Some(Condition::Any(all(Operator::Or))),
            Operator::IsNotDistinctFrom => return self.is_the_same(left, right),
            Operator::IsDistinctFrom => {
                return Some(Condition::Not(Box::new(self.is_the_same(left, right)?)));
            }
            Operator::Eq => Comparison::Equal,
            Operator::NotEq => Comparison::NotEqual,
            Operator::Lt => Comparison::Less,
            Operator::LtEq => Comparison::LessOrEqual,
            Operator::Gt => Comparison::Greater,
            Operator::GtEq => Comparison::GreaterOrEqual,
            _ => return None,
        };
        let here = self.compared(left, comparison, right);
        here.or_else(|| self.compared(right, comparison.turned(), left))
    }

    /// `IS NOT DISTINCT FROM`, with which `IS TRUE` and `IS FALSE` are executed.
    fn is_the_same(&self, left: &Expression, right: &Expression) -> Option<Condition> {
        let truth = |of: &Expression| match of.downcast_ref::<Literal>()?.value() {
            ScalarValue::Boolean(truth) => *truth,
            _ => None,
        };
        let is = match (truth(left), truth(right)) {
            (None, Some(true)) => self.said(left)?,
            (Some(true), None) => self.said(right)?,
            (None, Some(false)) => Condition::Not(Box::new(self.said(left)?)),
            (Some(false), None) => Condition::Not(Box::new(self.said(right)?)),
            _ => self
                .compared(left, Comparison::Equal, right)
                .or_else(|| self.compared(right, Comparison::Equal, left))?,
        };
        Some(Condition::IsTrue(Box::new(is)))
    }

    fn compared(&self, left: &Expression, comparison: Comparison, right: &Expression) -> Option<Condition> {
        let (subject, number) = (self.subject(left)?, number(right.downcast_ref::<Literal>()?.value())?);
        if let Some(operand) = subject.operand() {
            return Some(compared(operand, comparison, number));
        }
        match comparison {
            Comparison::Equal => equal(subject, number),
            Comparison::NotEqual => Some(Condition::Not(Box::new(equal(subject, number)?))),
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {
                None
            }
        }
    }

    /// `IN`; with something among the list that is no number, it is not said.
    fn list(&self, list: &InListExpr) -> Option<Condition> {
        let subject = self.subject(list.expr())?;
        let numbers = list.list().iter().map(|one| number(one.downcast_ref::<Literal>()?.value()));
        let numbers: Vec<Number> = numbers.collect::<Option<_>>()?;
        let is_in = if let Some(operand) = subject.operand() {
            let numbers = numbers.into_iter().filter_map(Number::at_least_zero);
            Condition::Within(operand, Ranges::of(numbers))
        } else {
            let each = numbers.into_iter().map(|number| equal(subject, number));
            Condition::Any(each.collect::<Option<_>>()?)
        };
        Some(if list.negated() { Condition::Not(Box::new(is_in)) } else { is_in })
    }

    /// `cidr(field, 'prefix')`
    fn prefix(&self, call: &ScalarFunctionExpr) -> Option<Condition> {
        let ("cidr", [ip, prefix]) = (call.name(), call.args()) else { return None };
        let Subject::Field(field) = self.subject(ip)? else { return None };
        let prefix = prefix.downcast_ref::<Literal>()?.value().try_as_str().flatten()?;
        let (address, bits) =
            prefix.split_once('/').map_or((prefix, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let all_bits = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(all_bits), |bits| bits.parse().ok())?;
        Some(Condition::prefix(field, address, bits))
    }

    /// What an expression is, if it is known.
    fn subject(&self, expression: &Expression) -> Option<Subject> {
        if let Some(column) = expression.downcast_ref::<Column>() {
            return match self.0.get(column.index())? {
                Known::Subject(subject) => Some(*subject),
                Known::Condition(_) | Known::Nothing => None,
            };
        }
        if let Some(cast) = expression.downcast_ref::<CastExpr>() {
            return self.widened(cast.expr(), cast.cast_type());
        }
        if let Some(cast) = expression.downcast_ref::<TryCastExpr>() {
            return self.widened(cast.expr(), cast.cast_type());
        }
        if let Some(binary) = expression.downcast_ref::<BinaryExpr>() {
            return self.bits(binary);
        }
        let call = expression.downcast_ref::<ScalarFunctionExpr>()?;
        let ("network", [ip, v4_bits, v6_bits]) = (call.name(), call.args()) else { return None };
        let Subject::Field(field) = self.subject(ip)? else { return None };
        let bits = |of: &Expression| {
            let bits = number(of.downcast_ref::<Literal>()?.value())?.at_least_zero()?;
            u8::try_from(bits).ok()
        };
        Some(Subject::Network(field, bits(v4_bits)?, bits(v6_bits)?))
    }

    /// A number of another type that holds all of its values.
    fn widened(&self, inner: &Expression, data_type: &DataType) -> Option<Subject> {
        let largest: u128 = match data_type {
            DataType::UInt8 => u8::MAX.into(),
            DataType::UInt16 => u16::MAX.into(),
            DataType::UInt32 => u32::MAX.into(),
            DataType::UInt64 => u64::MAX.into(),
            DataType::Int16 => i16::MAX.unsigned_abs().into(),
            DataType::Int32 => i32::MAX.unsigned_abs().into(),
            DataType::Int64 => i64::MAX.unsigned_abs().into(),
            _ => return None,
        };
        self.subject(inner).filter(|subject| subject.field().max() <= largest)
    }

    /// `number & literal`
    fn bits(&self, binary: &BinaryExpr) -> Option<Subject> {
        if *binary.op() != Operator::BitwiseAnd {
            return None;
        }
        let mask = |of: &Expression| number(of.downcast_ref::<Literal>()?.value())?.at_least_zero();
        let (subject, mask) = match (mask(binary.left()), mask(binary.right())) {
            (None, Some(mask)) => (self.subject(binary.left())?, mask),
            (Some(mask), None) => (self.subject(binary.right())?, mask),
            _ => return None,
        };
        let mask = u64::try_from(mask).ok()?;
        match subject {
            Subject::Field(field) if field.max() <= u128::from(u64::MAX) => Some(Subject::Bits(field, mask)),
            Subject::Bits(field, of) => Some(Subject::Bits(field, of & mask)),
            Subject::Field(_) | Subject::Network(..) => None,
        }
    }
}

/// The parts that an operator joins, which may be any number.
fn parts_of(whole: &Expression, operator: Operator) -> Vec<&Expression> {
    let (mut parts, mut left) = (vec![], vec![whole]);
    while let Some(one) = left.pop() {
        match one.downcast_ref::<BinaryExpr>().filter(|binary| *binary.op() == operator) {
            Some(binary) => left.extend([binary.right(), binary.left()]),
            None => parts.push(one),
        }
    }
    parts
}

/// A number of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    AtLeastZero(u128),
    Negative,
}

impl Number {
    const fn at_least_zero(self) -> Option<u128> {
        match self {
            Self::AtLeastZero(number) => Some(number),
            Self::Negative => None,
        }
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        u128::try_from(number).map_or(Self::Negative, Self::AtLeastZero)
    }
}

/// The number that a literal is, as fields have theirs: of an address that of its octets.
fn number(value: &ScalarValue) -> Option<Number> {
    let unsigned = |number: u64| Some(Number::AtLeastZero(number.into()));
    match value {
        ScalarValue::UInt8(number) => unsigned((*number)?.into()),
        ScalarValue::UInt16(number) => unsigned((*number)?.into()),
        ScalarValue::UInt32(number) => unsigned((*number)?.into()),
        ScalarValue::UInt64(number) => unsigned((*number)?),
        ScalarValue::Int8(number) => Some(i64::from((*number)?).into()),
        ScalarValue::Int16(number) => Some(i64::from((*number)?).into()),
        ScalarValue::Int32(number) => Some(i64::from((*number)?).into()),
        ScalarValue::Int64(number) => Some((*number)?.into()),
        ScalarValue::FixedSizeBinary(6 | 16, Some(octets)) => {
            let number = octets.iter().fold(0, |number, octet| number << 8 | u128::from(*octet));
            Some(Number::AtLeastZero(number))
        }
        _ => None,
    }
}

fn compared(operand: Operand, comparison: Comparison, number: Number) -> Condition {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    match (number, comparison) {
        (Number::AtLeastZero(number), _) => Condition::compare(operand, comparison, number),
        // Whatever there is, is more.
        (Number::Negative, Equal | Less | LessOrEqual) => Condition::Within(operand, Ranges::default()),
        (Number::Negative, NotEqual | Greater | GreaterOrEqual) => {
            Condition::Within(operand, Ranges::between(0, u128::MAX))
        }
    }
}

/// `subject = number`
fn equal(subject: Subject, number: Number) -> Option<Condition> {
    let Subject::Network(field, v4_bits, v6_bits) = subject else {
        return Some(compared(subject.operand()?, Comparison::Equal, number));
    };
    let address: Address = number.at_least_zero()?.to_be_bytes();
    if network(address, v4_bits, v6_bits) != address {
        return Some(Condition::is_in(field, []));
    }
    let ip = to_ip(address);
    Some(Condition::prefix(field, ip, if ip.is_ipv4() { v4_bits } else { v6_bits }))
}

#[cfg(test)]
mod tests {
    use crate::{FlowTable, Planner};
    use std::sync::LazyLock;
    use tapline_filter::bpf::Pushed;
    use tapline_record::{FLOWS, PACKET_FLOWS, PACKETS};

    static PLANNER: LazyLock<Planner> = LazyLock::new(Planner::new);

    fn wanted(condition: &str) -> String {
        let sql = format!("SELECT ttl FROM packets WHERE {condition}");
        PLANNER.plan(&sql).unwrap_or_else(|error| panic!("{sql}: {error}")).wanted_of(&PACKETS).sql()
    }

    #[test]
    fn conditions_over_fields_are_said() {
        for (condition, expected) in [
            ("dst_port = 53", "dst_port = 53"),
            ("53 = dst_port", "dst_port = 53"),
            ("1024 > src_port", "src_port <= 1023"),
            ("protocol IN (6, 17)", "protocol IN (6, 17)"),
            ("dst_port NOT IN (1, 3, 5, 7, 9)", "dst_port NOT IN (1, 3, 5, 7, 9)"),
            ("dst_port BETWEEN 10 AND 20", "dst_port BETWEEN 10 AND 20"),
            ("dst_port = 53 OR vlan IS NULL", "dst_port = 53 OR vlan IS NULL"),
            ("NOT (vlan IS NOT NULL OR dst_port = 53)", "vlan IS NULL AND dst_port <> 53"),
            ("src_ip = '10.0.0.1'", "src_ip = '10.0.0.1'"),
            ("cidr(src_ip, '10.0.0.0/8')", "cidr(src_ip, '10.0.0.0/8')"),
            ("NOT cidr(src_ip, '2001:db8::/32')", "NOT cidr(src_ip, '2001:db8::/32')"),
            ("network(dst_ip, 24, 64) = '10.1.2.0'", "cidr(dst_ip, '10.1.2.0/24')"),
            ("network(dst_ip, 24, 64) = '10.1.2.3'", "false"),
            ("tcp_flags & 18 = 2", "(tcp_flags & 18) = 2"),
            ("dst_port IS DISTINCT FROM 53", "dst_port IS NULL OR dst_port <> 53"),
            ("(dst_port = 53) IS NOT TRUE", "dst_port IS NULL OR dst_port <> 53"),
        ] {
            assert_eq!(wanted(condition), expected, "{condition}");
        }
    }

    #[test]
    fn what_cannot_be_said_only_lets_more_through() {
        for (condition, expected) in [
            ("dst_port = 53 AND src_port = dst_port", "dst_port = 53"),
            ("dst_port = 53 OR src_port = dst_port", "true"),
            ("NOT (dst_port = 53 AND ttl % 2 = 0)", "true"),
            ("NOT (dst_port = 53 OR ttl % 2 = 0)", "dst_port <> 53"),
            ("payload LIKE '%GET%'", "true"),
            ("dst_port / 2 = 26", "true"),
        ] {
            assert_eq!(wanted(condition), expected, "{condition}");
        }
    }

    #[test]
    fn a_query_needs_what_any_of_its_parts_does() {
        let wanted = |sql: &str| PLANNER.plan(sql).unwrap().wanted_of(&PACKETS).sql();
        let both = "SELECT p, count(*) FROM (SELECT src_port AS p FROM packets WHERE src_port = 53 UNION ALL
                    SELECT dst_port FROM packets WHERE dst_port = 53) GROUP BY p";
        assert_eq!(wanted(both), "src_port = 53 OR dst_port = 53");
        let renamed =
            "SELECT n FROM (SELECT network(src_ip, 24, 64) AS n, ttl FROM packets) WHERE n = '10.0.0.0'";
        assert_eq!(wanted(renamed), "cidr(src_ip, '10.0.0.0/24')");
        assert_eq!(wanted("SELECT count(*) FILTER (WHERE dst_port = 53) FROM packets"), "true");
        assert_eq!(wanted("SELECT count(*) FROM flows WHERE dst_port = 53"), "false");
    }

    #[test]
    fn what_flows_have_in_common_is_said_of_the_table() {
        let sql =
            "SELECT count(*) FROM packets WHERE dst_port = 53 AND tcp_flags = 2 GROUP BY tumble('1 second')";
        let (query, _) = PLANNER.plan(sql).unwrap().over_packet_flows(FlowTable::Kernel);
        assert_eq!(query.wanted_of(&PACKET_FLOWS).sql(), "dst_port = 53 AND tcp_flags = 2");
        assert_eq!(query.wanted_of(&PACKETS).sql(), "false");
        let flows = PLANNER.plan("SELECT count(*) FROM flows WHERE dst_port = 53").unwrap();
        assert!(flows.wanted_of(&FLOWS).is_always());
    }

    #[test]
    fn long_lists_are_looked_up_however_they_are_written() {
        let ports: Vec<String> = (0..200).map(|port| (port * 3).to_string()).collect();
        let alternatives: Vec<String> =
            ports.iter().take(100).map(|port| format!("dst_port = {port}")).collect();
        for condition in [format!("dst_port IN ({})", ports.join(", ")), alternatives.join(" OR ")] {
            let sql = format!("SELECT ttl FROM packets WHERE {condition}");
            let wanted = PLANNER.plan(&sql).unwrap().wanted_of(&PACKETS);
            let fitted = Pushed::of(&wanted).in_memory();
            assert_eq!((fitted.program.lists.len(), fitted.widened), (1, None));
        }
    }
}

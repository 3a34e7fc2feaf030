//! Expressions of a plan, as a person would write them.
//!
//! Optimisation has changed them by then: columns have a table before their name, literals have a type, and what is
//! added may be a call. Here they are read back; a cast, which nobody wrote in nearly all cases, is left out.

use datafusion::arrow::temporal_conversions::timestamp_ns_to_datetime;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, Case, InList, Like, ScalarFunction, WindowFunction,
};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use tapline_functions::{AddressKind, checked_operator, is_joined, is_pattern};
use tapline_record::address::{Address, Mac, format_mac, to_ip};

/// Binds tighter than any operator: a name, a literal, a call.
const ATOM: u8 = u8::MAX;
/// How tight NOT binds, what stands behind a value (IS NULL, IN, BETWEEN, LIKE), and a sign.
const NOT: u8 = 12;
const BEHIND: u8 = 15;
const SIGN: u8 = 50;

/// What the columns of a plan's node are called by a person, in their order.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) texts: &'a [String],
}

impl Names<'_> {
    /// An expression over these columns.
    pub(super) fn text(self, expression: &Expr) -> String {
        self.written(expression).0
    }

    /// Several, with commas between them.
    pub(super) fn list<'e>(self, expressions: impl IntoIterator<Item = &'e Expr>) -> String {
        expressions.into_iter().map(|one| self.text(one)).collect::<Vec<_>>().join(", ")
    }

    /// The parts of a condition that all hold.
    pub(super) fn conditions(self, predicate: &Expr) -> Vec<String> {
        let parts = split_conjunction(predicate);
        let binds = if parts.len() == 1 { 0 } else { Operator::And.precedence() };
        parts.into_iter().map(|part| self.inside(part, binds)).collect()
    }

    /// What ORDER BY says.
    pub(super) fn sorted(self, by: &[SortExpr]) -> String {
        let one = |sort: &SortExpr| {
            let direction = if sort.asc { "" } else { " DESC" };
            let nulls = if sort.nulls_first { " NULLS FIRST" } else { "" };
            format!("{}{direction}{nulls}", self.text(&sort.expr))
        };
        by.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The text, and how tight it holds together.
    fn written(self, expression: &Expr) -> (String, u8) {
        match expression {
            Expr::Alias(alias) => self.written(&alias.expr),
            Expr::Cast(cast) => self.written(&cast.expr),
            Expr::TryCast(cast) => self.written(&cast.expr),
            Expr::Column(column) => {
                let place = self.schema.maybe_index_of_column(column);
                let known = place.and_then(|place| self.texts.get(place)).cloned();
                let text = known.unwrap_or_else(|| column.name.clone());
                // It may be a computation that stands below.
                let binds = if is_one(&text) { ATOM } else { 0 };
                (text, binds)
            }
            Expr::Literal(value, _) => (literal(value), ATOM),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.binary(left, *op, right),
            Expr::Not(inner) => (format!("NOT {}", self.inside(inner, NOT)), NOT),
            Expr::Negative(inner) => (format!("-{}", self.inside(inner, SIGN)), SIGN),
            Expr::IsNull(inner) => self.behind(inner, "IS NULL"),
            Expr::IsNotNull(inner) => self.behind(inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => self.behind(inner, "IS TRUE"),
            Expr::IsFalse(inner) => self.behind(inner, "IS FALSE"),
            Expr::IsUnknown(inner) => self.behind(inner, "IS UNKNOWN"),
            Expr::IsNotTrue(inner) => self.behind(inner, "IS NOT TRUE"),
            Expr::IsNotFalse(inner) => self.behind(inner, "IS NOT FALSE"),
            Expr::IsNotUnknown(inner) => self.behind(inner, "IS NOT UNKNOWN"),
            Expr::Between(between) => self.between(between),
            Expr::InList(list) => self.in_list(list),
            Expr::Like(like) => self.like(like),
            Expr::Case(case) => (self.case(case), ATOM),
            Expr::ScalarFunction(call) => self.call(call),
            Expr::AggregateFunction(call) => (self.aggregate(call), ATOM),
            Expr::WindowFunction(call) => (self.over(call), ATOM),
            other => (other.to_string(), ATOM),
        }
    }

    /// An operand, in brackets where it would fall apart beside an operator that binds so tight.
    fn inside(self, expression: &Expr, binds: u8) -> String {
        match self.written(expression) {
            (text, own) if own < binds => format!("({text})"),
            (text, _) => text,
        }
    }

    fn binary(self, left: &Expr, op: Operator, right: &Expr) -> (String, u8) {
        let binds = op.precedence();
        // Of operators that bind alike, the left one is first.
        (format!("{} {op} {}", self.inside(left, binds), self.inside(right, binds + 1)), binds)
    }

    fn behind(self, inner: &Expr, words: &str) -> (String, u8) {
        (format!("{} {words}", self.inside(inner, BEHIND + 1)), BEHIND)
    }

    fn between(self, between: &Between) -> (String, u8) {
        let not = if between.negated { "NOT " } else { "" };
        let [value, low, high] =
            [&between.expr, &between.low, &between.high].map(|one| self.inside(one, BEHIND + 1));
        (format!("{value} {not}BETWEEN {low} AND {high}"), BEHIND)
    }

    fn in_list(self, list: &InList) -> (String, u8) {
        let not = if list.negated { "NOT " } else { "" };
        let value = self.inside(&list.expr, BEHIND + 1);
        (format!("{value} {not}IN ({})", self.list(&list.list)), BEHIND)
    }

    fn like(self, like: &Like) -> (String, u8) {
        let not = if like.negated { "NOT " } else { "" };
        let word = if like.case_insensitive { "ILIKE" } else { "LIKE" };
        let [value, pattern] = [&like.expr, &like.pattern].map(|one| self.inside(one, BEHIND + 1));
        (format!("{value} {not}{word} {pattern}"), BEHIND)
    }

    fn case(self, case: &Case) -> String {
        let mut text = "CASE".to_owned();
        if let Some(of) = &case.expr {
            text = format!("{text} {}", self.text(of));
        }
        for (when, then) in &case.when_then_expr {
            text = format!("{text} WHEN {} THEN {}", self.text(when), self.text(then));
        }
        if let Some(other) = &case.else_expr {
            text = format!("{text} ELSE {}", self.text(other));
        }
        text + " END"
    }

    fn call(self, call: &ScalarFunction) -> (String, u8) {
        let joins = is_joined(&call.func).then_some(Operator::StringConcat);
        match (checked_operator(&call.func).or(joins), call.args.as_slice()) {
            (Some(op), [left, right]) => self.binary(left, op, right),
            (_, [written]) if is_pattern(&call.func) => self.written(written),
            (_, arguments) => (format!("{}({})", call.name(), self.list(arguments)), ATOM),
        }
    }

    fn aggregate(self, call: &AggregateFunction) -> String {
        let params = &call.params;
        let is_star = match params.args.as_slice() {
            [Expr::Literal(value, _)] => call.func.name() == "count" && !params.distinct && !value.is_null(),
            _ => false,
        };
        let arguments = if is_star { "*".to_owned() } else { self.list(&params.args) };
        let distinct = if params.distinct { "DISTINCT " } else { "" };
        let filter = params.filter.as_ref();
        let filter = filter.map(|filter| format!(" FILTER (WHERE {})", self.text(filter)));
        format!("{}({distinct}{arguments}){}", call.func.name(), filter.unwrap_or_default())
    }

    fn over(self, call: &WindowFunction) -> String {
        let params = &call.params;
        let mut parts = vec![];
        if !params.partition_by.is_empty() {
            parts.push(format!("PARTITION BY {}", self.list(&params.partition_by)));
        }
        if !params.order_by.is_empty() {
            parts.push(format!("ORDER BY {}", self.sorted(&params.order_by)));
        }
        if !is_usual(&params.window_frame, !params.order_by.is_empty()) {
            parts.push(params.window_frame.to_string());
        }
        format!("{}({}) OVER ({})", call.fun.name(), self.list(&params.args), parts.join(" "))
    }
}

/// Whether a frame is the one that is meant where none is written.
fn is_usual(frame: &WindowFrame, is_ordered: bool) -> bool {
    let begins = matches!(&frame.start_bound, WindowFrameBound::Preceding(rows) if rows.is_null());
    let ends = match &frame.end_bound {
        WindowFrameBound::CurrentRow => is_ordered && frame.units == WindowFrameUnits::Range,
        WindowFrameBound::Following(rows) => !is_ordered && rows.is_null(),
        WindowFrameBound::Preceding(_) => false,
    };
    begins && ends
}

/// Whether a text is one thing beside operators: nothing in it is parted outside of brackets and quotes.
fn is_one(text: &str) -> bool {
    let (mut depth, mut is_quoted) = (0_usize, false);
    !text.chars().any(|character| {
        match character {
            '\'' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ' ' && depth == 0 && !is_quoted
    })
}

fn literal(value: &ScalarValue) -> String {
    if value.is_null() {
        return "NULL".to_owned();
    }
    if let ScalarValue::IntervalMonthDayNano(_) = value {
        return format!("INTERVAL '{value}'");
    }
    match text_of(value) {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => value.to_string(),
    }
}

/// The text of what is written in quotes.
fn text_of(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::FixedSizeBinary(_, Some(octets)) => match AddressKind::of(&value.data_type())? {
            AddressKind::Ip => Address::try_from(octets.as_slice()).ok().map(|ip| to_ip(ip).to_string()),
            AddressKind::Mac => Mac::try_from(octets.as_slice()).ok().map(format_mac),
        },
        ScalarValue::Binary(Some(octets)) => String::from_utf8(octets.clone()).ok(),
        ScalarValue::TimestampNanosecond(Some(ns), _) => {
            timestamp_ns_to_datetime(*ns).map(|time| time.to_string())
        }
        other => other.try_as_str().flatten().map(str::to_owned),
    }
}

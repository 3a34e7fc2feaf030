//! The words `and`, `or`, `not` and brackets of a filter, and what stands between them.
//!
//! `and` and `or` bind alike, from the left; `not` binds closer.

use super::cursor::{EXAMPLE, Parser};
use super::error::FilterError;
use super::lexer::{Kind, Token};
use crate::condition::Condition;

/// What is between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    And,
    Or,
}

impl<'a> Parser<'a> {
    /// The whole filter.
    pub(super) fn whole(mut self) -> Result<Condition, FilterError> {
        let first = self.peek();
        if first.kind == Kind::End {
            return Err(self.refuse(first, "the filter is empty", EXAMPLE));
        }
        let condition = self.expression()?;
        match self.peek() {
            Token { kind: Kind::End, .. } => Ok(condition),
            other => Err(self.refuse(other, "here a filter could end", "join parts with and, or")),
        }
    }

    fn expression(&mut self) -> Result<Condition, FilterError> {
        let before = self.entered;
        let mut whole = self.operand()?;
        let mut last = None;
        while let Some((joint, token)) = self.joint() {
            let entered = self.entered;
            if joint == Joint::Or {
                // Another frame may hold it, which has not shown its tags yet.
                self.entered = before;
            }
            let part = self.operand()?;
            if joint == Joint::Or {
                self.entered = self.entered.max(entered);
            }
            if last.is_some_and(|last| last != joint) {
                self.turn(token)?;
            }
            last = Some(joint);
            whole = join(joint, whole, part);
        }
        Ok(whole)
    }

    fn joint(&mut self) -> Option<(Joint, Token<'a>)> {
        let token = self.peek();
        let joint = match token.kind {
            Kind::Word("and") | Kind::Symbol("&&") => Joint::And,
            Kind::Word("or") | Kind::Symbol("||") => Joint::Or,
            _ => return None,
        };
        self.next();
        Some((joint, token))
    }

    fn operand(&mut self) -> Result<Condition, FilterError> {
        let token = self.peek();
        if matches!(token.kind, Kind::Word("not") | Kind::Symbol("!")) {
            self.next();
            // What must not be there says nothing of what is.
            let before = self.entered;
            let inner = self.nested(token, Self::operand)?;
            self.entered = before;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.is_relation() {
            return self.relation();
        }
        if token.kind == Kind::Symbol("(") { self.brackets() } else { self.primitive() }
    }

    /// What stands in brackets, which begin here.
    pub(super) fn brackets(&mut self) -> Result<Condition, FilterError> {
        let opening = self.next();
        let inner = self.nested(opening, Self::expression)?;
        self.close(opening, ")")?;
        Ok(inner)
    }
}

fn join(joint: Joint, whole: Condition, part: Condition) -> Condition {
    match (joint, whole) {
        (Joint::And, Condition::All(mut parts)) => {
            parts.push(part);
            Condition::All(parts)
        }
        (Joint::Or, Condition::Any(mut parts)) => {
            parts.push(part);
            Condition::Any(parts)
        }
        (Joint::And, whole) => Condition::All(vec![whole, part]),
        (Joint::Or, whole) => Condition::Any(vec![whole, part]),
    }
}

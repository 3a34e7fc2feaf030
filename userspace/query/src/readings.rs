//! How often a parser reads the tokens of a text.
//!
//! Where a word such as CASE, or a bracket, turns out not to begin what it seemed to begin, the parser takes it for a
//! name and begins anew behind it, once a level: what is nested in twenty of them would be read a million times.
//! PostgreSQL's parser reads the arguments of each call twice, also where nothing is wrong. Here it is counted how often
//! at most, from left to right, without reading anything twice.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

/// How often, at most, all tokens together are read: each as often as what it is nested in is read anew.
pub(crate) fn readings(tokens: &[Token], dialect: &dyn Dialect) -> usize {
    let mut reading = Reading::default();
    let (mut all, reads_twice) = (0_usize, dialect.supports_named_fn_args_with_expr_name());
    for place in 0..tokens.len() {
        reading.read(&Around::of(tokens, place), reads_twice);
        all = all.saturating_add(reading.times());
    }
    all
}

/// A token and those beside it.
struct Around<'a> {
    further: &'a Token,
    before: &'a Token,
    token: &'a Token,
    behind: &'a Token,
}

impl<'a> Around<'a> {
    fn of(tokens: &'a [Token], place: usize) -> Self {
        let at = |place: Option<usize>| place.and_then(|place| tokens.get(place)).unwrap_or(&Token::EOF);
        let [further, before] = [2, 1].map(|back| at(place.checked_sub(back)));
        Self { further, before, token: at(Some(place)), behind: at(place.checked_add(1)) }
    }
}

/// How often what comes is read twice.
#[derive(Default)]
struct Reading {
    /// For what is around it.
    now: u32,
    /// More often, if it goes on as behind a name: for NOT, for CASE, and for dots in names.
    next: Next,
    /// The same outside of the brackets that are open.
    outside: Vec<(u32, Next)>,
    /// Whether tables may be in a bracket that opens.
    holds_tables: bool,
}

#[derive(Clone, Copy, Default)]
struct Next {
    nots: u32,
    cases: u32,
    dots: u32,
}

impl Next {
    const fn words(self) -> u32 {
        self.nots + self.cases
    }
}

impl Reading {
    fn times(&self) -> usize {
        1_usize.checked_shl(self.now + self.next.words() + self.next.dots).unwrap_or(usize::MAX)
    }

    fn read(&mut self, around: &Around<'_>, reads_twice: bool) {
        self.holds_tables = *around.token == Token::LParen
            && (is_before_tables(around.before) || (self.holds_tables && *around.before == Token::LParen));
        match around.token {
            Token::LParen | Token::LBracket => self.open(around, reads_twice),
            // What came before may go on behind them: `NOT (a) - NOT (b)`, `a[1].b`.
            Token::RParen | Token::RBracket => {
                (self.now, self.next) = self.outside.pop().unwrap_or((self.now, self.next));
            }
            Token::Period => self.next.dots += 1,
            Token::Word(word) => self.word(word.keyword, around),
            Token::Comma | Token::SemiColon | Token::Number(..) | Token::SingleQuotedString(_) => {
                self.next = Next::default();
            }
            // A sign: what is behind it is read with each of such words, and with what they are as names.
            _ => self.stay(self.next.words()),
        }
    }

    fn open(&mut self, around: &Around<'_>, reads_twice: bool) {
        self.outside.push((self.now, self.next));
        self.now += self.next.words() + self.next.dots + weight(around, self.holds_tables);
        self.now += u32::from(reads_twice && is_call(around));
        self.next = Next::default();
    }

    fn word(&mut self, word: Keyword, around: &Around<'_>) {
        let (is_part, next) = (*around.before == Token::Period, self.next);
        let of_interval = if word == Keyword::INTERVAL { interval(around.behind) } else { 0 };
        match word {
            Keyword::CASE | Keyword::PRIOR => self.next.cases += 1,
            Keyword::NOT if is_part || begins_expression(around.before) => self.next.nots += 1,
            Keyword::INTERVAL => self.stay(of_interval),
            // `CASE CASE WHEN`: the second one may be a name.
            Keyword::WHEN => self.stay(next.words().saturating_sub(1)),
            Keyword::AND | Keyword::OR | Keyword::XOR if *around.before == Token::RParen => {
                self.stay(next.cases);
            }
            word if BETWEEN.contains(&word) => self.stay(next.words()),
            _ => self.next = Next { dots: if is_part { next.dots } else { 0 }, ..Next::default() },
        }
        if is_part && (self.next.words() > next.words() || of_interval > 0) {
            self.now += next.dots + 1;
        }
    }

    /// From here on until the bracket ends.
    fn stay(&mut self, more: u32) {
        self.now += more;
        self.next = Next::default();
    }
}

/// How often what is behind an opening bracket is read twice.
fn weight(around: &Around<'_>, holds_tables: bool) -> u32 {
    match keyword(around.before) {
        Keyword::POSITION => 2,
        word if READ_TWICE.contains(&word) => 1,
        _ if *around.token == Token::LBracket => 0,
        _ if matches!(keyword(around.behind), Keyword::SELECT | Keyword::WITH) => 1,
        _ => u32::from(holds_tables && *around.behind == Token::LParen),
    }
}

/// Whether a bracket may hold arguments, each of which PostgreSQL's parser reads as a name first.
fn is_call(around: &Around<'_>) -> bool {
    *around.token == Token::LParen
        && matches!(around.before, Token::Word(_))
        && !ends_expression(around.further)
        && !matches!(keyword(around.behind), Keyword::SELECT | Keyword::WITH)
}

/// Whether no call begins behind a token: `x IN (` is none.
fn ends_expression(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NoKeyword,
        other => {
            matches!(
                other,
                Token::RParen | Token::RBracket | Token::Number(..) | Token::SingleQuotedString(_)
            )
        }
    }
}

/// Whether an expression begins behind a token, so that NOT stands before one; else it is that of `x NOT IN (1)`.
fn begins_expression(token: &Token) -> bool {
    match token {
        Token::Word(word) => BEFORE_EXPRESSIONS.contains(&word.keyword),
        other => !ends_expression(other),
    }
}

/// How often what is behind INTERVAL is read twice, unless it is a text, or the word is a column's name.
fn interval(behind: &Token) -> u32 {
    let is_short = matches!(
        behind,
        Token::SingleQuotedString(_)
            | Token::Number(..)
            | Token::Placeholder(_)
            | Token::Comma
            | Token::RParen
            | Token::SemiColon
            | Token::EOF
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::Mul
            | Token::Div
            | Token::DoubleColon
    );
    if is_short { 0 } else { 2 }
}

fn is_before_tables(token: &Token) -> bool {
    *token == Token::Comma || matches!(keyword(token), Keyword::FROM | Keyword::JOIN | Keyword::LATERAL)
}

const fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// Words that may stand behind CASE and NOT as behind a name.
const BETWEEN: [Keyword; 22] = [
    Keyword::AND,
    Keyword::AT,
    Keyword::BETWEEN,
    Keyword::COLLATE,
    Keyword::DIV,
    Keyword::EXCEPT,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::IS,
    Keyword::LIKE,
    Keyword::MATCH,
    Keyword::MEMBER,
    Keyword::MINUS,
    Keyword::OPERATOR,
    Keyword::OR,
    Keyword::OVERLAPS,
    Keyword::REGEXP,
    Keyword::RLIKE,
    Keyword::SIMILAR,
    Keyword::UNION,
    Keyword::XOR,
];

/// Words behind which an expression begins.
const BEFORE_EXPRESSIONS: [Keyword; 42] = [
    Keyword::ALL,
    Keyword::AND,
    Keyword::ANY,
    Keyword::AS,
    Keyword::BETWEEN,
    Keyword::BY,
    Keyword::CASE,
    Keyword::DISTINCT,
    Keyword::DIV,
    Keyword::ELSE,
    Keyword::ESCAPE,
    Keyword::EXCEPT,
    Keyword::FOR,
    Keyword::FROM,
    Keyword::HAVING,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::INTERVAL,
    Keyword::LIKE,
    Keyword::LIMIT,
    Keyword::NOT,
    Keyword::OFFSET,
    Keyword::ON,
    Keyword::OR,
    Keyword::OVERLAPS,
    Keyword::PRIOR,
    Keyword::QUALIFY,
    Keyword::REGEXP,
    Keyword::RETURNING,
    Keyword::RLIKE,
    Keyword::SELECT,
    Keyword::SET,
    Keyword::SOME,
    Keyword::THEN,
    Keyword::TO,
    Keyword::UNION,
    Keyword::VALUES,
    Keyword::WHEN,
    Keyword::WHERE,
    Keyword::WITH,
    Keyword::XOR,
];

/// Words behind whose bracket the parser reads on as if they were names.
const READ_TWICE: [Keyword; 22] = [
    Keyword::ARRAY,
    Keyword::AS,
    Keyword::CAST,
    Keyword::CEIL,
    Keyword::CONVERT,
    Keyword::CURRENT_DATE,
    Keyword::CURRENT_TIME,
    Keyword::CURRENT_TIMESTAMP,
    Keyword::EXTRACT,
    Keyword::FLOOR,
    Keyword::LOCALTIME,
    Keyword::LOCALTIMESTAMP,
    Keyword::MAP,
    Keyword::MATERIALIZED,
    Keyword::OVERLAY,
    Keyword::ROW,
    Keyword::SAFE_CAST,
    Keyword::STRUCT,
    Keyword::SUBSTR,
    Keyword::SUBSTRING,
    Keyword::TRY_CAST,
    Keyword::TRY_CONVERT,
];

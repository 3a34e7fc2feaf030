//! Where in a query a message belongs that does not say so.
//!
//! A message that begins with the name of a function is about its call; what it quotes, or the number that it names,
//! is a literal there. Other messages are about the literal that they quote.

use crate::tokens::tokens;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// The place in `sql` that `message` is about.
pub(crate) fn place_of_message(message: &str, sql: &str) -> Option<Location> {
    let tokens: Vec<TokenWithSpan> =
        tokens(sql).into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    // What is proposed behind the fault is no part of it.
    let message = message.split("; write").next().unwrap_or_default();
    let is_end = |character: char| !(character.is_alphanumeric() || character == '_');
    let function = message.split(is_end).next().filter(|word| !word.is_empty());
    let in_call = function.and_then(|function| place_in_calls(&tokens, function, message));
    in_call.or_else(|| literal_in(&tokens, message)).or_else(|| window_in(&tokens, message))
}

/// The first window, for messages about windows.
fn window_in(tokens: &[TokenWithSpan], message: &str) -> Option<Location> {
    let is_about = WINDOWS.iter().any(|window| message.contains(window));
    is_about.then(|| WINDOWS.iter().find_map(|window| place_in_calls(tokens, window, "")))?
}

const WINDOWS: [&str; 3] = ["tumble", "hop", "tumble_rows"];

/// The literal in a call of `function` that `message` names, or the first call.
fn place_in_calls(tokens: &[TokenWithSpan], function: &str, message: &str) -> Option<Location> {
    let is_call = |pair: &&[TokenWithSpan]| match (&pair[0].token, &pair[1].token) {
        (Token::Word(word), Token::LParen) => word.value.eq_ignore_ascii_case(function),
        _ => false,
    };
    let calls: Vec<usize> =
        tokens.windows(2).enumerate().filter(|(_, pair)| is_call(pair)).map(|(place, _)| place).collect();
    let literal = calls.iter().find_map(|&call| literal_in(arguments(&tokens[call + 1..]), message));
    literal.or_else(|| calls.first().map(|&call| tokens[call].span.start))
}

/// The tokens from an opening bracket to the one that closes it.
fn arguments(tokens: &[TokenWithSpan]) -> &[TokenWithSpan] {
    let mut depth = 0_usize;
    let end = tokens.iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    &tokens[..end.unwrap_or(tokens.len())]
}

/// The first literal that `message` names: a text in quotes, or a number.
fn literal_in(tokens: &[TokenWithSpan], message: &str) -> Option<Location> {
    let is_named = |token: &&TokenWithSpan| match &token.token {
        Token::SingleQuotedString(text) => message.contains(&format!("'{text}'")),
        Token::Number(digits, _) => {
            let said = [" is ", " is -", " not ", " not -"].map(|before| format!("{before}{digits}"));
            said.iter().any(|said| message.ends_with(said))
        }
        _ => false,
    };
    tokens.iter().find(is_named).map(|token| token.span.start)
}

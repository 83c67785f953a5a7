//! What the TOML library says, as types: its words are English and many follow from one mistake.

use super::MAX_BYTES;
use crate::problem::{Problem, Reading, Syntax};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// How far what was read is what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    All,
    /// Keys and tables may have been lost: of what is there, each value alone.
    Values,
    Nothing,
}

/// Reads a text as TOML as far as it goes.
pub(super) fn document(text: &str) -> (toml::Spanned<DeTable<'_>>, Vec<Problem>, Trust) {
    if text.len() > MAX_BYTES {
        let empty = toml::Spanned::new(0..0, DeTable::new());
        return (empty, vec![problem(0..0, Syntax::TooLarge)], Trust::Nothing);
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut found: Vec<(Range<usize>, Syntax, bool)> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            let span = floor(text, span.start)..floor(text, span.end);
            let syntax = syntax(error.message(), &text[span.clone()]);
            (span, syntax, in_list(error.message()))
        })
        .collect();
    found.sort_by_key(|(span, ..)| span.start);
    let mut trust = match found.iter().all(|(_, syntax, _)| *syntax == Syntax::Twice) {
        true => Trust::All,
        false => Trust::Values,
    };

    // A list that is not closed swallows what follows: one problem, at its bracket.
    if found.iter().any(|(_, syntax, _)| *syntax == Syntax::UnclosedList)
        && let Some((at, ..)) = found.iter().find(|(.., in_list)| *in_list)
        && let Some(open) = list_around(document.get_ref(), at.start)
    {
        found.retain(|(span, ..)| span.start < open);
        found.push((open..open + 1, Syntax::UnclosedList, false));
        trust = Trust::Nothing;
    }

    let mut problems: Vec<Problem> = Vec::new();
    let mut line_end = 0;
    for (span, syntax, _) in found {
        // One mistake a line: the others follow from it.
        if span.start < line_end && syntax != Syntax::Twice {
            continue;
        }
        line_end = text[span.start..].find('\n').map_or(text.len(), |at| span.start + at);
        problems.push(problem(span, syntax));
    }
    (document, problems, trust)
}

fn problem(span: Range<usize>, syntax: Syntax) -> Problem {
    Problem::new(span, Reading::Syntax { syntax })
}

fn in_list(message: &str) -> bool {
    message.contains("in array")
        || message.contains("array element")
        || message.starts_with("unclosed array,")
}

fn syntax(message: &str, at: &str) -> Syntax {
    let begins = |words: &str| message.starts_with(words);
    let quoted = at.starts_with(['"', '\'']);
    if begins("duplicate key") || begins("cannot extend") {
        Syntax::Twice
    } else if begins("unclosed array table") || begins("unclosed table") || begins("unclosed inline table") {
        Syntax::UnclosedTable
    } else if begins("unclosed array") {
        Syntax::UnclosedList
    } else if begins("missing value") || (begins("string values must be quoted") && at.is_empty()) {
        Syntax::MissingValue
    } else if begins("invalid") && message.contains("string, expected") && at.is_empty() {
        Syntax::UnclosedText
    } else if begins("string values must be quoted") || (VALUES.iter().any(|value| begins(value)) && !quoted)
    {
        Syntax::Unquoted
    } else if begins("key with no value") || begins("missing assignment") {
        Syntax::MissingEquals
    } else if begins("missing comma") {
        Syntax::MissingComma
    } else if begins("cannot recurse") || begins("recursion limit") {
        Syntax::TooDeep
    } else {
        Syntax::Other(message.into())
    }
}

/// What the library takes a text without quotation marks for: it begins like one of these.
const VALUES: [&str; 7] = [
    "invalid boolean",
    "invalid float",
    "invalid integer",
    "invalid time",
    "invalid date",
    "invalid value",
    "invalid offset",
];

/// Where the outermost list around a place begins: the file's language has no list within a list.
fn list_around(table: &DeTable<'_>, at: usize) -> Option<usize> {
    let mut best = None;
    for value in table.iter().map(|(_, value)| value) {
        outer_list(value, at, &mut best);
    }
    best
}

fn outer_list(value: &toml::Spanned<DeValue<'_>>, at: usize, best: &mut Option<usize>) {
    match value.get_ref() {
        DeValue::Array(array) => {
            // The span of an array of tables is its first header's: it is around nothing.
            if value.span().contains(&at) && best.is_none_or(|start| start > value.span().start) {
                *best = Some(value.span().start);
            }
            array.iter().for_each(|element| outer_list(element, at, best));
        }
        DeValue::Table(table) => table.iter().for_each(|(_, value)| outer_list(value, at, best)),
        _ => {}
    }
}

/// The nearest beginning of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

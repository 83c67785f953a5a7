//! Comments are people's work: each is kept beside the value that it speaks of.

use super::Comment;
use std::collections::HashMap;
use std::ops::Range;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// The comments of a text by the beginning of the value that they stand above or beside, and those
/// below the last value. `anchors`: the spans of all values.
pub(super) fn attach(
    text: &str,
    mut anchors: Vec<Range<usize>>,
) -> (HashMap<usize, Box<Comment>>, Vec<String>) {
    let mut by_end: Vec<Range<usize>> = anchors.clone();
    anchors.sort_by_key(|span| (span.start, span.end));
    // Of two that end together the outer one comes last and is taken.
    by_end.sort_by_key(|span| (span.end, usize::MAX - span.start));

    let mut attached: HashMap<usize, Box<Comment>> = HashMap::new();
    let mut closing = Vec::new();
    // The end of the comment before, if both stand above the same value.
    let mut last: Option<(Option<usize>, usize)> = None;
    for token in Source::new(text).lex().filter(|token| token.kind() == TokenKind::Comment) {
        let span = token.span().start()..token.span().end();
        let words = text[span.clone()].trim_end().to_string();
        let line = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let owner = beside(&by_end, line, span.start);
        if let Some(owner) = owner.filter(|_| !text[line..span.start].trim().is_empty()) {
            let comment = attached.entry(owner).or_default();
            match comment.beside {
                None => comment.beside = Some(words),
                Some(_) => comment.above.push(words),
            }
            continue;
        }
        let below = anchors.partition_point(|anchor| anchor.start < span.end);
        let below = anchors.get(below).map(|anchor| anchor.start);
        let lines = match below {
            Some(below) => &mut attached.entry(below).or_default().above,
            None => &mut closing,
        };
        if let Some((_, end)) = last.filter(|(owner, _)| *owner == below)
            && has_empty_line(&text[end..span.start])
        {
            lines.push(String::new());
        }
        lines.push(words);
        if let Some(below) = below
            // Ends at the next comment, so that many of them are not searched again and again.
            && !text[span.end..below].contains('#')
            && has_empty_line(&text[span.end..below])
        {
            lines.push(String::new());
        }
        last = Some((below, span.end));
    }
    (attached, closing)
}

/// The value on the line from `line` on that ends last before `at`.
fn beside(by_end: &[Range<usize>], line: usize, at: usize) -> Option<usize> {
    let before = by_end.partition_point(|anchor| anchor.end <= at);
    let anchor = by_end.get(before.checked_sub(1)?)?;
    (anchor.end > line).then_some(anchor.start)
}

fn has_empty_line(between: &str) -> bool {
    between.bytes().filter(|byte| *byte == b'\n').count() >= 2
}

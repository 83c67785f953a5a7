//! Problems as people see them: the line underlined, what is wrong, what to write instead.

use super::{Lang, Text, words};
use crate::problem::{Problem, SHOWN, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};
use std::ops::Range;

/// The problems of a file, refusals before warnings, at most [`SHOWN`] of them, and how many there
/// are. `name`: what the file is called. Empty if there is nothing to tell.
pub fn render(problems: &[Problem], source: &str, name: &str, lang: Lang, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| (problem.severity(), problem.span.start));
    for problem in sorted.iter().take(SHOWN) {
        out.push_str(&renderer.render(&report(problem, source, name, lang)));
        out.push_str("\n\n");
    }
    if let Some(line) = summary(problems, name, lang) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn report<'a>(problem: &Problem, source: &'a str, name: &'a str, lang: Lang) -> Vec<Group<'a>> {
    let Text { what, instead, lines } = words(&problem.kind).in_lang(lang).clone();
    let level = match (problem.severity(), lang) {
        (Severity::Error, Lang::En) => Level::ERROR.with_name("error"),
        (Severity::Error, Lang::Ja) => Level::ERROR.with_name("エラー"),
        (Severity::Warning, Lang::En) => Level::WARNING.with_name("warning"),
        (Severity::Warning, Lang::Ja) => Level::WARNING.with_name("警告"),
    };
    let title = level.primary_title(what).id(problem.kind.code());
    // What the file does not say at all has no place in it.
    let mut group = if problem.span == (0..0) {
        title.element(Origin::path(name))
    } else {
        let mut snippet = Snippet::source(source)
            .path(name)
            .annotation(AnnotationKind::Primary.span(visible(source, &problem.span)));
        if let Some(header) = header(source, problem.span.start) {
            snippet = snippet.annotation(AnnotationKind::Visible.span(header));
        }
        if let Some(other) = problem.other.as_ref().filter(|other| **other != (0..0)) {
            let label = match lang {
                Lang::En => "this one",
                Lang::Ja => "ここ",
            };
            snippet = snippet.annotation(AnnotationKind::Context.span(visible(source, other)).label(label));
        }
        title.element(snippet)
    };
    if !lines.is_empty() {
        let note = if lang == Lang::En { "note" } else { "計算" };
        group = group.element(Level::NOTE.with_name(note).message(lines.join("\n")));
    }
    let help = if lang == Lang::En { "help" } else { "直し方" };
    vec![group.element(Level::HELP.with_name(help).message(instead))]
}

/// The span within the text, on whole characters, and with something to underline if there is any.
fn visible(source: &str, span: &Range<usize>) -> Range<usize> {
    let down = |mut at: usize| {
        at = at.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = down(span.start);
    let mut end = down(span.end).max(start);
    // A value over many lines is shown by its first.
    if let Some(line) = source[start..end].find('\n') {
        end = start + line;
    }
    if start == end {
        let next = source[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        end = start + next;
    }
    start..end
}

/// The line of the table that a place is in: `[router.cr0101]` says more than `id = 1`.
fn header(source: &str, at: usize) -> Option<Range<usize>> {
    let before = source.get(..at)?;
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    if source[line..].starts_with('[') {
        return None;
    }
    let start = before.rfind("\n[").map(|at| at + 1).or(before.starts_with('[').then_some(0))?;
    Some(start..start + 1)
}

/// How many there are, and that not all are shown.
fn summary(problems: &[Problem], name: &str, lang: Lang) -> Option<String> {
    let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error).count();
    let warnings = problems.len() - errors;
    if problems.is_empty() {
        return None;
    }
    let more = problems.len().saturating_sub(SHOWN);
    let s = |count: usize| if count == 1 { "" } else { "s" };
    Some(match lang {
        Lang::En => {
            let more = if more == 0 { String::new() } else { format!(" ({more} more not shown)") };
            match errors {
                0 => format!("{name}: fine, with {warnings} warning{}{more}", s(warnings)),
                _ => format!("{name}: {errors} error{}, {warnings} warning{}{more}", s(errors), s(warnings)),
            }
        }
        Lang::Ja => {
            let more = if more == 0 { String::new() } else { format!("(ほかに{more}件あります)") };
            match errors {
                0 => format!("{name}: 問題ありません。警告が{warnings}件あります{more}"),
                _ => format!("{name}: エラー{errors}件、警告{warnings}件{more}"),
            }
        }
    })
}

/// The same for machines: every problem with its place (lines and columns count from 1, columns in
/// characters), reason, and words.
pub fn to_json(problems: &[Problem], source: &str, lang: Lang) -> Value {
    let starts: Vec<usize> =
        std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let place = |span: &Range<usize>| {
        let span = visible(source, span);
        let line = starts.partition_point(|start| *start <= span.start);
        let column = source[starts[line - 1]..span.start].chars().count() + 1;
        json!({ "line": line, "column": column, "start": span.start, "end": span.end })
    };
    let each = problems.iter().map(|problem| {
        let words = words(&problem.kind);
        let text = words.in_lang(lang);
        let known = |span: &Range<usize>| *span != (0..0);
        json!({
            "severity": problem.severity(),
            "reason": problem.kind.to_json(),
            "at": known(&problem.span).then(|| place(&problem.span)),
            "other": problem.other.as_ref().filter(|span| known(span)).map(place),
            "what": text.what,
            "instead": text.instead,
            "lines": text.lines,
        })
    });
    Value::Array(each.collect())
}

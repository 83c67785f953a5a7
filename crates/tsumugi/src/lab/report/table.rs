//! The report as a table for people.

use super::{Lang, Report, Row};
use crate::observe::say::pad;
use unicode_width::UnicodeWidthStr;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[1;31m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// One row by itself, as progress.
pub fn row_line(row: &Row, lang: Lang) -> String {
    let mark = if row.holds() { "ok  " } else { "FAIL" };
    format!("{mark} {} {}: {}", row.id.name(), row.subject, row.finding().words(lang))
}

/// The report, in colour or plain.
pub fn table(report: &Report, lang: Lang, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("{code}{text}{PLAIN}") } else { text.to_owned() }
    };
    let subjects = report.rows.iter().map(|row| row.subject.width()).max().unwrap_or(0);
    let mut text = String::new();
    let mut last = None;
    for row in &report.rows {
        if last != Some(row.id) {
            last = Some(row.id);
            let title = paint(FAINT, row.id.title(lang));
            text += &format!("{} {title}\n", pad(row.id.name(), 17));
        }
        let mark = if row.holds() { paint(GREEN, "ok  ") } else { paint(RED, "FAIL") };
        text += &format!("  {mark} {}  {}\n", pad(&row.subject, subjects), row.finding().words(lang));
    }
    text += &format!("{}\n", last_line(report, lang, paint));
    text
}

fn last_line(report: &Report, lang: Lang, paint: impl Fn(&str, &str) -> String) -> String {
    let all = report.rows.len();
    let failed = report.rows.iter().filter(|row| !row.holds()).count();
    let took = format!("{:.1} s", report.took.as_secs_f64());
    match (lang, failed) {
        (Lang::En, 0) => paint(GREEN, &format!("all {all} rows hold; {took}")),
        (Lang::En, _) => paint(RED, &format!("{failed} of {all} rows do not hold; {took}")),
        (Lang::Ja, 0) => paint(GREEN, &format!("全 {all} 行が成立、{took}")),
        (Lang::Ja, _) => paint(RED, &format!("{all} 行中 {failed} 行が不成立、{took}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, ProofId};
    use super::*;
    use std::time::Duration;

    #[test]
    fn columns_stand_under_each_other_in_japanese_too() {
        let rows = vec![
            Row::new(ProofId::Sessions, "hana", Ok(Finding::Established { count: 1, after: None })),
            Row::new(ProofId::Sessions, "花の家", Ok(Finding::Established { count: 1, after: None })),
            Row::new(ProofId::Cut, "hana-ren", Err(Finding::Lost { inner: 2400 })),
        ];
        let report = Report { rows, took: Duration::from_millis(4_200) };
        assert_eq!(
            table(&report, Lang::En, false),
            "sessions          every session is established\n\
             \x20 ok   hana      1 of 1\n\
             \x20 ok   花の家    1 of 1\n\
             cut               a silent cut heals\n\
             \x20 FAIL hana-ren  a packet of 2400 bytes does not arrive\n\
             1 of 3 rows do not hold; 4.2 s\n"
        );
    }
}

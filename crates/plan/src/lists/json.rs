//! As `bgpq4 -j` prints it: `{ "NAME": [ { "prefix": "192.0.2.0/24", "exact": true }, … ] }`.

use super::{Mistake, Mistakes, Trouble, prefix, range, shortened};
use serde::Deserialize;
use std::collections::BTreeMap;
use tsumugi_core::bgp::config::PrefixRange;

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Lists(BTreeMap<String, Vec<Entry>>),
    List(Vec<Entry>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Range {
        prefix: String,
        exact: Option<bool>,
        #[serde(rename = "greater-equal")]
        least: Option<u8>,
        #[serde(rename = "less-equal")]
        most: Option<u8>,
    },
    Prefix(String),
    /// Of `bgpq4 -t`.
    AsNumber(#[allow(dead_code)] u32),
}

/// Whether a text that begins with a bracket is JSON, and not a list of BIRD without its name.
pub(super) fn is_array(text: &str) -> bool {
    let inside = text.trim_start().trim_start_matches('[').trim_start();
    matches!(inside.bytes().next(), Some(b'{' | b'"' | b']' | b'['))
}

pub(super) fn read(text: &str) -> Result<Vec<PrefixRange>, Trouble> {
    // First whether it is JSON at all: that is told with its line.
    let document: serde_json::Value = serde_json::from_str(text).map_err(|error| Trouble::Wrong {
        line: error.line(),
        mistake: Mistake::Json { why: error.to_string() },
        more: 0,
    })?;
    let shape = |line, why: String| Trouble::Wrong { line, mistake: Mistake::Json { why }, more: 0 };
    let document: Document = serde_json::from_value(document)
        .map_err(|_| shape(1, "it holds something else than lists of prefixes".into()))?;
    let entries: Vec<Entry> = match document {
        Document::Lists(lists) => lists.into_values().flatten().collect(),
        Document::List(list) => list,
    };
    let mut mistakes = Mistakes::default();
    let mut ranges = Vec::with_capacity(entries.len());
    for entry in entries {
        let (text_of, read) = match entry {
            Entry::AsNumber(_) => (String::new(), Err(Mistake::AsNumbers)),
            Entry::Prefix(text) => (text.clone(), prefix(&text).and_then(|it| range(it, None, None))),
            Entry::Range { prefix: text, exact, least, most } => {
                let read = prefix(&text).and_then(|it| match exact {
                    Some(true) if least.is_some() || most.is_some() => {
                        Err(Mistake::Lengths { text: shortened(&text) })
                    }
                    _ => range(it, least, most),
                });
                (text, read)
            }
        };
        match read {
            Ok(range) => ranges.push(range),
            Err(mistake) => mistakes.tell(line_of(text, &text_of), mistake),
        }
        if mistakes.enough() {
            break;
        }
    }
    mistakes.or(ranges)
}

/// Where a value stands, which bgpq4 writes with its slash escaped.
fn line_of(text: &str, value: &str) -> usize {
    let spellings = [format!("\"{value}\""), format!("\"{}\"", value.replace('/', "\\/"))];
    let at = spellings.iter().find_map(|spelling| text.find(spelling.as_str())).unwrap_or(0);
    1 + text[..at].bytes().filter(|&byte| byte == b'\n').count()
}

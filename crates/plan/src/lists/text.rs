//! A prefix a line, in the spellings that operators have: alone; with its lengths as `<=24`, `>=20<=24`, `+`,
//! `^+`, `^20-24` (RPSL), `{20,24}` (BIRD), `ge 20 le 24` (Cisco, FRR), `prefixlen 20 - 24` (OpenBGPD).

use super::{Mistake, Mistakes, Trouble, prefix, range, shortened};
use tsumugi_core::bgp::config::PrefixRange;
use tsumugi_core::id::Prefix;

/// Comments begin so: of shells and OpenBGPD, of Cisco, of BIRD.
const COMMENTS: [&str; 3] = ["#", "!", "//"];

pub(super) fn read(text: &str) -> Result<Vec<PrefixRange>, Trouble> {
    let mut mistakes = Mistakes::default();
    let mut ranges = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let end = COMMENTS.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
        if let Err(mistake) = read_line(text[..end].trim(), &mut ranges) {
            mistakes.tell(line, mistake);
            if mistakes.enough() {
                break;
            }
        }
    }
    mistakes.or(ranges)
}

fn read_line(line: &str, ranges: &mut Vec<PrefixRange>) -> Result<(), Mistake> {
    let Some(entries) = entries_of(line)? else { return Ok(()) };
    // The lengths of BIRD belong to the prefix before them, other brackets and commas mean nothing here.
    let spaced = spaced(entries);
    let mut words = spaced.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let (prefix, mut least, mut most) = entry(word)?;
        let plain = |text: &str| text.parse::<u8>().map_err(|_| Mistake::Lengths { text: shortened(line) });
        while let Some(next) = words.next_if(|next| is_of_lengths(next)) {
            match next {
                "exact" => {}
                "or-longer" => most = Some(prefix.max_prefix_len()),
                "ge" => least = Some(plain(words.next().unwrap_or_default())?),
                "le" => most = Some(plain(words.next().unwrap_or_default())?),
                // prefixlen 20 - 24, prefixlen = 24, prefixlen >= 20
                _ => {
                    (least, most) =
                        prefixlen(&mut words).ok_or_else(|| Mistake::Lengths { text: shortened(line) })?
                }
            }
        }
        ranges.push(range(prefix, least, most)?);
    }
    Ok(())
}

fn is_of_lengths(word: &str) -> bool {
    matches!(word, "ge" | "le" | "exact" | "or-longer" | "prefixlen")
}

type Lengths = (Option<u8>, Option<u8>);

fn prefixlen<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Option<Lengths> {
    let first = words.next()?;
    let length = |text: &str| text.parse::<u8>().ok();
    match first {
        ">=" => Some((length(words.next()?), None)),
        "<=" => Some((None, length(words.next()?))),
        _ => {
            let least = length(first)?;
            match words.next_if(|next| *next == "-") {
                Some(_) => Some((Some(least), Some(length(words.next()?)?))),
                None => Some((Some(least), Some(least))),
            }
        }
    }
}

/// The part of a line that lists prefixes; `None`: it has none, as the first line of a list.
fn entries_of(line: &str) -> Result<Option<&str>, Mistake> {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    match first {
        "no" => return Ok(None),
        "ip" | "ipv6" => {
            // ip prefix-list NAME [seq N] permit PREFIX [ge N] [le N]
            let known = words.next() == Some("prefix-list");
            if known && words.clone().any(|word| word == "deny") {
                return Err(Mistake::Denies { text: shortened(line) });
            }
            return match line.split_once(" permit ") {
                Some((_, entries)) if known => Ok(Some(entries)),
                // Of Arista: the entries follow, each in a line.
                None if known && words.count() == 1 => Ok(None),
                _ => Err(Mistake::NotAPrefix { text: shortened(line) }),
            };
        }
        "seq" | "permit" | "deny" => {
            return match line.split_once("permit ") {
                Some((_, entries)) => Ok(Some(entries)),
                None => Err(Mistake::Denies { text: shortened(line) }),
            };
        }
        _ => {}
    }
    // `NAME = [` and `define NAME = [` of BIRD, `prefix-set NAME {` and `prefix {` of OpenBGPD.
    let opens = |mark: char| line.split_once(mark);
    if let Some((name, rest)) = opens('[').filter(|(name, _)| name.trim_end().ends_with('=')) {
        let names = name.split_whitespace().count() <= 3;
        return if names { Ok(Some(rest)) } else { Err(Mistake::NotAPrefix { text: shortened(line) }) };
    }
    match opens('{').filter(|_| first == "prefix-set" || first == "prefix" || first == "prefix{") {
        Some((_, rest)) => Ok(Some(rest)),
        None => Ok(Some(line)),
    }
}

/// With spaces where brackets and commas are, and the lengths of BIRD as words.
fn spaced(entries: &str) -> String {
    let mut spaced = String::with_capacity(entries.len() + 8);
    let mut rest = entries;
    while let Some(at) = rest.find(['{', '}', '[', ']', ',', ';']) {
        spaced.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let lengths = rest[at..].starts_with('{') && !rest[..at].is_empty() && !rest[..at].ends_with(' ');
        match after.split_once('}').filter(|_| lengths) {
            Some((lengths, after)) => {
                let (least, most) = lengths.split_once(',').unwrap_or((lengths, lengths));
                spaced.push_str(&format!(" ge {} le {} ", least.trim(), most.trim()));
                rest = after;
            }
            None => {
                spaced.push(' ');
                rest = after;
            }
        }
    }
    spaced.push_str(rest);
    spaced
}

/// A prefix with the lengths that are written to it.
fn entry(word: &str) -> Result<(Prefix, Option<u8>, Option<u8>), Mistake> {
    let at = word.find(['^', '+', '<', '>']).unwrap_or(word.len());
    let prefix = prefix(&word[..at])?;
    let own = prefix.prefix_len();
    let longest = Some(prefix.max_prefix_len());
    let wrong = || Mistake::Lengths { text: shortened(word) };
    let length = |text: &str| text.parse::<u8>().map_err(|_| wrong());
    let (least, most) = match &word[at..] {
        "" => (None, None),
        "+" | "^+" => (None, longest),
        "^-" => (Some(own.saturating_add(1)), longest),
        said => match said.strip_prefix('^') {
            Some(said) => {
                let (least, most) = said.split_once('-').unwrap_or((said, said));
                (Some(length(least)?), Some(length(most)?))
            }
            None => {
                let range: PrefixRange = word.parse().map_err(|_| wrong())?;
                (Some(range.least), Some(range.most))
            }
        },
    };
    Ok((prefix, least, most))
}

//! List files: which prefixes a network outside may announce, as bgpq4 prints them or as people write
//! them. Whoever calls reads the files; here is what they mean.
//!
//! The compiled list stands in the plan of each router that needs it, not beside it: a plan and its lists
//! are one file with one hash, so that neither is ever there without the other.

mod json;
mod text;

use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use tsumugi_core::bgp::config::PrefixRange;
use tsumugi_core::id::Prefix;

/// A list has no more: the whole Internet has a fifth of it.
pub const LONGEST: usize = 5_000_000;
/// No more mistakes of one file are told.
const TOLD: usize = 10;

/// The list files of a network, by the path that the file says.
#[derive(Debug, Clone, Default)]
pub struct Lists(BTreeMap<String, Result<Vec<PrefixRange>, Trouble>>);

/// Why a list file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "trouble", rename_all = "kebab-case")]
pub enum Trouble {
    /// There is no such file, or nobody has looked.
    Missing,
    /// It cannot be read, as the system says.
    Unreadable {
        why: String,
    },
    /// It holds no prefix at all.
    Empty,
    TooLong {
        most: usize,
    },
    /// The first of its mistakes, and how many more there are, as far as they were counted.
    Wrong {
        line: usize,
        mistake: Mistake,
        more: usize,
    },
}

/// What is wrong in one line of a list file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "mistake", rename_all = "kebab-case")]
pub enum Mistake {
    /// Neither a prefix nor anything else that a list has.
    NotAPrefix {
        text: String,
    },
    /// Its length is missing.
    LengthMissing {
        text: String,
    },
    HostBits {
        network: Prefix,
    },
    /// Lengths that no prefix within has.
    Lengths {
        text: String,
    },
    /// A filter that forbids: here is only listed what may come.
    Denies {
        text: String,
    },
    /// JSON of another shape.
    Json {
        why: String,
    },
    /// A list of AS numbers (bgpq4 -t), where prefixes are meant.
    AsNumbers,
}

impl Lists {
    /// Takes what stands in a file.
    pub fn add(&mut self, path: &str, text: Result<&str, Trouble>) {
        self.0.insert(path.to_string(), text.and_then(read));
    }

    /// # Errors
    /// Why it cannot be used.
    pub fn get(&self, path: &str) -> Result<&[PrefixRange], Trouble> {
        match self.0.get(path) {
            Some(Ok(ranges)) => Ok(ranges),
            Some(Err(trouble)) => Err(trouble.clone()),
            None => Err(Trouble::Missing),
        }
    }
}

/// Reads a list file: JSON as `bgpq4 -j` prints it (with any number of lists in it), or text with a
/// prefix a line, also as bgpq4 prints it for Cisco and FRR, BIRD and OpenBGPD. Sorted, each range once.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Vec<PrefixRange>, Trouble> {
    let mut ranges = match text.trim_start().bytes().next() {
        Some(b'{') => json::read(text)?,
        Some(b'[') if json::is_array(text) => json::read(text)?,
        _ => text::read(text)?,
    };
    ranges.sort_unstable();
    ranges.dedup();
    if ranges.is_empty() { Err(Trouble::Empty) } else { Ok(ranges) }
}

/// As [`read`] reads it, in the shape of `bgpq4 -j` with a list for each family.
pub fn print(ranges: &[PrefixRange]) -> String {
    let of = |name: &str, ipv4: bool| {
        let entries = ranges.iter().filter(|range| range.prefix.addr().is_ipv4() == ipv4).map(|range| {
            let PrefixRange { prefix, least, most } = range;
            let own = prefix.prefix_len();
            let mut entry = format!("    {{ \"prefix\": \"{prefix}\", \"exact\": {}", *most == own);
            if *least != own {
                entry.push_str(&format!(", \"greater-equal\": {least}"));
            }
            if *most != own {
                entry.push_str(&format!(", \"less-equal\": {most}"));
            }
            entry + " }"
        });
        format!("  \"{name}\": [\n{}\n  ]", entries.collect::<Vec<_>>().join(",\n"))
    };
    format!("{{\n{},\n{}\n}}\n", of("ipv4", true), of("ipv6", false))
}

/// What of `old` is no longer within any of `new`.
pub fn lost(old: &[PrefixRange], new: &[PrefixRange]) -> usize {
    let kept: HashSet<Prefix> = new.iter().map(|range| range.prefix).collect();
    let around = |prefix: Prefix| std::iter::successors(Some(prefix), Prefix::supernet);
    old.iter().filter(|range| !around(range.prefix).any(|around| kept.contains(&around))).count()
}

/// The mistakes of a file as they are found.
#[derive(Default)]
struct Mistakes(Vec<(usize, Mistake)>);

impl Mistakes {
    fn tell(&mut self, line: usize, mistake: Mistake) {
        self.0.push((line, mistake));
    }

    fn enough(&self) -> bool {
        self.0.len() >= TOLD
    }

    fn or(self, ranges: Vec<PrefixRange>) -> Result<Vec<PrefixRange>, Trouble> {
        let more = self.0.len().saturating_sub(1);
        match self.0.into_iter().next() {
            Some((line, mistake)) => Err(Trouble::Wrong { line, mistake, more }),
            None if ranges.len() > LONGEST => Err(Trouble::TooLong { most: LONGEST }),
            None => Ok(ranges),
        }
    }
}

/// A prefix as it stands alone, host bits zero.
fn prefix(text: &str) -> Result<Prefix, Mistake> {
    match text.parse::<Prefix>() {
        Ok(prefix) if prefix.trunc() == prefix => Ok(prefix),
        Ok(prefix) => Err(Mistake::HostBits { network: prefix.trunc() }),
        Err(_) if text.parse::<std::net::IpAddr>().is_ok() => {
            Err(Mistake::LengthMissing { text: text.into() })
        }
        Err(_) => Err(Mistake::NotAPrefix { text: shortened(text) }),
    }
}

/// The lengths that may come. Without any: the prefix itself. `least` alone: up to the family's longest.
fn range(prefix: Prefix, least: Option<u8>, most: Option<u8>) -> Result<PrefixRange, Mistake> {
    let own = prefix.prefix_len();
    let longest = prefix.max_prefix_len();
    let (least, most) = match (least, most) {
        (None, None) => (own, own),
        (None, Some(most)) => (own, most),
        (Some(least), most) => (least, most.unwrap_or(longest)),
    };
    if own <= least && least <= most && most <= longest {
        Ok(PrefixRange { prefix, least, most })
    } else {
        Err(Mistake::Lengths { text: format!("{prefix}: {least} - {most}") })
    }
}

/// What is repeated to people is short and plain.
fn shortened(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    let mut short: String = plain.clone().take(60).collect();
    if plain.count() > 60 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;

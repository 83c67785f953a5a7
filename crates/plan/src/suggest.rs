//! "Did you mean": the nearest of the words that are known.

/// Longer words are not compared: nobody mistypes them, and the work stays bounded.
const LONGEST: usize = 40;

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word: Vec<char> = folded(word);
    // A third of the letters may be wrong, and at least one.
    let limit = (word.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate.len() > LONGEST || candidate.is_empty() {
            continue;
        }
        let letters = folded(candidate);
        if letters.len().abs_diff(word.len()) > limit && !begins(&letters, &word) {
            continue;
        }
        let distance = distance(&word, &letters);
        let near = distance <= limit.min(letters.len().saturating_sub(1)) || begins(&letters, &word);
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Lower case, with `_` as `-`.
fn folded(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// `addr` for `address`, `addresses` for `address`.
fn begins(one: &[char], other: &[char]) -> bool {
    let shorter = one.len().min(other.len());
    shorter >= 3 && one[..shorter] == other[..shorter]
}

/// How many letters must be put in, left out, changed, or changed with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["address", "gateway", "path-mtu", "for", "port", "passes"];
        for (said, meant) in [
            ("adress", Some("address")),
            ("addr", Some("address")),
            ("addresses", Some("address")),
            ("path_mtu", Some("path-mtu")),
            ("gatewya", Some("gateway")),
            ("prot", Some("port")),
            ("fro", Some("for")),
            ("x", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(said, known), meant, "{said}");
        }
    }
}

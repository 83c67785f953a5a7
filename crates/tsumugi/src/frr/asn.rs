//! AS numbers as FRR's as-path lists take them: regular expressions over decimal digits.

use tsumugi_core::id::Asn;

/// The numbers of [`Asn::is_bogon`], as ranges.
const BOGONS: [(u32, u32); 4] = [(0, 0), (23_456, 23_456), (64_496, 65_551), (4_200_000_000, 4_294_967_295)];

/// An expression that finds any number in a path that no network may tell another: bogons but for those
/// `allowed`, and always `ours`.
pub fn refused(allowed: &[Asn], ours: &[Asn]) -> String {
    let mut alternatives = Vec::new();
    for (first, last) in BOGONS {
        for (first, last) in without(first, last, allowed) {
            range(first, last, &mut alternatives);
        }
    }
    let allowed_ours = ours.iter().filter(|asn| allowed.contains(asn) || !asn.is_bogon());
    alternatives.extend(allowed_ours.map(|asn| asn.0.to_string()));
    anywhere(&alternatives)
}

/// An expression that finds any of these numbers in a path.
pub fn anywhere(alternatives: &[String]) -> String {
    format!("_({})_", alternatives.join("|"))
}

/// The range in parts that hold none of `allowed`.
fn without(first: u32, last: u32, allowed: &[Asn]) -> Vec<(u32, u32)> {
    let mut holes: Vec<u32> =
        allowed.iter().map(|asn| asn.0).filter(|it| (first..=last).contains(it)).collect();
    holes.sort_unstable();
    let mut parts = Vec::new();
    let mut from = Some(first);
    for hole in holes {
        if let Some(from) = from
            && hole > from
        {
            parts.push((from, hole - 1));
        }
        from = hole.checked_add(1);
    }
    parts.extend(from.map(|from| (from, last)));
    parts.retain(|(first, last)| first <= last);
    parts
}

/// The numbers from `first` to `last` in blocks: a stem, one digit of a range, then any digits.
fn range(first: u32, last: u32, alternatives: &mut Vec<String>) {
    let (mut first, last) = (u64::from(first), u64::from(last));
    while first <= last {
        let mut step = 1;
        // Zero begins no longer number.
        while first > 0 && first.is_multiple_of(step * 10) && first + step * 10 - 1 <= last {
            step *= 10;
        }
        let digit = first / step % 10;
        let blocks = ((last + 1 - first) / step).min(10 - digit).max(1);
        let (stem, free) = (first / step / 10, step.ilog10());
        let mut text = if stem > 0 { stem.to_string() } else { String::new() };
        match blocks {
            1 => text += &digit.to_string(),
            _ => text += &format!("[{digit}-{}]", digit + blocks - 1),
        }
        for _ in 0..free {
            text += "[0-9]";
        }
        alternatives.push(text);
        first += blocks * step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether one of our expressions, which know digits and ranges of digits only, is this number.
    fn finds(expression: &str, number: u32) -> bool {
        let digits = number.to_string();
        let inner = expression.strip_prefix("_(").and_then(|it| it.strip_suffix(")_")).unwrap();
        inner.split('|').any(|alternative| {
            let mut rest = alternative;
            let mut left = digits.chars();
            while !rest.is_empty() {
                let Some(digit) = left.next() else { return false };
                let set = match rest.strip_prefix('[') {
                    Some(set) => {
                        let (set, after) = set.split_once(']').unwrap();
                        rest = after;
                        let (from, to) = set.split_once('-').unwrap();
                        from.chars().next().unwrap()..=to.chars().next().unwrap()
                    }
                    None => {
                        let one = rest.chars().next().unwrap();
                        rest = &rest[1..];
                        one..=one
                    }
                };
                if !set.contains(&digit) {
                    return false;
                }
            }
            left.next().is_none()
        })
    }

    #[test]
    fn the_expression_is_the_bogons() {
        let allowed = [Asn(64_512), Asn(65_001), Asn(4_200_000_007)];
        let expression = refused(&allowed, &[Asn(4_200_000_007), Asn(63_806)]);
        let ends = [0u32, 1, 9, 10, 23_455, 23_456, 23_457, 64_495, 64_496, 64_511, 64_512, 65_001, 65_534];
        let more = [65_535, 65_536, 65_551, 65_552, 99_999, 644_960, 4_199_999_999, 4_200_000_000, u32::MAX];
        let near =
            ends.iter().chain(&more).flat_map(|end| [end.saturating_sub(1), *end, end.saturating_add(1)]);
        let spread = (0..40_000u32).map(|at| at.wrapping_mul(2_654_435_761));
        for number in near.chain(spread).chain(60_000..70_000) {
            let ours = [4_200_000_007, 63_806].contains(&number);
            let wrong = Asn(number).is_bogon() && !allowed.contains(&Asn(number));
            assert_eq!(finds(&expression, number), wrong || ours, "{number}: {expression}");
        }
    }
}

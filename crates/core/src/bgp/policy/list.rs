//! Lists of prefixes with the lengths that they let pass, ready for look-ups.

use crate::bgp::config::PrefixRange;
use crate::id::Prefix;
use prefix_trie::joint::JointPrefixMap;

/// A list as a tree: a look-up visits the prefixes around the one that is asked for and no others.
#[derive(Debug, Default, PartialEq)]
pub(in crate::bgp) struct PrefixList {
    /// Under each prefix the lengths that may come: bit n stands for n + 1 (a default route is never
    /// listed).
    lengths: JointPrefixMap<Prefix, u128>,
}

impl PrefixList {
    pub fn new(ranges: &[PrefixRange]) -> PrefixList {
        let mut lengths = JointPrefixMap::default();
        for range in ranges {
            let mask = (range.least.max(1)..=range.most).fold(0u128, |mask, length| mask | bit(length));
            *lengths.entry(range.prefix.trunc()).or_default() |= mask;
        }
        PrefixList { lengths }
    }

    /// Whether a list entry lets this very prefix pass.
    pub fn admits(&self, prefix: &Prefix) -> bool {
        let length = prefix.prefix_len();
        length > 0 && self.lengths.cover(prefix).any(|(_, mask)| mask & bit(length) != 0)
    }

    /// Whether it is one of the listed prefixes or within one, of whatever length.
    pub fn covers(&self, prefix: &Prefix) -> bool {
        self.lengths.is_covered(prefix)
    }
}

fn bit(length: u8) -> u128 {
    1 << (length.clamp(1, 128) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn list(ranges: &[&str]) -> PrefixList {
        let ranges: Vec<PrefixRange> = ranges.iter().map(|text| text.parse().unwrap()).collect();
        PrefixList::new(&ranges)
    }

    #[test]
    fn lengths_are_those_that_are_said() {
        let list =
            list(&["192.0.2.0/24", "198.51.0.0/16<=24", "198.51.0.0/16>=28<=28", "2001:db8::/32>=48<=48"]);
        let admits = |text: &str| list.admits(&text.parse().unwrap());
        assert!(admits("192.0.2.0/24") && !admits("192.0.2.0/25") && !admits("192.0.0.0/16"));
        assert!(admits("198.51.0.0/16") && admits("198.51.100.0/24") && !admits("198.51.100.0/25"));
        assert!(admits("198.51.100.16/28") && !admits("198.51.100.16/29"));
        assert!(admits("2001:db8:5::/48") && !admits("2001:db8::/32") && !admits("2001:db8:5::/49"));
        assert!(!admits("0.0.0.0/0") && !admits("::/0"));
        let covers = |text: &str| list.covers(&text.parse().unwrap());
        assert!(covers("192.0.2.7/32") && covers("2001:db8::1/128") && !covers("192.0.0.0/16"));
    }

    #[test]
    fn the_whole_of_a_family_may_be_listed() {
        let list = list(&["0.0.0.0/0<=24", "::/0<=128"]);
        assert!(list.admits(&"8.0.0.0/8".parse().unwrap()) && !list.admits(&"8.8.8.8/32".parse().unwrap()));
        assert!(list.admits(&"2001:db8::1/128".parse().unwrap()) && !list.admits(&"::/0".parse().unwrap()));
    }
}

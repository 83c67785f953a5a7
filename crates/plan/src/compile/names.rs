//! Interface names and Ethernet addresses: stable, and derived from nothing but what they name.

use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::net::Ipv6Addr;
use tsumugi_core::id::{IfName, Mac};

/// The longest name that the kernel takes, in bytes (IFNAMSIZ less the final zero).
const LONGEST: usize = 15;
/// What the kernel keeps of an alias (IFALIASZ), less our tag and room for its end.
const LONGEST_ALIAS: usize = 240;

/// The interface names of one machine, in all of its planes together: a device may cross from one
/// plane to another, and people should never have to ask which `eth1` is meant.
#[derive(Debug, Default)]
pub struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// Takes a name that the file states.
    pub fn state(&mut self, name: &IfName) {
        self.taken.insert(name.to_string());
    }

    /// Finds the name for what is called `full`: itself if it fits, else cut with four hexadecimal
    /// digits of its hash; the second of the same name gets `.2`, the third `.3`.
    pub fn find(&mut self, full: &str) -> IfName {
        let mut count = 1;
        loop {
            let whole = if count == 1 { full.to_owned() } else { format!("{full}.{count}") };
            let name = fit(&whole);
            if self.taken.insert(name.to_string()) {
                return name;
            }
            count += 1;
        }
    }
}

/// A name that the kernel takes, itself wherever it can be.
fn fit(full: &str) -> IfName {
    let clean: String =
        full.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    if clean == full
        && full.len() <= LONGEST
        && let Ok(name) = IfName::new(full)
    {
        return name;
    }
    let digest = Sha256::digest(full.as_bytes());
    let head: String = clean.chars().take(LONGEST - 4).collect();
    let cut = format!("{head}{:02x}{:02x}", digest[0], digest[1]);
    // At most 15 ASCII bytes without slash, colon, space or zero, and longer than "..".
    IfName::new(&cut).expect("a cut name is a valid one")
}

/// The alias, no longer than the kernel keeps.
pub fn alias(words: &str) -> String {
    let end = (0..=LONGEST_ALIAS.min(words.len())).rev().find(|at| words.is_char_boundary(*at)).unwrap_or(0);
    words[..end].to_owned()
}

/// A locally administered Ethernet address for an interface of ours.
pub fn mac(network: &str, router: &str, interface: &IfName) -> Mac {
    let digest = Sha256::digest(format!("{network}/{router}/{interface}").as_bytes());
    Mac([0x02, digest[0], digest[1], digest[2], digest[3], digest[4]])
}

/// The link-local address that an Ethernet address stands for (RFC 4291 appendix A).
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_names_stay_and_long_ones_are_cut() {
        let mut names = Names::default();
        assert_eq!(names.find("gre-cr0201").as_str(), "gre-cr0201");
        assert_eq!(names.find("gre-cr0201").as_str(), "gre-cr0201.2");
        assert_eq!(names.find("gre-cr0201").as_str(), "gre-cr0201.3");
        let cut = names.find("gre-a-very-long-name");
        assert!(cut.as_str().starts_with("gre-a-very-"), "{cut}");
        assert_eq!(cut.as_str().len(), 15);
        assert_ne!(names.find("gre-a-very-long-game"), cut);
    }

    proptest! {
        #[test]
        fn names_are_valid_and_differ(parts in proptest::collection::vec("\\PC{0,30}", 1..40)) {
            let mut names = Names::default();
            let mut seen = HashSet::new();
            for part in &parts {
                let name = names.find(&format!("wg-{part}"));
                prop_assert!(name.as_str().len() <= 15);
                prop_assert!(seen.insert(name));
            }
        }

        #[test]
        fn aliases_are_cut_between_characters(words in "\\PC{0,400}") {
            prop_assert!(alias(&words).len() <= LONGEST_ALIAS);
        }
    }
}

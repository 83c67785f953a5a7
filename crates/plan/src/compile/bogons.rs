//! Prefixes that are never taken from outside.

use tsumugi_core::id::Prefix;

/// IPv4: what RFC 6890 and its updates keep from the public Internet.
const V4: &[&str] = &[
    "0.0.0.0/8",       // this network, RFC 791
    "10.0.0.0/8",      // private use, RFC 1918
    "100.64.0.0/10",   // shared address space, RFC 6598
    "127.0.0.0/8",     // loopback, RFC 1122
    "169.254.0.0/16",  // link local, RFC 3927
    "172.16.0.0/12",   // private use, RFC 1918
    "192.0.0.0/24",    // IETF protocol assignments, RFC 6890
    "192.0.2.0/24",    // documentation, RFC 5737
    "192.88.99.0/24",  // 6to4 relays, deprecated by RFC 7526
    "192.168.0.0/16",  // private use, RFC 1918
    "198.18.0.0/15",   // benchmarking, RFC 2544
    "198.51.100.0/24", // documentation, RFC 5737
    "203.0.113.0/24",  // documentation, RFC 5737
    "224.0.0.0/4",     // multicast, RFC 5771
    "240.0.0.0/4",     // reserved and limited broadcast, RFC 1112, RFC 919
];

/// IPv6: all that is outside of global unicast 2000::/3 (RFC 4291 2.4), and what within it is not
/// for the public Internet.
const V6: &[&str] = &[
    // Unspecified, loopback, mapped, translated (64:ff9b::/96, 64:ff9b:1::/48), discard (100::/64).
    "::/3",
    // Segment routing identifiers (5f00::/16) and what was never assigned.
    "4000::/2",
    // Unique local (fc00::/7), link and site local (fe80::/10, fec0::/10), multicast (ff00::/8).
    "8000::/1",
    "2001::/32",     // Teredo, RFC 4380
    "2001:2::/48",   // benchmarking, RFC 5180
    "2001:10::/28",  // ORCHID, deprecated, RFC 4843
    "2001:20::/28",  // ORCHIDv2, RFC 7343
    "2001:db8::/32", // documentation, RFC 3849
    "2002::/16",     // 6to4, deprecated by RFC 7526
    "3ffe::/16",     // 6bone, returned by RFC 3701
    "3fff::/20",     // documentation, RFC 9637
];

/// Every bogon prefix, IPv4 first.
pub fn bogons() -> Vec<Prefix> {
    // The two lists above are constants, and the test below parses each of them.
    V4.iter().chain(V6).map(|text| text.parse().expect("a prefix")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks that IANA's special-purpose registries (RFC 6890) mark as not globally
    /// reachable, and multicast.
    const NOT_GLOBAL: &[&str] = &[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/29",
        "192.0.0.8/32",
        "192.0.0.170/32",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "::1/128",
        "::/128",
        "::ffff:0:0/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001:2::/48",
        "2001:db8::/32",
        "2001:10::/28",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ];

    #[test]
    fn what_is_not_global_is_a_bogon_and_the_public_internet_is_not() {
        let bogons = bogons();
        let covers = |text: &str| {
            let prefix: Prefix = text.parse().unwrap();
            bogons.iter().any(|bogon| bogon.contains(&prefix))
        };
        for text in NOT_GLOBAL {
            assert!(covers(text), "{text}");
        }
        for text in ["8.8.8.0/24", "43.228.174.0/24", "2402:3160::/32", "2606:4700::/32", "2001:200::/32"] {
            assert!(!covers(text), "{text}");
        }
        assert!(bogons.iter().all(|bogon| bogon.trunc() == *bogon));
    }
}

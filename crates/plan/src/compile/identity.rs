//! What makes the same thing the same everywhere: Ethernet and link-local addresses of gateways,
//! identifiers of LANs, numbers of ports. All are hashes of names and numbers of the file, so that
//! nothing that is added changes them.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::net::Ipv6Addr;
use tsumugi_core::id::{IfName, Mac, Vni};
use tsumugi_core::wire::bgp::Esi;

fn digest(words: &str) -> [u8; 32] {
    Sha256::digest(words.as_bytes()).into()
}

/// The first bytes of the digest.
fn head<const N: usize>(words: &str) -> [u8; N] {
    let digest = digest(words);
    std::array::from_fn(|at| digest[at])
}

/// A locally administered unicast address.
fn mac(words: &str) -> Mac {
    let [a, b, c, d, e] = head(words);
    Mac([0x02, a, b, c, d, e])
}

/// A link-local address that no router's own (`fe80::ID`) can be, and that came from no Ethernet
/// address (the universal bit is clear, RFC 4291 2.5.1).
fn link_local(words: &str) -> Ipv6Addr {
    let mut bytes = [0; 16];
    (bytes[0], bytes[1]) = (0xfe, 0x80);
    bytes[8..].copy_from_slice(&head::<8>(words));
    bytes[8] = (bytes[8] & !0x02) | 0x80;
    Ipv6Addr::from(bytes)
}

/// Tells our own probe frames from another network's.
pub fn network(name: &str) -> u64 {
    u64::from_be_bytes(head(&format!("network/{name}")))
}

/// Of a segment's gateway: the same on every router.
pub fn gateway_mac(network: &str, vni: Vni) -> Mac {
    mac(&format!("{network}/gateway/{}", vni.0))
}

/// A router's own in a segment.
pub fn own_mac(network: &str, vni: Vni, router: u16) -> Mac {
    mac(&format!("{network}/gateway/{}/{router}", vni.0))
}

/// Of a segment's gateway: the same on every router.
pub fn gateway_link_local(network: &str, vni: Vni) -> Ipv6Addr {
    link_local(&format!("{network}/gateway/{}", vni.0))
}

/// A router's own in a segment.
pub fn own_link_local(network: &str, vni: Vni, router: u16) -> Ipv6Addr {
    link_local(&format!("{network}/gateway/{}/{router}", vni.0))
}

/// Of a LAN that hangs on several routers (RFC 7432 5, type 0).
pub fn esi(network: &str, segment: &str, lan: &str) -> Esi {
    let mut value: [u8; 9] = head(&format!("{network}/lan/{segment}/{lan}"));
    // Neither all zeros nor all ones (MAX-ESI, RFC 7432 5).
    value[0] = (value[0] & 0x7f) | 0x40;
    Esi::stated(value)
}

/// A number for each port of a router, by its interface's name. Where two names have one hash the
/// later takes the next free number.
pub fn numbers<'a>(links: impl Iterator<Item = &'a IfName>) -> HashMap<IfName, u16> {
    let mut taken: HashSet<u16> = HashSet::new();
    let mut numbers = HashMap::new();
    for link in links {
        let [a, b] = head(&format!("port/{link}"));
        let mut number = u16::from_be_bytes([a, b]);
        // A router has far fewer ports than there are numbers.
        while !taken.insert(number) && taken.len() < usize::from(u16::MAX) {
            number = number.wrapping_add(1);
        }
        numbers.insert(link.clone(), number);
    }
    numbers
}

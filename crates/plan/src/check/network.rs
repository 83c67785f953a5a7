//! The network as a whole: its number, its prefixes, its pools, and whether it hangs together.

use super::Survey;
use super::space::{self, Space};
use crate::declaration::line::Family;
use crate::declaration::{List, Said};
use crate::problem::{NetworkProblem, Reading};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::ops::Range;
use tsumugi_core::id::Prefix;

/// The longest prefix that the outside takes.
pub(super) fn longest(prefix: &Prefix) -> u8 {
    if matches!(prefix, Prefix::V4(_)) { 24 } else { 48 }
}

/// No network is given more.
pub(super) fn shortest(prefix: &Prefix) -> u8 {
    if matches!(prefix, Prefix::V4(_)) { 8 } else { 16 }
}

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    if file.routers.is_empty() {
        survey.tell(file.network.span(), NetworkProblem::NoRouters);
    }
    if let Some(network) = file.network.sound() {
        if let Some(asn) = network.asn.sound() {
            if asn.is_private() {
                survey.tell(network.asn.span(), NetworkProblem::PublicAsnPrivate { asn: *asn });
            } else if asn.is_bogon() {
                survey.tell(network.asn.span(), NetworkProblem::PublicAsnReserved { asn: *asn });
            }
        }
        prefixes(survey, &network.prefixes);
        management(survey, &network.management);
        pools(survey, &network.loopbacks);
    }
    islands(survey);
}

fn prefixes(survey: &mut Survey<'_>, prefixes: &List<Prefix>) {
    for said in prefixes.iter() {
        let Some(prefix) = said.sound() else { continue };
        if prefix.prefix_len() > longest(prefix) {
            let kind = NetworkProblem::PrefixTooLong { prefix: *prefix, longest: longest(prefix) };
            survey.tell(said.span(), kind);
        } else if prefix.prefix_len() < shortest(prefix) {
            survey.tell(
                said.span(),
                NetworkProblem::PrefixTooShort { prefix: *prefix, shortest: shortest(prefix) },
            );
        } else if !is_global(prefix) {
            survey.tell(said.span(), NetworkProblem::PrefixNotGlobal { prefix: *prefix });
        }
    }
    survey.repeated(prefixes, |prefix| *prefix);
}

/// Whether other networks take a prefix at all: none of the special ones (RFC 6890 and the IANA
/// registries of special-purpose addresses).
pub(super) fn is_global(prefix: &Prefix) -> bool {
    const V4: [&str; 14] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    ];
    const V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];
    let special = |texts: &[&str]| {
        let known = texts.iter().filter_map(|text| text.parse().ok());
        Space::new(known).overlapping(prefix).is_some()
    };
    match prefix {
        Prefix::V4(_) => !special(&V4),
        // Only 2000::/3 is given out.
        Prefix::V6(v6) => v6.network().segments()[0] >> 13 == 1 && !special(&V6),
    }
}

fn management(survey: &mut Survey<'_>, said: &Said<Prefix>) {
    let Some(prefix) = said.sound() else { return };
    let Prefix::V6(v6) = prefix else {
        return survey.tell(said.span(), NetworkProblem::ManagementNotSlash48 { prefix: *prefix });
    };
    if v6.prefix_len() != 48 {
        survey.tell(said.span(), NetworkProblem::ManagementNotSlash48 { prefix: *prefix });
    } else if !matches!(v6.network().segments()[0] >> 9, 0x7e) && v6.network().segments()[0] >> 13 != 1 {
        // Neither fc00::/7 (RFC 4193) nor global unicast.
        survey.tell(said.span(), NetworkProblem::ManagementNotUnicast { prefix: *prefix });
    }
    if let Some(inside) = survey.prefixes.overlapping(prefix) {
        let prefixes = &survey.file.network.prefixes;
        let other = prefixes.iter().find(|said| ***said == inside).map_or(0..0, Said::span);
        let kind = NetworkProblem::ManagementInPrefixes { management: *prefix, prefix: inside };
        survey.tell_both(said.span(), other, kind);
    }
}

fn pools(survey: &mut Survey<'_>, pools: &List<Prefix>) {
    let sound: Vec<(Prefix, Range<usize>)> =
        pools.iter().filter_map(|said| Some((*said.sound()?, said.span()))).collect();
    let overlapping = space::overlaps(&sound);
    for (later, earlier) in &overlapping {
        let kind = NetworkProblem::PoolsOverlap { pool: sound[*later].0, first: sound[*earlier].0 };
        survey.tell_both(sound[*later].1.clone(), sound[*earlier].1.clone(), kind);
    }
    let overlapping: HashSet<usize> = overlapping.into_iter().map(|(later, _)| later).collect();
    let mut firsts: HashMap<Family, Range<usize>> = HashMap::new();
    for (at, (pool, span)) in sound.iter().enumerate() {
        if survey.prefixes_read && survey.prefixes.around(pool).is_none() {
            survey.tell(span.clone(), NetworkProblem::PoolOutsidePrefixes { pool: *pool });
        }
        let family = Family::of(pool.addr());
        match firsts.get(&family) {
            Some(_) if overlapping.contains(&at) => {}
            Some(first) => {
                survey.tell_both(span.clone(), first.clone(), NetworkProblem::TwoPoolsOfFamily { family });
            }
            None => {
                firsts.insert(family, span.clone());
                ids_fit(survey, pool);
            }
        }
    }
}

/// A router's loopback is the pool's first address plus its id.
fn ids_fit(survey: &mut Survey<'_>, pool: &Prefix) {
    let file = survey.file;
    let bits = u32::from(pool.max_prefix_len() - pool.prefix_len());
    let most = 1u64.checked_shl(bits).map_or(u64::MAX, |size| size - 1);
    for router in &file.routers {
        let Some(id) = router.id.sound() else { continue };
        if u64::from(*id) > most {
            survey.tell(router.id.span(), NetworkProblem::IdBeyondPool { id: *id, pool: *pool, most });
        }
    }
}

/// Routers to which no link leads from where most are.
fn islands(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut parents: Vec<usize> = (0..file.routers.len()).collect();
    for link in &file.links {
        let [a, b] = [0, 1].map(|side| {
            let name = link.between.sound()?.get(side)?.sound()?;
            survey.routers.get(name.as_str()).copied()
        });
        let (Some(a), Some(b)) = (a, b) else {
            // A link that leads nowhere has been told; where it should lead, nobody knows.
            return;
        };
        let (a, b) = (root(&mut parents, a), root(&mut parents, b));
        parents[a] = b;
    }
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for at in 0..parents.len() {
        members.entry(root(&mut parents, at)).or_default().push(at);
    }
    let mut islands: Vec<Vec<usize>> = members.into_values().collect();
    // The largest, and of equals the one that the file begins with, is the network.
    islands.sort_by_key(|island| (usize::MAX - island.len(), island[0]));
    for island in islands.iter().skip(1) {
        let routers: Vec<String> = island.iter().map(|at| file.routers[*at].name.to_string()).collect();
        survey.tell(file.routers[island[0]].name.span(), NetworkProblem::Isolated { routers });
    }
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

impl Survey<'_> {
    /// Tells of what stands twice in a list.
    pub(super) fn repeated<T, K: Hash + Eq + ToString>(&mut self, list: &List<T>, key: impl Fn(&T) -> K) {
        let mut seen = HashSet::new();
        for said in list.iter() {
            let Some(value) = said.sound() else { continue };
            if !seen.insert(key(value)) {
                self.tell(said.span(), Reading::Repeated { text: key(value).to_string() });
            }
        }
    }
}

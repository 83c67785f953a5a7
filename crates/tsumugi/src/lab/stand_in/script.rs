//! What a stand-in announces: routes that must be taken and routes that must be refused.

use super::neighbour;
use crate::lab::{Lab, PeerStand};
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::bgp::ImportRefusal;
use tsumugi_core::bgp::config::Role;
use tsumugi_core::id::{Asn, Prefix};

/// Somebody behind the peer whose number nobody objects to.
const FAR_ASN: Asn = Asn(3_320);
const PRIVATE_ASN: Asn = Asn(64_512);
/// What large communities of a route's class have in the middle (`ours : 1 : class`).
const CLASS: u32 = 1;
/// The class of the network's own routes, which nobody else may claim.
const OWN_CLASS: u32 = 0;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    pub prefix: Prefix,
    pub path: Vec<Asn>,
    pub large_communities: Vec<(u32, u32, u32)>,
    /// An address within the prefix that answers, there at the stand-in.
    pub probe: IpAddr,
    pub expect: Expect,
}

/// What the network must make of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Taken,
    /// Taken, but not what it claims with a community that is ours alone.
    TakenUnmarked,
    /// Announced by all peers alike: taken from whom the roles prefer.
    Contested,
    Refused(Why),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    Default,
    Bogon,
    TooLong,
    OwnPrefix,
    OwnAsn,
    PrivateAsn,
    FirstAs,
    NotTheCustomers,
    NotListed,
}

impl Why {
    /// A border's reason as the one that it stands for here; `None` for reasons that no script gives.
    pub fn of(refusal: ImportRefusal) -> Option<Why> {
        Some(match refusal {
            ImportRefusal::Default => Why::Default,
            ImportRefusal::Bogon { .. } => Why::Bogon,
            ImportRefusal::TooLong => Why::TooLong,
            ImportRefusal::OwnPrefix { .. } => Why::OwnPrefix,
            ImportRefusal::PublicAsInPath => Why::OwnAsn,
            ImportRefusal::BogonAsInPath { .. } => Why::PrivateAsn,
            ImportRefusal::FirstAsNotNeighbours { .. } => Why::FirstAs,
            ImportRefusal::NotTheCustomers => Why::NotTheCustomers,
            ImportRefusal::NotListed => Why::NotListed,
            _ => return None,
        })
    }
}

/// The script of one stand-in; nothing if the plan has no session to it.
pub fn script(lab: &Lab, peer: &PeerStand) -> Vec<Announcement> {
    let number = lab.peers.iter().position(|other| other.machine == peer.machine);
    let number = number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX);
    let Some((session, policy)) = neighbour(lab, peer) else { return Vec::new() };
    let own_prefixes = lab.plans.get(&peer.router).and_then(|plan| plan.speaker.as_ref());
    let writer = Writer {
        number,
        asn: session.remote_asn,
        public_asn: session.local_asn,
        own: own_prefixes.map(|speaker| speaker.own_prefixes.clone()).unwrap_or_default(),
    };
    let mut script = Vec::new();
    if policy.role == Role::Customer {
        script.extend(policy.listed.iter().flatten().map(|range| behind(peer, &writer, range.prefix)));
        let unlisted = Expect::Refused(Why::NotTheCustomers);
        script.extend([false, true].map(|ipv6| writer.plain(writer.prefix(6, ipv6, 0), unlisted)));
    } else {
        script.extend(peer.prefixes.iter().map(|prefix| behind(peer, &writer, *prefix)));
        script.extend([false, true].map(|ipv6| writer.forged(ipv6)));
        script.extend([false, true].map(|ipv6| writer.contested(ipv6, policy.role)));
    }
    for ipv6 in [false, true] {
        script.extend(writer.refused(ipv6));
    }
    if policy.role == Role::RouteServer {
        // It does not stand in its clients' paths (RFC 7947): whose number is first says nothing.
        script.retain(|announcement| announcement.expect != Expect::Refused(Why::FirstAs));
    }
    if let Some(listed) = policy.listed.as_ref().filter(|_| policy.role != Role::Customer) {
        let listed = |prefix: &Prefix| listed.iter().any(|range| range.admits(prefix));
        let taken = |it: &&mut Announcement| !matches!(it.expect, Expect::Refused(_));
        for announcement in script.iter_mut().filter(taken).filter(|it| !listed(&it.prefix)) {
            announcement.expect = Expect::Refused(Why::NotListed);
        }
    }
    // Where a family has no session, nothing of it can be said.
    let carried = |prefix: Prefix| peer.addresses.iter().any(|it| it.is_ipv6() == prefix.addr().is_ipv6());
    script.retain(|announcement| carried(announcement.prefix));
    script
}

/// A good route, to where the peer's host is if it is there.
fn behind(peer: &PeerStand, writer: &Writer, prefix: Prefix) -> Announcement {
    let host = peer.host_addresses.iter().copied().find(|host| prefix.contains(host));
    let plain = writer.plain(prefix, Expect::Taken);
    Announcement { probe: host.unwrap_or(plain.probe), ..plain }
}

struct Writer {
    number: u8,
    asn: Asn,
    public_asn: Asn,
    own: Vec<Prefix>,
}

impl Writer {
    fn plain(&self, prefix: Prefix, expect: Expect) -> Announcement {
        let (path, large_communities) = (vec![self.asn], Vec::new());
        Announcement { prefix, path, large_communities, probe: first_host(prefix), expect }
    }

    /// The n-th prefix of the stand-in that is good by its address; `longer` bits longer than allowed.
    fn prefix(&self, n: u8, ipv6: bool, longer: u8) -> Prefix {
        if ipv6 {
            let address = Ipv6Addr::new(0x2a0f, 0xe900 | u16::from(self.number), n.into(), 0, 0, 0, 0, 0);
            Prefix::V6(Ipv6Net::new(address, 48 + longer).unwrap_or_default())
        } else {
            let address = Ipv4Addr::new(45, 16_u8.saturating_add(self.number), n, 0);
            Prefix::V4(Ipv4Net::new(address, 24 + longer).unwrap_or_default())
        }
    }

    /// Claims to be the network's own route.
    fn forged(&self, ipv6: bool) -> Announcement {
        Announcement {
            large_communities: vec![(self.public_asn.0, CLASS, OWN_CLASS)],
            ..self.plain(self.prefix(1, ipv6, 0), Expect::TakenUnmarked)
        }
    }

    /// Announced by everybody; a provider claims that it is the network's own.
    fn contested(&self, ipv6: bool, role: Role) -> Announcement {
        let prefix = if ipv6 {
            Prefix::V6(Ipv6Net::new(Ipv6Addr::new(0x2a0f, 0xe9ff, 0, 0, 0, 0, 0, 0), 48).unwrap_or_default())
        } else {
            Prefix::V4(Ipv4Net::new(Ipv4Addr::new(45, 15, 0, 0), 24).unwrap_or_default())
        };
        let claims = (role == Role::Provider).then_some((self.public_asn.0, CLASS, OWN_CLASS));
        Announcement {
            large_communities: claims.into_iter().collect(),
            ..self.plain(prefix, Expect::Contested)
        }
    }

    fn refused(&self, ipv6: bool) -> Vec<Announcement> {
        let with = |n: u8, path: Vec<Asn>, why: Why| Announcement {
            path,
            ..self.plain(self.prefix(n, ipv6, 0), Expect::Refused(why))
        };
        let mut all = vec![
            self.plain(self.prefix(2, ipv6, 1), Expect::Refused(Why::TooLong)),
            with(3, vec![self.asn, self.public_asn, FAR_ASN], Why::OwnAsn),
            with(4, vec![self.asn, PRIVATE_ASN], Why::PrivateAsn),
            with(5, vec![FAR_ASN, self.asn], Why::FirstAs),
            self.plain(self.bogon(ipv6), Expect::Refused(Why::Bogon)),
            Announcement {
                // Within no other announcement.
                probe: first_host(self.prefix(200, ipv6, 0)),
                ..self.plain(default_route(ipv6), Expect::Refused(Why::Default))
            },
        ];
        let own = self.own.iter().filter(|prefix| prefix.addr().is_ipv6() == ipv6);
        all.extend(own.map(|prefix| Announcement {
            probe: last_host_but(*prefix, 5 + u32::from(self.number)),
            ..self.plain(*prefix, Expect::Refused(Why::OwnPrefix))
        }));
        all.extend(self.own.iter().filter(|_| ipv6).filter_map(|prefix| self.inside_own(*prefix)));
        all
    }

    fn bogon(&self, ipv6: bool) -> Prefix {
        if ipv6 {
            let address = Ipv6Addr::new(0xfd66, self.number.into(), 0, 0, 0, 0, 0, 0);
            Prefix::V6(Ipv6Net::new(address, 48).unwrap_or_default())
        } else {
            Prefix::V4(Ipv4Net::new(Ipv4Addr::new(10, 90, self.number, 0), 24).unwrap_or_default())
        }
    }

    /// A part of an own IPv6 prefix, which would attract what belongs to the whole. Neither its first
    /// nor its last parts, where pools of loopbacks are likely to be.
    fn inside_own(&self, prefix: Prefix) -> Option<Announcement> {
        let Prefix::V6(own) = prefix else { return None };
        let room = 48_u8.checked_sub(own.prefix_len()).filter(|room| *room > 0)?;
        let part = (0xbad_u128 + u128::from(self.number)) & ((1 << room) - 1);
        let part = Ipv6Net::new(Ipv6Addr::from_bits(own.network().to_bits() | part << 80), 48).ok()?;
        Some(self.plain(Prefix::V6(part), Expect::Refused(Why::OwnPrefix)))
    }
}

fn default_route(ipv6: bool) -> Prefix {
    if ipv6 { Prefix::V6(Ipv6Net::default()) } else { Prefix::V4(Ipv4Net::default()) }
}

fn first_host(prefix: Prefix) -> IpAddr {
    match prefix {
        Prefix::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.network().to_bits() | 1)),
        Prefix::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.network().to_bits() | 1)),
    }
}

/// An address near the end of a prefix, where no pool of loopbacks is likely to be.
fn last_host_but(prefix: Prefix, back: u32) -> IpAddr {
    match prefix {
        Prefix::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.broadcast().to_bits() - back)),
        Prefix::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.broadcast().to_bits() - u128::from(back))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn writer() -> Writer {
        Writer {
            number: 2,
            asn: Asn(59_105),
            public_asn: Asn(63_806),
            own: vec!["43.228.174.0/24".parse().unwrap(), "2402:3160::/32".parse().unwrap()],
        }
    }

    #[test]
    fn every_reason_stands_in_the_script_of_both_families() {
        for ipv6 in [false, true] {
            let found: BTreeSet<Why> = writer()
                .refused(ipv6)
                .iter()
                .filter_map(|one| match one.expect {
                    Expect::Refused(why) => Some(why),
                    _ => None,
                })
                .collect();
            let all = [
                Why::Default,
                Why::Bogon,
                Why::TooLong,
                Why::OwnPrefix,
                Why::OwnAsn,
                Why::PrivateAsn,
                Why::FirstAs,
            ];
            assert_eq!(found, BTreeSet::from(all));
        }
    }

    #[test]
    fn probes_are_within_their_prefix_and_in_no_other() {
        for ipv6 in [false, true] {
            let all: Vec<Announcement> =
                writer().refused(ipv6).into_iter().chain([writer().forged(ipv6)]).collect();
            for one in &all {
                assert!(one.prefix.contains(&one.probe), "{one:?}");
                let others = all.iter().filter(|other| {
                    other.prefix != one.prefix
                        && other.prefix.prefix_len() >= one.prefix.prefix_len()
                        && other.prefix.contains(&one.probe)
                });
                assert_eq!(others.count(), 0, "{one:?}");
            }
        }
    }
}

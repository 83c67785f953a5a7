//! Router advertisements to the hosts of a segment (RFC 4861 4.2): here is your way out.
//!
//! Every router that is a segment's gateway says the same, from the same link-local address and MAC,
//! each to its own hosts: the advertisements never cross the VXLAN device. A host that moves between
//! sites so keeps its default router and its address.
//!
//! No last advertisement with a lifetime of zero is sent when the process ends (RFC 4861 6.2.5 asks
//! for it when a router ceases to advertise): the kernel goes on forwarding without us, the next life
//! of the process goes on advertising, and where a standby takes the hosts over, its gateway is the same
//! router to them; they would throw away the one default router that they have. It is sent when the plan
//! takes the gateway from the segment, because then it goes from every router.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use tsumugi_core::evpn::config::Gateway;
use tsumugi_core::id::Mac;
use tsumugi_core::time::{Duration, Instant};

const ADVERTISEMENT: u8 = 134;
// Options: RFC 4861 4.6, RFC 8106 5.1.
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const PREFIX_INFORMATION: u8 = 3;
const LINK_MTU: u8 = 5;
const RECURSIVE_DNS: u8 = 25;

/// What hosts may send at once, in bytes: a segment is a plain Ethernet.
const MTU: u32 = 1500;
/// What hosts put into their packets unless they know better (RFC 4861 6.2.1: the value of the
/// assigned numbers).
const HOP_LIMIT: u8 = 64;
/// Between advertisements that nobody asked for. RFC 4861 6.2.1 lets it be anything up to 1800 s.
const INTERVAL: Duration = Duration::from_secs(200);
/// The first few come sooner (RFC 4861 6.2.4: at most 16 s apart, three of them).
const FIRST_INTERVAL: Duration = Duration::from_secs(16);
const FIRST_ONES: u32 = 3;
/// Between advertisements to all nodes whatever is asked (RFC 4861 10: MIN_DELAY_BETWEEN_RAS).
const LEAST: Duration = Duration::from_secs(3);
/// How long a host keeps us without hearing of us (RFC 4861 6.2.1: three intervals or more).
const ROUTER_LIFETIME: u16 = 1800;
/// RFC 9096 3.2: a renumbered network is rid of the old prefix within 90 minutes, not within a month.
const PREFERRED_LIFETIME: u32 = 2700;
const VALID_LIFETIME: u32 = 5400;
/// RFC 8106 5.1: three intervals or more.
const DNS_LIFETIME: u32 = 1800;
/// Addresses in one option: its length counts 8 octets in one byte, and a packet is 1500 long.
const DNS_SERVERS: usize = 8;

/// What one segment's hosts are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAdvertisement {
    pub source: Ipv6Addr,
    pub mac: Mac,
    /// Networks with their prefix lengths; hosts make themselves addresses in those of 64 bits.
    pub prefixes: Vec<(Ipv6Addr, u8)>,
    pub dns: Vec<Ipv6Addr>,
}

impl HostAdvertisement {
    /// `None`: the gateway has no IPv6.
    pub fn of(gateway: &Gateway) -> Option<HostAdvertisement> {
        let networks = gateway.addresses.iter().map(|address| address.trunc());
        let prefixes: Vec<_> = networks
            .filter_map(|network| match network.addr() {
                IpAddr::V6(address) => Some((address, network.prefix_len())),
                IpAddr::V4(_) => None,
            })
            .collect();
        let dns = gateway.dns.iter().filter_map(|server| match server {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        });
        (!prefixes.is_empty()).then(|| HostAdvertisement {
            source: gateway.link_local,
            mac: gateway.mac,
            prefixes,
            dns: dns.take(DNS_SERVERS).collect(),
        })
    }

    /// The bytes to send; the kernel fills in the checksum.
    pub fn bytes(&self) -> Vec<u8> {
        self.with_lifetimes(ROUTER_LIFETIME, PREFERRED_LIFETIME, VALID_LIFETIME, DNS_LIFETIME)
    }

    /// The last one: no router any more, no address in use for new connections, no server of names.
    pub fn farewell(&self) -> Vec<u8> {
        // The valid lifetime stays: RFC 4862 5.5.3 would not shorten it below two hours anyway, and
        // connections within the segment go on.
        self.with_lifetimes(0, 0, VALID_LIFETIME, 0)
    }

    fn with_lifetimes(&self, router: u16, preferred: u32, valid: u32, dns: u32) -> Vec<u8> {
        let mut bytes = vec![ADVERTISEMENT, 0, 0, 0, HOP_LIMIT];
        // Neither "managed" nor "other": there is no DHCPv6.
        bytes.push(0);
        bytes.extend(router.to_be_bytes());
        // Reachable time and retransmission timer: unspecified by this router.
        bytes.extend([0; 8]);
        bytes.extend([SOURCE_LINK_LAYER_ADDRESS, 1]);
        bytes.extend(self.mac.0);
        bytes.extend([LINK_MTU, 1, 0, 0]);
        bytes.extend(MTU.to_be_bytes());
        for (network, length) in &self.prefixes {
            // On-link; and autonomous where an interface identifier has its 64 bits (RFC 4862 5.5.3).
            let flags = if *length == 64 { 0xc0 } else { 0x80 };
            bytes.extend([PREFIX_INFORMATION, 4, *length, flags]);
            bytes.extend(valid.to_be_bytes());
            bytes.extend(preferred.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(network.octets());
        }
        if let Ok(servers @ 1..) = u8::try_from(self.dns.len()) {
            bytes.extend([RECURSIVE_DNS, 1 + 2 * servers, 0, 0]);
            bytes.extend(dns.to_be_bytes());
            bytes.extend(self.dns.iter().flat_map(Ipv6Addr::octets));
        }
        bytes
    }
}

#[derive(Debug)]
struct Told {
    what: HostAdvertisement,
    next: Instant,
    last: Option<Instant>,
    sent: u32,
}

/// What is to be sent to all nodes of one bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToHosts {
    pub index: u32,
    pub source: Ipv6Addr,
    pub bytes: Vec<u8>,
}

/// When to tell which segment's hosts. Bridges are interface indexes.
#[derive(Debug, Default)]
pub struct HostSchedule {
    bridges: BTreeMap<u32, Told>,
}

impl HostSchedule {
    /// The gateway bridges that are up from now. Hosts of one that is new, or that says something
    /// else now, hear of it at once.
    pub fn set_bridges(&mut self, now: Instant, wanted: BTreeMap<u32, HostAdvertisement>) {
        self.bridges.retain(|index, _| wanted.contains_key(index));
        for (index, what) in wanted {
            match self.bridges.get_mut(&index) {
                Some(told) if told.what == what => {}
                Some(told) => {
                    told.next = told.last.map_or(now, |last| (last + LEAST).max(now));
                    told.what = what;
                    told.sent = 0;
                }
                None => {
                    self.bridges.insert(index, Told { what, next: now, last: None, sent: 0 });
                }
            }
        }
    }

    pub fn bridges(&self) -> impl Iterator<Item = u32> + '_ {
        self.bridges.keys().copied()
    }

    /// A host asks (RFC 4861 6.2.6). It is answered with the others, at once unless they were told a
    /// moment ago.
    pub fn solicited(&mut self, now: Instant, index: u32) {
        if let Some(told) = self.bridges.get_mut(&index) {
            let earliest = told.last.map_or(now, |last| (last + LEAST).max(now));
            told.next = told.next.min(earliest);
        }
    }

    /// What hosts of these bridges hear last, for bridges that cease to be gateways.
    pub fn farewells(&self, wanted: &BTreeMap<u32, HostAdvertisement>) -> Vec<ToHosts> {
        let leaving = self.bridges.iter().filter(|(index, _)| !wanted.contains_key(index));
        leaving
            .map(|(&index, told)| ToHosts { index, source: told.what.source, bytes: told.what.farewell() })
            .collect()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.bridges.values().map(|told| told.next).min()
    }

    pub fn poll(&mut self, now: Instant, outgoing: &mut Vec<ToHosts>) {
        for (&index, told) in &mut self.bridges {
            if told.next > now {
                continue;
            }
            outgoing.push(ToHosts { index, source: told.what.source, bytes: told.what.bytes() });
            told.sent = told.sent.saturating_add(1);
            told.last = Some(now);
            told.next = now + if told.sent < FIRST_ONES { FIRST_INTERVAL } else { INTERVAL };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests() -> HostAdvertisement {
        HostAdvertisement {
            source: "fe80::ff:fe00:e0".parse().unwrap(),
            mac: Mac([0x02, 0, 0x5e, 0, 0, 0xe0]),
            prefixes: vec![("2402:3160:e00::".parse().unwrap(), 64)],
            dns: vec!["2001:4860:4860::8888".parse().unwrap()],
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn every_byte_is_as_the_rfcs_say() {
        #[rustfmt::skip]
        let expected = [
            // RFC 4861 4.2: type, code, checksum, hop limit, flags, lifetime 1800, two timers.
            134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0,
            // 4.6.1: the gateway's MAC.
            1, 1, 0x02, 0, 0x5e, 0, 0, 0xe0,
            // 4.6.4: 1500.
            5, 1, 0, 0, 0, 0, 0x05, 0xdc,
            // 4.6.2: /64, on-link and autonomous, valid 5400, preferred 2700.
            3, 4, 64, 0xc0, 0, 0, 0x15, 0x18, 0, 0, 0x0a, 0x8c, 0, 0, 0, 0,
            0x24, 0x02, 0x31, 0x60, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            // RFC 8106 5.1: one server, for 1800 s.
            25, 3, 0, 0, 0, 0, 0x07, 0x08,
            0x20, 0x01, 0x48, 0x60, 0x48, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x88,
        ];
        assert_eq!(guests().bytes(), expected);
        let mut last = expected;
        last[6..8].fill(0);
        last[40..44].fill(0);
        last[68..72].fill(0);
        assert_eq!(guests().farewell(), last);
    }

    #[test]
    fn a_network_that_is_no_64_makes_no_addresses_and_without_servers_there_is_no_option() {
        let mut segment = guests();
        segment.prefixes = vec![("2402:3160:e00::".parse().unwrap(), 60)];
        segment.dns.clear();
        let bytes = segment.bytes();
        assert_eq!((bytes.len(), &bytes[32..36]), (16 + 8 + 8 + 32, &[3, 4, 60, 0x80][..]));
    }

    #[test]
    fn a_gateway_of_ipv4_alone_says_nothing() {
        let mut gateway = Gateway {
            mac: guests().mac,
            own_mac: Mac([2, 0, 0, 0, 0, 1]),
            link_local: guests().source,
            own_link_local: "fe80::1".parse().unwrap(),
            addresses: vec!["43.228.174.225/28".parse().unwrap()],
            dns: vec!["9.9.9.9".parse().unwrap(), "2001:4860:4860::8888".parse().unwrap()],
            dhcp: None,
        };
        assert_eq!(HostAdvertisement::of(&gateway), None);
        gateway.addresses.push("2402:3160:e00::1/64".parse().unwrap());
        assert_eq!(HostAdvertisement::of(&gateway), Some(guests()));
    }

    #[test]
    fn soon_at_first_then_calm_and_at_once_when_asked() {
        let mut schedule = HostSchedule::default();
        let sent_at = |schedule: &mut HostSchedule, now| {
            let mut outgoing = Vec::new();
            schedule.poll(now, &mut outgoing);
            outgoing.len()
        };
        schedule.set_bridges(at(0), BTreeMap::from([(4, guests())]));
        for second in [0, 16, 32] {
            assert_eq!(schedule.next_timeout(), Some(at(second)));
            assert_eq!(sent_at(&mut schedule, at(second)), 1);
        }
        assert_eq!(schedule.next_timeout(), Some(at(232)));
        schedule.solicited(at(33), 4);
        schedule.solicited(at(34), 4);
        assert_eq!(schedule.next_timeout(), Some(at(35)), "3 s after the last");
        assert_eq!(sent_at(&mut schedule, at(35)), 1);
        schedule.solicited(at(100), 4);
        assert_eq!(sent_at(&mut schedule, at(100)), 1);
        schedule.solicited(at(100), 5);
        // The same plan again is no news; another prefix is.
        schedule.set_bridges(at(150), BTreeMap::from([(4, guests())]));
        assert_eq!(sent_at(&mut schedule, at(150)), 0);
        let renumbered = HostAdvertisement { prefixes: Vec::new(), ..guests() };
        schedule.set_bridges(at(151), BTreeMap::from([(4, renumbered)]));
        assert_eq!(sent_at(&mut schedule, at(151)), 1);
        assert_eq!(schedule.farewells(&BTreeMap::new()).len(), 1);
        schedule.set_bridges(at(152), BTreeMap::new());
        assert_eq!(schedule.next_timeout(), None);
    }
}

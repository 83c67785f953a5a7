//! Which addresses hosts have: those behind stand-ins and those on segments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::id::Prefix;
use tsumugi_plan::declaration::{Peer, Role};

/// Addresses given by DHCP that are looked past for one that is not.
const MOST_GIVEN: u32 = 1 << 12;

/// What stands behind the n-th stand-in: networks, and in each the address of a host.
pub(super) fn behind(peer: &Peer, number: u8) -> (Vec<Prefix>, Vec<IpAddr>) {
    let networks: Vec<Prefix> = if *peer.role == Role::Customer {
        let listed = || peer.prefixes().iter().map(|prefix| prefix.trunc());
        let first = |ipv6: bool| listed().find(|prefix| prefix.addr().is_ipv6() == ipv6);
        [first(false), first(true)].into_iter().flatten().collect()
    } else {
        let v4 = Ipv4Addr::new(45, 0, number, 0);
        let v6 = Ipv6Addr::new(0x2a0f, 0xe800 | u16::from(number), 0, 0, 0, 0, 0, 0);
        [Prefix::new(v4.into(), 24), Prefix::new(v6.into(), 48)].into_iter().flatten().collect()
    };
    let host = |network: Prefix| [0x10, 2].into_iter().find_map(|n| host_of(network, n));
    networks.into_iter().filter_map(|network| Some((network, host(network)?))).unzip()
}

/// The address of the n-th guest behind a gateway, with the segment's length; none of those that the
/// gateway gives by DHCP.
pub(super) fn guest_address(gateway: Prefix, dhcp: Option<[Ipv4Addr; 2]>, number: u32) -> Option<Prefix> {
    let given = |host: &IpAddr| match (host, dhcp) {
        (IpAddr::V4(host), Some([first, last])) => (first..=last).contains(host),
        _ => false,
    };
    // As many more than are asked for as may be left out: the gateway's, and those of a small network.
    let hosts = (1..number.saturating_add(3 + MOST_GIVEN)).filter_map(|n| host_of(gateway, n));
    let mut free = hosts.filter(|host| *host != gateway.addr() && !given(host));
    Prefix::new(free.nth(usize::try_from(number).ok()?)?, gateway.prefix_len()).ok()
}

/// The address of the n-th host of a segment that has no gateway, the lab's own (RFC 2544, RFC 9637).
pub(super) fn alone_address(segment: u8, number: u8, ipv6: bool) -> Prefix {
    let host = number.saturating_add(1);
    if ipv6 {
        let address = Ipv6Addr::new(0x3fff, 0x5e9, segment.into(), 0, 0, 0, 0, host.into());
        Prefix::V6(ipnet::Ipv6Net::new_assert(address, 64))
    } else {
        Prefix::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(198, 19, segment, host), 24))
    }
}

/// The n-th address of a network that a host may have.
fn host_of(network: Prefix, n: u32) -> Option<IpAddr> {
    let host = match network.network() {
        IpAddr::V4(base) => IpAddr::V4(Ipv4Addr::from_bits(base.to_bits().checked_add(n)?)),
        IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from_bits(base.to_bits().checked_add(n.into())?)),
    };
    let broadcast = host.is_ipv4() && network.prefix_len() < 31 && host == network.broadcast();
    (network.contains(&host) && !broadcast).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(gateway: &str, number: u32) -> Option<String> {
        let dhcp = Some([Ipv4Addr::new(192, 0, 2, 3), Ipv4Addr::new(192, 0, 2, 4)]);
        guest_address(gateway.parse().unwrap(), dhcp, number).map(|address| address.to_string())
    }

    #[test]
    fn guests_have_addresses_of_their_own_beside_the_gateway() {
        assert_eq!(guest("192.0.2.1/29", 0).unwrap(), "192.0.2.2/29");
        assert_eq!(guest("192.0.2.2/29", 0).unwrap(), "192.0.2.1/29");
        assert_eq!(guest("192.0.2.2/29", 1).unwrap(), "192.0.2.5/29");
        assert_eq!(guest("192.0.2.1/29", 2).unwrap(), "192.0.2.6/29");
        assert_eq!(guest("192.0.2.1/29", 3), None);
        assert_eq!(guest("192.0.2.1/32", 0), None);
        assert_eq!(guest("2001:db8::1/64", 3).unwrap(), "2001:db8::5/64");
    }
}

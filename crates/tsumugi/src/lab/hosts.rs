//! Which addresses hosts have: those behind stand-ins and those on segments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::id::Prefix;
use tsumugi_plan::declaration::{Peer, Role};

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

/// The address of the n-th guest behind a gateway, with the segment's length.
pub(super) fn guest_address(gateway: Prefix, number: u32) -> Option<Prefix> {
    // One more than is asked for: one of them may be the gateway's.
    let hosts = (1..number.saturating_add(3)).filter_map(|n| host_of(gateway, n));
    let host = hosts.filter(|host| *host != gateway.addr()).nth(usize::try_from(number).ok()?)?;
    Prefix::new(host, gateway.prefix_len()).ok()
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
        guest_address(gateway.parse().unwrap(), number).map(|address| address.to_string())
    }

    #[test]
    fn guests_have_addresses_of_their_own_beside_the_gateway() {
        assert_eq!(guest("192.0.2.1/29", 0).unwrap(), "192.0.2.2/29");
        assert_eq!(guest("192.0.2.2/29", 0).unwrap(), "192.0.2.1/29");
        assert_eq!(guest("192.0.2.2/29", 1).unwrap(), "192.0.2.3/29");
        assert_eq!(guest("192.0.2.1/29", 4).unwrap(), "192.0.2.6/29");
        assert_eq!(guest("192.0.2.1/29", 5), None);
        assert_eq!(guest("192.0.2.1/32", 0), None);
        assert_eq!(guest("2001:db8::1/64", 3).unwrap(), "2001:db8::5/64");
    }
}

//! What dnsmasq is told: pure functions from the plan to its files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::evpn::config::{Dhcp, EvpnConfig, Gateway, SegmentConfig};
use tsumugi_core::id::{Mac, Prefix};

/// Of every server, whatever it serves. No names (port 0), nothing of the system's files; `user` and
/// `group` keep it what it is started as, which in a user namespace may be the only user that there is.
const ALWAYS: &str = "port=0
user=root
group=
keep-in-foreground
log-facility=-
quiet-dhcp
bind-dynamic
except-interface=lo
dhcp-authoritative
";

/// The configuration file; `None`: no segment wants a server.
pub fn configuration(evpn: &EvpnConfig) -> Option<String> {
    let mut text = String::from(ALWAYS);
    let mut any = false;
    for (segment, dhcp, network) in served(evpn) {
        any = true;
        let tag = format!("vni{}", segment.vni.0);
        let router = network.addr();
        let (first, last, mask) = (dhcp.first, dhcp.last, network.netmask());
        let _ = writeln!(text, "interface={}", segment.bridge);
        let _ = writeln!(text, "dhcp-range=set:{tag},{first},{last},{mask},{}", dhcp.lease);
        let _ = writeln!(text, "dhcp-option=tag:{tag},option:router,{router}");
        let servers: Vec<String> = segment
            .gateway
            .iter()
            .flat_map(|gateway| &gateway.dns)
            .filter(|server| server.is_ipv4())
            .map(IpAddr::to_string)
            .collect();
        if !servers.is_empty() {
            let _ = writeln!(text, "dhcp-option=tag:{tag},option:dns-server,{}", servers.join(","));
        }
    }
    any.then_some(text)
}

/// The file of reservations: hosts elsewhere that have an address which we might give away.
pub fn reservations(evpn: &EvpnConfig, hosts: &BTreeSet<(IpAddr, Mac)>) -> String {
    let mut text = String::new();
    for (address, mac) in hosts {
        let IpAddr::V4(address) = address else { continue };
        if served(evpn).any(|(_, dhcp, _)| (dhcp.first..=dhcp.last).contains(address)) {
            let _ = writeln!(text, "{mac},{address}");
        }
    }
    text
}

/// Addresses that the server has given and that have not run out at `now`, in seconds since 1970.
pub fn leases(file: &str, now: u64) -> Vec<Ipv4Addr> {
    file.lines()
        .filter_map(|line| {
            // Expiry, MAC, address, name, client identifier. Expiry 0: never.
            let mut words = line.split_ascii_whitespace();
            let until: u64 = words.next()?.parse().ok()?;
            let address = words.nth(1)?.parse().ok()?;
            (until == 0 || until > now).then_some(address)
        })
        .collect()
}

/// The bridge's own network in which a segment's range lies.
fn served(evpn: &EvpnConfig) -> impl Iterator<Item = (&SegmentConfig, &Dhcp, Prefix)> {
    evpn.segments.iter().filter_map(|segment| {
        let gateway = segment.gateway.as_ref()?;
        let dhcp = gateway.dhcp.as_ref()?;
        Some((segment, dhcp, network_of(gateway, dhcp.first)?))
    })
}

fn network_of(gateway: &Gateway, address: Ipv4Addr) -> Option<Prefix> {
    gateway.addresses.iter().find(|network| network.contains(&IpAddr::V4(address))).copied()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use tsumugi_core::id::{IfName, Vni};

    pub fn guests() -> EvpnConfig {
        let gateway = Gateway {
            mac: Mac([2, 0, 0x5e, 0, 0, 0xe0]),
            own_mac: Mac([2, 0, 0, 0, 0, 1]),
            link_local: "fe80::e0".parse().unwrap(),
            own_link_local: "fe80::1".parse().unwrap(),
            addresses: vec!["2402:3160:e00::1/64".parse().unwrap(), "43.228.174.225/28".parse().unwrap()],
            dns: vec!["2620:fe::fe".parse().unwrap(), "9.9.9.9".parse().unwrap()],
            dhcp: Some(Dhcp {
                first: Ipv4Addr::new(43, 228, 174, 227),
                last: Ipv4Addr::new(43, 228, 174, 237),
                lease: 3600,
            }),
        };
        let segment = SegmentConfig {
            name: "guests".into(),
            vni: Vni(224),
            bridge: IfName::new("seg-guests").unwrap(),
            stretch: None,
            ports: Vec::new(),
            gateway: Some(gateway),
        };
        let members = SegmentConfig { name: "members".into(), gateway: None, ..segment.clone() };
        EvpnConfig { network: 1, router: 1, segments: vec![members, segment] }
    }

    #[test]
    fn the_plan_becomes_dnsmasqs_words() {
        let text = configuration(&guests()).unwrap();
        let ours = "interface=seg-guests\n\
                    dhcp-range=set:vni224,43.228.174.227,43.228.174.237,255.255.255.240,3600\n\
                    dhcp-option=tag:vni224,option:router,43.228.174.225\n\
                    dhcp-option=tag:vni224,option:dns-server,9.9.9.9\n";
        assert_eq!(text, format!("{ALWAYS}{ours}"));
        let mut without = guests();
        without.segments.pop();
        assert_eq!(configuration(&without), None);
    }

    #[test]
    fn hosts_elsewhere_keep_their_addresses() {
        let mac = Mac([2, 0, 0, 0, 0, 7]);
        let hosts = ["43.228.174.230", "43.228.174.238", "2402:3160:e00::7"];
        let hosts = hosts.map(|address| (address.parse().unwrap(), mac)).into();
        assert_eq!(reservations(&guests(), &hosts), "02:00:00:00:00:07,43.228.174.230\n");
    }

    #[test]
    fn leases_that_ran_out_are_none() {
        let file = "1700000000 02:00:00:00:00:05 43.228.174.230 * *\n\
                    1800000000 02:00:00:00:00:06 43.228.174.231 name 01:02\n\
                    0 02:00:00:00:00:07 43.228.174.232 * *\nduid 00:01\n";
        let expected = [Ipv4Addr::new(43, 228, 174, 231), Ipv4Addr::new(43, 228, 174, 232)];
        assert_eq!(leases(file, 1_750_000_000), expected);
    }
}

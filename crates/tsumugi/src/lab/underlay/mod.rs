//! Makes what stands outside of the routers: namespaces, networks, lines, switches.
//!
//! ```text
//!   machine                access router                       network
//!   [port]==port MTU==[line: gateway, fe80::1   up: fe80::2]==path MTU==[lineN: fe80::1]
//! ```
//!
//! A path is narrow because the wire behind the access router is: both of its ends answer with
//! "packet too big". The network routes host by host, so that two lines may share a prefix.

mod lans;

pub(super) use lans::{MEMBER_BRIDGE, has_vlans};

use super::machine::MachineRole;
use super::offload;
use super::wire::{Line, Plug, interface};
use super::{Doing, Lab, NAMESPACES, Trouble};
use crate::kernel::link::WireEnd;
use crate::kernel::route::{NextHopInfo, RouteInfo, TargetInfo};
use crate::kernel::{Namespace, Netlink};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use tsumugi_core::id::{IfName, Plane, Prefix};

/// `RTPROT_STATIC`: the lab's routes are never taken for tsumugi's own.
const STATIC: u8 = 4;
/// On every wire of the underlay: the side nearer to the networks' middle is 1, the other 2.
const INNER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const OUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
/// IPv6 does not run below it (RFC 8200 5): such a line has a wire of this MTU and IPv4 routes of
/// its own.
const LEAST_IPV6_MTU: u16 = 1280;

/// The namespaces of a lab while it is being made, and a netlink socket in each.
pub(super) struct Ground<'a> {
    lab: &'a Lab,
    places: BTreeMap<String, Place>,
}

struct Place {
    namespace: Namespace,
    netlink: Netlink,
}

impl Place {
    /// Takes over a namespace: its loopback is up, its settings are made.
    fn settle(namespace: Namespace, settings: &[(&str, &str)]) -> io::Result<Place> {
        let mut netlink = namespace.run(|| {
            for (key, value) in settings {
                fs::write(Path::new("/proc/sys").join(key), value)
                    .map_err(|error| io::Error::new(error.kind(), format!("{key} = {value}: {error}")))?;
            }
            Netlink::open()
        })?;
        let loopback = netlink.index(&IfName::loopback())?;
        netlink.set_up(loopback, true)?;
        Ok(Place { namespace, netlink })
    }

    fn address(&mut self, link: &IfName, prefix: Prefix) -> io::Result<()> {
        let index = self.netlink.index(link)?;
        match self.netlink.add_foreign_address(index, prefix) {
            Err(error) if error.is(Errno::EEXIST) => Ok(()),
            result => Ok(result?),
        }
    }

    fn route(&mut self, prefix: Prefix, link: &IfName, via: Option<IpAddr>) -> io::Result<()> {
        let link = self.netlink.index(link)?;
        let target = TargetInfo::NextHops(vec![NextHopInfo { link, via }]);
        let route = RouteInfo { prefix, target, source: None, mtu: None, metric: None, protocol: STATIC };
        Ok(self.netlink.set_route(&route)?)
    }
}

const FORWARDS: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    // A router answers every packet that is too big, not some in a second.
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
];
const PLAIN: &[(&str, &str)] = &[
    // New namespaces take some of these from the host.
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    // No waiting for duplicates, no address but the lab's.
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];
const LISTENS: &[(&str, &str)] = &[
    ("net/ipv6/conf/default/accept_ra", "1"),
    // It asks from a link-local address.
    ("net/ipv6/conf/default/addr_gen_mode", "0"),
];
const SWITCHES: &[(&str, &str)] = &[("net/ipv6/conf/default/disable_ipv6", "1")];

fn settings(role: MachineRole) -> Vec<(&'static str, &'static str)> {
    match role {
        MachineRole::Network | MachineRole::Access => [PLAIN, FORWARDS].concat(),
        MachineRole::Switch => SWITCHES.to_vec(),
        MachineRole::Device | MachineRole::Host | MachineRole::Guest | MachineRole::Stranger => {
            PLAIN.to_vec()
        }
        MachineRole::Newcomer => [PLAIN, LISTENS].concat(),
        // What runs there sets what it needs.
        MachineRole::Router | MachineRole::Laptop | MachineRole::StandIn => Vec::new(),
    }
}

impl<'a> Ground<'a> {
    /// A namespace for every machine.
    pub(super) fn new(lab: &'a Lab) -> Result<Ground<'a>, Trouble> {
        let mut places = BTreeMap::new();
        for machine in lab.machines.values() {
            let make = || -> io::Result<Place> {
                let namespace = Namespace::create_at(&Path::new(NAMESPACES).join(&machine.name))?;
                Place::settle(namespace, &settings(machine.role))
            };
            let doing = Doing::MakingMachine { machine: machine.name.clone() };
            let place = make().map_err(Trouble::doing(doing))?;
            places.insert(machine.name.clone(), place);
        }
        Ok(Ground { lab, places })
    }

    /// Everything between the machines.
    pub(super) fn lay(&mut self) -> Result<(), Trouble> {
        let lab = self.lab;
        self.networks().map_err(Trouble::doing(Doing::MakingNetworks))?;
        for (number, line) in (0..).zip(&lab.lines) {
            let doing = Doing::LayingLine { line: line.access.to_string() };
            self.line(line, number).map_err(Trouble::doing(doing))?;
        }
        for plug in &lab.plugs {
            self.plug(plug).map_err(Trouble::doing(Doing::Plugging {
                machine: plug.machine.to_string(),
                switch: plug.switch.to_string(),
            }))?;
        }
        self.devices().map_err(Trouble::doing(Doing::AddressingDevices))?;
        for peer in &lab.peers {
            let doing = Doing::MakingMachine { machine: peer.host.clone() };
            self.peer_host(peer).map_err(Trouble::doing(doing))?;
        }
        for segment in &lab.segments {
            let doing = Doing::MakingMachine { machine: segment.machine.clone() };
            self.segment(segment).map_err(Trouble::doing(doing))?;
        }
        for (number, guest) in (1..).zip(&lab.guests) {
            let doing = Doing::MakingMachine { machine: guest.machine.clone() };
            self.guest(guest, number).map_err(Trouble::doing(doing))?;
        }
        Ok(())
    }

    fn place(&mut self, name: &str) -> io::Result<&mut Place> {
        self.places.get_mut(name).ok_or_else(|| io::Error::other(format!("there is no {name}")))
    }

    /// A pair of wires, both ends up, without offloads: a capture shows what is on the wire.
    fn wire(&mut self, one: (&str, &IfName), other: (&str, &IfName), mtu: u16) -> io::Result<()> {
        let namespace = |name: &str| -> io::Result<Namespace> {
            let place =
                self.places.get(name).ok_or_else(|| io::Error::other(format!("there is no {name}")))?;
            Ok(place.namespace.clone())
        };
        let (here, there) = (namespace(one.0)?, namespace(other.0)?);
        let end = |name, namespace| WireEnd { name, namespace, mac: None, mtu: mtu.into() };
        let ends = (end(one.1, &here), end(other.1, &there));
        self.place(one.0)?.netlink.add_veth(&ends.0, &ends.1)?;
        for (machine, name) in [one, other] {
            let place = self.place(machine)?;
            place.namespace.run(|| offload::off(name))?;
            let index = place.netlink.index(name)?;
            place.netlink.set_up(index, true)?;
        }
        Ok(())
    }

    fn networks(&mut self) -> io::Result<()> {
        let lab = self.lab;
        for network in lab.machines_of(MachineRole::Network) {
            let place = self.place(&network.name)?;
            for address in &network.addresses {
                place.address(&IfName::loopback(), (*address).into())?;
            }
            let stranger = format!("stranger-{}", network.name);
            let (port, eth0) = (interface("stranger"), interface("eth0"));
            self.wire((&network.name, &port), (&stranger, &eth0), 1500)?;
            let addresses = lab.machines.get(&stranger).map_or(&[][..], |machine| &machine.addresses);
            let place = self.place(&network.name)?;
            place.address(&port, local(INNER))?;
            let ours: Vec<IpAddr> = network.addresses.clone();
            for address in addresses {
                place.route((*address).into(), &port, None)?;
            }
            let place = self.place(&stranger)?;
            for address in addresses {
                place.address(&eth0, (*address).into())?;
                if address.is_ipv6() {
                    place.route(everywhere(*address), &eth0, Some(INNER.into()))?;
                } else if let Some(gateway) = ours.iter().find(|own| own.is_ipv4()) {
                    place.route((*gateway).into(), &eth0, None)?;
                    place.route(everywhere(*address), &eth0, Some(*gateway))?;
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &Line, number: u16) -> io::Result<()> {
        let (inside, up) = (interface("line"), interface("up"));
        let port = interface(&format!("line{number}"));
        self.wire((&line.machine, &line.port), (&line.access, &inside), line.port_mtu)?;
        self.wire((&line.access, &up), (&line.network, &port), line.path_mtu)?;
        let v6 = line.path_mtu >= LEAST_IPV6_MTU;
        let between = Ipv4Addr::new(169, 254, 0, 0).to_bits() + u32::from(number) * 4;
        let [middle, outer] = [1, 2].map(|host| Ipv4Addr::from_bits(between + host));

        let access = self.place(&line.access)?;
        for gateway in &line.gateways {
            access.address(&inside, (*gateway).into())?;
        }
        access.address(&up, four(outer, 30))?;
        access.route(everywhere(outer.into()), &up, Some(middle.into()))?;
        if v6 {
            access.address(&inside, local(INNER))?;
            access.address(&up, local(OUTER))?;
            access.route(everywhere(OUTER.into()), &up, Some(INNER.into()))?;
        }
        for address in line.addresses.iter().map(Prefix::addr) {
            access.route(address.into(), &inside, None)?;
        }
        for address in line.outside.iter().filter(|_| line.nat).filter(|address| address.is_ipv4()) {
            access.address(&IfName::loopback(), (*address).into())?;
        }
        let rules = access_rules(line);
        if !rules.is_empty() {
            self.lab.nft(&line.access, &rules)?;
        }

        let network = self.place(&line.network)?;
        network.address(&port, four(middle, 30))?;
        if v6 {
            network.address(&port, local(INNER))?;
        }
        for outside in line.outside.iter().chain(&line.gateways) {
            let via = if outside.is_ipv6() { IpAddr::V6(OUTER) } else { outer.into() };
            // Gateways are routed so that a traceroute's hop can be asked; private ones stay private.
            let is_gateway = line.gateways.contains(outside);
            if (is_gateway && line.nat && outside.is_ipv4()) || (outside.is_ipv6() && !v6) {
                continue;
            }
            network.route((*outside).into(), &port, Some(via))?;
        }
        Ok(())
    }

    fn plug(&mut self, plug: &Plug) -> io::Result<()> {
        let switch = self.place(&plug.switch)?;
        if switch.netlink.link(&plug.bridge)?.is_none() {
            switch.netlink.add_bridge(&plug.bridge)?;
            let index = switch.netlink.index(&plug.bridge)?;
            switch.netlink.set_up(index, true)?;
        }
        let bridge = switch.netlink.index(&plug.bridge)?;
        let fabric = format!("{} fabric", plug.machine);
        let machine = if plug.plane == Plane::Fabric {
            self.fabric(&plug.machine, &fabric)?;
            fabric.as_str()
        } else {
            plug.machine.as_str()
        };
        self.wire((&plug.switch, &plug.interface), (machine, &plug.port), plug.mtu)?;
        let switch = self.place(&plug.switch)?;
        let index = switch.netlink.index(&plug.interface)?;
        Ok(switch.netlink.set_master(index, Some(bridge))?)
    }

    /// Devices have an address in the management space and their site's gateway for the rest of it.
    fn devices(&mut self) -> io::Result<()> {
        let lab = self.lab;
        let eth0 = interface("eth0");
        for device in lab.machines_of(MachineRole::Device) {
            for address in &device.addresses {
                let Ok(lan) = Prefix::new(*address, 64) else { continue };
                let place = self.place(&device.name)?;
                place.address(&eth0, lan)?;
                if let Some(gateway) = device.gateway {
                    place.route(everywhere(*address), &eth0, Some(gateway))?;
                }
            }
        }
        Ok(())
    }

    /// A stand-in's fabric plane; made by whoever comes first, like every plane.
    fn fabric(&mut self, machine: &str, name: &str) -> io::Result<()> {
        if self.places.contains_key(name) {
            return Ok(());
        }
        let namespace = self.lab.plane(machine, Plane::Fabric)?;
        let place = Place::settle(namespace, &[PLAIN, FORWARDS].concat())?;
        self.places.insert(name.to_owned(), place);
        Ok(())
    }

    fn peer_host(&mut self, peer: &super::PeerStand) -> io::Result<()> {
        let fabric = format!("{} fabric", peer.machine);
        self.fabric(&peer.machine, &fabric)?;
        let (port, eth0) = (interface("host"), interface("eth0"));
        self.wire((&fabric, &port), (&peer.host, &eth0), 1500)?;
        self.place(&fabric)?.address(&port, local(INNER))?;
        self.place(&peer.host)?.address(&eth0, local(OUTER))?;
        for (prefix, host) in peer.prefixes.iter().zip(&peer.host_addresses) {
            let gateway = first_address(*prefix);
            let place = self.place(&fabric)?;
            // A /64 of the IPv6 prefix, all of the IPv4 one.
            let length = if host.is_ipv6() { 64 } else { prefix.prefix_len() };
            let Ok(lan) = Prefix::new(gateway, length) else { continue };
            place.address(&port, lan)?;
            let place = self.place(&peer.host)?;
            if let Ok(own) = Prefix::new(*host, length) {
                place.address(&eth0, own)?;
            }
            place.route(everywhere(*host), &eth0, Some(gateway))?;
        }
        Ok(())
    }
}

/// What an access router lets through: carrier NAT, no calls in, protocols that the line lacks.
fn access_rules(line: &Line) -> String {
    let mut forward = String::new();
    for (passes, number) in [(line.passes.gre, 47), (line.passes.etherip, 97), (line.passes.udp, 17)] {
        if !passes {
            forward.push_str(&format!("  meta l4proto {number} counter drop\n"));
        }
    }
    if !line.passes.incoming {
        forward.push_str("  iifname \"up\" ct state established,related accept\n");
        forward.push_str("  iifname \"up\" oifname \"line\" counter drop\n");
    }
    let mut rules = String::new();
    if !forward.is_empty() {
        rules.push_str(&format!(" chain forward {{\n  type filter hook forward priority 0\n{forward} }}\n"));
    }
    if !line.passes.fragments {
        // Before connection tracking puts them together.
        rules.push_str(
            " chain fragments {\n  type filter hook prerouting priority -450\n  \
             ip frag-off & 0x3fff != 0 counter drop\n  exthdr frag exists counter drop\n }\n",
        );
    }
    let public = line.outside.iter().find(|address| address.is_ipv4());
    if let (true, Some(public)) = (line.nat, public) {
        rules.push_str(&format!(
            " chain nat {{\n  type nat hook postrouting priority 100\n  \
             oifname \"up\" meta nfproto ipv4 snat ip to {public}\n }}\n"
        ));
    }
    if line.nat || !line.passes.incoming {
        // Fragments that connection tracking puts together are sent on in the same memory, which a
        // capture on the line shares: read late, it would show the far side's addresses and
        // identification. To write into a packet, even what stands there already, the kernel makes
        // it a copy of its own; so this is done before they are put together (-400).
        rules.push_str(
            " chain own {\n  type filter hook prerouting priority -450\n  \
             iifname \"line\" ip protocol 17 ip protocol set 17\n  \
             iifname \"line\" ip6 nexthdr 44 ip6 nexthdr set 44\n }\n",
        );
    }
    if rules.is_empty() { rules } else { format!("table inet line {{\n{rules}}}\n") }
}

pub(super) fn everywhere(like: IpAddr) -> Prefix {
    if like.is_ipv6() { Prefix::V6(ipnet::Ipv6Net::default()) } else { Prefix::V4(ipnet::Ipv4Net::default()) }
}

/// The first address of a prefix after the network's own.
pub(super) fn first_address(prefix: Prefix) -> IpAddr {
    match prefix.network() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() | 1).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | 1).into(),
    }
}

pub(super) fn local(address: Ipv6Addr) -> Prefix {
    Prefix::V6(ipnet::Ipv6Net::new_assert(address, 64))
}

fn four(address: Ipv4Addr, length: u8) -> Prefix {
    Prefix::V4(ipnet::Ipv4Net::new_assert(address, length))
}

#[cfg(test)]
mod tests {
    use super::super::wire::Passes;
    use super::*;

    fn line(passes: Passes, nat: bool) -> Line {
        Line {
            machine: "ren".into(),
            name: "lte".into(),
            port: interface("wwan0"),
            interface: interface("wwan0"),
            plane: Plane::Management,
            access: "ren.lte".into(),
            network: "internet".into(),
            path_mtu: 1280,
            port_mtu: 1500,
            nat,
            passes,
            addresses: Vec::new(),
            outside: vec!["198.18.0.5".parse().expect("an address")],
            gateways: Vec::new(),
            client: true,
        }
    }

    #[test]
    fn an_open_line_has_no_rules() {
        assert_eq!(access_rules(&line(Passes::ALL, false)), "");
    }

    #[test]
    fn carrier_nat_translates_and_lets_nobody_in() {
        let passes = Passes { gre: false, etherip: false, incoming: false, ..Passes::ALL };
        let rules = access_rules(&line(passes, true));
        assert!(rules.contains("snat ip to 198.18.0.5"), "{rules}");
        assert!(rules.contains("ip protocol set 17") && rules.contains("ip6 nexthdr set 44"), "{rules}");
        assert!(rules.contains("meta l4proto 47 counter drop"), "{rules}");
        assert!(rules.contains("iifname \"up\" oifname \"line\" counter drop"), "{rules}");
        assert!(!rules.contains("frag"), "{rules}");
    }
}

//! Access lines: where each leads, what it lets through, which addresses the lab gives it.

use super::super::machine::MachineRole;
use super::super::processes::ProcessKind;
use super::super::wire::{Line, Passes, interface};
use super::{ETHERNET_MTU, Layout, addresses_on, prefix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::desired::LinkKind;
use tsumugi_core::id::{IfName, Plane};
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_plan::declaration::line::Net;
use tsumugi_plan::declaration::{LineAddress, LineKind, Pass, Purpose, Router, Uplink};

impl Layout<'_> {
    pub(super) fn uplink(&mut self, router: &Router, plan: &RouterPlan, uplink: &Uplink) {
        let plane = if uplink.is_for(Purpose::Fabric) { Plane::Underlay } else { Plane::Management };
        let mut interface: IfName = (*uplink.port).clone();
        if uplink.share() {
            let over_port =
                |kind: &LinkKind| matches!(kind, LinkKind::Macvlan { parent } if *parent == *uplink.port);
            let mut links = plan.underlay.links.iter().chain(&plan.management.desired.links);
            if let Some(link) = links.find(|link| over_port(&link.kind)) {
                interface = link.name.clone();
            }
        }
        let carrier = matches!(*uplink.kind, LineKind::Lte | LineKind::DsLite | LineKind::MapE);
        let mut line = Line {
            machine: (*router.name).clone(),
            name: (*uplink.name).clone(),
            port: (*uplink.port).clone(),
            interface,
            plane,
            access: String::new(),
            network: uplink.network().name().into(),
            path_mtu: uplink.path_mtu(),
            port_mtu: uplink.path_mtu().max(ETHERNET_MTU),
            nat: carrier && !uplink.passes(Pass::Incoming),
            passes: passes_of(uplink),
            addresses: Vec::new(),
            outside: Vec::new(),
            gateways: Vec::new(),
            client: false,
        };
        for address in uplink.address.iter() {
            match **address {
                LineAddress::Stated(prefix) => {
                    line.addresses.push(prefix);
                    let v6 = prefix.addr().is_ipv6();
                    let stated = uplink.gateways().iter().map(|gateway| **gateway);
                    line.gateways.extend(stated.filter(|gateway| gateway.is_ipv6() == v6));
                    if v6 || !line.nat {
                        line.outside.push(prefix.addr());
                    }
                }
                LineAddress::Auto | LineAddress::Dhcp6Pd => self.give_v6(&mut line),
                LineAddress::Dhcp | LineAddress::Pppoe => self.give_v4(&mut line),
            }
        }
        if line.nat && line.outside.iter().all(IpAddr::is_ipv6) {
            let number = self.number();
            line.outside.push(IpAddr::V4(internet_v4(number)));
        }
        self.access(line);
    }

    /// Adds a line's access router and the line.
    pub(super) fn access(&mut self, mut line: Line) {
        let wanted = format!("{}.{}", line.machine, line.name);
        line.access = self.machine(&wanted, MachineRole::Access, None).name.clone();
        self.lab.lines.push(line);
    }

    fn number(&mut self) -> u16 {
        self.given += 1;
        self.given
    }

    /// A /64 of its own, as a router advertisement would give it.
    fn give_v6(&mut self, line: &mut Line) {
        let net = Ipv6Addr::new(0x3fff, 0xa, self.number(), 0, 0, 0, 0, 0);
        line.client = true;
        line.addresses.extend(prefix(IpAddr::V6(Ipv6Addr::from_bits(net.to_bits() | 0x10)), 64));
        line.gateways.push(IpAddr::V6(Ipv6Addr::from_bits(net.to_bits() | 1)));
        line.outside.push(IpAddr::V6(Ipv6Addr::from_bits(net.to_bits() | 0x10)));
    }

    /// A private address behind the carrier's NAT, or a public one.
    fn give_v4(&mut self, line: &mut Line) {
        let number = self.number();
        line.client = true;
        if line.nat {
            let net = Ipv4Addr::new(100, 64, 0, 0).to_bits() + u32::from(number) * 64;
            line.addresses.extend(prefix(Ipv4Addr::from_bits(net | 10).into(), 26));
            line.gateways.push(Ipv4Addr::from_bits(net | 1).into());
            line.outside.push(internet_v4(number).into());
        } else {
            let address = internet_v4(number);
            line.addresses.extend(prefix(address.into(), 30));
            line.gateways.push(Ipv4Addr::from_bits(address.to_bits() ^ 3).into());
            line.outside.push(address.into());
        }
    }

    pub(super) fn laptop(&mut self, plan: &RouterPlan) {
        let machine = self.machine(&format!("laptop-{}", plan.name), MachineRole::Laptop, None);
        machine.addresses = addresses_on(plan, Plane::Management, &plan.management.overlay.device);
        machine.processes = vec![ProcessKind::Management];
        let name = machine.name.clone();
        self.lab.plans.insert(name.clone(), plan.clone());
        let link = plan.management.overlay.lines.iter().find_map(|line| line.link.clone());
        let port = link.unwrap_or_else(|| interface("wlan0"));
        let mut line = Line {
            machine: name,
            name: "wifi".into(),
            port: port.clone(),
            interface: port,
            plane: Plane::Management,
            access: String::new(),
            network: Net::Internet.name().into(),
            path_mtu: ETHERNET_MTU,
            port_mtu: ETHERNET_MTU,
            nat: true,
            passes: Passes { udp: true, gre: false, etherip: false, fragments: true, incoming: false },
            addresses: Vec::new(),
            outside: Vec::new(),
            gateways: Vec::new(),
            client: true,
        };
        self.give_v4(&mut line);
        self.give_v6(&mut line);
        self.access(line);
    }
}

/// The n-th public address that the lab gives: the lower host of a /30.
fn internet_v4(number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + u32::from(number) * 4 + 1)
}

fn passes_of(uplink: &Uplink) -> Passes {
    Passes {
        udp: uplink.passes(Pass::Udp),
        gre: uplink.passes(Pass::Gre),
        etherip: uplink.passes(Pass::EtherIp),
        fragments: uplink.passes(Pass::Fragments),
        incoming: uplink.passes(Pass::Incoming),
    }
}

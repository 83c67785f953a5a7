//! From a file and its plans to a lab: which machines there are, where each line leads, which
//! addresses the lab gives. Nothing is made here.
//!
//! The lab's own addresses are from ranges that no file states: 3fff::/20 (RFC 9637), 198.18.0.0/15
//! (RFC 2544) for what the Internet sees, 100.64.0.0/10 (RFC 6598) behind carrier NAT, 169.254.0.0/16
//! between routers of the underlay.

use super::hosts::{behind, guest_address};
use super::machine::{Machine, MachineRole};
use super::processes::ProcessKind;
use super::wire::{Flow, Line, Passes, Plug, Tap, Wire, WireEnd, WireKind, interface};
use super::{Guest, Lab, PeerStand};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use tsumugi_core::desired::LinkKind;
use tsumugi_core::id::{IfName, Plane, Prefix};
use tsumugi_core::router_plan::{Encapsulation, RouterPlan, Tunnel};
use tsumugi_plan::Declaration;
use tsumugi_plan::compile::{DevicePlan, NetworkPlan};
use tsumugi_plan::declaration::line::Net;
use tsumugi_plan::declaration::{
    LineAddress, LineKind, Link, LinkBy, Pass, Peer, PeerAt, PeerBy, Purpose, Router, Segment, Uplink,
};

/// A port's own MTU where the line's path is smaller: the path is made narrow behind it.
const ETHERNET_MTU: u16 = 1500;

/// Where the file and its plans do not fit together. A defect of ours, never of the file.
#[derive(Debug)]
pub struct Mismatch(pub(super) String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plan does not fit the file: {}", self.0)
    }
}

impl std::error::Error for Mismatch {}

/// What a lab is built from.
pub struct Source<'a> {
    pub name: &'a str,
    pub file: &'a Path,
    pub text: &'a str,
    pub declaration: &'a Declaration,
    pub plan: &'a NetworkPlan,
}

/// # Errors
/// If a plan lacks what the file has.
pub fn lay_out(source: &Source<'_>) -> Result<Lab, Mismatch> {
    let mut layout = Layout::new(source);
    layout.networks();
    for router in &source.declaration.routers {
        layout.router(router)?;
    }
    for device in &source.plan.devices {
        layout.device(device);
    }
    for laptop in &source.plan.laptops {
        layout.laptop(laptop);
    }
    for link in &source.declaration.links {
        layout.link(link)?;
    }
    for peer in &source.declaration.peers {
        for at in &peer.at {
            layout.peer(peer, at)?;
        }
    }
    for segment in &source.declaration.segments {
        layout.segment(segment)?;
    }
    Ok(layout.lab)
}

struct Layout<'a> {
    source: &'a Source<'a>,
    lab: Lab,
    /// Per router: how many of its plan's tunnels have found their link. They stand in the order of
    /// the file, links before outside connections.
    tunnels: BTreeMap<String, usize>,
    /// Lines that were given addresses by the lab.
    given: u16,
}

impl<'a> Layout<'a> {
    fn new(source: &'a Source<'a>) -> Layout<'a> {
        let lab = Lab {
            name: source.name.into(),
            file: source.file.into(),
            text: source.text.into(),
            machines: BTreeMap::new(),
            lines: Vec::new(),
            wires: Vec::new(),
            peers: Vec::new(),
            guests: Vec::new(),
            plugs: Vec::new(),
            plans: BTreeMap::new(),
        };
        Layout { source, lab, tunnels: BTreeMap::new(), given: 0 }
    }

    /// Adds a machine under the name that it wants, or the next one that is free.
    fn machine(&mut self, wanted: &str, role: MachineRole, site: Option<&str>) -> &mut Machine {
        let mut name = wanted.to_owned();
        for n in 2.. {
            if !self.lab.machines.contains_key(&name) {
                break;
            }
            name = format!("{wanted}.{n}");
        }
        let machine = Machine {
            name: name.clone(),
            role,
            site: site.map(str::to_owned),
            addresses: Vec::new(),
            gateway: None,
            processes: Vec::new(),
        };
        self.lab.machines.entry(name).or_insert(machine)
    }

    /// The networks that somebody hangs on, and a stranger on each.
    fn networks(&mut self) {
        let mut nets: Vec<Net> = self
            .source
            .declaration
            .routers
            .iter()
            .flat_map(|router| router.uplinks.iter().map(Uplink::network))
            .collect();
        if !self.source.plan.laptops.is_empty() {
            nets.push(Net::Internet);
        }
        nets.sort();
        nets.dedup();
        for net in nets {
            let number = network_number(net);
            self.machine(net.name(), MachineRole::Network, None).addresses = network_addresses(net);
            let stranger = self.machine(&format!("stranger-{}", net.name()), MachineRole::Stranger, None);
            stranger.addresses = vec![IpAddr::V6(Ipv6Addr::new(0x3fff, 0xfff, number, 0, 0, 0, 0, 0x66))];
            if net.is_open() {
                stranger.addresses.push(IpAddr::V4(Ipv4Addr::new(198, 19, 255, 66)));
            }
        }
    }

    fn router(&mut self, router: &Router) -> Result<(), Mismatch> {
        let plan = self.plan(&router.name)?;
        let mut addresses: Vec<IpAddr> = addresses_on(plan, Plane::Fabric, &IfName::loopback());
        addresses.extend(addresses_on(plan, Plane::Management, &plan.management.overlay.device));
        let machine = self.machine(&router.name, MachineRole::Router, Some(&router.site));
        machine.addresses = addresses;
        machine.processes = ProcessKind::ALL.to_vec();
        let name = machine.name.clone();
        self.lab.plans.insert(name, plan.clone());
        for uplink in &router.uplinks {
            self.uplink(router, plan, uplink);
        }
        if let Some(port) = &router.management_port {
            self.switch_port(&router.site, &router.name, port, "mgmt", ETHERNET_MTU);
        }
        Ok(())
    }

    fn uplink(&mut self, router: &Router, plan: &RouterPlan, uplink: &Uplink) {
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
    fn access(&mut self, mut line: Line) {
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

    fn device(&mut self, device: &DevicePlan) {
        let machine = self.machine(&device.name, MachineRole::Device, Some(&device.site));
        machine.addresses = vec![device.address.into()];
        machine.gateway = device.gateway.map(IpAddr::V6);
        let name = machine.name.clone();
        self.switch_port(&device.site, &name, &interface("eth0"), "mgmt", ETHERNET_MTU);
    }

    fn laptop(&mut self, plan: &RouterPlan) {
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

    /// Plugs a machine's port into a bridge of its site's switch; the switch's own port.
    fn switch_port(&mut self, site: &str, machine: &str, port: &IfName, bridge: &str, mtu: u16) -> Tap {
        let switch = format!("switch-{site}");
        let exists = |found: &Machine| found.role == MachineRole::Switch;
        if !self.lab.machines.get(&switch).is_some_and(exists) {
            self.machine(&switch, MachineRole::Switch, Some(site));
        }
        let taken = self.lab.plugs.iter().filter(|plug| plug.switch == switch).count();
        let readable = format!("{machine}-{port}");
        let fits =
            readable.len() <= 15 && !self.lab.plugs.iter().any(|plug| plug.interface.as_str() == readable);
        let own = interface(&if fits { readable } else { format!("port{taken}") });
        self.lab.plugs.push(Plug {
            switch: switch.clone(),
            interface: own.clone(),
            bridge: interface(bridge),
            machine: machine.into(),
            plane: Plane::Management,
            port: port.clone(),
            mtu,
        });
        Tap { machine: switch, interface: own }
    }

    fn link(&mut self, link: &Link) -> Result<(), Mismatch> {
        let [one, other] = [&*link.between[0], &*link.between[1]].map(|name| name.to_string());
        let mtu = self.source.declaration.network.mtu();
        let name = self.wire_name(&format!("{one}-{other}"));
        if *link.by == LinkBy::Ethernet {
            let Some(ports) = &link.ports else { return Err(Mismatch(format!("{name} has no ports"))) };
            let site = self.site_of(&one)?;
            let bridge = format!("link{}", self.lab.wires.len());
            let end = |layout: &mut Self, machine: &str, port: &IfName| WireEnd {
                machine: machine.into(),
                interface: port.clone(),
                tap: layout.switch_port(&site, machine, port, &bridge, mtu),
                flow: None,
            };
            let ends = [end(self, &one, &ports[0]), end(self, &other, &ports[1])];
            let by = WireKind::Ethernet;
            self.lab.wires.push(Wire { name, outside: false, by, mtu, path_mtu: mtu, ends });
            return Ok(());
        }
        let Some(over) = &link.over else { return Err(Mismatch(format!("{name} has no uplinks"))) };
        let tunnels = [self.next_tunnel(&one)?, self.next_tunnel(&other)?];
        let lines = [self.line(&one, &over[0])?, self.line(&other, &over[1])?];
        let ends = [
            wire_end(&one, tunnels[0], lines[0], lines[1])?,
            wire_end(&other, tunnels[1], lines[1], lines[0])?,
        ];
        let path_mtu = tunnels[0].path_mtu.min(tunnels[1].path_mtu);
        let by = kind_of(&tunnels[0].encapsulation);
        self.lab.wires.push(Wire { name, outside: false, by, mtu: tunnels[0].mtu, path_mtu, ends });
        Ok(())
    }

    fn peer(&mut self, peer: &Peer, at: &PeerAt) -> Result<(), Mismatch> {
        let router = (*at.router).clone();
        let number = u8::try_from(self.lab.peers.len()).unwrap_or(u8::MAX);
        let machine = self.machine(&peer.name, MachineRole::StandIn, None);
        let name = machine.name.clone();
        let host = self.machine(&format!("host-{name}"), MachineRole::Host, None).name.clone();
        let wire = self.wire_name(&format!("{router}-{}", *peer.name));
        let addresses: Vec<IpAddr> = at.neighbours.iter().map(|address| **address).collect();
        let (mut prefixes, mut host_addresses) = behind(peer, number);
        // What it has no session to tell of, nobody finds there.
        let carried = |it: IpAddr| addresses.iter().any(|address| address.is_ipv6() == it.is_ipv6());
        prefixes.retain(|prefix| carried(prefix.addr()));
        host_addresses.retain(|address| carried(*address));
        let mut stand = PeerStand {
            peer: (*peer.name).clone(),
            machine: name.clone(),
            host: host.clone(),
            router: router.clone(),
            interface: interface("peer"),
            addresses,
            router_addresses: at.addresses.iter().map(|prefix| prefix.addr()).collect(),
            prefixes,
            host_addresses,
        };
        if let Some(host) = self.lab.machines.get_mut(&host) {
            host.addresses.clone_from(&stand.host_addresses);
        }
        let wire = match *at.by {
            PeerBy::Ethernet => self.peer_by_ethernet(wire, &stand, at)?,
            PeerBy::EtherIp | PeerBy::Gretap => self.peer_by_tunnel(wire, &mut stand, at)?,
        };
        self.lab.wires.push(wire);
        self.lab.peers.push(stand);
        Ok(())
    }

    fn peer_by_ethernet(&mut self, name: String, stand: &PeerStand, at: &PeerAt) -> Result<Wire, Mismatch> {
        let Some(port) = &at.port else { return Err(Mismatch(format!("{name} has no port"))) };
        let site = self.site_of(&stand.router)?;
        let bridge = format!("link{}", self.lab.wires.len());
        let mtu = at.mtu();
        let ours = self.switch_port(&site, &stand.router, port, &bridge, mtu);
        let theirs = self.switch_port(&site, &stand.machine, &stand.interface, &bridge, mtu);
        if let Some(plug) = self.lab.plugs.last_mut() {
            plug.plane = Plane::Fabric;
        }
        let ends = [
            WireEnd { machine: stand.router.clone(), interface: (**port).clone(), tap: ours, flow: None },
            WireEnd {
                machine: stand.machine.clone(),
                interface: stand.interface.clone(),
                tap: theirs,
                flow: None,
            },
        ];
        Ok(Wire { name, outside: true, by: WireKind::Ethernet, mtu, path_mtu: mtu, ends })
    }

    fn peer_by_tunnel(&mut self, name: String, stand: &mut PeerStand, at: &PeerAt) -> Result<Wire, Mismatch> {
        let (Some(over), Some(remote)) = (&at.over, &at.remote) else {
            return Err(Mismatch(format!("{name} has no far end")));
        };
        let remote = **remote;
        let tunnel = self.next_tunnel(&stand.router)?;
        let ours = self.line(&stand.router, over)?.clone();
        let length = if remote.is_ipv6() { 64 } else { 24 };
        let gateway = match remote {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0xffff | 0xfffe)),
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !0xff | 0xfe)),
        };
        let theirs = Line {
            machine: stand.machine.clone(),
            name: "line".into(),
            port: interface("eth1"),
            interface: interface("eth1"),
            plane: Plane::Underlay,
            access: format!("{}.line", stand.machine),
            network: ours.network.clone(),
            path_mtu: ETHERNET_MTU,
            port_mtu: ETHERNET_MTU,
            nat: false,
            passes: Passes::ALL,
            addresses: prefix(remote, length).into_iter().collect(),
            outside: vec![remote],
            gateways: vec![gateway],
            client: false,
        };
        let mirrored = super::peer::mirror(tunnel, &theirs, &ours, stand)?;
        let ends = [
            wire_end(&stand.router, tunnel, &ours, &theirs)?,
            wire_end(&stand.machine, &mirrored.tunnels[0], &theirs, &ours)?,
        ];
        let wire = Wire {
            name,
            outside: true,
            by: kind_of(&tunnel.encapsulation),
            mtu: tunnel.mtu,
            path_mtu: tunnel.path_mtu,
            ends,
        };
        self.lab.plans.insert(stand.machine.clone(), mirrored);
        if let Some(machine) = self.lab.machines.get_mut(&stand.machine) {
            machine.processes = vec![ProcessKind::Datapath];
        }
        self.access(theirs);
        Ok(wire)
    }

    /// A host at each port.
    fn segment(&mut self, segment: &Segment) -> Result<(), Mismatch> {
        let gateways: Vec<Prefix> =
            segment.gateway.iter().flat_map(|list| list.iter()).map(|it| **it).collect();
        for (number, at) in (0..).zip(segment.ports.iter()) {
            let missing = || Mismatch(format!("{}: no port {} in a bridge", at.router, at.port));
            let mut links = self.plan(&at.router)?.fabric.links.iter();
            let link = links.find(|link| link.name == at.port).ok_or_else(missing)?;
            let bridge = link.master.clone().ok_or_else(missing)?;
            let addresses: Vec<Prefix> =
                gateways.iter().filter_map(|gateway| guest_address(*gateway, number)).collect();
            let machine = self.machine(&format!("host-{}", *segment.name), MachineRole::Guest, None);
            machine.addresses = addresses.iter().map(Prefix::addr).collect();
            let guest = Guest {
                machine: machine.name.clone(),
                router: at.router.clone(),
                port: at.port.clone(),
                bridge,
                gateways: gateways.clone(),
                addresses,
            };
            self.lab.guests.push(guest);
        }
        Ok(())
    }

    fn wire_name(&self, wanted: &str) -> String {
        let taken = |name: &str| self.lab.wires.iter().any(|wire| wire.name == name);
        let mut name = wanted.to_owned();
        for n in 2.. {
            if !taken(&name) {
                break;
            }
            name = format!("{wanted}.{n}");
        }
        name
    }

    fn plan(&self, router: &str) -> Result<&'a RouterPlan, Mismatch> {
        let found = self.source.plan.routers.iter().find(|plan| plan.name == router);
        found.ok_or_else(|| Mismatch(format!("no plan for {router}")))
    }

    fn next_tunnel(&mut self, router: &str) -> Result<&'a Tunnel, Mismatch> {
        let plan = self.plan(router)?;
        let next = self.tunnels.entry(router.to_owned()).or_insert(0);
        *next += 1;
        plan.tunnels.get(*next - 1).ok_or_else(|| Mismatch(format!("{router} has too few tunnels")))
    }

    fn line(&self, machine: &str, name: &str) -> Result<&Line, Mismatch> {
        let found = self.lab.lines.iter().find(|line| line.machine == machine && line.name == name);
        found.ok_or_else(|| Mismatch(format!("{machine} has no line {name}")))
    }

    fn site_of(&self, router: &str) -> Result<String, Mismatch> {
        let found = self.source.declaration.routers.iter().find(|found| *found.name == router);
        found.map(|found| (*found.site).clone()).ok_or_else(|| Mismatch(format!("no router {router}")))
    }
}

/// The addresses that an underlay network itself answers from.
fn network_addresses(net: Net) -> Vec<IpAddr> {
    let v6 = IpAddr::V6(Ipv6Addr::new(0x3fff, 0xfff, network_number(net), 0, 0, 0, 0, 1));
    if net.is_open() { vec![v6, IpAddr::V4(Ipv4Addr::new(198, 19, 255, 1))] } else { vec![v6] }
}

fn network_number(net: Net) -> u16 {
    match net {
        Net::Internet => 0,
        Net::NgnEast => 1,
        Net::NgnWest => 2,
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

fn addresses_on(plan: &RouterPlan, plane: Plane, link: &IfName) -> Vec<IpAddr> {
    let on_link = plan.plane(plane).addresses.iter().filter(|address| address.link == *link);
    on_link.map(|address| address.prefix.addr()).collect()
}

fn wire_end(machine: &str, tunnel: &Tunnel, own: &Line, far: &Line) -> Result<WireEnd, Mismatch> {
    let of_family = |address: &IpAddr| address.is_ipv6() == tunnel.outer_ipv6;
    let missing = || Mismatch(format!("{machine}: no outer address for {}", tunnel.name));
    let local = own.addresses.iter().map(Prefix::addr).find(of_family).ok_or_else(missing)?;
    let remote = far.outside.iter().copied().find(of_family).ok_or_else(missing)?;
    let (protocol, ports) = match &tunnel.encapsulation {
        Encapsulation::Gre { .. } | Encapsulation::Gretap { .. } => (47, None),
        Encapsulation::EtherIp => (97, None),
        Encapsulation::WireGuard { local_port, remote_port, .. } => {
            (17, Some((*local_port, (!far.nat).then_some(*remote_port))))
        }
    };
    Ok(WireEnd {
        machine: machine.into(),
        interface: tunnel.name.clone(),
        tap: Tap { machine: own.access.clone(), interface: interface("line") },
        flow: Some(Flow { local, remote, protocol, ports }),
    })
}

fn kind_of(encapsulation: &Encapsulation) -> WireKind {
    match encapsulation {
        Encapsulation::Gre { .. } => WireKind::Gre,
        Encapsulation::Gretap { .. } => WireKind::Gretap,
        Encapsulation::EtherIp => WireKind::EtherIp,
        Encapsulation::WireGuard { .. } => WireKind::WireGuard,
    }
}

fn prefix(address: IpAddr, length: u8) -> Option<Prefix> {
    Prefix::new(address, length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(text: &str) -> Lab {
        let declaration = tsumugi_plan::check(text).expect("a sound file").declaration;
        let plan = tsumugi_plan::compile::compile(&declaration).expect("a plan");
        let file = Path::new("network.toml");
        lay_out(&Source { name: "a", file, text, declaration: &declaration, plan: &plan }).expect("a layout")
    }

    #[test]
    fn the_whole_example_finds_its_lines_wires_and_stand_ins() {
        let lab = lab(include_str!("../../../../examples/as63806.toml"));
        assert_eq!(lab.machines_of(MachineRole::Router).count(), 10);
        assert_eq!(lab.wires.len(), 16 + 4);
        assert_eq!(
            lab.peers.iter().map(|peer| peer.machine.as_str()).collect::<Vec<_>>(),
            ["telhi", "homenoc", "jcix", "kagari"]
        );
        let kagari = lab.peer("kagari").expect("a customer");
        assert_eq!(
            kagari.host_addresses,
            ["1.2.3.16", "2d00:63::10"].map(|it| it.parse::<IpAddr>().unwrap())
        );
        let [guest] = &lab.guests[..] else { panic!("{:?}", lab.guests) };
        assert_eq!((guest.machine.as_str(), guest.bridge.as_str()), ("host-guests", "seg-guests"));
        let own = ["43.228.174.226/28", "2402:3160:e00::2/64"].map(|it| it.parse::<Prefix>().unwrap());
        assert_eq!(guest.addresses, own);
        for wire in &lab.wires {
            for end in &wire.ends {
                let plan = &lab.plans[&end.machine];
                assert!(plan.fabric.links.iter().any(|link| link.name == end.interface), "{}", wire.name);
                assert!(lab.machines.contains_key(&end.tap.machine), "{}", wire.name);
                assert_eq!(end.flow.is_none(), wire.by == WireKind::Ethernet);
            }
        }
        let lte = lab.lines.iter().find(|line| line.access == "hr0303.lte").expect("a line");
        assert!(lte.nat && lte.client && lte.path_mtu == 1280);
        let shared = lab.lines.iter().find(|line| line.access == "hr0303.ftth").expect("a line");
        assert_eq!((shared.port.as_str(), shared.plane), ("eth0", Plane::Underlay));
        assert_ne!(shared.interface, shared.port);
    }

    #[test]
    fn what_the_lab_gives_is_unique() {
        let lab = lab(include_str!("../../../../examples/as63806.toml"));
        let mut outside: Vec<IpAddr> = lab.lines.iter().flat_map(|line| line.outside.clone()).collect();
        let all = outside.len();
        outside.sort();
        outside.dedup();
        assert_eq!(outside.len(), all);
    }
}

//! Links of the file and outside connections.

use super::super::PeerStand;
use super::super::hosts::behind;
use super::super::machine::MachineRole;
use super::super::peer::{FarEnd, mirror};
use super::super::processes::ProcessKind;
use super::super::wire::{Flow, Line, Passes, Tap, Wire, WireEnd, WireKind, interface};
use super::{ETHERNET_MTU, Layout, Mismatch, prefix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::id::{IfName, Plane, Prefix};
use tsumugi_core::router_plan::{Encapsulation, Tunnel, TunnelClamp};
use tsumugi_plan::declaration::{Link, LinkBy, Peer, PeerAt, PeerBy};

impl Layout<'_> {
    pub(super) fn link(&mut self, link: &Link) -> Result<(), Mismatch> {
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
            self.lab.wires.push(Wire { name, outside: false, by, clamped: false, mtu, path_mtu: mtu, ends });
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
        let clamped = tunnels.iter().all(|tunnel| tunnel.clamp == TunnelClamp::Auto);
        self.lab.wires.push(Wire { name, outside: false, by, clamped, mtu: tunnels[0].mtu, path_mtu, ends });
        Ok(())
    }

    pub(super) fn peer(&mut self, peer: &Peer, at: &PeerAt) -> Result<(), Mismatch> {
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
        let stand = PeerStand {
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
            PeerBy::EtherIp | PeerBy::Gretap | PeerBy::Geneve => self.peer_by_tunnel(wire, &stand, at)?,
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
        Ok(Wire { name, outside: true, by: WireKind::Ethernet, clamped: false, mtu, path_mtu: mtu, ends })
    }

    fn peer_by_tunnel(&mut self, name: String, stand: &PeerStand, at: &PeerAt) -> Result<Wire, Mismatch> {
        let (Some(over), Some(remote)) = (&at.over, &at.remote) else {
            return Err(Mismatch(format!("{name} has no far end")));
        };
        let tunnel = self.next_tunnel(&stand.router)?;
        let ours = self.line(&stand.router, over)?.clone();
        let far = FarEnd {
            machine: stand.machine.clone(),
            network: stand.peer.clone(),
            interface: stand.interface.clone(),
            router: stand.router.clone(),
        };
        self.lead_to(name, tunnel, &ours, **remote, &far)
    }

    /// A tunnel to a machine of somebody else, which is given a line in the same network and a datapath
    /// process of its own.
    pub(super) fn lead_to(
        &mut self,
        name: String,
        tunnel: &Tunnel,
        ours: &Line,
        remote: IpAddr,
        far: &FarEnd,
    ) -> Result<Wire, Mismatch> {
        let length = if remote.is_ipv6() { 64 } else { 24 };
        let gateway = match remote {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0xffff | 0xfffe)),
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !0xff | 0xfe)),
        };
        let theirs = Line {
            machine: far.machine.clone(),
            name: "line".into(),
            port: interface("eth1"),
            interface: interface("eth1"),
            plane: Plane::Underlay,
            access: format!("{}.line", far.machine),
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
        let mirrored = mirror(tunnel, &theirs, ours, far)?;
        let ends = [
            wire_end(&far.router, tunnel, ours, &theirs)?,
            wire_end(&far.machine, &mirrored.tunnels[0], &theirs, ours)?,
        ];
        let wire = Wire {
            name,
            outside: true,
            by: kind_of(&tunnel.encapsulation),
            clamped: tunnel.clamp == TunnelClamp::Auto,
            mtu: tunnel.mtu,
            path_mtu: tunnel.path_mtu,
            ends,
        };
        self.lab.plans.insert(far.machine.clone(), mirrored);
        if let Some(machine) = self.lab.machines.get_mut(&far.machine) {
            machine.processes = vec![ProcessKind::Datapath];
        }
        self.access(theirs);
        Ok(wire)
    }
}

fn wire_end(machine: &str, tunnel: &Tunnel, own: &Line, far: &Line) -> Result<WireEnd, Mismatch> {
    let of_family = |address: &IpAddr| address.is_ipv6() == tunnel.outer_ipv6;
    let missing = || Mismatch(format!("{machine}: no outer address for {}", tunnel.name));
    let local = own.addresses.iter().map(Prefix::addr).find(of_family).ok_or_else(missing)?;
    let remote = far.outside.iter().copied().find(of_family).ok_or_else(missing)?;
    let (protocol, ports) = match &tunnel.encapsulation {
        Encapsulation::Gre { .. } | Encapsulation::Gretap { .. } => (47, None),
        Encapsulation::EtherIp => (97, None),
        // Its source ports are those of flows inside.
        Encapsulation::Geneve { .. } => (17, None),
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
        Encapsulation::Geneve { .. } => WireKind::Geneve,
        Encapsulation::WireGuard { .. } => WireKind::WireGuard,
    }
}

//! What every proof needs: the lab, its namespaces, its routers' addresses.

use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::Netlink;
use crate::kernel::route::{NextHopInfo, RouteInfo, TargetInfo};
use crate::lab::{Lab, Machine, MachineRole, Wire, WireEnd, WireKind};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use tsumugi_core::id::{Plane, Prefix};

/// `RTPROT_BOOT`: routes of nobody who keeps them.
const NOBODY: u8 = 3;
/// The metric that is looked at before all others.
const FOREMOST: u32 = 1;

pub struct Context<'a> {
    pub lab: &'a Lab,
}

impl<'a> Context<'a> {
    /// # Errors
    /// If the lab has no such machine.
    pub fn machine(&self, name: &str) -> io::Result<&'a Machine> {
        self.lab.machine(name).ok_or_else(|| io::Error::other(format!("no machine {name}")))
    }

    /// Runs `work` in one plane of a machine.
    ///
    /// # Errors
    /// If the namespace cannot be entered, and whatever `work` fails with.
    pub fn within<T: Send>(
        &self,
        machine: &str,
        plane: Plane,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        self.namespace(machine, plane)?.run(work)
    }

    /// # Errors
    /// If the machine or its namespace is not there.
    pub fn namespace(&self, machine: &str, plane: Plane) -> io::Result<Namespace> {
        let path = self.machine(machine)?.namespace_path(plane);
        Namespace::open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{machine}, {plane}: {error}")))
    }

    pub fn routers(&self) -> Vec<&'a Machine> {
        self.lab.machines_of(MachineRole::Router).collect()
    }

    /// The management space of the network.
    pub fn management_space(&self) -> Option<Prefix> {
        // A stand-in's plan states a space as well, which is nobody's.
        let of_router = self.routers().into_iter().find_map(|router| self.lab.plans.get(&router.name));
        of_router.map(|plan| plan.management.overlay.space)
    }

    /// A router's loopbacks: its addresses outside the management space.
    pub fn loopbacks(&self, router: &Machine) -> Vec<IpAddr> {
        self.split(router).1
    }

    /// A machine's addresses within the management space.
    pub fn management_addresses(&self, machine: &Machine) -> Vec<IpAddr> {
        self.split(machine).0
    }

    fn split(&self, machine: &Machine) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let space = self.management_space();
        machine.addresses.iter().partition(|address| space.is_some_and(|space| space.contains(*address)))
    }

    /// The router that has this loopback.
    pub fn router_of(&self, loopback: IpAddr) -> Option<&'a Machine> {
        self.lab.machines_of(MachineRole::Router).find(|router| self.loopbacks(router).contains(&loopback))
    }

    /// Links of the file that travel in outer packets.
    pub fn tunnels(&self) -> impl Iterator<Item = &'a Wire> + use<'a> {
        self.lab.wires.iter().filter(|wire| !wire.outside && wire.by != WireKind::Ethernet)
    }
}

/// What a link is called in one direction: `A → B`, with `.2` for a second one between the same two.
pub fn direction(wire: &Wire, from: &WireEnd, to: &WireEnd) -> String {
    let parallel = wire.name.rsplit_once('.').filter(|(_, number)| number.parse::<u8>().is_ok());
    let suffix = parallel.map_or(String::new(), |(_, number)| format!(" .{number}"));
    format!("{} → {}{suffix}", from.machine, to.machine)
}

/// Routes that exist for one proof: both ends of a link reach each other's loopbacks over it alone.
/// Dropping it takes them away again.
pub struct Pinned {
    pins: Vec<Pin>,
    /// A loopback of the first and one of the second end, for each family that both have.
    pub pairs: Vec<[IpAddr; 2]>,
}

struct Pin {
    netlink: Netlink,
    routes: Vec<RouteInfo>,
}

impl Pinned {
    /// # Errors
    /// What the kernel says.
    pub fn over(context: &Context, wire: &Wire) -> io::Result<Pinned> {
        let [near, far] = &wire.ends;
        let loopbacks = |end: &WireEnd| Ok::<_, io::Error>(context.loopbacks(context.machine(&end.machine)?));
        let pairs = pairs(&loopbacks(near)?, &loopbacks(far)?);
        let mut pinned = Pinned { pins: Vec::new(), pairs: pairs.clone() };
        for (number, end) in wire.ends.iter().enumerate() {
            let far = &wire.ends[1 - number];
            let via = link_local(context, &far.machine)?;
            let mut netlink = Netlink::open_in(&context.namespace(&end.machine, Plane::Fabric)?)?;
            let link = netlink.index(&end.interface)?;
            let mut pin = Pin { netlink, routes: Vec::new() };
            let ways = pairs.iter().map(|pair| (pair[number], pair[1 - number]));
            let done = ways.into_iter().try_for_each(|(own, far)| pin.set(link, via, own, far));
            // Kept even if it failed half way: dropped, it is taken back.
            pinned.pins.push(pin);
            done?;
        }
        Ok(pinned)
    }
}

/// An address of one and one of the other end, for each family that both have, IPv4 first.
pub fn pairs(near: &[IpAddr], far: &[IpAddr]) -> Vec<[IpAddr; 2]> {
    let of = |addresses: &[IpAddr], ipv6| addresses.iter().copied().find(|it| it.is_ipv6() == ipv6);
    [false, true].into_iter().filter_map(|ipv6| Some([of(near, ipv6)?, of(far, ipv6)?])).collect()
}

impl Pin {
    fn set(&mut self, link: u32, via: IpAddr, own: IpAddr, far: IpAddr) -> io::Result<()> {
        let route = RouteInfo {
            prefix: Prefix::from(far),
            target: TargetInfo::NextHops(vec![NextHopInfo { link, via: Some(via) }]),
            source: Some(own),
            mtu: None,
            metric: Some(FOREMOST),
            protocol: NOBODY,
        };
        self.netlink.set_route(&route)?;
        self.routes.push(route);
        Ok(())
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // What is gone already needs no taking back.
        for route in &self.routes {
            let _ = self.netlink.delete_route(route);
        }
    }
}

/// A router's link-local address: fe80:: and its id, on every link.
fn link_local(context: &Context, machine: &str) -> io::Result<IpAddr> {
    let plan =
        context.lab.plans.get(machine).ok_or_else(|| io::Error::other(format!("no plan of {machine}")))?;
    Ok(IpAddr::V6(Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(plan.id))))
}

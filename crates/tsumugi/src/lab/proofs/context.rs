//! What every proof needs: the lab, its namespaces, its routers' addresses.

use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::Netlink;
use crate::kernel::route::{NextHopInfo, RouteInfo, TargetInfo};
use crate::lab::{Lab, Machine, MachineRole, Wire, WireEnd, WireKind};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::id::{IfName, Plane, Prefix};

/// `RTPROT_BOOT`: routes of nobody who keeps them.
const NOBODY: u8 = 3;

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
        self.lab.plans.values().next().map(|plan| plan.management.overlay.space)
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

/// Addresses that exist for one proof on both ends of one link, and are reached over it alone.
/// Dropping it takes them away again.
pub struct TestAddresses {
    given: Vec<Given>,
    /// Of the first and the second end, IPv4 then IPv6.
    pub ends: [[IpAddr; 2]; 2],
}

struct Given {
    netlink: Netlink,
    loopback: u32,
    addresses: Vec<Prefix>,
    routes: Vec<RouteInfo>,
}

impl TestAddresses {
    /// Gives both ends of an inside link an address of 198.18.0.0/15 (RFC 2544) and of 2001:2::/48
    /// (RFC 5180) on the fabric's loopback interface, and routes to each other's over the link.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn give(context: &Context, wire: &Wire) -> io::Result<TestAddresses> {
        let ends = [1, 2].map(|number| {
            [
                IpAddr::V4(Ipv4Addr::new(198, 18, 0, number)),
                IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, u16::from(number))),
            ]
        });
        let mut test = TestAddresses { given: Vec::new(), ends };
        for (number, end) in wire.ends.iter().enumerate() {
            let far = &wire.ends[1 - number];
            let via = link_local(context, &far.machine)?;
            let namespace = context.namespace(&end.machine, Plane::Fabric)?;
            let mut netlink = Netlink::open_in(&namespace)?;
            let loopback = netlink.index(&IfName::loopback())?;
            let link = netlink.index(&end.interface)?;
            let mut given = Given { netlink, loopback, addresses: Vec::new(), routes: Vec::new() };
            let done = given.fill(link, via, &test.ends[number], &test.ends[1 - number]);
            // Kept even if it failed half way: dropped, it is taken back.
            test.given.push(given);
            done?;
        }
        Ok(test)
    }
}

impl Given {
    fn fill(&mut self, link: u32, via: IpAddr, own: &[IpAddr; 2], far: &[IpAddr; 2]) -> io::Result<()> {
        for address in own {
            let prefix = Prefix::from(*address);
            self.netlink.add_foreign_address(self.loopback, prefix)?;
            self.addresses.push(prefix);
        }
        for (address, source) in far.iter().zip(own) {
            let route = RouteInfo {
                prefix: Prefix::from(*address),
                target: TargetInfo::NextHops(vec![NextHopInfo { link, via: Some(via) }]),
                source: Some(*source),
                mtu: None,
                metric: None,
                protocol: NOBODY,
            };
            self.netlink.set_route(&route)?;
            self.routes.push(route);
        }
        Ok(())
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // What is gone already needs no taking back.
        for route in &self.routes {
            let _ = self.netlink.delete_route(route);
        }
        for address in &self.addresses {
            let _ = self.netlink.delete_address(self.loopback, *address);
        }
    }
}

/// A router's link-local address: fe80:: and its id, on every link.
fn link_local(context: &Context, machine: &str) -> io::Result<IpAddr> {
    let plan =
        context.lab.plans.get(machine).ok_or_else(|| io::Error::other(format!("no plan of {machine}")))?;
    Ok(IpAddr::V6(Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(plan.id))))
}

//! From a file and its plans to a lab: which machines there are, where each line leads, which
//! addresses the lab gives. Nothing is made here.
//!
//! The lab's own addresses are from ranges that no file states: 3fff::/20 (RFC 9637), 198.18.0.0/15
//! (RFC 2544) for what the Internet sees, 100.64.0.0/10 (RFC 6598) behind carrier NAT, 169.254.0.0/16
//! between routers of the underlay.

mod lines;
mod links;
mod segments;

use super::Lab;
use super::machine::{Machine, MachineRole};
use super::processes::ProcessKind;
use super::wire::{Line, Plug, Tap, interface};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use tsumugi_core::id::{IfName, Plane, Prefix};
use tsumugi_core::router_plan::{RouterPlan, Tunnel};
use tsumugi_plan::Declaration;
use tsumugi_plan::compile::{DevicePlan, NetworkPlan};
use tsumugi_plan::declaration::line::Net;
use tsumugi_plan::declaration::{Router, Uplink};

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
        layout.segment(&segment.name)?;
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
            segments: Vec::new(),
            vlans: false,
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

    fn device(&mut self, device: &DevicePlan) {
        let machine = self.machine(&device.name, MachineRole::Device, Some(&device.site));
        machine.addresses = vec![device.address.into()];
        machine.gateway = device.gateway.map(IpAddr::V6);
        let name = machine.name.clone();
        self.switch_port(&device.site, &name, &interface("eth0"), "mgmt", ETHERNET_MTU);
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

    fn wire_name(&self, wanted: &str) -> String {
        let wires = || self.lab.wires.iter().chain(self.lab.member_wires());
        let taken = |name: &str| wires().any(|wire| wire.name == name);
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
        // Those that are ports of segments are known by their names.
        let mut tunnels = plan.tunnels.iter().filter(|tunnel| !segments::is_port(plan, &tunnel.name));
        tunnels.nth(*next - 1).ok_or_else(|| Mismatch(format!("{router} has too few tunnels")))
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

fn addresses_on(plan: &RouterPlan, plane: Plane, link: &IfName) -> Vec<IpAddr> {
    let on_link = plan.plane(plane).addresses.iter().filter(|address| address.link == *link);
    on_link.map(|address| address.prefix.addr()).collect()
}

fn prefix(address: IpAddr, length: u8) -> Option<Prefix> {
    Prefix::new(address, length).ok()
}

#[cfg(test)]
mod tests {
    use super::super::WireKind;
    use super::*;

    fn lab(text: &str) -> Lab {
        let declaration = tsumugi_plan::check(text).expect("a sound file").declaration;
        let plan = tsumugi_plan::compile::compile(&declaration).expect("a plan");
        let file = Path::new("network.toml");
        lay_out(&Source { name: "a", file, text, declaration: &declaration, plan: &plan }).expect("a layout")
    }

    #[test]
    fn the_whole_example_finds_its_lines_wires_and_stand_ins() {
        let lab = lab(include_str!("../../../../../examples/as63806.toml"));
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
    fn every_lan_of_a_segment_has_a_host() {
        let lab = lab(include_str!("../../../../../examples/as63806.toml"));
        let hosts = |name: &str| {
            let segment = lab.segment(name).expect("a segment");
            let hosts = lab.guests_of(segment).map(|guest| (guest.machine.as_str(), guest.port.as_str()));
            hosts.collect::<Vec<_>>()
        };
        let members = [
            ("host-members-er0111", "eth5"),
            ("host-members-er0211", "eth6"),
            ("host-members-hr0301", "eth5"),
        ];
        assert_eq!(hosts("members"), members);
        assert_eq!(hosts("guests"), [("host-guests-er0111", "eth6"), ("host-guests-er0211", "eth5")]);
        let room = lab.segment("guests").and_then(|segment| segment.lan_of("host-guests-er0111"));
        let ends = room.map(|lan| lan.ends.iter().map(|end| end.router.as_str()).collect::<Vec<_>>());
        assert_eq!(ends, Some(vec!["er0111", "er0112"]), "the active one first");
        let guest = lab.routed_guests().next().expect("a guest");
        let own = ["43.228.174.226/28", "2402:3160:e00::2/64"].map(|it| it.parse::<Prefix>().unwrap());
        assert_eq!(guest.addresses, own);
        let member = lab.member_wires().next().expect("a member's tunnel");
        assert_eq!(member.name, "cr0102-member-peering-lan");
        assert!(lab.plans.contains_key(&member.ends[1].machine));
    }

    #[test]
    fn what_the_lab_gives_is_unique() {
        let lab = lab(include_str!("../../../../../examples/as63806.toml"));
        let mut outside: Vec<IpAddr> = lab.lines.iter().flat_map(|line| line.outside.clone()).collect();
        let all = outside.len();
        outside.sort();
        outside.dedup();
        assert_eq!(outside.len(), all);
    }
}

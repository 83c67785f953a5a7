//! A segment on hand-written plans, and hosts behind its ports.

use super::plans::{name, router};
use super::world::{Machine, World, wait};
use std::net::IpAddr;
use tsumugi_core::bgp::config::Family;
use tsumugi_core::desired::{Link, LinkKind, PortWall, SegmentWall, Sysctl};
use tsumugi_core::evpn::config::{SegmentConfig, SegmentPort, Stretch};
use tsumugi_core::id::Vni;
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_core::wire::bgp::{RouteDistinguisher, RouteTarget};

pub const VNI: Vni = Vni(100);
/// Of the segment, in `bridge fdb` of every router.
pub const VXLAN: &str = "vx-members";
/// The port of every router that carries the segment.
pub const PORT: &str = "port1";
/// What a host may send whole, in bytes of IP.
const MTU: u32 = 1500;

/// The segment's route target, as it is written.
pub fn route_target() -> RouteTarget {
    RouteTarget::of_two_octet_as(63806, VNI.0)
}

/// A router that carries the segment on [`PORT`], its VTEP the loopback `vtep`.
pub fn carrier(id: u32, vtep: IpAddr) -> RouterPlan {
    let mut plan = router(id);
    let speaker = plan.speaker.as_ref().unwrap();
    let (bridge, vxlan, port) = (name("seg-members"), name(VXLAN), name(PORT));
    let stretch = Stretch {
        vxlan: vxlan.clone(),
        vtep,
        rd: RouteDistinguisher::of_router(speaker.router_id, 100),
        import: vec![route_target()],
        export: vec![route_target()],
    };
    plan.evpn.network = 1;
    plan.evpn.router = id;
    plan.evpn.segments.push(SegmentConfig {
        name: "members".into(),
        vni: VNI,
        bridge: bridge.clone(),
        stretch: Some(stretch),
        ports: vec![SegmentPort { link: port.clone(), number: 1, lan: None }],
        gateway: None,
    });
    let device = |name, kind, master| Link {
        name,
        alias: "of segment members".into(),
        kind,
        mtu: MTU,
        mac: None,
        master,
    };
    plan.fabric.links.extend([
        device(bridge.clone(), LinkKind::Bridge, None),
        device(vxlan.clone(), LinkKind::Vxlan { vni: VNI, local: vtep }, Some(bridge.clone())),
        device(port.clone(), LinkKind::Port, Some(bridge.clone())),
    ]);
    plan.fabric.sysctls.extend([&bridge, &vxlan, &port].map(|link| Sysctl {
        key: format!("net/ipv6/conf/{link}/disable_ipv6"),
        value: "1".into(),
        optional: false,
    }));
    plan.fabric.segment_walls.push(SegmentWall {
        bridge,
        vxlan: Some(vxlan),
        ports: vec![PortWall { link: port, storm_limit: 1000, starts_blocked: false }],
        gateway: None,
        clamp_v4: None,
        clamp_v6: None,
    });
    plan
}

/// Every inside session carries EVPN too.
pub fn speak_evpn(plan: &mut RouterPlan) {
    for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
        neighbour.families.push(Family::Evpn);
    }
}

/// A host behind a port.
pub struct Host {
    pub machine: Machine,
    pub mac: String,
    pub v4: String,
    pub v6: String,
}

/// A host with the number `n` on [`PORT`] of a machine.
pub fn host(world: &mut World, n: u8, behind: &Machine) -> Host {
    let machine = world.machine(&format!("h{n}"));
    world.wire((behind, PORT), (&machine, "eth0"));
    let host = Host {
        machine,
        mac: format!("02:00:00:00:00:{n:02x}"),
        v4: format!("192.168.100.{n}"),
        v6: format!("fd00:100::{n:x}"),
    };
    let Host { mac, v4, v6, .. } = &host;
    host.machine.run(&format!(
        "ip link set eth0 address {mac} up && ip address add {v4}/24 dev eth0 \
         && ip address add {v6}/64 dev eth0 nodad"
    ));
    host
}

impl Host {
    /// A packet of exactly 1500 bytes that nobody may cut, there and back, in both families.
    pub fn passes_whole(&self, other: &Host) -> bool {
        let ping = "ping -c 1 -W 1 -n -M do";
        self.machine.succeeds(&format!("{ping} -s 1472 {}", other.v4))
            && self.machine.succeeds(&format!("{ping} -s 1452 {}", other.v6))
    }

    /// Another host's MAC is this one's from now on, and everybody hears of it.
    pub fn becomes(&self, mac: &str) {
        self.machine.run(&format!("ip link set eth0 address {mac}"));
        self.speak();
    }

    /// Something that every bridge of the segment hears.
    pub fn speak(&self) {
        // Nobody has this address: the question goes everywhere, the answer does not matter.
        self.machine.succeeds("ip neighbour flush dev eth0; ping -c 1 -W 0.1 -n 192.168.100.250");
    }
}

/// Waits until both hosts pass 1500 bytes both ways.
pub fn wait_for_whole_packets(a: &Host, b: &Host, machines: &[&Machine]) {
    wait(&format!("{} and {} pass 1500 bytes", a.machine.name, b.machine.name), machines, || {
        a.passes_whole(b) && b.passes_whole(a)
    });
}

/// The VTEPs to which a router's VXLAN device sends a frame for everyone.
pub fn flood_list(machine: &Machine, vxlan: &str) -> Vec<String> {
    destinations(machine, vxlan, "00:00:00:00:00:00")
}

/// The VTEPs behind which a router's VXLAN device knows a MAC.
pub fn destinations(machine: &Machine, vxlan: &str, mac: &str) -> Vec<String> {
    let entries = machine.run(&format!("bridge fdb show dev {vxlan}"));
    let words = entries.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let destination = |words: Vec<&str>| {
        let at = words.iter().position(|word| *word == "dst")?;
        (words.first() == Some(&mac)).then(|| words.get(at + 1).map(|word| (*word).to_owned()))?
    };
    let mut found: Vec<String> = words.filter_map(destination).collect();
    found.sort();
    found
}

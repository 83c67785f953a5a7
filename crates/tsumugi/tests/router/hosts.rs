//! Hosts behind the ports of a segment, and what kernels know of them.

use super::world::{Machine, World, wait};

/// The segment's VXLAN device on routers of ours.
pub const VXLAN: &str = "vx-test";
/// The port of every router that carries the segment.
pub const PORT: &str = "lan1";

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
        v4: format!("192.0.2.{n}"),
        v6: format!("2001:db8:2::{n:x}"),
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
        self.machine.succeeds("ip neighbour flush dev eth0; ping -c 1 -W 0.1 -n 192.0.2.250");
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
    // While there is no such device there is no entry either.
    let entries = machine.run(&format!("bridge fdb show dev {vxlan} 2>/dev/null || true"));
    let words = entries.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let destination = |words: Vec<&str>| {
        let at = words.iter().position(|word| *word == "dst")?;
        (words.first() == Some(&mac)).then(|| words.get(at + 1).map(|word| (*word).to_owned()))?
    };
    let mut found: Vec<String> = words.filter_map(destination).collect();
    found.sort();
    found
}

//! Past the stack or through it: which way each line's packets go, and to whom next.

use super::Datapath;
use super::batch::Destination;
use super::stack::Taken;
use super::tunnel::{Inside, Tunnel};
use crate::kernel::packet::link_name;
use crate::observe::status::{LinePath, WhyRaw};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use tsumugi_core::id::{IfName, Mac};
use tsumugi_core::wire::ethernet::ethertype;

impl Datapath {
    /// How the packets of each line should go.
    pub(super) fn paths(&self) -> BTreeMap<IfName, LinePath> {
        let path = |line: &IfName, slot: usize| {
            let taken: Vec<Taken> = self.on_line(slot).filter_map(taken).collect();
            // The kernel's own, and WireGuard's socket beside GENEVE: later fragments have no ports.
            let of_stack = |tunnel: &&Tunnel| !matches!(tunnel.inside, Inside::Shim(_));
            let shared =
                self.on_line(slot).filter(of_stack).filter_map(ends).any(|ends| taken.contains(&ends));
            let link = self.keeper.links().get(line);
            let why = if taken.is_empty() {
                WhyRaw::NotNeeded
            } else if link.is_some_and(|link| link.mac.is_none()) {
                WhyRaw::NotEthernet
            } else if shared {
                WhyRaw::SharedWithStack
            } else if let Some(error) = &self.stack_refused {
                WhyRaw::StackTakesThem { error: error.clone() }
            } else {
                return LinePath::Packet;
            };
            LinePath::Raw(why)
        };
        let lines = self.forwarding.lines.iter().enumerate();
        lines.map(|(slot, line)| (line.name.clone(), path(&line.name, slot))).collect()
    }

    fn on_line(&self, line: usize) -> impl Iterator<Item = &Tunnel> {
        self.forwarding.tunnels.iter().flatten().filter(move |tunnel| tunnel.line == line)
    }

    /// Has the stack drop what packet sockets take. Where it cannot, it is raw sockets again.
    pub(super) fn keep_stack_away(&mut self, anew: bool) {
        let mut all = BTreeMap::new();
        for (slot, line) in self.forwarding.lines.iter().enumerate() {
            if line.packets.is_some() {
                let mut taken: Vec<Taken> = self.on_line(slot).filter_map(taken).collect();
                taken.sort_unstable();
                taken.dedup();
                all.insert(line.name.clone(), taken);
            }
        }
        let Err(error) = self.stack.keep_from(&self.sides.underlay, &all, anew) else { return };
        // Without nft nothing was ever put up, and with nothing taken nothing is lost.
        if all.is_empty() {
            return;
        }
        tracing::warn!(reason = %error, "the stack cannot be kept from tunnel packets: raw sockets it is");
        self.stack_refused = Some(error.to_string());
        self.maintain_lines();
    }

    /// Asks the kernel where each tunnel's packets would go next.
    pub(super) fn follow_next_hops(&mut self) {
        let mut known: HashMap<(u32, IpAddr, IpAddr), Option<Mac>> = HashMap::new();
        let netlink = &mut self.sides.underlay_netlink;
        for tunnel in self.forwarding.tunnels.iter_mut().flatten() {
            tunnel.next_hop = None;
            if matches!(tunnel.inside, Inside::Kernel) {
                continue;
            }
            let Some(line) = self.forwarding.lines.get(tunnel.line).filter(|line| line.packets.is_some())
            else {
                continue;
            };
            let (Some(link), (Some(local), Some(remote))) = (line.index(), tunnel.ends()) else { continue };
            let mac = *known.entry((link, local, remote)).or_insert_with(|| {
                let hop = netlink.next_hop(link, Some(local), remote).ok().flatten()?;
                netlink.neighbour_in_use(link, hop).ok().flatten()
            });
            let ethertype = if remote.is_ipv4() { ethertype::IPV4 } else { ethertype::IPV6 };
            tunnel.next_hop = mac.map(|mac| Destination::Link(link_name(link, ethertype, Some(mac.0))));
        }
    }
}

/// What is to come to us and not to the stack.
fn taken(tunnel: &Tunnel) -> Option<Taken> {
    matches!(tunnel.inside, Inside::Shim(_)).then(|| ends(tunnel)).flatten()
}

fn ends(tunnel: &Tunnel) -> Option<Taken> {
    let (local, remote) = (tunnel.plan.local?, tunnel.plan.remote?);
    Some(Taken { remote, local, protocol: tunnel.protocol() })
}

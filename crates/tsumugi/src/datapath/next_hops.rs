//! Past the stack or through it: which way each line's packets go, and to whom next.

use super::Datapath;
use super::batch::Destination;
use super::forward::Forwarding;
use super::meanwhile::meanwhile;
use super::stack::Taken;
use super::tunnel::{Inside, Tunnel};
use crate::kernel::packet::link_name;
use crate::observe::status::{LinePath, WhyRaw};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use tsumugi_core::id::{IfName, Mac};
use tsumugi_core::wire::ethernet::ethertype;
use tsumugi_core::wire::ip::protocol;

impl Datapath {
    /// How the packets of each line should go.
    pub(super) fn paths(&self) -> BTreeMap<IfName, LinePath> {
        let path = |line: &IfName, slot: usize| {
            let taken: Vec<Taken> = self.on_line(slot).filter_map(taken).collect();
            // The kernel's own, and WireGuard's socket beside GENEVE: later fragments have no ports.
            let of_stack = |tunnel: &&Tunnel| !matches!(tunnel.inside, Inside::Shim(_));
            let shared = self.on_line(slot).filter(of_stack).any(|tunnel| shares(tunnel, &taken));
            let datagrams = taken.iter().any(|taken| taken.protocol == protocol::UDP);
            let link = self.keeper.links().get(line);
            let why = if taken.is_empty() {
                WhyRaw::NotNeeded
            } else if link.is_some_and(|link| link.mac.is_none()) {
                WhyRaw::NotEthernet
            } else if shared {
                WhyRaw::SharedWithStack
            } else if datagrams && self.features.merges_datagrams(line).unwrap_or(false) {
                // A line that is not there yet merges nothing.
                WhyRaw::MergesDatagrams
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
            if line.path == LinePath::Packet && line.packets.is_some() {
                let mut taken: Vec<Taken> = self.on_line(slot).filter_map(taken).collect();
                taken.sort_unstable();
                taken.dedup();
                all.insert(line.name.clone(), taken);
            }
        }
        let Datapath { stack, sides, .. } = self;
        let kept =
            meanwhile(&self.epoll, &mut self.forwarding, || stack.keep_from(&sides.underlay, &all, anew));
        let Err(error) = kept else { return };
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
        let mut hops: HashMap<(u32, IpAddr, IpAddr), Option<Mac>> = HashMap::new();
        for tunnel in self.forwarding.tunnels.iter().flatten() {
            if let Some(way) = self.forwarding.way_of(tunnel) {
                hops.insert(way, None);
            }
        }
        let netlink = &mut self.sides.underlay_netlink;
        let hops = meanwhile(&self.epoll, &mut self.forwarding, || {
            for ((link, local, remote), mac) in &mut hops {
                let hop = netlink.next_hop(*link, Some(*local), *remote).ok().flatten();
                *mac = hop.and_then(|hop| netlink.neighbour_in_use(*link, hop).ok().flatten());
            }
            hops
        });
        let forwarding = &mut self.forwarding;
        for slot in 0..forwarding.tunnels.len() {
            let way = forwarding.tunnels[slot].as_ref().and_then(|tunnel| forwarding.way_of(tunnel));
            let Some(tunnel) = &mut forwarding.tunnels[slot] else { continue };
            let mac = way.and_then(|way| Some((way, hops.get(&way).copied().flatten()?)));
            tunnel.next_hop = mac.map(|((link, _, remote), mac)| {
                let ethertype = if remote.is_ipv4() { ethertype::IPV4 } else { ethertype::IPV6 };
                Destination::Link(link_name(link, ethertype, Some(mac.0)))
            });
        }
    }
}

impl Forwarding {
    /// The interface and the ends between which a tunnel's packets go past the stack.
    fn way_of(&self, tunnel: &Tunnel) -> Option<(u32, IpAddr, IpAddr)> {
        let line = self.lines.get(tunnel.line).filter(|line| line.packets.is_some())?;
        let (Some(local), Some(remote)) = tunnel.ends() else { return None };
        (!matches!(tunnel.inside, Inside::Kernel)).then_some((line.index()?, local, remote))
    }
}

/// What is to come to us and not to the stack.
fn taken(tunnel: &Tunnel) -> Option<Taken> {
    let (Inside::Shim(_), (Some(local), Some(remote))) = (&tunnel.inside, tunnel.ends()) else { return None };
    Some(Taken { remote, local, protocol: tunnel.protocol() })
}

/// Whether packets of a tunnel of the stack's come between ends from which the stack would be kept: the far end may
/// have been learned, and be at any of the line's addresses.
fn shares(tunnel: &Tunnel, taken: &[Taken]) -> bool {
    let (local, remote) = tunnel.ends();
    taken.iter().any(|taken| {
        taken.protocol == tunnel.protocol()
            && remote == Some(taken.remote)
            && local.is_none_or(|local| local == taken.local)
    })
}

//! Forged packets are dropped and counted: from outside, from guests, from inside, from strangers in
//! the underlay.
//!
//! Each volley is sent from where a forger could stand, and three things are looked at: the counters of
//! the target's walls in its kernel, what leaves the target for or from the forged sources (nothing may),
//! and, for tunnels, what comes out of them in its fabric (nothing may).

mod guests;

use super::Context;
use crate::kernel::nft;
use crate::lab::capture::{PacketSocket, Piece, Recorder, Seen};
use crate::lab::probe::forge::{BFD_PORT, BGP_PORT, Content, Forger, VXLAN_PORT, nobodys, packet};
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::{Line, Machine, MachineRole, PeerStand};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use tsumugi_core::desired::DropReason;
use tsumugi_core::id::{Plane, Prefix};
use tsumugi_core::router_plan::{Encapsulation, Tunnel};
use tsumugi_core::wire::ip::{Packet, protocol};

/// The forger's own port.
const SOURCE_PORT: u16 = 40_179;
/// A port that nobody should answer on.
const OTHER_PORT: u16 = 33_999;
const SSH_PORT: u16 = 22;
/// How long counters may take to show what has arrived.
const PATIENCE: Duration = Duration::from_millis(1_000);
const PACE: Duration = Duration::from_millis(20);
/// The interface of an access router towards its customer.
const TO_CUSTOMER: &str = "line";

pub fn prove(context: &Context) -> Vec<Row> {
    let row = |subject: String, volley: Result<Volley, Finding>| {
        Row::new(ProofId::Walls, subject, volley.and_then(|volley| volley.fire(context)))
    };
    let mut rows = Vec::new();
    for peer in &context.lab.peers {
        rows.push(row(format!("{} → {}", peer.machine, peer.router), from_outside(context, peer)));
    }
    rows.extend(guests::prove(context));
    for router in context.routers() {
        if let Some(neighbour) = inside_neighbour(context, router) {
            let volley = from_inside(context, neighbour, router);
            rows.push(row(format!("{} → {}", neighbour.name, router.name), volley));
        }
    }
    for line in &context.lab.lines {
        let of_router =
            context.machine(&line.machine).is_ok_and(|machine| machine.role == MachineRole::Router);
        if of_router && !line.addresses.is_empty() {
            let subject = format!("{} → {} {}", line.network, line.machine, line.name);
            rows.push(row(subject, from_underlay(context, line)));
        }
    }
    rows
}

/// Forged packets from one place at one plane of one router.
struct Volley {
    from: (String, Plane),
    device: Option<String>,
    target: (String, Plane),
    shots: Vec<Shot>,
    /// Sources of what the shots carry inside: must not come out in the target's fabric.
    inner: Vec<IpAddr>,
}

struct Shot {
    source: IpAddr,
    destination: IpAddr,
    content: Content,
    reason: DropReason,
}

impl Volley {
    fn fire(&self, context: &Context) -> Verdict {
        let (router, plane) = (&self.target.0, self.target.1);
        let namespace = context.namespace(router, plane)?;
        let before = counted(&nft::counters(&namespace).map_err(|error| Finding::Failed(error.to_string()))?);
        let watch = |plane| context.within(router, plane, || PacketSocket::open(None));
        let mut sockets = vec![watch(plane)?];
        if !self.inner.is_empty() {
            sockets.push(watch(Plane::Fabric)?);
        }
        let recorder = Recorder::start(sockets);
        let sent = self.send(context)?;
        let until = Instant::now() + PATIENCE;
        let dropped = loop {
            let now =
                counted(&nft::counters(&namespace).map_err(|error| Finding::Failed(error.to_string()))?);
            let delta = |reason: &DropReason| {
                now.get(reason).copied().unwrap_or(0).saturating_sub(before.get(reason).copied().unwrap_or(0))
            };
            let dropped: Vec<(DropReason, u64, u64)> =
                sent.iter().map(|(reason, sent)| (*reason, *sent, delta(reason))).collect();
            if Instant::now() > until || dropped.iter().all(|(_, sent, counted)| counted >= sent) {
                break dropped;
            }
            std::thread::sleep(PACE);
        };
        let through = self.let_through(&recorder.finish()?);
        if !through.is_empty() {
            return Err(Finding::LetThrough(through));
        }
        if let Some((reason, sent, counted)) = dropped.iter().find(|(_, sent, counted)| counted < sent) {
            return Err(Finding::NotCounted { reason: *reason, sent: *sent, counted: *counted });
        }
        Ok(Finding::Dropped(dropped.into_iter().map(|(reason, sent, _)| (reason, sent)).collect()))
    }

    /// How many were sent that each counter has to show.
    fn send(&self, context: &Context) -> io::Result<BTreeMap<DropReason, u64>> {
        let mut sent = BTreeMap::new();
        for ipv6 in [false, true] {
            let shots: Vec<&Shot> =
                self.shots.iter().filter(|shot| shot.destination.is_ipv6() == ipv6).collect();
            if shots.is_empty() {
                continue;
            }
            let (machine, plane) = &self.from;
            let forger = context.within(machine, *plane, || Forger::open(ipv6, self.device.as_deref()))?;
            for shot in shots {
                if let Some(bytes) = packet(shot.source, shot.destination, &shot.content) {
                    forger.send(shot.destination, &bytes)?;
                    *sent.entry(shot.reason).or_insert(0) += 1;
                }
            }
        }
        Ok(sent)
    }

    /// What left the target for a forged source or with one, and what came out of a tunnel.
    fn let_through(&self, seen: &[Seen]) -> Vec<String> {
        let mut through: Vec<String> = Vec::new();
        for seen in seen {
            let Some(piece) = Piece::read(&seen.bytes) else { continue };
            // A router looks for the guest whose source is true, whatever the guest sends.
            if is_neighbour_discovery(&seen.bytes) {
                continue;
            }
            let forged = |address: IpAddr| self.shots.iter().any(|shot| shot.source == address);
            let answered =
                seen.place == 0 && seen.leaving && (forged(piece.destination) || forged(piece.source));
            let came_out = seen.place == 1 && self.inner.contains(&piece.source);
            if answered || came_out {
                let words = format!("{} → {} (protocol {})", piece.source, piece.destination, piece.protocol);
                if !through.contains(&words) {
                    through.push(words);
                }
            }
        }
        through
    }
}

/// RFC 4861 4.
fn is_neighbour_discovery(bytes: &[u8]) -> bool {
    let Ok(Packet::V6(v6)) = Packet::new_checked(bytes) else { return false };
    v6.next_header() == protocol::ICMPV6 && matches!(v6.payload().first(), Some(133..=137))
}

fn counted(counters: &BTreeMap<DropReason, nft::Dropped>) -> BTreeMap<DropReason, u64> {
    counters.iter().map(|(reason, dropped)| (*reason, dropped.packets)).collect()
}

/// BGP, BFD and VXLAN to a router's own address.
fn to_routers(source: IpAddr, destination: IpAddr) -> [Shot; 3] {
    let shot = |content, reason| Shot { source, destination, content, reason };
    let udp = |port| Content::Udp { source_port: SOURCE_PORT, port };
    let syn = Content::TcpSyn { source_port: SOURCE_PORT, port: BGP_PORT };
    [
        shot(syn, DropReason::BgpFromStranger),
        shot(udp(BFD_PORT), DropReason::BfdFromStranger),
        shot(udp(VXLAN_PORT), DropReason::VxlanFromStranger),
    ]
}

/// Somebody behind a peer, with sources of their own and with ours.
fn from_outside(context: &Context, peer: &PeerStand) -> Result<Volley, Finding> {
    let router = context.machine(&peer.router)?;
    let own = own_prefixes(context, &peer.router);
    let theirs = &peer.prefixes;
    let mut shots = Vec::new();
    for loopback in context.loopbacks(router) {
        let of_family = |prefix: &&Prefix| prefix.addr().is_ipv6() == loopback.is_ipv6();
        let Some(source) = theirs.iter().find(of_family).map(|prefix| nth(prefix.network(), 66)) else {
            continue;
        };
        shots.extend(to_routers(source, loopback));
        let outside = peer.router_addresses.iter().find(|address| address.is_ipv6() == loopback.is_ipv6());
        shots.extend(outside.into_iter().flat_map(|address| to_routers(source, *address)));
        let other = Content::Udp { source_port: SOURCE_PORT, port: OTHER_PORT };
        let reason = DropReason::NotForRouters;
        shots.push(Shot { source, destination: loopback, content: other, reason });
        if let Some(ours) = own.iter().find(of_family) {
            let (source, reason) = (nth(ours.network(), 99), DropReason::OurSourceFromOutside);
            shots.push(Shot { source, destination: loopback, content: echo(), reason });
        }
    }
    Ok(Volley {
        from: (peer.machine.clone(), Plane::Fabric),
        device: Some(peer.interface.to_string()),
        target: (router.name.clone(), Plane::Fabric),
        shots,
        inner: Vec::new(),
    })
}

/// The AS's prefixes, as a router's plan has them.
fn own_prefixes<'a>(context: &Context<'a>, router: &str) -> &'a [Prefix] {
    let speaker = context.lab.plans.get(router).and_then(|plan| plan.speaker.as_ref());
    speaker.map_or(&[][..], |speaker| &speaker.own_prefixes)
}

fn echo() -> Content {
    Content::Echo { identifier: SOURCE_PORT }
}

/// The n-th address of a network that begins at `network`.
fn nth(network: IpAddr, n: u32) -> IpAddr {
    match network {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits().wrapping_add(n))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits().wrapping_add(n.into()))),
    }
}

/// A router at the other end of one of its links.
fn inside_neighbour<'a>(context: &Context<'a>, router: &Machine) -> Option<&'a Machine> {
    let inside = context.lab.wires.iter().filter(|wire| !wire.outside);
    let far = inside.filter_map(|wire| match &wire.ends {
        [own, far] | [far, own] if own.machine == router.name => Some(far.machine.as_str()),
        [_, own] if own.machine == router.name => Some(wire.ends[0].machine.as_str()),
        _ => None,
    });
    far.filter_map(|name| context.machine(name).ok()).next()
}

/// A router of our own that has gone astray: sessions are between link-local addresses only.
fn from_inside(context: &Context, neighbour: &Machine, router: &Machine) -> Result<Volley, Finding> {
    let sources = context.loopbacks(neighbour);
    let mut shots = Vec::new();
    for destination in context.loopbacks(router) {
        let source = sources.iter().find(|source| source.is_ipv6() == destination.is_ipv6());
        shots.extend(source.into_iter().flat_map(|source| to_routers(*source, destination)));
    }
    // Who carries a segment of the router's is no stranger with it.
    shots.retain(|shot| {
        shot.reason != DropReason::VxlanFromStranger || !context.lab.is_vtep_for(&router.name, shot.source)
    });
    Ok(Volley {
        from: (neighbour.name.clone(), Plane::Fabric),
        device: None,
        target: (router.name.clone(), Plane::Fabric),
        shots,
        inner: Vec::new(),
    })
}

/// A stranger of the line's network, seen from the last router before the customer.
fn from_underlay(context: &Context, line: &Line) -> Result<Volley, Finding> {
    let strangers = context.machine(&format!("stranger-{}", line.network))?;
    let router = context.machine(&line.machine)?;
    let plan = context.lab.plans.get(&line.machine);
    let tunnels = plan.map_or(&[][..], |plan| &plan.tunnels);
    let reason = match line.plane {
        Plane::Underlay => DropReason::NotATunnel,
        _ => DropReason::NotManagement,
    };
    let mut shots = Vec::new();
    let mut inner = Vec::new();
    for own in &line.addresses {
        let destination = own.addr();
        let source = strangers.addresses.iter().find(|source| source.is_ipv6() == destination.is_ipv6());
        let Some(source) = source.copied() else { continue };
        let mut contents = vec![
            Content::TcpSyn { source_port: SOURCE_PORT, port: SSH_PORT },
            Content::Udp { source_port: SOURCE_PORT, port: OTHER_PORT },
        ];
        for loopback in context.loopbacks(router) {
            let stranger = nobodys(loopback.is_ipv6());
            inner.push(stranger);
            if let Some(inside) = packet(stranger, loopback, &Content::Echo { identifier: SOURCE_PORT }) {
                contents.push(Content::Gre { key: None, inner: inside.clone() });
                contents.push(Content::EtherIp { inner: inside });
            }
        }
        contents.extend(guarded_ports(tunnels, line, destination.is_ipv6()));
        shots.extend(contents.into_iter().map(|content| Shot { source, destination, content, reason }));
    }
    Ok(Volley {
        from: (line.access.clone(), Plane::Management),
        device: Some(TO_CUSTOMER.into()),
        target: (router.name.clone(), line.plane),
        shots,
        inner,
    })
}

/// WireGuard's ports whose far end's address the plan knows: strangers do not get as far as the keys.
fn guarded_ports(tunnels: &[Tunnel], line: &Line, ipv6: bool) -> Vec<Content> {
    let mine = tunnels.iter().filter(|tunnel| tunnel.uplink == line.interface && tunnel.outer_ipv6 == ipv6);
    mine.filter_map(|tunnel| match (&tunnel.encapsulation, tunnel.remote) {
        (Encapsulation::WireGuard { local_port, .. }, Some(_)) => {
            Some(Content::Udp { source_port: SOURCE_PORT, port: *local_port })
        }
        _ => None,
    })
    .collect()
}

//! Nothing crosses from one segment to another, to other planes, or from a guest to what is denied.

use super::{ETH0, frames_at, hosts_of, mac_of, of_family};
use crate::kernel::nft;
use crate::lab::capture::{PacketSocket, Piece, Recorder};
use crate::lab::probe::echo::MARK;
use crate::lab::probe::forge::{Content, Forger, packet};
use crate::lab::probe::frame::{Whom, arp_question, marked, number_of, read_arp, udp_to_everybody};
use crate::lab::proofs::Context;
use crate::lab::report::{Finding, ProofId, Row, SegmentFinding, Verdict};
use crate::lab::{Guest, MachineRole, Segment};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use tsumugi_core::desired::{DropReason, Hook, Verdict as WallVerdict};
use tsumugi_core::id::{Plane, Prefix};
use tsumugi_core::wire::arp::Operation;

/// How long what should not arrive is waited for.
const QUIET: Duration = Duration::from_millis(300);
/// How long what should arrive, and its count, is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
const PACE: Duration = Duration::from_millis(50);
const MAIL: u16 = 25;
const DHCP_CLIENT: u16 = 68;
const DHCP_SERVER: u16 = 67;
const WEB: u16 = 80;

pub fn prove(context: &Context) -> Vec<Row> {
    let row = |subject: String, verdict| Row::new(ProofId::SegmentIsolation, subject, verdict);
    let mut rows = Vec::new();
    for segment in &context.lab.segments {
        rows.push(row(format!("{}: frames", segment.name), frames(context, segment)));
        for other in context.lab.segments.iter().filter(|other| other.name != segment.name) {
            if let Some(verdict) = packets(context, segment, other) {
                rows.push(row(format!("{} → {}: packets", segment.name, other.name), verdict));
            }
        }
        for guest in hosts_of(context, segment) {
            if let Some(verdict) = gateway_stays(context, segment, guest) {
                rows.push(row(format!("{}: its gateway", guest.machine), verdict));
            }
            if denies(context, guest, DropReason::MailFromSegment) {
                rows.push(row(format!("{}: mail", guest.machine), mail(context, guest)));
            }
        }
    }
    if rows.is_empty() {
        rows.push(row(context.lab.name.clone(), Ok(Finding::NothingToProve)));
    }
    rows
}

/// What every host of a segment floods is seen at no host of another one, and not between routers or
/// in their management, except within VXLAN.
fn frames(context: &Context, segment: &Segment) -> Verdict {
    let (mut sockets, mut names) = (Vec::new(), Vec::new());
    let roles = [MachineRole::Guest, MachineRole::Newcomer, MachineRole::Device, MachineRole::Host];
    let own: Vec<&Guest> = hosts_of(context, segment);
    for machine in context.lab.machines.values().filter(|machine| roles.contains(&machine.role)) {
        if !own.iter().any(|guest| guest.machine == machine.name) {
            sockets.push(frames_at(context, &machine.name)?);
            names.push(machine.name.clone());
        }
    }
    for router in context.routers() {
        for plane in [Plane::Management, Plane::Underlay] {
            sockets.push(context.within(&router.name, plane, || PacketSocket::open_frames(None))?);
            names.push(format!("{} ({plane})", router.name));
        }
    }
    let base: u32 = rand::random();
    let recorder = Recorder::start(sockets);
    let mut sent = 0;
    for guest in &own {
        let (mac, socket) = (mac_of(context, &guest.machine)?, frames_at(context, &guest.machine)?);
        for whom in Whom::ALL {
            socket.send(&marked(mac, whom, base.wrapping_add(sent)))?;
            sent += 1;
        }
    }
    std::thread::sleep(QUIET);
    let seen = recorder.finish()?;
    let ours = |number: u32| number.wrapping_sub(base) < sent;
    let mut came: Vec<String> = seen
        .iter()
        .filter(|seen| number_of(&seen.bytes).is_some_and(ours))
        .filter_map(|seen| names.get(seen.place).cloned())
        .collect();
    came.sort();
    came.dedup();
    if came.is_empty() {
        Ok(SegmentFinding::Apart { frames: sent as usize, places: names.len() }.into())
    } else {
        Err(SegmentFinding::CameTo(came).into())
    }
}

/// The guest asks who the gateway is: one router answers, once, and no host of another LAN hears the
/// question, nor what the guest says to a DHCP server. `None` where there is no gateway to ask for.
fn gateway_stays(context: &Context, segment: &Segment, guest: &Guest) -> Option<Verdict> {
    let gateway = segment.gateways.iter().find_map(|gateway| match gateway.addr() {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    })?;
    let Some(IpAddr::V4(own)) = of_family(guest, false) else { return None };
    Some(ask_for_gateway(context, segment, guest, own, gateway))
}

fn ask_for_gateway(
    context: &Context,
    segment: &Segment,
    guest: &Guest,
    own: Ipv4Addr,
    gateway: Ipv4Addr,
) -> Verdict {
    let others = hosts_of(context, segment).into_iter().filter(|other| other.machine != guest.machine);
    let places: Vec<&Guest> = std::iter::once(guest).chain(others).collect();
    let open = |place: &&Guest| frames_at(context, &place.machine);
    let recorder = Recorder::start(places.iter().map(open).collect::<io::Result<_>>()?);
    let (mac, socket) = (mac_of(context, &guest.machine)?, frames_at(context, &guest.machine)?);
    socket.send(&arp_question(mac, own, gateway))?;
    // Such as it is no server answers it; but it is for the nearest one alone.
    let cry = [&MARK[..], &rand::random::<[u8; 8]>()].concat();
    socket.send(&udp_to_everybody(mac, DHCP_CLIENT, DHCP_SERVER, &cry))?;
    std::thread::sleep(QUIET);
    let seen = recorder.finish()?;
    let arps = || {
        let came = seen.iter().filter(|seen| !seen.leaving);
        came.filter_map(|seen| Some((seen.place, read_arp(&seen.bytes)?)))
    };
    let mut heard: Vec<String> = arps()
        .filter(|(place, arp)| *place != 0 && arp.sender == own && arp.target == gateway)
        .filter_map(|(place, _)| places.get(place).map(|place| place.machine.clone()))
        .collect();
    let cried = |bytes: &[u8]| bytes.windows(cry.len()).any(|window| window == cry);
    let elsewhere = seen.iter().filter(|seen| seen.place != 0 && !seen.leaving && cried(&seen.bytes));
    heard.extend(elsewhere.filter_map(|seen| Some(places.get(seen.place)?.machine.clone())));
    heard.sort();
    heard.dedup();
    if !heard.is_empty() {
        return Err(SegmentFinding::CameTo(heard).into());
    }
    let answers = arps().filter(|(place, arp)| {
        *place == 0 && arp.operation == Operation::Reply && arp.sender == gateway && arp.target == own
    });
    match answers.count() {
        1 => Ok(SegmentFinding::OneGateway.into()),
        count => Err(SegmentFinding::Gateways { count }.into()),
    }
}

/// Whether a wall of the guest's router drops for this reason what comes from its segment.
fn denies(context: &Context, guest: &Guest, reason: DropReason) -> bool {
    let walls = context.lab.plans.get(&guest.router).map_or(&[][..], |plan| &plan.fabric.walls);
    let mut rules = walls.iter().flat_map(|wall| &wall.rules);
    rules.any(|rule| rule.verdict == WallVerdict::Drop { reason } && rule.matches.iif.contains(&guest.bridge))
}

/// Whether the guest's own router lets it into the other segment, by its plan.
fn is_allowed(context: &Context, guest: &Guest, to: IpAddr) -> bool {
    let walls = context.lab.plans.get(&guest.router).map_or(&[][..], |plan| &plan.fabric.walls);
    let forward = walls.iter().filter(|wall| wall.hook == Hook::Forward).flat_map(|wall| &wall.rules);
    let mut about = forward.filter(|rule| {
        let matches = &rule.matches;
        (matches.iif.is_empty() || matches.iif.contains(&guest.bridge))
            && matches.oif.is_empty()
            && matches.protocol.is_none()
            && matches.to.iter().any(|prefix: &Prefix| prefix.contains(&to))
    });
    about.next().is_none_or(|rule| rule.verdict == WallVerdict::Accept)
}

/// Packets of every host of one segment to every host of another, by its gateway: they arrive where the
/// file allows it, and nowhere else. `None` where there is no gateway to try.
fn packets(context: &Context, from: &Segment, to: &Segment) -> Option<Verdict> {
    (!from.gateways.is_empty()).then(|| try_packets(context, from, to))
}

fn try_packets(context: &Context, from: &Segment, to: &Segment) -> Verdict {
    let targets = hosts_of(context, to);
    let open =
        |guest: &&Guest| context.within(&guest.machine, Plane::Management, || PacketSocket::open(Some(ETH0)));
    let recorder = Recorder::start(targets.iter().map(open).collect::<io::Result<_>>()?);
    let mut sent: Vec<(IpAddr, IpAddr, bool)> = Vec::new();
    for guest in hosts_of(context, from) {
        for target in &targets {
            for ipv6 in [false, true] {
                let (Some(source), Some(destination)) = (of_family(guest, ipv6), of_family(target, ipv6))
                else {
                    continue;
                };
                let forger =
                    context.within(&guest.machine, Plane::Management, || Forger::open(ipv6, None))?;
                if let Some(bytes) = packet(source, destination, &Content::Echo { identifier: MAIL }) {
                    forger.send(destination, &bytes)?;
                    let allowed = !to.gateways.is_empty() && is_allowed(context, guest, destination);
                    sent.push((source, destination, allowed));
                }
            }
        }
    }
    std::thread::sleep(QUIET);
    let seen = recorder.finish()?;
    let came = |source: IpAddr, destination: IpAddr| {
        let pieces = seen.iter().filter(|seen| !seen.leaving).filter_map(|seen| Piece::read(&seen.bytes));
        pieces.into_iter().any(|piece| piece.source == source && piece.destination == destination)
    };
    let wrong: Vec<String> = sent
        .iter()
        .filter(|(source, destination, allowed)| !allowed && came(*source, *destination))
        .map(|(source, destination, _)| format!("{source} → {destination}"))
        .collect();
    if !wrong.is_empty() {
        return Err(SegmentFinding::CameTo(wrong).into());
    }
    if sent.iter().any(|(source, destination, allowed)| *allowed && !came(*source, *destination)) {
        return Err(SegmentFinding::AllowedLost { what: "what the file allows" }.into());
    }
    Ok(SegmentFinding::Apart { frames: sent.len(), places: targets.len() }.into())
}

/// A guest calls a host outside: mail is dropped and counted, the web is not.
fn mail(context: &Context, guest: &Guest) -> Verdict {
    for ipv6 in [false, true] {
        let Some(source) = of_family(guest, ipv6) else { continue };
        let hosts = context.lab.peers.iter().map(|peer| (&peer.host, &peer.host_addresses));
        let target = hosts.filter_map(|(host, addresses)| {
            Some((host, addresses.iter().copied().find(|address| address.is_ipv6() == ipv6)?))
        });
        let Some((host, destination)) = target.into_iter().next() else { continue };
        let of = |what: SegmentFinding| Finding::Of { ipv6, what: Box::new(what.into()) };
        let counted = || -> Result<u64, Finding> {
            let counters = nft::counters(&context.namespace(&guest.router, Plane::Fabric)?)
                .map_err(|error| Finding::Failed(error.to_string()))?;
            Ok(counters.get(&DropReason::MailFromSegment).map_or(0, |dropped| dropped.packets))
        };
        let before = counted()?;
        let socket = context.within(host, Plane::Management, || PacketSocket::open(Some(ETH0)))?;
        let recorder = Recorder::start(vec![socket]);
        let forger = context.within(&guest.machine, Plane::Management, || Forger::open(ipv6, None))?;
        let source_port: u16 = 20_000 + rand::random::<u16>() % 20_000;
        // The mail first: what comes after it has not overtaken it.
        for port in [MAIL, WEB] {
            if let Some(bytes) = packet(source, destination, &Content::TcpSyn { source_port, port }) {
                forger.send(destination, &bytes)?;
            }
        }
        let until = Instant::now() + PATIENCE;
        while counted()? == before && Instant::now() < until {
            std::thread::sleep(PACE);
        }
        std::thread::sleep(QUIET);
        let seen = recorder.finish()?;
        let came = |port: u16| {
            let pieces = seen.iter().filter_map(|seen| Piece::read(&seen.bytes));
            pieces
                .into_iter()
                .any(|piece| piece.ports == Some((source_port, port)) && piece.destination == destination)
        };
        if came(MAIL) {
            return Err(of(SegmentFinding::CameTo(vec![format!("{host}, TCP port {MAIL}")])));
        }
        if !came(WEB) {
            return Err(of(SegmentFinding::AllowedLost { what: "TCP port 80" }));
        }
        if counted()? == before {
            let reason = DropReason::MailFromSegment;
            return Err(Finding::NotCounted { reason, sent: 1, counted: 0 });
        }
    }
    Ok(SegmentFinding::Denied { denied: "TCP port 25", passed: "TCP port 80" }.into())
}

//! Those whom we know the addresses of: guests on segments and customers. What they send with a false
//! source is dropped and counted (BCP 38); with a true one, a ping of a router is answered, and
//! nothing else that is for routers.

use super::{
    OTHER_PORT, SOURCE_PORT, SSH_PORT, Shot, Volley, echo, inside_neighbour, nobodys, nth, own_prefixes,
    to_routers,
};
use crate::lab::probe::echo::{EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::forge::Content;
use crate::lab::probe::options::Cutting;
use crate::lab::proofs::{Context, loopbacks};
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::stand_in;
use crate::lab::{Guest, Machine, PeerStand};
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::bgp::config::Role;
use tsumugi_core::desired::DropReason;
use tsumugi_core::id::{Plane, Prefix};

const AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |subject: String, verdict: Verdict| rows.push(Row::new(ProofId::Walls, subject, verdict));
    for guest in context.lab.routed_guests().filter(|guest| !guest.addresses.is_empty()) {
        row(format!("guest {} → {}: false source", guest.machine, guest.router), false_guest(context, guest));
        row(format!("guest {} → {}", guest.machine, guest.router), to_own_router(context, guest));
        let neighbour = context.machine(&guest.router).map(|router| inside_neighbour(context, router));
        if let Ok(Some(far)) = neighbour {
            row(format!("guest {} → {}", guest.machine, far.name), to_router(context, guest, far, &[]));
        }
    }
    for peer in &context.lab.peers {
        let session = stand_in::neighbour(context.lab, peer);
        if session.is_some_and(|(_, policy)| policy.role == Role::Customer) {
            let subject = format!("customer {} → {}: false source", peer.machine, peer.router);
            row(subject, false_customer(context, peer));
        }
    }
    rows
}

/// Whoever sends the forged packets, and from where they are sent.
fn volley(from: (&str, Plane), device: &str, target: &str, shots: Vec<Shot>) -> Volley {
    Volley {
        from: (from.0.into(), from.1),
        device: Some(device.into()),
        target: (target.into(), Plane::Fabric),
        shots,
        inner: Vec::new(),
    }
}

fn false_shot(source: IpAddr, destination: IpAddr) -> Shot {
    Shot { source, destination, content: echo(), reason: DropReason::FalseSource }
}

fn like(address: IpAddr) -> impl Fn(&&IpAddr) -> bool {
    move |other| other.is_ipv6() == address.is_ipv6()
}

/// To the guest's own router and beyond it: as nobody, as another address of the AS, as a router.
fn false_guest(context: &Context, guest: &Guest) -> Verdict {
    let router = context.machine(&guest.router)?;
    let far = inside_neighbour(context, router).map(|far| context.loopbacks(far)).unwrap_or_default();
    let gateways = guest.gateways.iter().map(Prefix::addr);
    let mut shots = Vec::new();
    for destination in context.loopbacks(router).into_iter().chain(far.iter().copied()).chain(gateways) {
        let own = own_prefixes(context, &guest.router).iter();
        let own = own.filter(|prefix| prefix.addr().is_ipv6() == destination.is_ipv6());
        let elsewhere = own.map(|prefix| nth(prefix.network(), 99));
        let theirs = |address: &IpAddr| guest.gateways.iter().any(|gateway| gateway.contains(address));
        let forged = [nobodys(destination.is_ipv6())].into_iter().chain(elsewhere);
        let forged = forged.chain(far.iter().copied().find(|far| like(destination)(&far)));
        let forged = forged.filter(|source| *source != destination && !theirs(source));
        shots.extend(forged.map(|source| false_shot(source, destination)));
    }
    let from = (guest.machine.as_str(), Plane::Management);
    let dropped = volley(from, "eth0", &guest.router, shots).fire(context)?;
    let own: Vec<IpAddr> = guest.addresses.iter().map(Prefix::addr).collect();
    honest(context, &guest.machine, &own, router)?;
    Ok(dropped)
}

/// As nobody, and as somebody behind another network.
fn false_customer(context: &Context, peer: &PeerStand) -> Verdict {
    let router = context.machine(&peer.router)?;
    let others: Vec<IpAddr> = context
        .lab
        .peers
        .iter()
        .filter(|other| other.peer != peer.peer)
        .flat_map(|other| other.prefixes.iter().map(|prefix| nth(prefix.network(), 66)))
        .collect();
    let mut shots = Vec::new();
    for destination in context.loopbacks(router) {
        let forged = others.iter().find(like(destination)).copied();
        let forged = forged.into_iter().chain([nobodys(destination.is_ipv6())]);
        shots.extend(forged.map(|source| false_shot(source, destination)));
    }
    let from = (peer.machine.as_str(), Plane::Fabric);
    let dropped = volley(from, peer.interface.as_str(), &peer.router, shots).fire(context)?;
    honest(context, &peer.host, &peer.host_addresses, router)?;
    Ok(dropped)
}

/// A ping with a true source is answered.
fn honest(context: &Context, machine: &str, sources: &[IpAddr], router: &Machine) -> Verdict {
    let (mut sockets, mut questions, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    for destination in context.loopbacks(router) {
        let Some(source) = sources.iter().find(like(destination)).copied() else { continue };
        let open = || EchoSocket::open(source, None, Cutting::Allowed);
        let socket = context.within(machine, Plane::Management, open)?;
        questions.push(Question { socket: sockets.len(), destination, length: smallest(destination) });
        subjects.push(format!("{source} → {destination}"));
        sockets.push(socket);
    }
    let answers = ask_all(&mut sockets, &questions, AGAIN, PATIENCE)?;
    loopbacks::judge(answers.iter().zip(&subjects).map(|(answer, who)| (answer, who.as_str())))
}

fn to_own_router(context: &Context, guest: &Guest) -> Verdict {
    let gateways: Vec<IpAddr> = guest.gateways.iter().map(Prefix::addr).collect();
    to_router(context, guest, context.machine(&guest.router)?, &gateways)
}

/// Sessions, and whatever else is not ICMP, with the guest's true source.
fn to_router(context: &Context, guest: &Guest, router: &Machine, gateways: &[IpAddr]) -> Verdict {
    let own: Vec<IpAddr> = guest.addresses.iter().map(Prefix::addr).collect();
    let mut shots = Vec::new();
    for destination in context.loopbacks(router).into_iter().chain(gateways.iter().copied()) {
        let Some(source) = own.iter().find(like(destination)).copied() else { continue };
        shots.extend(to_routers(source, destination));
        let others = [
            Content::TcpSyn { source_port: SOURCE_PORT, port: SSH_PORT },
            Content::Udp { source_port: SOURCE_PORT, port: OTHER_PORT },
        ];
        let reason = DropReason::NotForRouters;
        shots.extend(others.map(|content| Shot { source, destination, content, reason }));
    }
    if shots.is_empty() {
        return Ok(Finding::NothingToProve);
    }
    volley((&guest.machine, Plane::Management), "eth0", &router.name, shots).fire(context)
}

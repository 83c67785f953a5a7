//! Hosts reach the outside through the nearest gateway; where their LAN hangs on two routers, they do
//! so while the active one is dead, and by it again when it is back. A new host is given all it needs.
//!
//! Every router is the same gateway. Which one a packet went by is seen by captures on their bridges:
//! on the bridge itself shows only what is for the router.

use super::cables::Dead;
use super::newcomer;
use super::{hosts_of, of_family};
use crate::lab::capture::{PacketSocket, Piece, Recorder};
use crate::lab::probe::echo::{EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::mesh::{Mesh, Window};
use crate::lab::probe::options::Cutting;
use crate::lab::proofs::graph::Graph;
use crate::lab::proofs::{Context, traceroute};
use crate::lab::report::{Finding, ProofId, Row, SegmentFinding, Verdict};
use crate::lab::segment::Lan;
use crate::lab::{Guest, PeerStand, Segment};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tsumugi_core::id::Plane;

const AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(10);
/// A hold timer (3 s), and as long again until a newcomer may forward (RFC 7432 8.5), with room.
const TAKES_OVER: Duration = Duration::from_secs(20);
const RETURN: Duration = Duration::from_secs(30);
/// How long all must have been well.
const WELL: Duration = Duration::from_millis(800);
const INTERVAL: Duration = Duration::from_millis(50);
const PACE: Duration = Duration::from_millis(100);

pub fn prove(context: &Context) -> Vec<Row> {
    let row = |subject: String, verdict| Row::new(ProofId::Gateway, subject, verdict);
    let mut rows = Vec::new();
    for segment in context.lab.segments.iter().filter(|segment| !segment.gateways.is_empty()) {
        for guest in hosts_of(context, segment) {
            let Some(peer) = far_peer(context, guest, None) else { continue };
            let subject = format!("{} → {}", guest.machine, peer.host);
            rows.push(row(subject, way_out(context, segment, guest, peer)));
        }
        rows.extend(newcomer::prove(context, segment));
        for lan in segment.lans.iter().filter(|lan| lan.ends.len() > 1) {
            rows.push(row(format!("{} while its router is dead", lan.host), survive(context, segment, lan)));
        }
    }
    if rows.is_empty() {
        rows.push(row(context.lab.name.clone(), Ok(Finding::NothingToProve)));
    }
    rows
}

/// The outside network that is farthest from a guest's router, reached without `dead`.
pub fn far_peer<'a>(context: &Context<'a>, guest: &Guest, dead: Option<&str>) -> Option<&'a PeerStand> {
    let graph = Graph::without(context, &[]);
    let distances = graph.distances(&guest.router);
    let alive = context.lab.peers.iter().filter(|peer| Some(peer.router.as_str()) != dead);
    alive.min_by_key(|peer| {
        std::cmp::Reverse(distances.get(peer.router.as_str()).copied().unwrap_or_default())
    })
}

/// Both families, by the guest's own router and no other.
fn way_out(context: &Context, segment: &Segment, guest: &Guest, peer: &PeerStand) -> Verdict {
    let gateways = gateways(context, segment, guest, &peer.host_addresses)?;
    if let Some(gateway) = gateways.iter().find(|gateway| **gateway != guest.router) {
        let (gateway, instead) = (gateway.clone(), guest.router.clone());
        return Err(SegmentFinding::NotNearest { gateway, instead }.into());
    }
    match traceroute::walk_out(context, &Graph::without(context, &[]), guest, peer)? {
        Finding::Way(way) => Ok(SegmentFinding::WayOut { gateway: guest.router.clone(), way }.into()),
        other => Ok(other),
    }
}

/// The routers at which packets of the guest to these addresses were seen; all of them are answered.
fn gateways(
    context: &Context,
    segment: &Segment,
    guest: &Guest,
    to: &[IpAddr],
) -> Result<BTreeSet<String>, Finding> {
    let mut sockets = Vec::new();
    for carrier in &segment.carriers {
        let open = || PacketSocket::open(Some(carrier.bridge.as_str()));
        sockets.push(context.within(&carrier.router, Plane::Fabric, open)?);
    }
    let (mut echo, questions) = flows(context, guest, to)?;
    let recorder = Recorder::start(sockets);
    let answers = ask_all(&mut echo, &questions, AGAIN, PATIENCE)?;
    let seen = recorder.finish()?;
    if let Some((_, question)) = answers.iter().zip(&questions).find(|(answer, _)| !answer.came()) {
        let missing = vec![question.destination.to_string()];
        return Err(Finding::Unreached { of: questions.len(), missing });
    }
    let ours = |piece: &Piece| {
        to.contains(&piece.destination) && guest.addresses.iter().any(|own| own.addr() == piece.source)
    };
    let places = seen.iter().filter(|seen| Piece::read(&seen.bytes).as_ref().is_some_and(ours));
    Ok(places.filter_map(|seen| Some(segment.carriers.get(seen.place)?.router.clone())).collect())
}

/// A socket and a question for each family.
fn flows(context: &Context, guest: &Guest, to: &[IpAddr]) -> io::Result<(Vec<EchoSocket>, Vec<Question>)> {
    let (mut sockets, mut questions) = (Vec::new(), Vec::new());
    for destination in to.iter().copied() {
        let Some(source) = of_family(guest, destination.is_ipv6()) else { continue };
        questions.push(Question { socket: sockets.len(), destination, length: smallest(destination) });
        sockets.push(context.within(&guest.machine, Plane::Management, || {
            EchoSocket::open(source, None, Cutting::Allowed)
        })?);
    }
    Ok((sockets, questions))
}

/// The active router of a LAN falls silent altogether, and comes back.
fn survive(context: &Context, segment: &Segment, lan: &Lan) -> Verdict {
    let missing = || Finding::Failed(format!("{} is no guest", lan.host));
    let guest = context.lab.guests.iter().find(|guest| guest.machine == lan.host).ok_or_else(missing)?;
    let dead = guest.router.clone();
    let Some(peer) = far_peer(context, guest, Some(&dead)) else { return Ok(Finding::NothingToProve) };
    let (sockets, questions) = flows(context, guest, &peer.host_addresses)?;
    let mesh = Mesh::start(sockets, questions, INTERVAL);
    well(&mesh, Instant::now(), PATIENCE)?.ok_or(Finding::NotRestored(vec![guest.machine.clone()]))?;
    let start = Instant::now();
    let death = Dead::make(context, &dead)?;
    let taken = taken_over(context, segment, guest, peer, &mesh, start);
    death.undo()?;
    let mended = Instant::now();
    let back = returned(context, segment, guest, peer, &mesh, mended);
    let (by, after) = taken?;
    Ok(SegmentFinding::TakenOver { by, after, back: back? }.into())
}

/// Who took over, and how long there was no way out.
fn taken_over(
    context: &Context,
    segment: &Segment,
    guest: &Guest,
    peer: &PeerStand,
    mesh: &Mesh,
    start: Instant,
) -> Result<(String, Duration), Finding> {
    let dead = guest.router.clone();
    // The last request before it died may be answered yet.
    std::thread::sleep(WELL);
    let Some(after) = well(mesh, start, TAKES_OVER)? else {
        return Err(SegmentFinding::NotTakenOver { dead, after: start.elapsed() }.into());
    };
    let gateways = gateways(context, segment, guest, &peer.host_addresses)?;
    match gateways.into_iter().find(|gateway| *gateway != dead) {
        Some(by) => Ok((by, after)),
        None => Err(SegmentFinding::NotTakenOver { dead, after: start.elapsed() }.into()),
    }
}

/// How long there was no way out after the router was back, once packets go by it again.
fn returned(
    context: &Context,
    segment: &Segment,
    guest: &Guest,
    peer: &PeerStand,
    mesh: &Mesh,
    mended: Instant,
) -> Result<Duration, Finding> {
    let router = guest.router.clone();
    let expected = BTreeSet::from([router.clone()]);
    let machine = context.machine(&router)?;
    loop {
        let by = gateways(context, segment, guest, &peer.host_addresses);
        let (established, of) = context.lab.sessions_of(machine);
        if by.is_ok_and(|by| by == expected) && established == of {
            break;
        }
        if mended.elapsed() > RETURN {
            return Err(SegmentFinding::NotBack { router, after: mended.elapsed() }.into());
        }
        std::thread::sleep(PACE);
    }
    let back = well(mesh, mended, RETURN)?;
    back.ok_or(Finding::NotRestored(vec![guest.machine.clone()]))
}

/// Waits until all flows have been well for a while; the longest outage since `since`, or that it
/// goes on.
fn well(mesh: &Mesh, since: Instant, patience: Duration) -> io::Result<Option<Duration>> {
    loop {
        let lately = (Instant::now() - WELL).max(since);
        let is_well = |window: &Window| window.decided > 2 && window.lost == 0;
        if mesh.since(lately)?.iter().all(is_well) {
            return Ok(Some(
                mesh.since(since)?.iter().map(|window| window.longest).max().unwrap_or_default(),
            ));
        }
        if since.elapsed() > patience {
            return Ok(None);
        }
        std::thread::sleep(PACE);
    }
}

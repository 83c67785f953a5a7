//! A full inside packet leaves as exactly two outer packets, on every tunnel, both ways, both families.
//!
//! ```text
//!   [fabric A]==tunnel==[underlay A]--(line A: tap)--- ... ---(line B: tap)--[underlay B]==tunnel==[fabric B: tap]
//! ```
//!
//! Three captures tell what happened to one echo request of exactly the link's MTU with DF: what left
//! A's line, what reached B's line, what came out of B's tunnel. The reply goes the other way and is not
//! counted; nor is what is small, such as BGP's keepalives.

use super::Context;
use super::context::{Pinned, direction, pairs};
use crate::lab::capture::{Datagram, PacketSocket, Piece, Recorder, Seen, datagrams};
use crate::lab::probe::echo::{EchoSocket, Question, ask_all};
use crate::lab::probe::options::Cutting;
use crate::lab::report::{Finding, Place, ProofId, Row, Verdict};
use crate::lab::{Flow, Wire, WireEnd, WireKind};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::Plane;
use tsumugi_core::mtu::Ip;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a straggler that should not be there is waited for once all has arrived.
const QUIET: Duration = Duration::from_millis(30);

/// Protocol numbers of the request.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Places of the recorder.
const AT_SENDER: usize = 0;
const AT_RECEIVER: usize = 1;
const INSIDE: usize = 2;

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows = Vec::new();
    for wire in context.tunnels() {
        let pinned = Pinned::over(context, wire);
        for (from, to) in [(0, 1), (1, 0)] {
            let subject = direction(wire, &wire.ends[from], &wire.ends[to]);
            let verdict = match &pinned {
                Ok(pinned) => one_way(context, wire, from, &pinned.pairs),
                Err(error) => Err(Finding::Failed(error.to_string())),
            };
            rows.push(Row::new(ProofId::TwoPackets, subject, verdict));
        }
    }
    for wire in context.lab.wires.iter().filter(|wire| wire.outside && wire.by != WireKind::Ethernet) {
        for (from, to) in [(0, 1), (1, 0)] {
            let subject = direction(wire, &wire.ends[from], &wire.ends[to]);
            let verdict =
                outside_addresses(context, wire).and_then(|pairs| one_way(context, wire, from, &pairs));
            rows.push(Row::new(ProofId::TwoPackets, subject, verdict));
        }
    }
    rows
}

/// The addresses that the ends of an outside connection have of their own, ours first, for each family
/// that it carries.
pub fn outside_addresses(context: &Context, wire: &Wire) -> Result<Vec<[IpAddr; 2]>, Finding> {
    let [router, stand_in] = &wire.ends;
    let peer = context.lab.peer(&stand_in.machine).filter(|peer| peer.router == router.machine);
    let pairs = peer.map(|peer| pairs(&peer.router_addresses, &peer.addresses)).unwrap_or_default();
    if pairs.is_empty() { Err(Finding::Failed(format!("{}: no addresses", wire.name))) } else { Ok(pairs) }
}

fn one_way(context: &Context, wire: &Wire, from: usize, pairs: &[[IpAddr; 2]]) -> Verdict {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for pair in pairs {
        let (source, destination) = (pair[from], pair[1 - from]);
        let ipv6 = source.is_ipv6();
        *(if ipv6 { &mut v6 } else { &mut v4 }) = exchange(context, wire, from, source, destination)
            .map_err(|finding| Finding::Of { ipv6, what: Box::new(finding) })?;
    }
    Ok(Finding::TwoPackets { inner: wire.mtu.into(), v4, v6, path_mtu: wire.path_mtu.into() })
}

/// Sends one full packet; the sizes of its outer packets if all is as it should be.
fn exchange(
    context: &Context,
    wire: &Wire,
    from: usize,
    source: IpAddr,
    destination: IpAddr,
) -> Result<Vec<usize>, Finding> {
    let inner = usize::from(wire.mtu);
    let (sender, receiver) = (&wire.ends[from], &wire.ends[1 - from]);
    let sockets = vec![tap(context, sender)?, tap(context, receiver)?, inside(context, receiver)?];
    let mut echo = [context.within(&sender.machine, Plane::Fabric, || {
        EchoSocket::open(source, Some(sender.interface.as_str()), Cutting::Refused)
    })?];
    let recorder = Recorder::start(sockets);
    let question = Question { socket: 0, destination, length: inner };
    // Asked once: a second request would be a second pair of outer packets.
    let answers = ask_all(&mut echo, &[question], PATIENCE * 2, PATIENCE)?;
    if let Some(crate::lab::probe::echo::Answer::Unsent(why)) = answers.first() {
        return Err(Finding::Unsent { inner, why: why.clone() });
    }
    std::thread::sleep(QUIET);
    let seen = recorder.finish()?;
    let icmp = if source.is_ipv6() { ICMPV6 } else { ICMP };
    let is_request =
        |piece: &Piece| piece.protocol == icmp && piece.source == source && piece.destination == destination;
    let mut came_out = datagrams(&pieces_at(&seen, INSIDE, is_request));
    came_out.retain(|datagram| is_ours(datagram, inner));
    judge_outer(&seen, wire, from, inner, !came_out.is_empty())?;
    judge_inner(&came_out, &seen, inner, is_request)?;
    Ok(large_outer(&seen, AT_RECEIVER, receiver.flow.as_ref(), false, inner)
        .first()
        .map(|datagram| datagram.pieces.clone())
        .unwrap_or_default())
}

/// Exactly one large datagram in two packets, at both ends of the underlay.
fn judge_outer(seen: &[Seen], wire: &Wire, from: usize, inner: usize, arrived: bool) -> Result<(), Finding> {
    let path_mtu = usize::from(wire.path_mtu);
    let at_sender = large_outer(seen, AT_SENDER, wire.ends[from].flow.as_ref(), true, inner);
    let at_receiver = large_outer(seen, AT_RECEIVER, wire.ends[1 - from].flow.as_ref(), false, inner);
    for (place, found) in [(Place::Sender, at_sender), (Place::Receiver, at_receiver)] {
        let pieces: Vec<usize> = found.iter().flat_map(|datagram| datagram.pieces.clone()).collect();
        if pieces.is_empty() {
            // What was lost on the way is named as lost; what arrived by another way is not.
            return Err(if arrived { Finding::Elsewhere { place } } else { Finding::Lost { inner } });
        }
        if let Some(length) = pieces.iter().copied().find(|length| *length > path_mtu) {
            return Err(Finding::TooLarge { place, length, path_mtu });
        }
        // Where the path passes it whole there is nothing to cut.
        let payload: usize = found.iter().map(|datagram| datagram.payload).sum();
        let whole = payload + header(&wire.ends[from]);
        if pieces.len() != if whole <= path_mtu { 1 } else { 2 } {
            return Err(Finding::Pieces { place, pieces });
        }
    }
    Ok(())
}

/// Bytes of the outer IP header.
fn header(end: &WireEnd) -> usize {
    let ipv6 = end.flow.as_ref().is_some_and(|flow| flow.local.is_ipv6());
    Ip::of_ipv6(ipv6).header() as usize
}

/// What came out of the tunnel is what went in: whole, of the same length, with DF.
fn judge_inner(
    came_out: &[Datagram],
    seen: &[Seen],
    inner: usize,
    is_request: impl Fn(&Piece) -> bool,
) -> Result<(), Finding> {
    let pieces: Vec<usize> = came_out.iter().flat_map(|datagram| datagram.pieces.clone()).collect();
    let uncut = pieces_at(seen, INSIDE, is_request).iter().all(|piece| piece.dont_fragment);
    match pieces.as_slice() {
        [] => Err(Finding::Lost { inner }),
        [one] if *one == inner && uncut => Ok(()),
        _ => Err(Finding::Changed { pieces, inner }),
    }
}

fn pieces_at(seen: &[Seen], place: usize, is: impl Fn(&Piece) -> bool) -> Vec<Piece> {
    let here = seen.iter().filter(|seen| seen.place == place);
    here.filter_map(|seen| Piece::read(&seen.bytes)).filter(is).collect()
}

/// The datagrams of one direction of a link at one place that are too large for anything but ours.
/// One whose first pieces are missing counts by what is there.
pub fn large_outer(
    seen: &[Seen],
    place: usize,
    flow: Option<&Flow>,
    leaving_end: bool,
    inner: usize,
) -> Vec<Datagram> {
    let Some(flow) = flow else { return Vec::new() };
    let found = datagrams(&pieces_at(seen, place, |piece| between(piece, flow, leaving_end)));
    found
        .into_iter()
        .filter(|datagram| ports_fit(datagram.ports, flow, leaving_end))
        .filter(|datagram| datagram.payload >= inner || is_ours(datagram, inner))
        .collect()
}

/// Whether a datagram is too large for anything but the request, or in pieces: neighbour discovery and
/// keepalives go between the same addresses at any time.
fn is_ours(datagram: &Datagram, inner: usize) -> bool {
    datagram.pieces.len() > 1 || !datagram.complete || datagram.pieces.iter().any(|length| *length >= inner)
}

/// Whether an outer packet goes between the flow's addresses, away from (or towards) its end.
pub fn between(piece: &Piece, flow: &Flow, leaving_end: bool) -> bool {
    let (source, destination) =
        if leaving_end { (flow.local, flow.remote) } else { (flow.remote, flow.local) };
    piece.protocol == flow.protocol && piece.source == source && piece.destination == destination
}

/// Whether ports are the flow's; what has none could be.
pub fn ports_fit(found: Option<(u16, u16)>, flow: &Flow, leaving_end: bool) -> bool {
    let (Some((source, destination)), Some((local, remote))) = (found, flow.ports) else { return true };
    let (own, far) = if leaving_end { (source, destination) } else { (destination, source) };
    own == local && remote.is_none_or(|remote| remote == far)
}

/// A capture of the underlay where the end's line ends.
pub fn tap(context: &Context, end: &WireEnd) -> io::Result<PacketSocket> {
    let device = end.tap.interface.as_str();
    context.within(&end.tap.machine, Plane::Management, || PacketSocket::open(Some(device)))
}

/// A capture of what comes out of the tunnel.
fn inside(context: &Context, end: &WireEnd) -> io::Result<PacketSocket> {
    context.within(&end.machine, Plane::Fabric, || PacketSocket::open(Some(end.interface.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_and_whole_is_not_the_request() {
        let datagram = |pieces: &[usize], complete| Datagram {
            source: "203.0.113.1".parse().unwrap(),
            destination: "203.0.113.2".parse().unwrap(),
            protocol: ICMP,
            ports: None,
            pieces: pieces.to_vec(),
            payload: pieces.iter().sum(),
            complete,
        };
        assert!(!is_ours(&datagram(&[91], true), 1500), "a keepalive");
        assert!(is_ours(&datagram(&[1500], true), 1500));
        assert!(is_ours(&datagram(&[1400, 120], true), 1500), "cut inside, which is to be seen");
        assert!(is_ours(&datagram(&[120], false), 1500), "a piece of which the rest is missing");
    }
}

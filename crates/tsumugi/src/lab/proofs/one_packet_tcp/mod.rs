//! A bulk TCP connection across each tunnel sends no fragments: it is clamped to one outer packet.
//!
//! So is one between hosts, which routers only forward. Where the file says `clamp = "off"`, nothing is
//! promised.
//!
//! Over an outside connection the router calls its neighbour's BGP port, the only one that its walls
//! let it have answers from; the stand-in's own process takes no calls there.

mod hosts;

use super::Context;
use super::context::Pinned;
use super::two_packets::{between, outside_addresses, tap};
use crate::lab::capture::{Piece, Recorder, Seen};
use crate::lab::probe::bulk::{Caller, Listener, both_ways};
use crate::lab::probe::forge::BGP_PORT;
use crate::lab::report::{Finding, Place, ProofId, Row, Verdict};
use crate::lab::{Flow, Wire};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::Plane;

/// Bytes each way: some two hundred packets.
const AMOUNT: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

pub fn prove(context: &Context) -> Vec<Row> {
    let inside = context.tunnels().filter(|wire| wire.clamped).map(|wire| (wire, over_link(context, wire)));
    let outside = context.lab.wires.iter().filter(|wire| wire.outside && wire.clamped);
    let outside = outside.map(|wire| (wire, over_connection(context, wire)));
    let mut rows: Vec<Row> = inside
        .chain(outside)
        .map(|(wire, verdict)| Row::new(ProofId::OnePacketTcp, &wire.name, verdict))
        .collect();
    rows.extend(hosts::prove(context));
    if rows.is_empty() {
        return vec![Row::new(ProofId::OnePacketTcp, &context.lab.name, Ok(Finding::NothingToProve))];
    }
    rows
}

fn over_link(context: &Context, wire: &Wire) -> Verdict {
    let pinned = Pinned::over(context, wire)?;
    judge(context, wire, &pinned.pairs, 0)
}

fn over_connection(context: &Context, wire: &Wire) -> Verdict {
    judge(context, wire, &outside_addresses(context, wire)?, BGP_PORT)
}

/// One connection of each family from the first end to the second, and bytes over it both ways.
fn judge(context: &Context, wire: &Wire, pairs: &[[IpAddr; 2]], port: u16) -> Verdict {
    let (mut packets, mut largest) = (0, 0);
    for &[source, destination] in pairs {
        let of = |what| Finding::Of { ipv6: source.is_ipv6(), what: Box::new(what) };
        let seen = transfer(context, wire, source, destination, port).map_err(of)?;
        let (count, size) = count(&seen, wire).map_err(of)?;
        (packets, largest) = (packets + count, largest.max(size));
    }
    Ok(Finding::OnePacket { packets, largest, bytes: AMOUNT })
}

fn transfer(
    context: &Context,
    wire: &Wire,
    source: IpAddr,
    destination: IpAddr,
    port: u16,
) -> Result<Vec<Seen>, Finding> {
    let [near, far] = &wire.ends;
    let recorder = Recorder::start(vec![tap(context, near)?, tap(context, far)?]);
    let listener = context.within(&far.machine, Plane::Fabric, || Listener::open(destination, port))?;
    let to = listener.address();
    let caller = context.within(&near.machine, Plane::Fabric, || Caller::open(source, to))?;
    both_ways(&listener, &caller, AMOUNT, PATIENCE).map_err(|error| Finding::NoTransfer(words(&error)))?;
    Ok(recorder.finish()?)
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "it stands still".into(),
        _ => error.to_string(),
    }
}

/// Outer packets at both places and the size of the largest, if none was a fragment and all of the
/// transfer passed there.
fn count(seen: &[Seen], wire: &Wire) -> Result<(usize, usize), Finding> {
    let mut total = (0, 0);
    for (place, end, name) in [(0, 0, Place::Sender), (1, 1, Place::Receiver)] {
        let Some(flow) = &wire.ends[end].flow else { continue };
        let found = outer(seen, place, flow);
        let fragments = found.iter().filter(|piece| piece.fragment.is_some()).count();
        if fragments > 0 {
            return Err(Finding::Fragments { place: name, count: fragments, of: found.len() });
        }
        // Both directions pass at both places.
        if found.iter().map(|piece| piece.payload).sum::<usize>() < 2 * AMOUNT {
            return Err(Finding::Elsewhere { place: name });
        }
        total.0 = found.len();
        total.1 = total.1.max(found.iter().map(|piece| piece.length).max().unwrap_or(0));
    }
    Ok(total)
}

fn outer(seen: &[Seen], place: usize, flow: &Flow) -> Vec<Piece> {
    let here = seen.iter().filter(|seen| seen.place == place);
    here.filter_map(|seen| Piece::read(&seen.bytes))
        .filter(|piece| between(piece, flow, true) || between(piece, flow, false))
        .collect()
}

//! TCP between hosts: from a segment to the outside, and within a segment from one router to another.
//! No router has a part in such a connection; they only lower the size that its ends agree upon.

use super::{AMOUNT, PATIENCE, outer, words};
use crate::lab::Wire;
use crate::lab::capture::Recorder;
use crate::lab::probe::bulk::{Caller, Listener, both_ways};
use crate::lab::proofs::Context;
use crate::lab::proofs::segments::{far_peer, hosts_of, of_family};
use crate::lab::proofs::two_packets::tap;
use crate::lab::report::{Finding, Place, ProofId, Row, Verdict};
use std::net::IpAddr;
use tsumugi_core::id::Plane;

/// One end of a connection.
struct End<'a> {
    machine: &'a str,
    address: IpAddr,
}

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |from: &str, to: &str, pairs: Vec<[End; 2]>| {
        let verdict = connections(context, &pairs);
        rows.push(Row::new(ProofId::OnePacketTcp, format!("{from} ⇄ {to}"), verdict));
    };
    for segment in &context.lab.segments {
        let hosts = hosts_of(context, segment);
        let Some(first) = hosts.first() else { continue };
        if let Some(peer) = far_peer(context, first, None).filter(|_| !segment.gateways.is_empty()) {
            let pairs = peer.host_addresses.iter().filter_map(|far| {
                let near = End { machine: &first.machine, address: of_family(first, far.is_ipv6())? };
                Some([near, End { machine: &peer.host, address: *far }])
            });
            row(&first.machine, &peer.host, pairs.collect());
        }
        if let Some(other) = hosts.iter().find(|other| other.router != first.router) {
            let pairs = [false, true].into_iter().filter_map(|ipv6| {
                let near = End { machine: &first.machine, address: of_family(first, ipv6)? };
                Some([near, End { machine: &other.machine, address: of_family(other, ipv6)? }])
            });
            row(&first.machine, &other.machine, pairs.collect());
        }
    }
    rows
}

fn connections(context: &Context, pairs: &[[End; 2]]) -> Verdict {
    let (mut packets, mut largest) = (0, 0);
    for pair in pairs {
        let of = |what| Finding::Of { ipv6: pair[0].address.is_ipv6(), what: Box::new(what) };
        let (count, size) = transfer(context, pair).map_err(of)?;
        (packets, largest) = (packets + count, largest.max(size));
    }
    if pairs.is_empty() {
        return Ok(Finding::NothingToProve);
    }
    Ok(Finding::OnePacket { packets, largest, bytes: AMOUNT })
}

/// Outer packets of the transfer on all tunnels that it took, and the size of the largest.
fn transfer(context: &Context, [near, far]: &[End; 2]) -> Result<(usize, usize), Finding> {
    let wires: Vec<&Wire> = context.lab.wires.iter().filter(|wire| wire.clamped).collect();
    let mut sockets = Vec::new();
    for wire in &wires {
        for end in &wire.ends {
            sockets.push(tap(context, end)?);
        }
    }
    let recorder = Recorder::start(sockets);
    let listen = || Listener::open(far.address, 0);
    let listener = context.within(far.machine, Plane::Management, listen)?;
    let to = listener.address();
    let caller = context.within(near.machine, Plane::Management, || Caller::open(near.address, to))?;
    both_ways(&listener, &caller, AMOUNT, PATIENCE).map_err(|error| Finding::NoTransfer(words(&error)))?;
    let seen = recorder.finish()?;
    let (mut packets, mut largest) = (0, 0);
    for (index, wire) in wires.iter().enumerate() {
        for (end, name) in [(0, Place::Sender), (1, Place::Receiver)] {
            let Some(flow) = &wire.ends[end].flow else { continue };
            let found = outer(&seen, index * 2 + end, flow);
            // One direction at least took this tunnel; what else passes is small.
            if found.iter().map(|piece| piece.payload).sum::<usize>() < AMOUNT {
                continue;
            }
            let fragments = found.iter().filter(|piece| piece.fragment.is_some()).count();
            if fragments > 0 {
                return Err(Finding::Fragments { place: name, count: fragments, of: found.len() });
            }
            packets += found.len();
            largest = largest.max(found.iter().map(|piece| piece.length).max().unwrap_or(0));
        }
    }
    // Where all links on the way are Ethernet nothing is cut.
    Ok((packets, largest))
}

//! On the longest ways of the file each inside hop answers with its loopback, in both families; on a
//! guest's way to the world as well, after the gateway that the guest knows.

use super::Context;
use super::graph::Graph;
use crate::lab::probe::traceroute::{Trace, trace};
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::{Guest, PeerStand};
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::{Plane, Prefix};

/// Ways that are walked: one for each router it begins at, as long as there are.
const WAYS: usize = 6;
/// Hops after which a way goes nowhere.
const MOST_HOPS: u8 = 16;
/// A router answers at once or, its errors being limited, a second later.
const PATIENCE: Duration = Duration::from_millis(1_100);

pub fn prove(context: &Context) -> Vec<Row> {
    let graph = Graph::without(context, &[]);
    let mut begun: Vec<&str> = Vec::new();
    let mut rows = Vec::new();
    for (from, to, _) in graph.farthest() {
        if begun.contains(&from) || rows.len() == WAYS {
            continue;
        }
        begun.push(from);
        rows.push(Row::new(ProofId::Traceroute, format!("{from} → {to}"), walk(context, &graph, from, to)));
    }
    for guest in context.lab.routed_guests() {
        let distances = graph.distances(&guest.router);
        // The first of those that are farthest.
        let far =
            |peer: &&PeerStand| std::cmp::Reverse(distances.get(peer.router.as_str()).copied().unwrap_or(0));
        if let Some(peer) = context.lab.peers.iter().min_by_key(far) {
            let subject = format!("{} → {}", guest.machine, peer.host);
            rows.push(Row::new(ProofId::Traceroute, subject, walk_out(context, &graph, guest, peer)));
        }
    }
    if rows.is_empty() {
        rows.push(Row::new(ProofId::Traceroute, &context.lab.name, Ok(Finding::NothingToProve)));
    }
    rows
}

fn walk(context: &Context, graph: &Graph, from: &str, to: &str) -> Verdict {
    let (source, destination) = (context.machine(from)?, context.machine(to)?);
    let mut way = Vec::new();
    for own in context.loopbacks(source) {
        let ipv6 = own.is_ipv6();
        let far = context.loopbacks(destination).into_iter().find(|address| address.is_ipv6() == ipv6);
        let Some(far) = far else { continue };
        let trace = context.within(from, Plane::Fabric, || trace(own, far, MOST_HOPS, PATIENCE));
        let of = |what| Finding::Of { ipv6, what: Box::new(what) };
        way = trace
            .map_err(Finding::from)
            .and_then(|trace| judge(context, graph, Some(from), &trace.hops, trace.arrived))
            .map_err(of)?;
    }
    Ok(Finding::Way(way))
}

/// A guest's way to a host outside: the gateway, routers, the peer's router, the host.
pub fn walk_out(context: &Context, graph: &Graph, guest: &Guest, peer: &PeerStand) -> Verdict {
    let mut way = Vec::new();
    for own in guest.addresses.iter().map(Prefix::addr) {
        let ipv6 = own.is_ipv6();
        let Some(far) = peer.host_addresses.iter().copied().find(|far| far.is_ipv6() == ipv6) else {
            continue;
        };
        let trace =
            context.within(&guest.machine, Plane::Management, || trace(own, far, MOST_HOPS, PATIENCE));
        let judged =
            trace.map_err(Finding::from).and_then(|trace| judge_out(context, graph, guest, peer, &trace));
        way = judged.map_err(|what| Finding::Of { ipv6, what: Box::new(what) })?;
    }
    if way.is_empty() { Ok(Finding::NothingToProve) } else { Ok(Finding::Way(way)) }
}

/// The last two hops are outside: the peer's router and the host.
fn judge_out(
    context: &Context,
    graph: &Graph,
    guest: &Guest,
    peer: &PeerStand,
    trace: &Trace,
) -> Result<Vec<String>, Finding> {
    let outside = if trace.arrived { 2 } else { 0 };
    let mut hops = trace.hops[..trace.hops.len().saturating_sub(outside)].to_vec();
    name_gateways(context, graph, guest, &peer.router, &mut hops)?;
    let mut way = judge(context, graph, None, &hops, trace.arrived)?;
    let ends = [way.first(), way.last()] == [Some(&guest.router), Some(&peer.router)];
    way.extend([peer.machine.clone(), peer.host.clone()]);
    if ends { Ok(way) } else { Err(Finding::NotArrived { way }) }
}

/// To its hosts every router that carries the segment is known by the gateway's address: the first hop
/// is the guest's own router (which another proof shows by captures), a later one whichever of them is
/// joined to the hop before, the `border` that leads out if it may be. Each is given its loopback.
fn name_gateways(
    context: &Context,
    graph: &Graph,
    guest: &Guest,
    border: &str,
    hops: &mut [Option<IpAddr>],
) -> Result<(), Finding> {
    let mut before: Option<&str> = None;
    for hop in hops.iter_mut().flatten() {
        if guest.gateways.iter().any(|gateway| gateway.addr() == *hop) {
            let carriers = context.lab.segment(&guest.segment).into_iter().flat_map(|it| &it.carriers);
            let next = carriers.map(|carrier| carrier.router.as_str());
            let router = match before {
                None => Some(guest.router.as_str()),
                Some(before) => {
                    let joined = next.filter(|router| graph.joins(before, router));
                    joined.min_by_key(|router| *router != border)
                }
            };
            let Some(router) = router else { continue };
            let loopbacks = context.loopbacks(context.machine(router)?);
            *hop = loopbacks.into_iter().find(|own| own.is_ipv6() == hop.is_ipv6()).unwrap_or(*hop);
        }
        before = context.router_of(*hop).map(|router| router.name.as_str());
    }
    Ok(())
}

/// Each hop answers, with a loopback, and is joined by a link to the one before it (the first to
/// `from`, a router); the last is the destination.
fn judge(
    context: &Context,
    graph: &Graph,
    from: Option<&str>,
    hops: &[Option<IpAddr>],
    arrived: bool,
) -> Result<Vec<String>, Finding> {
    let named = |hop: &Option<IpAddr>| match hop {
        Some(address) => {
            context.router_of(*address).map_or_else(|| address.to_string(), |router| router.name.clone())
        }
        None => "*".into(),
    };
    let way: Vec<String> = hops.iter().map(named).collect();
    let mut before = from;
    for (index, hop) in hops.iter().enumerate() {
        let hop_number = index + 1;
        let Some(address) = *hop else {
            return Err(Finding::SilentHop { hop: hop_number, way });
        };
        let Some(router) = context.router_of(address) else {
            return Err(Finding::ForeignHop { hop: hop_number, address });
        };
        if let Some(before) = before.filter(|before| !graph.joins(before, &router.name)) {
            return Err(Finding::NoSuchLink { from: before.into(), to: router.name.clone() });
        }
        before = Some(&router.name);
    }
    if arrived { Ok(way) } else { Err(Finding::NotArrived { way }) }
}

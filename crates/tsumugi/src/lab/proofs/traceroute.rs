//! On the longest ways of the file each inside hop answers with its loopback, in both families.

use super::Context;
use super::graph::Graph;
use crate::lab::probe::traceroute::trace;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::Plane;

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
            .and_then(|trace| judge(context, graph, from, &trace.hops, trace.arrived))
            .map_err(of)?;
    }
    Ok(Finding::Way(way))
}

/// Each hop answers, with a loopback, and is joined by a link to the one before it; the last is the
/// destination.
fn judge(
    context: &Context,
    graph: &Graph,
    from: &str,
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
        if !graph.joins(before, &router.name) {
            return Err(Finding::NoSuchLink { from: before.into(), to: router.name.clone() });
        }
        before = &router.name;
    }
    if arrived { Ok(way) } else { Err(Finding::NotArrived { way }) }
}

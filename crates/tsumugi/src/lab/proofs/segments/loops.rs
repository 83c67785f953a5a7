//! A cable between two LANs of a segment: within two seconds a port is blocked, its router says so,
//! everybody still hears everything once, and others never noticed. The cable is pulled: the port
//! opens again.

use super::cables::join;
use super::flood::flood_patiently;
use super::ports::{forwards, said_blocked};
use super::{frames_at, hosts_of, mac_of, of_family};
use crate::lab::probe::echo::{EchoSocket, Question, smallest};
use crate::lab::probe::frame::{Whom, marked};
use crate::lab::probe::mesh::Mesh;
use crate::lab::probe::options::Cutting;
use crate::lab::proofs::Context;
use crate::lab::report::{Finding, ProofId, Row, SegmentFinding, Verdict};
use crate::lab::segment::{Lan, LanEnd};
use crate::lab::{Guest, Segment};
use std::io;
use std::time::{Duration, Instant};
use tsumugi_core::id::Plane;

/// As soon as a loop must be blocked.
const SOON: Duration = Duration::from_secs(2);
/// How long a block is waited for, to say how late it was.
const PATIENCE: Duration = Duration::from_secs(6);
/// A port that was blocked for a while because MACs moved opens later than three seconds.
const REOPENS: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(20);
/// Before the loop is made and after the cable is pulled: what is measured has a beginning and an end.
const QUIET: Duration = Duration::from_millis(400);
const INTERVAL: Duration = Duration::from_millis(50);
/// Others share the processor with a storm. Less than a hold time (3 s): no session is lost for it.
const OTHERS: Duration = Duration::from_secs(2);

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows: Vec<Row> = context.lab.segments.iter().map(|segment| prove_one(context, segment)).collect();
    if rows.is_empty() {
        rows.push(Row::new(ProofId::LoopGuard, &context.lab.name, Ok(Finding::NothingToProve)));
    }
    rows
}

fn prove_one(context: &Context, segment: &Segment) -> Row {
    let made: Vec<&Lan> = segment.lans.iter().filter(|lan| lan.is_made()).collect();
    let [one, other, ..] = made[..] else {
        return Row::new(ProofId::LoopGuard, &segment.name, Ok(SegmentFinding::OneHost.into()));
    };
    let subject = format!("a cable from {} to {}", one.host, other.host);
    Row::new(ProofId::LoopGuard, subject, with_cable(context, segment, [one, other]))
}

fn with_cable(context: &Context, segment: &Segment, lans: [&Lan; 2]) -> Verdict {
    let before = open_ports(context, lans)?;
    let others = others(context, segment)?;
    std::thread::sleep(QUIET);
    let start = Instant::now();
    let cable = join(context, segment, lans)?;
    let looped = while_looped(context, segment, lans, &before, start);
    cable.undo()?;
    let pulled = Instant::now();
    let (port, after) = looped?;
    let opened = reopened(context, lans, &before, &port, pulled)?;
    std::thread::sleep(QUIET);
    sound(context, segment)?;
    let windows = others.map_or(Ok(Vec::new()), |mesh| mesh.since(start))?;
    let outage = windows.iter().map(|window| window.longest).max().unwrap_or_default();
    if outage > OTHERS {
        return Err(SegmentFinding::OthersDown { outage }.into());
    }
    Ok(SegmentFinding::Guarded { port, after, opened, others: outage }.into())
}

/// Which port was blocked, and when.
fn while_looped(
    context: &Context,
    segment: &Segment,
    lans: [&Lan; 2],
    before: &[(&Lan, &LanEnd)],
    start: Instant,
) -> Result<(String, Duration), Finding> {
    // Something that goes round.
    let host = &lans[0].host;
    frames_at(context, host)?.send(&marked(mac_of(context, host)?, Whom::Everybody, rand::random()))?;
    let (end, after) = loop {
        let now = open_ports(context, lans)?;
        let blocked = before.iter().find(|(_, end)| !now.iter().any(|(_, other)| same(end, other)));
        let after = start.elapsed();
        match blocked {
            Some((_, end)) => break (*end, after),
            None if after > PATIENCE => return Err(SegmentFinding::NotGuarded { after }.into()),
            None => std::thread::sleep(PACE),
        }
    };
    let port = format!("{} of {}", end.port, end.router);
    if after > SOON {
        return Err(SegmentFinding::NotGuarded { after }.into());
    }
    let until = Instant::now() + SOON;
    while said_blocked(context, &end.router, &end.port)?.is_none() {
        if Instant::now() > until {
            return Err(SegmentFinding::NotSaid { port }.into());
        }
        std::thread::sleep(PACE);
    }
    // What went round has gone.
    std::thread::sleep(QUIET);
    sound(context, segment)?;
    Ok((port, after))
}

/// Until the same ports forward as before.
fn reopened(
    context: &Context,
    lans: [&Lan; 2],
    before: &[(&Lan, &LanEnd)],
    port: &str,
    pulled: Instant,
) -> Result<Duration, Finding> {
    loop {
        let now = open_ports(context, lans)?;
        let after = pulled.elapsed();
        if before.iter().all(|(_, end)| now.iter().any(|(_, other)| same(end, other))) {
            return Ok(after);
        }
        if after > REOPENS {
            return Err(SegmentFinding::StaysBlocked { port: port.into(), after }.into());
        }
        std::thread::sleep(PACE);
    }
}

fn same(one: &LanEnd, other: &LanEnd) -> bool {
    one.router == other.router && one.port == other.port
}

fn open_ports<'a>(context: &Context, lans: [&'a Lan; 2]) -> io::Result<Vec<(&'a Lan, &'a LanEnd)>> {
    let mut open = Vec::new();
    for lan in lans {
        for end in &lan.ends {
            if forwards(context, lan, end)? {
                open.push((lan, end));
            }
        }
    }
    Ok(open)
}

/// What is flooded arrives everywhere once.
fn sound(context: &Context, segment: &Segment) -> Result<(), Finding> {
    for verdict in flood_patiently(context, &hosts_of(context, segment))? {
        verdict?;
    }
    Ok(())
}

/// The hosts of all other segments ask each other, both families.
fn others(context: &Context, looped: &Segment) -> io::Result<Option<Mesh>> {
    let (mut sockets, mut flows) = (Vec::new(), Vec::new());
    for segment in context.lab.segments.iter().filter(|segment| segment.name != looped.name) {
        let hosts: Vec<&Guest> = hosts_of(context, segment);
        for (index, one) in hosts.iter().enumerate() {
            for other in &hosts[index + 1..] {
                for ipv6 in [false, true] {
                    let (Some(source), Some(destination)) = (of_family(one, ipv6), of_family(other, ipv6))
                    else {
                        continue;
                    };
                    let length = smallest(destination);
                    flows.push(Question { socket: sockets.len(), destination, length });
                    sockets.push(context.within(&one.machine, Plane::Management, || {
                        EchoSocket::open(source, None, Cutting::Allowed)
                    })?);
                }
            }
        }
    }
    Ok((!flows.is_empty()).then(|| Mesh::start(sockets, flows, INTERVAL)))
}

//! What is flooded (a broadcast, a multicast, a frame for nobody known) arrives exactly once at every
//! other host of the segment, and never at its sender again.
//!
//! The LANs are Ethernet bridges: a frame that came out of a second port of a LAN would be seen twice
//! by its host, one that came back to a LAN would be seen by its sender.

use super::{frames_at, hosts_of, mac_of};
use crate::lab::Guest;
use crate::lab::capture::{Recorder, Seen};
use crate::lab::probe::frame::{Whom, marked, number_of};
use crate::lab::proofs::Context;
use crate::lab::report::{Finding, ProofId, Row, SegmentFinding, Verdict};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// How long copies are waited for.
const QUIET: Duration = Duration::from_millis(250);
/// By then every router floods to every other.
const PATIENCE: Duration = Duration::from_secs(8);

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows = Vec::new();
    for segment in &context.lab.segments {
        let hosts = hosts_of(context, segment);
        if hosts.len() < 2 {
            rows.push(Row::new(ProofId::FloodOnce, &segment.name, Ok(SegmentFinding::OneHost.into())));
            continue;
        }
        match flood_patiently(context, &hosts) {
            Ok(found) => rows.extend(hosts.iter().zip(found).map(|(host, verdict)| {
                Row::new(ProofId::FloodOnce, format!("{} → all", host.machine), verdict)
            })),
            Err(error) => rows.push(Row::new(ProofId::FloodOnce, &segment.name, Err(error.into()))),
        }
    }
    if rows.is_empty() {
        rows.push(Row::new(ProofId::FloodOnce, &context.lab.name, Ok(Finding::NothingToProve)));
    }
    rows
}

/// Asked again while frames are missed; one that arrives twice is one too many at any time.
pub fn flood_patiently(context: &Context, hosts: &[&Guest]) -> io::Result<Vec<Verdict>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = flood(context, hosts)?;
        let missed =
            |verdict: &Verdict| matches!(verdict, Err(Finding::Segment(SegmentFinding::Missed { .. })));
        if !found.iter().any(missed) || Instant::now() > until {
            return Ok(found);
        }
    }
}

/// Every host sends one frame of each kind: what each came to.
fn flood(context: &Context, hosts: &[&Guest]) -> io::Result<Vec<Verdict>> {
    let open = || hosts.iter().map(|host| frames_at(context, &host.machine)).collect::<io::Result<Vec<_>>>();
    let (senders, recorder) = (open()?, Recorder::start(open()?));
    let base: u32 = rand::random();
    let number = |host: usize, kind: usize| base.wrapping_add((host * Whom::ALL.len() + kind) as u32);
    for (index, host) in hosts.iter().enumerate() {
        let mac = mac_of(context, &host.machine)?;
        for (kind, whom) in Whom::ALL.into_iter().enumerate() {
            senders[index].send(&marked(mac, whom, number(index, kind)))?;
        }
    }
    std::thread::sleep(QUIET);
    let arrived = arrivals(&recorder.finish()?);
    Ok((0..hosts.len())
        .map(|sender| {
            for (kind, whom) in Whom::ALL.into_iter().enumerate() {
                judge(hosts, sender, whom, |at| {
                    arrived.get(&(number(sender, kind), at)).copied().unwrap_or(0)
                })?;
            }
            Ok(SegmentFinding::Once { hosts: hosts.len() - 1, frames: Whom::ALL.len() }.into())
        })
        .collect())
}

/// How often each number came in at each place.
fn arrivals(seen: &[Seen]) -> BTreeMap<(u32, usize), usize> {
    let mut arrived = BTreeMap::new();
    for seen in seen.iter().filter(|seen| !seen.leaving) {
        if let Some(number) = number_of(&seen.bytes) {
            *arrived.entry((number, seen.place)).or_insert(0) += 1;
        }
    }
    arrived
}

fn judge(
    hosts: &[&Guest],
    sender: usize,
    whom: Whom,
    times: impl Fn(usize) -> usize,
) -> Result<(), SegmentFinding> {
    if times(sender) > 0 {
        return Err(SegmentFinding::Back { whom });
    }
    let others = || hosts.iter().enumerate().filter(|(index, _)| *index != sender);
    if let Some((index, host)) = others().find(|(index, _)| times(*index) > 1) {
        return Err(SegmentFinding::Again { whom, at: host.machine.clone(), times: times(index) });
    }
    let missed: Vec<String> =
        others().filter(|(index, _)| times(*index) == 0).map(|(_, host)| host.machine.clone()).collect();
    if missed.is_empty() { Ok(()) } else { Err(SegmentFinding::Missed { whom, at: missed }) }
}

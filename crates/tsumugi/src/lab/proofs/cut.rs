//! The outer packets of each tunnel are dropped silently in the underlay, both ways, one link after
//! another: everything still reaches everything, or the file shows no second way.
//!
//! Every pair of routers is asked in both families all the time. No wire's carrier changes: only its silence
//! tells the datapaths, which take the tunnel's down. That it is silent is seen by captures at both of its ends.

use super::Context;
use super::graph::Graph;
use super::sessions;
use super::two_packets::{between, ports_fit, tap};
use crate::lab::Wire;
use crate::lab::capture::{Piece, Recorder, Seen};
use crate::lab::probe::echo::{EchoSocket, Question, smallest};
use crate::lab::probe::mesh::{Mesh, Window};
use crate::lab::probe::options::Cutting;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};
use tsumugi_core::bgp::SessionState;
use tsumugi_core::id::Plane;

/// How often a pair is asked.
const INTERVAL: Duration = Duration::from_millis(50);
/// By then the keepalive (2 s), or else the last hold timer (3 s), has told of the silence, and who had to go
/// elsewhere has.
const SILENCE: Duration = Duration::from_millis(3_200);
/// How long all must have been well to be called healed.
const WELL: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a mended link may take to be used again.
const RETURN: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(50);

pub fn prove(context: &Context) -> Vec<Row> {
    let wires: Vec<&Wire> = context.tunnels().collect();
    if wires.is_empty() {
        return vec![Row::new(ProofId::Cut, &context.lab.name, Ok(Finding::NothingToProve))];
    }
    let pairs = match Pairs::start(context) {
        Ok(pairs) => pairs,
        Err(error) => return vec![Row::new(ProofId::Cut, &context.lab.name, Err(error.into()))],
    };
    wires.into_iter().map(|wire| Row::new(ProofId::Cut, &wire.name, cut_one(context, &pairs, wire))).collect()
}

/// All pairs of routers, each asked in both families.
struct Pairs<'a> {
    mesh: Mesh,
    /// Of each flow.
    names: Vec<(&'a str, &'a str)>,
}

impl<'a> Pairs<'a> {
    fn start(context: &Context<'a>) -> io::Result<Pairs<'a>> {
        let (mut sockets, mut flows, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let routers = context.routers();
        for (index, router) in routers.iter().enumerate() {
            for source in context.loopbacks(router) {
                for far in &routers[index + 1..] {
                    let far_address =
                        context.loopbacks(far).into_iter().find(|far| far.is_ipv6() == source.is_ipv6());
                    if let Some(destination) = far_address {
                        let length = smallest(destination);
                        flows.push(Question { socket: sockets.len(), destination, length });
                        names.push((router.name.as_str(), far.name.as_str()));
                    }
                }
                sockets.push(context.within(&router.name, Plane::Fabric, || {
                    EchoSocket::open(source, None, Cutting::Allowed)
                })?);
            }
        }
        Ok(Pairs { mesh: Mesh::start(sockets, flows, INTERVAL), names })
    }

    /// The pairs, but those that are `apart`, with a flow for which `what` holds since a moment.
    fn with(
        &self,
        since: Instant,
        apart: &BTreeSet<(&str, &str)>,
        what: impl Fn(&Window) -> bool,
    ) -> io::Result<BTreeSet<(&'a str, &'a str)>> {
        let windows = self.mesh.since(since)?;
        let found = windows.iter().zip(&self.names).filter(|(window, _)| what(window));
        Ok(found.map(|(_, pair)| *pair).filter(|pair| !apart.contains(pair)).collect())
    }

    /// Waits until all pairs but those `apart` have been well for a while; those that are not.
    fn well(
        &self,
        begin: Instant,
        apart: &BTreeSet<(&str, &str)>,
        patience: Duration,
    ) -> io::Result<BTreeSet<(&'a str, &'a str)>> {
        loop {
            let lately = (Instant::now() - WELL).max(begin);
            let ill = self.with(lately, apart, |window| window.decided < 2 || window.lost > 0)?;
            if ill.is_empty() || begin.elapsed() > patience {
                return Ok(ill);
            }
            std::thread::sleep(PACE);
        }
    }
}

fn cut_one(context: &Context, pairs: &Pairs, wire: &Wire) -> Verdict {
    let nobody = BTreeSet::new();
    let before = pairs.well(Instant::now(), &nobody, PATIENCE)?;
    if !before.is_empty() {
        return Err(Finding::NotRestored(names(&before)));
    }
    let apart = Graph::without(context, &[&wire.name]).separated();
    let start = Instant::now();
    let cut = context.lab.cut_for_a_while(&[wire])?;
    let verdict = while_cut(context, pairs, wire, start, &apart);
    cut.undo()?;
    let mended = Instant::now();
    let verdict = verdict?;
    // The next cut may need this link as its second way.
    used_again(context, wire, mended)?;
    let ill = pairs.well(Instant::now(), &nobody, RETURN)?;
    if ill.is_empty() { Ok(verdict) } else { Err(Finding::NotRestored(names(&ill))) }
}

fn while_cut(
    context: &Context,
    pairs: &Pairs,
    wire: &Wire,
    start: Instant,
    apart: &BTreeSet<(&str, &str)>,
) -> Verdict {
    let [a, b] = &wire.ends;
    let recorder = Recorder::start(vec![tap(context, a)?, tap(context, b)?]);
    std::thread::sleep(SILENCE);
    let packets = passed(&recorder.finish()?, wire);
    if packets > 0 {
        return Err(Finding::NotCut { packets });
    }
    let ill = pairs.well(start, apart, PATIENCE)?;
    if !ill.is_empty() {
        return Err(Finding::NotHealed { pairs: names(&ill), after: start.elapsed() });
    }
    let interrupted = pairs.with(start, apart, |window| window.lost > 0)?.len();
    let windows = pairs.mesh.since(start)?;
    let well = windows.iter().zip(&pairs.names).filter(|(_, pair)| !apart.contains(pair));
    let loss = well.map(|(window, _)| window.longest).max().unwrap_or_default();
    if apart.is_empty() {
        let of = pairs.names.iter().collect::<BTreeSet<_>>().len();
        Ok(Finding::Healed { loss, interrupted, of })
    } else {
        Ok(Finding::NoSecondWay { apart: names(apart), loss })
    }
}

/// Outer packets of the link that came out of the underlay at either end. Later fragments of what lost
/// its first one are as good as silence.
fn passed(seen: &[Seen], wire: &Wire) -> usize {
    let of_link = |seen: &&Seen| {
        let flow = wire.ends.get(seen.place).and_then(|end| end.flow.as_ref());
        let (Some(flow), Some(piece)) = (flow, Piece::read(&seen.bytes)) else { return false };
        let begins = piece.fragment.is_none_or(|fragment| fragment.offset == 0);
        begins && between(&piece, flow, false) && ports_fit(piece.ports, flow, false)
    };
    seen.iter().filter(|seen| seen.leaving).filter(of_link).count()
}

fn names(pairs: &BTreeSet<(&str, &str)>) -> Vec<String> {
    pairs.iter().map(|(a, b)| format!("{a}-{b}")).collect()
}

/// Waits until both ends say that their session over the link stands again. Asked for the pace only:
/// what is proven is proven by traffic.
fn used_again(context: &Context, wire: &Wire, since: Instant) -> Result<(), Finding> {
    for end in &wire.ends {
        let router = context.machine(&end.machine)?;
        loop {
            let status = sessions::status(router)?;
            let mut sessions = status.running.iter().flat_map(|running| &running.bgp.sessions);
            let stands = sessions.any(|session| {
                session.neighbour.link == end.interface
                    && session.neighbour.state == SessionState::Established
            });
            if stands {
                break;
            }
            if since.elapsed() > RETURN {
                return Err(Finding::NotRestored(vec![format!("{} of {}", end.interface, end.machine)]));
            }
            std::thread::sleep(PACE);
        }
    }
    Ok(())
}

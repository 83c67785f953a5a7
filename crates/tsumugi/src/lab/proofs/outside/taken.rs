//! What the peers announce: good routes carry packets to them from everywhere, bad ones attract none,
//! and where all announce the same, the roles decide and no forged community does.

use super::super::{Context, sessions};
use crate::lab::capture::{PacketSocket, Recorder, Seen};
use crate::lab::probe::echo::{Answer, EchoSocket, MARK, Question, ask_all, smallest};
use crate::lab::probe::options::Cutting;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::stand_in::{self, Announcement, Expect, Why};
use crate::lab::{Machine, PeerStand};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::bgp::config::Role;
use tsumugi_core::bgp::policy::Class;
use tsumugi_core::id::{Plane, Prefix};
use tsumugi_core::wire::ip::Packet;

const AGAIN: Duration = Duration::from_millis(400);
/// Good routes are there: the peers have heard and told everything.
const PATIENCE: Duration = Duration::from_millis(4_000);
/// Packets that should come nowhere are waited for this long.
const QUIET: Duration = Duration::from_millis(400);

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows = Vec::new();
    let scripts: Vec<(&PeerStand, Vec<Announcement>)> =
        context.lab.peers.iter().map(|peer| (peer, stand_in::script(context.lab, peer))).collect();
    for (peer, script) in &scripts {
        let subject = |what: &str| format!("{} → {}, {what}", peer.machine, peer.router);
        rows.push(Row::new(ProofId::Outside, subject("good"), good(context, script)));
        rows.push(Row::new(ProofId::Outside, subject("bad"), bad(context, peer, script)));
    }
    rows.extend(contested(context, &scripts));
    rows
}

/// Every router asks each of these addresses: the answers, each with who asked whom.
fn ask_from_everywhere(
    context: &Context,
    probes: &[IpAddr],
    again: Duration,
    patience: Duration,
) -> io::Result<Vec<(String, Answer)>> {
    let (mut sockets, mut questions, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    for router in context.routers() {
        for source in context.loopbacks(router) {
            let open = || EchoSocket::open(source, None, Cutting::Allowed);
            for probe in probes.iter().filter(|probe| probe.is_ipv6() == source.is_ipv6()) {
                let (socket, length) = (sockets.len(), smallest(*probe));
                questions.push(Question { socket, destination: *probe, length });
                subjects.push(format!("{} → {probe}", router.name));
            }
            sockets.push(context.within(&router.name, Plane::Fabric, open)?);
        }
    }
    let answers = ask_all(&mut sockets, &questions, again, patience)?;
    Ok(subjects.into_iter().zip(answers).collect())
}

fn probes(script: &[Announcement], wanted: impl Fn(Expect) -> bool) -> Vec<IpAddr> {
    script.iter().filter(|one| wanted(one.expect)).map(|one| one.probe).collect()
}

/// Good routes, those that claim too much included: everybody reaches what is behind them.
fn good(context: &Context, script: &[Announcement]) -> Verdict {
    let probes = probes(script, |expect| matches!(expect, Expect::Taken | Expect::TakenUnmarked));
    let answers = ask_from_everywhere(context, &probes, AGAIN, PATIENCE)?;
    super::super::loopbacks::judge(answers.iter().map(|(who, answer)| (answer, who.as_str())))
}

/// Bad routes: of what everybody sends there, nothing comes to the peer.
fn bad(context: &Context, peer: &PeerStand, script: &[Announcement]) -> Verdict {
    let refused: Vec<(&Announcement, Why)> = script
        .iter()
        .filter_map(|one| match one.expect {
            Expect::Refused(why) => Some((one, why)),
            _ => None,
        })
        .collect();
    let announced = announced(context, peer)?;
    let unsaid: Vec<String> = refused
        .iter()
        .filter(|(one, _)| !announced.contains(&one.prefix))
        .map(|(one, _)| one.prefix.to_string())
        .collect();
    if !unsaid.is_empty() {
        return Err(Finding::NotAnnounced(unsaid));
    }
    let probes: Vec<IpAddr> = refused.iter().map(|(one, _)| one.probe).collect();
    let recorder = Recorder::start(vec![at_peer(context, peer)?]);
    ask_from_everywhere(context, &probes, QUIET, QUIET)?;
    let arrived = destinations(&recorder.finish()?);
    let taken: Vec<(Prefix, Why)> = refused
        .iter()
        .filter(|(one, _)| arrived.contains(&(0, one.probe)))
        .map(|(one, why)| (one.prefix, *why))
        .collect();
    if !taken.is_empty() {
        return Err(Finding::TakenAlthough(taken));
    }
    let reasons = reasons(context.machine(&peer.router)?, &refused);
    Ok(Finding::RefusedAll { count: refused.len(), reasons })
}

/// What the peer has told the border, in sessions that stand. It tells the good last: where that is
/// taken, which is another row, the bad has been heard.
fn announced(context: &Context, peer: &PeerStand) -> io::Result<BTreeSet<Prefix>> {
    Ok(stand_in::heard(context.machine(&peer.machine)?)?.announced().collect())
}

/// The border's own word on the refused prefixes, counted: shown beside the proof, not part of it.
fn reasons(border: &Machine, refused: &[(&Announcement, Why)]) -> BTreeMap<Why, usize> {
    let Ok(status) = sessions::status(border) else { return BTreeMap::new() };
    let wanted: BTreeSet<Prefix> = refused.iter().map(|(one, _)| one.prefix).collect();
    let mut counts = BTreeMap::new();
    for refusal in status.running.iter().flat_map(|running| &running.bgp.refusals) {
        if let (true, Some(why)) = (wanted.contains(&refusal.prefix), Why::of(refusal.reason)) {
            *counts.entry(why).or_insert(0) += 1;
        }
    }
    counts
}

fn at_peer(context: &Context, peer: &PeerStand) -> io::Result<PacketSocket> {
    let device = peer.interface.as_str();
    context.within(&peer.machine, Plane::Fabric, || PacketSocket::open(Some(device)))
}

/// Where our requests came to: the place of the recorder and the destination.
fn destinations(seen: &[Seen]) -> BTreeSet<(usize, IpAddr)> {
    let came = seen.iter().filter(|seen| !seen.leaving);
    came.filter(|seen| seen.bytes.windows(MARK.len()).any(|bytes| bytes == MARK))
        .filter_map(|seen| Some((seen.place, Packet::new_checked(&seen.bytes).ok()?.destination())))
        .collect()
}

/// What all announce is taken from the best role alone, whatever a provider claims.
fn contested(context: &Context, scripts: &[(&PeerStand, Vec<Announcement>)]) -> Option<Row> {
    let announcers: Vec<(&PeerStand, Role)> = scripts
        .iter()
        .filter(|(_, script)| script.iter().any(|one| one.expect == Expect::Contested))
        .filter_map(|(peer, _)| Some((*peer, stand_in::neighbour(context.lab, peer)?.1.role)))
        .collect();
    // A provider's routes come last; a customer does not take part.
    let best = announcers.iter().any(|(_, role)| is_peer(*role));
    if !best || announcers.iter().all(|(_, role)| is_peer(*role)) {
        return None;
    }
    let probes: BTreeSet<IpAddr> =
        scripts.iter().flat_map(|(_, script)| probes(script, |expect| expect == Expect::Contested)).collect();
    let probes: Vec<IpAddr> = probes.into_iter().collect();
    Some(Row::new(ProofId::Outside, "all announce the same", preferred(context, &announcers, &probes)))
}

fn preferred(context: &Context, announcers: &[(&PeerStand, Role)], probes: &[IpAddr]) -> Verdict {
    let mut sockets = Vec::new();
    for (peer, _) in announcers {
        sockets.push(at_peer(context, peer)?);
    }
    let recorder = Recorder::start(sockets);
    let answers = ask_from_everywhere(context, probes, AGAIN, PATIENCE)?;
    let came = destinations(&recorder.finish()?);
    let winners: Vec<String> =
        announcers.iter().filter(|(_, role)| is_peer(*role)).map(|(peer, _)| peer.machine.clone()).collect();
    let at: BTreeSet<&str> = came
        .iter()
        .filter(|(_, destination)| probes.contains(destination))
        .filter_map(|(place, _)| announcers.get(*place))
        .filter(|(_, role)| !is_peer(*role))
        .map(|(peer, _)| peer.machine.as_str())
        .collect();
    if !at.is_empty() {
        let at = at.into_iter().map(ToOwned::to_owned).collect();
        return Err(Finding::PrefersWrong { at, instead: winners });
    }
    super::super::loopbacks::judge(answers.iter().map(|(who, answer)| (answer, who.as_str())))?;
    Ok(Finding::Prefers { winners })
}

/// A route server hands on what peers say.
pub(super) fn is_peer(role: Role) -> bool {
    Class::from(role) == Class::Peer
}

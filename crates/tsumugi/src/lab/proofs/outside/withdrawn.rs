//! Borders that are cut off from the rest of the AS withdraw its prefixes, and announce them again
//! once they are back.

use super::super::Context;
use super::heard::judge_by;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::stand_in;
use crate::lab::{PeerStand, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

/// The hold timer (3 s), and what follows from it.
const PATIENCE: Duration = Duration::from_secs(10);
const RETURN: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(50);

/// All borders at once: each is then cut off from everybody. `well`: the peers held what they should
/// before, so that they can be expected to hold it again.
pub fn prove(context: &Context, well: bool) -> Vec<Row> {
    let borders: BTreeSet<&str> = context.lab.peers.iter().map(|peer| peer.router.as_str()).collect();
    let inside = context.lab.wires.iter().filter(|wire| !wire.outside);
    let wires: Vec<&Wire> =
        inside.filter(|wire| wire.ends.iter().any(|end| borders.contains(end.machine.as_str()))).collect();
    if wires.is_empty() {
        return Vec::new();
    }
    let start = Instant::now();
    let cut = context.lab.cut_for_a_while(&wires);
    let (found, mended) = match cut {
        Ok(cut) => (watch(context, start), cut.undo()),
        Err(error) => (Err(error), Ok(())),
    };
    let until = Instant::now() + RETURN;
    let peers = context.lab.peers.iter();
    peers
        .map(|peer| {
            let verdict = match (&found, &mended) {
                (Ok(found), Ok(_)) => {
                    found.get(&peer.machine).cloned().unwrap_or(Ok(Finding::NothingToProve))
                }
                (Err(error), _) | (_, Err(error)) => Err(Finding::Failed(error.to_string())),
            };
            let verdict = verdict.and_then(|finding| {
                if !well || judge_by(context, peer, until).is_ok() {
                    return Ok(finding);
                }
                Err(Finding::NotRestored(vec![peer.machine.clone()]))
            });
            Row::new(ProofId::Outside, format!("{}, cut off: {}", peer.router, peer.machine), verdict)
        })
        .collect()
}

/// When each peer had nothing of the AS's any more.
fn watch(context: &Context, start: Instant) -> io::Result<BTreeMap<String, Verdict>> {
    let mut found: BTreeMap<String, Verdict> = BTreeMap::new();
    loop {
        for peer in &context.lab.peers {
            if found.contains_key(&peer.machine) {
                continue;
            }
            let still = still_announced(context, peer)?;
            if still.is_empty() {
                found.insert(peer.machine.clone(), Ok(Finding::Withdrew { after: start.elapsed() }));
            } else if start.elapsed() > PATIENCE {
                let finding = Finding::StillAnnounced { prefixes: still, after: start.elapsed() };
                found.insert(peer.machine.clone(), Err(finding));
            }
        }
        if found.len() == context.lab.peers.len() {
            return Ok(found);
        }
        std::thread::sleep(PACE);
    }
}

/// The AS's own prefixes that the peer holds. A session that broke down would not count as an answer:
/// what it held is kept until then.
fn still_announced(context: &Context, peer: &PeerStand) -> io::Result<Vec<String>> {
    let own = context.lab.plans.get(&peer.router).and_then(|plan| plan.speaker.as_ref());
    let own = own.map_or(&[][..], |speaker| &speaker.own_prefixes);
    let heard = stand_in::heard(context.machine(&peer.machine)?)?;
    if !heard.all_established() {
        return Ok(vec!["(no session)".into()]);
    }
    Ok(heard
        .routes()
        .filter(|route| own.contains(&route.prefix))
        .map(|route| route.prefix.to_string())
        .collect())
}

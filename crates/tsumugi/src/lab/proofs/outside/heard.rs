//! What the peers hear: the AS's prefixes with the path that the file says, and nothing of our inside.

use super::super::Context;
use super::taken::is_peer;
use crate::lab::PeerStand;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::stand_in::{self, Announcement, Expect, Heard, HeardRoute};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tsumugi_core::bgp::config::{OutsidePolicy, Role};
use tsumugi_core::id::{Asn, Prefix};

const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(100);

pub fn prove(context: &Context) -> Vec<Row> {
    let until = Instant::now() + PATIENCE;
    let peers = context.lab.peers.iter();
    peers
        .map(|peer| {
            let subject = format!("{} ← {}", peer.machine, peer.router);
            Row::new(ProofId::Outside, subject, judge_by(context, peer, until))
        })
        .collect()
}

/// Whether the peer hears what it should, at the latest by `until`.
pub fn judge_by(context: &Context, peer: &PeerStand, until: Instant) -> Verdict {
    loop {
        let verdict = judge(context, peer);
        if verdict.is_ok() || Instant::now() > until {
            return verdict;
        }
        std::thread::sleep(PACE);
    }
}

fn judge(context: &Context, peer: &PeerStand) -> Verdict {
    let heard = stand_in::heard(context.machine(&peer.machine)?)?;
    if !heard.all_established() {
        let why =
            heard.sessions.iter().filter(|session| !session.established).find_map(|one| one.last_end.clone());
        return Err(Finding::NoSession(why.unwrap_or_else(|| "never answered".into())));
    }
    let (session, policy) = stand_in::neighbour(context.lab, peer)
        .ok_or_else(|| Finding::Failed(format!("{} has no session", peer.machine)))?;
    let due = due(context, peer, session.local_asn, policy);
    compare(&heard, &due, session.local_asn)
}

/// Every prefix that the peer must hear, with the paths that it may have.
type Due = BTreeMap<Prefix, Vec<Vec<Asn>>>;

fn due(context: &Context, peer: &PeerStand, public: Asn, policy: &OutsidePolicy) -> Due {
    let front = vec![public; 1 + usize::from(policy.extra_prepends)];
    let carried = |prefix: Prefix| peer.addresses.iter().any(|it| it.is_ipv6() == prefix.addr().is_ipv6());
    let own = context.lab.plans.get(&peer.router).and_then(|plan| plan.speaker.as_ref());
    let own = own.map_or(&[][..], |speaker| &speaker.own_prefixes);
    let mut due: Due = own.iter().map(|prefix| (*prefix, vec![front.clone()])).collect();
    let others: Vec<(Role, Vec<Announcement>)> = context
        .lab
        .peers
        .iter()
        .filter(|other| other.peer != peer.peer)
        .filter_map(|other| {
            let (_, theirs) = stand_in::neighbour(context.lab, other)?;
            Some((theirs.role, stand_in::script(context.lab, other)))
        })
        .collect();
    // A private number is the customer's alone: towards others the network speaks for it.
    let path = |one: &Announcement| -> Vec<Asn> {
        front.iter().chain(one.path.iter().filter(|asn| !asn.is_private())).copied().collect()
    };
    for (role, script) in &others {
        // Customers' routes go to everybody, everything goes to customers.
        if *role != Role::Customer && policy.role != Role::Customer {
            continue;
        }
        for one in script {
            // What all announce comes from a peer if there is one, else from any provider.
            let contested = || {
                let better = |(other, script): &(Role, Vec<Announcement>)| {
                    is_peer(*other) && script.iter().any(|it| it.prefix == one.prefix)
                };
                is_peer(*role) || !others.iter().any(better)
            };
            // What was lent of our own stays inside.
            let lent = own.iter().any(|own| own.contains(&one.prefix));
            let heard = match one.expect {
                _ if lent => false,
                Expect::Taken | Expect::TakenUnmarked => true,
                Expect::Contested => contested(),
                Expect::Refused(_) => false,
            };
            if heard {
                due.entry(one.prefix).or_default().push(path(one));
            }
        }
    }
    due.retain(|prefix, _| carried(*prefix));
    due
}

fn compare(heard: &Heard, due: &Due, public: Asn) -> Verdict {
    let held: BTreeMap<Prefix, &HeardRoute> = heard.routes().map(|route| (route.prefix, route)).collect();
    for route in held.values() {
        let ours = format!("{}:", public.0);
        let marks = route.large_communities.iter().chain(&route.communities);
        if let Some(community) = marks.into_iter().find(|mark| mark.starts_with(&ours)) {
            let prefix = route.prefix.to_string();
            return Err(Finding::OurCommunity { prefix, community: community.clone() });
        }
    }
    let missing: Vec<String> =
        due.keys().filter(|prefix| !held.contains_key(*prefix)).map(ToString::to_string).collect();
    let extra: Vec<String> =
        held.keys().filter(|prefix| !due.contains_key(*prefix)).map(ToString::to_string).collect();
    if !missing.is_empty() || !extra.is_empty() {
        return Err(Finding::HoldsWrong { missing, extra });
    }
    for (prefix, expected) in due {
        // Private numbers of ours would stand here too: the path is compared whole.
        if let Some(route) = held.get(prefix).filter(|route| !expected.contains(&route.path)) {
            let expected = expected.iter().map(|path| words(path)).collect::<Vec<_>>().join(" | ");
            let (prefix, path) = (prefix.to_string(), words(&route.path));
            return Err(Finding::WrongPath { prefix, path, expected });
        }
    }
    let path =
        due.values().flatten().min_by_key(|path| path.len()).map(|path| words(path)).unwrap_or_default();
    Ok(Finding::Holds { prefixes: held.len(), path })
}

fn words(path: &[Asn]) -> String {
    path.iter().map(|asn| asn.0.to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::stand_in::HeardSession;

    fn route(prefix: &str, path: &[u32], mark: Option<&str>) -> HeardRoute {
        HeardRoute {
            prefix: prefix.parse().unwrap(),
            path: path.iter().map(|asn| Asn(*asn)).collect(),
            large_communities: mark.map(ToString::to_string).into_iter().collect(),
            communities: Vec::new(),
        }
    }

    fn verdict(routes: Vec<HeardRoute>) -> Verdict {
        let session = HeardSession { established: true, routes, ..HeardSession::default() };
        let due = BTreeMap::from([("43.228.174.0/24".parse().unwrap(), vec![vec![Asn(63_806)]])]);
        compare(&Heard { sessions: vec![session] }, &due, Asn(63_806))
    }

    #[test]
    fn exactly_what_is_due() {
        assert!(verdict(vec![route("43.228.174.0/24", &[63_806], None)]).is_ok());
        assert!(matches!(verdict(vec![]), Err(Finding::HoldsWrong { missing, .. }) if missing.len() == 1));
        let leaked =
            vec![route("43.228.174.0/24", &[63_806], None), route("45.0.0.0/24", &[63_806, 1], None)];
        assert!(
            matches!(verdict(leaked), Err(Finding::HoldsWrong { extra, .. }) if extra == ["45.0.0.0/24"])
        );
        let private = vec![route("43.228.174.0/24", &[63_806, 4_200_000_001], None)];
        assert!(matches!(verdict(private), Err(Finding::WrongPath { .. })));
        let marked = vec![route("43.228.174.0/24", &[63_806], Some("63806:1:0"))];
        assert!(matches!(verdict(marked), Err(Finding::OurCommunity { .. })));
    }
}

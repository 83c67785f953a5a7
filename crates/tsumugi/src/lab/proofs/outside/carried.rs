//! Whom the AS carries packets for: its guests and its customers reach the hosts behind every other
//! network, and are reached by them.

use super::super::{Context, loopbacks};
use crate::lab::probe::echo::{EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::options::Cutting;
use crate::lab::report::{ProofId, Row, Verdict};
use crate::lab::stand_in;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::bgp::config::Role;
use tsumugi_core::id::{Plane, Prefix};

const AGAIN: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

struct Host<'a> {
    machine: &'a str,
    /// The peer that it stands behind; `None`: at a segment of ours.
    peer: Option<&'a str>,
    addresses: Vec<IpAddr>,
    /// Guests and customers.
    served: bool,
}

pub fn prove(context: &Context) -> Vec<Row> {
    let hosts = hosts(context);
    let served = hosts.iter().filter(|host| host.served && !host.addresses.is_empty());
    served
        .map(|host| {
            let others = hosts.iter().filter(|other| other.machine != host.machine);
            // A customer's own hosts meet at the customer's.
            let others: Vec<&Host> =
                others.filter(|other| host.peer.is_none() || other.peer != host.peer).collect();
            let subject = format!("{} ⇄ hosts behind others", host.machine);
            Row::new(ProofId::Outside, subject, both_ways(context, host, &others))
        })
        .collect()
}

fn hosts<'a>(context: &Context<'a>) -> Vec<Host<'a>> {
    let guests = context.lab.routed_guests().map(|guest| Host {
        machine: &guest.machine,
        peer: None,
        addresses: guest.addresses.iter().map(Prefix::addr).collect(),
        served: true,
    });
    let behind = context.lab.peers.iter().map(|peer| {
        let session = stand_in::neighbour(context.lab, peer);
        let served = session.is_some_and(|(_, policy)| policy.role == Role::Customer);
        let addresses = peer.host_addresses.clone();
        Host { machine: &peer.host, peer: Some(&peer.peer), addresses, served }
    });
    guests.chain(behind).collect()
}

/// The host asks all others, and all others ask it.
fn both_ways(context: &Context, host: &Host, others: &[&Host]) -> Verdict {
    let (mut sockets, mut questions, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    for other in others {
        for (from, to) in [(host, *other), (*other, host)] {
            for source in from.addresses.iter().copied() {
                let like = |to: &&IpAddr| to.is_ipv6() == source.is_ipv6();
                let Some(destination) = to.addresses.iter().find(like).copied() else { continue };
                let open = || EchoSocket::open(source, None, Cutting::Allowed);
                let socket = context.within(from.machine, Plane::Management, open)?;
                questions.push(Question {
                    socket: sockets.len(),
                    destination,
                    length: smallest(destination),
                });
                subjects.push(format!("{} → {destination}", from.machine));
                sockets.push(socket);
            }
        }
    }
    let answers = ask_all(&mut sockets, &questions, AGAIN, PATIENCE)?;
    loopbacks::judge(answers.iter().zip(&subjects).map(|(answer, who)| (answer, who.as_str())))
}

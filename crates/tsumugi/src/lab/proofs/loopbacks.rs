//! Every router reaches every other's loopback, IPv4 and IPv6, and so does a guest.

use super::Context;
use crate::lab::Machine;
use crate::lab::probe::echo::{Answer, EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::options::Cutting;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::{Plane, Prefix};

const AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);

pub fn prove(context: &Context) -> Vec<Row> {
    let askers = askers(context);
    match ask_everybody(context, &askers) {
        Ok(verdicts) => askers
            .iter()
            .zip(verdicts)
            .map(|(asker, verdict)| Row::new(ProofId::Loopbacks, asker.machine, verdict))
            .collect(),
        Err(error) => vec![Row::new(ProofId::Loopbacks, &context.lab.name, Err(error.into()))],
    }
}

struct Asker<'a> {
    machine: &'a str,
    plane: Plane,
    sources: Vec<IpAddr>,
}

/// The routers, and the hosts of segments.
fn askers<'a>(context: &Context<'a>) -> Vec<Asker<'a>> {
    let router = |router: &'a Machine| {
        let sources = context.loopbacks(router);
        Asker { machine: &router.name, plane: Plane::Fabric, sources }
    };
    let guests = context.lab.routed_guests().map(|guest| {
        let sources = guest.addresses.iter().map(Prefix::addr).collect();
        Asker { machine: &guest.machine, plane: Plane::Management, sources }
    });
    context.routers().into_iter().map(router).chain(guests).collect()
}

fn ask_everybody(context: &Context, askers: &[Asker]) -> io::Result<Vec<Verdict>> {
    let mut sockets = Vec::new();
    let mut questions = Vec::new();
    // Of each question: which router asks, and how the one is called that is asked.
    let mut subjects = Vec::new();
    let routers = context.routers();
    for (index, asker) in askers.iter().enumerate() {
        for source in asker.sources.iter().copied() {
            let open = || EchoSocket::open(source, None, Cutting::Allowed);
            let socket = context.within(asker.machine, asker.plane, open)?;
            for other in routers.iter().filter(|other| other.name != asker.machine) {
                for destination in context.loopbacks(other) {
                    if destination.is_ipv6() == source.is_ipv6() {
                        let length = smallest(destination);
                        questions.push(Question { socket: sockets.len(), destination, length });
                        subjects.push((index, format!("{} ({destination})", other.name)));
                    }
                }
            }
            sockets.push(socket);
        }
    }
    let answers = ask_all(&mut sockets, &questions, AGAIN, PATIENCE)?;
    Ok((0..askers.len())
        .map(|asker| {
            let own = answers.iter().zip(&subjects).filter(|(_, (who, _))| *who == asker);
            judge(own.map(|(answer, (_, whom))| (answer, whom.as_str())))
        })
        .collect())
}

/// All answered, or who did not.
pub fn judge<'a>(answers: impl Iterator<Item = (&'a Answer, &'a str)>) -> Verdict {
    let (mut count, mut slowest, mut missing) = (0, Duration::ZERO, Vec::new());
    for (answer, whom) in answers {
        count += 1;
        match answer {
            Answer::After(time) => slowest = slowest.max(*time),
            Answer::Silence => missing.push(whom.to_owned()),
            Answer::Unsent(why) => missing.push(format!("{whom}: {why}")),
        }
    }
    match (count, missing.is_empty()) {
        (0, _) => Ok(Finding::NothingToProve),
        (_, true) => Ok(Finding::Reached { count, slowest }),
        (_, false) => Err(Finding::Unreached { of: count, missing }),
    }
}

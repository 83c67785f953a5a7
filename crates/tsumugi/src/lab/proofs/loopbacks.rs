//! Every router reaches every other's loopback, IPv4 and IPv6.

use super::Context;
use crate::lab::Machine;
use crate::lab::probe::echo::{Answer, EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::options::Cutting;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use std::io;
use std::time::Duration;
use tsumugi_core::id::Plane;

const AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);

pub fn prove(context: &Context) -> Vec<Row> {
    let routers = context.routers();
    match ask_everybody(context, &routers) {
        Ok(verdicts) => routers
            .iter()
            .zip(verdicts)
            .map(|(router, verdict)| Row::new(ProofId::Loopbacks, &router.name, verdict))
            .collect(),
        Err(error) => vec![Row::new(ProofId::Loopbacks, &context.lab.name, Err(error.into()))],
    }
}

fn ask_everybody(context: &Context, routers: &[&Machine]) -> io::Result<Vec<Verdict>> {
    let mut sockets = Vec::new();
    let mut questions = Vec::new();
    // Of each question: which router asks, and how the one is called that is asked.
    let mut subjects = Vec::new();
    for (asker, router) in routers.iter().enumerate() {
        for source in context.loopbacks(router) {
            let socket = context
                .within(&router.name, Plane::Fabric, || EchoSocket::open(source, None, Cutting::Allowed))?;
            for other in routers.iter().filter(|other| other.name != router.name) {
                for destination in context.loopbacks(other) {
                    if destination.is_ipv6() == source.is_ipv6() {
                        let length = smallest(destination);
                        questions.push(Question { socket: sockets.len(), destination, length });
                        subjects.push((asker, format!("{} ({destination})", other.name)));
                    }
                }
            }
            sockets.push(socket);
        }
    }
    let answers = ask_all(&mut sockets, &questions, AGAIN, PATIENCE)?;
    Ok((0..routers.len())
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

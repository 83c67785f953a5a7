//! Every session is established. The only proof that asks a router's own word.

use super::Context;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::{Machine, ProcessKind};
use crate::observe::serve::ask;
use crate::observe::status::RouterStatus;
use std::io;
use std::time::{Duration, Instant};
use tsumugi_core::bgp::SessionState;

/// What bringing the lab up did not wait for: sessions to outside peers.
const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(50);
/// How long a router may take to answer: it may have little of a processor.
const ANSWER: Duration = Duration::from_secs(5);

pub fn prove(context: &Context) -> Vec<Row> {
    let until = Instant::now() + PATIENCE;
    context
        .routers()
        .into_iter()
        .map(|router| Row::new(ProofId::Sessions, &router.name, judge(context, router, until)))
        .collect()
}

fn judge(context: &Context, router: &Machine, until: Instant) -> Verdict {
    let speaker = context.lab.plans.get(&router.name).and_then(|plan| plan.speaker.as_ref());
    let of = speaker.map_or(0, |speaker| speaker.neighbours.len());
    loop {
        let finding = match ask_once(router) {
            Ok((missing, after)) if missing.is_empty() && after.len() == of => {
                return Ok(Finding::Established { count: of, after: after.into_iter().max() });
            }
            Ok((missing, _)) => Finding::NotEstablished { of, missing },
            Err(error) => error.into(),
        };
        if Instant::now() > until {
            return Err(finding);
        }
        std::thread::sleep(PACE);
    }
}

/// Who has no session, with what it waits for; and of the others, after how long they had theirs,
/// counted from the start of the router's process.
fn ask_once(router: &Machine) -> io::Result<(Vec<String>, Vec<Duration>)> {
    let status = status(router)?;
    let (mut missing, mut after) = (Vec::new(), Vec::new());
    for session in status.running.iter().flat_map(|running| &running.bgp.sessions) {
        let neighbour = &session.neighbour;
        match neighbour.established_for_ms {
            Some(since) if neighbour.state == SessionState::Established => {
                after.push(Duration::from_millis(status.uptime_ms.saturating_sub(since)));
            }
            _ => missing.push(format!("{} ({})", neighbour.name, session.state_words)),
        }
    }
    Ok((missing, after))
}

/// What the router process says of itself.
pub fn status(router: &Machine) -> io::Result<RouterStatus> {
    let document = ask(&router.socket_path(ProcessKind::Router), ANSWER)
        .map_err(|error| io::Error::new(error.kind(), format!("{} does not answer: {error}", router.name)))?;
    Ok(serde_json::from_str(&document)?)
}

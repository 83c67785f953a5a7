//! Management answers whatever happens to the real network, and nothing of the real network reaches it.

mod isolation;
mod survival;

use super::Context;
use super::loopbacks::judge;
use crate::lab::MachineRole;
use crate::lab::probe::echo::{Answer, EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::options::Cutting;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::Plane;

const AGAIN: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(8);

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows = Vec::new();
    for from in watchers(context) {
        rows.push(Row::new(ProofId::Planes, format!("{from} → all"), reach_all(context, &from, PATIENCE)));
    }
    rows.push(isolation::prove(context));
    rows.extend(survival::prove(context));
    rows
}

/// From where management is looked at.
fn watchers(context: &Context) -> Vec<String> {
    let laptops = context.lab.machines_of(MachineRole::Laptop).map(|laptop| laptop.name.clone());
    let routers = context.routers().into_iter().map(|router| router.name.clone());
    chosen(laptops, meeting_points(context).into_iter(), routers)
}

/// Every laptop, and one meeting point. Where nobody meets, any router: it has to find them all alone.
fn chosen(
    laptops: impl Iterator<Item = String>,
    meeting_points: impl Iterator<Item = String>,
    routers: impl Iterator<Item = String>,
) -> Vec<String> {
    laptops.chain(meeting_points.chain(routers).next()).collect()
}

/// Routers that others meet at.
fn meeting_points(context: &Context) -> BTreeSet<String> {
    let plans = context.lab.plans.values();
    let neighbours = plans.flat_map(|plan| &plan.management.overlay.neighbours);
    neighbours.filter(|neighbour| neighbour.meeting).map(|neighbour| neighbour.name.clone()).collect()
}

/// Every router and device, with its address in the management space.
fn subjects(context: &Context) -> Vec<(String, IpAddr)> {
    let routers = context.lab.machines_of(MachineRole::Router);
    let devices = context.lab.machines_of(MachineRole::Device);
    routers
        .chain(devices)
        .flat_map(|machine| {
            let addresses = context.management_addresses(machine);
            addresses.into_iter().map(|address| (machine.name.clone(), address))
        })
        .collect()
}

/// Every router and device answers `from` over management.
fn reach_all(context: &Context, from: &str, patience: Duration) -> Verdict {
    let asked = ask_from(context, from, patience)?;
    judge(asked.iter().map(|(name, answer)| (answer, name.as_str())))
}

fn ask_from(context: &Context, from: &str, patience: Duration) -> io::Result<Vec<(String, Answer)>> {
    let own = context.management_addresses(context.machine(from)?);
    let Some(source) = own.first().copied() else {
        return Err(io::Error::other(format!("{from} has no management address")));
    };
    let mut sockets =
        [context.within(from, Plane::Management, || EchoSocket::open(source, None, Cutting::Allowed))?];
    let subjects: Vec<(String, IpAddr)> = subjects(context)
        .into_iter()
        .filter(|(name, address)| name != from && address.is_ipv6() == source.is_ipv6())
        .collect();
    let questions: Vec<Question> = subjects
        .iter()
        .map(|(_, address)| Question { socket: 0, destination: *address, length: smallest(*address) })
        .collect();
    let answers = ask_all(&mut sockets, &questions, AGAIN, patience)?;
    Ok(subjects.into_iter().map(|(name, _)| name).zip(answers).collect())
}

/// Says of a verdict that it failed because something is not back.
fn restored(verdict: &Verdict) -> Result<(), Finding> {
    match verdict {
        Ok(_) => Ok(()),
        Err(Finding::Unreached { missing, .. }) => Err(Finding::NotRestored(missing.clone())),
        Err(other) => Err(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_looks_even_where_nobody_meets() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>().into_iter();
        assert_eq!(chosen(names(&["l"]), names(&["m", "n"]), names(&["a", "m", "n"])), ["l", "m"]);
        assert_eq!(chosen(names(&[]), names(&[]), names(&["a", "b"])), ["a"]);
    }
}

//! Management survives the fabric, and the fabric survives management. Everything is started again
//! afterwards, and waited for.

use super::super::loopbacks;
use super::{Context, PATIENCE, reach_all, restored, watchers};
use crate::kernel::Netlink;
use crate::lab::ProcessKind;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use std::io;
use std::time::{Duration, Instant};
use tsumugi_core::id::{IfName, Plane};

/// How long the network may take to stand again.
const RETURN: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(100);

pub fn prove(context: &Context) -> Vec<Row> {
    vec![
        Row::new(ProofId::Planes, "fabric down: management", without_fabric(context)),
        Row::new(ProofId::Planes, "management down: fabric", without_management(context)),
    ]
}

/// Router and datapath processes killed everywhere, every fabric link down: management answers.
fn without_fabric(context: &Context) -> Verdict {
    let killed = [ProcessKind::Router, ProcessKind::Datapath];
    // First the processes: they would put a link back that somebody took down.
    let verdict = kill_all(context, &killed).and_then(|()| set_links(context, false)).map_err(Finding::from);
    let verdict = verdict.and_then(|()| look(context));
    set_links(context, true)?;
    start_all(context, &killed)?;
    let until = Instant::now() + RETURN;
    loop {
        let rows = loopbacks::prove(context);
        let ill = rows.iter().find(|row| !row.holds());
        match ill {
            None => return verdict,
            Some(row) if Instant::now() > until => {
                restored(&row.verdict)?;
                return verdict;
            }
            Some(_) => std::thread::sleep(PACE),
        }
    }
}

/// From every place that looks; the slowest answer of all.
fn look(context: &Context) -> Verdict {
    let mut all = Finding::NothingToProve;
    for from in watchers(context) {
        let found = reach_all(context, &from, PATIENCE)?;
        all = match (all, found) {
            (Finding::Reached { count, slowest }, Finding::Reached { count: more, slowest: other }) => {
                Finding::Reached { count: count + more, slowest: slowest.max(other) }
            }
            (_, found) => found,
        };
    }
    Ok(all)
}

/// Management processes killed everywhere: every loopback is reached.
fn without_management(context: &Context) -> Verdict {
    let killed = [ProcessKind::Management];
    let verdict = kill_all(context, &killed).map_err(Finding::from);
    let verdict = verdict.and_then(|()| everybody(&loopbacks::prove(context)));
    start_all(context, &killed)?;
    for from in watchers(context) {
        restored(&reach_all(context, &from, RETURN))?;
    }
    verdict
}

/// All rows of loopbacks as one.
fn everybody(rows: &[Row]) -> Verdict {
    let (mut all, mut longest) = (0, Duration::ZERO);
    for row in rows {
        match &row.verdict {
            Ok(Finding::Reached { count, slowest }) => {
                all += count;
                longest = longest.max(*slowest);
            }
            Ok(_) => {}
            Err(finding) => return Err(finding.clone()),
        }
    }
    Ok(Finding::Reached { count: all, slowest: longest })
}

fn kill_all(context: &Context, kinds: &[ProcessKind]) -> io::Result<()> {
    for router in context.routers() {
        for kind in kinds {
            router.kill(*kind)?;
        }
    }
    Ok(())
}

fn start_all(context: &Context, kinds: &[ProcessKind]) -> io::Result<()> {
    for router in context.routers() {
        for kind in kinds {
            if router.pid(*kind).is_none() {
                router.start(*kind)?;
            }
        }
    }
    Ok(())
}

/// Every link of every router's fabric, but the loopback.
fn set_links(context: &Context, up: bool) -> io::Result<()> {
    for router in context.routers() {
        let mut netlink = Netlink::open_in(&context.namespace(&router.name, Plane::Fabric)?)?;
        for link in netlink.links()? {
            if link.name != IfName::loopback() {
                netlink.set_up(link.index, up)?;
            }
        }
    }
    Ok(())
}

//! Which links packets between routers take while nothing is broken: the paths of the least cost,
//! all of them, as BGP's path lengths choose them.

use super::survey::Survey;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// The largest packet that leaves as one outer packet on every link of the usual paths between
/// these routers; `None`: no path leads from one to another.
pub fn narrowest(survey: &Survey<'_>, routers: &[usize]) -> Option<u32> {
    let mut narrowest: Option<u32> = None;
    for from in routers {
        let costs = costs(survey, *from);
        // Backwards from each other router along links that lie on a path of the least cost.
        let mut ahead: Vec<usize> = routers.iter().copied().filter(|to| to != from).collect();
        let mut seen: Vec<bool> = vec![false; survey.machines.len()];
        while let Some(at) = ahead.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            for (index, side) in &survey.machines[at].links {
                let link = &survey.links[*index];
                let before = link.ends[1 - side].machine;
                let (Some(near), Some(far)) = (costs.get(&before), costs.get(&at)) else { continue };
                if near + u64::from(link.said.cost()) == *far {
                    let whole = link.way.largest_inner(1).min(link.way.mtu);
                    narrowest = Some(narrowest.map_or(whole, |known| known.min(whole)));
                    ahead.push(before);
                }
            }
        }
    }
    narrowest
}

/// What it costs to come from one router to each that can be reached.
fn costs(survey: &Survey<'_>, from: usize) -> HashMap<usize, u64> {
    let mut costs: HashMap<usize, u64> = HashMap::new();
    let mut ahead = BinaryHeap::from([Reverse((0, from))]);
    while let Some(Reverse((cost, at))) = ahead.pop() {
        if costs.contains_key(&at) {
            continue;
        }
        costs.insert(at, cost);
        for (index, side) in &survey.machines[at].links {
            let link = &survey.links[*index];
            let next = link.ends[1 - side].machine;
            if !costs.contains_key(&next) {
                ahead.push(Reverse((cost + u64::from(link.said.cost()), next)));
            }
        }
    }
    costs
}

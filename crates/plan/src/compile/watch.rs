//! How neighbours are watched by BFD.

use super::ends::Link;
use super::survey::Survey;
use crate::declaration::{BfdSaid, Peer};
use tsumugi_core::bfd::BfdTerms;

/// As the link says, else as the network does, else at a pace that both lines can keep.
pub fn link(survey: &Survey<'_>, link: &Link<'_>) -> Option<BfdTerms> {
    let (own, network) = (&link.said.bfd, &survey.network().bfd);
    if !own.is_on().or(network.is_on()).unwrap_or(true) {
        return None;
    }
    let ends = link.said.over.iter().flat_map(|over| link.ends.iter().zip(over.iter()));
    let lines = ends.filter_map(|(end, name)| survey.machines[end.machine].router.uplink(name));
    let usual = lines.map(|line| u32::from(line.kind.bfd_interval())).max();
    Some(pace(
        &[own, network],
        BfdTerms { interval: usual.unwrap_or(BfdTerms::INSIDE.interval), ..BfdTerms::INSIDE },
    ))
}

pub fn peer(peer: &Peer) -> Option<BfdTerms> {
    if !peer.bfd.is_on().unwrap_or(false) {
        return None;
    }
    Some(BfdTerms { multihop: peer.bfd.is_multihop(), ..pace(&[&peer.bfd], BfdTerms::OUTSIDE) })
}

/// The first that says something says it.
fn pace(said: &[&BfdSaid], usual: BfdTerms) -> BfdTerms {
    let interval = said.iter().find_map(|said| said.interval.as_ref()).map(|interval| u32::from(**interval));
    let multiplier = said.iter().find_map(|said| said.multiplier.as_ref()).map(|multiplier| **multiplier);
    BfdTerms {
        interval: interval.unwrap_or(usual.interval),
        multiplier: multiplier.unwrap_or(usual.multiplier),
        ..usual
    }
}

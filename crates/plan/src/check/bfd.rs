//! Words about BFD that mean something.

use super::Survey;
use crate::declaration::BfdSaid;
use crate::problem::BfdProblem;

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    // What [network] says of the pace is for links that say that they are watched, too.
    let network = file.network.bfd.is_on().unwrap_or(true);
    let any_link = file.links.iter().any(|link| link.bfd.is_on() == Some(true));
    pace(survey, &file.network.bfd, network || any_link);
    for link in &file.links {
        pace(survey, &link.bfd, link.bfd.is_on().unwrap_or(network));
    }
    for peer in &file.peers {
        pace(survey, &peer.bfd, peer.bfd.is_on().unwrap_or(false));
        if let Some(said) = peer.bfd.multihop.as_ref().filter(|_| peer.gtsm() && peer.bfd.is_multihop()) {
            survey.tell(said.span(), BfdProblem::MultihopWithGtsm);
        }
    }
}

fn pace(survey: &mut Survey<'_>, bfd: &BfdSaid, watches: bool) {
    if watches {
        return;
    }
    let said = [
        ("bfd-interval", bfd.interval.as_ref().map(|said| said.span())),
        ("bfd-multiplier", bfd.multiplier.as_ref().map(|said| said.span())),
        ("bfd-multihop", bfd.multihop.as_ref().map(|said| said.span())),
    ];
    for (key, span) in said {
        if let Some(span) = span {
            survey.tell(span, BfdProblem::WithoutBfd { key });
        }
    }
}

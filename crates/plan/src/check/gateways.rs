//! Segments whose routers are the hosts' gateway: addresses, what hosts are told, and what they may
//! send to.

use super::Survey;
use super::lines::all_read;
use super::space::{self, Space};
use crate::declaration::{AddressRange, List, Reach, Role, Said, Segment};
use crate::problem::{Noun, SegmentProblem};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use tsumugi_core::id::Prefix;

/// A customer's prefix.
struct Lent<'a> {
    prefix: Prefix,
    span: Range<usize>,
    peer: &'a str,
}

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let customers = file.peers.iter().filter(|peer| peer.role.sound() == Some(&Role::Customer));
    let lent: Vec<Lent<'_>> = customers
        .flat_map(|peer| {
            let prefixes = peer.prefixes().iter();
            prefixes
                .filter_map(|said| Some(Lent { prefix: *said.sound()?, span: said.span(), peer: &peer.name }))
        })
        .collect();
    let customers = Space::new(lent.iter().map(|one| one.prefix));
    let mut gateways: Vec<(Prefix, Range<usize>)> = Vec::new();
    for segment in &file.segments {
        for said in segment.gateways() {
            if let Some(gateway) = said.sound()
                && survey.host_address(gateway, said.span())
            {
                place(survey, gateway, said.span(), &customers, &lent);
                if gateway.addr().is_ipv6() && gateway.prefix_len() != 64 {
                    survey.tell(said.span(), SegmentProblem::GatewayNotSlash64 { gateway: *gateway });
                }
                gateways.push((*gateway, said.span()));
            }
        }
        needs_gateway(survey, segment);
        dhcp(survey, segment);
        dns(survey, segment);
        reach(survey, segment);
    }
    for (later, earlier) in space::overlaps(&gateways) {
        let kind = SegmentProblem::GatewaysOverlap { gateway: gateways[later].0, first: gateways[earlier].0 };
        survey.tell_both(gateways[later].1.clone(), gateways[earlier].1.clone(), kind);
    }
}

/// A piece of ours that nobody else has.
fn place(
    survey: &mut Survey<'_>,
    gateway: &Prefix,
    span: Range<usize>,
    customers: &Space,
    lent: &[Lent<'_>],
) {
    let network = gateway.trunc();
    if let Some(pool) = survey.loopbacks.overlapping(&network) {
        survey.tell(span, SegmentProblem::GatewayInPool { gateway: *gateway, pool });
    } else if survey.prefixes_read && survey.prefixes.around(&network).is_none() {
        survey.tell(span, SegmentProblem::GatewayOutsidePrefixes { gateway: *gateway });
    } else if let Some(prefix) = customers.overlapping(&network)
        && let Some(one) = lent.iter().find(|one| one.prefix == prefix)
    {
        let kind = SegmentProblem::GatewayIsLent { gateway: *gateway, prefix, peer: one.peer.into() };
        survey.tell_both(span, one.span.clone(), kind);
    }
}

/// What routers can only do for hosts whose gateway they are.
fn needs_gateway(survey: &mut Survey<'_>, segment: &Segment) {
    let has_v4 = segment.gateways().iter().any(|gateway| gateway.addr().is_ipv4());
    let is_read = segment.gateway.as_ref().is_none_or(all_read);
    if let Some(dhcp) = segment.dhcp.as_ref().filter(|_| is_read && !has_v4) {
        survey.tell(dhcp.span(), SegmentProblem::GatewayMissing { key: "dhcp" });
    }
    if segment.gateway.is_some() {
        return;
    }
    let said = [
        ("dns", segment.dns.as_ref().map(Said::span)),
        ("deny", segment.deny.as_ref().map(Said::span)),
        ("allow", segment.allow.as_ref().map(Said::span)),
    ];
    for (key, span) in said {
        if let Some(span) = span {
            survey.tell(span, SegmentProblem::GatewayMissing { key });
        }
    }
}

fn dhcp(survey: &mut Survey<'_>, segment: &Segment) {
    let Some(said) = &segment.dhcp else { return };
    let Some(range) = said.sound() else { return };
    if range.first > range.last {
        return survey.tell(said.span(), SegmentProblem::DhcpBackwards);
    }
    if !segment.gateway.as_ref().is_some_and(all_read) {
        return;
    }
    let of_v4 = || segment.gateways().iter().filter(|gateway| gateway.addr().is_ipv4());
    let Some(first) = of_v4().next() else { return };
    if !of_v4().any(|gateway| are_hosts(gateway, range)) {
        let kind = SegmentProblem::DhcpOutsideGateway { network: first.trunc() };
        return survey.tell_both(said.span(), first.span(), kind);
    }
    let within = |address: IpAddr| matches!(address, IpAddr::V4(address) if (range.first..=range.last).contains(&address));
    if let Some(gateway) = of_v4().find(|gateway| within(gateway.addr())) {
        let kind = SegmentProblem::DhcpHoldsGateway { gateway: gateway.addr() };
        survey.tell_both(said.span(), gateway.span(), kind);
    }
}

/// Whether all of the range are addresses that hosts of the network can have.
fn are_hosts(network: &Prefix, range: &AddressRange) -> bool {
    let ends = [network.network(), network.broadcast()];
    let [IpAddr::V4(first), IpAddr::V4(last)] = ends else { return false };
    // A network of one or two addresses has neither its own nor a broadcast address (RFC 3021).
    let spare = u32::from(network.prefix_len() < 31);
    let host =
        |address: Ipv4Addr| (first.to_bits() + spare..=last.to_bits() - spare).contains(&address.to_bits());
    host(range.first) && host(range.last)
}

fn dns(survey: &mut Survey<'_>, segment: &Segment) {
    for said in segment.dns.iter().flat_map(|list| list.iter()) {
        let Some(address) = said.sound().copied() else { continue };
        let unusable = address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || match address {
                IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
                IpAddr::V6(v6) => v6.is_unicast_link_local(),
            };
        if unusable {
            survey.tell(said.span(), SegmentProblem::DnsUnusable { address });
        } else if is_denied(survey, segment, address) {
            let deny = segment.deny.as_ref().map_or(said.span(), Said::span);
            survey.tell_both(said.span(), deny, SegmentProblem::DnsDenied { address });
        }
    }
    if let Some(list) = &segment.dns {
        survey.repeated(list, |address| *address);
    }
}

/// Whether hosts may not send to an address, whatever the port.
fn is_denied(survey: &Survey<'_>, segment: &Segment, address: IpAddr) -> bool {
    let holds = |one: &Segment| one.gateways().iter().any(|gateway| gateway.trunc().contains(&address));
    if holds(segment) || !survey.prefixes_read {
        return false;
    }
    let inside = survey.prefixes.holding(address).is_some();
    let means = |reach: &Said<Reach>| match reach.sound() {
        Some(Reach::Network) => inside,
        Some(Reach::Outside) => !inside,
        Some(Reach::Segments) => survey.file.segments.iter().any(holds),
        Some(Reach::Segment(name)) => survey.file.segments.iter().any(|one| *one.name == *name && holds(one)),
        Some(Reach::Mail | Reach::Management) | None => false,
    };
    segment.denies().iter().any(means) && !segment.allows().iter().any(means)
}

fn reach<'a>(survey: &mut Survey<'a>, segment: &'a Segment) {
    for list in [&segment.deny, &segment.allow].into_iter().flatten() {
        names(survey, segment, list);
        survey.repeated(list, Reach::clone);
    }
    for said in segment.denies() {
        if said.sound() == Some(&Reach::Management) {
            survey.tell(said.span(), SegmentProblem::ManagementDenied);
        }
    }
    for said in segment.allows() {
        match said.sound() {
            Some(Reach::Management) => survey.tell(said.span(), SegmentProblem::ManagementAllowed),
            Some(Reach::Outside) => survey.tell(said.span(), SegmentProblem::AllowOutside),
            Some(reach) => {
                let same = segment.denies().iter().find(|denied| denied.sound() == Some(reach));
                if let Some(denied) = same {
                    let kind = SegmentProblem::DeniedAndAllowed { word: reach.to_string() };
                    survey.tell_both(said.span(), denied.span(), kind);
                }
            }
            None => {}
        }
    }
    if let (Some(allow), None, Some(_)) = (&segment.allow, &segment.deny, &segment.gateway) {
        survey.tell(allow.span(), SegmentProblem::AllowsNothing);
    }
}

/// The segments that the words name.
fn names<'a>(survey: &mut Survey<'a>, segment: &'a Segment, list: &'a List<Reach>) {
    let file = survey.file;
    for said in list.iter() {
        let Some(Reach::Segment(name)) = said.sound() else { continue };
        if *name == *segment.name {
            survey.tell(said.span(), SegmentProblem::ReachSelf);
        } else if !survey.segments.contains(name.as_str()) {
            let names = file.segments.iter().map(|one| one.name.as_str());
            survey.dangling(said.span(), Noun::Segment, name, None, names);
        }
    }
}

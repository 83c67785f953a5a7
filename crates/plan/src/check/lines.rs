//! Access lines: whether a line of its kind can be as it is said.

use super::Survey;
use crate::declaration::keys::LINE_CLIENTS;
use crate::declaration::line::{Family, Net};
use crate::declaration::{LineAddress, LineKind, List, Pass, Purpose, Said, Uplink, word};
use crate::problem::LineProblem;
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::id::Prefix;

/// Who has an address first, on which network of lines.
type Addresses = HashMap<(Net, IpAddr), Range<usize>>;

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut addresses = Addresses::new();
    for router in &file.routers {
        for uplink in &router.uplinks {
            region(survey, uplink);
            stated(survey, uplink, &mut addresses);
            gateways(survey, uplink);
            path_mtu(survey, uplink);
            survey.repeated(&uplink.purposes, |purpose| word(*purpose));
            if let Some(passes) = &uplink.passes {
                survey.repeated(passes, |pass| word(*pass));
            }
            if is_known(uplink) && uplink.is_for(Purpose::Management) && !uplink.passes(Pass::Udp) {
                let span = uplink.passes.as_ref().map_or(uplink.kind.span(), Said::span);
                survey.tell(span, LineProblem::ManagementNeedsUdp);
            }
        }
    }
}

/// Whether a list and all that it holds could be read.
pub(super) fn all_read<T>(list: &List<T>) -> bool {
    list.sound().is_some_and(|list| list.iter().all(|one| one.sound().is_some()))
}

/// Whether the kind of line and what it passes could be read.
pub(super) fn is_known(uplink: &Uplink) -> bool {
    let passes = uplink.passes.as_ref().is_none_or(all_read);
    let region = uplink.region.as_ref().is_none_or(|region| region.sound().is_some());
    uplink.kind.sound().is_some() && passes && region
}

/// Whether all of its addresses could be read.
pub(super) fn has_known_addresses(uplink: &Uplink) -> bool {
    all_read(&uplink.address)
}

fn region(survey: &mut Survey<'_>, uplink: &Uplink) {
    match (uplink.kind.sound(), &uplink.region) {
        (Some(LineKind::Ngn), None) => survey.tell(uplink.kind.span(), LineProblem::RegionMissing),
        (Some(line), Some(region)) if *line != LineKind::Ngn => {
            survey.tell(region.span(), LineProblem::RegionOutOfPlace { line: *line });
        }
        _ => {}
    }
}

fn stated(survey: &mut Survey<'_>, uplink: &Uplink, addresses: &mut Addresses) {
    let mut families: HashMap<Family, Range<usize>> = HashMap::new();
    for said in uplink.address.iter() {
        let Some(address) = said.sound() else { continue };
        let family = address.family();
        if let Some(first) = families.insert(family, said.span()) {
            survey.tell_both(said.span(), first, LineProblem::FamilyTwice { family });
            continue;
        }
        fits_kind(survey, uplink, said);
        let LineAddress::Stated(prefix) = address else { continue };
        if !survey.host_address(prefix, said.span()) {
            continue;
        }
        let inside = survey.prefixes.holding(prefix.addr()).or(survey.management_around(prefix.addr()));
        if let Some(space) = inside {
            survey.tell(said.span(), LineProblem::AddressInside { address: prefix.addr(), space });
        }
        let net = uplink.network();
        if let Some(first) = addresses.get(&(net, prefix.addr())) {
            survey.tell_both(
                said.span(),
                first.clone(),
                LineProblem::AddressTwice { address: prefix.addr() },
            );
        } else {
            addresses.insert((net, prefix.addr()), said.span());
        }
    }
}

/// Closed NGN has IPv6 only; what brings IPv4 over IPv6, or PPPoE, has IPv4 only. On any other
/// line a stated address may add a family.
fn fits_kind(survey: &mut Survey<'_>, uplink: &Uplink, said: &Said<LineAddress>) {
    let Some(line) = uplink.kind.sound().copied() else { return };
    let family = said.family();
    let only = match line {
        LineKind::Ngn => Some(Family::V6),
        LineKind::Pppoe | LineKind::DsLite | LineKind::MapE => Some(Family::V4),
        _ => None,
    };
    let client = match **said {
        LineAddress::Stated(_) => None,
        LineAddress::Auto => Some(LINE_CLIENTS[0]),
        LineAddress::Dhcp => Some(LINE_CLIENTS[1]),
        LineAddress::Dhcp6Pd => Some(LINE_CLIENTS[2]),
        LineAddress::Pppoe => Some(LINE_CLIENTS[3]),
    };
    match client {
        Some(client) if only.is_some_and(|only| only != family) => {
            survey.tell(said.span(), LineProblem::ClientNotOnLine { line, client });
        }
        Some(client) if **said == LineAddress::Pppoe && line != LineKind::Pppoe => {
            survey.tell(said.span(), LineProblem::ClientNotOnLine { line, client });
        }
        None if only.is_some_and(|only| only != family) => {
            survey.tell(said.span(), LineProblem::FamilyNotOnLine { line, family });
        }
        _ => {}
    }
}

fn gateways(survey: &mut Survey<'_>, uplink: &Uplink) {
    if !has_known_addresses(uplink) {
        return;
    }
    let mut families: HashMap<Family, Range<usize>> = HashMap::new();
    for said in uplink.gateways() {
        let Some(gateway) = said.sound().copied() else { continue };
        let family = Family::of(gateway);
        if let Some(first) = families.insert(family, said.span()) {
            survey.tell_both(said.span(), first, LineProblem::FamilyTwice { family });
            continue;
        }
        let Some(prefix) = uplink.stated().find(|prefix| Family::of(prefix.addr()) == family) else {
            survey.tell(said.span(), LineProblem::GatewayWithoutAddress { family });
            continue;
        };
        if gateway == prefix.addr() {
            survey.tell(said.span(), LineProblem::GatewayIsAddress { gateway });
        } else if !prefix.contains(&gateway) && !is_link_local(gateway) {
            survey.tell(said.span(), LineProblem::GatewayNotOnLine { gateway, network: prefix.trunc() });
        }
    }
    if uplink.gateway.as_ref().is_some_and(|said| !all_read(said)) {
        return;
    }
    for said in uplink.address.iter() {
        if let LineAddress::Stated(_) = **said
            && !families.contains_key(&said.family())
        {
            survey.tell(said.span(), LineProblem::NoGateway { family: said.family() });
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn path_mtu(survey: &mut Survey<'_>, uplink: &Uplink) {
    let Some(said) = &uplink.path_mtu else { return };
    let Some(mtu) = said.sound() else { return };
    if *mtu < 1280 && has_known_addresses(uplink) && uplink.has_v6() {
        survey.tell(said.span(), LineProblem::PathMtuBelowIpv6 { mtu: *mtu });
    }
}

impl Survey<'_> {
    /// Tells if an interface cannot have this address with this length.
    pub(super) fn host_address(&mut self, prefix: &Prefix, span: Range<usize>) -> bool {
        let address = prefix.addr();
        let several = prefix.max_prefix_len() - prefix.prefix_len() > 1;
        let unusable = match address {
            IpAddr::V4(v4) => {
                v4.is_unspecified() || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast()
            }
            IpAddr::V6(v6) => {
                v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local()
            }
        };
        let kind = if unusable {
            LineProblem::AddressUnusable { address }
        } else if several && address == prefix.network() {
            LineProblem::AddressIsNetwork { prefix: *prefix }
        } else if several && address.is_ipv4() && address == prefix.broadcast() {
            LineProblem::AddressIsBroadcast { prefix: *prefix }
        } else {
            return true;
        };
        self.tell(span, kind);
        false
    }

    pub(super) fn management_around(&self, address: IpAddr) -> Option<Prefix> {
        self.management.filter(|space| space.contains(&address))
    }
}

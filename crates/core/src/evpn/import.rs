//! What a route of another router means to a segment, or why it means nothing.

use super::communities::{Said, meant_for};
use super::config::{SegmentConfig, Stretch};
use super::macs::Claim;
use super::notice::RouteRefusal;
use crate::bgp::EvpnPath;
use crate::id::{Mac, Vni};
use crate::wire::bgp::{EvpnRoute, PmsiTunnel};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route that a segment uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Import {
    Claim { mac: Mac, claim: Claim },
    Flood { vtep: IpAddr },
}

/// `None`: not for this segment, or our own route come back.
pub(super) fn import(
    config: &SegmentConfig,
    route: &EvpnRoute,
    path: &EvpnPath,
) -> Option<Result<Import, RouteRefusal>> {
    let stretch = config.stretch.as_ref()?;
    if !meant_for(&path.communities, &stretch.import) || path.next_hop == stretch.vtep {
        return None;
    }
    match route {
        EvpnRoute::MacIp { .. } => Some(mac_ip(config, stretch, route, path)),
        EvpnRoute::Multicast { tag, .. } => match multicast(config, stretch, *tag, path) {
            Ok(Import::Flood { vtep }) if vtep == stretch.vtep => None,
            said => Some(said),
        },
        _ => None,
    }
}

/// RFC 8365 5.1.3: VNIs mean the same everywhere in this network, so a label that is not the segment's
/// would send frames to another one.
fn check_vni(config: &SegmentConfig, label: u32) -> Result<(), RouteRefusal> {
    if Vni(label) == config.vni { Ok(()) } else { Err(RouteRefusal::WrongVni { label }) }
}

/// A VTEP that our VXLAN device can send to.
fn check_vtep(stretch: &Stretch, vtep: IpAddr) -> Result<(), RouteRefusal> {
    if vtep.is_ipv4() != stretch.vtep.is_ipv4() {
        return Err(RouteRefusal::WrongFamily);
    }
    let broadcast = vtep == IpAddr::V4(Ipv4Addr::BROADCAST);
    if vtep.is_unspecified() || vtep.is_multicast() || vtep.is_loopback() || broadcast {
        return Err(RouteRefusal::BadVtep);
    }
    Ok(())
}

fn mac_ip(
    config: &SegmentConfig,
    stretch: &Stretch,
    route: &EvpnRoute,
    path: &EvpnPath,
) -> Result<Import, RouteRefusal> {
    let EvpnRoute::MacIp { rd, tag, mac, ip } = *route else { return Err(RouteRefusal::EthernetTag) };
    let said = Said::by(&path.communities);
    if said.not_vxlan {
        return Err(RouteRefusal::NotVxlan);
    }
    check_tag(tag)?;
    check_vni(config, path.body.label)?;
    check_vtep(stretch, path.next_hop)?;
    if mac.0 == [0; 6] || mac.0[0] & 1 != 0 {
        return Err(RouteRefusal::BadMac);
    }
    if let Some(gateway) = &config.gateway {
        if mac == gateway.mac {
            // RFC 7432 10.1, RFC 9135 4.1: routers that are one gateway share its MAC and say so.
            let gateway = said.default_gateway;
            return Err(if gateway { RouteRefusal::SameGateway } else { RouteRefusal::OurMac });
        }
        if mac == gateway.own_mac {
            return Err(RouteRefusal::OurMac);
        }
        let ours = |ip| ip == gateway.link_local || gateway.addresses.iter().any(|it| it.addr() == ip);
        if ip.is_some_and(ours) {
            return Err(RouteRefusal::OurAddress);
        }
    }
    if ip.is_some_and(|ip| !is_host(ip)) {
        return Err(RouteRefusal::BadAddress);
    }
    let Said { sequence, sticky, router_mac, .. } = said;
    let claim = Claim { rd, ip, vtep: path.next_hop, sequence, sticky, router_mac };
    Ok(Import::Claim { mac, claim })
}

/// RFC 7432 6.1: VLAN-based service, one broadcast domain an instance.
fn check_tag(tag: u32) -> Result<(), RouteRefusal> {
    if tag == 0 { Ok(()) } else { Err(RouteRefusal::EthernetTag) }
}

/// Whether an address can be a host's.
pub(super) fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_unspecified() || address.is_multicast() || address.is_broadcast())
        }
        IpAddr::V6(address) => !(address.is_unspecified() || address.is_multicast()),
    }
}

/// RFC 7432 11.2, RFC 6514 5, RFC 8365 5.1.3.
fn multicast(
    config: &SegmentConfig,
    stretch: &Stretch,
    tag: u32,
    path: &EvpnPath,
) -> Result<Import, RouteRefusal> {
    if Said::by(&path.communities).not_vxlan {
        return Err(RouteRefusal::NotVxlan);
    }
    check_tag(tag)?;
    let pmsi = path.pmsi.as_ref().ok_or(RouteRefusal::NoPmsi)?;
    if pmsi.kind != PmsiTunnel::INGRESS_REPLICATION {
        return Err(RouteRefusal::NotIngressReplication { kind: pmsi.kind });
    }
    check_vni(config, pmsi.label)?;
    let vtep = match *pmsi.identifier {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => {
            let octets: [u8; 16] = (*pmsi.identifier).try_into().map_err(|_| RouteRefusal::BadVtep)?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    };
    check_vtep(stretch, vtep)?;
    Ok(Import::Flood { vtep })
}

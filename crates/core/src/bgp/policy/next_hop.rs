//! Where routes lead, as the neighbour says and as it may say.

use crate::bgp::config::{NeighbourConfig, SpeakerConfig, Transport};
use crate::bgp::notice::ImportRefusal;
use crate::wire::bgp::MpNextHop;
use core::net::{IpAddr, Ipv6Addr};

/// The next hop on the neighbour's link that an UPDATE means.
pub(in crate::bgp) fn import_next_hop(
    neighbour: &NeighbourConfig,
    remote: IpAddr,
    announced: MpNextHop,
) -> Result<IpAddr, ImportRefusal> {
    let link_local = |address: Ipv6Addr| address.is_unicast_link_local();
    let next_hop = match (&neighbour.transport, announced) {
        // Between two link-local addresses the far end is the only router there is: a global
        // address of it says nothing about how to reach it.
        (Transport::Unnumbered { .. }, MpNextHop::V6Pair { link_local: it, .. } | MpNextHop::V6(it))
            if link_local(it) =>
        {
            IpAddr::V6(it)
        }
        (Transport::Unnumbered { .. }, _) => remote,
        (_, MpNextHop::V4(it)) => IpAddr::V4(it),
        (_, MpNextHop::V6(it)) => IpAddr::V6(it),
        (_, MpNextHop::V6Pair { global, link_local: it }) => {
            let usable = !global.is_unspecified() && !link_local(global);
            IpAddr::V6(if usable { global } else { it })
        }
    };
    let ours = match neighbour.transport {
        Transport::Unnumbered { local, .. } => IpAddr::V6(local),
        Transport::Numbered { local, .. } => local,
    };
    let router = match next_hop {
        IpAddr::V4(it) => !(it.octets()[0] == 0 || it.is_loopback() || it.octets()[0] >= 224),
        IpAddr::V6(it) => !(it.is_unspecified() || it.is_loopback() || it.is_multicast()),
    };
    // RFC 4271 6.3, 5.1.3: between neighbours on one network a next hop is on that network too; by any
    // other nothing can be forwarded.
    let on_link = match (&neighbour.transport, next_hop) {
        (Transport::Numbered { network, .. }, next_hop) => {
            network.contains(&next_hop) || matches!(next_hop, IpAddr::V6(it) if link_local(it))
        }
        (Transport::Unnumbered { .. }, _) => true,
    };
    if router && on_link && next_hop != ours {
        Ok(next_hop)
    } else {
        Err(ImportRefusal::NextHop { next_hop })
    }
}

/// The VTEP of EVPN routes. It is reached through the table of prefixes, from wherever the route came,
/// and may be of either family on any session.
pub(in crate::bgp) fn import_vtep(
    config: &SpeakerConfig,
    next_hop: MpNextHop,
) -> Result<IpAddr, ImportRefusal> {
    let next_hop = match next_hop {
        MpNextHop::V4(it) => IpAddr::V4(it),
        MpNextHop::V6(it) | MpNextHop::V6Pair { global: it, .. } => IpAddr::V6(it),
    };
    let host = match next_hop {
        IpAddr::V4(it) => {
            !(it.octets()[0] == 0 || it.is_loopback() || it.is_link_local() || it.octets()[0] >= 224)
        }
        IpAddr::V6(it) => {
            !(it.is_unspecified() || it.is_loopback() || it.is_unicast_link_local() || it.is_multicast())
        }
    };
    let ours = [config.source_v4.map(IpAddr::V4), config.source_v6.map(IpAddr::V6)];
    // RFC 4271 5.1.3: nobody sends to itself.
    if host && !ours.contains(&Some(next_hop)) {
        Ok(next_hop)
    } else {
        Err(ImportRefusal::NextHop { next_hop })
    }
}

//! What the lab does for a machine once its processes have put an interface in its place: it plays
//! the client of lines whose addresses are given (router advertisement, DHCP, PPPoE), and fills in
//! the inside of stand-ins.

use super::underlay::{MEMBER_BRIDGE, everywhere, local};
use super::wire::{Line, WireEnd, interface};
use super::{Lab, PeerStand, stand_in};
use crate::kernel::Netlink;
use crate::kernel::route::{NextHopInfo, RouteInfo, TargetInfo};
use nix::errno::Errno;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use tsumugi_core::bgp::config::Role;
use tsumugi_core::id::{IfName, Plane, Prefix};

/// `RTPROT_DHCP`.
const GIVEN: u8 = 16;
/// `RTPROT_STATIC`.
const STATIC: u8 = 4;
/// A stand-in's link-local address: no router's, which has its id there.
const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0xffff, 0, 0, 1);
/// Above every route that a plan states.
const METRIC: u32 = 2048;

/// Gives the line's interface its addresses and a default route by it, if it is there and up.
/// Doing it again changes nothing. True once it is done.
///
/// # Errors
/// What the kernel refuses.
pub(super) fn serve(lab: &Lab, line: &Line) -> io::Result<bool> {
    // A port that nobody moves or brings up is ours to bring up.
    let is_ours = line.plane == Plane::Management && line.interface == line.port;
    let Some((mut netlink, index)) = arrived(lab, &line.machine, line.plane, &line.interface, is_ours)?
    else {
        return Ok(false);
    };
    for prefix in &line.addresses {
        add(&mut netlink, index, *prefix)?;
    }
    for gateway in &line.gateways {
        let route = RouteInfo {
            prefix: everywhere(*gateway),
            target: TargetInfo::NextHops(vec![NextHopInfo { link: index, via: Some(*gateway) }]),
            source: None,
            mtu: None,
            metric: Some(METRIC + index),
            protocol: GIVEN,
        };
        netlink.set_route(&route)?;
    }
    Ok(true)
}

/// Gives a stand-in's inner interface its addresses and the way to the AS, if it is there and up.
/// Doing it again changes nothing. True once it is done.
///
/// # Errors
/// What the kernel refuses.
pub(super) fn furnish(lab: &Lab, stand: &PeerStand, own: &[Prefix], router: &[Prefix]) -> io::Result<bool> {
    let fabric = lab.plane(&stand.machine, Plane::Fabric)?;
    let mut netlink = Netlink::open_in(&fabric)?;
    let Some(link) = netlink.link(&stand.interface)? else { return Ok(false) };
    if !link.up {
        netlink.set_up(link.index, true)?;
    }
    // Neighbour discovery for what is forwarded asks from here.
    add(&mut netlink, link.index, local(PEER))?;
    for address in &stand.addresses {
        let length = router.iter().find(|prefix| prefix.contains(address)).map_or(32, Prefix::prefix_len);
        if let Ok(prefix) = Prefix::new(*address, length) {
            add(&mut netlink, link.index, prefix)?;
        }
    }
    for prefix in own.iter().chain(&beyond(lab, stand)) {
        let like = |address: &&IpAddr| address.is_ipv6() == prefix.addr().is_ipv6();
        let Some(via) = stand.router_addresses.iter().find(like) else { continue };
        let target = TargetInfo::NextHops(vec![NextHopInfo { link: link.index, via: Some(*via) }]);
        let route =
            RouteInfo { prefix: *prefix, target, source: None, mtu: None, metric: None, protocol: STATIC };
        netlink.set_route(&route)?;
    }
    Ok(true)
}

/// Bridges the tunnel of a member's hardware router into the LAN behind it, if it is there. Doing it
/// again changes nothing. True once it is done.
///
/// # Errors
/// What the kernel refuses.
pub(super) fn bridge(lab: &Lab, member: &WireEnd) -> io::Result<bool> {
    let mut netlink = Netlink::open_in(&lab.plane(&member.machine, Plane::Fabric)?)?;
    let Some(tunnel) = netlink.link(&member.interface)? else { return Ok(false) };
    let lan = netlink.index(&interface(MEMBER_BRIDGE))?;
    netlink.set_master(tunnel.index, Some(lan))?;
    netlink.set_up(tunnel.index, true)?;
    Ok(true)
}

/// What a peer reaches through the AS besides the AS itself: its customers; a customer everybody.
fn beyond(lab: &Lab, stand: &PeerStand) -> Vec<Prefix> {
    let customer = |peer: &PeerStand| {
        stand_in::neighbour(lab, peer).is_some_and(|(_, policy)| policy.role == Role::Customer)
    };
    let all = customer(stand);
    let others = lab.peers.iter().filter(|other| other.peer != stand.peer && (all || customer(other)));
    others.flat_map(|other| other.prefixes.iter().copied()).collect()
}

/// A netlink socket where `interface` has arrived and is up.
fn arrived(
    lab: &Lab,
    machine: &str,
    plane: Plane,
    interface: &IfName,
    bring_up: bool,
) -> io::Result<Option<(Netlink, u32)>> {
    let namespace = match lab.namespace(machine, plane) {
        Ok(namespace) => namespace,
        // The plane is made by a process that has only begun.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut netlink = Netlink::open_in(&namespace)?;
    let Some(link) = netlink.link(interface)? else { return Ok(None) };
    if !link.up && bring_up {
        netlink.set_up(link.index, true)?;
    }
    Ok((link.up || bring_up).then_some((netlink, link.index)))
}

fn add(netlink: &mut Netlink, index: u32, prefix: Prefix) -> io::Result<()> {
    match netlink.add_foreign_address(index, prefix) {
        Err(error) if error.is(Errno::EEXIST) => Ok(()),
        result => Ok(result?),
    }
}

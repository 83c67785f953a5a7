//! A host that was nowhere is plugged into a LAN: it takes an address and its way out from the router
//! advertisements (RFC 4861, RFC 4862) and, where there is a server, from DHCP; then it reaches the
//! outside.

use super::cables::bring;
use super::{ETH0, frames_at, mac_of};
use crate::kernel::Netlink;
use crate::kernel::route::{NextHopInfo, RouteInfo, TargetInfo};
use crate::lab::capture::{PacketSocket, Recorder, Seen};
use crate::lab::probe::dhcp::{self, Lease};
use crate::lab::probe::echo::{EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::options::Cutting;
use crate::lab::proofs::{Context, loopbacks};
use crate::lab::report::{ProofId, Row, SegmentFinding, Verdict};
use crate::lab::segment::{Lan, Newcomer};
use crate::lab::space::find_program;
use crate::lab::wire::interface;
use crate::lab::{PeerStand, Segment};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tsumugi_core::id::{Plane, Prefix};
use tsumugi_core::wire::ip::{Packet, protocol};

/// A server looks for some seconds whether an address is free, and for another one if it is not.
const PATIENCE: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_millis(200);
/// `RTPROT_DHCP`.
const GIVEN: u8 = 16;
/// RFC 4861 4.2: type, and the header before the options. RFC 8106 5.1: the option of DNS servers.
const ADVERTISEMENT: u8 = 134;
const BEFORE_OPTIONS: usize = 16;
const RDNSS: u8 = 25;

/// On the last LAN of the segment.
pub fn prove(context: &Context, segment: &Segment) -> Option<Row> {
    let (newcomer, lan) = (segment.newcomer.as_ref()?, segment.lans.iter().rfind(|lan| lan.is_made())?);
    let subject = format!("{} beside {}", newcomer.machine, lan.host);
    Some(Row::new(ProofId::Gateway, subject, come(context, segment, newcomer, lan)))
}

fn come(context: &Context, segment: &Segment, newcomer: &Newcomer, lan: &Lan) -> Verdict {
    let packets = context.within(&newcomer.machine, Plane::Management, || PacketSocket::open(Some(ETH0)))?;
    let recorder = Recorder::start(vec![packets]);
    let start = Instant::now();
    let plugged = bring(context, segment, newcomer, lan)?;
    let given = given(context, segment, newcomer, start);
    let verdict = given.and_then(|addresses| {
        let advertised = recorder.finish()?;
        let wants_dns = context.lab.plans.values().any(|plan| {
            let gateways = plan.evpn.segments.iter().filter(|it| it.name == segment.name);
            gateways.filter_map(|it| it.gateway.as_ref()).any(|it| it.dns.iter().any(IpAddr::is_ipv6))
        });
        if wants_dns && !advertised.iter().any(tells_dns) {
            return Err(SegmentFinding::NotGiven { what: "RDNSS", after: start.elapsed() }.into());
        }
        let after = start.elapsed();
        let outside = context.lab.peers.first();
        if let Some(peer) = outside {
            reach(context, newcomer, peer, &addresses)?;
        }
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let outside = outside.map(|peer| peer.host.clone());
        Ok(SegmentFinding::Newcomer { addresses, after, outside }.into())
    });
    plugged.undo()?;
    forget(context, newcomer)?;
    verdict
}

/// The addresses that it was given.
fn given(
    context: &Context,
    segment: &Segment,
    newcomer: &Newcomer,
    start: Instant,
) -> Result<Vec<IpAddr>, crate::lab::report::Finding> {
    let until = start + PATIENCE;
    let mut addresses = Vec::new();
    if segment.gateways.iter().any(|gateway| gateway.addr().is_ipv6() && gateway.prefix_len() == 64) {
        let Some(address) = by_advertisement(context, segment, newcomer, until)? else {
            return Err(SegmentFinding::NotGiven { what: "an IPv6 address", after: start.elapsed() }.into());
        };
        addresses.push(address);
    }
    if segment.dhcp.is_some() && find_program("dnsmasq").is_some() {
        let until = Instant::now() + PATIENCE;
        let mut socket = frames_at(context, &newcomer.machine)?;
        let lease = dhcp::ask(&mut socket, mac_of(context, &newcomer.machine)?, until)?;
        let range =
            |lease: &Lease| segment.dhcp.is_some_and(|[first, last]| (first..=last).contains(&lease.address));
        let Some(lease) = lease.filter(range) else {
            return Err(SegmentFinding::NotGiven { what: "an IPv4 address", after: start.elapsed() }.into());
        };
        take(context, newcomer, &lease)?;
        addresses.push(lease.address());
    }
    Ok(addresses)
}

/// An address of the segment that the kernel made from what a router advertised.
fn by_advertisement(
    context: &Context,
    segment: &Segment,
    newcomer: &Newcomer,
    until: Instant,
) -> io::Result<Option<IpAddr>> {
    let mut netlink = Netlink::open_in(&context.namespace(&newcomer.machine, Plane::Management)?)?;
    loop {
        let of_segment = |address: &IpAddr| {
            address.is_ipv6() && segment.gateways.iter().any(|gateway| gateway.contains(address))
        };
        let found = netlink.addresses()?.into_iter().map(|it| it.prefix.addr()).find(of_segment);
        // It cannot be used while the kernel looks for others who have it (RFC 4862 5.4).
        let usable = found.is_some_and(|own| {
            let open = || EchoSocket::open(own, None, Cutting::Allowed);
            context.within(&newcomer.machine, Plane::Management, open).is_ok()
        });
        if usable || Instant::now() > until {
            return Ok(found.filter(|_| usable));
        }
        std::thread::sleep(PACE);
    }
}

/// Does with a lease what a host does.
fn take(context: &Context, newcomer: &Newcomer, lease: &Lease) -> io::Result<()> {
    let mut netlink = Netlink::open_in(&context.namespace(&newcomer.machine, Plane::Management)?)?;
    let link = netlink.index(&interface(ETH0))?;
    if let Ok(prefix) = Prefix::new(lease.address(), lease.prefix_len) {
        netlink.add_foreign_address(link, prefix)?;
    }
    if let Some(router) = lease.router {
        let target = TargetInfo::NextHops(vec![NextHopInfo { link, via: Some(router.into()) }]);
        let prefix = Prefix::V4(ipnet::Ipv4Net::default());
        let route = RouteInfo { prefix, target, source: None, mtu: None, metric: None, protocol: GIVEN };
        netlink.set_route(&route)?;
    }
    Ok(())
}

/// Whether it is a router advertisement with DNS servers.
fn tells_dns(seen: &Seen) -> bool {
    let Ok(Packet::V6(packet)) = Packet::new_checked(&seen.bytes) else { return false };
    let message = packet.payload();
    if packet.next_header() != protocol::ICMPV6 || message.first() != Some(&ADVERTISEMENT) {
        return false;
    }
    let mut options = message.get(BEFORE_OPTIONS..).unwrap_or_default();
    // Type, and length in units of eight octets.
    while let [kind, length, ..] = options {
        if *kind == RDNSS {
            return true;
        }
        options = options.get(usize::from((*length).max(1)) * 8..).unwrap_or_default();
    }
    false
}

/// A host outside answers, in each family that it was given.
fn reach(context: &Context, newcomer: &Newcomer, peer: &PeerStand, own: &[IpAddr]) -> Verdict {
    let (mut sockets, mut questions, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    for source in own.iter().copied() {
        let like = |address: &&IpAddr| address.is_ipv6() == source.is_ipv6();
        let Some(destination) = peer.host_addresses.iter().find(like).copied() else { continue };
        questions.push(Question { socket: sockets.len(), destination, length: smallest(destination) });
        subjects.push(destination.to_string());
        sockets.push(context.within(&newcomer.machine, Plane::Management, || {
            EchoSocket::open(source, None, Cutting::Allowed)
        })?);
    }
    let answers = ask_all(&mut sockets, &questions, AGAIN, PATIENCE)?;
    loopbacks::judge(answers.iter().zip(&subjects).map(|(answer, who)| (answer, who.as_str())))
}

/// Its addresses are gone with it. It is switched off and on: Linux solicits routers (RFC 4861 6.3.7) when
/// an interface is set up, not when a cable comes back.
fn forget(context: &Context, newcomer: &Newcomer) -> io::Result<()> {
    let mut netlink = Netlink::open_in(&context.namespace(&newcomer.machine, Plane::Management)?)?;
    let link = netlink.index(&interface(ETH0))?;
    for address in netlink.addresses()?.into_iter().filter(|address| address.link == link) {
        let is_local = matches!(address.prefix.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local());
        if !is_local {
            // What the kernel has dropped already is gone.
            let _ = netlink.delete_address(link, address.prefix);
        }
    }
    netlink.set_up(link, false)?;
    Ok(netlink.set_up(link, true)?)
}

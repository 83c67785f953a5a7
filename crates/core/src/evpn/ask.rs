//! Silent hosts: a gateway asks at other sites, with its own MAC, so that the answer comes to it.
//!
//! The kernel asks with the gateway's address and MAC, which never cross the VXLAN device: their answer
//! would end at the host's own gateway. Known hosts are not asked again: the kernel does that while it
//! needs them, and whoever it forgets is found like any silent host.

use super::config::Gateway;
use super::event::Action;
use super::hosts::is_host_of;
use super::machine::{Evpn, Role};
use super::port::Port;
use super::segment::Segment;
use crate::id::{IfName, Mac, Prefix};
use crate::time::{Duration, Instant};
use crate::wire::ethernet::{self, ethertype};
use crate::wire::ip::protocol;
use crate::wire::{arp, ipv6, neighbour_discovery};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 4861 10 (RETRANS_TIMER) and RFC 1122 2.3.2.1: one question a second for an address.
const AGAIN: Duration = Duration::from_secs(1);
/// Addresses under question at one time: a scan of a /64 must not fill the memory.
const AT_ONCE: usize = 1024;
/// How long a host that was withdrawn may be found by who takes its LAN over: RFC 7432 8.5's wait, and
/// time for sessions to come back.
const LOST: Duration = Duration::from_secs(10);

impl Evpn {
    pub(super) fn host_sought(
        &mut self,
        now: Instant,
        bridge: &IfName,
        address: IpAddr,
        actions: &mut Vec<Action>,
    ) {
        let Some(Role::Bridge { segment: at }) = self.role(bridge) else { return };
        let segment = &self.segments[at];
        let (Some(gateway), Some(stretch)) = (&segment.config.gateway, segment.reachable()) else { return };
        let tables = &segment.tables;
        if !is_host_of(gateway, address) || tables.hosts.is_known(&tables.macs, address) {
            return;
        }
        if self.asked.get(&(at, address)).is_some_and(|last| now < *last + AGAIN) {
            return;
        }
        if self.asked.len() >= AT_ONCE {
            self.asked.retain(|_, last| now < *last + AGAIN);
            if self.asked.len() >= AT_ONCE {
                return;
            }
        }
        self.asked.insert((at, address), now);
        self.counters.hosts_asked += 1;
        let frame = question(gateway, address);
        actions.push(Action::SendFrame { link: stretch.vxlan.clone(), frame });
    }
}

impl Segment {
    /// A route of a host has gone.
    pub(super) fn lose_host(&mut self, now: Instant, address: Option<IpAddr>) {
        let (Some(address), Some(gateway)) = (address, &self.config.gateway) else { return };
        let tables = &self.tables;
        if is_host_of(gateway, address)
            && !tables.hosts.is_known(&tables.macs, address)
            && self.lost.len() < AT_ONCE
        {
            self.lost.insert(address, now);
        }
    }

    /// A port that takes a LAN over looks for the hosts that were just withdrawn: most of them are behind
    /// it now, and who wants to reach them elsewhere waits for our route.
    pub(super) fn find_lost(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.lost.is_empty() {
            return;
        }
        self.lost.retain(|_, since| now < *since + LOST);
        let took = |port: &Port| port.config.lan.is_some() && port.takes() && now < port.since + LOST;
        if !self.ports.values().any(took) {
            return;
        }
        for address in core::mem::take(&mut self.lost).into_keys() {
            if !self.tables.hosts.is_known(&self.tables.macs, address) {
                actions.push(Action::AskHost { bridge: self.config.bridge.clone(), address });
            }
        }
    }
}

/// The whole Ethernet frame of an ARP probe or a neighbour solicitation.
fn question(gateway: &Gateway, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp_probe(gateway.own_mac, address),
        IpAddr::V6(address) => solicitation(gateway.own_mac, gateway.own_link_local, address),
    }
}

/// Whole Ethernet frames that say where the gateway is now: to hosts, and to the switches between.
pub(super) fn announcements(gateway: &Gateway) -> Vec<Vec<u8>> {
    let mut frames = vec![solicitation(gateway.mac, gateway.link_local, gateway.link_local)];
    for address in gateway.addresses.iter().map(Prefix::addr) {
        if let IpAddr::V4(address) = address {
            // RFC 5227 3: both addresses of the request are the sender's own.
            frames.push(arp_request(gateway.mac, address, address));
        }
    }
    frames
}

/// RFC 5227 2.1.1: with no sender address nobody's cache takes anything from it.
fn arp_probe(own_mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    arp_request(own_mac, Ipv4Addr::UNSPECIFIED, address)
}

fn arp_request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let header =
        ethernet::Repr { destination: Mac([0xff; 6]), source: sender_mac, ethertype: ethertype::ARP };
    let arp =
        arp::Repr { operation: arp::Operation::Request, sender_mac, sender, target_mac: Mac([0; 6]), target };
    let mut frame = vec![0; header.buffer_len() + arp.buffer_len()];
    header.emit(&mut frame);
    arp.emit(&mut frame[header.buffer_len()..]);
    frame
}

/// RFC 4861 4.3, to the solicited-node group (RFC 4291 2.7.1, RFC 2464 7).
fn solicitation(own_mac: Mac, own_link_local: Ipv6Addr, address: Ipv6Addr) -> Vec<u8> {
    let group = neighbour_discovery::solicited_node(address);
    let [.., a, b, c, d] = group.octets();
    let header = ethernet::Repr {
        destination: Mac([0x33, 0x33, a, b, c, d]),
        source: own_mac,
        ethertype: ethertype::IPV6,
    };
    let message = neighbour_discovery::Solicitation { target: address, source_mac: Some(own_mac) };
    let packet = ipv6::Repr {
        source: own_link_local,
        destination: group,
        next_header: protocol::ICMPV6,
        hop_limit: neighbour_discovery::HOP_LIMIT,
        traffic_class: 0,
        flow_label: 0,
        payload_len: message.buffer_len(),
    };
    let mut frame = vec![0; header.buffer_len() + packet.buffer_len() + message.buffer_len()];
    header.emit(&mut frame);
    let rest = &mut frame[header.buffer_len()..];
    packet.emit(rest);
    message.emit(own_link_local, group, &mut rest[packet.buffer_len()..]);
    frame
}

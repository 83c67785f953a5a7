//! Makes the LANs of segments, and the hosts on them (`segment` draws them).

use super::super::segment::{Guest, Lan, LanBy, LanEnd, Segment};
use super::super::wire::interface;
use super::{Ground, Place, SWITCHES, everywhere, local};
use crate::kernel::link::WireEnd;
use crate::kernel::{Namespace, Netlink};
use std::io;
use std::net::Ipv6Addr;
use tsumugi_core::id::{IfName, Prefix};

/// Members' Ethernet: what a segment passes.
const MTU: u16 = 1500;
/// In the fabric of a member's hardware router: the bridge, and its port to the LAN.
pub(in crate::lab) const MEMBER_BRIDGE: &str = "lan";
const MEMBER_PORT: &str = "port";

/// Whether this kernel has VLANs (IEEE 802.1Q): tried out in a namespace that ends with this call.
///
/// # Errors
/// If there can be no namespace.
pub(in crate::lab) fn has_vlans() -> io::Result<bool> {
    let namespace = Namespace::unnamed()?;
    let mut netlink = Netlink::open_in(&namespace)?;
    let (one, other, vlan) = (interface("one"), interface("other"), interface("vlan"));
    let end = |name| WireEnd { name, namespace: &namespace, mac: None, mtu: MTU.into() };
    netlink.add_veth(&end(&one), &end(&other))?;
    let parent = netlink.index(&one)?;
    Ok(netlink.add_vlan(&vlan, parent, 2).is_ok())
}

impl Ground<'_> {
    pub(super) fn segment(&mut self, segment: &Segment) -> io::Result<()> {
        for lan in &segment.lans {
            self.lan(segment, lan)?;
        }
        if let Some(newcomer) = &segment.newcomer {
            self.wire((&segment.machine, &newcomer.plug), (&newcomer.machine, &interface("eth0")), MTU)?;
            // Its cable hangs loose.
            let place = self.place(&segment.machine)?;
            let index = place.netlink.index(&newcomer.plug)?;
            place.netlink.set_up(index, false)?;
        }
        Ok(())
    }

    fn lan(&mut self, segment: &Segment, lan: &Lan) -> io::Result<()> {
        if lan.left_out {
            return self.wire((&segment.machine, &lan.host_plug), (&lan.host, &interface("eth0")), MTU);
        }
        let place = self.place(&segment.machine)?;
        place.netlink.add_bridge(&lan.bridge)?;
        let index = place.netlink.index(&lan.bridge)?;
        place.netlink.set_up(index, true)?;
        for end in &lan.ends {
            self.lan_end(segment, lan, end)?;
        }
        self.wire((&segment.machine, &lan.host_plug), (&lan.host, &interface("eth0")), MTU)?;
        self.plug_in(&segment.machine, &lan.host_plug, &lan.bridge)
    }

    fn lan_end(&mut self, segment: &Segment, lan: &Lan, end: &LanEnd) -> io::Result<()> {
        match &end.by {
            LanBy::Port => {
                self.wire((&segment.machine, &end.plug), (&end.router, &end.port), MTU)?;
                self.plug_in(&segment.machine, &end.plug, &lan.bridge)
            }
            LanBy::Vlan { parent, tag } => self.vlan(segment, lan, end, parent, *tag),
            LanBy::Tunnel { machine, .. } => {
                let fabric = format!("{machine} fabric");
                self.fabric(machine, &fabric)?;
                let (bridge, port) = (interface(MEMBER_BRIDGE), interface(MEMBER_PORT));
                let place = self.place(&fabric)?;
                place.netlink.add_bridge(&bridge)?;
                let index = place.netlink.index(&bridge)?;
                place.netlink.set_up(index, true)?;
                self.wire((&segment.machine, &end.plug), (&fabric, &port), MTU)?;
                self.plug_in(&fabric, &port, &bridge)?;
                self.plug_in(&segment.machine, &end.plug, &lan.bridge)
            }
        }
    }

    /// The frames of one VLAN on a cable that others may use as well: the cable ends in a machine of its
    /// own, and its VLANs go from there to their LANs.
    fn vlan(
        &mut self,
        segment: &Segment,
        lan: &Lan,
        end: &LanEnd,
        port: &IfName,
        tag: u16,
    ) -> io::Result<()> {
        let (trunks, cable) = (format!("{} trunks", end.router), port.clone());
        if !self.places.contains_key(&trunks) {
            self.places.insert(trunks.clone(), Place::settle(Namespace::unnamed()?, SWITCHES)?);
        }
        if self.place(&trunks)?.netlink.link(&cable)?.is_none() {
            self.wire((&trunks, &cable), (&end.router, port), MTU)?;
        }
        let lans = self.place(&segment.machine)?.namespace.clone();
        let place = self.place(&trunks)?;
        let parent = place.netlink.index(&cable)?;
        place.netlink.add_vlan(&end.plug, parent, tag)?;
        let index = place.netlink.index(&end.plug)?;
        place.netlink.move_link(index, &lans)?;
        let place = self.place(&segment.machine)?;
        let index = place.netlink.index(&end.plug)?;
        place.netlink.set_up(index, true)?;
        self.plug_in(&segment.machine, &end.plug, &lan.bridge)
    }

    /// Makes an interface a port of a bridge.
    fn plug_in(&mut self, place: &str, port: &IfName, bridge: &IfName) -> io::Result<()> {
        let place = self.place(place)?;
        let (port, bridge) = (place.netlink.index(port)?, place.netlink.index(bridge)?);
        Ok(place.netlink.set_master(port, Some(bridge))?)
    }

    /// The addresses and the way out of a LAN's host; the n-th of the lab.
    pub(super) fn guest(&mut self, guest: &Guest, number: u16) -> io::Result<()> {
        let eth0 = interface("eth0");
        let place = self.place(&guest.machine)?;
        // Neighbour discovery for what has not the guest's own source asks from here: no router's,
        // which has its id there, and no other guest's.
        place.address(&eth0, local(Ipv6Addr::new(0xfe80, 0, 0, 0, 0xffff, 0, 0, number)))?;
        for own in &guest.addresses {
            place.address(&eth0, *own)?;
            let gateway = guest.gateways.iter().map(Prefix::addr).find(|gateway| own.contains(gateway));
            if let Some(gateway) = gateway {
                place.route(everywhere(own.addr()), &eth0, Some(gateway))?;
            }
        }
        Ok(())
    }
}

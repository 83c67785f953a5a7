//! Segments: members' Ethernet between hosts on LANs at several routers.

mod cables;
mod flood;
mod gateway;
mod isolation;
mod loops;
mod moving;
mod newcomer;
mod ports;
mod stretch;
mod vxlan;

pub use flood::prove as prove_flood;
pub use gateway::{far_peer, prove as prove_gateway};
pub use isolation::prove as prove_isolation;
pub use loops::prove as prove_loop;
pub use moving::prove as prove_move;
pub use stretch::prove as prove_stretch;

use super::Context;
use crate::kernel::Netlink;
use crate::lab::capture::PacketSocket;
use crate::lab::wire::interface;
use crate::lab::{Guest, Segment};
use std::io;
use std::net::IpAddr;
use tsumugi_core::id::{Mac, Plane, Prefix};

/// What every host's cable ends in.
const ETH0: &str = "eth0";

/// The hosts of a segment whose LANs could be made here.
pub fn hosts_of<'a>(context: &Context<'a>, segment: &'a Segment) -> Vec<&'a Guest> {
    let made = |guest: &&Guest| segment.lan_of(&guest.machine).is_some_and(|lan| lan.is_made());
    context.lab.guests_of(segment).filter(made).collect()
}

/// A host's own address of a family.
pub fn of_family(guest: &Guest, ipv6: bool) -> Option<IpAddr> {
    guest.addresses.iter().map(Prefix::addr).find(|address| address.is_ipv6() == ipv6)
}

/// The MAC of a machine's only port.
fn mac_of(context: &Context, machine: &str) -> io::Result<Mac> {
    let mut netlink = Netlink::open_in(&context.namespace(machine, Plane::Management)?)?;
    let link = netlink.link(&interface(ETH0))?;
    link.and_then(|link| link.mac).ok_or_else(|| io::Error::other(format!("{machine} has no port")))
}

/// A socket that sends and sees whole frames at a machine's only port.
fn frames_at(context: &Context, machine: &str) -> io::Result<PacketSocket> {
    context.within(machine, Plane::Management, || PacketSocket::open_frames(Some(ETH0)))
}

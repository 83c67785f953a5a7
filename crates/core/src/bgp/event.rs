//! What goes into a speaker and what comes out of it.

use super::deferral::Forwarding;
use super::notice::Notice;
use crate::bfd::BfdDown;
use crate::id::{IfName, Prefix};
use crate::wire::bgp::{EvpnBody, EvpnRoute, ExtendedCommunity, PmsiTunnel};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use serde::{Deserialize, Serialize};

/// An index into `SpeakerConfig::neighbours` of the configuration in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NeighbourId(pub u16);

/// One TCP connection. Whoever creates it chooses the number and never uses it again: the speaker
/// for those it asks to be dialled, with the top bit 0; the shell for those it accepted, with the
/// top bit 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    const ACCEPTED: u64 = 1 << 63;

    /// The `n`-th connection that the shell accepted.
    pub fn accepted(n: u64) -> ConnectionId {
        ConnectionId(n | ConnectionId::ACCEPTED)
    }

    /// The `n`-th connection that the speaker asked for.
    pub fn dialled(n: u64) -> ConnectionId {
        ConnectionId(n & !ConnectionId::ACCEPTED)
    }

    pub fn is_accepted(self) -> bool {
        self.0 & ConnectionId::ACCEPTED != 0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// What of our forwarding outlives this process. Before [`Event::Start`]: whether this is a restart
    /// (RFC 4724 4.1); later: what sessions to come say of it. Without it nothing does.
    Forwarding(Forwarding),
    /// Begin to dial. Links are taken to be down until [`Event::LinkUp`] says otherwise.
    Start,
    /// The interface exists and has carrier.
    LinkUp(IfName),
    /// The interface is gone or has lost its carrier: its sessions end at once.
    LinkDown(IfName),
    /// A router advertisement was heard from this link-local address on the neighbour's link.
    RemoteHeard { neighbour: NeighbourId, address: Ipv6Addr },
    /// What [`Action::Connect`] asked for is established.
    Connected(ConnectionId),
    /// What [`Action::Connect`] asked for failed.
    ConnectFailed(ConnectionId),
    /// The neighbour called us: the shell has matched its address and interface.
    Accepted { neighbour: NeighbourId, connection: ConnectionId },
    /// Bytes of the stream, in order, cut anywhere.
    Received { connection: ConnectionId, bytes: &'a [u8] },
    /// The far end closed, or the socket failed. The id is never used again.
    Closed(ConnectionId),
    /// The neighbour's BFD session was up and no longer is. `independent`: its BFD goes on while its routing
    /// restarts (the C bit), so that this is the path or its forwarding.
    BfdDown { neighbour: NeighbourId, cause: BfdDown, independent: bool },
    /// [`super::Speaker::next_timeout`] has passed (harmless if it has not).
    Timeout,
    /// What the segments of this router announce, or no longer do. A later one about a route takes the
    /// place of an earlier one. Ours is better than any neighbour's of the same key, and hides it.
    Evpn(EvpnUpdate),
    /// Routes from outside are validated by other payloads from now on: no session is asked for anything.
    Validation(crate::rpki::Change),
    /// Tell every neighbour that we stop for good, and close. What stands in the kernel stays.
    Stop,
    /// Another process is about to take our place: whoever agreed to keep our routes meanwhile sees the connection
    /// end without a word (RFC 4724 4.2), others are told.
    Restart,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Dial TCP port 179 of `remote` from `local` on `link`. Answered by `Connected` or `ConnectFailed`
    /// unless a `Close` of it comes first.
    Connect { neighbour: NeighbourId, connection: ConnectionId, link: IfName, local: IpAddr, remote: IpAddr },
    /// Whole messages, to be sent after all earlier ones of the connection.
    Send { connection: ConnectionId, bytes: Vec<u8> },
    /// Close after what was sent before has gone (or has failed to). Also ends a dial under way. The
    /// speaker takes no further event about it; nothing needs to be reported back.
    Close { connection: ConnectionId },
    /// [`super::Speaker::poll_updates`] has something: call it whenever the socket is writable, until
    /// it says that there is no more. Said again only after that. `connection` is where it goes.
    UpdatesReady { neighbour: NeighbourId, connection: ConnectionId },
    /// [`super::Speaker::poll_routes`] has something: call it until it says that there is no more.
    RoutesReady,
    /// [`super::Speaker::poll_evpn`] has something: call it until it says that there is no more.
    EvpnReady,
    /// [`super::Speaker::poll_validation`] has something: call it until it says that there is no more.
    ValidationReady,
    /// [`super::Speaker::poll_table`] has something to clear out of the table: call it until it says that there is
    /// no more, with whatever else is due in between.
    TableReady,
    /// For the log: once per change of state.
    Log(Notice),
}

/// What is known of one EVPN route: the best path, or what we announce ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvpnUpdate {
    pub route: EvpnRoute,
    /// `None`: withdrawn.
    pub path: Option<EvpnPath>,
}

/// What an EVPN route carries that matters to a segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvpnPath {
    /// The VTEP: never changed between eBGP neighbours inside.
    pub next_hop: IpAddr,
    pub body: EvpnBody,
    /// Route targets, encapsulation, MAC mobility and others.
    pub communities: Box<[ExtendedCommunity]>,
    pub pmsi: Option<PmsiTunnel>,
}

/// Where packets go: the far end of a link, by its address there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NextHop {
    pub link: IfName,
    /// May be IPv6 for an IPv4 prefix (RFC 8950).
    pub via: IpAddr,
}

/// What the kernel should hold for one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteChange {
    pub prefix: Prefix,
    /// `None`: nothing.
    pub route: Option<SpeakerRoute>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeakerRoute {
    /// Used together. Empty exactly if `discard`.
    pub next_hops: Vec<NextHop>,
    /// Preferred source: the router's loopback of the prefix's family.
    pub source: Option<IpAddr>,
    /// Drop silently: an announced prefix of our own, where nothing more specific is known, or what a
    /// customer wants dropped (RFC 7999).
    pub discard: bool,
}

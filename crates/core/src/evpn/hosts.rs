//! Which address is whose: what the kernel resolved here, and what others announce.

use super::config::Gateway;
use super::entries::Value;
use super::import::is_host;
use super::macs::{MacState, Place};
use crate::id::Mac;
use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;
use core::net::IpAddr;

/// Whether the address can be a host's on the segment, and is not the gateway's own.
pub(super) fn is_host_of(gateway: &Gateway, address: IpAddr) -> bool {
    let on_link = gateway.addresses.iter().any(|it| it.contains(&address));
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let ours = address == gateway.link_local
        || address == gateway.own_link_local
        || gateway.addresses.iter().any(|it| it.addr() == address);
    is_host(address) && (on_link || link_local) && !ours
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalHost {
    pub mac: Mac,
    /// What its MAC+IP route says now: the MAC and the sequence number.
    pub announced: Option<(Mac, u32)>,
}

#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// What the kernel has resolved. Held while the kernel does, wherever the MAC is.
    pub local: BTreeMap<IpAddr, LocalHost>,
    by_mac: BTreeSet<(Mac, IpAddr)>,
    /// Type 2 routes with an address.
    claimed: BTreeSet<(IpAddr, Mac)>,
}

impl Hosts {
    /// What was announced of it before stays to be withdrawn.
    pub fn hear(&mut self, address: IpAddr, mac: Mac) {
        let announced = self.local.get(&address).and_then(|host| host.announced);
        let before = self.local.insert(address, LocalHost { mac, announced });
        if let Some(before) = before {
            self.by_mac.remove(&(before.mac, address));
        }
        self.by_mac.insert((mac, address));
    }

    /// Takes it out; what was announced of it is the caller's to withdraw.
    pub fn forget(&mut self, address: IpAddr) -> Option<LocalHost> {
        let host = self.local.remove(&address)?;
        self.by_mac.remove(&(host.mac, address));
        Some(host)
    }

    /// The addresses that the kernel has resolved to `mac`.
    pub fn of(&self, mac: Mac) -> impl Iterator<Item = IpAddr> {
        let first = IpAddr::from([0; 4]);
        self.by_mac.range((mac, first)..).take_while(move |it| it.0 == mac).map(|it| it.1)
    }

    pub fn claim(&mut self, address: IpAddr, mac: Mac) {
        self.claimed.insert((address, mac));
    }

    /// No route of `mac` names `address` any more.
    pub fn unclaim(&mut self, address: IpAddr, mac: Mac) {
        self.claimed.remove(&(address, mac));
    }

    pub fn claimed(&self) -> impl Iterator<Item = IpAddr> {
        self.claimed.iter().map(|it| it.0)
    }

    /// A host on a port of ours is the kernel's to know. Of others, the one whose MAC is where the route
    /// says; of several MACs the one that moved last (the highest sequence number), then the lowest
    /// VTEP, then the lowest MAC, so that all routers choose alike.
    pub fn wanted(&self, macs: &BTreeMap<Mac, MacState>, address: IpAddr) -> Option<Value> {
        let place = |mac: &Mac| macs.get(mac).map_or(Place::Nowhere, MacState::place);
        if let Some(host) = self.local.get(&address)
            && matches!(place(&host.mac), Place::Port(_))
        {
            return None;
        }
        let lowest = Mac([0; 6]);
        let candidates = self.claimed.range((address, lowest)..).take_while(|it| it.0 == address);
        let of_mac = |&(_, mac): &(IpAddr, Mac)| {
            let state = macs.get(&mac)?;
            let Place::Vtep { vtep: there, .. } = state.place() else { return None };
            let mut claims = state.claims.iter();
            let claim = claims.find(|claim| claim.ip == Some(address) && claim.vtep == there)?;
            Some((claim.sequence, Reverse(claim.vtep), Reverse(mac)))
        };
        candidates.filter_map(of_mac).max().map(|(_, _, Reverse(mac))| Value::Host(mac))
    }

    /// Whether anybody knows whose `address` is.
    pub fn is_known(&self, macs: &BTreeMap<Mac, MacState>, address: IpAddr) -> bool {
        let local = self.local.get(&address).and_then(|host| macs.get(&host.mac));
        local.is_some_and(|state| state.local.is_some()) || self.wanted(macs, address).is_some()
    }
}

//! Next-hop objects (RTM_NEWNEXTHOP, Linux 5.3): where routes lead, under a number that routes name. What
//! changes about a next hop is then said once and not for each of a million routes, and a route is a third faster
//! to write. A group is what several used together are; when a link loses its carrier the kernel takes its next
//! hop out of all groups by itself, and what led there alone goes with it.
//!
//! Ours have numbers of one range and BGP's protocol number. What an earlier life left is taken over where it is
//! as wanted, and removed once its routes are gone.

use super::netlink::{Answer, Netlink, NetlinkError};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::desired::{BGP_ROUTE_PROTOCOL, NextHop, RouteTarget};
use tsumugi_core::id::IfName;

/// Nobody else's: the protocol number, 85, is their first octet.
const IDS: Range<u32> = 0x5500_0000..0x5600_0000;

// linux/rtnetlink.h and linux/nexthop.h.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
/// Of `struct nlmsghdr` with `struct nhmsg` behind it.
const HEADER: usize = 24;
/// Where `nh_protocol` stands.
const PROTOCOL: usize = 18;
/// Of `struct nexthop_grp`.
const MEMBER: usize = 8;

/// What the kernel holds under a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Hop {
        /// Index of its interface.
        link: u32,
        via: IpAddr,
    },
    /// Numbers, sorted.
    Group(Vec<u32>),
}

#[derive(Debug)]
struct Object {
    id: u32,
    /// What the kernel was last known to hold; `None`: perhaps nothing.
    made: Option<Content>,
}

/// The objects of one namespace.
#[derive(Debug, Default)]
pub struct HopObjects {
    /// Whether the kernel knows such things; `None`: it was not asked.
    known_here: Option<bool>,
    hops: BTreeMap<NextHop, Object>,
    /// By their members, also those whose links are away.
    groups: BTreeMap<Vec<NextHop>, Object>,
    /// Of an earlier life.
    found: BTreeMap<u32, Content>,
    next: u32,
}

/// Whose object an announcement is of, as a protocol number; `None`: it is of none. Its type is none of the
/// library's.
pub fn owner_of_object(message: &[u8]) -> Option<u8> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    [RTM_NEWNEXTHOP, RTM_DELNEXTHOP].contains(&kind).then(|| message.get(PROTOCOL).copied())?
}

/// The next hops of a route that may name an object.
fn hops(target: &RouteTarget) -> Option<&[NextHop]> {
    let RouteTarget::NextHops { next_hops } = target else { return None };
    next_hops.iter().all(|hop| hop.via.is_some()).then_some(next_hops)
}

impl HopObjects {
    /// Of a kernel that has none.
    #[cfg(test)]
    pub fn none() -> HopObjects {
        HopObjects { known_here: Some(false), ..HopObjects::default() }
    }

    /// The number that a route to `target` names, with all that is needed made; `None`: all its links are away.
    /// Outermost `None`: such a route names no object.
    ///
    /// # Errors
    /// As the kernel refuses it; of the socket.
    pub fn id(
        &mut self,
        netlink: &mut Netlink,
        target: &RouteTarget,
        indexes: &BTreeMap<IfName, u32>,
    ) -> Option<Answer<Option<u32>>> {
        let hops = hops(target)?;
        if self.known_here.is_none()
            && let Err(error) = self.read(netlink)
        {
            return Some(Err(error));
        }
        self.known_here?.then(|| self.make(netlink, hops, indexes))
    }

    fn make(
        &mut self,
        netlink: &mut Netlink,
        hops: &[NextHop],
        indexes: &BTreeMap<IfName, u32>,
    ) -> Answer<Option<u32>> {
        let mut members = Vec::with_capacity(hops.len());
        for hop in hops {
            members.extend(self.make_hop(netlink, hop, indexes)?);
        }
        if hops.len() == 1 {
            return Ok(members.pop());
        }
        if members.is_empty() {
            // A group without a member is gone.
            if let Some(group) = self.groups.get_mut(hops) {
                group.made = None;
            }
            return Ok(None);
        }
        members.sort_unstable();
        let content = Content::Group(members);
        if let Some(group) = self.groups.get(hops).filter(|it| it.made.as_ref() == Some(&content)) {
            return Ok(Some(group.id));
        }
        let id = self.groups.get(hops).map(|it| it.id);
        let id = self.make_content(netlink, id, &content)?;
        self.groups.insert(hops.to_vec(), Object { id, made: Some(content) });
        Ok(Some(id))
    }

    fn make_hop(
        &mut self,
        netlink: &mut Netlink,
        hop: &NextHop,
        indexes: &BTreeMap<IfName, u32>,
    ) -> Answer<Option<u32>> {
        let (Some(&link), Some(via)) = (indexes.get(&hop.link), hop.via) else {
            // The kernel has taken it away with the link, or will.
            if let Some(object) = self.hops.get_mut(hop) {
                object.made = None;
            }
            return Ok(None);
        };
        let content = Content::Hop { link, via };
        if let Some(object) = self.hops.get(hop).filter(|it| it.made.as_ref() == Some(&content)) {
            return Ok(Some(object.id));
        }
        let id = self.hops.get(hop).map(|it| it.id);
        let id = self.make_content(netlink, id, &content)?;
        self.hops.insert(hop.clone(), Object { id, made: Some(content) });
        Ok(Some(id))
    }

    /// Under its number, or the one that an earlier life gave it, or a new one.
    fn make_content(&mut self, netlink: &mut Netlink, id: Option<u32>, content: &Content) -> Answer<u32> {
        if id.is_none()
            && let Some(id) = self.found.iter().find(|(_, it)| *it == content).map(|(id, _)| *id)
        {
            self.found.remove(&id);
            return Ok(id);
        }
        let id = id.unwrap_or_else(|| self.new_id());
        netlink.request_raw(set(id, content))?;
        Ok(id)
    }

    fn new_id(&mut self) -> u32 {
        let ids = self.hops.values().chain(self.groups.values()).map(|it| it.id);
        let taken: BTreeSet<u32> = ids.chain(self.found.keys().copied()).collect();
        loop {
            let id = IDS.start + self.next % (IDS.end - IDS.start);
            self.next = self.next.wrapping_add(1);
            if !taken.contains(&id) {
                return id;
            }
        }
    }

    /// Reads what the kernel holds, and makes what is missing or other than `targets` want it.
    ///
    /// # Errors
    /// Of the socket. What the kernel refuses, it refuses to routes as well.
    pub fn compare<'a>(
        &mut self,
        netlink: &mut Netlink,
        targets: impl Iterator<Item = &'a RouteTarget>,
        indexes: &BTreeMap<IfName, u32>,
    ) -> Answer<()> {
        self.read(netlink)?;
        if self.known_here == Some(true) {
            for hops in targets.filter_map(hops) {
                match self.make(netlink, hops, indexes) {
                    Err(error @ (NetlinkError::Socket(_) | NetlinkError::NotUnderstood(_))) => {
                        return Err(error);
                    }
                    Ok(_) | Err(NetlinkError::Refused { .. }) => {}
                }
            }
        }
        Ok(())
    }

    /// Whether an earlier life left some that nobody has taken over.
    pub fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    fn read(&mut self, netlink: &mut Netlink) -> Answer<()> {
        if self.known_here == Some(false) {
            return Ok(());
        }
        let mut there: BTreeMap<u32, Content> =
            match netlink.dump_raw(&message(RTM_GETNEXTHOP, 0, 0, &[]), object) {
                Ok(objects) => objects.into_iter().collect(),
                Err(error) if error.is(Errno::EOPNOTSUPP) => {
                    self.known_here = Some(false);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
        self.known_here = Some(true);
        for object in self.hops.values_mut().chain(self.groups.values_mut()) {
            object.made = there.remove(&object.id);
        }
        self.found = there;
        Ok(())
    }

    /// Removes those to which none of `targets` leads any more. Routes must have gone before: an object takes
    /// with it those that name it.
    ///
    /// # Errors
    /// Of the socket.
    pub fn forget_unused<'a>(
        &mut self,
        netlink: &mut Netlink,
        targets: impl Iterator<Item = &'a RouteTarget>,
    ) -> Answer<()> {
        let wanted: BTreeSet<&[NextHop]> = targets.filter_map(hops).collect();
        let needed: BTreeSet<&NextHop> = wanted.iter().copied().flatten().collect();
        let mut unused = Vec::new();
        let mut stays = |stays: bool, object: &Object| {
            unused.extend((!stays).then_some(object.id));
            stays
        };
        // Groups first.
        self.groups.retain(|hops, object| stays(wanted.contains(hops.as_slice()), object));
        self.hops.retain(|hop, object| stays(needed.contains(hop), object));
        unused.into_iter().try_for_each(|id| delete(netlink, id))
    }

    /// Removes what an earlier life left and nobody has taken over.
    ///
    /// # Errors
    /// Of the socket.
    pub fn forget_found(&mut self, netlink: &mut Netlink) -> Answer<()> {
        let mut found: Vec<(u32, Content)> = std::mem::take(&mut self.found).into_iter().collect();
        // Groups first.
        found.sort_by_key(|(_, content)| matches!(content, Content::Hop { .. }));
        found.into_iter().try_for_each(|(id, _)| delete(netlink, id))
    }
}

/// One that is not there any more has gone with its link: just as well.
fn delete(netlink: &mut Netlink, id: u32) -> Answer<()> {
    match netlink.request_raw(message(RTM_DELNEXTHOP, 0, 0, &[(NHA_ID, &id.to_ne_bytes())])) {
        Err(NetlinkError::Refused { .. }) => Ok(()),
        done => done,
    }
}

/// The request that makes or replaces an object.
fn set(id: u32, content: &Content) -> Vec<u8> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;
    let id = id.to_ne_bytes();
    match content {
        Content::Hop { link, via } => {
            let (family, v4, v6);
            let gateway: &[u8] = match via {
                IpAddr::V4(via) => {
                    (family, v4) = (libc::AF_INET, via.octets());
                    &v4
                }
                IpAddr::V6(via) => {
                    (family, v6) = (libc::AF_INET6, via.octets());
                    &v6
                }
            };
            let attributes = [(NHA_ID, &id[..]), (NHA_OIF, &link.to_ne_bytes()), (NHA_GATEWAY, gateway)];
            message(RTM_NEWNEXTHOP, flags, family as u8, &attributes)
        }
        Content::Group(members) => {
            // A weight of zero is one.
            let member = |id: &u32| [id.to_ne_bytes(), [0; 4]].concat();
            let members: Vec<u8> = members.iter().flat_map(member).collect();
            message(RTM_NEWNEXTHOP, flags, libc::AF_UNSPEC as u8, &[(NHA_ID, &id), (NHA_GROUP, &members)])
        }
    }
}

/// A whole message, without a number.
fn message(kind: u16, flags: u16, family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[16] = family;
    if kind == RTM_NEWNEXTHOP {
        bytes[PROTOCOL] = BGP_ROUTE_PROTOCOL;
    }
    for (kind, value) in attributes {
        bytes.extend(((value.len() + 4) as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

/// One of ours, as the kernel tells of it.
fn object(message: &[u8]) -> Option<(u32, Content)> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    if kind != RTM_NEWNEXTHOP || message.get(PROTOCOL) != Some(&BGP_ROUTE_PROTOCOL) {
        return None;
    }
    let number = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?));
    let (mut id, mut link, mut via, mut group) = (None, None, None, None);
    let mut rest = message.get(HEADER..)?;
    while let [low, high, kind_low, kind_high, ..] = rest {
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes([*kind_low, *kind_high]) {
            NHA_ID => id = number(value),
            NHA_OIF => link = number(value),
            NHA_GATEWAY => via = address(value),
            NHA_GROUP => group = Some(value.chunks(MEMBER).filter_map(number).collect::<Vec<u32>>()),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let content = match (group, link, via) {
        (Some(mut members), ..) => {
            members.sort_unstable();
            Content::Group(members)
        }
        (None, Some(link), Some(via)) => Content::Hop { link, via },
        _ => return None,
    };
    Some((id.filter(|id| IDS.contains(id))?, content))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_object_is_what_is_read() {
        let contents = [
            Content::Hop { link: 7, via: "192.0.2.1".parse().unwrap() },
            Content::Hop { link: 300, via: "fe80::1".parse().unwrap() },
            Content::Group(vec![IDS.start, IDS.start + 7]),
        ];
        for (at, content) in contents.into_iter().enumerate() {
            let id = IDS.start + at as u32;
            let mut bytes = set(id, &content);
            assert_eq!(bytes.len() as u32, u32::from_ne_bytes(bytes[..4].try_into().unwrap()));
            assert_eq!(object(&bytes), Some((id, content.clone())));
            for cut in 0..bytes.len() {
                let _ = object(&bytes[..cut]);
            }
            // Another's.
            bytes[PROTOCOL] = 4;
            assert_eq!(object(&bytes), None);
            assert_eq!(object(&set(7, &content)), None);
        }
    }
}

//! Carries changes out, each as well as it can be: one that fails does not stop the others.

use super::netlink::{Answer, Netlink, NetlinkError};
use super::nft::{Nft, NftError};
use super::observe::Initial;
use super::route::{NextHopInfo, RouteInfo, TargetInfo};
use super::{Namespace, sysctl};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use tsumugi_core::desired::{Desired, ROUTE_PROTOCOL, Route, RouteTarget};
use tsumugi_core::id::{IfName, Mac};
use tsumugi_core::reconcile::Change;

/// A change that could not be made.
#[derive(Debug)]
pub struct Failure {
    pub change: Change,
    pub error: ChangeError,
}

/// Why a change could not be made.
#[derive(Debug)]
pub enum ChangeError {
    /// The kernel refused it.
    Netlink(NetlinkError),
    /// The setting could not be written.
    Sysctl(io::Error),
    Walls(NftError),
    /// The kernel has no 802.1Q.
    NoVlan,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Netlink(error) => error.fmt(f),
            ChangeError::Sysctl(error) => error.fmt(f),
            ChangeError::Walls(error) => error.fmt(f),
            ChangeError::NoVlan => f.write_str("this kernel has no VLANs (802.1Q, module 8021q)"),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<NetlinkError> for ChangeError {
    fn from(error: NetlinkError) -> ChangeError {
        ChangeError::Netlink(error)
    }
}

/// Where changes are made.
pub struct Applier<'a> {
    pub namespace: &'a Namespace,
    pub netlink: &'a mut Netlink,
    pub initial: Option<&'a mut Initial>,
    pub nft: &'a mut Nft,
    pub desired: &'a Desired,
    /// Of the interfaces that were asked for so far.
    pub indexes: BTreeMap<IfName, u32>,
}

impl Applier<'_> {
    /// Makes the changes in their order; returns those that were made and those that failed. What
    /// needs a link that could not be made is neither: the link's failure says it all.
    pub fn apply(&mut self, changes: Vec<Change>) -> (Vec<Change>, Vec<Failure>) {
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        let mut absent: BTreeSet<IfName> = BTreeSet::new();
        for change in changes {
            if change.link().is_some_and(|link| absent.contains(link)) {
                continue;
            }
            match self.make(&change) {
                Ok(()) => made.push(change),
                Err(error) => {
                    absent.extend(change.link().filter(|_| change.brings_link()).cloned());
                    failed.push(Failure { change, error });
                }
            }
        }
        (made, failed)
    }

    fn make(&mut self, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::SetSysctl(setting) => {
                self.namespace.run(|| sysctl::write(setting)).map_err(ChangeError::Sysctl)?;
            }
            Change::SetWalls => {
                let Desired { walls, segment_walls, .. } = self.desired;
                self.nft.apply(walls, segment_walls).map_err(ChangeError::Walls)?;
            }
            Change::RemoveRoute(route) => {
                let route = self.route(route)?;
                gone_is_well(self.netlink.delete_route(&route))?;
            }
            Change::RemoveNeighbour { link, address } => {
                let index = self.index(link)?;
                gone_is_well(self.netlink.delete_neighbour(index, *address))?;
            }
            Change::RemoveAddress(address) => {
                let index = self.index(&address.link)?;
                gone_is_well(self.netlink.delete_address(index, address.prefix))?;
            }
            Change::RemoveLink(link) => {
                let index = self.index(link)?;
                self.indexes.remove(link);
                gone_is_well(self.netlink.delete_link(index))?;
            }
            Change::ReleasePort(link) => self.release(link)?,
            Change::TakePort(link) => self.take(link)?,
            Change::MakeMacvlan { name, parent } => {
                let from = self.initial.as_mut().map_or(&mut *self.netlink, |initial| &mut initial.netlink);
                from.add_macvlan(parent, name, self.namespace)?;
            }
            Change::MakeBridge(name) => self.netlink.add_bridge(name)?,
            Change::MakeVxlan { name, vni, local } => self.netlink.add_vxlan(name, *vni, *local)?,
            Change::MakeVlan { name, parent, tag } => self.make_vlan(name, parent, *tag)?,
            Change::TuneBridge(link) => {
                let index = self.index(link)?;
                self.netlink.tune_bridge(index)?;
            }
            Change::TunePort(link) => {
                let index = self.index(link)?;
                self.netlink.tune_port(index)?;
            }
            Change::SetAlias { link, alias } => {
                let index = self.index(link)?;
                self.netlink.set_alias(index, alias)?;
            }
            Change::SetMac { link, mac } => self.set_mac(link, *mac)?,
            Change::SetMtu { link, mtu } => {
                let index = self.index(link)?;
                self.netlink.set_mtu(index, *mtu)?;
            }
            Change::SetMaster { link, master } => {
                let index = self.index(link)?;
                let master = master.as_ref().map(|master| self.index(master)).transpose()?;
                self.netlink.set_master(index, master)?;
            }
            Change::StopLinkLocal(link) => {
                let index = self.index(link)?;
                self.netlink.set_makes_link_local(index, false)?;
            }
            Change::SetUp(link) => {
                let index = self.index(link)?;
                self.netlink.set_up(index, true)?;
            }
            Change::AddAddress(address) => {
                let index = self.index(&address.link)?;
                self.netlink.add_address(index, address.prefix)?;
            }
            Change::SetNeighbour(neighbour) => {
                let index = self.index(&neighbour.link)?;
                self.netlink.set_neighbour(index, neighbour.address, neighbour.mac)?;
            }
            Change::SetRoute(route) => {
                let route = self.route(route)?;
                self.netlink.set_route(&route)?;
            }
        }
        Ok(())
    }

    fn index(&mut self, name: &IfName) -> Answer<u32> {
        if let Some(index) = self.indexes.get(name) {
            return Ok(*index);
        }
        let index = self.netlink.index(name)?;
        self.indexes.insert(name.clone(), index);
        Ok(index)
    }

    fn make_vlan(&mut self, name: &IfName, parent: &IfName, tag: u16) -> Result<(), ChangeError> {
        let parent = self.index(parent)?;
        self.netlink.add_vlan(name, parent, tag).map_err(|error| match error.errno() {
            Some(Errno::EOPNOTSUPP) => ChangeError::NoVlan,
            _ => error.into(),
        })
    }

    /// The tag goes first: whoever watches the initial namespace must not take it for ours.
    fn release(&mut self, link: &IfName) -> Answer<()> {
        let index = self.index(link)?;
        self.netlink.set_alias(index, "")?;
        if let Some(initial) = &self.initial {
            self.netlink.move_link(index, &initial.namespace)?;
            self.indexes.remove(link);
        }
        Ok(())
    }

    fn take(&mut self, link: &IfName) -> Answer<()> {
        let Some(initial) = &mut self.initial else { return Ok(()) };
        let index = initial.netlink.index(link)?;
        initial.netlink.move_link(index, self.namespace)
    }

    /// Some devices take a new address only while they are down.
    fn set_mac(&mut self, link: &IfName, mac: Mac) -> Answer<()> {
        let index = self.index(link)?;
        match self.netlink.set_mac(index, mac) {
            Err(error) if error.is(Errno::EBUSY) => {
                self.netlink.set_up(index, false)?;
                let result = self.netlink.set_mac(index, mac);
                self.netlink.set_up(index, true)?;
                result
            }
            result => result,
        }
    }

    fn route(&mut self, route: &Route) -> Answer<RouteInfo> {
        route_info(route, ROUTE_PROTOCOL, |link| self.index(link))
    }
}

/// A route in the kernel's own terms.
///
/// # Errors
/// Those of `index`.
pub fn route_info(
    route: &Route,
    protocol: u8,
    mut index: impl FnMut(&IfName) -> Answer<u32>,
) -> Answer<RouteInfo> {
    let target = match &route.target {
        RouteTarget::NextHops { next_hops } => {
            let mut infos = Vec::with_capacity(next_hops.len());
            for hop in next_hops {
                infos.push(NextHopInfo { link: index(&hop.link)?, via: hop.via });
            }
            infos.sort();
            TargetInfo::NextHops(infos)
        }
        RouteTarget::Discard => TargetInfo::Discard,
        RouteTarget::Unreachable => TargetInfo::Unreachable,
    };
    Ok(RouteInfo {
        prefix: route.prefix,
        target,
        source: route.source,
        mtu: route.mtu,
        metric: route.metric,
        protocol,
    })
}

/// Whoever removes something is content if it is gone.
fn gone_is_well(answer: Answer<()>) -> Answer<()> {
    match answer {
        Err(error)
            if [Errno::ENODEV, Errno::ENOENT, Errno::ESRCH, Errno::EADDRNOTAVAIL]
                .iter()
                .any(|errno| error.is(*errno)) =>
        {
            Ok(())
        }
        answer => answer,
    }
}

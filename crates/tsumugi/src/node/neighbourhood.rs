//! Who is who on the fabric's links: neighbours by interface and address.

use super::links::Links;
use crate::observe::status::LinkStatus;
use crate::peering::socket::Incoming;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use tsumugi_core::bfd::{BfdTerms, Path, SessionConfig};
use tsumugi_core::bgp::NeighbourId;
use tsumugi_core::bgp::config::{NeighbourConfig, Transport};
use tsumugi_core::id::IfName;

/// One neighbour of the configuration, as far as its addresses go.
#[derive(Debug)]
struct Near {
    name: String,
    link: IfName,
    local: IpAddr,
    /// `None`: whoever is heard on the link.
    remote: Option<IpAddr>,
    unnumbered: bool,
    bfd: Option<BfdTerms>,
}

/// In the order of the configuration: the place is the [`NeighbourId`].
#[derive(Debug, Default)]
pub struct Neighbourhood {
    near: Vec<Near>,
    /// Sources of router advertisements.
    heard: BTreeMap<IfName, Ipv6Addr>,
}

impl Neighbourhood {
    pub fn replace(&mut self, neighbours: &[NeighbourConfig]) {
        self.near = neighbours.iter().map(Near::of).collect();
        let links: BTreeSet<&IfName> = self.near.iter().map(|near| &near.link).collect();
        self.heard.retain(|link, _| links.contains(link));
    }

    /// Whose connection this is. Both addresses and the interface must be the plan's.
    pub fn find(&self, links: &Links, incoming: &Incoming) -> Option<NeighbourId> {
        let place = self.near.iter().position(|near| {
            let remote = near.remote.or_else(|| self.heard.get(&near.link).copied().map(IpAddr::V6));
            remote == Some(incoming.from)
                && near.local == incoming.to
                && incoming.index.is_some()
                && incoming.index == links.index(&near.link)
        })?;
        Some(NeighbourId(u16::try_from(place).ok()?))
    }

    /// The neighbour of this name.
    pub fn named(&self, name: &str) -> Option<NeighbourId> {
        let place = self.near.iter().position(|near| near.name == name)?;
        Some(NeighbourId(u16::try_from(place).ok()?))
    }

    /// The BFD sessions that there are to be, each with its way while there is one. `standing`: the names
    /// of those whose BGP sessions stand.
    pub fn watched(&self, links: &Links, standing: &BTreeSet<String>) -> Vec<SessionConfig> {
        let of = |near: &Near| {
            let terms = near.bfd?;
            let remote = near.remote.or_else(|| self.heard.get(&near.link).copied().map(IpAddr::V6));
            let link = links.get(&near.link).filter(|link| link.up);
            let path = link.zip(remote).map(|(link, remote)| Path {
                index: link.index,
                local: near.local,
                remote,
                multihop: terms.multihop,
            });
            let active = standing.contains(&near.name);
            Some(SessionConfig { name: near.name.clone(), terms, path, active })
        };
        self.near.iter().filter_map(of).collect()
    }

    /// Takes the source of a router advertisement; those whom it was needed for.
    pub fn hear(&mut self, link: &IfName, source: Ipv6Addr) -> Vec<NeighbourId> {
        self.heard.insert(link.clone(), source);
        let waiting = (0..).zip(&self.near).filter(|(_, near)| near.remote.is_none() && near.link == *link);
        waiting.map(|(place, _)| NeighbourId(place)).collect()
    }

    /// Everybody whose address was heard.
    pub fn known(&self) -> Vec<(NeighbourId, Ipv6Addr)> {
        let waiting = (0..).zip(&self.near).filter(|(_, near)| near.remote.is_none());
        waiting.filter_map(|(place, near)| Some((NeighbourId(place), *self.heard.get(&near.link)?))).collect()
    }

    pub fn forget(&mut self, link: &IfName) {
        self.heard.remove(link);
    }

    /// Links on which router advertisements are sent and heard: the unnumbered ones that are up, by
    /// index, with our address there and whether somebody waits for the far end's.
    pub fn speaking(&self, links: &Links) -> BTreeMap<u32, (Ipv6Addr, bool)> {
        let mut speaking = BTreeMap::new();
        for near in &self.near {
            if let (true, IpAddr::V6(local), Some(state)) =
                (near.unnumbered, near.local, links.get(&near.link))
                && state.up
            {
                let (_, wanted) = speaking.entry(state.index).or_insert((local, false));
                *wanted |= near.remote.is_none();
            }
        }
        speaking
    }

    /// The links of the neighbours, each once.
    pub fn link_status(&self, links: &Links) -> Vec<LinkStatus> {
        let names: BTreeSet<&IfName> = self.near.iter().map(|near| &near.link).collect();
        names
            .into_iter()
            .map(|name| LinkStatus {
                name: name.clone(),
                exists: links.get(name).is_some(),
                up: links.is_up(name),
                heard: self.heard.get(name).copied(),
            })
            .collect()
    }
}

impl Near {
    fn of(config: &NeighbourConfig) -> Near {
        let (local, remote, unnumbered) = match config.transport {
            Transport::Unnumbered { local, remote, .. } => (IpAddr::V6(local), remote.map(IpAddr::V6), true),
            Transport::Numbered { local, remote, .. } => (local, Some(remote), false),
        };
        let (name, link) = (config.name.clone(), config.transport.link().clone());
        Near { name, link, local, remote, unnumbered, bfd: config.terms.bfd }
    }
}

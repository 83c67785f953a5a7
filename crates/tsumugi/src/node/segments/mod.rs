//! The segments that this router carries, as far as the process drives them.

use super::dhcp;
use super::links::Links;
use crate::kernel::Namespace;
use crate::observe::status::DhcpStatus;
use crate::peering::discovery::DiscoverySocket;
use crate::peering::host_advertisement::{HostAdvertisement, HostSchedule};
use std::collections::BTreeMap;
use std::path::Path;
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::time::Instant;

pub struct Segments {
    config: EvpnConfig,
    hosts: HostSchedule,
    dhcp: dhcp::Server,
}

impl Segments {
    /// `space` is the fabric, `directory` the machine's state folder.
    pub fn new(now: Instant, space: &Namespace, directory: &Path, config: EvpnConfig) -> Segments {
        let mut dhcp = dhcp::Server::new(space.clone(), directory);
        dhcp.set_plan(now, &config);
        Segments { config, hosts: HostSchedule::default(), dhcp }
    }

    /// Another plan. Hosts of a segment that has no gateway any more are told so while the bridge still
    /// has the gateway's address.
    pub fn replace(&mut self, now: Instant, links: &Links, discovery: &DiscoverySocket, config: EvpnConfig) {
        self.config = config;
        for last in self.hosts.farewells(&self.gateways(links)) {
            if let Err(error) = discovery.send_to_hosts(&last) {
                tracing::debug!(index = last.index, %error, "last router advertisement not sent");
            }
        }
        self.dhcp.set_plan(now, &self.config);
        self.set_links(now, links);
    }

    /// Speaks on the gateways' bridges that are there now.
    pub fn set_links(&mut self, now: Instant, links: &Links) {
        self.hosts.set_bridges(now, self.gateways(links));
    }

    /// Bridges on which hosts may ask for a router.
    pub fn bridges(&self) -> impl Iterator<Item = u32> + '_ {
        self.hosts.bridges()
    }

    pub fn solicited(&mut self, now: Instant, bridge: u32) {
        self.hosts.solicited(now, bridge);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.hosts.next_timeout().into_iter().chain(self.dhcp.next_timeout()).min()
    }

    /// Does what is due.
    pub fn turn(&mut self, now: Instant, discovery: &DiscoverySocket) {
        let mut outgoing = Vec::new();
        self.hosts.poll(now, &mut outgoing);
        for message in &outgoing {
            if let Err(error) = discovery.send_to_hosts(message) {
                tracing::debug!(index = message.index, %error, "router advertisement to hosts not sent");
            }
        }
        self.dhcp.turn(now);
    }

    /// Hosts keep what they were given; see [`crate::peering::host_advertisement`].
    pub fn stop(&mut self) {
        self.dhcp.stop();
    }

    pub fn dhcp_status(&self) -> Option<DhcpStatus> {
        self.dhcp.status()
    }

    fn gateways(&self, links: &Links) -> BTreeMap<u32, HostAdvertisement> {
        let segments = self.config.segments.iter();
        segments
            .filter_map(|segment| {
                let state = links.get(&segment.bridge).filter(|state| state.up)?;
                Some((state.index, HostAdvertisement::of(segment.gateway.as_ref()?)?))
            })
            .collect()
    }
}

//! The segments that this router carries, as far as the process drives them: what joins the machine of
//! EVPN with the speaker and the kernel.
//!
//! ```text
//! speaker's best routes ─┐                     ┌─ originations ─▶ speaker
//! what the kernel learned ┼─▶ Evpn::step ──────┼─ entries ──────▶ kernel, in pieces
//! probes, hosts' answers ─┤                    ├─ ports ────────▶ kernel's sets
//! links, time ────────────┘                    ├─ frames ───────▶ ports, VXLAN devices
//!                                              └─ notices ──────▶ log
//! ```

mod frames;
mod learning;
mod ports;

use super::dhcp;
use super::links::{LinkChange, Links};
use crate::kernel::Namespace;
use crate::kernel::learned::HostEvent;
use crate::kernel::plane::Keeper;
use crate::observe::status::{DhcpStatus, EntryCounts};
use crate::observe::words;
use crate::peering::discovery::DiscoverySocket;
use crate::peering::host_advertisement::{HostAdvertisement, HostSchedule};
use frames::{Frames, HeardFrame};
use ports::Ports;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use tsumugi_core::bgp::EvpnUpdate;
use tsumugi_core::desired::BridgeEntry;
use tsumugi_core::evpn::config::{EvpnConfig, SegmentConfig};
use tsumugi_core::evpn::{Action, EntryChange, Event, Evpn, EvpnStatus, Notice};
use tsumugi_core::id::{IfName, Mac};
use tsumugi_core::time::Instant;
use tsumugi_plan::explain::Lang;

/// Entries given to the kernel before the loop looks at its sockets again.
const ENTRIES: usize = 512;

pub struct Segments {
    config: EvpnConfig,
    machine: Evpn,
    frames: Frames,
    ports: Ports,
    hosts: HostSchedule,
    dhcp: dhcp::Server,
    /// For the speaker.
    originations: Vec<EvpnUpdate>,
    entries_ready: bool,
    /// Ports whose MACs are to be forgotten.
    flushes: Vec<IfName>,
    /// Hosts for the kernel to look for, by bridge.
    sought: Vec<(IfName, IpAddr)>,
    /// Hosts behind other VTEPs, by bridge.
    remote_hosts: BTreeMap<(IfName, IpAddr), Mac>,
}

impl Segments {
    /// `space` is the fabric, `directory` the machine's state folder.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new(
        now: Instant,
        space: &Namespace,
        directory: &Path,
        config: EvpnConfig,
    ) -> io::Result<Segments> {
        let mut dhcp = dhcp::Server::new(space.clone(), directory);
        dhcp.set_plan(now, &config);
        Ok(Segments {
            machine: Evpn::new(config.clone()),
            frames: Frames::new(space, &config)?,
            ports: Ports::new(space, &config),
            hosts: HostSchedule::default(),
            dhcp,
            originations: Vec::new(),
            entries_ready: false,
            flushes: Vec::new(),
            sought: Vec::new(),
            remote_hosts: BTreeMap::new(),
            config,
        })
    }

    /// Another plan. Hosts of a segment that has no gateway any more are told so while the bridge still
    /// has the gateway's address.
    pub fn replace(&mut self, now: Instant, links: &Links, discovery: &DiscoverySocket, config: EvpnConfig) {
        if self.config == config {
            return;
        }
        self.config = config;
        for last in self.hosts.farewells(&self.gateways(links)) {
            if let Err(error) = discovery.send_to_hosts(&last) {
                tracing::debug!(index = last.index, %error, "last router advertisement not sent");
            }
        }
        self.frames.set_config(&self.config);
        self.ports.set_config(&self.config);
        let mut actions = Vec::new();
        self.machine.replace(now, self.config.clone(), &mut actions);
        self.perform(now, actions);
        self.dhcp.set_plan(now, &self.config);
        self.set_links(now, links);
        for (name, state) in links.iter() {
            self.frames.set_link(name, Some(state.index));
        }
    }

    /// Speaks on the gateways' bridges that are there now.
    pub fn set_links(&mut self, now: Instant, links: &Links) {
        self.hosts.set_bridges(now, self.gateways(links));
    }

    /// A link has changed; `index`: it is there.
    pub fn link(&mut self, now: Instant, link: &IfName, index: Option<u32>, change: LinkChange) {
        if change.down {
            self.step(now, Event::LinkDown(link.clone()));
        }
        self.frames.set_link(link, index);
        if change.up {
            self.step(now, Event::LinkUp(link.clone()));
        }
    }

    /// Takes what the kernel has learned on the bridges.
    pub fn learned(&mut self, now: Instant, event: HostEvent) {
        self.step(
            now,
            match event {
                HostEvent::Relearned { macs, hosts } => Event::Relearned { macs, hosts },
                HostEvent::MacHeard { port, mac } => Event::MacHeard { port, mac },
                HostEvent::MacGone { port, mac } => Event::MacGone { port, mac },
                HostEvent::NeighbourHeard { bridge, address, mac } => {
                    Event::HostHeard { bridge, address, mac }
                }
                HostEvent::NeighbourGone { bridge, address } => Event::HostGone { bridge, address },
                HostEvent::Sought { bridge, address } => Event::HostSought { bridge, address },
            },
        );
    }

    /// The best path of a route has changed.
    pub fn route(&mut self, now: Instant, update: EvpnUpdate) {
        self.step(now, Event::Route(update));
    }

    /// Frames wait to be heard. A host elsewhere that has answered us is told to the kernel, which looks
    /// for it and asks again by itself once the answer is old.
    pub fn hear(&mut self, now: Instant, keeper: &mut Keeper) {
        for heard in self.frames.hear() {
            match heard {
                HeardFrame::Probe { port, frame } => {
                    self.step(now, Event::ProbeHeard { port, frame: &frame });
                }
                HeardFrame::Host { bridge, address, mac } => {
                    if let Err(error) = keeper.resolve_neighbour(&bridge, address, mac) {
                        tracing::debug!(%bridge, %address, %error, "a host's answer was not taken");
                    }
                }
            }
        }
    }

    /// Bridges on which hosts may ask for a router.
    pub fn bridges(&self) -> impl Iterator<Item = u32> + '_ {
        self.hosts.bridges()
    }

    pub fn solicited(&mut self, now: Instant, bridge: u32) {
        self.hosts.solicited(now, bridge);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        if self.entries_ready
            || !self.originations.is_empty()
            || !self.flushes.is_empty()
            || !self.sought.is_empty()
        {
            return Some(Instant::default());
        }
        [
            self.machine.next_timeout(),
            self.ports.next_timeout(),
            self.hosts.next_timeout(),
            self.dhcp.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub fn turn(&mut self, now: Instant, discovery: &DiscoverySocket) {
        if self.machine.next_timeout().is_some_and(|at| at <= now) {
            self.step(now, Event::Timeout);
        }
        self.ports.turn(now);
        let mut outgoing = Vec::new();
        self.hosts.poll(now, &mut outgoing);
        for message in &outgoing {
            if let Err(error) = discovery.send_to_hosts(message) {
                tracing::debug!(index = message.index, %error, "router advertisement to hosts not sent");
            }
        }
        self.dhcp.turn(now);
    }

    /// The walls were put up anew: what their sets held of ports of shared LANs is gone.
    pub fn walls_made(&mut self, now: Instant) {
        self.ports.assert(now);
    }

    /// What the speaker is to announce, or no longer.
    pub fn originations(&mut self) -> Vec<EvpnUpdate> {
        std::mem::take(&mut self.originations)
    }

    /// Gives the kernel a piece of what EVPN has for it; true if it was something.
    pub fn install(&mut self, now: Instant, keeper: &mut Keeper) -> bool {
        for port in std::mem::take(&mut self.flushes) {
            if let Err(error) = keeper.flush_port(&port) {
                tracing::debug!(%port, %error, "MACs of the port not forgotten");
            }
        }
        if !self.entries_ready {
            // Not before what others said of them is gone from the kernel.
            for (bridge, address) in std::mem::take(&mut self.sought) {
                if let Err(error) = keeper.look_for_neighbour(&bridge, address) {
                    tracing::debug!(%bridge, %address, %error, "a host could not be asked for");
                }
            }
            return false;
        }
        let mut changes = Vec::new();
        self.entries_ready = self.machine.poll_entries(ENTRIES, &mut changes);
        self.reserve(now, &changes);
        let any = !changes.is_empty();
        if let Err(error) = keeper.change_entries(changes) {
            tracing::warn!(%error, "entries could not be given to the kernel, trying again");
        }
        any
    }

    /// All of it at once: before the kernel is asked what it has learned.
    pub fn install_all(&mut self, now: Instant, keeper: &mut Keeper) {
        while self.entries_ready {
            self.install(now, keeper);
        }
    }

    /// Hosts elsewhere keep their addresses: no DHCP server here may give them away.
    fn reserve(&mut self, now: Instant, changes: &[EntryChange]) {
        let mut changed = false;
        for EntryChange { entry, present } in changes {
            let BridgeEntry::Host { bridge, address, mac } = entry else { continue };
            let key = (bridge.clone(), *address);
            if *present {
                self.remote_hosts.insert(key, *mac);
            } else {
                self.remote_hosts.remove(&key);
            }
            changed = true;
        }
        if changed {
            let hosts = self.remote_hosts.iter().map(|((_, address), mac)| (*address, *mac)).collect();
            self.dhcp.reserve(now, dhcp::reservations(&self.config, &hosts));
        }
    }

    /// Hosts keep what they were given, see [`crate::peering::host_advertisement`]; bridges keep their
    /// entries; ports of shared LANs close, see [`ports`].
    pub fn stop(&mut self) {
        self.dhcp.stop();
    }

    pub fn status(&self, now: Instant) -> EvpnStatus {
        self.machine.status(now)
    }

    pub fn entry_counts(&self, keeper: &Keeper) -> EntryCounts {
        let (wanted, missing) = keeper.entries();
        EntryCounts { wanted, missing }
    }

    pub fn ports_failing(&self) -> Option<String> {
        self.ports.failing().map(str::to_owned)
    }

    pub fn dhcp_status(&self) -> Option<DhcpStatus> {
        self.dhcp.status()
    }

    fn step(&mut self, now: Instant, event: Event<'_>) {
        let mut actions = Vec::new();
        self.machine.step(now, event, &mut actions);
        self.perform(now, actions);
    }

    fn perform(&mut self, now: Instant, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Originate(update) => self.originations.push(update),
                Action::EntriesReady => self.entries_ready = true,
                Action::SetPort { port, blocked } => {
                    let is_open = blocked.is_none();
                    self.ports.set(now, port.clone(), blocked);
                    if is_open {
                        self.take_lan(&port);
                    }
                }
                Action::Flush { port } => self.flushes.push(port),
                Action::AskHost { bridge, address } => self.sought.push((bridge, address)),
                Action::SendFrame { link, frame } => self.frames.send(&link, &frame),
                Action::Log(notice) => log(&notice),
            }
        }
    }

    /// A port of a shared LAN forwards now: its switches shall know at once.
    fn take_lan(&self, link: &IfName) {
        let takes = |segment: &&SegmentConfig| {
            segment.ports.iter().any(|port| port.link == *link && port.lan.is_some())
        };
        let Some(segment) = self.config.segments.iter().find(takes) else { return };
        for frame in learning::frames(segment, &self.machine.entries_wanted()) {
            self.frames.send(link, &frame);
        }
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

impl AsFd for Segments {
    /// Readable while frames wait to be heard.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.frames.as_fd()
    }
}

fn log(notice: &Notice) {
    let words = words::segment_notice(notice, Lang::En);
    match notice {
        Notice::PortOpened { .. } | Notice::DuplicateEnded { .. } => tracing::info!("{words}"),
        _ => tracing::warn!("{words}"),
    }
}

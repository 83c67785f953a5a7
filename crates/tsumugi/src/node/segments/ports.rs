//! Which ports may take and give frames, kept in the kernel's sets for as long as we live.
//!
//! A port of a shared LAN forwards for [`LIFETIME`] after we last said so: if this process dies or
//! hangs, the port closes by itself before another router's begins. That one waits until it has heard
//! no probe of ours for 1.5 s, and our last probe is at most half a second older than our last word to
//! the kernel.

use crate::kernel::Namespace;
use crate::kernel::netlink::NetlinkError;
use crate::kernel::port_sets::{PortChange, PortSets};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use tsumugi_core::evpn::BlockReason;
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::IfName;
use tsumugi_core::time::{Duration, Instant};

const LIFETIME: Duration = Duration::from_secs(1);
/// Between refreshes while a port of a shared LAN forwards.
const REFRESH: Duration = Duration::from_millis(250);
/// Otherwise, for what a hand has changed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub struct Ports {
    space: Namespace,
    sets: Option<PortSets>,
    shared: BTreeSet<IfName>,
    /// What was decided about ports; those not in it have not come up yet.
    decided: BTreeMap<IfName, Option<BlockReason>>,
    due: Option<Instant>,
    /// The error that the log knows of.
    said: Option<String>,
}

impl Ports {
    pub fn new(space: &Namespace, config: &EvpnConfig) -> Ports {
        let mut ports = Ports {
            space: space.clone(),
            sets: None,
            shared: BTreeSet::new(),
            decided: BTreeMap::new(),
            due: None,
            said: None,
        };
        ports.set_config(config);
        ports
    }

    pub fn set_config(&mut self, config: &EvpnConfig) {
        let all = || config.segments.iter().flat_map(|segment| &segment.ports);
        self.shared = all().filter(|port| port.lan.is_some()).map(|port| port.link.clone()).collect();
        let names: BTreeSet<&IfName> = all().map(|port| &port.link).collect();
        self.decided.retain(|port, _| names.contains(port));
    }

    pub fn set(&mut self, now: Instant, port: IfName, blocked: Option<BlockReason>) {
        self.decided.insert(port, blocked);
        self.assert(now);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    pub fn turn(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.assert(now);
        }
    }

    /// What keeps ports from being opened and closed as decided.
    pub fn failing(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Says all of it: what the kernel holds already is not changed by that.
    pub fn assert(&mut self, now: Instant) {
        let changes: Vec<PortChange> = self
            .decided
            .iter()
            .map(|(port, blocked)| change(port, self.shared.contains(port), blocked.is_some()))
            .collect();
        let forwarding = changes.iter().any(|change| matches!(change, PortChange::Forward(..)));
        self.due = (!changes.is_empty()).then(|| now + if forwarding { REFRESH } else { LOOK_AGAIN });
        let result = self.open().and_then(|sets| sets.change(&changes).map_err(words));
        match result {
            Ok(()) => {
                if let Some(error) = self.said.take() {
                    tracing::info!(error, "ports are opened and closed again");
                }
            }
            Err(error) => {
                self.sets = None;
                if self.said.as_ref() != Some(&error) {
                    tracing::warn!(error, "ports cannot be opened or closed, trying again");
                }
                self.said = Some(error);
            }
        }
    }

    fn open(&mut self) -> Result<&mut PortSets, String> {
        match &mut self.sets {
            Some(sets) => Ok(sets),
            closed => {
                let sets = PortSets::open_in(&self.space).map_err(|error| error.to_string())?;
                Ok(closed.insert(sets))
            }
        }
    }
}

fn words(error: NetlinkError) -> String {
    if error.is(Errno::ENOENT) { "the walls of segments do not stand".into() } else { error.to_string() }
}

/// A shared LAN's port is closed by what it lacks, any other by what it has.
fn change(port: &IfName, shared: bool, blocked: bool) -> PortChange {
    let port = port.clone();
    match (shared, blocked) {
        (true, false) => PortChange::Forward(port, LIFETIME),
        (true, true) => PortChange::Hold(port),
        (false, true) => PortChange::Block(port),
        (false, false) => PortChange::Unblock(port),
    }
}

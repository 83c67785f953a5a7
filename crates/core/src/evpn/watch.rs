//! Probes out of every port, and what it means to hear one (no loop crosses two ports of this network
//! unheard).

use super::event::Action;
use super::machine::{Evpn, Role};
use super::notice::BlockReason;
use super::port::Port;
use super::probe::Probe;
use crate::id::IfName;
use crate::time::{Duration, Instant};
use crate::wire::bgp::Esi;
use alloc::vec::Vec;

/// From one probe to the next, in each port.
const INTERVAL: Duration = Duration::from_millis(500);
/// A better port that hears us blocks itself within this time; one that still forwards does not hear us.
const ONE_WAY: Duration = Duration::from_millis(1500);

/// A worse port of the network that is joined to this one and ought to block itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspect {
    pub router: u32,
    pub port: u16,
    /// It has been heard to forward since, without a pause.
    pub since: Instant,
    pub last: Instant,
}

impl Evpn {
    pub(super) fn send_probes(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.next_probe.is_none_or(|at| at > now) {
            return;
        }
        let (network, router) = (self.network, self.router);
        let mut any = false;
        for segment in &self.segments {
            let connected = segment.is_connected();
            for port in segment.ports.values().filter(|port| port.up) {
                any = true;
                self.probe_sequence = self.probe_sequence.wrapping_add(1);
                self.counters.probes_sent += 1;
                let lan = port.config.lan.as_ref();
                let probe = Probe {
                    network,
                    router,
                    vni: segment.config.vni,
                    port: port.config.number,
                    link: port.config.link.clone(),
                    sequence: self.probe_sequence,
                    forwarding: port.takes(),
                    connected,
                    candidate: port.lan.is_candidate(),
                    lan: lan.map_or(Esi::SINGLE_HOMED, |lan| lan.esi),
                    preference: lan.map_or(0, |lan| lan.preference),
                };
                let link = port.config.link.clone();
                actions.push(Action::SendFrame { link, frame: probe.frame() });
            }
        }
        self.next_probe = any.then(|| now + INTERVAL);
    }

    pub(super) fn probe_heard(&mut self, now: Instant, link: &IfName, frame: &[u8]) {
        let Some(Role::Port { segment, number }) = self.role(link) else { return };
        let Some(port) = self.segments[segment].ports.get_mut(&number) else { return };
        let probe = match Probe::parse(frame) {
            Ok(probe) if probe.network == self.network => probe,
            _ => {
                self.counters.probes_of_strangers += 1;
                return;
            }
        };
        self.counters.probes_heard += 1;
        port.hear(now, self.router, &probe);
    }
}

impl Port {
    fn hear(&mut self, now: Instant, router: u32, probe: &Probe) {
        let ours = (router, self.config.number);
        let theirs = (probe.router, probe.port);
        if ours == theirs {
            self.guard.trip(now, BlockReason::LoopBehind);
            return;
        }
        if let Some(lan) = self.config.lan.as_ref().filter(|lan| lan.esi == probe.lan) {
            self.lan.hear(now, lan, probe);
            return;
        }
        let reason = BlockReason::LoopWith { router: probe.router, port: probe.link.clone() };
        if ours > theirs || self.is_one_way(now, probe) {
            self.guard.trip(now, reason);
        }
    }

    /// The worse end of a loop goes on forwarding: it does not hear us, so the loop goes one way, and
    /// this end has to give way.
    fn is_one_way(&mut self, now: Instant, probe: &Probe) -> bool {
        if !probe.forwarding {
            self.suspect = None;
            return false;
        }
        let before = self
            .suspect
            .filter(|it| (it.router, it.port) == (probe.router, probe.port) && now < it.last + ONE_WAY);
        let since = before.map_or(now, |it| it.since);
        self.suspect = Some(Suspect { router: probe.router, port: probe.port, since, last: now });
        now.since(since) >= ONE_WAY
    }
}

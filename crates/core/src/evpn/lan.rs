//! Which port of a LAN forwards, where several of them hang on it (single-active, RFC 7432 14.1.1).
//!
//! Everybody's type 4 route says a preference (RFC 9785), and the lowest forwards. Three rules keep two
//! ports from forwarding at once: who hears of a better one stops in the same step; a newcomer waits
//! until its own route is with all others; and nobody begins while another port of the LAN is heard to
//! forward, or a better one is heard that is about to, by the probes that every port sends into the LAN.
//! The last one holds even while BGP is down. Where a LAN swallows probes, who follows on a better one
//! gives its router's port the time that it may forward without its process.

use super::ask;
use super::config::SharedLan;
use super::event::Action;
use super::notice::{BlockReason, Notice};
use super::originate;
use super::port::Port;
use super::probe::Probe;
use super::segment::Segment;
use crate::time::{Duration, Instant};
use crate::wire::bgp::{Esi, RouteDistinguisher};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

/// RFC 7432 8.5: from one's own type 4 route until one may forward.
const WAIT: Duration = Duration::from_secs(3);
/// What a probe said holds this long: three of them.
const HEARD: Duration = Duration::from_millis(1500);
/// A port forwards at most this long after its process has said so for the last time (the shell's lease,
/// with a margin).
const LEASE: Duration = Duration::from_millis(1500);
/// RFC 9785's default: of a router that says no preference.
pub(super) const UNSTATED_PREFERENCE: u16 = 32_767;

/// Another router's type 4 route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rival {
    pub preference: u16,
}

/// By the LAN, then by the route.
pub(super) type Rivals = BTreeMap<Esi, BTreeMap<(RouteDistinguisher, IpAddr), Rival>>;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lan {
    /// Up, and not blocked by the guard, since.
    candidate_since: Option<Instant>,
    /// When a probe of another port of the LAN was last heard that forwards.
    forwarding: Option<Instant>,
    /// As `forwarding`, of a better port.
    better_forwarding: Option<Instant>,
    /// As `forwarding`, of a better port that forwards or is about to.
    better_candidate: Option<Instant>,
    /// As `forwarding`, of a port whose router hears others, whether it forwards or not.
    connected: Option<Instant>,
    /// When the last route of a better port was withdrawn; `None`: there is one.
    alone_since: Option<Instant>,
}

fn recent(heard: Option<Instant>, now: Instant) -> bool {
    heard.is_some_and(|at| now < at + HEARD)
}

impl Lan {
    /// A probe of another port of the same LAN.
    pub fn hear(&mut self, now: Instant, lan: &SharedLan, probe: &Probe) {
        if probe.forwarding {
            self.forwarding = Some(now);
            if probe.preference < lan.preference {
                self.better_forwarding = Some(now);
            }
        }
        if probe.candidate && probe.preference < lan.preference {
            self.better_candidate = Some(now);
        }
        if probe.connected {
            self.connected = Some(now);
        }
    }

    pub fn is_candidate(&self) -> bool {
        self.candidate_since.is_some()
    }

    pub fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let heard = [self.forwarding, self.better_forwarding, self.better_candidate, self.connected];
        let heard = heard.into_iter().flatten().map(|at| at + HEARD);
        heard.chain(self.candidate_since.map(|at| at + WAIT)).chain(self.alone_since.map(|at| at + LEASE))
    }

    /// Whether the port that forwarded before may still do so, for all that is known: no probe of the
    /// LAN was ever heard that would tell.
    fn follows_blindly(&self, now: Instant) -> bool {
        self.forwarding.is_none() && self.alone_since.is_none_or(|since| now < since + LEASE)
    }
}

impl Port {
    /// `connected`: others of the segment are heard, or there are none to hear.
    fn stand(&mut self, now: Instant, connected: bool) {
        // A router that is cut off leaves the LAN to one that is not.
        let cut_off = !connected && recent(self.lan.connected, now);
        let stands = self.up && self.guard.reason().is_none() && !cut_off;
        self.lan.candidate_since = stands.then(|| self.lan.candidate_since.unwrap_or(now));
    }

    /// Why it does not forward. `first`: no port of this router, and `alone`: none of another one, is
    /// better.
    fn verdict(&self, now: Instant, first: bool, alone: bool) -> Option<BlockReason> {
        if let Some(reason) = self.guard.reason() {
            return Some(reason.clone());
        }
        self.config.lan.as_ref()?;
        if !self.up {
            return Some(BlockReason::TakingOver);
        }
        let Some(since) = self.lan.candidate_since else { return Some(BlockReason::Standby) };
        if !first || !alone || recent(self.lan.better_forwarding, now) {
            return Some(BlockReason::Standby);
        }
        let heard = self.lan.forwarding.max(self.lan.better_candidate);
        let others = !self.takes() && recent(heard, now);
        let blind = !self.takes() && self.lan.follows_blindly(now);
        (now < since + WAIT || others || blind).then_some(BlockReason::TakingOver)
    }
}

impl Segment {
    /// Decides about every port anew. True: some port's state is another now.
    pub fn elect(&mut self, now: Instant, rivals: &Rivals, actions: &mut Vec<Action>) -> bool {
        let connected = self.is_connected();
        let mut candidates: BTreeMap<Esi, u16> = BTreeMap::new();
        for port in self.ports.values_mut() {
            port.guard.expire(now);
            port.stand(now, connected);
            if let (Some(lan), Some(_)) = (&port.config.lan, port.lan.candidate_since) {
                let lowest = candidates.entry(lan.esi).or_insert(lan.preference);
                *lowest = lan.preference.min(*lowest);
            }
        }
        let ours = self.config.stretch.as_ref().map(|stretch| stretch.vtep);
        let alone = |lan: &SharedLan| {
            let of_lan = rivals.get(&lan.esi).into_iter().flatten();
            let mut of_others = of_lan.filter(|((_, originator), _)| Some(*originator) != ours);
            of_others.all(|((_, originator), rival)| {
                (lan.preference, ours) < (rival.preference, Some(*originator))
            })
        };
        let mut verdicts: Vec<(u16, Option<BlockReason>)> = Vec::new();
        for (number, port) in &mut self.ports {
            let lan = port.config.lan.as_ref();
            let first = lan.is_none_or(|lan| candidates.get(&lan.esi) == Some(&lan.preference));
            let alone = lan.is_none_or(alone);
            port.lan.alone_since = alone.then(|| port.lan.alone_since.unwrap_or(now));
            verdicts.push((*number, port.verdict(now, first, alone)));
        }
        // Who stops, stops before another begins.
        verdicts.sort_by_key(|(_, blocked)| blocked.is_none());
        let mut changed = false;
        for (number, blocked) in verdicts {
            changed |= self.set_port(now, number, blocked, actions);
        }
        self.announce_candidates(candidates, actions);
        changed
    }

    fn announce_candidates(&mut self, candidates: BTreeMap<Esi, u16>, actions: &mut Vec<Action>) {
        if self.candidates == candidates {
            return;
        }
        let before = core::mem::replace(&mut self.candidates, candidates);
        let Some(stretch) = &self.config.stretch else { return };
        for (esi, preference) in &self.candidates {
            if before.get(esi) != Some(preference) {
                actions.push(Action::Originate(originate::candidate(stretch, *esi, Some(*preference))));
            }
        }
        for esi in before.keys().filter(|esi| !self.candidates.contains_key(*esi)) {
            actions.push(Action::Originate(originate::candidate(stretch, *esi, None)));
        }
    }

    fn set_port(
        &mut self,
        now: Instant,
        number: u16,
        blocked: Option<BlockReason>,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(port) = self.ports.get_mut(&number) else { return false };
        if port.told.as_ref() == Some(&blocked) || (port.told.is_none() && !port.up) {
            return false;
        }
        // A process before this one may have left it open, with MACs that the kernel would not tell again.
        let took = port.takes() || port.told.is_none();
        let before = port.told.replace(blocked.clone()).flatten();
        port.since = now;
        let link = port.config.link.clone();
        actions.push(Action::SetPort { port: link.clone(), blocked: blocked.clone() });
        let segment = self.config.name.clone();
        let is_open = blocked.is_none();
        match (blocked, before) {
            (Some(reason), _) => {
                actions.push(Action::Log(Notice::PortBlocked { segment, port: link.clone(), reason }));
            }
            (None, Some(reason)) => {
                actions.push(Action::Log(Notice::PortOpened { segment, port: link.clone(), reason }));
            }
            (None, None) => {}
        }
        // The LAN's switches know the gateway behind the port that forwarded before, and would wait for the
        // next router advertisement.
        if let (true, Some(gateway)) = (is_open, &self.config.gateway) {
            let frames = ask::announcements(gateway).into_iter();
            actions.extend(frames.map(|frame| Action::SendFrame { link: link.clone(), frame }));
        }
        if took && !is_open {
            actions.push(Action::Flush { port: link });
            self.forget_port(number, actions);
        }
        true
    }
}

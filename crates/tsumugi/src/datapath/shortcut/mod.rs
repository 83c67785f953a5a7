//! The shortcut: frames of EtherIP that one outer packet holds pass between device and line inside the
//! kernel, by programs of its virtual machine (`shortcut.c` draws their way). All else, and everything
//! where there is no shortcut, goes through the process as ever; device, sockets and walls stay.
//!
//! A pair of interfaces joins the fabric and the underlay for it, because no program can send from one
//! namespace into another.

mod entry;
mod programs;

use super::Datapath;
use super::engine::Sides;
use super::forward::Forwarding;
use super::line::{Line, Packets};
use super::meanwhile::meanwhile;
use crate::kernel::bpf;
use crate::kernel::classifier::{Placed, Way, put};
use crate::observe::status::{Shortcut as State, Traffic, WhyNoShortcut};
use entry::Entry;
use programs::{Counts, Programs};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};
use tsumugi_core::tunnel::DropReason;

/// How often the programs are told that the process lives.
const LIVES: Duration = Duration::from_millis(250);
/// After how long a silence they leave everything to the process.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the kernel is asked whether the new pair sends what it is given.
const ASKS: Duration = Duration::from_millis(5);
/// After how long the kernel is asked anew, once it has refused or something of it was lost.
const AGAIN: Duration = Duration::from_secs(60);
/// How long it has for that: its link watch may rest for a second.
const LONGEST: Duration = Duration::from_secs(5);

/// The pair that joins the namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Pair {
    #[default]
    None,
    /// Not known yet to send what it is given: until then no entry is opened.
    MadeAt(Instant),
    Sends,
}

/// The programs, once the kernel has taken them, and who goes their way.
#[derive(Default)]
pub struct Shortcut {
    programs: Option<Programs>,
    pair: Pair,
    /// Why the kernel does not, and when it is asked again; with a new plan, too.
    refused: Option<(String, Instant)>,
    /// The reason that the log has heard.
    said: Option<String>,
    /// With the half of its slot that an entry has.
    entries: BTreeMap<usize, (Entry, u32)>,
    /// What was counted up to now.
    seen: BTreeMap<usize, Counts>,
    /// Whether what an earlier life left was seen to.
    settled: bool,
    /// Where programs were put: on which way of which interface.
    placed: BTreeMap<(Way, u32), Placed>,
    /// Where none was needed at the last turn.
    idle: BTreeSet<(Way, u32)>,
    /// Whether nothing of it was needed at the last turn.
    rests: bool,
    /// When the programs are told again that the process lives.
    due: Option<Instant>,
    /// When the kernel is asked about the pair again, while entries wait for it.
    asks: Option<Instant>,
}

impl Shortcut {
    /// The next plan may have better luck.
    pub fn ask_again(&mut self) {
        (self.refused, self.said) = (None, None);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let again = self.refused.as_ref().map(|(_, again)| *again);
        self.due.into_iter().chain(self.asks).chain(again).min()
    }

    /// Whether a tunnel that has lost its carrier, or has it again, has not been followed yet.
    pub fn outlives_carrier(&self, forwarding: &Forwarding) -> bool {
        forwarding.tunnels.iter().enumerate().any(|(slot, tunnel)| {
            tunnel.as_ref().is_some_and(|tunnel| match tunnel.shortcut {
                Some(State::Open) => !tunnel.has_carrier,
                Some(State::Closed(WhyNoShortcut::NoCarrier)) => tunnel.has_carrier,
                _ => self.entries.contains_key(&slot),
            })
        })
    }

    /// Whether what is there differs from what is wanted.
    fn differs(&self, wanted: &BTreeMap<usize, Entry>) -> bool {
        let same =
            |(slot, entry): (&usize, &Entry)| self.entries.get(slot).is_some_and(|(is, _)| is == entry);
        !self.settled || self.entries.len() != wanted.len() || !wanted.iter().all(same)
    }

    /// Has the programs be where they are needed, while none of their entries changes: the kernel may keep
    /// this long.
    fn attach(&mut self, sides: &mut Sides, wanted: &BTreeMap<usize, Entry>) -> io::Result<()> {
        if !self.settled {
            programs::sweep(sides)?;
            self.settled = true;
        }
        if self.programs.is_none() && !wanted.is_empty() {
            programs::sweep(sides)?;
            self.programs = Some(Programs::load(sides)?);
            self.pair = Pair::MadeAt(Instant::now());
        }
        let Some(programs) = &self.programs else { return Ok(()) };
        let new =
            |(slot, entry): &(&usize, &Entry)| self.entries.get(slot).is_none_or(|(is, _)| is != *entry);
        for (_, entry) in wanted.iter().filter(new) {
            for (way, link) in [(Way::In, entry.line), (Way::Out, entry.device)] {
                if self.placed.contains_key(&(way, link)) {
                    continue;
                }
                let placed = match way {
                    Way::In => {
                        let pop = ("pop", &programs.pop);
                        put(&sides.underlay, &mut sides.underlay_netlink, (way, link), pop)?
                    }
                    Way::Out => {
                        let leave = ("leave", &programs.leave);
                        put(&sides.fabric, &mut sides.fabric_netlink, (way, link), leave)?
                    }
                };
                self.placed.insert((way, link), placed);
            }
        }
        self.ask_pair(sides)
    }

    /// Asks whether the new pair sends what it is given.
    fn ask_pair(&mut self, sides: &mut Sides) -> io::Result<()> {
        let Pair::MadeAt(when) = self.pair else { return Ok(()) };
        if Programs::pair_sends(sides)? {
            self.pair = Pair::Sends;
        } else if when.elapsed() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the pair does not come up"));
        }
        Ok(())
    }

    /// Whether what was opened still carries what it is given.
    fn look_after(&self, sides: &mut Sides) -> io::Result<()> {
        let Some(programs) = self.programs.as_ref().filter(|_| !self.entries.is_empty()) else {
            return Ok(());
        };
        if programs.missed()? > 0 {
            return Err(io::Error::other("another program takes what comes by a line before ours does"));
        }
        if !Programs::pair_sends(sides)? {
            return Err(io::Error::other("the pair has been taken down"));
        }
        programs.live(PATIENCE)
    }

    /// A tunnel is no more: what comes for it is the process's to refuse, and what it has counted nobody's.
    pub fn leave_slot(&mut self, slot: usize) {
        if let (Some((entry, _)), Some(programs)) = (self.entries.remove(&slot), &self.programs)
            && let Err(error) = programs.close(&entry)
        {
            tracing::warn!(reason = %error, "an entry of the shortcut cannot be closed");
        }
        self.passed(slot);
    }

    fn awaits_pair(&self) -> bool {
        matches!(self.pair, Pair::MadeAt(_))
    }

    /// Where programs are that no entry has needed since the last turn: nothing is on its way by them.
    fn unneeded(&mut self) -> Vec<(Way, u32)> {
        let needed: BTreeSet<(Way, u32)> =
            self.entries.values().flat_map(|(is, _)| [(Way::In, is.line), (Way::Out, is.device)]).collect();
        let idle = self.placed.keys().filter(|place| !needed.contains(place)).copied().collect();
        let before = std::mem::replace(&mut self.idle, idle);
        self.idle.intersection(&before).copied().collect()
    }

    /// Has the lines' packet sockets not hear what goes this way.
    fn quiet(&self, lines: &mut [Line]) -> io::Result<()> {
        let Some(programs) = &self.programs else { return Ok(()) };
        for packets in lines.iter_mut().filter_map(|line| line.packets.as_mut()) {
            if !packets.leaves_shortcut && !packets.hears_geneve() {
                bpf::attach(&packets.receiver, &programs.hear)?;
                packets.leaves_shortcut = true;
            }
        }
        Ok(())
    }

    /// Brings the maps to `wanted`.
    fn settle(&mut self, wanted: BTreeMap<usize, Entry>) -> io::Result<()> {
        let Some(programs) = &self.programs else { return Ok(()) };
        let mut entries = BTreeMap::new();
        for (slot, (old, _)) in &self.entries {
            if wanted.get(slot) != Some(old) {
                programs.close(old)?;
            }
        }
        for (slot, new) in wanted {
            let half = match self.entries.get(&slot) {
                Some((old, half)) if *old == new => *half,
                before => {
                    let half = before.map_or(0, |(_, half)| 1 - half);
                    programs.open(slot, half, &new)?;
                    self.seen.entry(slot).or_default();
                    half
                }
            };
            entries.insert(slot, (new, half));
        }
        self.entries = entries;
        Ok(())
    }

    /// What has passed in a slot since it was last asked.
    fn passed(&mut self, slot: usize) -> Option<Counts> {
        let now = self.programs.as_ref()?.counts(slot).ok()?;
        let before = self.seen.insert(slot, now).unwrap_or_default();
        Some(now.since(&before))
    }
}

impl Datapath {
    /// Counts what has passed, follows what has changed, takes away what has had no use for a turn, and tells the
    /// programs that the process lives.
    pub(super) fn keep_shortcut(&mut self, now: Instant) {
        self.shortcut.due = None;
        self.shortcut.asks = None;
        if self.shortcut.refused.as_ref().is_some_and(|(_, again)| *again <= now) {
            self.shortcut.refused = None;
        }
        self.follow_shortcut();
        if !self.giver.holds() && self.shortcut.asks.is_none() {
            self.tidy_shortcut();
        }
        if let Err(error) = self.shortcut.look_after(&mut self.sides) {
            return self.lose_shortcut(&error);
        }
        if self.shortcut.programs.is_some() {
            self.shortcut.due = Some(now + LIVES);
        }
    }

    /// What is not needed any more goes a turn later, when nothing is on its way by it.
    fn tidy_shortcut(&mut self) {
        if self.shortcut.programs.is_none() {
            return;
        }
        let rests = self.shortcut.entries.is_empty() && !self.is_soon_wanted();
        if std::mem::replace(&mut self.shortcut.rests, rests) && rests {
            return self.remove_shortcut();
        }
        let unneeded = self.shortcut.unneeded();
        if unneeded.is_empty() {
            return;
        }
        let Datapath { sides, shortcut, .. } = self;
        let removed = meanwhile(&self.epoll, &mut self.forwarding, || {
            let filters = unneeded
                .into_iter()
                .filter(|place| shortcut.placed.remove(place).is_some_and(|placed| placed.is_filter()));
            filters.collect::<Vec<_>>().into_iter().try_for_each(|(way, link)| match way {
                Way::In => sides.underlay_netlink.remove_classifier(link, way),
                Way::Out => sides.fabric_netlink.remove_classifier(link, way),
            })
        });
        if let Err(error) = removed {
            tracing::warn!(reason = %error, "a program of the shortcut cannot be removed");
        }
    }

    /// Opens the shortcut to the tunnels that can take it, and closes it to others. While another process is
    /// about to take over, and once it may have opened its own, nothing is touched.
    pub(super) fn follow_shortcut(&mut self) {
        if self.giver.holds() {
            return;
        }
        self.count_shortcut();
        let mut wanted = BTreeMap::new();
        for slot in 0..self.forwarding.tunnels.len() {
            let Some(tunnel) = &self.forwarding.tunnels[slot] else { continue };
            let state = match self.entry(slot, tunnel) {
                Ok(Some(entry)) => {
                    wanted.insert(slot, entry);
                    Some(State::Open)
                }
                Ok(None) => None,
                Err(why) => Some(State::Closed(why)),
            };
            if let Some(tunnel) = &mut self.forwarding.tunnels[slot] {
                tunnel.shortcut = state;
            }
        }
        if self.is_settling() {
            self.shortcut.due = Some(self.started + LIVES);
            return;
        }
        let result = if self.shortcut.differs(&wanted) {
            let Datapath { sides, shortcut, .. } = self;
            let attached = meanwhile(&self.epoll, &mut self.forwarding, || shortcut.attach(sides, &wanted));
            if attached.is_ok() && self.shortcut.awaits_pair() {
                self.close_tunnels(&WhyNoShortcut::Settling);
                self.shortcut.asks = Some(Instant::now() + ASKS);
                return;
            }
            attached
                .and_then(|()| self.shortcut.quiet(&mut self.forwarding.lines))
                .and_then(|()| self.shortcut.settle(wanted))
        } else {
            self.shortcut.quiet(&mut self.forwarding.lines)
        };
        if let Err(error) = result {
            self.lose_shortcut(&error);
        } else if self.shortcut.due.is_none() && self.shortcut.programs.is_some() {
            self.shortcut.due = Some(Instant::now());
        }
    }

    /// What an earlier life left is taken away when nothing can be on its way by it any more.
    fn is_settling(&self) -> bool {
        !self.shortcut.settled && self.started.elapsed() < LIVES
    }

    /// Whether a tunnel is shut out for a while only: what there is in the kernel stays for it.
    fn is_soon_wanted(&self) -> bool {
        self.forwarding.tunnels.iter().flatten().any(|tunnel| {
            use WhyNoShortcut::{Handover, NoCarrier, NoNextHop, Settling};
            matches!(tunnel.shortcut, Some(State::Closed(NoCarrier | NoNextHop | Handover | Settling)))
        })
    }

    /// Closes every entry in this moment: from now on all packets come to the process, which another one
    /// asks to hand them over. What is in the kernel besides is for its sweep.
    pub(super) fn shut_shortcut(&mut self) {
        self.count_shortcut();
        if let Err(error) = self.shortcut.settle(BTreeMap::new()) {
            self.lose_shortcut(&error);
        }
        self.shortcut.due = None;
        self.shortcut.asks = None;
        self.close_tunnels(&WhyNoShortcut::Handover);
    }

    /// Leaves nothing of the shortcut in the kernel: nobody wants it, or the process ends. Unless it is
    /// another process's by now.
    pub(super) fn remove_shortcut(&mut self) {
        if self.shortcut.programs.is_none() || self.giver.holds() {
            return;
        }
        self.count_shortcut();
        if let Err(error) = self.shortcut.settle(BTreeMap::new()) {
            tracing::warn!(reason = %error, "the shortcut cannot be closed");
        }
        self.clear_shortcut();
    }

    /// The kernel refuses: every packet goes through the process.
    fn lose_shortcut(&mut self, error: &io::Error) {
        let error = error.to_string();
        if self.shortcut.said.as_ref() != Some(&error) {
            tracing::warn!(
                reason = error,
                "no shortcut through the kernel: every packet goes through the process"
            );
        }
        self.clear_shortcut();
        self.shortcut.said = Some(error.clone());
        self.shortcut.refused = Some((error.clone(), Instant::now() + AGAIN));
        self.close_tunnels(&WhyNoShortcut::Refused { error });
    }

    /// Has the lines hear everything again, and takes away what is in the kernel.
    fn clear_shortcut(&mut self) {
        for line in &mut self.forwarding.lines {
            let hears = |packets: &mut Packets| !packets.leaves_shortcut || packets.hear_all().is_ok();
            if !line.packets.as_mut().is_none_or(hears) {
                line.lose_packets();
            }
        }
        let Datapath { sides, .. } = self;
        if let Err(error) = meanwhile(&self.epoll, &mut self.forwarding, || programs::sweep(sides)) {
            tracing::warn!(reason = %error, "what is left of the shortcut cannot be removed");
        }
        self.shortcut = Shortcut { said: self.shortcut.said.take(), settled: true, ..Shortcut::default() };
    }

    fn close_tunnels(&mut self, why: &WhyNoShortcut) {
        for tunnel in self.forwarding.tunnels.iter_mut().flatten() {
            if tunnel.shortcut == Some(State::Open) {
                tunnel.shortcut = Some(State::Closed(why.clone()));
            }
        }
    }

    /// Adds what went by the shortcut to what its tunnels counted, those that have just been closed too.
    pub(super) fn count_shortcut(&mut self) {
        let forwarding = &mut self.forwarding;
        for (slot, tunnel) in forwarding.tunnels.iter_mut().enumerate() {
            let Some(tunnel) = tunnel.as_mut().filter(|_| self.shortcut.seen.contains_key(&slot)) else {
                continue;
            };
            let Some(counts) = self.shortcut.passed(slot) else { continue };
            let sent = Traffic { packets: counts.sent, bytes: counts.sent_bytes };
            let received = Traffic { packets: counts.received, bytes: counts.received_bytes };
            tunnel.sent.add(sent);
            tunnel.received.add(received);
            tunnel.by_shortcut.sent.add(sent);
            tunnel.by_shortcut.received.add(received);
            tunnel.drops.add(DropReason::SendFailed, counts.refused);
            if counts.received > 0 {
                let ago = programs::now().map_or(0, |now| now.saturating_sub(counts.last));
                let heard = Instant::now().checked_sub(Duration::from_nanos(ago));
                tunnel.hear(heard.unwrap_or_else(Instant::now), &mut forwarding.buffers.round);
            }
        }
    }
}

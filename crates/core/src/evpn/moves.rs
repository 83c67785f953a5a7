//! Local learning: a MAC appears on a port, moves there, and perhaps too often (RFC 7432 15, 15.1).

use super::entries::Key;
use super::event::Action;
use super::guard::FLAP_WINDOW;
use super::macs::{DUPLICATE_MOVES, DUPLICATE_WINDOW, Local, Moves};
use super::notice::{BlockReason, Notice};
use super::port::Port;
use super::probe;
use super::segment::Segment;
use crate::id::Mac;
use crate::time::Instant;
use alloc::vec::Vec;

/// Moves of one MAC within [`FLAP_WINDOW`] that count against the port it comes to. A host that roams
/// moves once; a loop moves what it carries again and again. Of the two ends of a loop the higher VTEP
/// gives way first, so that one end stays open.
const FLAPS_OF_HIGHER: usize = 3;
const FLAPS_OF_LOWER: usize = 5;

impl Port {
    /// A MAC moves back and forth. One alone is a duplicate ([`DUPLICATE_MOVES`]), which is no reason to
    /// shut everybody else out; two at a time are a loop that no probe comes through.
    fn flap(&mut self, now: Instant, mac: Mac) {
        match self.flapping {
            Some((other, at)) if other != mac && now.since(at) < FLAP_WINDOW => {
                self.flapping = None;
                self.guard.trip(now, BlockReason::Flapping);
            }
            _ => self.flapping = Some((mac, now)),
        }
    }
}

impl Segment {
    /// The kernel has `mac` on a port.
    pub fn learn(&mut self, now: Instant, number: u16, mac: Mac, actions: &mut Vec<Action>) {
        let gateway = self.config.gateway.as_ref();
        let ours = gateway.is_some_and(|it| mac == it.mac || mac == it.own_mac);
        let heard = self.ports.get(&number).is_some_and(|port| port.takes());
        if ours || !heard || probe::is_source(mac) || mac.0[0] & 1 != 0 || mac.0 == [0; 6] {
            return;
        }
        let state = self.tables.macs.entry(mac).or_default();
        let from = match (state.local, state.best().copied()) {
            (Some(local), _) if local.port == number => return,
            (None, Some(best)) if best.sticky && !state.is_frozen() => {
                // RFC 7432 15.2: it does not move, and the operator is told.
                self.entries.again(Key::Mac(mac));
                if !core::mem::replace(&mut state.alerted, true) {
                    let port = self.ports[&number].config.link.clone();
                    let segment = self.config.name.clone();
                    actions.push(Action::Log(Notice::StickyMacMoved { segment, mac, port }));
                }
                return;
            }
            (Some(local), _) => From::Port(local.port),
            (None, Some(best)) => From::Vtep(best.vtep),
            (None, None) => From::Nowhere,
        };
        let sequence = match state.local {
            // RFC 7432 15: between ports of one router nothing changes for others.
            Some(local) => local.sequence,
            None => state.next_sequence(),
        };
        state.local = Some(Local { port: number, sequence });
        let threshold = match from {
            From::Nowhere => None,
            From::Port(other) => (other < number).then_some(FLAPS_OF_HIGHER),
            From::Vtep(vtep) => {
                let ours = self.config.stretch.as_ref().map(|stretch| stretch.vtep);
                Some(if ours > Some(vtep) { FLAPS_OF_HIGHER } else { FLAPS_OF_LOWER })
            }
        };
        let flaps = if matches!(from, From::Nowhere) { 0 } else { self.count_move(now, mac, from, actions) };
        self.settle(mac, None, actions);
        let port = self.ports.get_mut(&number);
        if let Some(port) = port.filter(|_| threshold.is_some_and(|threshold| flaps >= threshold)) {
            port.flap(now, mac);
        }
    }

    /// The moves of the last [`FLAP_WINDOW`], this one included.
    fn count_move(&mut self, now: Instant, mac: Mac, from: From, actions: &mut Vec<Action>) -> usize {
        let Some(state) = self.tables.macs.get_mut(&mac) else { return 0 };
        let moves = state.moves.get_or_insert_default();
        moves.times.retain(|at| now.since(*at) < DUPLICATE_WINDOW);
        if moves.times.len() == DUPLICATE_MOVES {
            moves.times.remove(0);
        }
        moves.times.push(now);
        // RFC 7432 15.1 speaks of moves between routers.
        let duplicate = moves.times.len() == DUPLICATE_MOVES && matches!(from, From::Vtep(_));
        if duplicate && !core::mem::replace(&mut moves.frozen, true) {
            let segment = self.config.name.clone();
            actions.push(Action::Log(Notice::DuplicateMac { segment, mac }));
        }
        let flaps = moves.times.iter().filter(|at| now.since(**at) < FLAP_WINDOW).count();
        self.postpone(now, mac);
        flaps
    }

    /// News of a MAC that is taken for a duplicate: it is not quiet yet.
    pub fn disturb(&mut self, now: Instant, mac: Mac) {
        if self.tables.macs.get(&mac).is_some_and(|state| state.is_frozen()) {
            self.postpone(now, mac);
        }
    }

    fn postpone(&mut self, now: Instant, mac: Mac) {
        let moves = self.tables.macs.get_mut(&mac).and_then(|state| state.moves.as_deref_mut());
        let Some(Moves { due, .. }) = moves else { return };
        self.due.remove(&(*due, mac));
        *due = now + DUPLICATE_WINDOW;
        self.due.insert((*due, mac));
    }

    /// Forgets moves that are long past, and lets duplicates go that have become quiet.
    pub fn expire_moves(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some(&(due, mac)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let Some(state) = self.tables.macs.get_mut(&mac) else { continue };
            let was_frozen = state.moves.take().is_some_and(|moves| moves.frozen);
            // Our sequence number is that of the last move here: whoever heard the MAC later has a higher one.
            if was_frozen {
                let segment = self.config.name.clone();
                actions.push(Action::Log(Notice::DuplicateEnded { segment, mac }));
            }
            self.settle(mac, None, actions);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum From {
    Nowhere,
    Port(u16),
    Vtep(core::net::IpAddr),
}

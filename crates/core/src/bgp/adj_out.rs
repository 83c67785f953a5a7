//! What a neighbour is still to be told (the queue of its Adj-RIB-Out), and how it is packed: one
//! set of attributes with as many routes as a message holds.

use super::config::{NeighbourConfig, SpeakerConfig};
use super::key::Key;
use super::notice::Notice;
use super::policy::{ExportRefusal, Tables, export_attributes};
use super::rib::{Destination, Rib, Route};
use super::session::Negotiated;
use super::slots::Slot;
use super::status::FamilyCounts;
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::{
    AfiSafi, EvpnRoute, MpNextHop, Nlri, Refresh, Update, announce, room_for_routes, withdraw,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

#[derive(Debug)]
pub(super) struct AdjOut {
    pub prefixes: Queue<Prefix>,
    pub evpn: Queue<EvpnRoute>,
    /// The shell has been told that something waits and has not yet come to the end of it.
    pub told: bool,
    /// Since when something waits without the shell having asked (RFC 9687).
    pub waits_since: Option<Instant>,
    pub announced: FamilyCounts,
}

/// What waits of one table.
#[derive(Debug)]
pub(super) struct Queue<K> {
    /// Each at most once: a destination knows whose queues it is in.
    keys: VecDeque<K>,
    /// How many were taken out since the session came to stand.
    taken: u64,
    /// What is to be said besides routes, each once so many were taken out, in this order.
    marks: VecDeque<(u64, Mark)>,
}

/// Where a telling begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    EndOfRib(AfiSafi),
    BeginRefresh(AfiSafi),
    EndRefresh(AfiSafi),
}

/// Where the routes are.
pub(super) struct Ribs<'a> {
    pub prefixes: &'a mut Rib<Prefix>,
    pub evpn: &'a mut Rib<EvpnRoute>,
}

/// What is needed to tell a neighbour something.
pub(super) struct Telling<'a> {
    pub config: &'a SpeakerConfig,
    pub tables: &'a Tables,
    pub neighbour: &'a NeighbourConfig,
    pub negotiated: &'a Negotiated,
    pub local: IpAddr,
    pub slot: Slot,
}

/// How a route travels on this session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// NEXT_HOP, for the classic fields.
    pub classic: Option<Ipv4Addr>,
    /// Else the next hop in MP_REACH_NLRI.
    pub mp: Option<MpNextHop>,
}

/// Routes that share one set of attributes.
struct Group<N> {
    shared: Vec<u8>,
    form: Form,
    routes: Vec<N>,
}

struct Batch<K: Key> {
    withdrawn: BTreeMap<AfiSafi, Vec<K::Nlri>>,
    groups: Vec<Group<K::Nlri>>,
    by_route: BTreeMap<(*const Route, AfiSafi), Option<usize>>,
    by_bytes: BTreeMap<(AfiSafi, Option<MpNextHop>, Vec<u8>), usize>,
    /// Bytes that it will come to, at least.
    bytes: usize,
}

impl AdjOut {
    pub fn new(now: Instant) -> AdjOut {
        AdjOut {
            prefixes: Queue::default(),
            evpn: Queue::default(),
            told: false,
            waits_since: Some(now),
            announced: FamilyCounts::default(),
        }
    }

    /// All that was put in until now is the first telling of these families: End-of-RIB follows.
    pub fn mark_first_telling(&mut self, families: impl Iterator<Item = AfiSafi>) {
        for family in families {
            if Prefix::holds(family) {
                self.prefixes.mark_end(Mark::EndOfRib(family));
            } else {
                self.evpn.mark_end(Mark::EndOfRib(family));
            }
        }
    }

    pub fn waiting(&self) -> usize {
        self.prefixes.keys.len() + self.evpn.keys.len()
    }

    pub fn has_more(&self) -> bool {
        self.prefixes.has_more() || self.evpn.has_more()
    }

    /// Appends UPDATEs until `budget` bytes are exceeded or nothing is left; returns their number and
    /// whether something is left.
    pub fn poll(
        &mut self,
        telling: &Telling<'_>,
        ribs: Ribs<'_>,
        budget: usize,
        out: &mut Vec<u8>,
        notices: &mut Vec<Notice>,
    ) -> (u64, bool) {
        let start = out.len();
        let mut messages = 0;
        while out.len() - start < budget && self.has_more() {
            let room = budget - (out.len() - start);
            // Neither waits until the other is at its end.
            let both = self.prefixes.has_more() && self.evpn.has_more();
            let room = if both { room.div_ceil(2) } else { room };
            let announced = &mut self.announced;
            messages += self.prefixes.tell(telling, ribs.prefixes, room, announced, out, notices);
            messages += self.evpn.tell(telling, ribs.evpn, room, announced, out, notices);
        }
        (messages, self.has_more())
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Queue<K> {
        Queue { keys: VecDeque::new(), taken: 0, marks: VecDeque::new() }
    }
}

impl<K: Key> Queue<K> {
    fn has_more(&self) -> bool {
        !self.keys.is_empty() || !self.marks.is_empty()
    }

    /// To be said behind all that waits now.
    fn mark_end(&mut self, mark: Mark) {
        self.marks.push_back((self.taken + self.keys.len() as u64, mark));
    }

    /// The family is about to be put in whole, for a neighbour that wants to know where that begins and
    /// ends: returns whether it may. While the first telling goes on, it is told nothing of the kind
    /// (RFC 7313 4.2).
    pub fn begin_refresh(&mut self, family: AfiSafi) -> bool {
        if self.marks.iter().any(|&(_, mark)| mark == Mark::EndOfRib(family)) {
            return false;
        }
        // One that is under way begins anew.
        self.marks
            .retain(|&(_, mark)| mark != Mark::BeginRefresh(family) && mark != Mark::EndRefresh(family));
        self.marks.push_front((self.taken, Mark::BeginRefresh(family)));
        true
    }

    pub fn end_refresh(&mut self, family: AfiSafi) {
        self.mark_end(Mark::EndRefresh(family));
    }

    fn due(&self) -> Option<Mark> {
        self.marks.front().filter(|(at, _)| *at <= self.taken).map(|&(_, mark)| mark)
    }

    /// Puts a destination in the queue unless it is there.
    pub fn enqueue(&mut self, slot: Slot, key: &K, destination: &mut Destination) {
        if destination.pending.insert(slot) {
            self.keys.push_back(key.clone());
        }
    }

    /// Appends about `room` bytes of UPDATEs, and marks when their turn has come; returns the number of
    /// UPDATEs.
    fn tell(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib<K>,
        room: usize,
        announced: &mut FamilyCounts,
        out: &mut Vec<u8>,
        notices: &mut Vec<Notice>,
    ) -> u64 {
        let mut batch = Batch::default();
        while batch.bytes < room && self.due().is_none() {
            let Some(key) = self.keys.pop_front() else { break };
            self.taken += 1;
            batch.take(telling, rib, &key, announced, notices);
        }
        let mut messages = batch.emit(telling, out);
        while let Some(mark) = self.due() {
            self.marks.pop_front();
            match mark {
                Mark::EndOfRib(family) => {
                    Update::emit_end_of_rib(family, out);
                    messages += 1;
                }
                Mark::BeginRefresh(family) => family.emit_refresh(Refresh::Begin, out),
                Mark::EndRefresh(family) => family.emit_refresh(Refresh::End, out),
            }
        }
        messages
    }
}

/// The route that the neighbour should hear of: always the best, or none.
pub(super) fn outgoing<K: Key>(
    telling: &Telling<'_>,
    key: &K,
    destination: &Destination,
) -> Result<Option<Arc<Route>>, ExportRefusal> {
    let Some(best) = destination.best() else { return Ok(None) };
    if best.slot == telling.slot {
        return Err(ExportRefusal::BackToSource);
    }
    key.export_check(telling, &best.route)?;
    Ok(Some(best.route.clone()))
}

impl<K: Key> Default for Batch<K> {
    fn default() -> Batch<K> {
        Batch {
            withdrawn: BTreeMap::new(),
            groups: Vec::new(),
            by_route: BTreeMap::new(),
            by_bytes: BTreeMap::new(),
            bytes: 0,
        }
    }
}

impl<K: Key> Batch<K> {
    /// What the neighbour must hear of one destination.
    fn take(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib<K>,
        key: &K,
        announced: &mut FamilyCounts,
        notices: &mut Vec<Notice>,
    ) {
        let slot = telling.slot;
        let Some(destination) = rib.get_mut(key) else { return };
        destination.pending.remove(slot);
        let route = outgoing(telling, key, destination).ok().flatten();
        let group = route.as_ref().and_then(|route| {
            let group = self.group(telling, key, route);
            if group.is_none() {
                notices.push(key.too_large(telling.neighbour.name.clone()));
            }
            group
        });
        let count = key.count(announced);
        match group {
            Some(group) => {
                let nlri = key.nlri(route.as_deref());
                self.bytes += nlri.wire_len();
                self.groups[group].routes.push(nlri);
                *count += u32::from(destination.announced.insert(slot));
            }
            None => {
                if destination.announced.remove(slot) {
                    *count = count.saturating_sub(1);
                    let nlri = key.nlri(None);
                    self.bytes += nlri.wire_len();
                    self.withdrawn.entry(key.family()).or_default().push(nlri);
                }
                rib.tidy(key);
            }
        }
    }

    /// The group that a route belongs to; `None` if its attributes are too large for any message.
    fn group(&mut self, telling: &Telling<'_>, key: &K, route: &Arc<Route>) -> Option<usize> {
        let family = key.family();
        let known = (Arc::as_ptr(route), family);
        if let Some(known) = self.by_route.get(&known) {
            return *known;
        }
        let form = key.form(telling, route);
        let mut shared = Vec::new();
        export_attributes(telling.config, telling.neighbour, route).emit(
            telling.negotiated.context.four_octet,
            form.classic,
            &mut shared,
        );
        let longest = telling.negotiated.context.message_max();
        let fits = room_for_routes(longest, shared.len(), form.mp, family).is_some();
        let group = fits.then(|| {
            let next = self.groups.len();
            let at = *self.by_bytes.entry((family, form.mp, shared.clone())).or_insert(next);
            if at == next {
                self.bytes += shared.len() + 60;
                self.groups.push(Group { shared, form, routes: Vec::new() });
            }
            at
        });
        self.by_route.insert(known, group);
        group
    }

    fn emit(self, telling: &Telling<'_>, out: &mut Vec<u8>) -> u64 {
        let longest = telling.negotiated.context.message_max();
        let mut messages = 0;
        for (family, routes) in &self.withdrawn {
            let classic = telling.local.is_ipv4() && *family == AfiSafi::IPV4_UNICAST;
            messages += withdraw(longest, classic, routes, out);
        }
        for group in &self.groups {
            // That it fits was seen when the group was made.
            messages += announce(longest, &group.shared, group.form.mp, &group.routes, out).unwrap_or(0);
        }
        u64::from(messages)
    }
}

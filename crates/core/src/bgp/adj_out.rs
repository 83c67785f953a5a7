//! What a neighbour is still to be told (the queue of its Adj-RIB-Out), and how it is packed: one
//! set of attributes with as many routes as a message holds.

use super::add_path::{ToldPaths, outgoing_paths};
use super::config::{NeighbourConfig, SpeakerConfig};
use super::key::Key;
use super::notice::Notice;
use super::policy::{ExportRefusal, Policy, Tables, export_attributes};
use super::rib::{Destination, Rib, Route};
use super::session::Negotiated;
use super::slab::Place;
use super::slots::{Ear, Slot};
use super::status::FamilyCounts;
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::{
    AfiSafi, EvpnRoute, MpNextHop, Nlri, Refresh, Update, announce, room_for_routes, withdraw,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::{IpAddr, Ipv4Addr};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

/// So many destinations are looked at together and packed by what they carry: the more, the fewer
/// messages; but nobody else has a turn meanwhile (some milliseconds).
const TOGETHER: usize = 16_384;

#[derive(Debug)]
pub(super) struct AdjOut {
    pub prefixes: Queue<Prefix>,
    pub evpn: Queue<EvpnRoute>,
    /// The session's in what destinations remember.
    pub ear: Ear,
    /// The shell has been told that something waits and has not yet come to the end of it.
    pub told: bool,
    /// Since when something waits without the shell having asked (RFC 9687).
    pub waits_since: Option<Instant>,
    pub announced: FamilyCounts,
}

/// What waits of one table.
#[derive(Debug)]
pub(super) struct Queue<K: Key> {
    /// Each at most once: a destination knows whose queues it is in.
    places: VecDeque<Place>,
    /// How many were taken out since the session came to stand.
    taken: u64,
    /// What was taken out, packed, and has not left.
    packed: VecDeque<Group<K::Nlri>>,
    /// What is to be said besides routes, each once so many were taken out and have left, in this order.
    marks: VecDeque<(u64, Mark)>,
    /// Of a neighbour that is told several paths.
    pub paths: ToldPaths,
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
    /// Of a neighbour outside.
    pub policy: Option<&'a Policy>,
    pub negotiated: &'a Negotiated,
    pub local: IpAddr,
    pub slot: Slot,
}

impl Telling<'_> {
    /// How many paths to a prefix the neighbour is told at most, if it is told more than the best (RFC 7911).
    pub fn paths(&self, family: AfiSafi) -> Option<u8> {
        self.neighbour.terms.add_paths.send.filter(|_| self.negotiated.tells_paths.of(family))
    }
}

/// What a session has heard.
struct Heard<'a> {
    ear: Ear,
    announced: &'a mut FamilyCounts,
}

/// How a route travels on this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Form {
    /// NEXT_HOP, for the classic fields.
    pub classic: Option<Ipv4Addr>,
    /// Else the next hop in MP_REACH_NLRI.
    pub mp: Option<MpNextHop>,
}

/// Routes of one family that are announced with one set of attributes, or withdrawn.
#[derive(Debug)]
struct Group<N> {
    family: AfiSafi,
    /// `None`: withdrawn.
    shared: Option<(Vec<u8>, Form)>,
    routes: Vec<N>,
}

/// Groups in the making.
struct Batch<K: Key> {
    withdrawn: BTreeMap<AfiSafi, Vec<K::Nlri>>,
    groups: Vec<Group<K::Nlri>>,
    by_route: HashMap<(*const Route, AfiSafi), Option<usize>>,
    /// Groups by what they say: two routes here may be one there.
    by_bytes: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl AdjOut {
    pub fn new(now: Instant, ear: Ear) -> AdjOut {
        AdjOut {
            ear,
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
        self.prefixes.waiting() + self.evpn.waiting()
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
            let heard = &mut Heard { ear: self.ear, announced: &mut self.announced };
            messages += self.prefixes.tell(telling, ribs.prefixes, room, heard, out, notices);
            messages += self.evpn.tell(telling, ribs.evpn, room, heard, out, notices);
        }
        (messages, self.has_more())
    }
}

impl<K: Key> Default for Queue<K> {
    fn default() -> Queue<K> {
        Queue {
            places: VecDeque::new(),
            taken: 0,
            packed: VecDeque::new(),
            marks: VecDeque::new(),
            paths: ToldPaths::default(),
        }
    }
}

impl<K: Key> Queue<K> {
    fn has_more(&self) -> bool {
        !self.places.is_empty() || !self.packed.is_empty() || !self.marks.is_empty()
    }

    fn waiting(&self) -> usize {
        self.places.len() + self.packed.iter().map(|group| group.routes.len()).sum::<usize>()
    }

    /// To be said behind all that waits now.
    fn mark_end(&mut self, mark: Mark) {
        self.marks.push_back((self.taken + self.places.len() as u64, mark));
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
    pub fn enqueue(&mut self, ear: Ear, place: Place, destination: &mut Destination) {
        if destination.pending.insert(ear) {
            self.places.push_back(place);
        }
    }

    /// Appends about `room` bytes of UPDATEs, and marks when their turn has come; returns the number of
    /// UPDATEs.
    fn tell(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib<K>,
        room: usize,
        heard: &mut Heard<'_>,
        out: &mut Vec<u8>,
        notices: &mut Vec<Notice>,
    ) -> u64 {
        let start = out.len();
        let mut messages = 0;
        while out.len() - start < room {
            if self.packed.is_empty() {
                messages += self.say_marks(out);
                self.pack(telling, rib, heard, notices);
            }
            let Some(mut group) = self.packed.pop_front() else { break };
            messages += group.emit(telling, room - (out.len() - start), out);
            if !group.routes.is_empty() {
                self.packed.push_front(group);
            }
        }
        if self.packed.is_empty() {
            messages += self.say_marks(out);
            if self.places.is_empty() {
                (self.places, self.packed) = (VecDeque::new(), VecDeque::new());
            }
        }
        messages
    }

    fn say_marks(&mut self, out: &mut Vec<u8>) -> u64 {
        let mut messages = 0;
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

    /// Takes out what may be told together, up to the next mark, and packs it. What changes from now on is
    /// told behind it.
    fn pack(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib<K>,
        heard: &mut Heard<'_>,
        notices: &mut Vec<Notice>,
    ) {
        let mut batch = Batch::default();
        let mut looked = 0;
        while looked < TOGETHER && self.due().is_none() {
            let Some(place) = self.places.pop_front() else { break };
            self.taken += 1;
            looked += batch.take(telling, rib, place, &mut self.paths, heard, notices);
        }
        let withdrawn = batch.withdrawn.into_iter();
        self.packed.extend(withdrawn.map(|(family, routes)| Group { family, shared: None, routes }));
        self.packed.extend(batch.groups);
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
            by_route: HashMap::default(),
            by_bytes: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<K: Key> Batch<K> {
    /// What the neighbour must hear of one destination; returns how many routes were looked at.
    fn take(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib<K>,
        place: Place,
        paths: &mut ToldPaths,
        heard: &mut Heard<'_>,
        notices: &mut Vec<Notice>,
    ) -> usize {
        let Some((key, destination)) = rib.at_mut(place) else { return 1 };
        destination.pending.remove(heard.ear);
        if let Some(most) = telling.paths(key.family()) {
            return self.take_paths(telling, rib, place, most, paths, heard, notices);
        }
        let route = outgoing(telling, key, destination).ok().flatten();
        let group = route.as_ref().and_then(|route| {
            let group = self.group(telling, key, route);
            if group.is_none() {
                notices.push(key.too_large(telling.neighbour.name.clone()));
            }
            group
        });
        let count = key.count(heard.announced);
        match group {
            Some(group) => {
                self.groups[group].routes.push(key.nlri(None, route.as_deref()));
                *count += u32::from(destination.announced.insert(heard.ear));
            }
            None => {
                if destination.announced.remove(heard.ear) {
                    *count = count.saturating_sub(1);
                    self.withdrawn.entry(key.family()).or_default().push(key.nlri(None, None));
                }
                rib.tidy(place);
            }
        }
        1
    }

    /// The same for a neighbour that is told several paths: of those only what has changed.
    #[expect(clippy::too_many_arguments, reason = "all of them are what `take` was given")]
    fn take_paths(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib<K>,
        place: Place,
        most: u8,
        paths: &mut ToldPaths,
        heard: &mut Heard<'_>,
        notices: &mut Vec<Notice>,
    ) -> usize {
        let Some((key, destination)) = rib.at_mut(place) else { return 1 };
        let mut wanted = outgoing_paths(telling, key, destination, most);
        wanted.retain(|(_, route)| {
            let fits = self.group(telling, key, route).is_some();
            if !fits {
                notices.push(key.too_large(telling.neighbour.name.clone()));
            }
            fits
        });
        let next = paths.change(place, wanted);
        for (id, route) in &next.announced {
            // That there is one was seen above.
            if let Some(group) = self.group(telling, key, route) {
                self.groups[group].routes.push(key.nlri(Some(*id), Some(route)));
            }
        }
        if !next.withdrawn.is_empty() {
            let withdrawn = self.withdrawn.entry(key.family()).or_default();
            withdrawn.extend(next.withdrawn.iter().map(|id| key.nlri(Some(*id), None)));
        }
        let (now, before) = next.counts;
        let count = key.count(heard.announced);
        *count = count.saturating_sub(before as u32).saturating_add(now as u32);
        if now > 0 {
            destination.announced.insert(heard.ear);
        } else {
            destination.announced.remove(heard.ear);
            rib.tidy(place);
        }
        now.max(before).max(1)
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
        export_attributes(telling.config, telling.neighbour, telling.policy, route).emit(
            telling.negotiated.context.four_octet,
            form.classic,
            &mut shared,
        );
        let longest = telling.negotiated.context.message_max();
        let path_ids = telling.paths(family).is_some();
        let fits = room_for_routes(longest, shared.len(), form.mp, family, path_ids).is_some();
        let group =
            fits.then(|| self.group_of(Group { family, shared: Some((shared, form)), routes: Vec::new() }));
        self.by_route.insert(known, group);
        group
    }

    /// The group that says the same as this one, or this one.
    fn group_of(&mut self, new: Group<K::Nlri>) -> usize {
        let Batch { groups, by_bytes, hasher, .. } = self;
        let said = |it: &Group<K::Nlri>| hasher.hash_one((it.family, &it.shared));
        let same = |&at: &usize| (groups[at].family, &groups[at].shared) == (new.family, &new.shared);
        let hash = said(&new);
        if let Some(&at) = by_bytes.find(hash, same) {
            return at;
        }
        let at = groups.len();
        groups.push(new);
        by_bytes.insert_unique(hash, at, |&at| said(&groups[at]));
        at
    }
}

impl<N: Nlri> Group<N> {
    /// Appends about `room` bytes of it, and keeps the rest. Returns the number of messages.
    fn emit(&mut self, telling: &Telling<'_>, room: usize, out: &mut Vec<u8>) -> u64 {
        let longest = telling.negotiated.context.message_max();
        let mut bytes = 0;
        let fits = |route: &&N| {
            bytes += route.wire_len();
            bytes <= room
        };
        let count = self.routes.iter().rev().take_while(fits).count().max(1);
        let routes = self.routes.split_off(self.routes.len().saturating_sub(count));
        u64::from(match &self.shared {
            // That it fits was seen when the group was made.
            Some((shared, form)) => announce(longest, shared, form.mp, &routes, out).unwrap_or(0),
            None => {
                let classic = telling.local.is_ipv4() && self.family == AfiSafi::IPV4_UNICAST;
                withdraw(longest, classic, &routes, out)
            }
        })
    }
}

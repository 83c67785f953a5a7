//! What a neighbour is still to be told (the queue of its Adj-RIB-Out), and how it is packed: one
//! set of attributes with as many prefixes as a message holds.

use super::config::{NeighbourConfig, SpeakerConfig};
use super::notice::Notice;
use super::policy::{ExportRefusal, Tables, export_attributes, export_check};
use super::rib::{Destination, Rib, Route};
use super::session::Negotiated;
use super::slots::Slot;
use super::status::FamilyCounts;
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::{AfiSafi, MpNextHop, Update, announce, room_for_routes, withdraw};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

#[derive(Debug)]
pub(super) struct AdjOut {
    /// Each prefix at most once: a destination knows whose queues it is in.
    queue: VecDeque<Prefix>,
    /// So many of the queue's first belong to the first telling; then End-of-RIB goes out.
    first_telling: usize,
    end_of_rib_due: bool,
    /// The shell has been told that something waits and has not yet come to the end of it.
    pub told: bool,
    /// Since when something waits without the shell having asked (RFC 9687).
    pub waits_since: Option<Instant>,
    pub announced: FamilyCounts,
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

/// How the routes of one family travel on this session.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// NEXT_HOP, for the classic fields.
    classic: Option<Ipv4Addr>,
    /// Else the next hop in MP_REACH_NLRI.
    mp: Option<MpNextHop>,
}

/// Prefixes that share one set of attributes.
struct Group {
    shared: Vec<u8>,
    form: Form,
    prefixes: Vec<Prefix>,
}

#[derive(Default)]
struct Batch {
    withdrawn_v4: Vec<Prefix>,
    withdrawn_v6: Vec<Prefix>,
    groups: Vec<Group>,
    by_route: BTreeMap<(*const Route, AfiSafi), Option<usize>>,
    by_bytes: BTreeMap<(AfiSafi, Vec<u8>), usize>,
    /// Bytes that it will come to, at least.
    bytes: usize,
}

impl AdjOut {
    pub fn new(now: Instant) -> AdjOut {
        AdjOut {
            queue: VecDeque::new(),
            first_telling: 0,
            end_of_rib_due: true,
            told: false,
            waits_since: Some(now),
            announced: FamilyCounts::default(),
        }
    }

    /// All that was put in until now is the first telling.
    pub fn mark_first_telling(&mut self) {
        self.first_telling = self.queue.len();
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.end_of_rib_due
    }

    /// Puts a prefix in the queue unless it is there.
    pub fn enqueue(&mut self, slot: Slot, prefix: Prefix, destination: &mut Destination) {
        if destination.pending.insert(slot) {
            self.queue.push_back(prefix);
        }
    }

    /// Appends UPDATEs until `budget` bytes are exceeded or nothing is left; returns their number and
    /// whether something is left.
    pub fn poll(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib,
        budget: usize,
        out: &mut Vec<u8>,
        notices: &mut Vec<Notice>,
    ) -> (u64, bool) {
        let start = out.len();
        let mut messages = 0;
        while out.len() - start < budget && self.has_more() {
            let room = budget - (out.len() - start);
            let mut batch = Batch::default();
            while batch.bytes < room && !(self.end_of_rib_due && self.first_telling == 0) {
                let Some(prefix) = self.queue.pop_front() else { break };
                self.first_telling = self.first_telling.saturating_sub(1);
                self.take(telling, rib, prefix, &mut batch, notices);
            }
            messages += batch.emit(telling, out);
            if self.end_of_rib_due && self.first_telling == 0 {
                self.end_of_rib_due = false;
                for &family in &telling.negotiated.families {
                    Update::emit_end_of_rib(family.into(), out);
                    messages += 1;
                }
            }
        }
        (messages, self.has_more())
    }

    fn take(
        &mut self,
        telling: &Telling<'_>,
        rib: &mut Rib,
        prefix: Prefix,
        batch: &mut Batch,
        notices: &mut Vec<Notice>,
    ) {
        let slot = telling.slot;
        let Some(destination) = rib.get_mut(&prefix) else { return };
        destination.pending.remove(slot);
        let route = outgoing(telling, &prefix, destination).ok().flatten();
        let group = route.and_then(|route| {
            let group = batch.group(telling, &prefix, &route);
            if group.is_none() {
                notices.push(Notice::TooLarge { neighbour: telling.neighbour.name.clone(), prefix });
            }
            group
        });
        let count = self.announced.of_mut(&prefix);
        match group {
            Some(group) => {
                batch.groups[group].prefixes.push(prefix);
                batch.bytes += 5;
                *count += u32::from(destination.announced.insert(slot));
            }
            None if destination.announced.remove(slot) => {
                *count = count.saturating_sub(1);
                batch.bytes += 5;
                match prefix {
                    Prefix::V4(_) => batch.withdrawn_v4.push(prefix),
                    Prefix::V6(_) => batch.withdrawn_v6.push(prefix),
                }
                rib.tidy(&prefix);
            }
            None => rib.tidy(&prefix),
        }
    }
}

/// The route that the neighbour should hear of: always the best, or none.
fn outgoing(
    telling: &Telling<'_>,
    prefix: &Prefix,
    destination: &Destination,
) -> Result<Option<Arc<Route>>, ExportRefusal> {
    let Some(best) = destination.best() else { return Ok(None) };
    if best.slot == telling.slot {
        return Err(ExportRefusal::BackToSource);
    }
    export_check(telling.tables, telling.neighbour, prefix, &best.route)?;
    Ok(Some(best.route.clone()))
}

impl Telling<'_> {
    fn form(&self, family: AfiSafi) -> Form {
        match self.local {
            IpAddr::V4(local) if family == AfiSafi::IPV4_UNICAST => Form { classic: Some(local), mp: None },
            IpAddr::V4(local) => Form { classic: None, mp: Some(MpNextHop::V4(local)) },
            IpAddr::V6(local) => Form { classic: None, mp: Some(MpNextHop::V6(local)) },
        }
    }
}

impl Batch {
    /// The group that a route belongs to; `None` if its attributes are too large for any message.
    fn group(&mut self, telling: &Telling<'_>, prefix: &Prefix, route: &Arc<Route>) -> Option<usize> {
        let family = AfiSafi::of(prefix);
        let key = (Arc::as_ptr(route), family);
        if let Some(known) = self.by_route.get(&key) {
            return *known;
        }
        let form = telling.form(family);
        let mut shared = Vec::new();
        export_attributes(telling.config, telling.neighbour, route).emit(
            telling.negotiated.context.four_octet,
            form.classic,
            &mut shared,
        );
        let fits = room_for_routes(shared.len(), form.mp, family).is_some();
        let group = fits.then(|| {
            let next = self.groups.len();
            let at = *self.by_bytes.entry((family, shared.clone())).or_insert(next);
            if at == next {
                self.bytes += shared.len() + 60;
                self.groups.push(Group { shared, form, prefixes: Vec::new() });
            }
            at
        });
        self.by_route.insert(key, group);
        group
    }

    fn emit(self, telling: &Telling<'_>, out: &mut Vec<u8>) -> u64 {
        let classic = telling.local.is_ipv4();
        let mut messages =
            withdraw(classic, &self.withdrawn_v4, out) + withdraw(false, &self.withdrawn_v6, out);
        for group in &self.groups {
            // That it fits was seen when the group was made.
            messages += announce(&group.shared, group.form.mp, &group.prefixes, out).unwrap_or(0);
        }
        u64::from(messages)
    }
}

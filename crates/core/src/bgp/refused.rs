//! The routes that a neighbour announces and that we do not take, each with its reason: for people to
//! see, and to be judged again when the policy changes. Bounded: a neighbour that leaks a whole table
//! fills it and is counted from then on.

use super::by_path::{ByPath, PathOf};
use super::notice::{ImportRefusal, Notice};
use super::status::{FamilyCounts, Refused};
use super::told::Told;
use crate::id::Prefix;
use crate::wire::bgp::AfiSafi;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// At most so many are kept: some 8 MB.
const KEPT: usize = 65_536;
/// Of a neighbour that cannot be asked again (RFC 2918): a full table of both families, some 128 MB.
const KEPT_FOR_GOOD: usize = 1 << 20;
/// The log hears of so many in a session, and the status lists as many.
const SAID: usize = 256;

#[derive(Debug, Clone)]
struct Entry {
    reason: ImportRefusal,
    /// What the neighbour said; `None`: it could not be read (RFC 7606).
    told: Option<Arc<Told>>,
    /// Of an earlier telling: gone at the end of this one, unless it is told again.
    stale: bool,
}

#[derive(Debug)]
pub(super) struct RefusedList {
    room: usize,
    routes: ByPath<Entry>,
    counts: FamilyCounts,
    count: u64,
    said: usize,
    /// Refusals that found no room since the last telling of everything began.
    beyond: u64,
}

impl Default for RefusedList {
    fn default() -> RefusedList {
        RefusedList {
            room: KEPT,
            routes: ByPath::default(),
            counts: FamilyCounts::default(),
            count: 0,
            said: 0,
            beyond: 0,
        }
    }
}

impl RefusedList {
    /// Of a new session. `refreshes`: the neighbour can be asked to tell everything again.
    pub fn of(refreshes: bool) -> RefusedList {
        RefusedList { room: if refreshes { KEPT } else { KEPT_FOR_GOOD }, ..RefusedList::default() }
    }

    /// Notes a refusal; what the log should hear of it, if anything.
    pub fn add(
        &mut self,
        neighbour: &str,
        path: PathOf,
        reason: ImportRefusal,
        told: Option<Arc<Told>>,
    ) -> Option<Notice> {
        let full = self.routes.len() >= self.room;
        let (prefix, _) = path;
        let new = match self.routes.get_mut(&path) {
            Some(entry) => {
                entry.stale = false;
                entry.told = told;
                if core::mem::replace(&mut entry.reason, reason) == reason {
                    return None;
                }
                false
            }
            None if full => {
                self.beyond += 1;
                false
            }
            None => {
                self.routes.insert(path, Entry { reason, told, stale: false });
                true
            }
        };
        *count_of(&mut self.counts, &prefix) += u32::from(new);
        self.count += 1;
        self.said += 1;
        let listed = SAID as u32;
        match self.said {
            ..=SAID => Some(Notice::Refused { neighbour: neighbour.into(), prefix, reason }),
            said if said == SAID + 1 => Some(Notice::RefusedListFull { neighbour: neighbour.into(), listed }),
            _ => None,
        }
    }

    /// The neighbour no longer announces it, or we take it now.
    pub fn remove(&mut self, path: &PathOf) {
        if self.routes.remove(path).is_some() {
            *count_of(&mut self.counts, &path.0) -= 1;
        }
    }

    /// All of a family is of an earlier telling from now on.
    pub fn mark_stale(&mut self, family: AfiSafi) {
        self.beyond = 0;
        for (_, entry) in self.routes.iter_mut().filter(|(prefix, _)| AfiSafi::of(prefix) == family) {
            entry.stale = true;
        }
    }

    /// Forgets what of a family was not told again.
    pub fn sweep(&mut self, family: AfiSafi) {
        let counts = &mut self.counts;
        self.routes.retain(|prefix, entry| {
            let stays = AfiSafi::of(prefix) != family || !entry.stale;
            *count_of(counts, prefix) -= u32::from(!stays);
            stays
        });
    }

    /// Refusals since the session came to stand.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What is refused now, as far as it is kept.
    pub fn counts(&self) -> FamilyCounts {
        self.counts
    }

    /// Refusals of which nothing is kept.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The first of them.
    pub fn list(&self) -> Vec<Refused> {
        self.keys_after(None).flat_map(|prefix| self.of_prefix(prefix)).take(SAID).collect()
    }

    /// What is refused of one prefix.
    pub fn of_prefix(&self, prefix: Prefix) -> impl Iterator<Item = Refused> + use<'_> {
        self.routes.of(&prefix).map(move |(id, entry)| entry.status((prefix, id)))
    }

    pub fn ids_of<'a>(&'a self, prefix: &Prefix) -> impl Iterator<Item = u32> + use<'a> {
        self.routes.ids_of(prefix)
    }

    pub fn told(&self, path: &PathOf) -> Option<&Arc<Told>> {
        self.routes.get(path)?.told.as_ref()
    }

    /// Those that hold all of a prefix, the shortest first.
    pub fn covering(&self, prefix: &Prefix) -> Vec<Refused> {
        self.routes.covering(prefix).into_iter().map(|(path, entry)| entry.status(path)).collect()
    }

    /// In the order of the table, those behind `after`.
    pub fn keys_after<'a>(&'a self, after: Option<&Prefix>) -> impl Iterator<Item = Prefix> + use<'a> {
        self.routes.keys_after(after)
    }
}

impl Entry {
    fn status(&self, (prefix, id): PathOf) -> Refused {
        let as_path = self.told.as_ref().map(|told| told.attributes.as_path.to_string());
        let path_id = (id != 0).then_some(id);
        Refused { prefix, path_id, reason: self.reason, as_path, payloads: Vec::new() }
    }
}

fn count_of<'a>(counts: &'a mut FamilyCounts, prefix: &Prefix) -> &'a mut u32 {
    match prefix {
        Prefix::V4(_) => &mut counts.ipv4,
        Prefix::V6(_) => &mut counts.ipv6,
    }
}

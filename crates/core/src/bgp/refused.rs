//! The routes that a neighbour announces and that we do not take, for people to see. Bounded: a
//! neighbour that leaks a whole table fills the list and is counted from then on.

use super::notice::{ImportRefusal, Notice};
use super::status::Refused;
use crate::id::Prefix;
use crate::wire::bgp::AfiSafi;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// At most so many are listed.
const LISTED: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Entry {
    reason: ImportRefusal,
    /// Of an earlier telling: gone at the end of this one, unless it is told again.
    stale: bool,
}

#[derive(Debug, Default)]
pub(super) struct RefusedList {
    routes: BTreeMap<Prefix, Entry>,
    count: u64,
    full_said: bool,
}

impl RefusedList {
    /// Notes a refusal; what the log should hear of it, if anything.
    pub fn add(&mut self, neighbour: &str, prefix: Prefix, reason: ImportRefusal) -> Option<Notice> {
        let known = self.routes.get_mut(&prefix);
        let is_known = known.is_some();
        if let Some(entry) = known {
            entry.stale = false;
            if entry.reason == reason {
                return None;
            }
        }
        self.count += 1;
        if !is_known && self.routes.len() >= LISTED {
            let first = !core::mem::replace(&mut self.full_said, true);
            let listed = LISTED as u32;
            return first.then(|| Notice::RefusedListFull { neighbour: neighbour.into(), listed });
        }
        self.routes.insert(prefix, Entry { reason, stale: false });
        Some(Notice::Refused { neighbour: neighbour.into(), prefix, reason })
    }

    /// The neighbour no longer announces it, or we take it now.
    pub fn remove(&mut self, prefix: &Prefix) {
        self.routes.remove(prefix);
    }

    /// All of a family is of an earlier telling from now on.
    pub fn mark_stale(&mut self, family: AfiSafi) {
        for (_, entry) in self.routes.iter_mut().filter(|(prefix, _)| AfiSafi::of(prefix) == family) {
            entry.stale = true;
        }
    }

    /// Forgets what of a family was not told again.
    pub fn sweep(&mut self, family: AfiSafi) {
        self.routes.retain(|prefix, entry| AfiSafi::of(prefix) != family || !entry.stale);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn list(&self) -> Vec<Refused> {
        self.routes
            .iter()
            .map(|(&prefix, entry)| Refused { prefix, reason: entry.reason, payloads: Vec::new() })
            .collect()
    }
}

//! The routes that a neighbour announces and that we do not take, for people to see. Bounded: a
//! neighbour that leaks a whole table fills the list and is counted from then on.

use super::notice::{ImportRefusal, Notice};
use super::status::Refused;
use crate::id::Prefix;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// At most so many are listed.
const LISTED: usize = 256;

#[derive(Debug, Default)]
pub(super) struct RefusedList {
    routes: BTreeMap<Prefix, ImportRefusal>,
    count: u64,
    full_said: bool,
}

impl RefusedList {
    /// Notes a refusal; what the log should hear of it, if anything.
    pub fn add(&mut self, neighbour: &str, prefix: Prefix, reason: ImportRefusal) -> Option<Notice> {
        let known = self.routes.get(&prefix).copied();
        if known == Some(reason) {
            return None;
        }
        self.count += 1;
        if known.is_none() && self.routes.len() >= LISTED {
            let first = !core::mem::replace(&mut self.full_said, true);
            let listed = LISTED as u32;
            return first.then(|| Notice::RefusedListFull { neighbour: neighbour.into(), listed });
        }
        self.routes.insert(prefix, reason);
        Some(Notice::Refused { neighbour: neighbour.into(), prefix, reason })
    }

    /// The neighbour no longer announces it, or we take it now.
    pub fn remove(&mut self, prefix: &Prefix) {
        self.routes.remove(prefix);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn list(&self) -> Vec<Refused> {
        self.routes.iter().map(|(&prefix, &reason)| Refused { prefix, reason }).collect()
    }
}

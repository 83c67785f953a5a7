//! What neighbours outside have told, as they told it: kept where it is needed again, which is of what is
//! refused, and of a neighbour that cannot be asked to tell again (RFC 2918).

use super::rib::Interner;
use crate::id::Prefix;
use crate::wire::bgp::{Attributes, MpNextHop};
use alloc::sync::Arc;
use prefix_trie::joint::JointPrefixMap;

/// What an UPDATE says of its routes, before policy. Shared by all that carry the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Told {
    pub attributes: Attributes,
    pub next_hop: MpNextHop,
}

/// One copy of each.
pub(super) type AllTold = Interner<Told>;

/// The Adj-RIB-In of a neighbour that cannot be asked again: of what is taken from it. What is refused
/// is kept with its reason.
#[derive(Debug, Default)]
pub(super) struct AdjIn {
    routes: JointPrefixMap<Prefix, Arc<Told>>,
}

impl AdjIn {
    pub fn insert(&mut self, prefix: &Prefix, told: Arc<Told>) {
        self.routes.insert(*prefix, told);
    }

    pub fn remove(&mut self, prefix: &Prefix) {
        if !self.routes.is_empty() {
            self.routes.remove(prefix);
        }
    }

    pub fn get(&self, prefix: &Prefix) -> Option<&Arc<Told>> {
        self.routes.get(prefix)
    }
}

//! What neighbours outside have told, as they told it: kept where it is needed again, which is of what is
//! refused, and of a neighbour that cannot be asked to tell again (RFC 2918).

use super::by_path::{ByPath, PathOf};
use super::rib::Interner;
use crate::id::Prefix;
use crate::wire::bgp::{Attributes, MpNextHop};
use alloc::sync::Arc;

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
    routes: ByPath<Arc<Told>>,
}

impl AdjIn {
    pub fn insert(&mut self, path: PathOf, told: Arc<Told>) {
        self.routes.insert(path, told);
    }

    pub fn remove(&mut self, path: &PathOf) {
        self.routes.remove(path);
    }

    pub fn get(&self, path: &PathOf) -> Option<&Arc<Told>> {
        self.routes.get(path)
    }

    /// In the order of the table, those behind `after`.
    pub fn keys_after<'a>(&'a self, after: Option<&Prefix>) -> impl Iterator<Item = Prefix> + use<'a> {
        self.routes.keys_after(after)
    }

    pub fn ids_of<'a>(&'a self, prefix: &Prefix) -> impl Iterator<Item = u32> + use<'a> {
        self.routes.ids_of(prefix)
    }
}

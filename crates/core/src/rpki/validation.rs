//! What is in force: the payloads of one cache with the operator's own exceptions.

use super::aspa::AspaTable;
use super::vrp::VrpTable;
use crate::id::{Asn, Prefix};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Shared, not copied: whoever validates by it holds it until there is another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    pub vrps: Arc<VrpTable>,
    pub aspas: Arc<AspaTable>,
    /// False: nothing is known, since no cache was ever reached or its data has expired. Every route is
    /// then not found, and that says nothing.
    pub present: bool,
}

/// From one validation to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub validation: Validation,
    /// Routes to these prefixes, or within them, may be of another validity.
    pub prefixes: Vec<Prefix>,
    /// Paths that hold one of these may be of another validity; sorted.
    pub asns: Vec<Asn>,
}

impl Validation {
    /// What follows from another in its place; `None`: it is the same.
    pub fn change_to(&self, new: Validation) -> Option<Change> {
        let prefixes = match Arc::ptr_eq(&self.vrps, &new.vrps) {
            true => Vec::new(),
            false => self.vrps.differing(&new.vrps),
        };
        let asns = match Arc::ptr_eq(&self.aspas, &new.aspas) {
            true => Vec::new(),
            false => self.aspas.differing(&new.aspas),
        };
        let nothing = prefixes.is_empty() && asns.is_empty() && self.present == new.present;
        (!nothing).then_some(Change { validation: new, prefixes, asns })
    }
}

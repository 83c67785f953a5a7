//! What was wrong with the attributes of a neighbour's UPDATEs (RFC 7606), by kind. RFC 7606 6 asks for
//! as much: an error that costs no session must not go unseen.

use super::status::AttributeErrorCount;
use crate::wire::bgp::{AttributeError, AttributeFault};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Bounded by the kinds that there are: some hundreds, whatever a neighbour sends.
#[derive(Debug, Default)]
pub(super) struct AttributeErrors {
    /// Since the start, over all sessions.
    counts: BTreeMap<AttributeError, u64>,
    /// What the log has heard of in this session.
    said: BTreeSet<(u8, AttributeFault)>,
}

impl AttributeErrors {
    /// Counts an error. True if it is the first of its attribute and fault in this session.
    pub fn add(&mut self, error: AttributeError) -> bool {
        *self.counts.entry(error).or_default() += 1;
        self.said.insert((error.code, error.fault))
    }

    /// The log may hear of everything again. What was counted stays.
    pub fn new_session(&mut self) {
        self.said.clear();
    }

    pub fn list(&self) -> Vec<AttributeErrorCount> {
        self.counts.iter().map(|(&error, &count)| AttributeErrorCount { error, count }).collect()
    }
}

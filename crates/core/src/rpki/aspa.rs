//! Verification of AS paths by provider authorizations (draft-ietf-sidrops-aspa-verification 5 to 7):
//! a customer signs the list of its providers, and a path that goes up where nobody is a provider, or
//! up again after it went down, is a leak or a forgery.

use crate::id::Asn;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Who sends a path, as seen from us: it decides which of the two procedures applies (6.1, 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// A customer, a lateral peer or a client of a route server: the path must only go up.
    Below,
    /// A provider: the path may go up and then down.
    Above,
}

/// What the authorizations say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "path")]
pub enum PathValidity {
    Valid,
    /// Some of its ASes have signed nothing.
    Unknown,
    /// `customer` has signed who its providers are, and `not_provider`, to which the path goes up from
    /// it, is none of them.
    Invalid {
        customer: Asn,
        not_provider: Asn,
    },
}

/// Customers with their providers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AspaTable {
    /// Providers sorted, each once.
    providers: BTreeMap<Asn, Box<[Asn]>>,
}

/// Whether one AS says that another is its provider (5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Authorized {
    NoAttestation,
    Provider,
    NotProvider,
}

impl AspaTable {
    pub fn len(&self) -> usize {
        self.providers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// A later one about a customer takes the place of the earlier.
    pub fn insert(&mut self, customer: Asn, providers: impl IntoIterator<Item = Asn>) {
        let mut providers: Vec<Asn> = providers.into_iter().collect();
        providers.sort_unstable();
        providers.dedup();
        self.providers.insert(customer, providers.into_boxed_slice());
    }

    /// True if there was one.
    pub fn remove(&mut self, customer: Asn) -> bool {
        self.providers.remove(&customer).is_some()
    }

    pub fn providers_of(&self, customer: Asn) -> Option<&[Asn]> {
        self.providers.get(&customer).map(AsRef::as_ref)
    }

    /// Customers about whom the two tables do not say the same, sorted.
    pub fn differing(&self, other: &AspaTable) -> Vec<Asn> {
        let changed = |of: &AspaTable, than: &AspaTable| -> Vec<Asn> {
            let differs = |customer: &&Asn| of.providers.get(customer) != than.providers.get(customer);
            of.providers.keys().filter(differs).copied().collect()
        };
        let mut all = changed(self, other);
        all.extend(changed(other, self));
        all.sort_unstable();
        all.dedup();
        all
    }

    fn authorized(&self, customer: Asn, provider: Asn) -> Authorized {
        match self.providers_of(customer) {
            None => Authorized::NoAttestation,
            Some(providers) if providers.binary_search(&provider).is_ok() => Authorized::Provider,
            Some(_) => Authorized::NotProvider,
        }
    }

    /// Verifies a path without sets, the nearest AS first.
    pub fn verify(&self, path: &[Asn], side: Side) -> PathValidity {
        // Prepends say nothing, and the numbering of the draft begins at the origin.
        let mut hops: Vec<Asn> = path.iter().rev().copied().collect();
        hops.dedup();
        match side {
            Side::Below => self.verify_upstream(&hops),
            Side::Above => self.verify_downstream(&hops),
        }
    }

    /// 6.1: every step must go up.
    fn verify_upstream(&self, hops: &[Asn]) -> PathValidity {
        let steps = || hops.windows(2).map(|pair| (pair, self.authorized(pair[0], pair[1])));
        if let Some((pair, _)) = steps().find(|(_, found)| *found == Authorized::NotProvider) {
            return PathValidity::Invalid { customer: pair[0], not_provider: pair[1] };
        }
        match steps().all(|(_, found)| found == Authorized::Provider) {
            true => PathValidity::Valid,
            false => PathValidity::Unknown,
        }
    }

    /// 6.2: a ramp up from the origin and a ramp down to us must meet, or at most one step be between them.
    fn verify_downstream(&self, hops: &[Asn]) -> PathValidity {
        let count = hops.len();
        if count <= 2 {
            return PathValidity::Valid;
        }
        // How many ASes the ramp from one end can hold, at most and at least.
        let ramp = |hops: &mut dyn Iterator<Item = (Asn, Asn)>| {
            let (mut most, mut least) = (count, count);
            let mut broken = None;
            for (at, (customer, provider)) in (1..).zip(hops) {
                match self.authorized(customer, provider) {
                    Authorized::Provider => {}
                    Authorized::NoAttestation => least = least.min(at),
                    Authorized::NotProvider => {
                        least = least.min(at);
                        most = at;
                        broken = Some((customer, provider));
                        break;
                    }
                }
            }
            (most, least, broken)
        };
        let (most_up, least_up, broken) = ramp(&mut hops.windows(2).map(|pair| (pair[0], pair[1])));
        let (most_down, least_down, _) = ramp(&mut hops.windows(2).rev().map(|pair| (pair[1], pair[0])));
        if let Some((customer, not_provider)) = broken
            && most_up + most_down < count
        {
            return PathValidity::Invalid { customer, not_provider };
        }
        if least_up + least_down < count { PathValidity::Unknown } else { PathValidity::Valid }
    }
}

impl FromIterator<(Asn, Vec<Asn>)> for AspaTable {
    fn from_iter<I: IntoIterator<Item = (Asn, Vec<Asn>)>>(all: I) -> AspaTable {
        let mut table = AspaTable::default();
        for (customer, providers) in all {
            table.insert(customer, providers);
        }
        table
    }
}

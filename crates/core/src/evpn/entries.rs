//! What the kernel was told, and what it is to be told next.

use crate::desired::BridgeEntry;
use crate::evpn::EntryChange;
use crate::evpn::config::SegmentConfig;
use crate::id::Mac;
use alloc::collections::BTreeMap;
use core::net::IpAddr;

/// What tells entries of one segment apart. In the order in which the kernel gets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Flood(IpAddr),
    Mac(Mac),
    Host(IpAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Flood,
    Mac { vtep: IpAddr, sticky: bool },
    Host(Mac),
}

/// The entry of a key; `None`: the segment has no VXLAN device.
pub(super) fn entry(config: &SegmentConfig, key: Key, value: Value) -> Option<BridgeEntry> {
    let vxlan = || config.stretch.as_ref().map(|stretch| stretch.vxlan.clone());
    Some(match (key, value) {
        (Key::Flood(vtep), Value::Flood) => BridgeEntry::Flood { vxlan: vxlan()?, vtep },
        (Key::Mac(mac), Value::Mac { vtep, sticky }) => {
            BridgeEntry::Mac { vxlan: vxlan()?, mac, vtep, sticky }
        }
        (Key::Host(address), Value::Host(mac)) => {
            BridgeEntry::Host { bridge: config.bridge.clone(), address, mac }
        }
        _ => return None,
    })
}

#[derive(Debug, Default)]
pub(super) struct Entries {
    told: BTreeMap<Key, Value>,
    /// True: to be told even if nothing has changed.
    changed: BTreeMap<Key, bool>,
}

impl Entries {
    /// What is wanted under `key` may be another now.
    pub fn touch(&mut self, key: Key) {
        self.changed.entry(key).or_insert(false);
    }

    /// The kernel may hold something else than it was told.
    pub fn again(&mut self, key: Key) {
        self.changed.insert(key, true);
    }

    pub fn all_again(&mut self) {
        self.changed.extend(self.told.keys().map(|key| (*key, true)));
    }

    /// For tables that are made anew: whatever was told may be wanted no longer.
    pub fn all_in_question(&mut self) {
        self.told.keys().for_each(|key| {
            self.changed.entry(*key).or_insert(false);
        });
    }

    pub fn is_waiting(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The next change, if it is one; `wanted` says what a key should hold.
    pub fn pop(
        &mut self,
        config: &SegmentConfig,
        wanted: impl Fn(Key) -> Option<Value>,
    ) -> Option<EntryChange> {
        while let Some((key, force)) = self.changed.pop_first() {
            let want = wanted(key);
            let told = match want {
                Some(value) => self.told.insert(key, value),
                None => self.told.remove(&key),
            };
            if want == told && !(force && want.is_some()) {
                continue;
            }
            let change = want.or(told).and_then(|value| entry(config, key, value));
            if let Some(entry) = change {
                return Some(EntryChange { entry, present: want.is_some() });
            }
        }
        None
    }

    /// Takes back all that was told.
    pub fn leave(&mut self, config: &SegmentConfig) -> impl Iterator<Item = EntryChange> {
        self.changed.clear();
        let told = core::mem::take(&mut self.told);
        told.into_iter()
            .filter_map(|(key, value)| entry(config, key, value))
            .map(|entry| EntryChange { entry, present: false })
    }
}

//! The interfaces of the fabric: which are there and carry something.

use crate::kernel::LinkInfo;
use std::collections::BTreeMap;
use tsumugi_core::id::IfName;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState {
    pub index: u32,
    /// Administratively up, and with carrier.
    pub up: bool,
}

#[derive(Debug, Default)]
pub struct Links {
    by_name: BTreeMap<IfName, LinkState>,
}

/// What one look at the kernel has shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LinkChanges {
    pub down: Vec<IfName>,
    pub up: Vec<IfName>,
}

impl Links {
    /// Takes what the kernel holds now. An interface that was made anew since the last look (same
    /// name, other index) has gone down and come up.
    pub fn replace(&mut self, found: &[LinkInfo]) -> LinkChanges {
        let found: BTreeMap<_, _> = found
            .iter()
            .filter(|link| !link.loopback)
            .map(|link| (link.name.clone(), LinkState { index: link.index, up: link.up && link.carrier }))
            .collect();
        let mut changes = LinkChanges::default();
        for (name, old) in &self.by_name {
            if old.up && found.get(name) != Some(old) {
                changes.down.push(name.clone());
            }
        }
        for (name, new) in &found {
            if new.up && self.by_name.get(name) != Some(new) {
                changes.up.push(name.clone());
            }
        }
        self.by_name = found;
        changes
    }

    pub fn get(&self, name: &IfName) -> Option<LinkState> {
        self.by_name.get(name).copied()
    }

    pub fn index(&self, name: &IfName) -> Option<u32> {
        self.by_name.get(name).map(|link| link.index)
    }

    pub fn is_up(&self, name: &IfName) -> bool {
        self.by_name.get(name).is_some_and(|link| link.up)
    }

    pub fn name(&self, index: u32) -> Option<&IfName> {
        self.by_name.iter().find(|(_, link)| link.index == index).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, index: u32, carrier: bool) -> LinkInfo {
        LinkInfo {
            index,
            name: IfName::new(name).unwrap(),
            alias: String::new(),
            kind: String::new(),
            mtu: 2400,
            mac: None,
            master: None,
            parent: None,
            up: true,
            carrier,
            makes_link_local: false,
            loopback: false,
        }
    }

    fn names(links: &[IfName]) -> Vec<&str> {
        links.iter().map(IfName::as_str).collect()
    }

    #[test]
    fn only_changes_are_told() {
        let mut links = Links::default();
        let changes = links.replace(&[link("gre-a", 3, true), link("gre-b", 4, false)]);
        assert_eq!((names(&changes.down), names(&changes.up)), (vec![], vec!["gre-a"]));
        assert_eq!(links.replace(&[link("gre-a", 3, true), link("gre-b", 4, false)]), LinkChanges::default());
        let changes = links.replace(&[link("gre-a", 3, false), link("gre-b", 4, true)]);
        assert_eq!((names(&changes.down), names(&changes.up)), (vec!["gre-a"], vec!["gre-b"]));
        let changes = links.replace(&[]);
        assert_eq!((names(&changes.down), names(&changes.up)), (vec!["gre-b"], vec![]));
    }

    #[test]
    fn a_link_made_anew_has_gone_down_and_come_up() {
        let mut links = Links::default();
        links.replace(&[link("gre-a", 3, true)]);
        let changes = links.replace(&[link("gre-a", 5, true)]);
        assert_eq!((names(&changes.down), names(&changes.up)), (vec!["gre-a"], vec!["gre-a"]));
    }
}

//! The interfaces of the fabric as the speaker was told of them.

use crate::kernel::LinkInfo;
use std::collections::BTreeMap;
use tsumugi_core::id::IfName;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState {
    pub index: u32,
    /// Administratively up, and with carrier.
    pub up: bool,
}

impl From<&LinkInfo> for LinkState {
    fn from(link: &LinkInfo) -> LinkState {
        LinkState { index: link.index, up: link.up && link.carrier }
    }
}

#[derive(Debug, Default)]
pub struct Links {
    by_name: BTreeMap<IfName, LinkState>,
}

/// What the speaker is to be told of one link, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkChange {
    pub down: bool,
    pub up: bool,
}

impl Links {
    /// Takes what one link is now; `None`: gone. An interface that was made anew (same name, other
    /// index) has gone down and come up.
    pub fn set(&mut self, name: &IfName, now: Option<LinkState>) -> LinkChange {
        let old = match now {
            Some(now) => self.by_name.insert(name.clone(), now),
            None => self.by_name.remove(name),
        };
        let up = |link: &Option<LinkState>| link.is_some_and(|link| link.up);
        if old == now {
            return LinkChange::default();
        }
        LinkChange { down: up(&old), up: up(&now) }
    }

    pub fn get(&self, name: &IfName) -> Option<LinkState> {
        self.by_name.get(name).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&IfName, LinkState)> {
        self.by_name.iter().map(|(name, state)| (name, *state))
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

    #[test]
    fn only_changes_are_told() {
        let name = IfName::new("gre-a").unwrap();
        let mut links = Links::default();
        let down = LinkState { index: 3, up: false };
        let up = LinkState { index: 3, up: true };
        let anew = LinkState { index: 5, up: true };
        let steps = [
            (Some(down), (false, false)),
            (Some(up), (false, true)),
            (Some(up), (false, false)),
            (Some(anew), (true, true)),
            (Some(down), (true, false)),
            (Some(up), (false, true)),
            (None, (true, false)),
            (None, (false, false)),
        ];
        for (now, (down, up)) in steps {
            assert_eq!(links.set(&name, now), LinkChange { down, up }, "{now:?}");
        }
    }
}

//! Which tunnel a packet from outside belongs to: by line, both outer addresses, and what stands
//! between them and the inner packet.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use tsumugi_core::tunnel::{DropReason, Shim};

/// Between whom outer packets travel, seen from us, and by which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    pub line: usize,
    pub local: IpAddr,
    pub remote: IpAddr,
}

#[derive(Debug, Default)]
pub struct Table {
    tunnels: HashMap<(Ends, Shim), usize>,
    known: HashSet<Ends>,
    /// What was found last: packets come in trains.
    last: Cell<Option<(Ends, Shim, usize)>>,
}

impl Table {
    pub fn insert(&mut self, ends: Ends, shim: Shim, tunnel: usize) {
        self.last.set(None);
        self.tunnels.insert((ends, shim), tunnel);
        self.known.insert(ends);
    }

    /// Whether any tunnel is between these ends.
    pub fn knows(&self, ends: Ends) -> bool {
        self.last.get().is_some_and(|(last, ..)| last == ends) || self.known.contains(&ends)
    }

    /// The tunnel's slot.
    ///
    /// # Errors
    /// `UnknownSource` or `UnknownTunnel`.
    pub fn find(&self, ends: Ends, shim: Shim) -> Result<usize, DropReason> {
        if let Some((_, _, tunnel)) = self.last.get().filter(|(last, with, _)| *last == ends && *with == shim)
        {
            return Ok(tunnel);
        }
        match self.tunnels.get(&(ends, shim)) {
            Some(&tunnel) => {
                self.last.set(Some((ends, shim, tunnel)));
                Ok(tunnel)
            }
            None if self.known.contains(&ends) => Err(DropReason::UnknownTunnel),
            None => Err(DropReason::UnknownSource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_counts() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let ends = Ends { line: 0, local: address("2001:db8::1"), remote: address("2001:db8::2") };
        let mut table = Table::default();
        table.insert(ends, Shim::Gre { key: None }, 0);
        table.insert(ends, Shim::Gre { key: Some(7) }, 1);
        // What was found last is no answer to another question.
        for _ in 0..2 {
            assert_eq!(table.find(ends, Shim::Gre { key: None }), Ok(0));
        }
        assert_eq!(table.find(ends, Shim::Gre { key: Some(7) }), Ok(1));
        assert_eq!(table.find(ends, Shim::Gre { key: Some(8) }), Err(DropReason::UnknownTunnel));
        assert_eq!(table.find(ends, Shim::EtherIp), Err(DropReason::UnknownTunnel));
        for stranger in [
            Ends { line: 1, ..ends },
            Ends { local: address("2001:db8::9"), ..ends },
            Ends { remote: address("2001:db8::9"), ..ends },
        ] {
            assert_eq!(table.find(stranger, Shim::Gre { key: None }), Err(DropReason::UnknownSource));
        }
    }
}

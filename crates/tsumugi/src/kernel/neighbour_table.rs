//! The kernel's tables of neighbours: each is one for all namespaces, and bounded (gc_thresh3).

use super::netlink::{Answer, Netlink};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour_table::{NeighbourTableAttribute, NeighbourTableMessage};
use std::collections::{BTreeMap, BTreeSet};

impl Netlink {
    /// How often an entry found no room, by table (`arp_cache`, `ndisc_cache`), since the machine began.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn neighbour_table_overflows(&mut self) -> Answer<BTreeMap<String, u64>> {
        let request = RouteNetlinkMessage::GetNeighbourTable(NeighbourTableMessage::default());
        let mut overflows = BTreeMap::new();
        for message in self.dump(request)? {
            let RouteNetlinkMessage::NewNeighbourTable(message) = message else { continue };
            let (mut name, mut count) = (None, None);
            for attribute in message.attributes {
                match attribute {
                    NeighbourTableAttribute::Name(text) => name = Some(text),
                    NeighbourTableAttribute::Stats(stats) => count = Some(stats.table_fulls),
                    _ => {}
                }
            }
            // The tables' settings of each interface come as messages of the same kind, without counts.
            overflows.extend(name.zip(count));
        }
        Ok(overflows)
    }
}

/// Whether there was room lately.
#[derive(Debug, Default)]
pub struct NeighbourTables {
    last: BTreeMap<String, u64>,
    full: BTreeSet<&'static str>,
}

impl NeighbourTables {
    /// Takes a new reading in.
    pub fn read(&mut self, overflows: BTreeMap<String, u64>) {
        self.full = [("arp_cache", "ipv4"), ("ndisc_cache", "ipv6")]
            .into_iter()
            .filter(|(table, _)| {
                let now = overflows.get(*table);
                self.last.get(*table).zip(now).is_some_and(|(last, now)| now > last)
            })
            .map(|(_, family)| family)
            .collect();
        self.last = overflows;
    }

    /// In words, those that had no room for an entry between the last two readings.
    pub fn failing(&self) -> impl Iterator<Item = String> {
        self.full.iter().map(|family| {
            format!("the table of neighbours is full: hosts are not resolved (net/{family}/neigh/default/gc_thresh3)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_full_while_its_count_grows() {
        let reading =
            |arp, ndisc| BTreeMap::from([("arp_cache".to_owned(), arp), ("ndisc_cache".to_owned(), ndisc)]);
        let mut tables = NeighbourTables::default();
        // What was before us is no news.
        for (arp, ndisc, full) in [(7, 0, 0), (7, 0, 0), (9, 0, 1), (12, 3, 2), (12, 4, 1), (12, 4, 0)] {
            tables.read(reading(arp, ndisc));
            assert_eq!(tables.failing().count(), full, "{arp} {ndisc}");
        }
    }
}

//! All that a keeper does for the bridges of its plane beside the plan: what EVPN wants in them, and
//! what the kernel has learned on them.

use super::entries::BridgeEntries;
use super::learned::{HostEvent, Learned};
use super::link::LinkInfo;
use super::neighbour_table::NeighbourTables;
use super::netlink::{Answer, Netlink};
use super::watch::{NeighbourNotice, Watch};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tsumugi_core::desired::{Desired, LinkKind};
use tsumugi_core::evpn::EntryChange;
use tsumugi_core::id::IfName;

/// How often hosts that say nothing are asked whether they are still there. The kernel asks only those that
/// it sends something to, and keeps all others as long as its table has room: a host that has changed
/// its address would be announced with both for as long as it stays. Less than the time after which
/// bridges forget a MAC: a silent host that answers is not forgotten.
const ASK: Duration = Duration::from_secs(120);

/// Links by name, as last heard.
type Links = BTreeMap<IfName, LinkInfo>;

#[derive(Default)]
pub(super) struct Bridges {
    /// The plan's.
    names: BTreeSet<IfName>,
    pub entries: BridgeEntries,
    learned: Learned,
    tables: NeighbourTables,
    /// When hosts are asked next.
    ask: Option<Instant>,
    /// What was taken from the watch while the kernel was told many things; since when it waits.
    pub stirred: Option<Instant>,
    /// What was said in the log, so that each thing is said once.
    said: BTreeSet<String>,
}

impl Bridges {
    /// True if there are bridges, so that neighbours must be watched.
    pub fn want(&mut self, desired: &Desired) -> bool {
        let bridges = desired.links.iter().filter(|link| link.kind == LinkKind::Bridge);
        let names = bridges.map(|link| link.name.clone()).collect();
        if names != self.names {
            self.names = names;
            self.lost_track();
        }
        !self.names.is_empty()
    }

    /// Announcements were lost, or were not listened to: everything is read with the next comparison.
    pub fn lost_track(&mut self) {
        self.learned.forget();
        self.entries.suspect();
    }

    pub fn heard_link(&mut self, name: &IfName, link: Option<&LinkInfo>) {
        self.entries.heard_link(name, link);
    }

    pub fn heard(&mut self, links: &Links, notices: &[NeighbourNotice], events: &mut Vec<HostEvent>) {
        self.stirred = None;
        if self.names.is_empty() {
            return;
        }
        self.learned.add_links(links, &self.names);
        let now = Instant::now();
        for notice in notices {
            self.entries.heard(links, notice, now);
            if !self.learned.must_read() {
                self.learned.heard(notice, events);
            }
        }
        self.learned.drop_links(links, events);
    }

    pub fn change(
        &mut self,
        netlink: &mut Netlink,
        links: &Links,
        watch: &mut Watch,
        changes: impl IntoIterator<Item = EntryChange>,
    ) -> Answer<()> {
        let (own, stirred) = (netlink.port(), &mut self.stirred);
        self.entries.change(netlink, links, changes, || listen(watch, own, stirred))
    }

    /// When there is something to do without anything being heard.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.stirred, self.ask, self.entries.next_timeout()].into_iter().flatten().min()
    }

    /// Tries again what the kernel refused, as far as its time has come.
    pub fn retry(
        &mut self,
        netlink: &mut Netlink,
        links: &Links,
        watch: &mut Watch,
        now: Instant,
    ) -> Answer<()> {
        if self.entries.next_timeout().is_none_or(|due| due > now) {
            return Ok(());
        }
        let (own, stirred) = (netlink.port(), &mut self.stirred);
        self.entries.retry(netlink, links, now, || listen(watch, own, stirred))
    }

    /// Asks silent hosts, if it is time to.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn ask_hosts(&mut self, netlink: &mut Netlink, links: &Links, now: Instant) -> Answer<()> {
        if self.names.is_empty() {
            self.ask = None;
            return Ok(());
        }
        if *self.ask.get_or_insert(now + ASK) > now {
            return Ok(());
        }
        self.ask = Some(now + ASK);
        let bridges: Vec<u32> = self.names.iter().filter_map(|name| Some(links.get(name)?.index)).collect();
        netlink.ask_stale(&bridges)
    }

    /// Reads what must be read, and makes it right.
    pub fn sync(
        &mut self,
        netlink: &mut Netlink,
        links: &Links,
        watch: &mut Watch,
        events: &mut Vec<HostEvent>,
    ) -> Answer<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        self.learned.add_links(links, &self.names);
        self.learned.drop_links(links, events);
        self.tables.read(netlink.neighbour_table_overflows()?);
        if !self.learned.must_read() && !self.entries.is_suspect() {
            return Ok(());
        }
        let (fdb, hosts) = (netlink.fdb()?, netlink.hosts()?);
        if self.learned.must_read() {
            events.push(self.learned.read(&fdb, &hosts));
        }
        let (own, stirred) = (netlink.port(), &mut self.stirred);
        self.entries.compare(netlink, links, &fdb, &hosts, || listen(watch, own, stirred))
    }

    /// What does not succeed, in words, as of the last [`Bridges::say`].
    pub fn failing(&self) -> impl Iterator<Item = &str> {
        self.said.iter().map(String::as_str)
    }

    /// Says each thing once, when it begins and when it ends.
    pub fn say(&mut self, plane: &str) {
        let mut now = self.entries.failing();
        now.extend(self.tables.failing());
        for failure in now.difference(&self.said) {
            tracing::warn!(plane, failure, "the kernel does not take what was learned; trying again");
        }
        for failure in self.said.difference(&now) {
            tracing::info!(plane, failure, "no longer fails");
        }
        self.said = now;
    }
}

fn listen(watch: &mut Watch, own: u32, stirred: &mut Option<Instant>) {
    if watch.listen(own) {
        stirred.get_or_insert_with(Instant::now);
    }
}

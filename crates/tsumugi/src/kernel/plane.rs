//! Keeps one plane as the plan wants it, for as long as the process lives.

use super::Namespace;
use super::apply::{Applier, ChangeError, Failure};
use super::bridges::Bridges;
use super::dynamic::{DynamicRoutes, Progress, RouteUpdate};
use super::learned::HostEvent;
use super::link::LinkInfo;
use super::netlink::{Answer, Netlink};
use super::nft::{Nft, NftError};
use super::observe::{Initial, observe};
use super::watch::Watch;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use tsumugi_core::desired::{BridgeEntry, Desired};
use tsumugi_core::evpn::EntryChange;
use tsumugi_core::id::{IfName, Mac, Plane};
use tsumugi_core::reconcile::{Change, plan, waiting};

/// Changes come in swarms (a link that comes up announces itself several times): what comes within
/// this time after the first is answered together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// After a change that failed; doubled up to the longest.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Whatever the kernel does not announce (some settings) is found out by looking.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// What came within this time is written into the walls at once: each time costs a program's run.
const WRITE_KNOWN: Duration = Duration::from_millis(100);
/// A change can take something with it that stood before (an address its routes): then there is
/// another round.
const ROUNDS: usize = 4;

/// The keeper of one plane. Nothing in it blocks; the caller polls [`Keeper::as_fd`] and calls
/// [`Keeper::turn`] when it is readable or [`Keeper::next_timeout`] has passed.
pub struct Keeper {
    plane: Plane,
    namespace: Namespace,
    desired: Desired,
    netlink: Netlink,
    initial: Option<Initial>,
    nft: Nft,
    watch: Watch,
    initial_watch: Option<Watch>,
    poll: Epoll,
    dynamic: DynamicRoutes,
    bridges: Bridges,
    /// By name, as last heard.
    links: BTreeMap<IfName, LinkInfo>,
    due: Option<Instant>,
    retry: Duration,
    /// Whether our walls were as wanted when they were last looked at; `None`: not looked at since
    /// they may have changed.
    walls_in_place: Option<bool>,
    dynamic_suspect: bool,
    /// When the walls are told of new MACs behind other routers.
    known_due: Option<Instant>,
    /// What was said in the log, so that each thing is said once.
    said: BTreeSet<String>,
    waiting: Vec<IfName>,
}

/// What one turn brought.
#[derive(Debug, Default)]
pub struct Turn {
    /// Links whose state is other than it was, in order.
    pub links: Vec<LinkEvent>,
    /// What the kernel has learned on the plane's bridges, in order.
    pub hosts: Vec<HostEvent>,
    /// If the plane was compared with the plan.
    pub report: Option<Report>,
}

/// What became of a link of the plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEvent {
    pub name: IfName,
    /// The interface as it is; `None`: it is gone.
    pub link: Option<LinkInfo>,
}

/// What one comparison with the plan brought.
#[derive(Debug, Default)]
pub struct Report {
    /// The changes that were made, in their order.
    pub made: Vec<Change>,
    /// Those that failed and will be tried again.
    pub failed: Vec<Failure>,
    /// Links of the plan that are not there yet.
    pub waiting: Vec<IfName>,
}

impl Keeper {
    /// `initial` is the machine's initial namespace, where ports wait; `namespace` may be the same.
    /// The first [`Keeper::turn`] is due at once.
    ///
    /// # Errors
    /// Those of sockets and namespaces.
    pub fn new(
        plane: Plane,
        namespace: Namespace,
        initial: &Namespace,
        desired: Desired,
    ) -> io::Result<Keeper> {
        // Watch first, then read, then follow: so nothing falls between.
        let watch = Watch::plane(&namespace)?;
        let (initial_watch, initial) = if namespace.is(initial) {
            (None, None)
        } else {
            let netlink = Netlink::open_in(initial)?;
            (Some(Watch::links(initial)?), Some(Initial { namespace: initial.clone(), netlink }))
        };
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for watch in std::iter::once(&watch).chain(&initial_watch) {
            poll.add(watch, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        }
        let netlink = Netlink::open_in(&namespace)?;
        if let Err(error) = watch.ignore_routes_of(netlink.port()) {
            tracing::debug!(plane = plane.name(), %error, "our own routes are announced to us");
        }
        let mut keeper = Keeper {
            plane,
            netlink,
            nft: Nft::new(namespace.clone()),
            namespace,
            desired: Desired::default(),
            initial,
            watch,
            initial_watch,
            poll,
            dynamic: DynamicRoutes::default(),
            bridges: Bridges::default(),
            links: BTreeMap::new(),
            due: Some(Instant::now()),
            retry: RETRY,
            walls_in_place: None,
            dynamic_suspect: true,
            known_due: None,
            said: BTreeSet::new(),
            waiting: Vec::new(),
        };
        keeper.set_desired(desired)?;
        Ok(keeper)
    }

    /// From now on the plane shall be this. The next turn is due at once.
    ///
    /// # Errors
    /// Those of sockets.
    pub fn set_desired(&mut self, desired: Desired) -> io::Result<()> {
        if self.bridges.want(&desired) || !desired.neighbours.is_empty() {
            self.watch.include_neighbours()?;
        }
        self.desired = desired;
        self.walls_in_place = None;
        self.due = Some(Instant::now());
        Ok(())
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// When [`Keeper::turn`] has something to do without anything being heard.
    pub fn next_timeout(&self) -> Option<Instant> {
        let reading = self.dynamic.is_reading().then(Instant::now);
        [self.due, self.known_due, self.bridges.next_timeout(), reading].into_iter().flatten().min()
    }

    /// The links of the plane by name, as last heard.
    pub fn links(&self) -> &BTreeMap<IfName, LinkInfo> {
        &self.links
    }

    /// Links of the plan that are not there yet.
    pub fn waiting(&self) -> &[IfName] {
        &self.waiting
    }

    /// What of the plan could not be made, in words for the log, as of the last comparison.
    pub fn failing(&self) -> impl Iterator<Item = &str> {
        self.said.iter().map(String::as_str).chain(self.bridges.failing())
    }

    /// BGP's routes: what is wanted and what of it is missing.
    pub fn dynamic(&self) -> &DynamicRoutes {
        &self.dynamic
    }

    /// What EVPN has learned: how much is wanted and how much of it the kernel does not have.
    pub fn entries(&self) -> (usize, usize) {
        self.bridges.entries.count(&self.links)
    }

    /// Hears what waits, and compares the plane with the plan if that is due.
    pub fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        let heard = self.watch.hear(self.netlink.port());
        let links_changed = !heard.links.is_empty();
        for (link, gone) in heard.links {
            self.heard_link(link, gone, &mut turn);
        }
        let mut other =
            !turn.links.is_empty() || heard.ours || heard.dynamic || heard.overflow || heard.walls;
        self.dynamic_suspect |= heard.dynamic || heard.overflow || links_changed;
        if heard.overflow {
            self.bridges.lost_track();
        }
        self.bridges.heard(&self.links, &heard.neighbours, &mut turn.hosts);
        if heard.walls || heard.overflow {
            self.walls_in_place = None;
        }
        if let Some(watch) = &mut self.initial_watch {
            let heard = watch.hear(0);
            other |= !heard.links.is_empty() || heard.overflow;
        }
        if other {
            let soon = now + DEBOUNCE;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
        if self.due.is_some_and(|due| due <= now) {
            let report = self.sync(now, &mut turn);
            turn.report = Some(report);
        } else {
            let done = self.bridges.retry(&mut self.netlink, &self.links, &mut self.watch, now);
            self.heed(done);
            self.read_on(now);
        }
        if let Err(error) = self.bridges.ask_hosts(&mut self.netlink, &self.links, now) {
            tracing::debug!(plane = self.plane.name(), %error, "hosts were not asked");
        }
        self.write_known(now);
        turn
    }

    /// Changes EVPN's entries in the kernel at once; what the kernel has not taken is tried again.
    ///
    /// # Errors
    /// Only those of the socket.
    pub fn change_entries(&mut self, changes: impl IntoIterator<Item = EntryChange>) -> Answer<()> {
        let nft = &mut self.nft;
        let walled = !self.desired.segment_walls.is_empty();
        let changes = changes.into_iter().inspect(|change| {
            if let BridgeEntry::Mac { vxlan, mac, .. } = &change.entry
                && walled
            {
                nft.set_known(vxlan, *mac, change.present);
            }
        });
        let done = self.bridges.change(&mut self.netlink, &self.links, &mut self.watch, changes);
        if self.nft.has_unwritten() {
            self.known_due.get_or_insert_with(|| Instant::now() + WRITE_KNOWN);
        }
        self.bridges.say(self.plane.name());
        done
    }

    /// A host has answered somebody who asked in the kernel's place.
    ///
    /// # Errors
    /// ENODEV if there is no such link.
    pub fn resolve_neighbour(&mut self, link: &IfName, address: IpAddr, mac: Mac) -> Answer<()> {
        let index = self.netlink.index(link)?;
        self.netlink.resolve_neighbour(index, address, mac)
    }

    /// Has the kernel look for a host as if it had something for it.
    ///
    /// # Errors
    /// ENODEV if there is no such link.
    pub fn look_for_neighbour(&mut self, link: &IfName, address: IpAddr) -> Answer<()> {
        let index = self.netlink.index(link)?;
        self.netlink.neighbour_in_use(index, address).map(drop)
    }

    /// Which MACs are behind other routers, for the limits of unknown frames.
    fn write_known(&mut self, now: Instant) {
        if self.known_due.is_none_or(|due| due > now) {
            return;
        }
        self.known_due = None;
        // Where there are no walls there are no limits; a table that was lost is made anew with all.
        if let Err(error) = self.nft.write_known() {
            tracing::debug!(plane = self.plane.name(), %error, "known MACs were not written");
            self.walls_in_place = None;
        } else {
            self.watch.forget_walls();
        }
    }

    /// EVPN has said all it knows: what an earlier life left in the kernel and nobody wants goes.
    pub fn forget_stale_entries(&mut self) {
        self.bridges.entries.forget_stale();
        self.due = Some(Instant::now());
    }

    /// Forgets the MACs that the kernel has learned on a port; each is told of as gone.
    ///
    /// # Errors
    /// ENODEV if there is no such link; EINVAL if it is no port of a bridge.
    pub fn flush_port(&mut self, port: &IfName) -> Answer<()> {
        let index = self.netlink.index(port)?;
        self.netlink.flush_port(index)
    }

    /// Changes BGP's routes in the kernel at once; what the kernel has not taken is tried again with
    /// the next comparison.
    ///
    /// # Errors
    /// Only those of the socket.
    pub fn change_routes(&mut self, updates: impl IntoIterator<Item = RouteUpdate>) -> Answer<()> {
        let indexes = indexes(&self.links);
        let missing = self.dynamic.count().1;
        let result = self.dynamic.change(&mut self.netlink, &indexes, updates);
        // Of what failed on the way nothing is known: the kernel is read.
        if result.is_err() || self.dynamic.count().1 > missing {
            self.dynamic_suspect = true;
            let soon = Instant::now() + RETRY;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
        result
    }

    /// BGP has said all it knows: what an earlier life left in the kernel and nobody wants goes.
    pub fn forget_stale_routes(&mut self) {
        if self.dynamic.forget_stale() {
            self.dynamic_suspect = true;
            self.due = Some(Instant::now());
        }
    }

    fn heard_link(&mut self, link: LinkInfo, gone: bool, turn: &mut Turn) {
        // Renamed: the old name is gone.
        let old = self.links.values().find(|known| known.index == link.index).map(|known| known.name.clone());
        if let Some(old) = old.filter(|old| gone || *old != link.name) {
            self.links.remove(&old);
            self.bridges.heard_link(&old, None);
            turn.links.push(LinkEvent { name: old, link: None });
        }
        if !gone && self.links.get(&link.name) != Some(&link) {
            self.bridges.heard_link(&link.name, Some(&link));
            turn.links.push(LinkEvent { name: link.name.clone(), link: Some(link.clone()) });
            self.links.insert(link.name.clone(), link);
        }
    }

    /// Compares and changes until there is nothing to change.
    fn sync(&mut self, now: Instant, turn: &mut Turn) -> Report {
        let mut report = Report::default();
        let mut trouble = None;
        for _ in 0..ROUNDS {
            match self.round(&mut report) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    trouble = Some(format!("the plane could not be read: {error}"));
                    break;
                }
            }
        }
        if let Err(error) = self.follow_links(turn) {
            trouble.get_or_insert(format!("the plane could not be read: {error}"));
        }
        let done = self.bridges.sync(&mut self.netlink, &self.links, &mut self.watch, &mut turn.hosts);
        if let Err(error) = done {
            trouble.get_or_insert(format!("bridges could not be read: {error}"));
        }
        self.bridges.say(self.plane.name());
        if let Err(error) = self.begin_reading_routes() {
            self.dynamic_suspect = true;
            trouble = Some(format!("routes of BGP: {error}"));
        }
        let well = report.failed.is_empty() && trouble.is_none() && !self.dynamic_suspect;
        self.due = Some(now + if well { LOOK_AGAIN } else { self.retry });
        // What a long comparison comes to is known later.
        let settled = well && !self.dynamic.is_reading();
        self.retry = if settled { RETRY } else { (self.retry * 2).min(LONGEST_RETRY) };
        self.waiting.clone_from(&report.waiting);
        self.say(&report, trouble);
        report
    }

    /// Reads BGP's routes if they may not be as wanted and nobody does yet: a small table at once, of a large one
    /// the first piece.
    fn begin_reading_routes(&mut self) -> Answer<()> {
        if !self.dynamic_suspect {
            return Ok(());
        }
        let indexes = indexes(&self.links);
        if self.dynamic.is_reading() {
            self.dynamic.compare_objects(&mut self.netlink, &indexes)?;
        } else {
            self.dynamic_suspect = false;
            self.dynamic.begin_reading(&self.namespace, &mut self.netlink, &indexes)?;
            self.read_routes()?;
        }
        Ok(())
    }

    /// Goes on with a long comparison; when it ends without having made all well, the next is begun later.
    fn read_on(&mut self, now: Instant) {
        if !self.dynamic.is_reading() {
            return;
        }
        // What is wrong is told when it is begun again.
        self.dynamic_suspect |= self.read_routes().is_err();
        if self.dynamic.is_reading() {
            return;
        }
        if self.dynamic_suspect {
            let later = now + self.retry;
            self.due = Some(self.due.map_or(later, |due| due.min(later)));
        } else {
            self.retry = RETRY;
        }
    }

    fn read_routes(&mut self) -> Answer<()> {
        let progress = self.dynamic.read_on(&mut self.netlink, &indexes(&self.links))?;
        let again = progress == Progress::Done && self.dynamic.count().1 > 0;
        self.dynamic_suspect |= again || progress == Progress::Interrupted;
        Ok(())
    }

    /// One round; true if there may have to be another.
    fn round(&mut self, report: &mut Report) -> Answer<bool> {
        report.failed.clear();
        let walls = match self.walls_in_place {
            Some(in_place) => Ok(in_place),
            None => self.want_walls().and_then(|()| self.nft.in_place()),
        };
        let in_place = match walls {
            Ok(in_place) => in_place,
            // Nobody who wants no walls needs the program.
            Err(NftError::Missing) => self.desired.walls.is_empty() && self.desired.segment_walls.is_empty(),
            // Applying fails as well, and that failure is the one that is told.
            Err(_) => false,
        };
        let observed =
            observe(&self.namespace, &mut self.netlink, self.initial.as_mut(), &self.desired, in_place)?;
        report.waiting = waiting(&self.desired, &observed);
        let changes = plan(&self.desired, &observed);
        self.walls_in_place = Some(in_place);
        if changes.is_empty() {
            return Ok(false);
        }
        let sets_walls = changes.contains(&Change::SetWalls);
        if sets_walls {
            self.want_walls().ok();
        }
        let mut applier = Applier {
            namespace: &self.namespace,
            netlink: &mut self.netlink,
            initial: self.initial.as_mut(),
            nft: &mut self.nft,
            desired: &self.desired,
            indexes: BTreeMap::new(),
        };
        let (made, failed) = applier.apply(changes);
        report.failed = failed;
        if sets_walls {
            let failed = |failure: &Failure| matches!(failure.error, ChangeError::Walls(_));
            self.walls_in_place = Some(!report.failed.iter().any(failed));
            self.watch.forget_walls();
        }
        let again = !made.is_empty();
        report.made.extend(made);
        Ok(again)
    }

    fn want_walls(&mut self) -> Result<(), NftError> {
        self.nft.want(&self.desired.walls, &self.desired.segment_walls)
    }

    /// Our own changes are announced as well, but later: what a comparison has found counts now.
    fn follow_links(&mut self, turn: &mut Turn) -> Answer<()> {
        let found = self.netlink.links()?;
        let names: BTreeSet<&IfName> = found.iter().map(|link| &link.name).collect();
        let gone: Vec<LinkInfo> =
            self.links.values().filter(|known| !names.contains(&known.name)).cloned().collect();
        for link in gone {
            self.heard_link(link, true, turn);
        }
        for link in found {
            self.heard_link(link, false, turn);
        }
        Ok(())
    }

    /// What went wrong with the socket is found out by looking at everything again.
    fn heed(&mut self, done: Answer<()>) {
        if done.is_err() {
            self.bridges.lost_track();
            let soon = Instant::now() + RETRY;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
        self.bridges.say(self.plane.name());
    }

    /// Says each thing once, when it begins and when it ends.
    fn say(&mut self, report: &Report, trouble: Option<String>) {
        let plane = self.plane.name();
        for change in &report.made {
            tracing::debug!(plane, ?change, "changed");
        }
        let failed = report.failed.iter().map(|failure| format!("{:?}: {}", failure.change, failure.error));
        let now: BTreeSet<String> = failed.chain(trouble).collect();
        for failure in now.difference(&self.said) {
            tracing::warn!(plane, failure, "could not be made as the plan wants it; trying again");
        }
        for failure in self.said.difference(&now) {
            tracing::info!(plane, failure, "no longer fails");
        }
        self.said = now;
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.0.as_fd()
    }
}

fn indexes(links: &BTreeMap<IfName, LinkInfo>) -> BTreeMap<IfName, u32> {
    links
        .iter()
        .filter(|(_, link)| link.up && link.carrier)
        .map(|(name, link)| (name.clone(), link.index))
        .collect()
}

//! The forwarding entries and hosts that EVPN has learned, kept in the kernel beside the plan.
//!
//! They stand on devices that are ours (VXLAN devices) or bear BGP's protocol number (hosts). What an
//! earlier life of the process left is kept until [`BridgeEntries::forget_stale`]: frames go on while
//! sessions come back.

use super::fdb::{self, EVERYONE, FdbEntry, FdbOwner, Request};
use super::link::LinkInfo;
use super::neighbour::{self, HostEntry, HostState};
use super::netlink::{Answer, Netlink};
use super::watch::NeighbourNotice;
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tsumugi_core::desired::BridgeEntry;
use tsumugi_core::evpn::EntryChange;
use tsumugi_core::id::{IfName, Mac};

/// Requests of one write. The kernel announces each of them to whoever watches (us too), some twice,
/// and that must fit into the receive buffer of an ordinary user.
const PIECE: usize = 128;
/// After a refusal; doubled up to the longest.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// What somebody removed is put back after this time: whoever removes much is let finish.
const SETTLE: Duration = Duration::from_millis(20);

/// Links by name, as last heard.
type Links = BTreeMap<IfName, LinkInfo>;

/// What the kernel tells entries of one link apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Flood(IpAddr),
    Mac(Mac),
    Host(IpAddr),
}

/// What should stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Flood,
    Vtep { vtep: IpAddr, sticky: bool },
    Mac(Mac),
}

/// An entry that the kernel does not have.
#[derive(Debug, Clone, Copy)]
struct Missing {
    /// Why; `None`: somebody removed it.
    errno: Option<Errno>,
    again: Instant,
    pause: Duration,
}

/// What is wanted, and what of it the kernel has not taken.
#[derive(Default)]
pub struct BridgeEntries {
    wanted: BTreeMap<IfName, HashMap<Place, Aim>>,
    missing: BTreeMap<(IfName, Place), Missing>,
    /// What is in the kernel and not wanted may be removed.
    purge: bool,
    /// The kernel may hold something else than was told: read it.
    suspect: bool,
}

impl BridgeEntries {
    /// Takes the changes in and tells the kernel at once. After each write `between` is called.
    ///
    /// # Errors
    /// Only those of the socket; what the kernel refused is tried again, see [`BridgeEntries::retry`].
    pub fn change(
        &mut self,
        netlink: &mut Netlink,
        links: &Links,
        changes: impl IntoIterator<Item = EntryChange>,
        between: impl FnMut(),
    ) -> Answer<()> {
        let mut touched = Vec::new();
        let mut seen = HashSet::new();
        for change in changes {
            let (link, place, aim) = parts(change.entry);
            let of_link = self.wanted.entry(link.clone()).or_default();
            if change.present {
                of_link.insert(place, aim);
            } else {
                of_link.remove(&place);
            }
            // An entry may be changed twice: what is wanted in the end counts.
            if seen.insert((link.clone(), place)) {
                touched.push((link, place));
            }
        }
        self.wanted.retain(|_, of_link| !of_link.is_empty());
        self.tell(netlink, links, touched, between)
    }

    /// Tries again what was refused or removed, as far as its time has come.
    ///
    /// # Errors
    /// Only those of the socket.
    pub fn retry(
        &mut self,
        netlink: &mut Netlink,
        links: &Links,
        now: Instant,
        between: impl FnMut(),
    ) -> Answer<()> {
        let due = self.missing.iter().filter(|(_, missing)| missing.again <= now);
        let due = due.map(|(key, _)| key.clone()).collect();
        self.tell(netlink, links, due, between)
    }

    /// When [`BridgeEntries::retry`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.again).min()
    }

    /// From the next comparison on, what an earlier life left and nobody wants goes.
    pub fn forget_stale(&mut self) {
        self.purge = true;
        self.suspect = true;
    }

    /// Whether [`BridgeEntries::compare`] is needed.
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    pub fn suspect(&mut self) {
        self.suspect = true;
    }

    /// A link is there, changed or is gone: what stood on it may be lost.
    pub fn heard_link(&mut self, name: &IfName, link: Option<&LinkInfo>) {
        let bears = self.wanted.contains_key(name);
        self.suspect |= link.is_some() && (bears || self.purge && link.is_some_and(|l| l.vxlan.is_some()));
    }

    /// Somebody, or the kernel, has changed an entry: one that is wanted is put back, and one on a device
    /// of ours that nobody wants is taken away.
    pub fn heard(&mut self, links: &Links, notice: &NeighbourNotice, now: Instant) {
        let (index, place, stands) = match *notice {
            NeighbourNotice::Mac { entry, gone } => {
                let Some((index, place)) = place_of(links, &entry, gone) else { return };
                (index, place, (!gone).then_some(entry))
            }
            NeighbourNotice::Host { entry, gone } if gone || entry.state != HostState::Remote => {
                (entry.link, Place::Host(entry.address), None)
            }
            _ => return,
        };
        let Some(link) = links.values().find(|link| link.index == index) else { return };
        let aim = self.wanted.get(&link.name).and_then(|of_link| of_link.get(&place)).copied();
        let right = match (stands, aim) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(_), None) => !self.purge,
            (Some(entry), Some(aim)) => is_as_wanted(&entry, aim),
        };
        if right && self.missing.is_empty() {
            return;
        }
        let key = (link.name.clone(), place);
        let of_device = matches!(notice, NeighbourNotice::Mac { entry, .. } if matches!(entry.owner, FdbOwner::Device { .. }));
        if !right {
            let lost = Missing { errno: None, again: now + SETTLE, pause: RETRY };
            self.missing.entry(key).or_insert(lost);
        } else if of_device && self.missing.get(&key).is_some_and(|missing| missing.errno.is_none()) {
            // It was our own change, told late: what came after it is as it should be. (Of the two parts
            // of an entry the device's is set first, so the bridge's says nothing of it.)
            self.missing.remove(&key);
        }
    }

    /// How many are wanted, and how many of them the kernel does not have.
    pub fn count(&self, links: &Links) -> (usize, usize) {
        let wanted = self.wanted.values().map(HashMap::len).sum();
        let away = self.wanted.iter().filter(|(name, _)| !links.contains_key(*name));
        (wanted, self.missing.len() + away.map(|(_, of_link)| of_link.len()).sum::<usize>())
    }

    /// Why entries are missing, in words without numbers, each once.
    pub fn failing(&self) -> BTreeSet<String> {
        let refused = self.missing.iter().filter_map(|((link, place), missing)| {
            let what = match place {
                Place::Flood(_) => "entries for everyone",
                Place::Mac(_) => "entries of MACs",
                Place::Host(_) => "entries of hosts",
            };
            let why = match missing.errno? {
                Errno::ENOBUFS => "the table of neighbours is full (gc_thresh3)",
                errno => errno.desc(),
            };
            Some(format!("{link}: {what}: {why}"))
        });
        refused.collect()
    }

    /// Compares with the kernel and makes it right. `fdb` and `hosts`: all that the kernel holds.
    ///
    /// # Errors
    /// Only those of the socket.
    pub fn compare(
        &mut self,
        netlink: &mut Netlink,
        links: &Links,
        fdb: &[FdbEntry],
        hosts: &[HostEntry],
        between: impl FnMut(),
    ) -> Answer<()> {
        let found = Found::of(fdb, hosts);
        let mut touched = Vec::new();
        for (name, of_link) in &self.wanted {
            let Some(link) = links.get(name) else { continue };
            for (place, aim) in of_link {
                if found.holds(link, *place, *aim) {
                    self.missing.remove(&(name.clone(), *place));
                } else {
                    touched.push((name.clone(), *place));
                }
            }
        }
        if self.purge {
            for (index, place) in found.places() {
                let Some(link) = links.values().find(|link| link.index == index) else { continue };
                let ours = link.vxlan.is_some() || matches!(place, Place::Host(_));
                let wanted = self.wanted.get(&link.name).is_some_and(|of_link| of_link.contains_key(&place));
                if ours && !wanted {
                    touched.push((link.name.clone(), place));
                }
            }
        }
        self.suspect = false;
        self.tell(netlink, links, touched, between)
    }

    /// Brings the kernel's entries at these places to what is wanted there. What needs a link that is
    /// away is left out: when it comes, everything is compared.
    fn tell(
        &mut self,
        netlink: &mut Netlink,
        links: &Links,
        touched: Vec<(IfName, Place)>,
        mut between: impl FnMut(),
    ) -> Answer<()> {
        let now = Instant::now();
        let mut touched = touched.into_iter().peekable();
        while touched.peek().is_some() {
            let mut requests = Vec::new();
            // Which entry a request belongs to, if it sets one.
            let mut owners: Vec<Option<usize>> = Vec::new();
            let mut setting = Vec::new();
            while requests.len() + 2 <= PIECE
                && let Some((name, place)) = touched.next()
            {
                let key = (name, place);
                let earlier = self.missing.remove(&key);
                let Some(link) = links.get(&key.0) else { continue };
                let aim = self.wanted.get(&key.0).and_then(|of_link| of_link.get(&place)).copied();
                append(link.index, place, aim, &mut requests);
                owners.resize(requests.len(), aim.map(|_| setting.len()));
                if aim.is_some() {
                    setting.push((key, earlier));
                }
            }
            for (place, error) in netlink.batch(requests)? {
                // What is not there any more was removed with its link or by somebody: just as well.
                let Some((key, earlier)) =
                    owners.get(place).copied().flatten().and_then(|at| setting.get(at))
                else {
                    continue;
                };
                let pause = earlier.map_or(RETRY, |earlier| (earlier.pause * 2).min(LONGEST_RETRY));
                let missing = Missing { errno: error.errno(), again: now + pause, pause };
                self.missing.insert(key.clone(), missing);
            }
            between();
        }
        Ok(())
    }
}

/// The place on a VXLAN device that a notice is of.
fn place_of(links: &Links, entry: &FdbEntry, gone: bool) -> Option<(u32, Place)> {
    match entry.owner {
        FdbOwner::Device { vtep } if entry.mac == EVERYONE => Some((entry.link, Place::Flood(vtep?))),
        FdbOwner::Device { .. } if gone => Some((entry.link, Place::Mac(entry.mac))),
        FdbOwner::Device { vtep } => vtep.map(|_| (entry.link, Place::Mac(entry.mac))),
        // It may have been on a port since; the VXLAN device of the same bridge has it then.
        FdbOwner::Bridge { bridge } if gone => {
            let vxlan = links.values().find(|link| link.vxlan.is_some() && link.master == Some(bridge))?;
            Some((vxlan.index, Place::Mac(entry.mac)))
        }
        FdbOwner::Bridge { .. } => {
            let on_vxlan = links.values().any(|link| link.index == entry.link && link.vxlan.is_some());
            (on_vxlan && !entry.local).then_some((entry.link, Place::Mac(entry.mac)))
        }
    }
}

/// An entry that stands on the device, or in the bridge for it.
fn is_as_wanted(entry: &FdbEntry, aim: Aim) -> bool {
    match (entry.owner, aim) {
        (FdbOwner::Device { vtep: stands }, Aim::Vtep { vtep, .. }) => stands == Some(vtep),
        (FdbOwner::Bridge { .. }, Aim::Vtep { sticky, .. }) => entry.sticky == sticky,
        _ => true,
    }
}

fn parts(entry: BridgeEntry) -> (IfName, Place, Aim) {
    match entry {
        BridgeEntry::Flood { vxlan, vtep } => (vxlan, Place::Flood(vtep), Aim::Flood),
        BridgeEntry::Mac { vxlan, mac, vtep, sticky } => (vxlan, Place::Mac(mac), Aim::Vtep { vtep, sticky }),
        BridgeEntry::Host { bridge, address, mac } => (bridge, Place::Host(address), Aim::Mac(mac)),
    }
}

/// The requests that make it so; without an aim, those that remove what is there.
fn append(index: u32, place: Place, aim: Option<Aim>, requests: &mut Vec<Request>) {
    match (place, aim) {
        (Place::Flood(vtep), Some(_)) => requests.push(fdb::add_flood(index, vtep)),
        (Place::Flood(vtep), None) => requests.push(fdb::delete_flood(index, vtep)),
        (Place::Mac(mac), Some(Aim::Vtep { vtep, sticky })) => {
            requests.extend(fdb::set_remote(index, mac, vtep, sticky));
        }
        (Place::Mac(mac), _) => requests.extend(fdb::delete_remote(index, mac)),
        (Place::Host(address), Some(Aim::Mac(mac))) => {
            requests.push(neighbour::set_host(index, address, mac));
        }
        (Place::Host(address), _) => requests.push(neighbour::delete_host(index, address)),
    }
}

/// All that the kernel holds, by index of the link.
struct Found {
    flood: HashSet<(u32, IpAddr)>,
    devices: HashMap<(u32, Mac), Option<IpAddr>>,
    /// By bridge: on which port, and how.
    bridges: HashMap<(u32, Mac), FdbEntry>,
    hosts: HashMap<(u32, IpAddr), Option<Mac>>,
}

impl Found {
    fn of(fdb: &[FdbEntry], hosts: &[HostEntry]) -> Found {
        let mut found = Found {
            flood: HashSet::new(),
            devices: HashMap::new(),
            bridges: HashMap::new(),
            hosts: HashMap::new(),
        };
        for entry in fdb.iter().filter(|entry| !entry.local) {
            match entry.owner {
                FdbOwner::Device { vtep } if entry.mac == EVERYONE => {
                    found.flood.extend(vtep.map(|vtep| (entry.link, vtep)));
                }
                FdbOwner::Device { vtep } => {
                    found.devices.insert((entry.link, entry.mac), vtep);
                }
                FdbOwner::Bridge { bridge } => {
                    found.bridges.insert((bridge, entry.mac), *entry);
                }
            }
        }
        for host in hosts.iter().filter(|host| host.state == HostState::Remote) {
            found.hosts.insert((host.link, host.address), host.mac);
        }
        found
    }

    fn holds(&self, link: &LinkInfo, place: Place, aim: Aim) -> bool {
        match (place, aim) {
            (Place::Flood(vtep), _) => self.flood.contains(&(link.index, vtep)),
            (Place::Mac(mac), Aim::Vtep { vtep, sticky }) => {
                let on_bridge = link.master.and_then(|bridge| self.bridges.get(&(bridge, mac)));
                // A MAC that has just been heard on a port stays there: whoever decides hears of it too.
                let well = on_bridge.is_some_and(|entry| {
                    if entry.link == link.index { entry.sticky == sticky } else { entry.heard && !sticky }
                });
                well && self.devices.get(&(link.index, mac)) == Some(&Some(vtep))
            }
            (Place::Host(address), Aim::Mac(mac)) => {
                self.hosts.get(&(link.index, address)) == Some(&Some(mac))
            }
            _ => false,
        }
    }

    /// Every place where something stands.
    fn places(&self) -> BTreeSet<(u32, Place)> {
        let flood = self.flood.iter().map(|(index, vtep)| (*index, Place::Flood(*vtep)));
        let devices = self.devices.iter().filter(|(_, vtep)| vtep.is_some());
        let devices = devices.map(|((index, mac), _)| (*index, Place::Mac(*mac)));
        let bridges = self.bridges.values().map(|entry| (entry.link, Place::Mac(entry.mac)));
        let hosts = self.hosts.keys().map(|(index, address)| (*index, Place::Host(*address)));
        flood.chain(devices).chain(bridges).chain(hosts).collect()
    }
}

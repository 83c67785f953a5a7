//! All sessions of a router: whose packet it is, who is due, who is gone.

use super::config::{Path, SessionConfig};
use super::drops::BfdDrop;
use super::session::Session;
use super::status::{BfdDown, BfdSessionStatus};
use crate::time::{Duration, Instant};
use crate::wire::bfd::{LEN, Packet, Repr, State};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Less than this beyond what was due is nothing unusual.
const LATE: Duration = Duration::from_millis(10);

/// BFD on one router. Nothing happens but in its methods, which return at once.
#[derive(Debug)]
pub struct Bfd {
    /// By our discriminator.
    sessions: BTreeMap<u32, Session>,
    /// The discriminator of each session that has a way.
    by_path: BTreeMap<Path, u32>,
    /// Of those that are not watched now.
    inactive: BTreeSet<Path>,
    drops: BTreeMap<BfdDrop, u64>,
    random: Random,
    discriminators: Random,
}

/// A datagram to one of BFD's ports.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Of the interface it came in by.
    pub index: u32,
    pub from: IpAddr,
    pub to: IpAddr,
    /// To which of the two ports.
    pub multihop: bool,
    /// Its hop limit on arrival; `None`: not known.
    pub hops: Option<u8>,
    pub bytes: &'a [u8],
}

#[derive(Debug)]
pub enum Event<'a> {
    /// Exactly these sessions from now on. Those that stay are not disturbed; those that go tell their far
    /// ends that it is no failure.
    Configure(Vec<SessionConfig>),
    /// We run again after waiting for a packet or for [`Bfd::next_timeout`], before anything else. Time by
    /// which that is late, as when the machine was busy or asleep, is nobody's silence.
    Awake,
    Received(Received<'a>),
    /// [`Bfd::next_timeout`] may have passed. All packets that wait come before it, so that nobody is called
    /// silent who is not.
    Timeout,
    /// As `Configure` with none.
    Stop,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// One datagram with hop limit 255.
    Send {
        path: Path,
        bytes: [u8; LEN],
    },
    Up {
        name: String,
    },
    /// One that was up. `independent`: the far end says that its BFD goes on while its routing restarts.
    Down {
        name: String,
        cause: BfdDown,
        independent: bool,
    },
}

impl Bfd {
    /// `seed`: anything that differs from start to start, so that a far end does not take our next life's
    /// sessions for this one's.
    pub fn new(seed: u64) -> Bfd {
        Bfd {
            sessions: BTreeMap::new(),
            by_path: BTreeMap::new(),
            inactive: BTreeSet::new(),
            drops: BTreeMap::new(),
            random: Random::new(seed as u32),
            discriminators: Random::new((seed >> 32) as u32),
        }
    }

    pub fn step(&mut self, now: Instant, event: Event<'_>, actions: &mut Vec<Action>) {
        match event {
            Event::Configure(wanted) => self.configure(now, wanted, actions),
            Event::Awake => self.awake(now),
            Event::Received(received) => {
                if let Err(reason) = self.receive(now, &received, actions) {
                    *self.drops.entry(reason).or_default() += 1;
                }
            }
            Event::Timeout => self.timeout(now, actions),
            Event::Stop => self.configure(now, Vec::new(), actions),
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.sessions.values().filter_map(Session::next_timeout).min()
    }

    /// Whether somebody is still to be told that a session goes.
    pub fn is_leaving(&self) -> bool {
        self.sessions.values().any(|session| session.leaves_at.is_some())
    }

    /// Whether packets may be sent over this way from here on.
    pub fn has_path(&self, path: &Path) -> bool {
        self.by_path.contains_key(path)
    }

    /// By name.
    pub fn status(&self, now: Instant) -> Vec<BfdSessionStatus> {
        let stay = self.sessions.values().filter(|session| session.leaves_at.is_none());
        let mut all: Vec<_> = stay.map(|session| session.status(now)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How many packets were not taken, by reason.
    pub fn drops(&self) -> &BTreeMap<BfdDrop, u64> {
        &self.drops
    }

    fn configure(&mut self, now: Instant, wanted: Vec<SessionConfig>, actions: &mut Vec<Action>) {
        self.inactive = wanted.iter().filter(|config| !config.active).filter_map(|it| it.path).collect();
        let way =
            |config: SessionConfig| SessionConfig { path: config.path.filter(|_| config.active), ..config };
        let mut wanted: BTreeMap<String, SessionConfig> =
            wanted.into_iter().map(|config| (config.name.clone(), way(config))).collect();
        for session in self.sessions.values_mut().filter(|session| session.leaves_at.is_none()) {
            match wanted.remove(&session.name) {
                Some(config) => {
                    session.set_path(now, config.path);
                    session.set_terms(now, config.terms, &mut self.random);
                }
                None => session.leave(now, &mut self.random, actions),
            }
        }
        for config in wanted.into_values() {
            let discriminator = self.new_discriminator();
            self.sessions.insert(discriminator, Session::new(now, config, discriminator));
        }
        self.index();
        self.timeout(now, actions);
    }

    /// Of two sessions over one way the one that stays has it, else the older.
    fn index(&mut self) {
        self.by_path.clear();
        let (leaving, staying): (Vec<&Session>, Vec<&Session>) =
            self.sessions.values().partition(|session| session.leaves_at.is_some());
        for session in staying.into_iter().chain(leaving) {
            if let Some(path) = session.path {
                self.by_path.entry(path).or_insert(session.discriminator);
            }
        }
    }

    /// RFC 5880 6.8.1: "unique across all BFD sessions on this system, and nonzero". The generator's period
    /// is all of them, so that one that was used comes back as late as can be.
    fn new_discriminator(&mut self) -> u32 {
        loop {
            let discriminator = self.discriminators.next();
            if !self.sessions.contains_key(&discriminator) {
                return discriminator;
            }
        }
    }

    fn awake(&mut self, now: Instant) {
        let late = self.next_timeout().map_or(Duration::ZERO, |due| now.since(due));
        if late >= LATE {
            self.sessions.values_mut().for_each(|session| session.put_off(late));
        }
    }

    /// RFC 5880 6.8.6.
    fn receive(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        actions: &mut Vec<Action>,
    ) -> Result<(), BfdDrop> {
        if !received.multihop && received.hops != Some(255) {
            return Err(BfdDrop::Hops);
        }
        let packet = Packet::new_checked(received.bytes)?;
        let repr = Repr::parse(&packet);
        if repr.multiplier == 0 {
            return Err(BfdDrop::NoMultiplier);
        }
        if packet.is_multipoint() {
            return Err(BfdDrop::Multipoint);
        }
        if repr.my_discriminator == 0 {
            return Err(BfdDrop::NoDiscriminator);
        }
        let session = self.find(received, &repr)?;
        if packet.is_authenticated() {
            return Err(BfdDrop::Authenticated);
        }
        let (random, sessions) = (&mut self.random, &mut self.sessions);
        let Some(session) = sessions.get_mut(&session) else { return Err(BfdDrop::UnknownSession) };
        if session.state == State::AdminDown {
            session.receive_when_off(now, &repr, random, actions);
            self.forget(now);
            return Err(BfdDrop::AdminDown);
        }
        session.receive(now, &repr, random, actions);
        Ok(())
    }

    /// The discriminator of the session that a packet is for. Beyond what RFC 5880 6.3 asks it must also
    /// come from where the plan says that the neighbour is: nobody else ends a session by guessing a number.
    fn find(&self, received: &Received<'_>, repr: &Repr) -> Result<u32, BfdDrop> {
        let is_way = |path: &Path| {
            path.multihop == received.multihop
                && path.local == received.to
                && path.remote == received.from
                && (path.multihop || path.index == received.index)
        };
        if repr.your_discriminator == 0 && !matches!(repr.state, State::Down | State::AdminDown) {
            return Err(BfdDrop::Unnamed);
        }
        if repr.your_discriminator != 0 {
            let session = self.sessions.get(&repr.your_discriminator);
            let ours = session.filter(|session| session.path.as_ref().is_some_and(is_way));
            return ours.map(|session| session.discriminator).ok_or(BfdDrop::UnknownSession);
        }
        let found = if received.multihop {
            self.by_path.iter().find(|(path, _)| is_way(path)).map(|(_, discriminator)| discriminator)
        } else {
            let (index, local, remote) = (received.index, received.to, received.from);
            self.by_path.get(&Path { index, local, remote, multihop: false })
        };
        let inactive = || self.inactive.iter().any(is_way);
        found.copied().ok_or_else(|| if inactive() { BfdDrop::Inactive } else { BfdDrop::Stranger })
    }

    fn timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for session in self.sessions.values_mut() {
            session.timeout(now, &mut self.random, actions);
        }
        self.forget(now);
    }

    /// Those who have been told.
    fn forget(&mut self, now: Instant) {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.leaves_at.is_none_or(|at| at > now));
        if self.sessions.len() != before {
            self.index();
        }
    }
}

/// Xorshift (Marsaglia 2003): every number but zero once before any comes again.
#[derive(Debug)]
pub(super) struct Random(u32);

impl Random {
    fn new(seed: u32) -> Random {
        // Zero would stay zero.
        Random(if seed == 0 { 0x9e37_79b9 } else { seed })
    }

    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

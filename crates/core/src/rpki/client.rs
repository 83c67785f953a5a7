//! All caches together: which is asked, and whose data is in force (RFC 8210 10).
//!
//! The most preferred cache that answers is used. The next one is called only while all before it are
//! in trouble, and rests once one of them is back: so there is one table in memory, and for moments two.

use super::cache::{Cache, Outcome};
use super::config::RpkiConfig;
use super::slurm::Slurm;
use super::status::{CacheEnd, CacheStatus, Notice, PayloadCounts, RpkiStatus, SlurmStatus};
use super::validation::{Change, Validation};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::SocketAddr;

#[derive(Debug)]
pub enum Event<'a> {
    /// What [`Action::Connect`] asked for stands.
    Connected { connection: u32 },
    /// What [`Action::Connect`] asked for failed.
    ConnectFailed { connection: u32 },
    /// Bytes of the stream, in order, cut anywhere.
    Received { connection: u32, bytes: &'a [u8] },
    /// The far end closed, or the socket failed.
    Closed { connection: u32 },
    /// [`Client::next_timeout`] has passed (harmless if it has not).
    Timeout,
    /// The operator's exceptions from now on.
    Slurm(Slurm),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// The number is never used again.
    Connect {
        connection: u32,
        to: SocketAddr,
    },
    Send {
        connection: u32,
        bytes: Vec<u8>,
    },
    /// Close after what was sent before. Nothing needs to be reported back.
    Close {
        connection: u32,
    },
    /// From now on routes are validated by something else.
    Changed(Change),
    Log(Notice),
}

/// Nothing happens but in its methods, which return at once.
#[derive(Debug)]
pub struct Client {
    config: RpkiConfig,
    /// In the order of preference.
    caches: Vec<Cache>,
    slurm: Slurm,
    /// What is in force must be looked at again.
    again: bool,
    /// Whose data is in force, and when it was completed.
    source: Option<(usize, Instant)>,
    in_force: Validation,
    next_connection: u32,
}

impl Client {
    pub fn new(config: RpkiConfig) -> Client {
        let caches = config.caches.iter().map(|_| Cache::new(config.expire)).collect();
        Client {
            config,
            caches,
            slurm: Slurm::default(),
            again: false,
            source: None,
            in_force: Validation::default(),
            next_connection: 0,
        }
    }

    pub fn config(&self) -> &RpkiConfig {
        &self.config
    }

    /// What routes are validated by now.
    pub fn validation(&self) -> &Validation {
        &self.in_force
    }

    /// A new configuration in place of the old one: data of caches that stay, stays.
    pub fn replace_config(&mut self, now: Instant, config: RpkiConfig, actions: &mut Vec<Action>) {
        if self.config == config {
            return;
        }
        let same_plane = self.config.plane == config.plane;
        let mut old: Vec<Option<Cache>> = core::mem::take(&mut self.caches).into_iter().map(Some).collect();
        let source = self.source.take().and_then(|(at, when)| Some((*self.config.caches.get(at)?, when)));
        for address in &config.caches {
            let known = self.config.caches.iter().position(|it| it == address).filter(|_| same_plane);
            let mut cache = known.and_then(|at| old[at].take()).unwrap_or_else(|| Cache::new(config.expire));
            cache.expire = config.expire;
            self.caches.push(cache);
        }
        for connection in old.iter().flatten().filter_map(Cache::connection) {
            actions.push(Action::Close { connection });
        }
        self.source = source.and_then(|(address, when)| {
            let at = config.caches.iter().position(|it| *it == address)?;
            self.caches[at].data.is_some().then_some((at, when))
        });
        self.config = config;
        self.again = true;
        self.settle(now, actions);
    }

    pub fn step(&mut self, now: Instant, event: Event<'_>, actions: &mut Vec<Action>) {
        match event {
            Event::Slurm(slurm) => {
                self.again |= self.slurm != slurm;
                self.slurm = slurm;
            }
            Event::Timeout => {
                for at in 0..self.caches.len() {
                    let outcome = self.caches[at].timeout(now);
                    self.follow(now, at, outcome, actions);
                }
            }
            Event::Connected { connection } => {
                self.with(now, connection, actions, |cache| cache.connected(now));
            }
            Event::ConnectFailed { connection } => {
                self.with(now, connection, actions, |_| ended(CacheEnd::ConnectFailed));
            }
            Event::Received { connection, bytes } => {
                self.with(now, connection, actions, |cache| cache.received(now, bytes));
            }
            Event::Closed { connection } => {
                self.with(now, connection, actions, |_| ended(CacheEnd::Closed));
            }
        }
        self.settle(now, actions);
    }

    /// When [`Event::Timeout`] is due; may be in the past.
    pub fn next_timeout(&self) -> Option<Instant> {
        let timers = (0..).zip(&self.caches).filter_map(|(at, cache)| cache.next_timeout(self.wants(at)));
        timers.chain((0..self.caches.len()).filter_map(|at| self.expires(at))).min()
    }

    fn with(
        &mut self,
        now: Instant,
        connection: u32,
        actions: &mut Vec<Action>,
        what: impl FnOnce(&mut Cache) -> Outcome,
    ) {
        // The connection of a session that is over is nobody's.
        let Some(at) = self.caches.iter().position(|it| it.connection() == Some(connection)) else { return };
        let outcome = what(&mut self.caches[at]);
        self.follow(now, at, outcome, actions);
    }

    fn follow(&mut self, now: Instant, at: usize, outcome: Outcome, actions: &mut Vec<Action>) {
        let (cache, address) = (&mut self.caches[at], self.config.caches[at]);
        let Some(connection) = cache.connection() else { return };
        if !outcome.send.is_empty() {
            actions.push(Action::Send { connection, bytes: outcome.send });
        }
        if outcome.complete
            && let Some(data) = &cache.data
            && self.source.is_none_or(|(source, _)| source != at)
        {
            let version = cache.version().unwrap_or_default();
            let payloads = data.counts();
            actions.push(Action::Log(Notice::Synchronised { cache: address, version, payloads }));
        }
        let Some(end) = outcome.end else { return };
        actions.push(Action::Close { connection });
        let downgrade = matches!(&end, CacheEnd::Reported { code, .. } if code.0 == 4);
        if cache.is_live() {
            actions.push(Action::Log(Notice::Lost { cache: address, reason: end.clone() }));
        } else if cache.last_end.as_ref() != Some(&end) && !downgrade {
            actions.push(Action::Log(Notice::Failing { cache: address, reason: end.clone() }));
        }
        let failures = cache.failures;
        cache.ended(now, end);
        if downgrade {
            // It answers: no reason to call the next one.
            cache.failures = failures;
        }
    }

    /// Whether a cache is to be called: all before it are in trouble.
    fn wants(&self, at: usize) -> bool {
        self.caches[..at].iter().all(|cache| !cache.is_live() && cache.failures > 0)
    }

    fn expires(&self, at: usize) -> Option<Instant> {
        let data = self.caches[at].data.as_ref()?;
        let seconds = self.config.expire.unwrap_or(data.intervals.expire);
        Some(data.at + Duration::from_secs(seconds.into()))
    }

    /// Calls whom it takes, and puts in force what is best.
    fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for at in 0..self.caches.len() {
            let wanted = self.wants(at);
            let cache = &mut self.caches[at];
            if wanted && cache.may_dial(now) {
                let connection = self.next_connection;
                self.next_connection = self.next_connection.wrapping_add(1);
                cache.dial(now, connection);
                actions.push(Action::Connect { connection, to: self.config.caches[at] });
            } else if !wanted && self.caches[..at].iter().any(Cache::is_live) {
                let cache = &mut self.caches[at];
                if let Some(connection) = cache.connection() {
                    actions.push(Action::Close { connection });
                }
                cache.rest(now);
            }
            if self.expires(at).is_some_and(|until| until <= now) {
                self.caches[at].data = None;
                if self.source.is_some_and(|(source, _)| source == at) {
                    actions.push(Action::Log(Notice::Expired { cache: self.config.caches[at] }));
                }
            }
        }
        self.choose(actions);
    }

    /// A live cache's data before a lost one's, then by preference.
    fn choose(&mut self, actions: &mut Vec<Action>) {
        let having = (0..self.caches.len()).filter(|&at| self.caches[at].data.is_some());
        let best = having.min_by_key(|&at| (!self.caches[at].is_live(), at));
        let stamp = best.and_then(|at| Some((at, self.caches[at].data.as_ref()?.at)));
        if stamp == self.source && !self.again {
            return;
        }
        let before = core::mem::replace(&mut self.source, stamp).map(|(at, _)| at);
        self.again = false;
        let data = best.and_then(|at| self.caches[at].data.as_ref());
        let raw =
            data.map(|data| Validation { vrps: data.vrps.clone(), aspas: data.aspas.clone(), present: true });
        if let Some(at) = best {
            if before != best {
                actions.push(Action::Log(Notice::InForce { cache: self.config.caches[at] }));
            }
            // Another's older data is of no use any more.
            if self.caches[at].is_live() {
                for (other, cache) in (0..).zip(&mut self.caches) {
                    if other != at && !cache.is_live() {
                        cache.data = None;
                    }
                }
            }
        }
        let new = self.slurm.apply(raw.unwrap_or_default());
        if let Some(change) = self.in_force.change_to(new) {
            self.in_force = change.validation.clone();
            actions.push(Action::Changed(change));
        }
    }

    pub fn status(&self, now: Instant) -> RpkiStatus {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let short = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let caches = (0..).zip(&self.caches).map(|(at, cache)| CacheStatus {
            address: self.config.caches[at],
            state: cache.state(self.wants(at)),
            version: cache.version(),
            session: cache.data.as_ref().map(|data| data.session),
            serial: cache.data.as_ref().map(|data| data.serial),
            payloads: cache.data.as_ref().map(|data| data.counts()).unwrap_or_default(),
            age_ms: cache.data.as_ref().map(|data| millis(now.since(data.at))),
            expires_in_ms: self.expires(at).map(|until| millis(until.since(now))),
            in_force: self.source.is_some_and(|(source, _)| source == at),
            last_end: cache.last_end.clone(),
        });
        RpkiStatus {
            caches: caches.collect(),
            in_force: PayloadCounts {
                ipv4: short(self.in_force.vrps.len_v4()),
                ipv6: short(self.in_force.vrps.len_v6()),
                aspa: short(self.in_force.aspas.len()),
            },
            present: self.in_force.present,
            slurm: SlurmStatus {
                filters: short(self.slurm.filters()),
                assertions: short(self.slurm.assertions()),
            },
        }
    }
}

fn ended(end: CacheEnd) -> Outcome {
    Outcome { end: Some(end), ..Outcome::default() }
}

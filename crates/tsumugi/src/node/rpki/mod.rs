//! Who says which routes are what their holders say: the machine of RPKI with its TCP connections and
//! its file of exceptions, joined with the speaker.
//!
//! ```text
//! bytes from caches ─┐                          ┌─ connect, send, close ─▶ connections
//! the SLURM file ────┼─▶ rpki::Client::step ───┼─ changed payloads ─────▶ speaker
//! time ──────────────┘                          └─ notices ──────────────▶ log
//! ```

mod exceptions;

use super::poll::{Poll, Ready, Token};
use crate::kernel::Namespace;
use crate::observe::status::RpkiReport;
use crate::observe::words;
use crate::peering::connection::{Connection, Heard};
use crate::peering::parting::Parting;
use crate::peering::socket;
use crate::state::StateDir;
use exceptions::Exceptions;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use tsumugi_core::id::Plane;
use tsumugi_core::rpki::config::RpkiConfig;
use tsumugi_core::rpki::{Action, Change, Client, Event, Notice};
use tsumugi_core::time::Instant;
use tsumugi_plan::explain::Lang;

/// Connections that may be saying goodbye at a time; the oldest makes room.
const GOODBYES: usize = 8;
/// How often one connection is read before others have their turn. A whole table is some 10 MB.
const ROUNDS: usize = 4;

struct Live {
    connection: Connection,
    dialling: bool,
    /// Whether the loop waits for it to become writable.
    awaiting_room: bool,
}

pub struct Rpki {
    /// With no caches where the plan has none.
    client: Client,
    space: Namespace,
    live: HashMap<u32, Live>,
    parting: Parting,
    exceptions: Exceptions,
    /// For the speaker.
    changes: Vec<Change>,
}

/// As the plan says; where it says nothing, no caches.
fn config(said: Option<&RpkiConfig>) -> RpkiConfig {
    let nothing = RpkiConfig { caches: Vec::new(), plane: Plane::Management, expire: None, slurm: None };
    said.cloned().unwrap_or(nothing)
}

impl Rpki {
    /// Calls nobody before the first [`Rpki::turn`].
    ///
    /// # Errors
    /// No right to the caches' plane.
    pub fn new(state: &StateDir, said: Option<&RpkiConfig>) -> io::Result<Rpki> {
        let config = config(said);
        Ok(Rpki {
            space: state.plane(config.plane)?,
            exceptions: Exceptions::new(state.path(), config.slurm.as_deref()),
            client: Client::new(config),
            live: HashMap::new(),
            parting: Parting::new(GOODBYES),
            changes: Vec::new(),
        })
    }

    /// A new plan in place of the old one. Caches that stay keep their sessions.
    pub fn replace(&mut self, poll: &Poll, now: Instant, state: &StateDir, said: Option<&RpkiConfig>) {
        let config = config(said);
        match state.plane(config.plane) {
            Ok(space) => self.space = space,
            Err(error) => {
                tracing::warn!(plane = %config.plane, %error, "the caches' plane cannot be entered");
                return;
            }
        }
        self.exceptions.replace(state.path(), config.slurm.as_deref());
        let mut actions = Vec::new();
        self.client.replace_config(now, config, &mut actions);
        self.perform(poll, now, actions);
        self.turn(poll, now);
    }

    /// Does what is due.
    pub fn turn(&mut self, poll: &Poll, now: Instant) {
        if let Some(slurm) = self.exceptions.look(now) {
            self.step(poll, now, Event::Slurm(slurm));
        }
        if self.client.next_timeout().is_some_and(|at| at <= now) {
            self.step(poll, now, Event::Timeout);
        }
        let mut rest = [0; 512];
        self.parting.tidy(now, &mut rest);
    }

    /// When [`Rpki::turn`] has work.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.client.next_timeout(), self.exceptions.next_look(), self.parting.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What has changed for the speaker since it was last asked.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// A connection has become readable or writable.
    pub fn converse(&mut self, poll: &Poll, now: Instant, ready: Ready, buffer: &mut [u8]) {
        let Token::Cache(connection) = ready.token else { return };
        let Some(live) = self.live.get_mut(&connection) else { return };
        if live.dialling {
            match socket::connected(&live.connection.stream) {
                None => return,
                Some(Ok(())) => {
                    live.dialling = false;
                    self.step(poll, now, Event::Connected { connection });
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "could not connect to an RTR cache");
                    self.step(poll, now, Event::ConnectFailed { connection });
                    return;
                }
            }
        }
        if ready.writable {
            self.flush(poll, now, connection);
        }
        for _ in 0..ROUNDS {
            // Gone as soon as the machine has closed it.
            let Some(live) = self.live.get_mut(&connection).filter(|_| ready.readable) else { return };
            match live.connection.read(buffer) {
                Ok(Heard::Nothing) => return,
                Ok(Heard::Bytes(length)) => {
                    self.step(poll, now, Event::Received { connection, bytes: &buffer[..length] });
                }
                Ok(Heard::End) | Err(_) => return self.step(poll, now, Event::Closed { connection }),
            }
        }
    }

    fn step(&mut self, poll: &Poll, now: Instant, event: Event<'_>) {
        let mut actions = Vec::new();
        self.client.step(now, event, &mut actions);
        self.perform(poll, now, actions);
    }

    fn perform(&mut self, poll: &Poll, now: Instant, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Connect { connection, to } => {
                    if let Err(error) = self.dial(poll, now, connection, to) {
                        tracing::debug!(%to, %error, "could not call an RTR cache");
                        let mut more = Vec::new();
                        self.client.step(now, Event::ConnectFailed { connection }, &mut more);
                        actions.extend(more);
                    }
                }
                Action::Send { connection, bytes } => {
                    if let Some(live) = self.live.get_mut(&connection) {
                        live.connection.queue().extend_from_slice(&bytes);
                        self.flush(poll, now, connection);
                    }
                }
                Action::Close { connection } => self.close(poll, now, connection),
                Action::Changed(change) => self.changes.push(change),
                Action::Log(notice) => log(&notice),
            }
        }
    }

    fn dial(&mut self, poll: &Poll, now: Instant, number: u32, to: SocketAddr) -> io::Result<()> {
        let stream = self.space.run(|| socket::call(to))?;
        poll.add(&stream, Token::Cache(number), true)?;
        let connection = Connection::new(stream, now);
        self.live.insert(number, Live { connection, dialling: true, awaiting_room: true });
        Ok(())
    }

    fn flush(&mut self, poll: &Poll, now: Instant, number: u32) {
        let Some(live) = self.live.get_mut(&number).filter(|live| !live.dialling) else { return };
        // A connection that broke is read to its end, and that is told.
        let _ = live.connection.flush(now);
        let awaiting_room = !live.connection.is_idle();
        if awaiting_room != live.awaiting_room {
            live.awaiting_room = awaiting_room;
            if let Err(error) = poll.change(&live.connection.stream, Token::Cache(number), awaiting_room) {
                tracing::warn!(%error, "a connection to an RTR cache cannot be watched");
            }
        }
    }

    fn close(&mut self, poll: &Poll, now: Instant, number: u32) {
        let Some(live) = self.live.remove(&number) else { return };
        poll.remove(&live.connection.stream);
        if !live.dialling {
            self.parting.add(live.connection, now);
        }
    }

    /// `None`: the plan has no caches.
    pub fn status(&self, now: Instant) -> Option<RpkiReport> {
        if self.client.config().caches.is_empty() {
            return None;
        }
        let client = self.client.status(now);
        let words = |end| words::cache_end(end, Lang::En);
        Some(RpkiReport {
            plane: self.client.config().plane,
            last_end_words: client.caches.iter().map(|cache| cache.last_end.as_ref().map(words)).collect(),
            client,
            slurm_file: self.exceptions.path(),
            slurm_trouble: self.exceptions.trouble().cloned(),
        })
    }
}

fn log(notice: &Notice) {
    let words = words::rpki_notice(notice, Lang::En);
    let data = serde_json::to_string(notice).unwrap_or_default();
    match notice {
        Notice::Synchronised { .. } | Notice::InForce { .. } => tracing::info!(data, "{words}"),
        _ => tracing::warn!(data, "{words}"),
    }
}

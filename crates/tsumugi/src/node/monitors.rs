//! The collectors that are told by BMP (RFC 7854): a connection to each, called again when it is gone.
//!
//! A collector takes what it reads and no more: the speaker makes the next messages when there is room for them, and
//! while there is none it keeps of each route only that it has changed.

use super::poll::{Poll, Ready, Token};
use crate::kernel::Namespace;
use crate::observe::status::{BmpReport, CollectorEnd, CollectorStatus};
use crate::observe::words;
use crate::peering::connection::{Connection, Heard};
use crate::peering::socket;
use crate::state::StateDir;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::SystemTime;
use tsumugi_core::bgp::config::BmpConfig;
use tsumugi_core::bgp::{CollectorId, ConnectionId, MonitorCounts, Speaker, Surroundings};
use tsumugi_core::id::Plane;
use tsumugi_core::time::{Duration, Instant};
use tsumugi_core::wire::bmp::{self, Reason};
use tsumugi_plan::explain::Lang;

/// Bytes of messages asked for at a time, and how often before others have their turn.
const PIECE: usize = 16 << 10;
const ROUNDS: usize = 4;
const CONNECT: Duration = Duration::from_secs(10);
/// Between two attempts: twice as long each time (RFC 7854 3.2), and from the beginning once one has stood for longer
/// than the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(32);
/// How often somebody who does not read is looked at.
const LOOK: Duration = Duration::from_secs(10);
const DESCRIPTION: &str = concat!("tsumugi ", env!("CARGO_PKG_VERSION"));

pub struct Monitors {
    plane: Plane,
    space: Namespace,
    collectors: Vec<Collector>,
    next_id: u16,
    next_number: u32,
}

struct Collector {
    id: CollectorId,
    at: SocketAddr,
    state: State,
    /// How long the next pause is.
    again: Duration,
    /// How often it stood.
    connected: u32,
    /// Of earlier connections.
    before: MonitorCounts,
    last_end: Option<CollectorEnd>,
}

enum State {
    Waiting { until: Instant },
    Dialling { connection: Connection, number: u32, until: Instant },
    Live { connection: Connection, number: u32, since: Instant, awaiting_room: bool },
}

/// What the messages speak of besides the speaker's own.
pub struct Around<'a> {
    pub router: &'a str,
    pub ports: &'a dyn Fn(ConnectionId) -> Option<(u16, u16)>,
}

impl Monitors {
    /// Calls nobody before the first [`Monitors::turn`].
    ///
    /// # Errors
    /// No right to the collectors' plane.
    pub fn new(state: &StateDir, said: Option<&BmpConfig>) -> io::Result<Monitors> {
        let plane = said.map_or(Plane::Management, |said| said.plane);
        let space = state.plane(plane)?;
        let mut monitors = Monitors { plane, space, collectors: Vec::new(), next_id: 0, next_number: 0 };
        monitors.meet(said);
        Ok(monitors)
    }

    /// A new plan in place of the old one. Collectors that stay where they are keep their connections.
    pub fn replace(
        &mut self,
        poll: &Poll,
        state: &StateDir,
        speaker: &mut Speaker,
        said: Option<&BmpConfig>,
    ) {
        let plane = said.map_or(Plane::Management, |said| said.plane);
        let moved = plane != self.plane;
        match state.plane(plane) {
            Ok(space) => (self.plane, self.space) = (plane, space),
            Err(error) => {
                tracing::warn!(%plane, %error, "the collectors' plane cannot be entered");
                return;
            }
        }
        let wanted = said.map_or(&[][..], |said| &said.collectors);
        for collector in std::mem::take(&mut self.collectors) {
            if moved || !wanted.contains(&collector.at) {
                collector.leave(poll, speaker);
            } else {
                self.collectors.push(collector);
            }
        }
        self.meet(said);
    }

    fn meet(&mut self, said: Option<&BmpConfig>) {
        for at in said.map_or(&[][..], |said| &said.collectors) {
            if self.collectors.iter().all(|collector| collector.at != *at) {
                let id = CollectorId(self.next_id);
                self.next_id = self.next_id.wrapping_add(1);
                self.collectors.push(Collector {
                    id,
                    at: *at,
                    state: State::Waiting { until: Instant::default() },
                    again: AGAIN,
                    connected: 0,
                    before: MonitorCounts::default(),
                    last_end: None,
                });
            }
        }
    }

    /// Calls who is to be called, and tells who has room.
    pub fn turn(&mut self, poll: &Poll, now: Instant, speaker: &mut Speaker, around: &Around<'_>) {
        for collector in &mut self.collectors {
            match &mut collector.state {
                State::Waiting { until } if *until <= now => {
                    let number = self.next_number;
                    self.next_number = self.next_number.wrapping_add(1);
                    let at = collector.at;
                    let dialled = self.space.run(|| socket::call(at)).and_then(|stream| {
                        poll.add(&stream, Token::Collector(number), true)?;
                        Ok(Connection::new(stream, now))
                    });
                    match dialled {
                        Ok(connection) => {
                            collector.state = State::Dialling { connection, number, until: now + CONNECT };
                        }
                        Err(error) => collector.lose(poll, now, speaker, CollectorEnd::failed(&error)),
                    }
                }
                State::Dialling { until, .. } if *until <= now => {
                    let error = io::Error::from(ErrorKind::TimedOut);
                    collector.lose(poll, now, speaker, CollectorEnd::failed(&error));
                }
                State::Live { .. } => collector.tell(poll, now, speaker, around),
                _ => {}
            }
        }
    }

    /// When [`Monitors::turn`] has work, if nothing else happens.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let due = |collector: &Collector| match &collector.state {
            State::Waiting { until } | State::Dialling { until, .. } => Some(*until),
            State::Live { awaiting_room, .. } => awaiting_room.then(|| now + LOOK),
        };
        self.collectors.iter().filter_map(due).min()
    }

    /// Whether there is something to say to somebody who has room for it.
    pub fn has_work(&self, speaker: &Speaker) -> bool {
        self.collectors.iter().any(|collector| match &collector.state {
            State::Live { connection, .. } => connection.has_room() && speaker.monitor_has_work(collector.id),
            _ => false,
        })
    }

    /// A connection has become readable or writable.
    pub fn converse(
        &mut self,
        poll: &Poll,
        now: Instant,
        ready: Ready,
        speaker: &mut Speaker,
        buffer: &mut [u8],
    ) {
        let Token::Collector(wanted) = ready.token else { return };
        let holds = |collector: &&mut Collector| collector.number() == Some(wanted);
        let Some(collector) = self.collectors.iter_mut().find(holds) else { return };
        if let State::Dialling { connection, .. } = &collector.state {
            match socket::connected(&connection.stream) {
                None => return,
                Some(Ok(())) => collector.stand(now, speaker),
                Some(Err(error)) => {
                    collector.lose(poll, now, speaker, CollectorEnd::failed(&error));
                    return;
                }
            }
        }
        if let State::Live { connection, .. } = &mut collector.state
            && ready.readable
        {
            // It has nothing to say to us (RFC 7854 3.2).
            match connection.read(buffer) {
                Ok(Heard::Nothing | Heard::Bytes(_)) => {}
                Ok(Heard::End) => collector.lose(poll, now, speaker, CollectorEnd::Closed),
                Err(error) => collector.lose(poll, now, speaker, CollectorEnd::broken(&error)),
            }
        }
    }

    /// Says goodbye to everybody.
    pub fn stop(&mut self, poll: &Poll, speaker: &mut Speaker) {
        self.collectors.drain(..).for_each(|collector| collector.leave(poll, speaker));
    }

    /// `None`: the plan has no collectors.
    pub fn status(&self, now: Instant, speaker: &Speaker) -> Option<BmpReport> {
        let collectors = self.collectors.iter().map(|collector| collector.status(now, speaker));
        let collectors: Vec<CollectorStatus> = collectors.collect();
        (!collectors.is_empty()).then_some(BmpReport { plane: self.plane, collectors })
    }
}

impl Collector {
    fn number(&self) -> Option<u32> {
        match &self.state {
            State::Waiting { .. } => None,
            State::Dialling { number, .. } | State::Live { number, .. } => Some(*number),
        }
    }

    fn stand(&mut self, now: Instant, speaker: &mut Speaker) {
        let state = std::mem::replace(&mut self.state, State::Waiting { until: now });
        if let State::Dialling { connection, number, .. } = state {
            tracing::info!(collector = %self.at, "a collector is told by BMP");
            speaker.begin_monitor(self.id);
            self.connected = self.connected.saturating_add(1);
            // It was waited for to become writable.
            self.state = State::Live { connection, number, since: now, awaiting_room: true };
        }
    }

    fn tell(&mut self, poll: &Poll, now: Instant, speaker: &mut Speaker, around: &Around<'_>) {
        let State::Live { connection, number, awaiting_room, .. } = &mut self.state else { return };
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let around = Surroundings {
            now,
            unix: u32::try_from(unix).unwrap_or(u32::MAX),
            description: DESCRIPTION,
            name: around.router,
            ports: around.ports,
        };
        let mut flushed = connection.flush(now);
        for _ in 0..ROUNDS {
            if flushed.is_err() || !connection.has_room() || !speaker.monitor_has_work(self.id) {
                break;
            }
            speaker.poll_monitor(self.id, &around, PIECE, connection.queue());
            flushed = connection.flush(now);
        }
        let full = !connection.is_idle();
        if flushed.is_ok() && full != *awaiting_room {
            *awaiting_room = full;
            flushed = poll.change(&connection.stream, Token::Collector(*number), full);
        }
        if let Err(error) = flushed {
            self.lose(poll, now, speaker, CollectorEnd::broken(&error));
        }
    }

    /// The connection is gone, or never was.
    fn lose(&mut self, poll: &Poll, now: Instant, speaker: &mut Speaker, end: CollectorEnd) {
        let state = std::mem::replace(&mut self.state, State::Waiting { until: now });
        match &state {
            State::Waiting { .. } => {}
            State::Dialling { connection, .. } => poll.remove(&connection.stream),
            State::Live { connection, since, .. } => {
                poll.remove(&connection.stream);
                if now.since(*since) > AGAIN_MOST {
                    self.again = AGAIN;
                }
            }
        }
        self.before = sum(self.before, speaker.end_monitor(self.id));
        if self.last_end.as_ref() != Some(&end) || matches!(state, State::Live { .. }) {
            tracing::warn!(collector = %self.at, "{}", words::collector_end(&end, Lang::En));
        }
        self.last_end = Some(end);
        self.state = State::Waiting { until: now + self.again };
        self.again = (self.again * 2).min(AGAIN_MOST);
    }

    /// It is no collector of ours any more.
    fn leave(self, poll: &Poll, speaker: &mut Speaker) {
        speaker.end_monitor(self.id);
        match self.state {
            State::Waiting { .. } => {}
            State::Dialling { connection, .. } => poll.remove(&connection.stream),
            State::Live { mut connection, .. } => {
                poll.remove(&connection.stream);
                bmp::termination(Reason::Administrative, connection.queue());
                // Who has no room for it sees the end without a word.
                connection.end(Instant::default());
            }
        }
    }

    fn status(&self, now: Instant, speaker: &Speaker) -> CollectorStatus {
        let since = match &self.state {
            State::Live { since, .. } => Some(now.since(*since)),
            _ => None,
        };
        CollectorStatus {
            address: self.at,
            connected_ms: since.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            connected_count: self.connected,
            counts: sum(self.before, speaker.monitor_counts(self.id)),
            last_end: self.last_end.clone(),
        }
    }
}

fn sum(a: MonitorCounts, b: MonitorCounts) -> MonitorCounts {
    MonitorCounts {
        routes: a.routes + b.routes,
        sessions: a.sessions + b.sessions,
        dropped: a.dropped + b.dropped,
        resyncs: a.resyncs + b.resyncs,
    }
}

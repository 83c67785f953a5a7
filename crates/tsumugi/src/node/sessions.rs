//! The TCP connections of the speaker.

use super::poll::{Poll, Token};
use crate::kernel::{Namespace, tcp};
use crate::observe::status::RefusedConnection;
use crate::peering::connection::{Connection, Heard};
use crate::peering::parting::Parting;
use crate::peering::socket::{self, Guard, Incoming, Refusal, Target};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, TcpListener};
use tsumugi_core::bgp::config::Terms;
use tsumugi_core::bgp::{ConnectionId, NeighbourId};
use tsumugi_core::time::Instant;

/// Connections that one neighbour may have opened to us at a time: one that lives, one that takes
/// its place, one that the kernel has not yet told us is gone, and one to spare.
const PER_NEIGHBOUR: usize = 4;
/// How often one connection is filled before the others have their turn.
const ROUNDS: usize = 8;
/// Connections that may be saying goodbye at a time; the oldest makes room.
const GOODBYES: usize = 64;

struct Live {
    connection: Connection,
    neighbour: NeighbourId,
    remote: IpAddr,
    guard: Guard,
    number: u32,
    dialling: bool,
    /// Whether the loop waits for it to become writable.
    awaiting_room: bool,
}

/// What a connection that became ready has come to.
#[derive(Debug)]
pub enum Progress {
    Nothing,
    Connected,
    ConnectFailed(io::Error),
}

pub struct Sessions {
    space: Namespace,
    listeners: Vec<TcpListener>,
    live: HashMap<ConnectionId, Live>,
    numbers: HashMap<u32, ConnectionId>,
    next_number: u32,
    next_accepted: u64,
    parting: Parting,
    refused: BTreeMap<RefusedConnection, u64>,
    /// Far ends that must sign what they send, with what, as the listeners know it.
    signing: BTreeMap<IpAddr, Vec<u8>>,
}

impl Sessions {
    pub fn new(space: Namespace) -> Sessions {
        Sessions {
            space,
            listeners: Vec::new(),
            live: HashMap::new(),
            numbers: HashMap::new(),
            next_number: 0,
            next_accepted: 0,
            parting: Parting::new(GOODBYES),
            refused: BTreeMap::new(),
            signing: BTreeMap::new(),
        }
    }

    /// Begins to listen on both families, unless we do.
    ///
    /// # Errors
    /// Somebody else has the port. To be tried again.
    pub fn listen(&mut self, poll: &Poll) -> io::Result<()> {
        if self.listeners.is_empty() {
            let listeners = self
                .space
                .run(|| socket::ANY.into_iter().map(socket::listen).collect::<io::Result<Vec<_>>>())?;
            for (place, listener) in (0..).zip(&listeners) {
                poll.add(listener, Token::Listener(place), false)?;
            }
            self.listeners = listeners;
        }
        Ok(())
    }

    /// Who must sign what it sends, and with what (RFC 2385): others may not, and nobody else need.
    /// Nothing changes while nobody listens.
    ///
    /// # Errors
    /// The kernel cannot.
    pub fn sign(&mut self, wanted: BTreeMap<IpAddr, Vec<u8>>) -> io::Result<()> {
        for listener in &self.listeners {
            let family = listener.local_addr()?;
            let of_family = |remote: &&IpAddr| remote.is_ipv6() == family.is_ipv6();
            let gone = self.signing.keys().filter(|remote| !wanted.contains_key(remote));
            for remote in gone.filter(of_family) {
                tcp::sign(listener, *remote, None)?;
            }
            let new = wanted.iter().filter(|(remote, secret)| self.signing.get(remote) != Some(secret));
            for (remote, secret) in new.filter(|(remote, _)| of_family(remote)) {
                tcp::sign(listener, *remote, Some(secret))?;
            }
        }
        if !self.listeners.is_empty() {
            self.signing = wanted;
        }
        Ok(())
    }

    /// Whether those who call from `remote` must sign.
    pub fn signs(&self, remote: IpAddr) -> bool {
        self.signing.contains_key(&remote)
    }

    /// # Errors
    /// As [`socket::dial`]; nothing is kept then.
    pub fn dial(
        &mut self,
        poll: &Poll,
        now: Instant,
        neighbour: NeighbourId,
        id: ConnectionId,
        target: &Target<'_>,
    ) -> io::Result<()> {
        let stream = self.space.run(|| socket::dial(target))?;
        let far = (neighbour, target.remote, target.guard.clone());
        self.admit(poll, id, far, Connection::patient(stream, now), true)
    }

    /// Asks of every connection what is wanted of its neighbour's now (`None`: as it was). What the kernel
    /// refuses, by neighbour: that waits for the next session.
    pub fn guard(
        &mut self,
        mut wanted: impl FnMut(NeighbourId) -> Option<Guard>,
    ) -> BTreeMap<NeighbourId, Vec<Refusal>> {
        let mut refused: BTreeMap<NeighbourId, Vec<Refusal>> = BTreeMap::new();
        for live in self.live.values_mut() {
            let Some(wanted) = wanted(live.neighbour) else { continue };
            let stream = &live.connection.stream;
            let refusals = socket::change_guard(stream, live.remote, &mut live.guard, &wanted);
            refused.entry(live.neighbour).or_default().extend(refusals);
        }
        refused
    }

    /// Takes what waits at a listener; `find` says which neighbour it is. Returns those taken.
    pub fn accept(
        &mut self,
        poll: &Poll,
        now: Instant,
        place: u32,
        find: impl Fn(&Incoming) -> Option<(NeighbourId, Terms)>,
    ) -> Vec<(NeighbourId, ConnectionId)> {
        let mut taken = Vec::new();
        let Some(listener) = usize::try_from(place).ok().and_then(|place| self.listeners.get(place)) else {
            return taken;
        };
        let mut waiting = Vec::new();
        // A bound for one round: the listener stays ready if more wait.
        for _ in 0..64 {
            match socket::accept(listener) {
                Ok(Some(incoming)) => waiting.push(Ok(incoming)),
                Ok(None) => break,
                Err(_) => waiting.push(Err(RefusedConnection::Lost)),
            }
        }
        for incoming in waiting {
            match incoming.and_then(|incoming| self.take(poll, now, incoming, &find)) {
                Ok(accepted) => taken.push(accepted),
                Err(reason) => *self.refused.entry(reason).or_default() += 1,
            }
        }
        taken
    }

    fn take(
        &mut self,
        poll: &Poll,
        now: Instant,
        incoming: Incoming,
        find: impl Fn(&Incoming) -> Option<(NeighbourId, Terms)>,
    ) -> Result<(NeighbourId, ConnectionId), RefusedConnection> {
        let Some((neighbour, terms)) = find(&incoming) else {
            tracing::debug!(from = %incoming.from, to = %incoming.to, index = incoming.index, "connection refused: not a neighbour");
            return Err(RefusedConnection::NotANeighbour);
        };
        let open = self.live.iter().filter(|(id, live)| live.neighbour == neighbour && id.is_accepted());
        if open.count() >= PER_NEIGHBOUR {
            return Err(RefusedConnection::TooMany);
        }
        if terms.password.is_some() && !self.signing.contains_key(&incoming.from) {
            return Err(RefusedConnection::Unsigned);
        }
        if terms.gtsm {
            socket::ask_gtsm(&incoming).map_err(|_| RefusedConnection::Lost)?;
        }
        let id = ConnectionId::accepted(self.next_accepted);
        self.next_accepted += 1;
        let secret = self.signing.get(&incoming.from).cloned();
        let far = (neighbour, incoming.from, Guard { gtsm: terms.gtsm, secret });
        self.admit(poll, id, far, Connection::patient(incoming.stream, now), false)
            .map_err(|_| RefusedConnection::Lost)?;
        Ok((neighbour, id))
    }

    fn admit(
        &mut self,
        poll: &Poll,
        id: ConnectionId,
        (neighbour, remote, guard): (NeighbourId, IpAddr, Guard),
        connection: Connection,
        dialling: bool,
    ) -> io::Result<()> {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        poll.add(&connection.stream, Token::Connection(number), dialling)?;
        self.numbers.insert(number, id);
        let awaiting_room = dialling;
        let live = Live { connection, neighbour, remote, guard, number, dialling, awaiting_room };
        self.live.insert(id, live);
        Ok(())
    }

    /// The local and the remote port of a connection.
    pub fn ports(&self, id: ConnectionId) -> Option<(u16, u16)> {
        let stream = &self.live.get(&id)?.connection.stream;
        Some((stream.local_addr().ok()?.port(), stream.peer_addr().ok()?.port()))
    }

    /// The connection with this number in the loop.
    pub fn by_number(&self, number: u32) -> Option<ConnectionId> {
        self.numbers.get(&number).copied()
    }

    /// What has become of an attempt to connect.
    pub fn progress(&mut self, id: ConnectionId) -> Progress {
        let Some(live) = self.live.get_mut(&id).filter(|live| live.dialling) else {
            return Progress::Nothing;
        };
        match socket::connected(&live.connection.stream) {
            None => Progress::Nothing,
            Some(Ok(())) => {
                live.dialling = false;
                Progress::Connected
            }
            Some(Err(error)) => Progress::ConnectFailed(error),
        }
    }

    /// # Errors
    /// The connection is gone.
    pub fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<Heard> {
        match self.live.get_mut(&id) {
            Some(live) if !live.dialling => live.connection.read(buffer),
            _ => Ok(Heard::Nothing),
        }
    }

    /// Whole messages to be sent; they leave with the next [`Sessions::flush`].
    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(live) = self.live.get_mut(&id) {
            live.connection.queue().extend_from_slice(bytes);
        }
    }

    /// Sends what the kernel takes; while there is room, `more` may add whole messages, and says
    /// whether it has yet more. Returns after [`ROUNDS`] at the latest; what is left waits for the
    /// loop to come round again. While anything waits, returns when the kernel last took some of it.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(
        &mut self,
        poll: &Poll,
        now: Instant,
        id: ConnectionId,
        mut more: impl FnMut(&mut Vec<u8>) -> bool,
    ) -> io::Result<Option<Instant>> {
        let Some(live) = self.live.get_mut(&id).filter(|live| !live.dialling) else { return Ok(None) };
        let mut pending = true;
        for _ in 0..ROUNDS {
            if !pending || !live.connection.has_room() {
                break;
            }
            pending = more(live.connection.queue());
            live.connection.flush(now)?;
        }
        live.connection.flush(now)?;
        let awaiting_room = pending || !live.connection.is_idle();
        if awaiting_room != live.awaiting_room {
            live.awaiting_room = awaiting_room;
            poll.change(&live.connection.stream, Token::Connection(live.number), awaiting_room)?;
        }
        Ok(live.connection.waits_since())
    }

    /// The connections' neighbours have other numbers from now on; `None`: it is no neighbour any more.
    pub fn renumber(&mut self, new: impl Fn(NeighbourId) -> Option<NeighbourId>) {
        for live in self.live.values_mut() {
            live.neighbour = new(live.neighbour).unwrap_or(NeighbourId(u16::MAX));
        }
    }

    /// Ends a connection; the last message still arrives if the far end takes it.
    pub fn close(&mut self, poll: &Poll, now: Instant, id: ConnectionId) {
        let Some(live) = self.live.remove(&id) else { return };
        self.numbers.remove(&live.number);
        poll.remove(&live.connection.stream);
        if !live.dialling {
            self.parting.add(live.connection, now);
        }
    }

    /// Forgets connections whose goodbye is over.
    pub fn tidy(&mut self, now: Instant, buffer: &mut [u8]) {
        self.parting.tidy(now, buffer);
    }

    /// When [`Sessions::tidy`] has work.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.parting.next_timeout()
    }

    /// Whether far ends have yet to take our last messages.
    pub fn is_parting(&self) -> bool {
        !self.parting.is_over()
    }

    /// How many connections were refused, by reason.
    pub fn refused(&self) -> &BTreeMap<RefusedConnection, u64> {
        &self.refused
    }
}

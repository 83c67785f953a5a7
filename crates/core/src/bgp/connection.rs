//! One TCP connection to a neighbour, as its session sees it.

use super::event::ConnectionId;
use crate::time::Instant;
use crate::wire::bgp::{Frame, MessageError, Open, frame};
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// What a connection waits for (the states of RFC 4271 8.2.2 from Connect on).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Await {
    /// That TCP connects (Connect).
    Tcp,
    /// The neighbour's OPEN; ours is sent (OpenSent).
    Open,
    /// What becomes of the other connection, which is to be preferred if its OPEN comes. We keep
    /// our KEEPALIVE back, so that the neighbour cannot take this one to stand meanwhile.
    Rival { open: Open, keepalive_heard: bool },
    /// The neighbour's KEEPALIVE; ours is sent (OpenConfirm).
    Keepalive { open: Open },
    /// Updates (Established).
    Update,
}

#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub id: ConnectionId,
    pub awaits: Await,
    /// When what it waits for must have come: TCP, OPEN, then the hold time.
    pub deadline: Option<Instant>,
    /// When the next KEEPALIVE is due.
    pub keepalive_at: Option<Instant>,
    /// The beginning of a message whose rest has not come: less than the longest message
    /// of the session.
    partial: Vec<u8>,
}

impl Connection {
    pub fn new(id: ConnectionId, awaits: Await, deadline: Instant) -> Connection {
        Connection { id, awaits, deadline: Some(deadline), keepalive_at: None, partial: Vec::new() }
    }

    /// Whether our OPEN has gone out on it, so that a NOTIFICATION makes sense.
    pub fn has_spoken(&self) -> bool {
        self.awaits != Await::Tcp
    }

    /// Whether the neighbour's OPEN has come on it.
    pub fn has_heard(&self) -> bool {
        !matches!(self.awaits, Await::Tcp | Await::Open)
    }

    /// All bytes not yet taken. What is left of them is to be given back to [`Connection::keep`].
    pub fn stream<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.partial.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut stream = core::mem::take(&mut self.partial);
        stream.extend_from_slice(bytes);
        Cow::Owned(stream)
    }

    pub fn keep(&mut self, rest: &[u8]) {
        self.partial.clear();
        self.partial.extend_from_slice(rest);
    }
}

/// Cuts the first message off a stream.
///
/// # Errors
/// See [`frame`].
pub(super) fn next_frame<'a>(
    stream: &mut &'a [u8],
    longest: usize,
) -> Result<Option<Frame<'a>>, MessageError> {
    let found = frame(stream, longest)?;
    if let Some(found) = &found {
        *stream = &stream[found.wire_len()..];
    }
    Ok(found)
}

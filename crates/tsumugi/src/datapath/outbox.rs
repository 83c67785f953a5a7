//! Outer packets on their way out: cut, and kept until a batch of them goes in one call. Their headers
//! are built here; the bytes of the inner packet stay where they were read.

use super::batch::{BATCH, Destination, Sender};
use crate::observe::status::Traffic;
use nix::errno::Errno;
use std::ops::Range;
use std::os::fd::OwnedFd;
use tsumugi_core::tunnel::{Counters, DropReason, Identifications, Outer};

/// One outer packet: what was built here, and what follows it in the packet that was read.
struct Message {
    own: Range<usize>,
    body: Range<usize>,
    /// Bytes of the inner packet that has gone whole with this one; zero before its last piece.
    completes: usize,
}

/// The outer packets of one tunnel, all to the same far end.
#[derive(Default)]
pub struct Outbox {
    own: Vec<u8>,
    messages: Vec<Message>,
    sender: Sender,
}

impl Outbox {
    /// Whether it is time to send.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= BATCH
    }

    /// Adds the outer packets whose payload is `head` and then `body`, a range of the packet that is
    /// given to [`Outbox::flush`]. `inner_len` is what is counted as sent.
    ///
    /// # Errors
    /// As [`Outer::pieces`].
    pub fn push(
        &mut self,
        outer: &Outer,
        identifications: &mut Identifications,
        head: &[u8],
        body: &Range<usize>,
        inner_len: usize,
    ) -> Result<(), DropReason> {
        let len = head.len() + body.len();
        let number = identifications.take(outer, len);
        for piece in outer.pieces(len, number)? {
            let start = self.own.len();
            self.own.extend_from_slice(piece.header());
            let Range { start: from, end: to } = piece.range;
            if from < head.len() {
                self.own.extend_from_slice(&head[from..to.min(head.len())]);
            }
            let in_body = |at: usize| body.start + at.saturating_sub(head.len());
            self.messages.push(Message {
                own: start..self.own.len(),
                body: in_body(from)..in_body(to),
                completes: if to == len { inner_len } else { 0 },
            });
        }
        Ok(())
    }

    /// What was added last leaves first.
    pub fn turn_round(&mut self) {
        self.messages.reverse();
    }

    /// Sends all that was added. One that the kernel refuses does not hold up the others; when its
    /// queue is full the rest is lost, as in any full queue. Returns the inner packets that have gone
    /// whole.
    pub fn flush(
        &mut self,
        socket: &OwnedFd,
        to: &Destination,
        source: &[u8],
        drops: &mut Counters,
    ) -> Traffic {
        let mut sent = Traffic::default();
        let mut messages = &self.messages[..];
        while !messages.is_empty() {
            let packet = |at: usize| {
                let Message { own, body, .. } = &messages[at];
                [&self.own[own.clone()], &source[body.clone()]]
            };
            match self.sender.send(socket, to, messages.len(), packet) {
                Ok(count) => {
                    for gone in messages[..count].iter().filter(|gone| gone.completes > 0) {
                        sent.add(Traffic { packets: 1, bytes: gone.completes as u64 });
                    }
                    messages = &messages[count..];
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    drops.add(DropReason::SendFailed, messages.len() as u64);
                    break;
                }
                Err(_) => {
                    drops.count(DropReason::SendFailed);
                    messages = &messages[1..];
                }
            }
        }
        self.clear();
        sent
    }

    /// Forgets what was added.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.own.clear();
    }
}

//! WireGuard's packets on their way out. What fits the path leaves by the tunnel's UDP socket, as much of it
//! in one as goes; what has to be cut leaves in pieces of our own, as that of any other tunnel. The order is
//! kept.

use super::line::Line;
use super::outbox::Outbox;
use super::outward::send_pieces;
use super::tunnel::{Inside, Tunnel};
use super::udp::{Datagrams, Flow};
use super::wireguard::{OVERHEAD, WireGuard};
use std::time::Instant;
use tsumugi_core::tunnel::DropReason;
use tsumugi_core::wire::udp;

/// The largest datagram, its header included.
const ROOM: usize = 65_536;

pub struct Sealer {
    datagrams: Datagrams,
    /// One with its UDP header.
    whole: Vec<u8>,
}

impl Sealer {
    pub fn new() -> Sealer {
        Sealer { datagrams: Datagrams::new(), whole: vec![0; ROOM] }
    }

    /// Whether it is time to send.
    pub fn is_full(&self) -> bool {
        self.datagrams.is_full()
    }

    /// Seals an inner packet and adds what leaves for it. All that waits to be sent is this tunnel's.
    ///
    /// # Errors
    /// `NoSession`, and what is missing of the outer side.
    pub fn push(
        &mut self,
        now: Instant,
        (tunnel, line, outbox): (&mut Tunnel, &mut Line, &mut Outbox),
        inner: &[u8],
        traffic_class: u8,
    ) -> Result<(), DropReason> {
        let Inside::WireGuard(wireguard) = &tunnel.inside else { return Ok(()) };
        let flow = wireguard.flow(traffic_class)?;
        let outer = tunnel.outer(flow.from, flow.to.ip())?.with_traffic_class(traffic_class);
        let goes_whole = wireguard.socket.is_some() && outer.fits(udp::HEADER_LEN + OVERHEAD + inner.len());
        if goes_whole && !outbox.is_empty() {
            send_pieces((outbox, &[]), tunnel, line, |senders| &senders.bulk);
        }
        if self.datagrams.is_full() || !goes_whole {
            self.flush(tunnel);
        }
        let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return Ok(()) };
        if goes_whole {
            let len = wireguard.seal(now, inner, self.datagrams.room())?;
            self.datagrams.push(flow, wireguard.in_one, len, inner.len());
            return Ok(());
        }
        let (_, numbers) = line.senders(flow.to.is_ipv6())?;
        let datagram = self.seal(now, wireguard, &flow, inner)?;
        outbox.push(&outer, numbers, datagram, &(0..0), inner.len())
    }

    /// Sends the datagrams that fit the path.
    pub fn flush(&mut self, tunnel: &mut Tunnel) {
        let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return };
        let Some(socket) = wireguard.socket.as_ref().filter(|_| !self.datagrams.is_empty()) else { return };
        let sent = self.datagrams.flush(socket, &mut wireguard.in_one, &mut tunnel.drops);
        tunnel.sent.add(sent);
    }

    /// One inner packet as a datagram with its header, for who sends it by itself.
    ///
    /// # Errors
    /// As [`WireGuard::seal`].
    pub fn seal(
        &mut self,
        now: Instant,
        wireguard: &mut WireGuard,
        flow: &Flow,
        inner: &[u8],
    ) -> Result<&[u8], DropReason> {
        let len = wireguard.seal(now, inner, &mut self.whole[udp::HEADER_LEN..])?;
        self.head(wireguard, flow, len)
    }

    /// The same for a message of the protocol's own.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn wrap(&mut self, wireguard: &WireGuard, flow: &Flow, message: &[u8]) -> Result<&[u8], DropReason> {
        let room = self.whole.get_mut(udp::HEADER_LEN..udp::HEADER_LEN + message.len());
        room.ok_or(DropReason::TooLarge)?.copy_from_slice(message);
        self.head(wireguard, flow, message.len())
    }

    /// Writes the UDP header in front of the `len` bytes that stand behind its room.
    fn head(&mut self, wireguard: &WireGuard, flow: &Flow, len: usize) -> Result<&[u8], DropReason> {
        let header = wireguard.header(flow, len);
        let datagram = &mut self.whole[..header.buffer_len()];
        header.emit(datagram, flow.from, flow.to.ip())?;
        Ok(datagram)
    }
}

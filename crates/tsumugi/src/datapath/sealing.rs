//! WireGuard's packets on their way out. What fits the path leaves by the tunnel's UDP socket, as much of it
//! in one as goes; what has to be cut leaves in pieces of our own, as that of any other tunnel. The order is
//! kept.

use super::forward::send_pieces;
use super::line::Line;
use super::outbox::Outbox;
use super::tunnel::{Inside, Tunnel};
use super::udp::{Datagrams, Flow};
use super::wireguard::OVERHEAD;
use std::time::Instant;
use tsumugi_core::tunnel::{DropReason, Outer};
use tsumugi_core::wire::ip::protocol;
use tsumugi_core::wire::udp;

/// The largest datagram, its header included.
const ROOM: usize = 65_536;

pub struct Sealer {
    datagrams: Datagrams,
    /// One that has to be cut.
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
        let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return Ok(()) };
        let flow = wireguard.flow(traffic_class)?;
        let outer = Outer::new(flow.from, flow.to.ip(), protocol::UDP, tunnel.plan.path_mtu)
            .ok_or(DropReason::NoRemote)?
            .with_traffic_class(traffic_class);
        if wireguard.socket.is_some() && outer.fits(udp::HEADER_LEN + OVERHEAD + inner.len()) {
            if !outbox.is_empty() {
                send_pieces(outbox, &[], tunnel, line);
            }
            if self.datagrams.is_full() {
                self.flush(tunnel);
            }
            let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return Ok(()) };
            let len = wireguard.seal(now, inner, self.datagrams.room())?;
            self.datagrams.push(flow, wireguard.in_one, len, inner.len());
            return Ok(());
        }
        let len = wireguard.seal(now, inner, &mut self.whole[udp::HEADER_LEN..])?;
        let header = wireguard.header(&flow, len);
        let datagram = &mut self.whole[..header.buffer_len()];
        header.emit(datagram, flow.from, flow.to.ip())?;
        if !self.datagrams.is_empty() {
            self.flush(tunnel);
        }
        let (_, numbers) = line.sender(flow.to.is_ipv6())?;
        outbox.push(&outer, numbers, &self.whole[..header.buffer_len()], &(0..0), inner.len())
    }

    /// Sends the datagrams that fit the path.
    pub fn flush(&mut self, tunnel: &mut Tunnel) {
        let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return };
        let Some(socket) = &wireguard.socket else { return };
        let sent = self.datagrams.flush(socket, &mut wireguard.in_one, &mut tunnel.drops);
        tunnel.sent.add(sent);
    }

    /// Sends a message of the protocol's own.
    pub fn send(&mut self, tunnel: &mut Tunnel, flow: Flow, message: &[u8]) {
        self.datagrams.room()[..message.len()].copy_from_slice(message);
        self.datagrams.push(flow, false, message.len(), 0);
        self.flush(tunnel);
    }

    /// Sends what the tunnel owes because of the time: keepalives, handshakes.
    pub fn on_time(&mut self, now: Instant, tunnel: &mut Tunnel) {
        let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return };
        if wireguard.socket.is_none() {
            return;
        }
        let Some(len) = wireguard.on_time(now, self.datagrams.room()) else { return };
        match wireguard.flow(0) {
            Ok(flow) => {
                self.datagrams.push(flow, false, len, 0);
                self.flush(tunnel);
            }
            Err(reason) => tunnel.drops.count(reason),
        }
    }
}

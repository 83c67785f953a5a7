//! What the datapath itself says inside tunnels, and hears there: past the bulk, and never through a device.

use super::batch::BATCH;
use super::forward::{Buffers, Forwarding, Health};
use super::keepalive::{Came, Keeping, ROOM};
use super::line::Line;
use super::outward::{planned, send_pieces};
use super::probing::Heard;
use super::tunnel::{Inside, Tunnel};
use std::time::Instant;
use tsumugi_core::tunnel::{DropReason, MAX_SHIM_LEN, encapsulate, signal};

/// Signals of measurements that may wait until the loop looks at them.
const HEARD: usize = 1024;

impl Forwarding {
    /// When far ends are to be looked at next.
    pub fn next_round(&self, now: Instant) -> Option<Instant> {
        self.buffers.round.next_timeout(now)
    }

    /// Finds when the next round is; to be called at the end of one.
    pub fn end_round(&mut self) {
        let keeping = self.tunnels.iter().flatten().filter_map(|tunnel| tunnel.keeping.as_ref());
        self.buffers.round.end(keeping.map(Keeping::next_timeout).min());
    }

    /// Asks the far ends that are silent.
    pub fn ask(&mut self, now: Instant) {
        let mut question = [0; ROOM];
        for tunnel in self.tunnels.iter_mut().flatten() {
            let Some(keeping) = &mut tunnel.keeping else { continue };
            let Some(len) = keeping.poll(now, &mut question) else { continue };
            if keeping.misses_answers() {
                tunnel.renew();
            }
            if let Some(line) = self.lines.get_mut(tunnel.line)
                && let Err(reason) = self.buffers.speak(now, tunnel, line, &question[..len])
            {
                tunnel.drops.count(reason);
            }
        }
    }

    /// Takes in what the kernel's own device of a tunnel has brought of signals.
    pub fn on_signals(&mut self, now: Instant, slot: usize) -> Health {
        let mut frame = [0; ROOM];
        for _ in 0..BATCH {
            let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { break };
            let Some(len) = tunnel.keeping.as_ref().and_then(|keeping| keeping.kernel.receive(&mut frame))
            else {
                break;
            };
            self.buffers.attend(now, (slot, tunnel), &mut self.lines, &frame[..len.min(ROOM)]);
        }
        Health::Well
    }
}

impl Buffers {
    /// Sends an inner packet of the datapath's own: at once, marked as network control (CS6), by a socket
    /// that no bulk waits in. It is not counted as sent.
    ///
    /// # Errors
    /// Why it could not be.
    pub fn speak(
        &mut self,
        now: Instant,
        tunnel: &mut Tunnel,
        line: &mut Line,
        inner: &[u8],
    ) -> Result<(), DropReason> {
        if let Inside::Kernel = tunnel.inside {
            let keeping = tunnel.keeping.as_ref().ok_or(DropReason::DeviceFailed)?;
            return keeping.kernel.send(inner).map_err(|_| DropReason::DeviceFailed);
        }
        let (_, numbers) = line.senders(tunnel.plan.outer_ipv6)?;
        match &mut tunnel.inside {
            &mut Inside::Shim(shim) => {
                let outer = planned(tunnel)?.with_traffic_class(signal::TRAFFIC_CLASS);
                let place = MAX_SHIM_LEN..MAX_SHIM_LEN + inner.len();
                self.whole[place.clone()].copy_from_slice(inner);
                let payload = encapsulate(shim, &outer, &mut self.whole, place)?;
                self.outbox.push(&outer, numbers, &self.whole[payload], &(0..0), 0)?;
            }
            Inside::WireGuard(wireguard) => {
                let flow = wireguard.flow(signal::TRAFFIC_CLASS)?;
                let datagram = self.sealer.seal(now, wireguard, &flow, inner)?;
                let outer = tunnel.outer(flow.from, flow.to.ip())?.with_traffic_class(flow.traffic_class);
                self.outbox.push(&outer, numbers, datagram, &(0..0), 0)?;
            }
            Inside::Kernel => {}
        }
        send_pieces((&mut self.outbox, &self.packets), tunnel, line, |senders| &senders.urgent);
        Ok(())
    }

    /// Whether an inner packet that came was for the datapath itself; a question is answered.
    pub fn attend(
        &mut self,
        now: Instant,
        (slot, tunnel): (usize, &mut Tunnel),
        lines: &mut [Line],
        frame: &[u8],
    ) -> bool {
        let Some(keeping) = &mut tunnel.keeping else { return false };
        let mut answer = [0; ROOM];
        let len = match keeping.take(now, frame, &mut answer) {
            Came::Packet => return false,
            Came::Signal => 0,
            Came::Measured(said) => {
                if self.heard.len() < HEARD {
                    self.heard.push(Heard { slot, at: now, said });
                } else {
                    tunnel.drops.count(DropReason::QuestionTooMany);
                }
                0
            }
            Came::Question(len) => len,
        };
        tunnel.hear(now, &mut self.round);
        if len > 0
            && let Some(line) = lines.get_mut(tunnel.line)
            && let Err(reason) = self.speak(now, tunnel, line, &answer[..len])
        {
            tunnel.drops.count(reason);
        }
        true
    }
}

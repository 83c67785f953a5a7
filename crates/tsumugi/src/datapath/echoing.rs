//! Echo requests of a measurement, where nobody at the far end speaks our signals: to a neighbour inside the
//! tunnel, or to the far end's machine beside it, in packets of the tunnel's own sizes and pieces.

use super::probing::Said;
use super::socket::{Senders, receiver, senders};
use crate::kernel::Namespace;
use crate::state::PathEnds;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recv, sendto};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use tsumugi_core::mtu::Way;
use tsumugi_core::tunnel::neighbour::Reached;
use tsumugi_core::tunnel::path::Shape;
use tsumugi_core::tunnel::{DropReason, HOP_LIMIT, Outer};
use tsumugi_core::wire::echo::{self, Reply, Request};
use tsumugi_core::wire::ethernet::{self, Frame, ethertype};
use tsumugi_core::wire::{ip, ipv4, ipv6};

/// What an answer has to bring back: the measurement's number and the request's.
const MARK_LEN: usize = 12;
/// Room for any answer.
const LARGEST: usize = 65_536;
/// Answers taken in one turn of the loop.
const AT_ONCE: usize = 64;

/// Writes a request of a run over the whole message.
fn write(message: &mut [u8], (source, destination): (IpAddr, IpAddr), run: u64, sequence: u32) -> Option<()> {
    message.fill(0);
    let mark = message.get_mut(echo::HEADER_LEN..echo::HEADER_LEN + MARK_LEN)?;
    mark[..8].copy_from_slice(&run.to_be_bytes());
    mark[8..].copy_from_slice(&sequence.to_be_bytes());
    // The field is for whoever looks at the wire; we go by the mark.
    let request = Request { identifier: run as u16, sequence: sequence as u16 };
    request.emit(source, destination, message);
    Some(())
}

/// The run and the sequence that an answer brings back.
fn mark(reply: &Reply<'_>) -> Option<(u64, u32)> {
    let (run, rest) = reply.data.split_first_chunk()?;
    Some((u64::from_be_bytes(*run), u32::from_be_bytes(*rest.first_chunk()?)))
}

/// The sequence of the request of this run that a frame answers.
pub fn answered(frame: &[u8], run: u64) -> Option<u32> {
    let frame = Frame::new_checked(frame).ok()?;
    if !matches!(frame.ethertype(), ethertype::IPV4 | ethertype::IPV6) {
        return None;
    }
    let reply = Reply::of_packet(frame.payload()).ok()??;
    mark(&reply).filter(|(of, _)| *of == run).map(|(_, sequence)| sequence)
}

/// Fills a frame with a request to the neighbour.
///
/// # Errors
/// `QuestionShape` if it is too short for one.
pub fn write_inside(frame: &mut [u8], to: &Reached, run: u64, sequence: u32) -> Result<(), DropReason> {
    let (header, packet) =
        frame.split_at_mut_checked(ethernet::HEADER_LEN).ok_or(DropReason::QuestionShape)?;
    let (source, destination) = (to.source, to.address);
    let next_header = echo::protocol_of(destination);
    let (message, ethertype) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (header, message) =
                packet.split_at_mut_checked(ipv4::HEADER_LEN).ok_or(DropReason::QuestionShape)?;
            let repr = ipv4::Repr {
                source,
                destination,
                protocol: next_header,
                hop_limit: HOP_LIMIT,
                traffic_class: 0,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: message.len(),
            };
            repr.emit(header);
            (message, ethertype::IPV4)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let (header, message) =
                packet.split_at_mut_checked(ipv6::HEADER_LEN).ok_or(DropReason::QuestionShape)?;
            let repr = ipv6::Repr {
                source,
                destination,
                next_header,
                hop_limit: HOP_LIMIT,
                traffic_class: 0,
                flow_label: 0,
                payload_len: message.len(),
            };
            repr.emit(header);
            (message, ethertype::IPV6)
        }
        _ => return Err(DropReason::NoRemote),
    };
    write(message, (source, destination), run, sequence).ok_or(DropReason::QuestionShape)?;
    let (ours, theirs) = to.macs;
    ethernet::Repr { destination: theirs, source: ours, ethertype }.emit(header);
    Ok(())
}

/// What asks the far end's machine. Its packets go through the stack, as the tunnel's line need not be open.
pub struct Beside {
    senders: Senders,
    receiver: OwnedFd,
    from: IpAddr,
    to: IpAddr,
    buffer: Vec<u8>,
}

impl AsFd for Beside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl Beside {
    /// # Errors
    /// ENODEV while the line is not there; EPERM without CAP_NET_RAW.
    pub fn open(underlay: &Namespace, ends: &PathEnds) -> io::Result<Beside> {
        let (from, to) = (ends.local, ends.remote);
        let ipv6 = to.is_ipv6();
        Ok(Beside {
            senders: senders(underlay, &ends.line, ipv6)?,
            receiver: receiver(underlay, &ends.line, ipv6, echo::protocol_of(to), false)?,
            from,
            to,
            buffer: vec![0; LARGEST],
        })
    }

    /// Sends a request whose packets are as the tunnel's of this shape would be.
    ///
    /// # Errors
    /// Why it could not be.
    pub fn send(&mut self, way: &Way, shape: &Shape, run: u64, sequence: u32) -> Result<(), DropReason> {
        let len = way.whole(shape.inner.into()).saturating_sub(way.outer.header()) as usize;
        let message = self.buffer.get_mut(..len).ok_or(DropReason::TooLarge)?;
        write(message, (self.from, self.to), run, sequence).ok_or(DropReason::QuestionShape)?;
        let outer = Outer::new(self.from, self.to, echo::protocol_of(self.to), shape.path);
        let outer = outer.ok_or(DropReason::NoRemote)?.with_dont_fragment();
        let pieces = outer.fragments(message, rand::random())?;
        let mut packets: Vec<_> = pieces.map(|piece| [piece.header(), piece.payload].concat()).collect();
        if shape.turned {
            packets.reverse();
        }
        let to = SockaddrStorage::from(SocketAddr::new(self.to, 0));
        for packet in packets {
            // One that cannot be sent is one that does not arrive.
            let _ = sendto(self.senders.bulk.as_raw_fd(), &packet, &to, MsgFlags::MSG_DONTWAIT);
        }
        Ok(())
    }

    /// The runs and sequences of the answers that wait.
    pub fn answers(&mut self) -> Vec<(u64, u32)> {
        let mut answers = Vec::new();
        for _ in 0..AT_ONCE {
            let len = match recv(self.receiver.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => len,
                Err(Errno::EINTR | Errno::ENETDOWN) => continue,
                Err(_) => break,
            };
            answers.extend(self.buffer.get(..len).and_then(|bytes| self.answer(bytes)));
        }
        answers
    }

    fn answer(&self, bytes: &[u8]) -> Option<(u64, u32)> {
        // With the header in IPv4, without it in IPv6, where the kernel has looked at the checksum (RFC 3542 3.1).
        let reply = match self.to {
            IpAddr::V4(_) => {
                let packet = ip::Packet::new_checked(bytes).ok()?;
                let is_theirs =
                    matches!(packet, ip::Packet::V4(packet) if IpAddr::V4(packet.source()) == self.to);
                Reply::of_packet(bytes).ok()?.filter(|_| is_theirs)?
            }
            IpAddr::V6(_) => Reply::parse(bytes, true)?,
        };
        mark(&reply)
    }
}

impl Said {
    /// What a frame says that answers an echo request of this run.
    pub fn of_echo(frame: &[u8], run: u64) -> Option<Said> {
        answered(frame, run).map(|sequence| Said::echo(run, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsumugi_core::id::Mac;

    #[test]
    fn only_answers_to_our_own_requests_are_taken() {
        for (source, address) in [("203.0.113.2", "203.0.113.1"), ("2001:db8::2", "2001:db8::1")] {
            let to = Reached {
                macs: (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 9])),
                source: source.parse().unwrap(),
                address: address.parse().unwrap(),
            };
            let mut frame = vec![0; ethernet::HEADER_LEN + 128];
            write_inside(&mut frame, &to, 7, 3).unwrap();
            assert_eq!(frame[..12], [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1]);
            assert_eq!(answered(&frame, 7), None, "it is the request");
            let (at, kind, sum) = if to.source.is_ipv6() { (54, 129, 1) } else { (34, 0, 8) };
            // The type is one more, or eight less; the sum follows.
            let before = u16::from_be_bytes([frame[at + 2], frame[at + 3]]);
            let after = if kind == 0 { before + (sum << 8) } else { before - (sum << 8) };
            frame[at] = kind;
            frame[at + 2..at + 4].copy_from_slice(&after.to_be_bytes());
            assert_eq!(answered(&frame, 7), Some(3));
            assert_eq!(answered(&frame, 8), None, "somebody else's");
            let mut short = vec![0; ethernet::HEADER_LEN + 30];
            assert_eq!(write_inside(&mut short, &to, 7, 3), Err(DropReason::QuestionShape));
        }
    }
}

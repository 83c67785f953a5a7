//! ICMP and ICMPv6 echo (RFC 792, RFC 4443) by raw sockets: exact sizes, chosen sources, no cutting.

use super::options::{Cutting, set_cutting};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const V4_REQUEST: u8 = 8;
const V4_REPLY: u8 = 0;
const V6_REQUEST: u8 = 128;
const V6_REPLY: u8 = 129;
/// ICMP's own header: type, code, checksum, identifier, sequence number.
const ICMP_HEADER: usize = 8;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
/// Room for the largest packet that a link of ours carries.
const LARGEST: usize = 65_536;

/// The bytes that every request of the proofs carries first, so that captures know them.
pub const MARK: [u8; 8] = *b"tsumugi!";

/// The smallest request that holds its [`MARK`], in bytes of the whole IP packet.
pub fn smallest(destination: IpAddr) -> usize {
    ip_header(destination) + ICMP_HEADER + MARK.len()
}

fn ip_header(address: IpAddr) -> usize {
    if address.is_ipv6() { V6_HEADER } else { V4_HEADER }
}

/// A raw socket that asks and hears answers, of one family and one source address.
pub struct EchoSocket {
    socket: Socket,
    ipv6: bool,
    buffer: Vec<u8>,
}

/// An answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    pub identifier: u16,
    pub sequence: u16,
    /// Bytes of the whole IP packet.
    pub length: usize,
}

impl EchoSocket {
    /// Opens it in the calling thread's namespace. Requests leave with `source`, and by `device` if one
    /// is named, whatever the routes say.
    ///
    /// # Errors
    /// If the namespace has no such address or device, or raw sockets are forbidden.
    pub fn open(source: IpAddr, device: Option<&str>, cutting: Cutting) -> io::Result<EchoSocket> {
        let ipv6 = source.is_ipv6();
        let (domain, protocol) =
            if ipv6 { (Domain::IPV6, Protocol::ICMPV6) } else { (Domain::IPV4, Protocol::ICMPV4) };
        let socket = Socket::new(domain, Type::RAW.cloexec().nonblocking(), Some(protocol))?;
        if let Some(device) = device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        set_cutting(&socket, ipv6, cutting)?;
        socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
        // What does not fit is lost, and shows as loss; an ordinary user gets what the kernel allows.
        let _ = socket.set_recv_buffer_size(1 << 20);
        Ok(EchoSocket { socket, ipv6, buffer: Vec::new() })
    }

    /// Sends a request of `length` bytes, IP header included; at least [`smallest`].
    ///
    /// # Errors
    /// What the kernel answers: no route, or too large a packet where cutting is refused.
    pub fn ask(
        &mut self,
        destination: IpAddr,
        identifier: u16,
        sequence: u16,
        length: usize,
    ) -> io::Result<()> {
        let header = ip_header(destination);
        self.buffer.clear();
        self.buffer.resize(length.max(smallest(destination)) - header, 0x5a);
        let [id_high, id_low] = identifier.to_be_bytes();
        let [seq_high, seq_low] = sequence.to_be_bytes();
        let kind = if self.ipv6 { V6_REQUEST } else { V4_REQUEST };
        self.buffer[..ICMP_HEADER].copy_from_slice(&[kind, 0, 0, 0, id_high, id_low, seq_high, seq_low]);
        self.buffer[ICMP_HEADER..ICMP_HEADER + MARK.len()].copy_from_slice(&MARK);
        if !self.ipv6 {
            // ICMPv6's checksum covers a pseudo header and is the kernel's work (RFC 3542 3.1).
            let sum = checksum(&self.buffer);
            self.buffer[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        self.socket.send_to(&self.buffer, &SockAddr::from(SocketAddr::new(destination, 0)))?;
        Ok(())
    }

    /// The next answer that waits, `None` if there is none.
    ///
    /// # Errors
    /// What the kernel answers, except that nothing waits.
    pub fn hear(&mut self) -> io::Result<Option<Reply>> {
        self.buffer.resize(LARGEST, 0);
        loop {
            let length = match (&self.socket).read(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Some(reply) = read_reply(&self.buffer[..length], self.ipv6) {
                return Ok(Some(reply));
            }
        }
    }
}

impl AsFd for EchoSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// IPv4 raw sockets deliver the IP header as well, IPv6 ones do not.
fn read_reply(packet: &[u8], ipv6: bool) -> Option<Reply> {
    let (icmp, kind) = if ipv6 {
        (packet, V6_REPLY)
    } else {
        let header = usize::from(packet.first()? & 0x0f) * 4;
        (packet.get(header..)?, V4_REPLY)
    };
    let &[found, _, _, _, id_high, id_low, seq_high, seq_low] = icmp.first_chunk::<ICMP_HEADER>()?;
    let length = if ipv6 { packet.len() + V6_HEADER } else { packet.len() };
    (found == kind).then_some(Reply {
        identifier: u16::from_be_bytes([id_high, id_low]),
        sequence: u16::from_be_bytes([seq_high, seq_low]),
        length,
    })
}

/// The Internet checksum (RFC 1071).
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// One question of a round: who asks whom. The index of its socket in the slice given to [`ask_all`].
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub socket: usize,
    pub destination: IpAddr,
    /// Bytes of the whole IP packet.
    pub length: usize,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Answered; the time of the round trip.
    After(Duration),
    /// Sent, as often as there was time for, and never answered.
    Silence,
    /// The kernel did not send it: its words.
    Unsent(String),
}

impl Answer {
    pub fn came(&self) -> bool {
        matches!(self, Answer::After(_))
    }
}

/// Asks all questions at once, and again every `again` those that are unanswered, until every one is
/// answered or `patience` is over.
///
/// # Errors
/// If a socket or poll(2) fails altogether.
pub fn ask_all(
    sockets: &mut [EchoSocket],
    questions: &[Question],
    again: Duration,
    patience: Duration,
) -> io::Result<Vec<Answer>> {
    let start = Instant::now();
    let base = identifier_base();
    let mut answers = vec![Answer::Silence; questions.len()];
    // The moment of the first round, by sequence number.
    let mut rounds: Vec<Instant> = Vec::new();
    let mut open = questions.len();
    while open > 0 && start.elapsed() < patience && rounds.len() < usize::from(u16::MAX) {
        let sequence = u16::try_from(rounds.len()).unwrap_or(u16::MAX);
        rounds.push(Instant::now());
        for (index, question) in questions.iter().enumerate() {
            if answers[index].came() {
                continue;
            }
            let identifier = base.wrapping_add(index as u16);
            let socket = &mut sockets[question.socket];
            answers[index] = match socket.ask(question.destination, identifier, sequence, question.length) {
                Ok(()) => Answer::Silence,
                Err(error) => Answer::Unsent(error.to_string()),
            };
        }
        let until = (Instant::now() + again).min(start + patience);
        while open > 0 && Instant::now() < until {
            wait(sockets, until)?;
            open -= collect(sockets, questions, &rounds, base, &mut answers)?;
        }
    }
    Ok(answers)
}

/// Reads all answers that wait; how many questions they settled.
fn collect(
    sockets: &mut [EchoSocket],
    questions: &[Question],
    rounds: &[Instant],
    base: u16,
    answers: &mut [Answer],
) -> io::Result<usize> {
    let mut settled = 0;
    for (number, socket) in sockets.iter_mut().enumerate() {
        while let Some(reply) = socket.hear()? {
            let index = usize::from(reply.identifier.wrapping_sub(base));
            let (Some(question), Some(sent)) =
                (questions.get(index), rounds.get(usize::from(reply.sequence)))
            else {
                continue;
            };
            if question.socket == number && !answers[index].came() && reply.length == question.length {
                answers[index] = Answer::After(sent.elapsed());
                settled += 1;
            }
        }
    }
    Ok(settled)
}

/// Waits until one of the sockets has something to read, or until the moment has come.
pub(super) fn wait(sockets: &[EchoSocket], until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up, so that a wait of less than a millisecond is not a busy loop.
    let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
    let mut fds: Vec<PollFd> =
        sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Two rounds that run at once must not take each other's answers.
pub(super) fn identifier_base() -> u16 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[0xff]), !0xff00);
    }

    #[test]
    fn replies_are_told_from_requests() {
        let mut v4 = [0u8; 28];
        v4[0] = 0x45;
        v4[20] = V4_REPLY;
        v4[24..28].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(read_reply(&v4, false), Some(Reply { identifier: 0x102, sequence: 0x304, length: 28 }));
        v4[20] = V4_REQUEST;
        assert_eq!(read_reply(&v4, false), None);
        assert_eq!(read_reply(&v4[..21], false), None);
        let v6 = [V6_REPLY, 0, 0, 0, 0, 7, 0, 9];
        assert_eq!(read_reply(&v6, true), Some(Reply { identifier: 7, sequence: 9, length: 48 }));
    }
}

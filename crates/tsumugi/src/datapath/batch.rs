//! Many packets in one call to the kernel, both ways.
#![allow(unsafe_code)]

use nix::errno::Errno;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

/// Packets in one call.
pub const BATCH: usize = 64;
/// Room for one packet: the largest there is, with whatever stands in front of it.
const STRIDE: usize = 65_536 + 256;
/// Room for the control messages of one packet: packet information, traffic class, segment size, what is said
/// of checksums.
const CONTROL_LEN: usize = 128;

/// Where packets are sent to.
#[derive(Clone, Copy)]
pub enum Destination {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
    /// Past the stack, to a next hop.
    Link(libc::sockaddr_ll),
}

impl From<IpAddr> for Destination {
    fn from(address: IpAddr) -> Destination {
        match address {
            IpAddr::V4(address) => {
                // SAFETY: plain data for which all zeros is a value.
                let mut to: libc::sockaddr_in = unsafe { mem::zeroed() };
                to.sin_family = libc::AF_INET as libc::sa_family_t;
                to.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
                Destination::V4(to)
            }
            IpAddr::V6(address) => {
                // SAFETY: plain data for which all zeros is a value.
                let mut to: libc::sockaddr_in6 = unsafe { mem::zeroed() };
                to.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                to.sin6_addr.s6_addr = address.octets();
                Destination::V6(to)
            }
        }
    }
}

impl Destination {
    fn raw(&self) -> (*const libc::c_void, usize) {
        match self {
            Destination::V4(to) => (ptr::from_ref(to).cast(), size_of_val(to)),
            Destination::V6(to) => (ptr::from_ref(to).cast(), size_of_val(to)),
            Destination::Link(to) => (ptr::from_ref(to).cast(), size_of_val(to)),
        }
    }
}

/// The tables that the kernel reads a batch from, kept from one call to the next.
#[derive(Default)]
pub struct Sender {
    parts: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

impl Sender {
    /// Sends the first of `count` packets, each of two parts that follow one another; returns how many
    /// have gone, one at least.
    ///
    /// # Errors
    /// Why the first one did not go.
    pub fn send<'a>(
        &mut self,
        socket: &impl AsFd,
        to: &Destination,
        count: usize,
        packet: impl Fn(usize) -> [&'a [u8]; 2],
    ) -> nix::Result<usize> {
        let count = count.min(BATCH);
        self.parts.clear();
        self.messages.clear();
        for at in 0..count {
            self.parts.extend(
                packet(at).map(|part| libc::iovec {
                    iov_base: part.as_ptr().cast_mut().cast(),
                    iov_len: part.len(),
                }),
            );
        }
        let (name, name_len) = to.raw();
        for parts in self.parts.chunks_exact_mut(2) {
            // SAFETY: plain data for which all zeros is a value.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_name = name.cast_mut();
            message.msg_hdr.msg_namelen = name_len as libc::socklen_t;
            message.msg_hdr.msg_iov = parts.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
            self.messages.push(message);
        }
        // SAFETY: `messages` and `parts` are not touched until the call is over and point to the
        // address and to slices that live across it; the kernel only reads what they point to.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                self.messages.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        Errno::result(sent).map(|sent| usize::try_from(sent).unwrap_or(0))
    }
}

/// What came in.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Where in the buffer.
    pub at: Range<usize>,
    /// The port is zero for raw sockets.
    pub source: SocketAddr,
    /// `None` where the socket was not asked to tell: raw IPv4 has it in the header.
    pub destination: Option<IpAddr>,
    /// DSCP and ECN, where told.
    pub traffic_class: u8,
    /// Bytes of each of several datagrams that the kernel has merged; the last one may have fewer.
    segment: Option<usize>,
}

impl Arrival {
    /// Of one datagram, which stands nowhere yet.
    pub fn of(source: SocketAddr, destination: Option<IpAddr>, traffic_class: u8) -> Arrival {
        Arrival { at: 0..0, source, destination, traffic_class, segment: None }
    }

    /// Where in the buffer each datagram stands: one at least, which may be empty.
    pub fn datagrams(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let Range { start, end } = self.at;
        let step = self.segment.unwrap_or(end - start).max(1);
        let count = (end - start).div_ceil(step).max(1);
        (0..count).map(move |place| start + place * step).map(move |at| at..(at + step).min(end))
    }
}

/// What the kernel is to say of each packet beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// The bytes say all.
    Nothing,
    /// Where it came from, and whatever the socket was asked to tell.
    Ends,
}

/// Room for a batch, and what the kernel says of each packet. Pages that no packet has touched cost
/// no memory.
pub struct Inbox {
    pub buffer: Vec<u8>,
    controls: Vec<[u64; CONTROL_LEN / 8]>,
    names: Vec<libc::sockaddr_storage>,
    parts: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

impl Inbox {
    pub fn new() -> Inbox {
        // SAFETY: plain data for which all zeros is a value.
        let name: libc::sockaddr_storage = unsafe { mem::zeroed() };
        Inbox {
            buffer: vec![0; BATCH * STRIDE],
            controls: vec![[0; CONTROL_LEN / 8]; BATCH],
            names: vec![name; BATCH],
            parts: Vec::with_capacity(BATCH),
            messages: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there into the buffer and returns how many packets it is: none if there are none.
    ///
    /// # Errors
    /// As the kernel says; ENETDOWN while the line is down.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, beside: Beside) -> nix::Result<usize> {
        self.parts.clear();
        self.messages.clear();
        for room in self.buffer.chunks_exact_mut(STRIDE) {
            self.parts.push(libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: STRIDE });
        }
        for ((part, name), control) in self.parts.iter_mut().zip(&mut self.names).zip(&mut self.controls) {
            // SAFETY: plain data for which all zeros is a value.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            if beside == Beside::Ends {
                message.msg_hdr.msg_name = ptr::from_mut(name).cast();
                message.msg_hdr.msg_namelen = size_of_val(name) as libc::socklen_t;
                message.msg_hdr.msg_control = control.as_mut_ptr().cast();
                message.msg_hdr.msg_controllen = size_of_val(control) as _;
            }
            self.messages.push(message);
        }
        // SAFETY: each of the messages points to a part of its own, and to a name and a control buffer
        // of its own or to none, all owned by `self`, of the lengths that it says; nothing else touches
        // them meanwhile.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                self.messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        match Errno::result(received) {
            Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Where one of the packets that [`Inbox::receive`] took stands; `None` if it was cut.
    pub fn place(&self, at: usize) -> Option<Range<usize>> {
        let message = self.messages.get(at)?;
        let is_whole = message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        let start = at * STRIDE;
        is_whole.then(|| start..start + message.msg_len as usize)
    }

    /// The room that one of the packets stands in.
    pub fn room(at: usize) -> Range<usize> {
        at * STRIDE..(at + 1) * STRIDE
    }

    /// One of the packets that [`Inbox::receive`] took; `None` if it was cut or nothing was to be said
    /// beside it.
    pub fn arrival(&self, at: usize) -> Option<Arrival> {
        self.messages.get(at).filter(|message| !message.msg_hdr.msg_name.is_null())?;
        let mut arrival = Arrival {
            at: self.place(at)?,
            source: address_of(self.names.get(at)?)?,
            destination: None,
            traffic_class: 0,
            segment: None,
        };
        self.told(at, |level, kind, data| {
            // SAFETY: the kernel writes what is read here for each of these kinds, from `data` on; the
            // reads do not ask for alignment.
            unsafe {
                match (level, kind) {
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                        let octets = info.ipi_addr.s_addr.to_ne_bytes();
                        arrival.destination = Some(Ipv4Addr::from(octets).into());
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                        arrival.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    }
                    (libc::IPPROTO_IP, libc::IP_TOS) => arrival.traffic_class = data.read(),
                    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                        arrival.traffic_class = data.cast::<libc::c_int>().read_unaligned() as u8;
                    }
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        let size = data.cast::<libc::c_int>().read_unaligned();
                        arrival.segment = usize::try_from(size).ok();
                    }
                    _ => {}
                }
            }
        });
        Some(arrival)
    }

    /// Whether a packet socket that was asked says of one of the packets that its transport's checksum
    /// needs no look: it was verified, or has not been completed because the packet was on no wire yet.
    pub fn is_checked(&self, at: usize) -> bool {
        let mut checked = false;
        self.told(at, |level, kind, data| {
            if (level, kind) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
                // SAFETY: the kernel writes this from `data` on for this kind; the read does not ask for
                // alignment.
                let status = unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() }.tp_status;
                checked = status & (libc::TP_STATUS_CSUM_VALID | libc::TP_STATUS_CSUMNOTREADY) != 0;
            }
        });
        checked
    }

    /// Goes through what the kernel says beside one of the packets: level, kind, and where the data is.
    fn told(&self, at: usize, mut each: impl FnMut(libc::c_int, libc::c_int, *const u8)) {
        let Some(message) = self.messages.get(at) else { return };
        let header = &message.msg_hdr;
        // SAFETY: the kernel has filled the control buffer, which `self` owns, and said its length in
        // the header; the macros walk within that length.
        let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
        while !control.is_null() {
            // SAFETY: `control` is not null, so it points to a whole header within the buffer.
            unsafe {
                each((*control).cmsg_level, (*control).cmsg_type, libc::CMSG_DATA(control));
                control = libc::CMSG_NXTHDR(header, control);
            }
        }
    }
}

fn address_of(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: a storage is large and aligned enough for any address, and the family says that
            // it holds this one.
            let address = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let octets = address.sin_addr.s_addr.to_ne_bytes();
            Some(SocketAddrV4::new(octets.into(), u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let octets = address.sin6_addr.s6_addr;
            Some(SocketAddrV6::new(octets.into(), u16::from_be(address.sin6_port), 0, 0).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{setsockopt, sockopt};
    use std::net::UdpSocket;

    #[test]
    fn what_is_sent_in_one_call_is_received_in_one() {
        for host in ["127.0.0.1", "::1"] {
            let host: IpAddr = host.parse().unwrap();
            // A machine may have no IPv6 at all.
            let Ok(receiver) = UdpSocket::bind((host, 0)) else { continue };
            let to = receiver.local_addr().unwrap();
            if host.is_ipv6() {
                setsockopt(&receiver, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
            } else {
                setsockopt(&receiver, sockopt::Ipv4PacketInfo, &true).unwrap();
            }
            let sender = UdpSocket::bind((host, 0)).unwrap();
            let destination = match Destination::from(host) {
                Destination::V4(mut name) => {
                    name.sin_port = to.port().to_be();
                    Destination::V4(name)
                }
                Destination::V6(mut name) => {
                    name.sin6_port = to.port().to_be();
                    Destination::V6(name)
                }
                other @ Destination::Link(_) => other,
            };
            let heads: Vec<[u8; 1]> = (0..5).map(|at| [at]).collect();
            let sent = Sender::default().send(&sender, &destination, 5, |at| [&heads[at], b"tail"]);
            assert_eq!(sent, Ok(5));
            let mut inbox = Inbox::new();
            assert_eq!(inbox.receive(receiver.as_fd(), Beside::Ends), Ok(5));
            for (at, head) in heads.iter().enumerate() {
                let arrival = inbox.arrival(at).unwrap();
                assert_eq!(inbox.buffer[arrival.at], [&head[..], b"tail"].concat());
                assert_eq!(arrival.source, sender.local_addr().unwrap());
                assert_eq!(arrival.destination, Some(host));
            }
            assert_eq!(inbox.receive(receiver.as_fd(), Beside::Ends), Ok(0));
        }
    }
}

//! WireGuard's datagrams on their way out through the kernel's UDP: those of one size that follow one
//! another go as one, which the kernel or the line's hardware cuts (UDP_SEGMENT, udp(7)). The checksum is
//! theirs as well, which IPv6 must have (RFC 8200 8.1).
#![allow(unsafe_code)]

use super::batch::BATCH;
use crate::observe::status::Traffic;
use nix::errno::Errno;
use socket2::SockAddr;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::{mem, ptr};
use tsumugi_core::tunnel::{Counters, DropReason};

/// Datagrams that the kernel cuts out of one packet at most, in all its versions.
const MAX_SEGMENTS: usize = 64;
/// Bytes of these: what an IPv4 packet holds behind its headers.
const MAX_RUN: usize = 65_507;
/// The largest datagram.
const ROOM: usize = 65_536;
/// Bytes that may wait to be sent in one call.
const CAPACITY: usize = 4 * ROOM;
/// Room for the control messages of one packet: segment size, source address, traffic class.
const CONTROL_LEN: usize = 96;

/// Between whom a datagram travels, and with which DSCP and ECN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub from: IpAddr,
    pub to: SocketAddr,
    pub traffic_class: u8,
}

/// Datagrams that can go as one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    flow: Flow,
    at: Range<usize>,
    /// Bytes of each of them; the last one may have fewer.
    size: usize,
    count: usize,
    /// What is counted as sent.
    inner: Traffic,
}

impl Run {
    fn takes(&self, flow: &Flow, len: usize) -> bool {
        let is_even = self.at.len() == self.size * self.count;
        let has_room = self.count < MAX_SEGMENTS && self.at.len() + len <= MAX_RUN;
        self.flow == *flow && is_even && has_room && (1..=self.size).contains(&len)
    }
}

/// Datagrams of one socket that wait to be sent.
pub struct Datagrams {
    bytes: Vec<u8>,
    /// Where the next one begins.
    end: usize,
    runs: Vec<Run>,
    tables: Tables,
}

/// What the kernel reads a batch from, kept from one call to the next.
#[derive(Default)]
struct Tables {
    names: Vec<SockAddr>,
    parts: Vec<libc::iovec>,
    controls: Vec<[u64; CONTROL_LEN / 8]>,
    messages: Vec<libc::mmsghdr>,
}

impl Datagrams {
    pub fn new() -> Datagrams {
        Datagrams { bytes: vec![0; CAPACITY], end: 0, runs: Vec::new(), tables: Tables::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether it is time to send.
    pub fn is_full(&self) -> bool {
        self.bytes.len() - self.end < ROOM || self.runs.len() >= BATCH
    }

    /// Where the next datagram is to be written: room for any, unless it [`Datagrams::is_full`].
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Adds the datagram of `len` bytes that stands at the start of [`Datagrams::room`]. `in_one` says
    /// whether the socket takes several as one; an `inner_len` of zero is not counted as sent.
    pub fn push(&mut self, flow: Flow, in_one: bool, len: usize, inner_len: usize) {
        let at = self.end..self.end + len;
        self.end = at.end;
        let inner = Traffic { packets: u64::from(inner_len > 0), bytes: inner_len as u64 };
        match self.runs.last_mut() {
            Some(run) if in_one && run.takes(&flow, len) => {
                run.at.end = at.end;
                run.count += 1;
                run.inner.add(inner);
            }
            _ => self.runs.push(Run { flow, at, size: len, count: 1, inner }),
        }
    }

    /// Sends all that was added, and says what of it has gone. What the socket does not take as one goes
    /// one by one, and `in_one` says so from then on. When the kernel's queue is full the rest is lost,
    /// as in any full queue.
    pub fn flush(&mut self, socket: &impl AsFd, in_one: &mut bool, drops: &mut Counters) -> Traffic {
        let mut sent = Traffic::default();
        let mut at = 0;
        let mut parted = false;
        while let Some(run) = self.runs.get(at) {
            match self.tables.send(socket, &self.runs[at..], &self.bytes) {
                Ok(count) => {
                    // One by one they go: it was not the datagrams that it would not have.
                    *in_one &= !parted;
                    for gone in &self.runs[at..at + count] {
                        sent.add(gone.inner);
                    }
                    at += count;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let lost: usize = self.runs[at..].iter().map(|run| run.count).sum();
                    drops.add(DropReason::SendFailed, lost as u64);
                    break;
                }
                // EIO where the line computes no checksums, EINVAL or EMSGSIZE where it is too small.
                Err(_) if run.count > 1 => {
                    parted = true;
                    let singles: Vec<Run> = self.runs.drain(at..).flat_map(Run::parted).collect();
                    self.runs.extend(singles);
                }
                Err(_) => {
                    drops.count(DropReason::SendFailed);
                    at += 1;
                }
            }
        }
        self.runs.clear();
        self.end = 0;
        sent
    }
}

impl Run {
    /// The same datagrams, each by itself.
    fn parted(self) -> impl Iterator<Item = Run> {
        let Run { flow, at, size, count, inner } = self;
        let step = size.max(1);
        (0..count).map(move |place| {
            let start = at.start + place * step;
            let at = start..(start + size).min(at.end);
            // Together as much as before; how much each had is not kept.
            let bytes = if place == 0 { inner.bytes } else { 0 };
            let packets = u64::from((place as u64) < inner.packets);
            Run { flow, size: at.len(), at, count: 1, inner: Traffic { packets, bytes } }
        })
    }
}

impl Tables {
    /// Sends the first of `runs`, whose bytes stand in `bytes`; says how many have gone, one at least.
    fn send(&mut self, socket: &impl AsFd, runs: &[Run], bytes: &[u8]) -> nix::Result<usize> {
        let runs = &runs[..runs.len().min(BATCH)];
        self.names.clear();
        self.parts.clear();
        self.controls.clear();
        self.messages.clear();
        for run in runs {
            let part = &bytes[run.at.clone()];
            self.names.push(run.flow.to.into());
            self.parts.push(libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
            self.controls.push([0; CONTROL_LEN / 8]);
        }
        let rooms = self.names.iter().zip(&mut self.parts).zip(&mut self.controls);
        for (run, ((name, part), control)) in runs.iter().zip(rooms) {
            // SAFETY: plain data for which all zeros is a value.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
            message.msg_hdr.msg_namelen = name.len();
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_controllen = write_control(control, run) as _;
            message.msg_hdr.msg_control = control.as_mut_ptr().cast();
            self.messages.push(message);
        }
        // SAFETY: the tables are not touched until the call is over, and point to names, control messages
        // and bytes that live across it; the kernel writes only to `messages`.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                self.messages.as_mut_ptr(),
                self.messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        Errno::result(sent).map(|sent| usize::try_from(sent).unwrap_or(0))
    }
}

/// Writes what is said to the kernel beside the bytes, and returns the length of it (cmsg(3)).
fn write_control(control: &mut [u64; CONTROL_LEN / 8], run: &Run) -> usize {
    let mut at = 0;
    if run.count > 1 {
        // Within an IP packet: below 65,536.
        append(control, &mut at, libc::SOL_UDP, libc::UDP_SEGMENT, run.size as u16);
    }
    let class = libc::c_int::from(run.flow.traffic_class);
    match run.flow.from {
        IpAddr::V4(from) => {
            let address = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: address,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            append(control, &mut at, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            if class != 0 {
                append(control, &mut at, libc::IPPROTO_IP, libc::IP_TOS, class);
            }
        }
        IpAddr::V6(from) => {
            let address = libc::in6_addr { s6_addr: from.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            append(control, &mut at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            if class != 0 {
                append(control, &mut at, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class);
            }
        }
    }
    at
}

/// Writes one control message at `at`, which it moves behind it.
///
/// # Panics
/// If there is no room left: [`CONTROL_LEN`] has room for one of each.
fn append<T>(control: &mut [u64; CONTROL_LEN / 8], at: &mut usize, level: i32, kind: i32, value: T) {
    let len = size_of::<T>() as u32;
    // SAFETY: both compute with numbers only.
    let (space, cmsg_len) = unsafe { (libc::CMSG_SPACE(len) as usize, libc::CMSG_LEN(len)) };
    assert!(*at + space <= CONTROL_LEN);
    // SAFETY: plain data for which all zeros is a value.
    let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
    header.cmsg_len = cmsg_len as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    let start = ptr::from_mut(control).cast::<u8>();
    // SAFETY: header and value end within `space` bytes from `at` on, which are within `control` as
    // asserted; CMSG_DATA only adds to the pointer it is given, and the writes need no alignment.
    unsafe {
        let place = start.add(*at).cast::<libc::cmsghdr>();
        place.write_unaligned(header);
        libc::CMSG_DATA(place).cast::<T>().write_unaligned(value);
    }
    *at += space;
}

#[cfg(test)]
mod tests {
    use super::super::batch::{Beside, Inbox};
    use super::*;
    use nix::sys::socket::{setsockopt, sockopt};
    use std::net::UdpSocket;

    fn fill(datagrams: &mut Datagrams, flow: Flow, in_one: bool, sizes: &[usize]) {
        for (at, &size) in sizes.iter().enumerate() {
            datagrams.room()[..size].fill(at as u8);
            datagrams.push(flow, in_one, size, size);
        }
    }

    fn flow(to: SocketAddr) -> Flow {
        Flow { from: to.ip(), to, traffic_class: 2 }
    }

    #[test]
    fn only_equal_ones_are_one() {
        let mut datagrams = Datagrams::new();
        let near = flow("192.0.2.1:1".parse().unwrap());
        fill(&mut datagrams, near, true, &[100, 100, 60, 60, 100]);
        fill(&mut datagrams, Flow { traffic_class: 3, ..near }, true, &[100]);
        fill(&mut datagrams, near, false, &[100, 100]);
        let shape = |datagrams: &Datagrams| -> Vec<(usize, usize, usize)> {
            datagrams.runs.iter().map(|run| (run.size, run.count, run.at.len())).collect()
        };
        let expected =
            [(100, 3, 260), (60, 1, 60), (100, 1, 100), (100, 1, 100), (100, 1, 100), (100, 1, 100)];
        assert_eq!(shape(&datagrams), expected);
        let parted: Vec<_> = datagrams.runs[0].clone().parted().collect();
        assert_eq!(parted.iter().map(|run| run.at.clone()).collect::<Vec<_>>(), [0..100, 100..200, 200..260]);
        let bytes: u64 = parted.iter().map(|run| run.inner.bytes).sum();
        let packets: u64 = parted.iter().map(|run| run.inner.packets).sum();
        assert_eq!((packets, bytes), (3, 260));
        // No more than the kernel cuts, and than a packet holds.
        let mut datagrams = Datagrams::new();
        fill(&mut datagrams, near, true, &[1; 65]);
        fill(&mut datagrams, near, true, &[30_000; 3]);
        assert_eq!(shape(&datagrams), [(1, 64, 64), (1, 1, 1), (30_000, 2, 60_000), (30_000, 1, 30_000)]);
    }

    /// Cut by the kernel, or one by one: the datagrams are the same.
    #[test]
    fn what_goes_as_one_arrives_as_it_was() {
        for host in ["127.0.0.1", "::1"] {
            let host: IpAddr = host.parse().unwrap();
            // A machine may have no IPv6 at all.
            let Ok(receiver) = UdpSocket::bind((host, 0)) else { continue };
            let sender = UdpSocket::bind((host, 0)).unwrap();
            if host.is_ipv6() {
                setsockopt(&receiver, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
                super::super::options::tell_traffic_class(&receiver).unwrap();
            } else {
                setsockopt(&receiver, sockopt::Ipv4PacketInfo, &true).unwrap();
                socket2::SockRef::from(&receiver).set_recv_tos_v4(true).unwrap();
            }
            let sizes = [500, 500, 500, 120, 900, 900];
            for (merged, mut in_one) in [(false, true), (false, false), (true, true)] {
                setsockopt(&receiver, sockopt::UdpGroSegment, &merged).unwrap();
                let mut datagrams = Datagrams::new();
                fill(&mut datagrams, flow(receiver.local_addr().unwrap()), in_one, &sizes);
                let mut drops = Counters::default();
                let sent = datagrams.flush(&sender, &mut in_one, &mut drops);
                assert_eq!((sent, drops.total()), (Traffic { packets: 6, bytes: 3420 }, 0));
                assert!(datagrams.is_empty());
                let mut inbox = Inbox::new();
                let count = inbox.receive(receiver.as_fd(), Beside::Ends).unwrap();
                let mut seen = Vec::new();
                for at in 0..count {
                    let arrival = inbox.arrival(at).unwrap();
                    assert_eq!((arrival.destination, arrival.traffic_class), (Some(host), 2));
                    seen.extend(arrival.datagrams().map(|at| inbox.buffer[at].to_vec()));
                }
                let expected: Vec<Vec<u8>> =
                    [0, 1, 2, 3, 4, 5].map(|at: u8| vec![at; sizes[usize::from(at)]]).to_vec();
                assert_eq!(seen, expected);
            }
        }
    }

    /// A kernel that refuses to cut is asked once.
    #[test]
    fn a_refusal_costs_nothing_but_speed() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Without checksums there is no cutting: the kernel says EINVAL.
        let no: libc::c_int = 1;
        // SAFETY: the option takes one int, which lives across the call.
        let set = unsafe {
            let length = size_of_val(&no) as libc::socklen_t;
            libc::setsockopt(
                sender.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NO_CHECK,
                (&raw const no).cast(),
                length,
            )
        };
        assert_eq!(set, 0);
        let mut datagrams = Datagrams::new();
        fill(&mut datagrams, flow(receiver.local_addr().unwrap()), true, &[700, 700, 700, 9]);
        let (mut in_one, mut drops) = (true, Counters::default());
        let sent = datagrams.flush(&sender, &mut in_one, &mut drops);
        assert_eq!((in_one, sent.packets, drops.total()), (false, 4, 0));
        let mut inbox = Inbox::new();
        assert_eq!(inbox.receive(receiver.as_fd(), Beside::Ends), Ok(4));
    }
}

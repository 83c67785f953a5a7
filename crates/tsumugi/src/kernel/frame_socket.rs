//! AF_PACKET on one interface: a few kinds of Ethernet frames as they come in, before any bridge sees
//! them, and any frame out, past the bridge.

use super::packet;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socket, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// In bytes. What does not fit is lost: whoever sends floods of these frames gains nothing by it.
const BUFFER: usize = 256 << 10;

/// Which frames are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Those of one EtherType.
    EtherType(u16),
    /// ARP, and neighbour advertisements (RFC 4861 4.4).
    Neighbours,
    /// None: it is there to send.
    Nothing,
}

/// One instruction of a socket filter: code, jumps if true and if false, operand (linux/filter.h).
const fn op(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Bytes of a frame that are taken; all of it.
const WHOLE: u32 = 0x0004_0000;

impl Hears {
    fn filter(self) -> Vec<libc::sock_filter> {
        match self {
            Hears::Nothing => vec![op(RETURN, 0, 0, 0)],
            Hears::EtherType(kind) => vec![
                op(LOAD_HALF, 0, 0, 12),
                op(IF_EQUAL, 0, 1, u32::from(kind)),
                op(RETURN, 0, 0, WHOLE),
                op(RETURN, 0, 0, 0),
            ],
            Hears::Neighbours => vec![
                op(LOAD_HALF, 0, 0, 12),
                op(IF_EQUAL, 5, 0, 0x0806),
                op(IF_EQUAL, 0, 5, 0x86dd),
                // The next header right behind the IPv6 header: ICMPv6; its type: 136.
                op(LOAD_BYTE, 0, 0, 20),
                op(IF_EQUAL, 0, 3, 58),
                op(LOAD_BYTE, 0, 0, 54),
                op(IF_EQUAL, 0, 1, 136),
                op(RETURN, 0, 0, WHOLE),
                op(RETURN, 0, 0, 0),
            ],
        }
    }
}

pub struct FrameSocket {
    socket: OwnedFd,
}

impl FrameSocket {
    /// Opens it in the calling thread's namespace, on the interface with this index.
    ///
    /// # Errors
    /// There is no such interface, or packet sockets are forbidden.
    pub fn open(index: u32, hears: Hears) -> io::Result<FrameSocket> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // Protocol 0 hears nothing: no frame may arrive before the filter stands.
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER);
        packet::attach(&socket, &hears.filter())?;
        packet::ignore_outgoing(&socket)?;
        packet::bind_to_everything(&socket, index)?;
        Ok(FrameSocket { socket })
    }

    /// Sends a whole frame, Ethernet header first.
    ///
    /// # Errors
    /// The interface is down or gone, or its queue is full.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// The length of the next frame that waits; `None` when none does. An interface that was down for
    /// a while has told so by an error, which is over with that.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => return Some(length),
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Namespace;
    use nix::net::if_::if_nametoindex;
    use std::process::Command;
    use std::time::{Duration, Instant};

    fn frame(kind: u16, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![3, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];
        frame.extend(kind.to_be_bytes());
        frame.extend(rest);
        frame.resize(frame.len().max(60), 0);
        frame
    }

    fn ip(arguments: &str) {
        let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }

    /// a --veth-- b, b a port of a bridge: what is heard on b is what came in there.
    #[test]
    fn a_bridges_port_is_heard_and_filtered() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root for a network namespace");
            return;
        }
        let space = Namespace::unnamed().unwrap();
        space
            .run(|| {
                ip("link add fsa type veth peer name fsb");
                ip("link add fsbr type bridge");
                ip("link set fsb master fsbr");
                for name in ["fsa", "fsb", "fsbr"] {
                    ip(&format!("link set {name} up"));
                }
                let (a, b) = (if_nametoindex("fsa").unwrap(), if_nametoindex("fsb").unwrap());
                let sender = FrameSocket::open(a, Hears::EtherType(0x88b6))?;
                let probes = FrameSocket::open(b, Hears::EtherType(0x88b5))?;
                let neighbours = FrameSocket::open(b, Hears::Neighbours)?;
                let mut icmp = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
                icmp.resize(40, 0);
                let advertisement = [&icmp[..], &[136, 0]].concat();
                let solicitation = [&icmp[..], &[135, 0]].concat();
                for (kind, rest) in [
                    (0x86dd, &solicitation[..]),
                    (0x0800, &[]),
                    (0x0806, &[1]),
                    (0x86dd, &advertisement[..]),
                    (0x88b5, &[7]),
                ] {
                    sender.send(&frame(kind, rest))?;
                }
                probes.send(&frame(0x88b5, &[8]))?;
                let heard = |socket: &FrameSocket| {
                    let deadline = Instant::now() + Duration::from_secs(5);
                    let mut buffer = [0; 2048];
                    loop {
                        if let Some(length) = socket.receive(&mut buffer) {
                            return Some(buffer[..length].to_vec());
                        }
                        if Instant::now() > deadline {
                            return None;
                        }
                    }
                };
                assert_eq!(heard(&probes), Some(frame(0x88b5, &[7])), "and not our own");
                assert_eq!(heard(&neighbours), Some(frame(0x0806, &[1])));
                assert_eq!(heard(&neighbours), Some(frame(0x86dd, &advertisement)));
                let mut buffer = [0; 64];
                assert_eq!((probes.receive(&mut buffer), neighbours.receive(&mut buffer)), (None, None));
                Ok(())
            })
            .unwrap();
    }
}

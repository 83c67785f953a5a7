//! Signals through a tunnel whose packets the kernel moves: a packet socket on its device hears them and
//! sends them. The stack gets them too and throws them away (RFC 8200 4.7).

use super::keepalive::ROOM;
use crate::kernel::{Namespace, packet};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use tsumugi_core::wire::ethernet::ethertype;
use tsumugi_core::wire::ip::protocol;

/// IPv6 packets whose next header is none. Sockets of kind SOCK_DGRAM begin with the IP header.
const FILTER: [libc::sock_filter; 4] = {
    const fn op(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    [
        op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 6),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, protocol::NO_NEXT_HEADER as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, ROOM as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
};

/// The socket on the device of one tunnel.
#[derive(Default)]
pub struct KernelSignals {
    /// With the index of the device that it is bound to.
    open: Option<(u32, OwnedFd)>,
    /// Packets that the device had received when it was last asked.
    pub received: Option<u64>,
}

impl KernelSignals {
    /// Opens it on the device with this index, which may be another one than before. True if it was opened.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW; ENODEV if the device has gone again.
    pub fn follow(&mut self, fabric: &Namespace, index: u32) -> io::Result<bool> {
        if self.open.as_ref().is_some_and(|(bound, _)| *bound == index) {
            return Ok(false);
        }
        self.open = None;
        // Without a protocol: it receives nothing until it is bound.
        let socket = fabric.run(|| Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), None))?;
        packet::attach(&socket, &FILTER)?;
        packet::ignore_outgoing(&socket)?;
        setsockopt(&socket, sockopt::Priority, &super::socket::URGENT)?;
        packet::bind(&socket, index, ethertype::IPV6)?;
        self.open = Some((index, socket.into()));
        Ok(true)
    }

    pub fn socket(&self) -> Option<&OwnedFd> {
        self.open.as_ref().map(|(_, socket)| socket)
    }

    /// The length of the next signal that waits; `None` when none does.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        let socket = self.socket()?;
        loop {
            match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => return Some(length),
                // The device was down for a while and has told so.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends an IPv6 packet by the device.
    ///
    /// # Errors
    /// As the kernel says; ENODEV while it is not open.
    pub fn send(&self, packet: &[u8]) -> nix::Result<()> {
        let socket = self.socket().ok_or(Errno::ENODEV)?;
        send(socket.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT).map(drop)
    }
}

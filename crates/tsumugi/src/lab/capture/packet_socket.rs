//! AF_PACKET: every IP packet or frame that passes a device, cut or whole, as it is on the wire.

use crate::kernel::packet;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, recvfrom, send, setsockopt, socket, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// linux/if_ether.h.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// linux/if_packet.h: the packet leaves by the device.
const PACKET_OUTGOING: u8 = 4;
const LARGEST: usize = 65_536;
/// Room for some hundred packets while others have the processor.
const BUFFER: usize = 4 << 20;

/// A socket that sees all IP packets, or all Ethernet frames, of one device or of all devices of a
/// namespace.
pub struct PacketSocket {
    socket: OwnedFd,
    sees: Sees,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    Packets,
    Frames,
}

impl PacketSocket {
    /// Opens it in the calling thread's namespace; `None`: on all its devices.
    ///
    /// # Errors
    /// If there is no such device, or packet sockets are forbidden.
    pub fn open(device: Option<&str>) -> io::Result<PacketSocket> {
        PacketSocket::open_for(device, Sees::Packets)
    }

    /// The same for whole frames of every protocol, from their Ethernet header on.
    ///
    /// # Errors
    /// If there is no such device, or packet sockets are forbidden.
    pub fn open_frames(device: Option<&str>) -> io::Result<PacketSocket> {
        PacketSocket::open_for(device, Sees::Frames)
    }

    fn open_for(device: Option<&str>, sees: Sees) -> io::Result<PacketSocket> {
        let index = match device {
            Some(name) => nix::net::if_::if_nametoindex(name)?,
            None => 0,
        };
        // Protocol 0 sees nothing: packets of other devices must not arrive before it is bound.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let kind = if sees == Sees::Frames { SockType::Raw } else { SockType::Datagram };
        let fd = socket(AddressFamily::Packet, kind, flags, None)?;
        // The second needs a privilege over the machine; without it the kernel gives what it allows.
        let _ = setsockopt(&fd, sockopt::RcvBuf, &BUFFER);
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &BUFFER);
        packet::bind_to_everything(&fd, index)?;
        Ok(PacketSocket { socket: fd, sees, buffer: vec![0; LARGEST] })
    }

    /// Sends a whole frame by the device that the socket was opened on.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        Ok(send(self.socket.as_raw_fd(), frame, MsgFlags::empty()).map(drop)?)
    }

    /// The next packet that waits, from its IP header on (a frame from its Ethernet header on), and
    /// whether it was leaving.
    ///
    /// # Errors
    /// What the kernel answers, except that nothing waits or that a device was down for a while.
    pub fn read(&mut self) -> io::Result<Option<(bool, Vec<u8>)>> {
        loop {
            match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
                Ok((length, Some(from))) => {
                    let protocol = u16::from_be(from.protocol());
                    if self.sees == Sees::Frames || protocol == ETH_P_IP || protocol == ETH_P_IPV6 {
                        let bytes = self.buffer[..length].to_vec();
                        return Ok(Some((from.pkttype() == PACKET_OUTGOING, bytes)));
                    }
                }
                Ok((_, None)) | Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

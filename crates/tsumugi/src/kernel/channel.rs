//! Messages between two processes of one machine, with descriptors: a Unix socket that keeps the bounds of
//! messages (unix(7), SOCK_SEQPACKET and SCM_RIGHTS).
#![allow(unsafe_code)]

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg, sockopt,
};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Descriptors of one message (SCM_MAX_FD is 253).
pub const MOST_DESCRIPTORS: usize = 64;
/// Who waits to be let in.
const BACKLOG: i32 = 4;

/// Where others of the same user are let in.
pub struct Door(Socket);

impl Door {
    /// Takes the place of a socket that an earlier life left behind. Only the owner may knock.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn bind(path: &Path) -> io::Result<Door> {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Nobody gets in before it listens.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        Ok(Door(socket))
    }

    /// The next one that waits.
    pub fn accept(&self) -> Option<Channel> {
        let (socket, _) = self.0.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Channel(socket))
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Who is at the other end: the process that connected, or the one that let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub pid: i32,
    pub uid: u32,
}

/// A connection. It does not block.
pub struct Channel(Socket);

impl Channel {
    /// # Errors
    /// `ConnectionRefused` and `NotFound` where nobody lives.
    pub fn connect(path: &Path) -> io::Result<Channel> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        socket.set_nonblocking(true)?;
        Ok(Channel(socket))
    }

    /// # Errors
    /// As the kernel says.
    pub fn peer(&self) -> io::Result<Peer> {
        let found = getsockopt(&self.0, sockopt::PeerCredentials)?;
        Ok(Peer { pid: found.pid(), uid: found.uid() })
    }

    /// Sends one message with copies of the descriptors.
    ///
    /// # Errors
    /// EAGAIN while the other end is behind; EPIPE once it is gone.
    pub fn send(&self, message: &[u8], descriptors: &[OwnedFd]) -> nix::Result<()> {
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(message)], rights, flags, None).map(drop)
    }

    /// The length of the next message, which stands in `buffer`, and what came with it; zero bytes once the
    /// other end is gone.
    ///
    /// # Errors
    /// EAGAIN while there is none; EMSGSIZE for one that does not fit.
    pub fn receive(&self, buffer: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
        let mut room = cmsg_space!([RawFd; MOST_DESCRIPTORS]);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
        let mut descriptors = Vec::new();
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = message {
                // SAFETY: the kernel has just made these descriptors for us, and nothing else knows of them.
                descriptors.extend(raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
            }
        }
        if received.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
            return Err(Errno::EMSGSIZE);
        }
        Ok((received.bytes, descriptors))
    }

    /// From now on the other end cannot send; what it has sent can still be received.
    pub fn close_door(&self) {
        // It may be gone already, which is as good.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn a_message_and_its_descriptors_arrive() {
        let path = std::env::temp_dir().join(format!("tsumugi-channel-{}.sock", std::process::id()));
        fs::write(&path, "left behind").unwrap();
        let door = Door::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(door.accept().is_none());
        let one = Channel::connect(&path).unwrap();
        let other = door.accept().unwrap();
        let own = Peer { pid: nix::unistd::getpid().as_raw(), uid: nix::unistd::geteuid().as_raw() };
        assert_eq!((one.peer().unwrap(), other.peer().unwrap()), (own, own));

        let mut file = fs::File::from(
            nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap(),
        );
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        one.send(b"first", &[file.into()]).unwrap();
        one.send(b"second", &[]).unwrap();
        let mut buffer = [0; 100];
        let (len, mut descriptors) = other.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"first");
        let mut text = String::new();
        fs::File::from(descriptors.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert_eq!(other.receive(&mut buffer[..3]).unwrap_err(), Errno::EMSGSIZE);
        assert_eq!(other.receive(&mut buffer).unwrap_err(), Errno::EAGAIN);

        // What was sent before the door closed is there, nothing can be sent afterwards.
        one.send(b"last", &[]).unwrap();
        other.close_door();
        assert_eq!(one.send(b"late", &[]).unwrap_err(), Errno::EPIPE);
        assert_eq!(other.receive(&mut buffer).unwrap().0, 4);
        assert_eq!(other.receive(&mut buffer).unwrap().0, 0);
        drop(door);
        assert!(Channel::connect(&path).is_err());
        fs::remove_file(&path).unwrap();
    }
}

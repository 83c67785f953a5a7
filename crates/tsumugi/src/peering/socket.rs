//! TCP sockets for BGP.

use super::options;
use crate::kernel::tcp;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use tsumugi_core::bgp::change::SessionTerm;
use tsumugi_core::id::IfName;

/// BGP (RFC 4271 4.2).
pub const PORT: u16 = 179;
/// Class selector 6: network control (RFC 4594 3.1), in the upper six bits of the octet.
const NETWORK_CONTROL: u32 = 0xc0;
/// So that a neighbour may ask for it (GTSM, RFC 5082). We ask it of those of whom the file says so: what
/// comes from or goes to a link-local address is never forwarded, and others are free not to send it.
const HOP_LIMIT: u32 = 255;

/// One end of a session that we open.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub link: &'a IfName,
    /// The link's interface index.
    pub index: u32,
    pub local: IpAddr,
    pub remote: IpAddr,
    pub guard: Guard,
}

/// What is asked of everything that comes from the far end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// That no router has passed it on (RFC 5082).
    pub gtsm: bool,
    /// That it is signed with this (RFC 2385).
    pub secret: Option<Vec<u8>>,
}

/// Begins to connect; the socket becomes writable once that has ended either way.
///
/// # Errors
/// The link or our address is not there (yet), or the kernel knows at once that there is no way.
pub fn dial(target: &Target<'_>) -> io::Result<TcpStream> {
    let socket = stream_socket(target.remote)?;
    socket.bind_device(Some(target.link.as_str().as_bytes()))?;
    if target.guard.gtsm {
        tcp::drop_below_hops(&socket, target.remote, HOP_LIMIT as u8)?;
    }
    if let Some(secret) = &target.guard.secret {
        tcp::sign(&socket, target.remote, Some(secret))?;
    }
    socket.bind(&address(target.local, 0, target.index))?;
    match socket.connect(&address(target.remote, PORT, target.index)) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Begins to connect to a server, by whatever way and from whatever address the kernel prefers.
///
/// # Errors
/// The kernel knows at once that there is no way.
pub fn call(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = stream_socket(to.ip())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Listens on every address of one family.
///
/// # Errors
/// Somebody else listens on port 179 there.
pub fn listen(any: IpAddr) -> io::Result<TcpListener> {
    let socket = stream_socket(any)?;
    socket.set_reuse_address(true)?;
    if any.is_ipv6() {
        socket.set_only_v6(true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    socket.bind(&address(any, PORT, 0))?;
    socket.listen(64)?;
    Ok(socket.into())
}

/// Both families.
pub const ANY: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];

/// A connection that somebody opened to us.
pub struct Incoming {
    pub stream: TcpStream,
    pub from: IpAddr,
    pub to: IpAddr,
    /// The index of the interface it came in by; `None` if the kernel does not say.
    pub index: Option<u32>,
}

/// `None` when nobody waits.
///
/// # Errors
/// As the kernel says, for this one connection: the next may be fine.
pub fn accept(listener: &TcpListener) -> io::Result<Option<Incoming>> {
    let (stream, from) = match listener.accept() {
        Ok(accepted) => accepted,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(true)?;
    let to = stream.local_addr()?;
    let index = match from {
        SocketAddr::V6(from) if from.scope_id() != 0 => Some(from.scope_id()),
        // For TCP the kernel stores there the interface of the handshake's last packet.
        SocketAddr::V6(_) => {
            socket2::SockRef::from(&stream).multicast_if_v6().ok().filter(|&index| index != 0)
        }
        SocketAddr::V4(_) => options::incoming_interface_v4(&stream),
    };
    Ok(Some(Incoming { stream, from: from.ip(), to: to.ip(), index }))
}

/// Asks of an accepted connection that no router has passed on what comes (RFC 5082).
///
/// # Errors
/// Those of a kernel that cannot.
pub fn ask_gtsm(incoming: &Incoming) -> io::Result<()> {
    tcp::drop_below_hops(&incoming.stream, incoming.from, HOP_LIMIT as u8)
}

/// Asks of a connection that stands what is wanted of it now, in place of `guard`. Returns what the kernel
/// refuses: that stays as it was.
pub fn change_guard(stream: &TcpStream, remote: IpAddr, guard: &mut Guard, wanted: &Guard) -> Vec<Refusal> {
    let mut refused = Vec::new();
    if guard.gtsm != wanted.gtsm {
        match tcp::drop_below_hops(stream, remote, if wanted.gtsm { HOP_LIMIT as u8 } else { 0 }) {
            Ok(()) => guard.gtsm = wanted.gtsm,
            Err(error) => refused.push(Refusal { term: SessionTerm::Gtsm, error }),
        }
    }
    if guard.secret != wanted.secret {
        match tcp::sign(stream, remote, wanted.secret.as_deref()) {
            Ok(()) => guard.secret.clone_from(&wanted.secret),
            Err(error) => refused.push(Refusal { term: SessionTerm::Password, error }),
        }
    }
    refused
}

/// What could not be asked of a connection that stands.
#[derive(Debug)]
pub struct Refusal {
    pub term: SessionTerm,
    pub error: io::Error,
}

/// What became of an attempt to connect: `None` while it is under way.
pub fn connected(stream: &TcpStream) -> Option<io::Result<()>> {
    match stream.take_error() {
        Ok(Some(error)) | Err(error) => return Some(Err(error)),
        Ok(None) => {}
    }
    match stream.peer_addr() {
        Ok(_) => Some(Ok(())),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
        Err(error) => Some(Err(error)),
    }
}

fn stream_socket(family: IpAddr) -> io::Result<Socket> {
    let domain = if family.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if family.is_ipv6() {
        socket.set_unicast_hops_v6(HOP_LIMIT)?;
        socket.set_tclass_v6(NETWORK_CONTROL)?;
    } else {
        socket.set_ttl_v4(HOP_LIMIT)?;
        socket.set_tos_v4(NETWORK_CONTROL)?;
    }
    Ok(socket)
}

fn address(ip: IpAddr, port: u16, index: u32) -> SockAddr {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, index).into(),
        _ => SocketAddr::new(ip, port).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sched::{CloneFlags, unshare};
    use std::os::fd::AsFd;
    use std::process::Command;

    /// Runs `test` in a network namespace of its own, which ends with its thread.
    fn in_own_namespace(test: impl FnOnce() + Send) {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root for a network namespace of its own");
            return;
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                test();
            });
        });
    }

    fn ip(arguments: &str) {
        assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
    }

    fn wait(fd: &impl AsFd, what: PollFlags) {
        let mut fds = [PollFd::new(fd.as_fd(), what)];
        assert_eq!(poll(&mut fds, PollTimeout::from(5_000u16)).unwrap(), 1, "nothing within 5 s");
    }

    #[test]
    fn the_kernel_tells_by_which_interface_a_connection_came() {
        in_own_namespace(|| {
            ip("link set lo up");
            let link = IfName::loopback();
            // An IPv6 address may not be used before it was tested for duplicates, unless it is not tested.
            for (any, address, how) in [(ANY[0], "2001:db8::1", " nodad"), (ANY[1], "192.0.2.1", "")] {
                ip(&format!("address add {address} dev lo{how}"));
                let address: IpAddr = address.parse().unwrap();
                let listener = listen(any).unwrap();
                let ours = dial(&Target {
                    link: &link,
                    index: 1,
                    local: address,
                    remote: address,
                    guard: Guard::default(),
                })
                .unwrap();
                wait(&listener, PollFlags::POLLIN);
                let incoming = accept(&listener).unwrap().unwrap();
                assert_eq!((incoming.from, incoming.to, incoming.index), (address, address, Some(1)));
                wait(&ours, PollFlags::POLLOUT);
                assert!(matches!(connected(&ours), Some(Ok(()))));
                assert!(accept(&listener).unwrap().is_none());
            }
        });
    }

    #[test]
    fn dialling_where_there_is_no_address_fails_at_once() {
        in_own_namespace(|| {
            ip("link set lo up");
            let link = IfName::loopback();
            let local = "fe80::1".parse().unwrap();
            let error =
                dial(&Target { link: &link, index: 1, local, remote: local, guard: Guard::default() })
                    .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        });
    }
}

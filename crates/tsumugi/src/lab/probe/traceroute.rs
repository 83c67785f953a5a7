//! Traceroute by UDP with fixed ports, so that every probe takes the same way where paths are equal.

use super::options::keep_errors;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Nobody listens there (the first port of the classic traceroute).
const PORT: u16 = 33_434;
/// RFC 792 and RFC 4443: the type of "destination unreachable" in either family.
const V4_UNREACHABLE: u8 = 3;
const V6_UNREACHABLE: u8 = 1;

/// How often a hop is asked: routers limit the rate of their errors.
const TRIES: u32 = 3;

/// The way from one address to another, hop by hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Who answered at each number of hops; `None`: nobody did.
    pub hops: Vec<Option<IpAddr>>,
    /// True if the last hop is the destination itself.
    pub arrived: bool,
}

/// Walks from `source` to `destination`, at most `most` hops, until one of them stays silent; asks each
/// hop up to three times and waits `patience` for each answer. Runs in the calling thread's namespace.
///
/// # Errors
/// If there is no such source or no route at all.
pub fn trace(source: IpAddr, destination: IpAddr, most: u8, patience: Duration) -> io::Result<Trace> {
    let ipv6 = source.is_ipv6();
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM.cloexec().nonblocking(), Some(Protocol::UDP))?;
    keep_errors(&socket, ipv6)?;
    socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
    let to = SockAddr::from(SocketAddr::new(destination, PORT));
    let mut trace = Trace { hops: Vec::new(), arrived: false };
    for limit in 1..=most {
        if ipv6 {
            socket.set_unicast_hops_v6(u32::from(limit))?;
        } else {
            socket.set_ttl_v4(u32::from(limit))?;
        }
        let mut heard = None;
        for _ in 0..TRIES {
            send(&socket, &to)?;
            heard = hear(&socket, Instant::now() + patience)?;
            if heard.is_some() {
                break;
            }
        }
        trace.hops.push(heard.map(|error| error.from));
        let Some(error) = heard else { break };
        if error.last {
            trace.arrived = error.from == destination;
            break;
        }
    }
    Ok(trace)
}

/// An error of an earlier probe may be reported by a send: it is fetched by [`hear`], and we send again.
fn send(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    match socket.send_to(b"tsumugi!", to) {
        Ok(_) => Ok(()),
        Err(_) => socket.send_to(b"tsumugi!", to).map(drop),
    }
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    from: IpAddr,
    /// True for the destination's own answer, and for whatever else ends the way.
    last: bool,
}

fn hear(socket: &Socket, until: Instant) -> io::Result<Option<Heard>> {
    loop {
        if let Some(heard) = read_error(socket)? {
            return Ok(Some(heard));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        // POLLERR is always reported.
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::empty())], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_error(socket: &Socket) -> io::Result<Option<Heard>> {
    let mut bytes = [0u8; 64];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let mut space = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let message = match recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
    ) {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv4RecvErr(error, Some(from)) => {
                let from = IpAddr::V4(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)));
                return Ok(Some(Heard { from, last: error.ee_type == V4_UNREACHABLE }));
            }
            ControlMessageOwned::Ipv6RecvErr(error, Some(from)) => {
                let from = IpAddr::V6(Ipv6Addr::from(from.sin6_addr.s6_addr));
                return Ok(Some(Heard { from, last: error.ee_type == V6_UNREACHABLE }));
            }
            _ => {}
        }
    }
    Ok(None)
}

//! A bulk TCP transfer between two namespaces.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The end that waits to be called.
pub struct Listener {
    socket: Socket,
    address: SocketAddr,
}

impl Listener {
    /// Opens it in the calling thread's namespace; on port 0: on one that the kernel chooses.
    ///
    /// # Errors
    /// If the namespace has no such address, or the port is taken.
    pub fn open(address: IpAddr, port: u16) -> io::Result<Listener> {
        let socket = stream(address)?;
        // A port that was used a moment ago may be used again.
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(SocketAddr::new(address, port)))?;
        socket.listen(1)?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Listener { socket, address })
    }

    /// Where to call.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The end that calls.
pub struct Caller(Socket);

impl Caller {
    /// Opens it in the calling thread's namespace and begins to call from `source`.
    ///
    /// # Errors
    /// If the namespace has no such address or no route.
    pub fn open(source: IpAddr, to: SocketAddr) -> io::Result<Caller> {
        let socket = stream(source)?;
        socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
        match socket.connect(&SockAddr::from(to)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Caller(socket))
    }
}

fn stream(address: IpAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    Socket::new(domain, Type::STREAM.cloexec().nonblocking(), Some(Protocol::TCP))
}

/// Sends `amount` bytes from the caller and then as many back; the time that it took.
///
/// # Errors
/// If the connection breaks, or the transfer is not over in time (`TimedOut`).
pub fn both_ways(
    listener: &Listener,
    caller: &Caller,
    amount: usize,
    patience: Duration,
) -> io::Result<Duration> {
    let start = Instant::now();
    let until = start + patience;
    let accepted = loop {
        match listener.socket.accept() {
            // Somebody else who calls this port is sent away.
            Ok((socket, from)) if from.as_socket() == caller.0.local_addr()?.as_socket() => break socket,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // The caller is watched as well: a refusal ends the wait.
                if let Some(error) = caller.0.take_error()? {
                    return Err(error);
                }
                ready(&[(&listener.socket, PollFlags::POLLIN)], until)?;
            }
            Err(error) => return Err(error),
        }
    };
    accepted.set_nonblocking(true)?;
    move_bytes(&caller.0, &accepted, amount, until)?;
    move_bytes(&accepted, &caller.0, amount, until)?;
    Ok(start.elapsed())
}

fn move_bytes(from: &Socket, to: &Socket, amount: usize, until: Instant) -> io::Result<()> {
    let block = [0x5a; 16_384];
    let mut buffer = [0; 65_536];
    let (mut sent, mut received) = (0, 0);
    while received < amount {
        let mut moved = false;
        if sent < amount {
            match (&*from).write(&block[..block.len().min(amount - sent)]) {
                Ok(count) => (sent, moved) = (sent + count, true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        match (&*to).read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => (received, moved) = (received + count, true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if !moved {
            let writes = if sent < amount { PollFlags::POLLOUT } else { PollFlags::empty() };
            ready(&[(from, writes), (to, PollFlags::POLLIN)], until)?;
        }
    }
    Ok(())
}

fn ready(sockets: &[(&Socket, PollFlags)], until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut fds: Vec<PollFd> =
        sockets.iter().map(|(socket, flags)| PollFd::new(socket.as_fd(), *flags)).collect();
    let timeout = PollTimeout::try_from(left.min(Duration::from_millis(100))).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_both_ways_on_the_loopback() {
        let here: IpAddr = [127, 0, 0, 1].into();
        let listener = Listener::open(here, 0).unwrap();
        let caller = Caller::open(here, listener.address()).unwrap();
        both_ways(&listener, &caller, 300_000, Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_call_that_nobody_takes_is_an_error() {
        let here: IpAddr = [127, 0, 0, 1].into();
        let listener = Listener::open(here, 0).unwrap();
        let elsewhere = Listener::open(here, 0).unwrap();
        let caller = Caller::open(here, elsewhere.address()).unwrap();
        let error = both_ways(&listener, &caller, 1, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

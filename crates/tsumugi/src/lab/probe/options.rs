//! Socket options that no library sets for us.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Whether the packets of a socket may be cut into fragments by this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// As the kernel does by itself.
    Allowed,
    /// Never: too large a packet is refused (EMSGSIZE). IPv4 packets carry DF.
    Refused,
}

/// From linux/in.h and linux/in6.h: IP_PMTUDISC_DONT and IP_PMTUDISC_DO, alike for both families.
const PMTUDISC_DONT: libc::c_int = 0;
const PMTUDISC_DO: libc::c_int = 2;

/// # Errors
/// Whatever setsockopt(2) answers.
pub fn set_cutting(socket: &impl AsFd, ipv6: bool, cutting: Cutting) -> io::Result<()> {
    let discover = if cutting == Cutting::Refused { PMTUDISC_DO } else { PMTUDISC_DONT };
    if ipv6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, discover)?;
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, i32::from(cutting == Cutting::Refused))
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, discover)
    }
}

/// Errors that routers answer with are kept for `MSG_ERRQUEUE`.
///
/// # Errors
/// Whatever setsockopt(2) answers.
pub fn keep_errors(socket: &impl AsFd, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
    }
}

fn set(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel reads `length`
    // bytes of `value`, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast::<libc::c_void>(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

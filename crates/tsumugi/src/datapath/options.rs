//! The two socket options that no library of ours speaks.
#![allow(unsafe_code)]

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Has the kernel's connection tracking leave the IPv4 fragments of this socket in pieces.
///
/// # Errors
/// `fd` is no raw IPv4 socket.
pub fn leave_fragments(fd: &impl AsFd) -> io::Result<()> {
    enable(fd, libc::IPPROTO_IP, libc::IP_NODEFRAG)
}

/// Asks for the traffic class of every IPv6 packet.
///
/// # Errors
/// `fd` is no IPv6 socket.
pub fn tell_traffic_class(fd: &impl AsFd) -> io::Result<()> {
    enable(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)
}

fn enable(fd: &impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let value: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both options take one int, which `value` is and which lives across the call; the
    // kernel only reads it.
    let result =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), length) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

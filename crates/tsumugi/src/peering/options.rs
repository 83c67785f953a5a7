//! The two socket options that no library of ours speaks.

use nix::errno::Errno;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// `struct icmp6_filter` (RFC 3542 3.2): a set bit blocks its type.
#[repr(C)]
struct Icmp6Filter {
    blocked: [u32; 8],
}

/// From `linux/icmpv6.h`.
const ICMP6_FILTER: libc::c_int = 1;

/// Lets a raw ICMPv6 socket hear these types only.
///
/// # Errors
/// `fd` is no raw ICMPv6 socket.
pub fn hear_only(fd: &impl AsFd, types: &[u8]) -> io::Result<()> {
    let mut filter = Icmp6Filter { blocked: [u32::MAX; 8] };
    for &kind in types {
        filter.blocked[usize::from(kind) / 32] &= !(1 << (kind % 32));
    }
    let length = size_of::<Icmp6Filter>() as libc::socklen_t;
    // SAFETY: the option takes a `struct icmp6_filter`, which `filter` is, of the length stated; the
    // kernel only reads it, during the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            libc::IPPROTO_ICMPV6,
            ICMP6_FILTER,
            (&raw const filter).cast(),
            length,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// The one control message that the kernel answers with: `struct cmsghdr`, then `struct in_pktinfo`.
#[repr(C)]
struct PacketInfo {
    header: libc::cmsghdr,
    info: libc::in_pktinfo,
}

/// The index of the interface by which an accepted IPv4 TCP connection came in, if the listener
/// asked for packet information (IP_PKTINFO): the kernel keeps it from the handshake.
pub fn incoming_interface_v4(fd: &impl AsFd) -> Option<u32> {
    // SAFETY: both structures are plain integers, for which all zeroes is a value.
    let mut answer: PacketInfo = unsafe { std::mem::zeroed() };
    let mut length = size_of::<PacketInfo>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `answer`, which is that long, and the
    // number of bytes written into `length`.
    let result = unsafe {
        libc::getsockopt(
            fd.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_PKTOPTIONS,
            (&raw mut answer).cast(),
            &raw mut length,
        )
    };
    let whole = answer.header.cmsg_level == libc::IPPROTO_IP && answer.header.cmsg_type == libc::IP_PKTINFO;
    (result == 0 && whole).then(|| u32::try_from(answer.info.ipi_ifindex).ok()).flatten().filter(|&i| i != 0)
}

//! The socket options that no library of ours speaks, and what packet sockets hear.
#![allow(unsafe_code)]

use crate::kernel::packet;
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

/// Has what is larger than the path cut by whoever finds it so: no DF, no path MTU that anybody may have
/// told.
///
/// # Errors
/// `fd` is no socket of the family.
pub fn let_be_cut(fd: &impl AsFd, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
    } else {
        set(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    }
}

fn enable(fd: &impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    set(fd, level, option, 1)
}

fn set(fd: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: each of these options takes one int, which `value` is and which lives across the call; the
    // kernel only reads it.
    let result =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), length) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// What of all that comes by an interface is for tunnels: IP packets to this machine, without a VLAN tag,
/// of GRE or EtherIP, and fragments and extension headers of IPv6 that such may stand behind. The rest
/// does not wake us. Packet sockets of kind SOCK_DGRAM begin with the IP header.
const FILTER: [libc::sock_filter; 20] = {
    const fn op(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const ANCILLARY: u32 = libc::SKF_AD_OFF as u32;
    const TAKE: u32 = 0x4_0000;
    [
        op(LOAD_BYTE, 0, 0, ANCILLARY + libc::SKF_AD_PKTTYPE as u32),
        op(IS, 0, 17, libc::PACKET_HOST as u32),
        op(LOAD_BYTE, 0, 0, ANCILLARY + libc::SKF_AD_VLAN_TAG_PRESENT as u32),
        op(IS, 0, 15, 0),
        op(LOAD_HALF, 0, 0, ANCILLARY + libc::SKF_AD_PROTOCOL as u32),
        op(IS, 1, 0, libc::ETH_P_IP as u32),
        op(IS, 4, 12, libc::ETH_P_IPV6 as u32),
        // IPv4: the protocol, which every fragment has.
        op(LOAD_BYTE, 0, 0, 9),
        op(IS, 9, 0, libc::IPPROTO_GRE as u32),
        op(IS, 8, 9, 97),
        op(RETURN, 0, 0, 0),
        // IPv6: the next header.
        op(LOAD_BYTE, 0, 0, 6),
        op(IS, 5, 0, libc::IPPROTO_GRE as u32),
        op(IS, 4, 0, 97),
        op(IS, 3, 0, libc::IPPROTO_FRAGMENT as u32),
        op(IS, 2, 0, libc::IPPROTO_DSTOPTS as u32),
        op(IS, 1, 0, libc::IPPROTO_HOPOPTS as u32),
        op(IS, 0, 1, libc::IPPROTO_ROUTING as u32),
        op(RETURN, 0, 0, TAKE),
        op(RETURN, 0, 0, 0),
    ]
};

/// Gives a packet socket that is not bound yet the filter for tunnels, then binds it to all that comes by
/// the interface: bound to less, it would not see what is dropped before the stack.
///
/// # Errors
/// As the kernel says.
pub fn take_tunnels_from(fd: &impl AsFd, interface: u32) -> io::Result<()> {
    packet::attach(fd, &FILTER)?;
    packet::ignore_outgoing(fd)?;
    packet::bind_to_everything(fd, interface)
}

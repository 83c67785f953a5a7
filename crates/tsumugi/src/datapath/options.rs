//! The socket options that no library of ours speaks, and what packet sockets hear.
#![allow(unsafe_code)]

use crate::kernel::packet;
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use tsumugi_core::tunnel::signal::TRAFFIC_CLASS;

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
/// does not wake us. `control`: only those of network control (CS6), else all but those. Packet sockets of
/// kind SOCK_DGRAM begin with the IP header.
const fn filter(control: bool) -> [libc::sock_filter; 25] {
    const TAKE: u8 = 23;
    const REFUSE: u8 = 24;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const MASK: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const ANCILLARY: u32 = libc::SKF_AD_OFF as u32;
    const CONTROL: u32 = TRAFFIC_CLASS as u32;
    const fn op(code: u32, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
    }
    /// The instruction at `at`: goes on at `yes` or at `no`.
    const fn is(at: u8, k: u32, yes: u8, no: u8) -> libc::sock_filter {
        libc::sock_filter { code: IS as u16, jt: yes - at - 1, jf: no - at - 1, k }
    }
    [
        op(LOAD_BYTE, ANCILLARY + libc::SKF_AD_PKTTYPE as u32),
        is(1, libc::PACKET_HOST as u32, 2, REFUSE),
        op(LOAD_BYTE, ANCILLARY + libc::SKF_AD_VLAN_TAG_PRESENT as u32),
        is(3, 0, 4, REFUSE),
        op(LOAD_HALF, ANCILLARY + libc::SKF_AD_PROTOCOL as u32),
        is(5, libc::ETH_P_IP as u32, 7, 6),
        is(6, libc::ETH_P_IPV6 as u32, 13, REFUSE),
        // IPv4: DSCP, and the protocol, which every fragment has.
        op(LOAD_BYTE, 1),
        op(MASK, 0xfc),
        if control { is(9, CONTROL, 10, REFUSE) } else { is(9, CONTROL, REFUSE, 10) },
        op(LOAD_BYTE, 9),
        is(11, libc::IPPROTO_GRE as u32, TAKE, 12),
        is(12, 97, TAKE, REFUSE),
        // IPv6: DSCP stands behind the version; the next header.
        op(LOAD_HALF, 0),
        op(MASK, 0x0fc0),
        if control { is(15, CONTROL << 4, 16, REFUSE) } else { is(15, CONTROL << 4, REFUSE, 16) },
        op(LOAD_BYTE, 6),
        is(17, libc::IPPROTO_GRE as u32, TAKE, 18),
        is(18, 97, TAKE, 19),
        is(19, libc::IPPROTO_FRAGMENT as u32, TAKE, 20),
        is(20, libc::IPPROTO_DSTOPTS as u32, TAKE, 21),
        is(21, libc::IPPROTO_HOPOPTS as u32, TAKE, 22),
        is(22, libc::IPPROTO_ROUTING as u32, TAKE, REFUSE),
        op(RETURN, 0x4_0000),
        op(RETURN, 0),
    ]
}

/// Gives a packet socket that is not bound yet the filter for tunnels, then binds it to all that comes by
/// the interface: bound to less, it would not see what is dropped before the stack. `control`: as [`filter`].
///
/// # Errors
/// As the kernel says.
pub fn take_tunnels_from(fd: &impl AsFd, interface: u32, control: bool) -> io::Result<()> {
    packet::attach(fd, &filter(control))?;
    packet::ignore_outgoing(fd)?;
    packet::bind_to_everything(fd, interface)
}

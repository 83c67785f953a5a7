//! The socket options that no library of ours speaks, and what packet sockets hear.
#![allow(unsafe_code)]

use crate::kernel::packet;
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use tsumugi_core::tunnel::signal::TRAFFIC_CLASS;
use tsumugi_core::wire::geneve;

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

/// Has a raw socket hear network control (CS6) alone, or all but that. It sees packets put together: their first
/// piece's header.
///
/// # Errors
/// As the kernel says.
pub fn hear_class(fd: &impl AsFd, ipv6: bool, control: bool) -> io::Result<()> {
    // In IPv6 the packet begins behind its header, where the kernel looks from.
    const HEADER: u32 = libc::SKF_NET_OFF as u32;
    let op = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let class = u32::from(TRAFFIC_CLASS);
    let (load, mask, class) = if ipv6 {
        (op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, HEADER), 0x0fc0, class << 4)
    } else {
        (op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, HEADER + 1), 0xfc, class)
    };
    let (jt, jf) = if control { (0, 1) } else { (1, 0) };
    packet::attach(
        fd,
        &[
            load,
            op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask),
            libc::sock_filter { jt, jf, ..op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, class) },
            op(libc::BPF_RET | libc::BPF_K, 0x4_0000),
            op(libc::BPF_RET | libc::BPF_K, 0),
        ],
    )
}

/// Which of the packets of tunnels a packet socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Those of network control (CS6), else all but those.
    pub control: bool,
    /// Those of GENEVE as well.
    pub geneve: bool,
}

/// What of all that comes by an interface is for tunnels: IP packets to this machine, without a VLAN tag,
/// of GRE or EtherIP, datagrams to GENEVE's port where there is such a tunnel, and the fragments and
/// extension headers that such may stand behind. The rest does not wake us. Packet sockets of kind
/// SOCK_DGRAM begin with the IP header.
const fn filter(heard: Heard) -> [libc::sock_filter; 34] {
    const TAKE: u8 = 32;
    const REFUSE: u8 = 33;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
    const SKIP_IPV4_HEADER: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    const MASK: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const ANCILLARY: u32 = libc::SKF_AD_OFF as u32;
    const CONTROL: u32 = TRAFFIC_CLASS as u32;
    const PORT: u32 = geneve::PORT as u32;
    const fn op(code: u32, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
    }
    /// The instruction at `at`: goes on at `yes` or at `no`.
    const fn jump(code: u32, at: u8, k: u32, yes: u8, no: u8) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: yes - at - 1, jf: no - at - 1, k }
    }
    const fn is(at: u8, k: u32, yes: u8, no: u8) -> libc::sock_filter {
        jump(IS, at, k, yes, no)
    }
    let control = heard.control;
    // What no packet has, where it is not asked for.
    let udp = if heard.geneve { libc::IPPROTO_UDP as u32 } else { u32::MAX };
    [
        op(LOAD_BYTE, ANCILLARY + libc::SKF_AD_PKTTYPE as u32),
        is(1, libc::PACKET_HOST as u32, 2, REFUSE),
        op(LOAD_BYTE, ANCILLARY + libc::SKF_AD_VLAN_TAG_PRESENT as u32),
        is(3, 0, 4, REFUSE),
        op(LOAD_HALF, ANCILLARY + libc::SKF_AD_PROTOCOL as u32),
        is(5, libc::ETH_P_IP as u32, 7, 6),
        is(6, libc::ETH_P_IPV6 as u32, 19, REFUSE),
        // IPv4: DSCP, and the protocol, which every fragment has.
        op(LOAD_BYTE, 1),
        op(MASK, 0xfc),
        if control { is(9, CONTROL, 10, REFUSE) } else { is(9, CONTROL, REFUSE, 10) },
        op(LOAD_BYTE, 9),
        is(11, libc::IPPROTO_GRE as u32, TAKE, 12),
        is(12, 97, TAKE, 13),
        // Of UDP the port; any fragment may be of a datagram to it: only the first one says.
        is(13, udp, 14, REFUSE),
        op(LOAD_HALF, 6),
        jump(HAS, 15, 0x3fff, TAKE, 16),
        op(SKIP_IPV4_HEADER, 0),
        op(LOAD_HALF_BEHIND, 2),
        is(18, PORT, TAKE, REFUSE),
        // IPv6: DSCP stands behind the version; the next header.
        op(LOAD_HALF, 0),
        op(MASK, 0x0fc0),
        if control { is(21, CONTROL << 4, 22, REFUSE) } else { is(21, CONTROL << 4, REFUSE, 22) },
        op(LOAD_BYTE, 6),
        is(23, libc::IPPROTO_GRE as u32, TAKE, 24),
        is(24, 97, TAKE, 25),
        is(25, libc::IPPROTO_FRAGMENT as u32, TAKE, 26),
        is(26, libc::IPPROTO_DSTOPTS as u32, TAKE, 27),
        is(27, libc::IPPROTO_HOPOPTS as u32, TAKE, 28),
        is(28, libc::IPPROTO_ROUTING as u32, TAKE, 29),
        is(29, udp, 30, REFUSE),
        op(LOAD_HALF, 42),
        is(31, PORT, TAKE, REFUSE),
        op(RETURN, 0x4_0000),
        op(RETURN, 0),
    ]
}

/// Has a packet socket hear these packets and no others. A new filter takes the place of the old one
/// between two packets.
///
/// # Errors
/// `fd` is no packet socket.
pub fn hear_tunnels(fd: &impl AsFd, heard: Heard) -> io::Result<()> {
    packet::attach(fd, &filter(heard))?;
    packet::tell_of_checksums(fd, heard.geneve)
}

/// Gives a packet socket that is not bound yet the filter of [`hear_tunnels`], then binds it to all that
/// comes by the interface: bound to less, it would not see what is dropped before the stack.
///
/// # Errors
/// As the kernel says.
pub fn take_tunnels_from(fd: &impl AsFd, interface: u32, heard: Heard) -> io::Result<()> {
    hear_tunnels(fd, heard)?;
    packet::ignore_outgoing(fd)?;
    packet::bind_to_everything(fd, interface)
}

//! The socket options that no library of ours speaks, and what packet sockets hear.
#![allow(unsafe_code)]

use crate::kernel::packet;
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
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

fn enable(fd: &impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let value: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both options take one int, which `value` is and which lives across the call; the
    // kernel only reads it.
    let result =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), length) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// What of all that comes by an interface is for tunnels: IP packets to this machine, without a VLAN tag,
/// of GRE or EtherIP, datagrams to GENEVE's port where there is such a tunnel, and the fragments and
/// extension headers that such may stand behind. The rest does not wake us. Packet sockets of kind
/// SOCK_DGRAM begin with the IP header.
const fn filter(geneve: bool) -> [libc::sock_filter; FILTER_LEN] {
    const fn op(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
    const SKIP_IPV4_HEADER: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // What no packet has, where it is not asked for.
    let udp = if geneve { libc::IPPROTO_UDP as u32 } else { u32::MAX };
    const ANCILLARY: u32 = libc::SKF_AD_OFF as u32;
    const TAKE: u32 = 0x4_0000;
    [
        op(LOAD_BYTE, 0, 0, ANCILLARY + libc::SKF_AD_PKTTYPE as u32),
        op(IS, 0, 25, libc::PACKET_HOST as u32),
        op(LOAD_BYTE, 0, 0, ANCILLARY + libc::SKF_AD_VLAN_TAG_PRESENT as u32),
        op(IS, 0, 23, 0),
        op(LOAD_HALF, 0, 0, ANCILLARY + libc::SKF_AD_PROTOCOL as u32),
        op(IS, 1, 0, libc::ETH_P_IP as u32),
        op(IS, 9, 20, libc::ETH_P_IPV6 as u32),
        // IPv4: the protocol, which every fragment has.
        op(LOAD_BYTE, 0, 0, 9),
        op(IS, 17, 0, libc::IPPROTO_GRE as u32),
        op(IS, 16, 0, 97),
        op(IS, 0, 16, udp),
        // Any fragment may be of a datagram to the port: only the first one says.
        op(LOAD_HALF, 0, 0, 6),
        op(HAS, 13, 0, 0x3fff),
        op(SKIP_IPV4_HEADER, 0, 0, 0),
        op(LOAD_HALF_BEHIND, 0, 0, 2),
        op(IS, 10, 11, geneve::PORT as u32),
        // IPv6: the next header.
        op(LOAD_BYTE, 0, 0, 6),
        op(IS, 8, 0, libc::IPPROTO_GRE as u32),
        op(IS, 7, 0, 97),
        op(IS, 6, 0, libc::IPPROTO_FRAGMENT as u32),
        op(IS, 5, 0, libc::IPPROTO_DSTOPTS as u32),
        op(IS, 4, 0, libc::IPPROTO_HOPOPTS as u32),
        op(IS, 3, 0, libc::IPPROTO_ROUTING as u32),
        op(IS, 0, 3, udp),
        op(LOAD_HALF, 0, 0, 42),
        op(IS, 0, 1, geneve::PORT as u32),
        op(RETURN, 0, 0, TAKE),
        op(RETURN, 0, 0, 0),
    ]
}

const FILTER_LEN: usize = 28;
const FILTER: [libc::sock_filter; FILTER_LEN] = filter(false);
const FILTER_WITH_GENEVE: [libc::sock_filter; FILTER_LEN] = filter(true);

/// Has a packet socket hear what is for tunnels, those of GENEVE among them or not. A new filter takes the
/// place of the old one between two packets.
///
/// # Errors
/// `fd` is no packet socket.
pub fn hear_tunnels(fd: &impl AsFd, geneve: bool) -> io::Result<()> {
    packet::attach(fd, if geneve { &FILTER_WITH_GENEVE } else { &FILTER })?;
    packet::tell_of_checksums(fd, geneve)
}

/// Gives a packet socket that is not bound yet the filter of [`hear_tunnels`], then binds it to all that
/// comes by the interface: bound to less, it would not see what is dropped before the stack.
///
/// # Errors
/// As the kernel says.
pub fn take_tunnels_from(fd: &impl AsFd, interface: u32, geneve: bool) -> io::Result<()> {
    hear_tunnels(fd, geneve)?;
    packet::ignore_outgoing(fd)?;
    packet::bind_to_everything(fd, interface)
}

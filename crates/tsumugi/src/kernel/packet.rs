//! Filters of sockets, and of packet sockets (packet(7)) the options and the address: what no library of ours speaks.
#![allow(unsafe_code)]

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Gives a socket its filter: whatever is not let through does not wake us.
///
/// # Errors
/// `InvalidInput` for more instructions than a filter may have; else as the kernel says.
pub fn attach(socket: &impl AsFd, filter: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Takes a socket's filter away again.
///
/// # Errors
/// ENOENT if it has none.
pub fn detach(socket: &impl AsFd) -> io::Result<()> {
    let nothing: libc::c_int = 0;
    set_option(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &nothing)
}

/// A socket that hears nothing from now on; what it has heard stays to be read.
///
/// # Errors
/// As [`attach`].
pub fn deafen(socket: &impl AsFd) -> io::Result<()> {
    let nothing = libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    attach(socket, &[nothing])
}

/// What leaves by the interface is not heard: what we send ourselves, and what the stack or a bridge does.
///
/// # Errors
/// `socket` is no packet socket.
pub fn ignore_outgoing(socket: &impl AsFd) -> io::Result<()> {
    let yes: libc::c_int = 1;
    set_option(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &yes)
}

/// Whether the kernel says with every packet what it knows of its checksum (`PACKET_AUXDATA`).
///
/// # Errors
/// `socket` is no packet socket.
pub fn tell_of_checksums(socket: &impl AsFd, tell: bool) -> io::Result<()> {
    let tell = libc::c_int::from(tell);
    set_option(socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &tell)
}

fn set_option<T>(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let raw = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel only reads `length` bytes of `value`, during the call. The callers above give
    // the type that the option takes; a program's instructions are borrowed for longer than the call,
    // which copies them and writes nothing.
    let result = unsafe { libc::setsockopt(raw, level, name, (&raw const *value).cast(), length) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Binds a packet socket to every protocol of an interface, of all interfaces if the index is 0. One that
/// is bound to less does not hear what a bridge takes or what is dropped before the stack.
///
/// # Errors
/// There is no such interface.
pub fn bind_to_everything(socket: &impl AsFd, index: u32) -> io::Result<()> {
    bind(socket, index, libc::ETH_P_ALL as u16)
}

/// Binds a packet socket to one protocol of an interface: what is sent without an address is of that too.
///
/// # Errors
/// There is no such interface.
pub fn bind(socket: &impl AsFd, index: u32, ethertype: u16) -> io::Result<()> {
    let name = link_name(index, ethertype, None);
    let length = size_of_val(&name) as libc::socklen_t;
    // SAFETY: `name` is a whole sockaddr_ll of the stated length, alive during the call, which copies it.
    let result = unsafe { libc::bind(socket.as_fd().as_raw_fd(), (&raw const name).cast(), length) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// The address of packets on an interface: their EtherType, and who they go to.
pub fn link_name(index: u32, ethertype: u16, mac: Option<[u8; 6]>) -> libc::sockaddr_ll {
    let mut address = [0; 8];
    if let Some(mac) = mac {
        address[..6].copy_from_slice(&mac);
    }
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: if mac.is_some() { 6 } else { 0 },
        sll_addr: address,
    }
}

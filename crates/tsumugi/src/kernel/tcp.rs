//! What TCP sockets can be asked for that no library of ours speaks: signed segments and a least number
//! of hops left.

use nix::errno::Errno;
use std::io;
use std::mem::{offset_of, size_of};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

/// The longest key that the kernel takes, in bytes.
pub const KEY_MAX: usize = 80;

/// `struct tcp_md5sig` of `linux/tcp.h`.
#[repr(C, align(8))]
struct Md5Signature {
    /// `struct sockaddr_storage`.
    address: [u8; 128],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: libc::c_int,
    key: [u8; KEY_MAX],
}

// As the kernel has it.
const _: () = assert!(offset_of!(Md5Signature, key) == 136 && size_of::<Md5Signature>() == 216);

/// From `linux/in.h` and `linux/in6.h`.
const IP_MINTTL: libc::c_int = 21;
const IPV6_MINHOPCOUNT: libc::c_int = 73;

/// Signs every segment to and from `remote` with `key`, and drops what is not signed so (RFC 2385).
/// `None`: no longer. On a listener it holds for the connections that it takes.
///
/// # Errors
/// `InvalidInput` if the key is empty or longer than [`KEY_MAX`]; ENOENT if there is none to be taken
/// away; those of a kernel that cannot.
pub fn sign(fd: &impl AsFd, remote: IpAddr, key: Option<&[u8]>) -> io::Result<()> {
    let key = key.unwrap_or_default();
    let mut signature = Md5Signature {
        address: storage(remote),
        flags: 0,
        prefix_length: 0,
        key_length: 0,
        interface: 0,
        key: [0; KEY_MAX],
    };
    let room = signature.key.get_mut(..key.len()).ok_or(io::ErrorKind::InvalidInput)?;
    room.copy_from_slice(key);
    // At most 80, by the line before.
    signature.key_length = key.len() as u16;
    set(fd, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &signature)
}

/// Drops what comes with fewer than `least` hops left (RFC 5082): 255 for what no router has passed on.
///
/// # Errors
/// Those of a kernel that cannot.
pub fn drop_below_hops(fd: &impl AsFd, family: IpAddr, least: u8) -> io::Result<()> {
    let least = libc::c_int::from(least);
    match family {
        IpAddr::V4(_) => set(fd, libc::IPPROTO_IP, IP_MINTTL, &least),
        IpAddr::V6(_) => set(fd, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least),
    }
}

/// `struct sockaddr_in` or `sockaddr_in6`, of port 0, with room behind it.
fn storage(address: IpAddr) -> [u8; 128] {
    let mut storage = [0; 128];
    let (family, at, octets): (_, _, &[u8]) = match &address {
        IpAddr::V4(address) => (libc::AF_INET, 4, &address.octets()),
        IpAddr::V6(address) => (libc::AF_INET6, 8, &address.octets()),
    };
    storage[..2].copy_from_slice(&(family as libc::sa_family_t).to_ne_bytes());
    storage[at..at + octets.len()].copy_from_slice(octets);
    storage
}

/// `T` is what the option takes.
fn set<T>(fd: &impl AsFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is `length` readable bytes; the kernel only reads them, during the call.
    let result = unsafe {
        libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, (&raw const *value).cast(), length)
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

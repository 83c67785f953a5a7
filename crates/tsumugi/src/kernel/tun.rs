//! TUN and TAP devices: the only ioctls of this room.
#![allow(unsafe_code)]

use super::Namespace;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use tsumugi_core::id::IfName;

/// Bytes of the header in its legacy form (Virtual I/O Device 1.2, 5.1.6).
const VNET_HEADER_LEN: libc::c_int = 10;

/// What the device carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunKind {
    /// IP packets.
    Tun,
    /// Ethernet frames.
    Tap,
}

/// What a device leaves to whoever reads it, and takes from whoever writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloads {
    /// UDP in segments (Linux 6.2); TCP's and checksums are always there.
    pub udp: bool,
}

/// As [`attach`], and every read and write begins with a virtio network header: packets come
/// unfinished, in up to 64 KiB at once, and may be written so.
///
/// # Errors
/// As [`attach`].
pub fn attach_offloading(
    namespace: &Namespace,
    name: &IfName,
    kind: TunKind,
) -> io::Result<(OwnedFd, Offloads)> {
    let device = open_device(namespace, name, kind, libc::IFF_VNET_HDR)?;
    // The device may be another life's: its header has the length that we speak.
    set_number_behind(&device, libc::TUNSETVNETHDRSZ, VNET_HEADER_LEN)?;
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    match set_number(&device, libc::TUNSETOFFLOAD, (tcp | udp).into()) {
        Ok(()) => Ok((device, Offloads { udp: true })),
        // A kernel that does not know one of the bits refuses all.
        Err(_) => {
            set_number(&device, libc::TUNSETOFFLOAD, tcp.into())?;
            Ok((device, Offloads { udp: false }))
        }
    }
}

/// Attaches to the device `name` in `namespace`, making it if it is not there. The device persists:
/// when the returned descriptor closes, the interface and its routes stay. Reads and writes are whole
/// packets without a header of the kernel's; the descriptor does not block.
///
/// # Errors
/// EBUSY while another process is attached; EINVAL if the name is taken by something else; ENOENT
/// or EACCES where /dev/net/tun is not to be had.
pub fn attach(namespace: &Namespace, name: &IfName, kind: TunKind) -> io::Result<OwnedFd> {
    open_device(namespace, name, kind, 0)
}

/// Says whether something answers at the other end of the device: the interface's carrier. Attaching says yes.
///
/// # Errors
/// EBADFD if somebody has removed the interface.
pub fn set_carrier(device: &OwnedFd, there: bool) -> io::Result<()> {
    set_number_behind(device, libc::TUNSETCARRIER, there.into())
}

fn open_device(
    namespace: &Namespace,
    name: &IfName,
    kind: TunKind,
    more: libc::c_int,
) -> io::Result<OwnedFd> {
    namespace.run(|| {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let device = open("/dev/net/tun", flags, Mode::empty())?;
        let kind = match kind {
            TunKind::Tun => libc::IFF_TUN,
            TunKind::Tap => libc::IFF_TAP,
        };
        set_interface(&device, name, kind | libc::IFF_NO_PI | more)?;
        set_number(&device, libc::TUNSETPERSIST, 1)?;
        Ok(device)
    })
}

fn set_interface(device: &OwnedFd, name: &IfName, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: ifreq is plain data for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // An IfName has at most 15 bytes, so the terminating zero stays.
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq behind the pointer, which lives across the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

fn set_number(device: &OwnedFd, request: libc::Ioctl, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the request takes its number by value; no pointer is passed.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request as _, value) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

fn set_number_behind(device: &OwnedFd, request: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the request reads one int behind the pointer, which lives across the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request as _, &raw const value) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

//! Turns off what would make packets in a capture other than those on a wire: segmentation and
//! checksums left to a device that does not exist, and segments merged on arrival.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::io;
use std::os::fd::AsRawFd;
use tsumugi_core::id::IfName;

// linux/sockios.h and linux/ethtool.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;
const ETHTOOL_SGRO: u32 = 0x2c;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// For an interface of the calling thread's network namespace.
///
/// # Errors
/// ENODEV if there is none of that name.
pub(super) fn off(name: &IfName) -> io::Result<()> {
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    for command in [ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM] {
        let mut value = Value { command, data: 0 };
        // SAFETY: all zeroes is a valid ifreq, a structure of plain numbers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // An IfName has at most 15 bytes: a zero remains.
        for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the kernel reads and writes the ifreq and, for these commands, the eight bytes of
        // the ethtool_value that it points to; both outlive the call.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

//! What an interface does by itself and leaves to others (ethtool(8), -K).
#![allow(unsafe_code)]

use super::Namespace;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::io;
use std::os::fd::AsRawFd;
use tsumugi_core::id::IfName;

/// The commands of linux/ethtool.h that set one feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Completes checksums of what it sends.
    SendChecksums = 0x17,
    /// Cuts what it sends into segments, if it is TCP.
    SendSegments = 0x1f,
    /// Puts what it receives together.
    MergesReceived = 0x2c,
}

/// Switches one feature of an interface.
///
/// # Errors
/// EOPNOTSUPP where it cannot be switched.
pub fn set(namespace: &Namespace, name: &IfName, feature: Feature, on: bool) -> io::Result<()> {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    let socket = namespace
        .run(|| Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?))?;
    let mut value = Value { command: feature as u32, data: on.into() };
    // SAFETY: ifreq is plain data for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // An IfName has at most 15 bytes, so the terminating zero stays.
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL reads the ifreq and, for these commands, an ethtool_value behind its pointer;
    // both live across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    Ok(Errno::result(result).map(drop)?)
}

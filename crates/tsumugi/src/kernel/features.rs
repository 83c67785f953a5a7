//! What a network device does by itself with packets, and what it leaves to others (ethtool(8)'s features).
#![allow(unsafe_code)]

use super::Namespace;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use tsumugi_core::id::IfName;

// linux/sockios.h and linux/ethtool.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
/// The set of strings that features are called by.
const ETH_SS_FEATURES: u32 = 4;
/// Bytes of a name.
const NAME_LEN: usize = 32;
/// Features that a kernel may know: there are 64 today.
const MOST: usize = 256;
const BLOCKS: usize = MOST / 32;

/// Those that make one packet of several datagrams of others.
const MERGING: [&str; 2] = ["rx-udp-gro-forwarding", "rx-gro-list"];

/// `struct ethtool_sset_info` for one set.
#[repr(C)]
struct Count {
    command: u32,
    reserved: u32,
    /// A bit for each set.
    sets: u64,
    count: u32,
}

/// `struct ethtool_gstrings` with room for all.
#[repr(C)]
struct Strings {
    command: u32,
    set: u32,
    count: u32,
    names: [[u8; NAME_LEN]; MOST],
}

/// `struct ethtool_gfeatures` with room for all.
#[repr(C)]
struct States {
    command: u32,
    /// Blocks that there is room for; the kernel says how many it has.
    size: u32,
    blocks: [Block; BLOCKS],
}

/// Of 32 features each.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    available: u32,
    requested: u32,
    active: u32,
    never_changed: u32,
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Those that are switched, each by a command of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Completes checksums of what it sends.
    SendChecksums = 0x17,
    /// Cuts what it sends into segments, if it is TCP.
    SendSegments = 0x1f,
    /// Puts what it receives together.
    MergesReceived = 0x2c,
}

/// Asks about the devices of one namespace, and switches what they do.
pub struct Features(OwnedFd);

impl Features {
    /// # Errors
    /// Those of sockets and namespaces.
    pub fn open(namespace: &Namespace) -> io::Result<Features> {
        let open = || Ok(socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?);
        namespace.run(open).map(Features)
    }

    /// Whether a device makes one packet of several datagrams that are not for a socket which wants that.
    ///
    /// # Errors
    /// ENODEV if there is none of that name.
    pub fn merges_datagrams(&self, name: &IfName) -> io::Result<bool> {
        let mut known =
            Count { command: ETHTOOL_GSSET_INFO, reserved: 0, sets: 1 << ETH_SS_FEATURES, count: 0 };
        self.ask(name, &mut known)?;
        // A kernel tells names to who knows how many there are.
        let count = usize::try_from(known.count).ok().filter(|count| *count <= MOST);
        let count = count.ok_or(io::ErrorKind::Unsupported)?;
        let mut strings = Box::new(Strings {
            command: ETHTOOL_GSTRINGS,
            set: ETH_SS_FEATURES,
            count: known.count,
            names: [[0; NAME_LEN]; MOST],
        });
        self.ask(name, &mut *strings)?;
        let mut states =
            States { command: ETHTOOL_GFEATURES, size: BLOCKS as u32, blocks: [Block::default(); BLOCKS] };
        self.ask(name, &mut states)?;
        let is_active = |at: usize| states.blocks[at / 32].active & 1 << (at % 32) != 0;
        let merges = |bytes: &[u8; NAME_LEN]| {
            let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
            MERGING.iter().any(|merging| merging.as_bytes() == &bytes[..len])
        };
        Ok(strings.names.iter().enumerate().take(count).any(|(at, bytes)| merges(bytes) && is_active(at)))
    }

    /// Switches one feature of a device.
    ///
    /// # Errors
    /// EOPNOTSUPP where it cannot be switched.
    pub fn set(&self, name: &IfName, feature: Feature, on: bool) -> io::Result<()> {
        self.ask(name, &mut Value { command: feature as u32, data: on.into() })
    }

    /// `question` is one of the structures above, its first fields set.
    fn ask<T>(&self, name: &IfName, question: &mut T) -> io::Result<()> {
        // SAFETY: all zeroes is a valid ifreq, a structure of plain numbers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // An IfName has at most 15 bytes: a zero remains.
        for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut *question).cast();
        // SAFETY: the kernel reads and writes the ifreq and what it points to, which both outlive the call. Of names it
        // writes as many as it has said that it has, for which there is room; of blocks no more than `size`; of counts
        // one for each bit of `sets`.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        Errno::result(result).map(drop).map_err(io::Error::from)
    }
}

//! Which ports of segments may take and give frames: elements of two sets in our nftables table of the
//! bridge family, changed without making the table anew and without running a program.
//!
//! - `blocked`: ports that the loop guard has closed. They stay so until somebody opens them.
//! - `forwarding`: ports of shared LANs that were told to forward, each for a time. One that is not in
//!   it is closed; so a router whose process has died or hangs stops forwarding by itself before
//!   another one takes its LAN over, and never may two forward.

use super::Namespace;
use super::netlink::{Answer, Messages, NetlinkError};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;
use tsumugi_core::desired::NFT_TABLE;
use tsumugi_core::id::IfName;

/// The names of the sets, both of type `ifname`; the second with `flags timeout`.
pub const BLOCKED: &str = "blocked";
pub const FORWARDING: &str = "forwarding";

// linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x0001;
const NLM_F_ACK: u16 = 0x0004;
const NLM_F_CREATE: u16 = 0x0400;
const NLA_F_NESTED: u16 = 0x8000;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM: u16 = 10;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const UNSPECIFIED_FAMILY: u8 = 0;
const BRIDGE_FAMILY: u8 = 7;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;
/// `IFNAMSIZ`: the key of a set of interface names, filled up with zeroes.
const NAME: usize = 16;
const ANSWERS: usize = 32 << 10;

/// What shall become of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChange {
    Block(IfName),
    Unblock(IfName),
    /// Of a shared LAN: it may forward for this long from now, however long it might before.
    Forward(IfName, Duration),
    /// Not any more, from now.
    Hold(IfName),
}

/// A socket of nftables in one namespace.
pub struct PortSets {
    socket: Socket,
    sequence: u32,
}

impl PortSets {
    /// # Errors
    /// The kernel has no nftables, or the namespace may not be entered.
    pub fn open_in(namespace: &Namespace) -> io::Result<PortSets> {
        namespace.run(|| {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(PortSets { socket, sequence: 0 })
        })
    }

    /// All of it at one moment, or nothing.
    ///
    /// # Errors
    /// ENOENT while the table does not stand.
    pub fn change(&mut self, changes: &[PortChange]) -> Answer<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        self.message(&mut bytes, BATCH_BEGIN, 0, &header(UNSPECIFIED_FAMILY, SUBSYSTEM));
        for change in changes {
            // An element that stands keeps its time, and one that does not cannot be deleted: so it is
            // first made sure of, then deleted, then made anew.
            let (set, port, timeout, wanted) = match change {
                PortChange::Block(port) => (BLOCKED, port, None, true),
                PortChange::Unblock(port) => (BLOCKED, port, None, false),
                PortChange::Forward(port, time) => (FORWARDING, port, Some(*time), true),
                PortChange::Hold(port) => (FORWARDING, port, None, false),
            };
            let body = element(set, port, timeout);
            let new = NLM_F_CREATE | NLM_F_ACK;
            self.message(&mut bytes, NEW_ELEMENT, new, &body);
            if !wanted || timeout.is_some() {
                self.message(&mut bytes, DELETE_ELEMENT, NLM_F_ACK, &element(set, port, None));
            }
            if wanted && timeout.is_some() {
                self.message(&mut bytes, NEW_ELEMENT, new, &body);
            }
        }
        self.message(&mut bytes, BATCH_END, 0, &header(UNSPECIFIED_FAMILY, SUBSYSTEM));
        self.socket.send(&bytes, 0)?;
        self.answers()
    }

    fn message(&mut self, bytes: &mut Vec<u8>, kind: u16, flags: u16, body: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
    }

    /// The kernel has answered everything before the sending returned.
    fn answers(&mut self) -> Answer<()> {
        let mut first = Ok(());
        let mut buffer = [0; ANSWERS];
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return first,
                Err(errno) => return Err(errno.into()),
            };
            for part in Messages(&buffer[..length]) {
                let code = match (part.get(4..6), part.get(16..20)) {
                    (Some(kind), Some(code)) if kind == NLMSG_ERROR.to_ne_bytes() => code,
                    _ => continue,
                };
                let code = code.try_into().map_or(0, i32::from_ne_bytes);
                if code != 0 && first.is_ok() {
                    first = Err(NetlinkError::refused(Errno::from_raw(code.saturating_neg())));
                }
            }
        }
    }
}

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

fn element(set: &str, port: &IfName, timeout: Option<Duration>) -> Vec<u8> {
    let mut name = [0; NAME];
    // A name of an interface is shorter than the array: IfName holds nothing else.
    let length = port.as_str().len().min(NAME - 1);
    name[..length].copy_from_slice(&port.as_str().as_bytes()[..length]);
    let mut inner = Vec::new();
    attribute(&mut inner, ELEMENT_KEY | NLA_F_NESTED, &one(DATA_VALUE, &name));
    if let Some(timeout) = timeout {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        attribute(&mut inner, ELEMENT_TIMEOUT, &milliseconds.to_be_bytes());
    }
    let mut body = header(BRIDGE_FAMILY, 0);
    attribute(&mut body, LIST_TABLE, &zero_ended(NFT_TABLE));
    attribute(&mut body, LIST_SET, &zero_ended(set));
    attribute(&mut body, LIST_ELEMENTS | NLA_F_NESTED, &one(LIST_ELEMENT | NLA_F_NESTED, &inner));
    body
}

fn one(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    attribute(&mut bytes, kind, value);
    bytes
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn zero_ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn nft(space: &Namespace, words: &str) -> String {
        let output =
            space.run(|| Command::new("nft").args(words.split(' ')).output()).expect("nft is installed");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nft {words}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn ports_are_blocked_and_forward_for_a_time() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root for a network namespace");
            return;
        }
        let space = Namespace::unnamed().unwrap();
        let mut sets = PortSets::open_in(&space).unwrap();
        let port = IfName::new("eth1").unwrap();
        let second = Duration::from_secs(1);
        let early = sets.change(&[PortChange::Block(port.clone())]);
        assert!(early.unwrap_err().is(Errno::ENOENT), "there is no table");

        nft(&space, &format!("add table bridge {NFT_TABLE}"));
        nft(&space, &format!("add set bridge {NFT_TABLE} {BLOCKED} {{ type ifname; }}"));
        nft(&space, &format!("add set bridge {NFT_TABLE} {FORWARDING} {{ type ifname; flags timeout; }}"));
        let list = |set: &str| nft(&space, &format!("list set bridge {NFT_TABLE} {set}"));
        let both = [PortChange::Block(port.clone()), PortChange::Forward(port.clone(), 3 * second)];
        // Twice is once.
        sets.change(&both).unwrap();
        sets.change(&both).unwrap();
        assert!(list(BLOCKED).contains("elements = { \"eth1\" }"), "{}", list(BLOCKED));
        assert!(list(FORWARDING).contains("\"eth1\" timeout 3s expires "), "{}", list(FORWARDING));
        // A refresh begins the time anew, a longer or a shorter one.
        sets.change(&[PortChange::Forward(port.clone(), 60 * second)]).unwrap();
        let text = list(FORWARDING);
        assert!(text.contains("timeout 1m expires "), "{text}");
        for _ in 0..2 {
            sets.change(&[PortChange::Unblock(port.clone()), PortChange::Hold(port.clone())]).unwrap();
            assert!(!list(BLOCKED).contains("eth1") && !list(FORWARDING).contains("eth1"));
        }
        // Without a word it ends by itself.
        sets.change(&[PortChange::Forward(port.clone(), second / 10)]).unwrap();
        let deadline = std::time::Instant::now() + 5 * second;
        while list(FORWARDING).contains("eth1") {
            assert!(std::time::Instant::now() < deadline, "{}", list(FORWARDING));
        }
    }
}

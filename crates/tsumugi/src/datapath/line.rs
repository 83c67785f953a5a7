//! A line: an interface of the underlay with the sockets that tunnels over it share.

use super::socket;
use super::trouble::Trouble;
use crate::kernel::Namespace;
use crate::observe::status::Missing;
use std::io;
use std::os::fd::OwnedFd;
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::{Counters, DropReason, Identifications, Outer};

/// Where packets of one protocol and family come in.
pub struct Receiver {
    pub ipv6: bool,
    /// The IP protocol.
    pub protocol: u8,
    pub socket: OwnedFd,
}

/// What the tunnels over a line ask of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub ipv6: bool,
    /// The IP protocol that is received raw; `None`: only sending is asked for.
    pub protocol: Option<u8>,
}

pub struct Line {
    pub name: IfName,
    /// The interface that the sockets are bound to; `None` while there is none.
    index: Option<u32>,
    senders: [Option<OwnedFd>; 2],
    pub receivers: Vec<Receiver>,
    identifications: Identifications,
    /// What came by this line and belongs to none of its tunnels.
    pub drops: Counters,
    pub trouble: Trouble,
}

impl Line {
    pub fn new(name: IfName) -> Line {
        Line {
            name,
            index: None,
            senders: [None, None],
            receivers: Vec::new(),
            identifications: Identifications::new(rand::random()),
            drops: Counters::default(),
            trouble: Trouble::default(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.index.is_some()
    }

    /// Brings the sockets to what is needed: opened anew when the interface of this name is another
    /// one than before (`index`), closed when it is gone. True if anything was opened or closed.
    pub fn maintain(&mut self, underlay: &Namespace, index: Option<u32>, needs: &[Need]) -> bool {
        let mut changed = false;
        if self.index.is_some() && self.index != index {
            self.close();
            changed = true;
        }
        if index.is_none() {
            self.trouble.is(Missing::NoInterface);
            return changed;
        }
        self.index = index;
        match self.open(underlay, needs) {
            Ok(opened) => {
                self.trouble.is_over();
                changed || opened
            }
            Err(error) => {
                self.trouble.is(Missing::from(&error));
                self.close();
                true
            }
        }
    }

    fn open(&mut self, underlay: &Namespace, needs: &[Need]) -> io::Result<bool> {
        let mut opened = false;
        for need in needs {
            let sender = &mut self.senders[usize::from(need.ipv6)];
            if sender.is_none() {
                *sender = Some(socket::sender(underlay, &self.name, need.ipv6)?);
            }
            let Some(protocol) = need.protocol else { continue };
            let there = |known: &Receiver| known.ipv6 == need.ipv6 && known.protocol == protocol;
            if !self.receivers.iter().any(there) {
                let socket = socket::receiver(underlay, &self.name, need.ipv6, protocol)?;
                self.receivers.push(Receiver { ipv6: need.ipv6, protocol, socket });
                opened = true;
            }
        }
        let before = self.receivers.len();
        self.receivers
            .retain(|known| needs.contains(&Need { ipv6: known.ipv6, protocol: Some(known.protocol) }));
        Ok(opened || self.receivers.len() != before)
    }

    /// Lets go of a receiver that is broken.
    pub fn lose(&mut self, place: usize) {
        if place < self.receivers.len() {
            self.receivers.remove(place);
        }
    }

    fn close(&mut self) {
        self.index = None;
        self.senders = [None, None];
        self.receivers.clear();
    }

    /// Sends `payload` as one or more outer packets.
    ///
    /// # Errors
    /// Why it did not go, or not whole.
    pub fn send(&mut self, outer: &Outer, payload: &[u8]) -> Result<(), DropReason> {
        let destination = outer.destination();
        let sender = self.senders[usize::from(destination.is_ipv6())].as_ref().ok_or(DropReason::NoLine)?;
        for fragment in outer.fragments(payload, self.identifications.take())? {
            socket::send(sender, &fragment, destination).map_err(|_| DropReason::SendFailed)?;
        }
        Ok(())
    }
}

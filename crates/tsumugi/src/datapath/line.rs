//! A line: an interface of the underlay with the sockets that tunnels over it share.

use super::options::{self, Heard};
use super::socket::{self, Senders};
use super::trouble::Trouble;
use crate::kernel::Namespace;
use crate::observe::status::{LinePath, Missing, WhyRaw};
use std::io;
use std::os::fd::OwnedFd;
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::{Counters, DropReason, Identifications, Limits, Reassembly};
use tsumugi_core::wire::ip::protocol;

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
    /// The IP protocol that is received, UDP for GENEVE; `None`: only sending is asked for.
    pub protocol: Option<u8>,
}

/// How packets pass the stack by.
pub struct Packets {
    pub senders: Senders,
    /// Of all but network control.
    pub receiver: OwnedFd,
    /// Whether it hears GENEVE.
    geneve: bool,
    /// Of network control, which does not wait behind the rest.
    pub control: OwnedFd,
}

impl Packets {
    /// Hears GENEVE from now on, or no more.
    fn hear(&mut self, geneve: bool) -> io::Result<()> {
        options::hear_tunnels(&self.receiver, Heard { control: false, geneve })?;
        options::hear_tunnels(&self.control, Heard { control: true, geneve })?;
        self.geneve = geneve;
        Ok(())
    }

    pub fn hears_geneve(&self) -> bool {
        self.geneve
    }
}

pub struct Line {
    pub name: IfName,
    pub path: LinePath,
    /// While the path is past the stack.
    pub packets: Option<Packets>,
    pub reassembly: Reassembly,
    /// The interface that the sockets are bound to; `None` while there is none.
    index: Option<u32>,
    senders: [Option<Senders>; 2],
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
            path: LinePath::Raw(WhyRaw::NotNeeded),
            packets: None,
            reassembly: Reassembly::new(Limits::default()),
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

    pub fn index(&self) -> Option<u32> {
        self.index
    }

    /// Brings the sockets to what is needed: opened anew when the interface of this name is another
    /// one than before, closed when it is gone. `path` is how packets should go. True if
    /// anything was opened or closed.
    pub fn maintain(
        &mut self,
        underlay: &Namespace,
        index: Option<u32>,
        needs: &[Need],
        path: LinePath,
    ) -> bool {
        let mut changed = false;
        if self.index.is_some() && self.index != index {
            self.close();
            changed = true;
        }
        let Some(interface) = index else {
            self.trouble.is(Missing::NoInterface);
            return changed;
        };
        self.index = index;
        let geneve = needs.iter().any(|need| need.protocol == Some(protocol::UDP));
        changed |= self.follow(underlay, interface, path, geneve);
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

    /// Opens or closes the packet sockets. Where they are refused it is raw sockets again.
    fn follow(&mut self, underlay: &Namespace, interface: u32, path: LinePath, geneve: bool) -> bool {
        let had = self.packets.is_some();
        self.path = path;
        if self.path != LinePath::Packet {
            self.packets = None;
        } else if let Some(packets) = &mut self.packets {
            // What refuses is opened anew with the next maintenance.
            if packets.geneve != geneve && packets.hear(geneve).is_err() {
                self.packets = None;
            }
        } else {
            let open = || {
                Ok(Packets {
                    senders: socket::packet_senders(underlay)?,
                    receiver: socket::packet_receiver(underlay, interface, Heard { control: false, geneve })?,
                    control: socket::packet_receiver(underlay, interface, Heard { control: true, geneve })?,
                    geneve,
                })
            };
            match open() {
                Ok(packets) => self.packets = Some(packets),
                Err(error) => {
                    let error: io::Error = error;
                    self.path = LinePath::Raw(WhyRaw::System { error: error.to_string() });
                }
            }
        }
        had != self.packets.is_some()
    }

    fn open(&mut self, underlay: &Namespace, needs: &[Need]) -> io::Result<bool> {
        let mut opened = false;
        if self.packets.is_some() {
            opened = !self.receivers.is_empty();
            self.receivers.clear();
        }
        for need in needs {
            let senders = &mut self.senders[usize::from(need.ipv6)];
            if senders.is_none() {
                *senders = Some(socket::senders(underlay, &self.name, need.ipv6)?);
            }
            let Some(protocol) = need.protocol.filter(|_| self.packets.is_none()) else { continue };
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

    /// Lets go of the packet sockets: the interface went down, or went.
    pub fn lose_packets(&mut self) {
        self.packets = None;
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
        self.packets = None;
    }

    /// What packets of one family are sent by, and the numbers that they get.
    ///
    /// # Errors
    /// `NoLine` while it is not open.
    pub fn senders(&mut self, ipv6: bool) -> Result<(&Senders, &mut Identifications), DropReason> {
        let senders = self.senders[usize::from(ipv6)].as_ref().ok_or(DropReason::NoLine)?;
        Ok((senders, &mut self.identifications))
    }
}

//! Frames that pass the bridges: loop probes on ports, and hosts' answers on VXLAN devices.

use crate::kernel::Namespace;
use crate::kernel::frame_socket::{FrameSocket, Hears};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::{IfName, Mac};

/// IEEE 802: local experimental EtherType 1.
const PROBE: u16 = 0x88b5;
/// What we listen for is short; a longer frame is none of it.
const LARGEST: usize = 2048;
/// Frames taken in one round: a bound on how long a flood of them holds the loop up.
const ROUND: usize = 256;

/// What to do with frames of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// A port: probes.
    Port,
    /// A VXLAN device of a gateway: answers to questions of the MAC, for the bridge.
    Answers { bridge: IfName, own: Mac },
    /// A VXLAN device of a segment without a gateway: nothing to hear, but perhaps to send.
    Silent,
}

struct Open {
    index: u32,
    purpose: Purpose,
    socket: FrameSocket,
}

/// A frame that is worth hearing.
#[derive(Debug, PartialEq, Eq)]
pub enum HeardFrame {
    Probe { port: IfName, frame: Vec<u8> },
    Host { bridge: IfName, address: std::net::IpAddr, mac: Mac },
}

/// A socket for every interface of a segment that is there. Its descriptor is readable while a frame
/// waits.
pub struct Frames {
    space: Namespace,
    poll: Epoll,
    purposes: BTreeMap<IfName, Purpose>,
    open: BTreeMap<IfName, Open>,
}

impl Frames {
    /// # Errors
    /// No descriptors left.
    pub fn new(space: &Namespace, config: &EvpnConfig) -> io::Result<Frames> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut frames =
            Frames { space: space.clone(), poll, purposes: BTreeMap::new(), open: BTreeMap::new() };
        frames.set_config(config);
        Ok(frames)
    }

    pub fn set_config(&mut self, config: &EvpnConfig) {
        self.purposes.clear();
        for segment in &config.segments {
            let ports = segment.ports.iter().map(|port| (port.link.clone(), Purpose::Port));
            self.purposes.extend(ports);
            if let Some(stretch) = &segment.stretch {
                let purpose = match &segment.gateway {
                    Some(gateway) => {
                        Purpose::Answers { bridge: segment.bridge.clone(), own: gateway.own_mac }
                    }
                    None => Purpose::Silent,
                };
                self.purposes.insert(stretch.vxlan.clone(), purpose);
            }
        }
        let other = |name: &IfName, open: &Open| self.purposes.get(name) != Some(&open.purpose);
        let closing: Vec<IfName> =
            self.open.iter().filter(|(name, open)| other(name, open)).map(|(name, _)| name.clone()).collect();
        for name in closing {
            let index = self.open.get(&name).map(|open| open.index);
            self.close(&name);
            if index.is_some() {
                self.set_link(&name, index);
            }
        }
    }

    /// The interface is there with this index, or it is not.
    pub fn set_link(&mut self, name: &IfName, index: Option<u32>) {
        if self.open.get(name).map(|open| open.index) == index {
            return;
        }
        self.close(name);
        let (Some(index), Some(purpose)) = (index, self.purposes.get(name).cloned()) else { return };
        let hears = match &purpose {
            Purpose::Port => Hears::EtherType(PROBE),
            Purpose::Answers { .. } => Hears::Neighbours,
            Purpose::Silent => Hears::Nothing,
        };
        let socket = self.space.run(|| FrameSocket::open(index, hears)).and_then(|socket| {
            self.poll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, u64::from(index)))?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => {
                self.open.insert(name.clone(), Open { index, purpose, socket });
            }
            Err(error) => tracing::warn!(link = %name, %error, "no frames can be heard on the interface"),
        }
    }

    fn close(&mut self, name: &IfName) {
        if let Some(open) = self.open.remove(name) {
            // It fails only if it was never added.
            let _ = self.poll.delete(&open.socket);
        }
    }

    /// Sends out of an interface, past its bridge. Whatever is not sent now is sent again by whoever
    /// asked for it: probes and questions are repeated.
    pub fn send(&self, link: &IfName, frame: &[u8]) {
        let sent = match self.open.get(link) {
            Some(open) => open.socket.send(frame),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if let Err(error) = sent {
            tracing::trace!(%link, %error, "frame not sent");
        }
    }

    /// Takes what waits, each interface in its turn.
    pub fn hear(&self) -> Vec<HeardFrame> {
        let mut heard = Vec::new();
        let mut ready = [EpollEvent::empty(); 64];
        let count = self.poll.wait(&mut ready, EpollTimeout::ZERO).unwrap_or(0);
        let mut buffer = [0; LARGEST];
        let share = ROUND / count.max(1) + 1;
        for event in &ready[..count] {
            let found = self.open.iter().find(|(_, open)| u64::from(open.index) == event.data());
            let Some((name, open)) = found else { continue };
            for _ in 0..share {
                let Some(length) = open.socket.receive(&mut buffer) else { break };
                heard.extend(open.purpose.read(name, &buffer[..length]));
            }
        }
        heard
    }
}

impl AsFd for Frames {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.0.as_fd()
    }
}

impl Purpose {
    fn read(&self, name: &IfName, frame: &[u8]) -> Option<HeardFrame> {
        match self {
            Purpose::Port => Some(HeardFrame::Probe { port: name.clone(), frame: frame.to_vec() }),
            Purpose::Answers { bridge, own } => {
                let (address, mac) = crate::peering::neighbour_answer::parse(frame, *own)?;
                Some(HeardFrame::Host { bridge: bridge.clone(), address, mac })
            }
            Purpose::Silent => None,
        }
    }
}

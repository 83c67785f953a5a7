//! A line: an interface of the underlay with the sockets that tunnels over it share.

use super::handover::message::{LineState, counted, named};
use super::options::{self, Heard};
use super::socket::{self, Senders};
use super::trouble::Trouble;
use crate::kernel::{Namespace, packet};
use crate::observe::status::{LinePath, Missing, WhyRaw};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::{Counters, DropReason, Identifications, Limits, Reassembly};
use tsumugi_core::wire::ip::protocol;

/// Where packets of one protocol and family come in.
pub struct Receiver {
    pub ipv6: bool,
    /// The IP protocol.
    pub protocol: u8,
    /// Network control alone, which does not wait behind the rest; what is not of it comes in elsewhere.
    pub control: bool,
    pub socket: OwnedFd,
}

impl Receiver {
    /// Hears what it is for. Of UDP one socket hears all: who sends by the same port has no two of them.
    fn hear(&self) -> io::Result<()> {
        if self.protocol == protocol::UDP {
            return packet::detach(&self.socket);
        }
        options::hear_class(&self.socket, self.ipv6, self.control)
    }
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
    /// Whether the receiver does not hear what goes by the shortcut.
    pub leaves_shortcut: bool,
    /// When each was empty last.
    emptied: Emptied,
}

/// When the two packet sockets of a line were empty last.
#[derive(Clone, Copy)]
struct Emptied {
    bulk: Instant,
    control: Instant,
}

impl Emptied {
    fn now() -> Emptied {
        let now = Instant::now();
        Emptied { bulk: now, control: now }
    }
}

impl Packets {
    /// Notes how a batch was taken from one of the two, and says when that was empty before.
    pub fn was_emptied(&mut self, control: bool, now: Instant, is_empty: bool) -> Instant {
        let emptied = if control { &mut self.emptied.control } else { &mut self.emptied.bulk };
        let before = *emptied;
        if is_empty {
            *emptied = now;
        }
        before
    }

    /// Hears GENEVE from now on, or no more.
    fn hear(&mut self, geneve: bool) -> io::Result<()> {
        options::hear_tunnels(&self.receiver, Heard { control: false, geneve })?;
        options::hear_tunnels(&self.control, Heard { control: true, geneve })?;
        self.geneve = geneve;
        self.leaves_shortcut = false;
        Ok(())
    }

    /// What goes by the shortcut as well.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn hear_all(&mut self) -> io::Result<()> {
        self.hear(self.geneve)
    }

    pub fn hears_geneve(&self) -> bool {
        self.geneve
    }
}

pub struct Line {
    pub name: IfName,
    pub path: LinePath,
    /// While the path is past the stack, and shortly before and after.
    pub packets: Option<Packets>,
    /// What comes past the stack is only put together, not taken yet: raw sockets take it still.
    pub learns: bool,
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
            learns: false,
            reassembly: Reassembly::new(Limits::default()),
            index: None,
            senders: [None, None],
            receivers: Vec::new(),
            identifications: Identifications::new(rand::random()),
            drops: Counters::default(),
            trouble: Trouble::default(),
        }
    }

    /// What another process needs to go on with this line; its descriptors are [`Line::descriptors`].
    pub fn state(&self) -> LineState {
        LineState {
            name: self.name.clone(),
            index: self.index,
            path: self.path.clone(),
            packets: self.packets.is_some(),
            geneve: self.packets.as_ref().is_some_and(Packets::hears_geneve),
            senders: self.senders.each_ref().map(Option::is_some),
            receivers: self.kinds(false),
            control_receivers: self.kinds(true),
            drops: named(&self.drops),
        }
    }

    /// In the order in which [`Line::adopt`] takes them.
    pub fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        let packets = self.packets.iter().flat_map(|packets| {
            let Senders { bulk, urgent } = &packets.senders;
            [bulk, urgent, &packets.receiver, &packets.control]
        });
        let senders = self.senders.iter().flatten().flat_map(|Senders { bulk, urgent }| [bulk, urgent]);
        let of = |control| self.receivers.iter().filter(move |receiver| receiver.control == control);
        let receivers = of(false).chain(of(true)).map(|receiver| &receiver.socket);
        packets.chain(senders).chain(receivers)
    }

    fn kinds(&self, control: bool) -> Vec<(bool, u8)> {
        let of = self.receivers.iter().filter(|receiver| receiver.control == control);
        of.map(|receiver| (receiver.ipv6, receiver.protocol)).collect()
    }

    /// A line that another process has opened. `None` if it is not what it says.
    pub fn adopt(state: &LineState, descriptors: Vec<OwnedFd>) -> Option<Line> {
        let mut descriptors = descriptors.into_iter();
        let mut line = Line::new(state.name.clone());
        line.index = state.index;
        line.path = state.path.clone();
        if state.packets {
            line.packets = Some(Packets {
                senders: Senders { bulk: descriptors.next()?, urgent: descriptors.next()? },
                receiver: descriptors.next()?,
                control: descriptors.next()?,
                geneve: state.geneve,
                leaves_shortcut: false,
                emptied: Emptied::now(),
            });
        }
        for (sender, is_there) in line.senders.iter_mut().zip(state.senders) {
            if is_there {
                *sender = Some(Senders { bulk: descriptors.next()?, urgent: descriptors.next()? });
            }
        }
        for (control, kinds) in [(false, &state.receivers), (true, &state.control_receivers)] {
            for &(ipv6, protocol) in kinds {
                line.receivers.push(Receiver { ipv6, protocol, control, socket: descriptors.next()? });
            }
        }
        line.go_on(state);
        descriptors.next().is_none().then_some(line)
    }

    /// Goes on counting where another process stands now. Numbers of datagrams begin anew: those of the other
    /// one that are under way are few.
    pub fn go_on(&mut self, state: &LineState) {
        self.drops = counted(&state.drops);
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

    /// Opens the packet sockets where they are wanted; where they are refused it is raw sockets again. A
    /// line that has been raw learns first which datagrams are half here, until it is maintained again.
    fn follow(&mut self, underlay: &Namespace, interface: u32, path: LinePath, geneve: bool) -> bool {
        let mut opened = false;
        if path == LinePath::Packet
            && let Some(packets) = &mut self.packets
            && packets.geneve != geneve
            && packets.hear(geneve).is_err()
        {
            self.lose_packets();
        }
        if path == LinePath::Packet && self.packets.is_none() {
            let open = || {
                io::Result::Ok(Packets {
                    senders: socket::packet_senders(underlay)?,
                    receiver: socket::packet_receiver(underlay, interface, Heard { control: false, geneve })?,
                    control: socket::packet_receiver(underlay, interface, Heard { control: true, geneve })?,
                    geneve,
                    leaves_shortcut: false,
                    emptied: Emptied::now(),
                })
            };
            match open() {
                Ok(packets) => self.packets = Some(packets),
                Err(error) => {
                    self.path = LinePath::Raw(WhyRaw::System { error: error.to_string() });
                    return false;
                }
            }
            self.learns = !self.receivers.is_empty();
            if self.learns {
                return true;
            }
            opened = true;
        }
        self.path = path;
        opened
    }

    /// Whether raw sockets give way to packet sockets now.
    pub fn leaves_stack(&self) -> bool {
        self.path == LinePath::Packet && self.packets.is_some() && !self.receivers.is_empty()
    }

    /// Whether packet sockets give way to raw sockets, once the stack has the packets again.
    pub fn joins_stack(&self) -> bool {
        self.path != LinePath::Packet && self.packets.is_some() && !self.learns
    }

    /// Raw sockets hear nothing any more; what they have heard can still be read.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn deafen_receivers(&mut self) -> io::Result<()> {
        self.learns = false;
        self.receivers.iter().try_for_each(|receiver| packet::deafen(&receiver.socket))
    }

    /// The other way round.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn deafen_packets(&mut self) -> io::Result<()> {
        self.receivers.iter().try_for_each(Receiver::hear)?;
        let all = self.packets.iter().flat_map(|packets| [&packets.receiver, &packets.control]);
        all.into_iter().try_for_each(packet::deafen)
    }

    fn open(&mut self, underlay: &Namespace, needs: &[Need]) -> io::Result<bool> {
        let mut opened = false;
        for need in needs {
            let senders = &mut self.senders[usize::from(need.ipv6)];
            if senders.is_none() {
                *senders = Some(socket::senders(underlay, &self.name, need.ipv6)?);
            }
            let Some(protocol) = need.protocol.filter(|_| self.path != LinePath::Packet) else { continue };
            opened |= self.open_receivers(underlay, need.ipv6, protocol)?;
        }
        let before = self.receivers.len();
        self.receivers
            .retain(|known| needs.contains(&Need { ipv6: known.ipv6, protocol: Some(known.protocol) }));
        Ok(opened || self.receivers.len() != before)
    }

    /// Opens what packets of a protocol come in by, if it is not open yet.
    fn open_receivers(&mut self, underlay: &Namespace, ipv6: bool, protocol: u8) -> io::Result<bool> {
        let mut opened = false;
        let is_udp = protocol == protocol::UDP;
        for control in [true, false].into_iter().filter(|control| !(*control && is_udp)) {
            let of = |known: &&Receiver| known.ipv6 == ipv6 && known.protocol == protocol;
            if self.receivers.iter().filter(of).any(|known| known.control == control) {
                continue;
            }
            let socket = socket::receiver(underlay, &self.name, ipv6, protocol, control)?;
            let receiver = Receiver { ipv6, protocol, control, socket };
            if self.packets.is_some() && !self.learns {
                // The packet socket takes them until the stack has them again.
                packet::deafen(&receiver.socket)?;
            } else if !is_udp {
                receiver.hear()?;
                // An older process may have opened it, for all.
                self.receivers.iter().filter(of).try_for_each(Receiver::hear)?;
            }
            self.receivers.push(receiver);
            opened = true;
        }
        Ok(opened)
    }

    /// Lets go of the packet sockets: the interface went down, or went.
    pub fn lose_packets(&mut self) {
        // The kernel waits until no processor looks at the socket any more: packets do not wait with it.
        if let Some(packets) = self.packets.take() {
            std::thread::spawn(move || drop(packets));
        }
        self.learns = false;
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
        self.lose_packets();
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

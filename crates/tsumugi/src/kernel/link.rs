//! Interfaces: what they are, and every change to one.

use super::Namespace;
use super::bridge;
use super::netlink::{Answer, Netlink, NetlinkError};
use super::vxlan::{self, VxlanInfo};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan, InfoPortData, InfoVeth,
    InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo as Info, LinkLayerType, LinkMessage,
    MacVlanMode, State,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};
use tsumugi_core::id::{IfName, Mac};

/// One interface as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    pub index: u32,
    pub name: IfName,
    /// Empty: none.
    pub alias: String,
    /// The kernel's word for what it is (`veth`, `bridge`, `tun`); empty for hardware and loopback.
    pub kind: String,
    /// Bytes.
    pub mtu: u32,
    /// `None` where it carries no Ethernet.
    pub mac: Option<Mac>,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// Index of what it was made over, which may be in another namespace.
    pub parent: Option<u32>,
    /// Administratively up.
    pub up: bool,
    /// Up, and something answers at the other end of the wire.
    pub carrier: bool,
    /// Whether the kernel gives it link-local addresses by itself.
    pub makes_link_local: bool,
    pub loopback: bool,
    /// Of a VXLAN device.
    pub vxlan: Option<VxlanInfo>,
    /// The tag of a VLAN device.
    pub vlan: Option<u16>,
    /// Of a bridge, and of a VXLAN device that is a port of one: whether it is set as ours are.
    pub tuned: bool,
}

/// One end of a pair of wires.
#[derive(Debug, Clone)]
pub struct WireEnd<'a> {
    pub name: &'a IfName,
    pub namespace: &'a Namespace,
    pub mac: Option<Mac>,
    /// Bytes.
    pub mtu: u32,
}

impl Netlink {
    /// Every interface of the namespace.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn links(&mut self) -> Answer<Vec<LinkInfo>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let found = self.dump(RouteNetlinkMessage::GetLink(request))?;
        Ok(found.iter().filter_map(link_of).collect())
    }

    /// The interface of this name, if there is one.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn link(&mut self, name: &IfName) -> Answer<Option<LinkInfo>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.as_str().into()));
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        match self.get(RouteNetlinkMessage::GetLink(request)) {
            Ok(found) => Ok(found.as_ref().and_then(link_of)),
            Err(error) if error.is(Errno::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the interface sends what it is given: it is operational, and its queue is not the one that
    /// drops everything (`noop`). One that was up before its wire had another end is neither until the kernel
    /// has got round to it (RFC 2863's states, set by the kernel's link watch), whatever its flags say.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn sends(&mut self, name: &IfName) -> Answer<bool> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.as_str().into()));
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let Some(RouteNetlinkMessage::NewLink(found)) = self.get(RouteNetlinkMessage::GetLink(request))?
        else {
            return Ok(false);
        };
        let has = |wanted: &dyn Fn(&LinkAttribute) -> bool| found.attributes.iter().any(wanted);
        let operational = has(&|attribute| matches!(attribute, LinkAttribute::OperState(State::Up)));
        let drops = has(&|attribute| matches!(attribute, LinkAttribute::Qdisc(queue) if queue == "noop"));
        Ok(operational && !drops)
    }

    /// The index of the interface of this name.
    ///
    /// # Errors
    /// ENODEV if there is none.
    pub fn index(&mut self, name: &IfName) -> Answer<u32> {
        self.link(name)?.map(|link| link.index).ok_or(NetlinkError::refused(Errno::ENODEV))
    }

    /// Two interfaces with a wire between them, each in its namespace (wherever this socket is).
    ///
    /// # Errors
    /// EEXIST if one of the names is taken.
    pub fn add_veth(&mut self, one: &WireEnd<'_>, other: &WireEnd<'_>) -> Answer<()> {
        let peer = wire_end(other);
        let mut message = wire_end(one);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            Info::Kind(InfoKind::Veth),
            Info::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// A bridge in this namespace; it cannot leave it.
    ///
    /// # Errors
    /// EEXIST if the name is taken.
    pub fn add_bridge(&mut self, name: &IfName) -> Answer<()> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.as_str().into()),
            LinkAttribute::LinkInfo(vec![Info::Kind(InfoKind::Bridge)]),
        ];
        self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// A second Ethernet address on the port `parent` of this namespace, as an interface of `into`.
    ///
    /// # Errors
    /// ENODEV if the parent is not there; EEXIST if the name is taken.
    pub fn add_macvlan(&mut self, parent: &IfName, name: &IfName, into: &Namespace) -> Answer<()> {
        let parent = self.index(parent)?;
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.as_str().into()),
            LinkAttribute::Link(parent),
            LinkAttribute::NetNsFd(into.as_fd().as_raw_fd()),
            LinkAttribute::LinkInfo(vec![
                Info::Kind(InfoKind::MacVlan),
                Info::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Bridge)])),
            ]),
        ];
        self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// The frames of one VLAN of `parent`, of the same namespace.
    ///
    /// # Errors
    /// EOPNOTSUPP where the kernel has no 802.1Q; EEXIST if the name or the tag on it is taken.
    pub fn add_vlan(&mut self, name: &IfName, parent: u32, tag: u16) -> Answer<()> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.as_str().into()),
            LinkAttribute::Link(parent),
            LinkAttribute::LinkInfo(vec![
                Info::Kind(InfoKind::Vlan),
                Info::Data(InfoData::Vlan(vec![InfoVlan::Id(tag)])),
            ]),
        ];
        self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// # Errors
    /// Those of netlink; ENODEV if it is gone already.
    pub fn delete_link(&mut self, index: u32) -> Answer<()> {
        self.request(RouteNetlinkMessage::DelLink(message_for(index)), 0)
    }

    /// Moves an interface into another namespace; it arrives down and without addresses.
    ///
    /// # Errors
    /// EINVAL for what cannot move (bridges); EEXIST if the name is taken there.
    pub fn move_link(&mut self, index: u32, into: &Namespace) -> Answer<()> {
        self.set_link(index, vec![LinkAttribute::NetNsFd(into.as_fd().as_raw_fd())])
    }

    /// # Errors
    /// Those of netlink.
    pub fn set_up(&mut self, index: u32, up: bool) -> Answer<()> {
        let mut message = message_for(index);
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Has the kernel tell everybody of an interface's carrier now. Left alone it gathers such news of all
    /// interfaces of the machine and tells of them once a second; of one that is asked for it tells at once
    /// (Linux 6.8).
    ///
    /// # Errors
    /// Those of netlink.
    pub fn tell_carrier(&mut self, name: &IfName) -> Answer<()> {
        self.link(name).map(drop)
    }

    /// Whether something answers at the other end of a device that has no carrier to be set: its operational
    /// state (RFC 2863 3.1.12) is up or dormant, and the kernel tells everybody. It sends on nevertheless.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn set_dormant(&mut self, index: u32, dormant: bool) -> Answer<()> {
        let state = if dormant { State::Dormant } else { State::Up };
        self.set_link(index, vec![LinkAttribute::OperState(state)])
    }

    /// # Errors
    /// EINVAL beyond what the device can do.
    pub fn set_mtu(&mut self, index: u32, bytes: u32) -> Answer<()> {
        self.set_link(index, vec![LinkAttribute::Mtu(bytes)])
    }

    /// An empty alias removes it.
    ///
    /// # Errors
    /// EINVAL beyond 255 bytes.
    pub fn set_alias(&mut self, index: u32, alias: &str) -> Answer<()> {
        self.set_link(index, vec![LinkAttribute::IfAlias(alias.into())])
    }

    /// Makes it a port of a bridge, or of none.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn set_master(&mut self, index: u32, master: Option<u32>) -> Answer<()> {
        self.set_link(index, vec![LinkAttribute::Controller(master.unwrap_or(0))])
    }

    /// # Errors
    /// Those of netlink; EBUSY for devices that must be down for it.
    pub fn set_mac(&mut self, index: u32, mac: Mac) -> Answer<()> {
        self.set_link(index, vec![LinkAttribute::Address(mac.0.to_vec())])
    }

    /// Whether the kernel shall make link-local addresses by itself. Those that it made stay.
    ///
    /// # Errors
    /// EAFNOSUPPORT for a link without IPv6.
    pub fn set_makes_link_local(&mut self, index: u32, makes: bool) -> Answer<()> {
        let mode = if makes { In6AddrGenMode::Eui64 } else { In6AddrGenMode::None };
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
        self.set_link(index, vec![LinkAttribute::AfSpecUnspec(vec![inet6])])
    }

    fn set_link(&mut self, index: u32, attributes: Vec<LinkAttribute>) -> Answer<()> {
        let mut message = message_for(index);
        message.attributes = attributes;
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }
}

pub(super) fn message_for(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn wire_end(end: &WireEnd<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(end.name.as_str().into()),
        LinkAttribute::Mtu(end.mtu),
        LinkAttribute::NetNsFd(end.namespace.as_fd().as_raw_fd()),
    ];
    message.attributes.extend(end.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    message
}

/// The interface that a message tells of; `None` for other messages and for the bridge's view.
pub(super) fn link_of(message: &RouteNetlinkMessage) -> Option<LinkInfo> {
    let (RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message)) = message else {
        return None;
    };
    let header = &message.header;
    if header.interface_family == AddressFamily::Bridge {
        return None;
    }
    let ethernet = header.link_layer_type == LinkLayerType::Ether;
    let mut name = None;
    let mut link = LinkInfo {
        index: header.index,
        name: IfName::loopback(),
        alias: String::new(),
        kind: String::new(),
        mtu: 0,
        mac: None,
        master: None,
        parent: None,
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        makes_link_local: true,
        loopback: header.flags.contains(LinkFlags::Loopback),
        vxlan: None,
        vlan: None,
        tuned: true,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = IfName::new(text).ok(),
            LinkAttribute::IfAlias(text) => link.alias = text.clone(),
            // Said by whoever asks the far end (`set_dormant`).
            LinkAttribute::OperState(State::Dormant) => link.carrier = false,
            LinkAttribute::Mtu(bytes) => link.mtu = *bytes,
            LinkAttribute::Controller(index) => link.master = Some(*index),
            LinkAttribute::Link(index) => link.parent = Some(*index),
            LinkAttribute::Address(bytes) if ethernet => link.mac = bytes.as_slice().try_into().ok().map(Mac),
            LinkAttribute::LinkInfo(infos) => infos.iter().for_each(|info| kind_of(info, &mut link)),
            LinkAttribute::AfSpecUnspec(families) => {
                for family in families {
                    let AfSpecUnspec::Inet6(settings) = family else { continue };
                    let off = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
                    link.makes_link_local = !settings.contains(&off);
                }
            }
            _ => {}
        }
    }
    link.name = name?;
    // Of all ports only those towards other routers are set otherwise than the kernel sets them.
    link.tuned |= link.kind != "bridge" && (link.vxlan.is_none() || link.master.is_none());
    Some(link)
}

fn kind_of(info: &Info, link: &mut LinkInfo) {
    match info {
        Info::Kind(kind) => link.kind = kind.to_string(),
        Info::Data(InfoData::Bridge(settings)) => link.tuned = bridge::is_tuned(settings),
        Info::PortData(InfoPortData::BridgePort(settings)) => link.tuned = bridge::is_port_tuned(settings),
        Info::Data(InfoData::Vxlan(settings)) => link.vxlan = Some(vxlan::info_of(settings)),
        Info::Data(InfoData::Vlan(settings)) => {
            link.vlan = settings.iter().find_map(|setting| match setting {
                InfoVlan::Id(tag) => Some(*tag),
                _ => None,
            });
        }
        _ => {}
    }
}

//! The kernel's own WireGuard: devices by route netlink, keys and peers by generic netlink.

use super::Namespace;
use super::netlink::{Answer, Netlink, NetlinkError};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo as Info, LinkMessage};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd,
    WireguardDeviceFlags, WireguardMessage, WireguardPeer, WireguardPeerAttribute, WireguardPeerFlags,
};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr as Port};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tsumugi_core::id::IfName;

/// One peer and its device have answers far smaller than this.
const BUFFER: usize = 32 << 10;

/// A device with one peer that may send and be sent everything.
#[derive(Clone, PartialEq, Eq)]
pub struct WireGuardSettings {
    pub private_key: [u8; 32],
    pub listen_port: u16,
    pub peer: [u8; 32],
    /// `None`: the peer calls us.
    pub endpoint: Option<SocketAddr>,
    /// Seconds.
    pub keepalive: Option<u16>,
}

/// The peer of a device as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireGuardPeerInfo {
    pub public_key: [u8; 32],
    pub endpoint: Option<SocketAddr>,
    pub last_handshake: Option<SystemTime>,
}

impl Netlink {
    /// A WireGuard device whose outer side is and stays in this namespace, wherever the device goes.
    ///
    /// # Errors
    /// EOPNOTSUPP where the kernel has none; EEXIST if the name is taken.
    pub fn add_wireguard(&mut self, name: &IfName) -> Answer<()> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.as_str().into()),
            LinkAttribute::LinkInfo(vec![Info::Kind(InfoKind::Wireguard)]),
        ];
        self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }
}

/// Sets up the device `name` of `namespace`. Doing it again with the same settings disturbs no session.
///
/// # Errors
/// ENODEV if it is not there; EADDRINUSE if the port is another's.
pub fn configure(namespace: &Namespace, name: &IfName, settings: &WireGuardSettings) -> Answer<()> {
    let mut socket = Generic::open(namespace)?;
    let known = socket.peer(name)?;
    let anywhere = |address: IpAddr| {
        let family =
            if address.is_ipv4() { WireguardAddressFamily::Ipv4 } else { WireguardAddressFamily::Ipv6 };
        WireguardAllowedIp(vec![
            WireguardAllowedIpAttr::Family(family),
            WireguardAllowedIpAttr::IpAddr(address),
            WireguardAllowedIpAttr::Cidr(0),
        ])
    };
    let mut peer = vec![
        WireguardPeerAttribute::PublicKey(settings.peer),
        WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps),
        WireguardPeerAttribute::PersistentKeepalive(settings.keepalive.unwrap_or(0)),
        WireguardPeerAttribute::AllowedIps(vec![
            anywhere(Ipv4Addr::UNSPECIFIED.into()),
            anywhere(Ipv6Addr::UNSPECIFIED.into()),
        ]),
    ];
    peer.extend(settings.endpoint.map(WireguardPeerAttribute::Endpoint));
    let mut attributes = vec![
        WireguardAttribute::IfName(name.as_str().into()),
        WireguardAttribute::PrivateKey(settings.private_key),
        WireguardAttribute::ListenPort(settings.listen_port),
    ];
    // Replacing all peers would end the session with the one that stays.
    if known.is_some_and(|known| known.public_key != settings.peer) {
        attributes.push(WireguardAttribute::Flags(WireguardDeviceFlags::ReplacePeers));
    }
    attributes.push(WireguardAttribute::Peers(vec![WireguardPeer(peer)]));
    socket.set(WireguardMessage { cmd: WireguardCmd::SetDevice, attributes })
}

/// The peer of the device `name` of `namespace`.
///
/// # Errors
/// ENODEV if the device is not there.
pub fn peer(namespace: &Namespace, name: &IfName) -> Answer<Option<WireGuardPeerInfo>> {
    Generic::open(namespace)?.peer(name)
}

/// A generic netlink socket that speaks to WireGuard.
struct Generic {
    socket: Socket,
    family: u16,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Generic {
    fn open(namespace: &Namespace) -> Answer<Generic> {
        let socket = namespace.run(|| {
            let mut socket = Socket::new(NETLINK_GENERIC)?;
            socket.bind_auto()?;
            socket.connect(&Port::new(0, 0))?;
            Ok(socket)
        })?;
        let mut generic = Generic { socket, family: 0, sequence: 0, buffer: vec![0; BUFFER] };
        let name = WireguardMessage::family_name().to_owned();
        let ask = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName(name)] };
        let answers = generic.exchange(GenlMessage::from_payload(ask), NLM_F_REQUEST | NLM_F_ACK)?;
        let family = answers.iter().flat_map(|answer| &answer.payload.nlas).find_map(|part| match part {
            GenlCtrlAttrs::FamilyId(id) => Some(*id),
            _ => None,
        });
        generic.family = family.ok_or(NetlinkError::refused(Errno::EOPNOTSUPP))?;
        Ok(generic)
    }

    fn set(&mut self, message: WireguardMessage) -> Answer<()> {
        let mut message = GenlMessage::from_payload(message);
        message.set_resolved_family_id(self.family);
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK).map(drop)
    }

    fn peer(&mut self, name: &IfName) -> Answer<Option<WireGuardPeerInfo>> {
        let attributes = vec![WireguardAttribute::IfName(name.as_str().into())];
        let mut message =
            GenlMessage::from_payload(WireguardMessage { cmd: WireguardCmd::GetDevice, attributes });
        message.set_resolved_family_id(self.family);
        let answers = self.exchange(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        let attributes = answers.iter().flat_map(|answer| &answer.payload.attributes);
        let peers = attributes.filter_map(|part| match part {
            WireguardAttribute::Peers(peers) => Some(peers),
            _ => None,
        });
        Ok(peers.flatten().find_map(|peer| peer_of(&peer.0)))
    }

    /// Sends one request and returns all objects that answer it.
    fn exchange<F>(&mut self, message: GenlMessage<F>, flags: u16) -> Answer<Vec<GenlMessage<F>>>
    where
        GenlMessage<F>: NetlinkSerializable + NetlinkDeserializable + std::fmt::Debug,
        NetlinkPayload<GenlMessage<F>>: From<GenlMessage<F>>,
    {
        self.sequence += 1;
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut objects = Vec::new();
        loop {
            let length = self.socket.recv(&mut &mut self.buffer[..], 0)?;
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            while rest.len() >= 16 {
                let answer = NetlinkMessage::<GenlMessage<F>>::deserialize(rest)
                    .map_err(|error| NetlinkError::NotUnderstood(error.to_string()))?;
                let step = (answer.header.length as usize).next_multiple_of(4).max(16);
                rest = rest.get(step..).unwrap_or_default();
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::Error(error) => match error.code {
                        Some(code) => return Err(NetlinkError::refused(Errno::from_raw(-code.get()))),
                        None => return Ok(objects),
                    },
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(NetlinkError::refused(Errno::from_raw(-done.code)));
                    }
                    NetlinkPayload::Done(_) => return Ok(objects),
                    NetlinkPayload::InnerMessage(object) => objects.push(object),
                    _ => {}
                }
            }
        }
    }
}

fn peer_of(attributes: &[WireguardPeerAttribute]) -> Option<WireGuardPeerInfo> {
    let mut public_key = None;
    let mut endpoint = None;
    let mut last_handshake = None;
    for attribute in attributes {
        match attribute {
            WireguardPeerAttribute::PublicKey(key) => public_key = Some(*key),
            WireguardPeerAttribute::Endpoint(address) => endpoint = Some(*address),
            WireguardPeerAttribute::LastHandshake(time) if time.seconds > 0 => {
                let since = Duration::from_secs(time.seconds.unsigned_abs());
                last_handshake = Some(UNIX_EPOCH + since);
            }
            _ => {}
        }
    }
    Some(WireGuardPeerInfo { public_key: public_key?, endpoint, last_handshake })
}

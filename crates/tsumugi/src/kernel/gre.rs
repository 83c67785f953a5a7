//! The kernel's own GRE over IPv4.

use super::netlink::{Answer, Netlink};
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    GreIOFlags, InfoData, InfoGre, InfoKind, LinkAttribute, LinkInfo as Info, LinkMessage,
};
use nix::errno::Errno;
use std::net::Ipv4Addr;
use tsumugi_core::id::IfName;

/// `IFLA_GRE_IGNORE_DF`: an inner DF does not keep the outer packet from being cut.
const IGNORE_DF: u16 = 19;

/// What makes one GRE device differ from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GreInfo {
    pub local: Ipv4Addr,
    pub remote: Ipv4Addr,
    pub key: Option<u32>,
    pub hop_limit: u8,
    /// Outer packets are cut and never marked as not to be cut, whatever is inside.
    pub cuts: bool,
}

impl Netlink {
    /// A GRE device whose outer side is and stays in this namespace, wherever the device goes.
    ///
    /// # Errors
    /// EOPNOTSUPP where the kernel has none; EEXIST if the name or the pair of addresses is taken.
    pub fn add_gre(&mut self, name: &IfName, gre: &GreInfo) -> Answer<()> {
        self.request(device(name, gre), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes another one of the GRE device of this name, which stays the interface that it is.
    ///
    /// # Errors
    /// As the kernel says: EEXIST if the pair of addresses is taken.
    pub fn change_gre(&mut self, name: &IfName, gre: &GreInfo) -> Answer<()> {
        self.request(device(name, gre), 0)
    }

    /// What the device of this name is; `None` if it is not there or no GRE over IPv4.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn gre(&mut self, name: &IfName) -> Answer<Option<GreInfo>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.as_str().into()));
        match self.get(RouteNetlinkMessage::GetLink(request)) {
            Ok(Some(RouteNetlinkMessage::NewLink(found))) => Ok(gre_of(&found)),
            Ok(_) => Ok(None),
            Err(error) if error.is(Errno::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What the kernel is told of a device.
fn device(name: &IfName, gre: &GreInfo) -> RouteNetlinkMessage {
    let mut data = vec![
        InfoGre::Local(gre.local),
        InfoGre::Remote(gre.remote),
        InfoGre::Ttl(gre.hop_limit),
        InfoGre::PathMTUDiscovery(!gre.cuts),
        InfoGre::Other(DefaultNla::new(IGNORE_DF, vec![u8::from(gre.cuts)])),
    ];
    if let Some(key) = gre.key {
        let flags = GreIOFlags::Key;
        data.extend([InfoGre::IFlags(flags), InfoGre::OFlags(flags), InfoGre::IKey(key), InfoGre::OKey(key)]);
    }
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.as_str().into()),
        LinkAttribute::LinkInfo(vec![Info::Kind(InfoKind::GreTun), Info::Data(InfoData::GreTun(data))]),
    ];
    RouteNetlinkMessage::NewLink(message)
}

fn gre_of(message: &LinkMessage) -> Option<GreInfo> {
    let info = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => Some(info),
        _ => None,
    })?;
    let data = info.iter().find_map(|part| match part {
        Info::Data(InfoData::GreTun(data)) => Some(data),
        _ => None,
    })?;
    let mut gre = GreInfo {
        local: Ipv4Addr::UNSPECIFIED,
        remote: Ipv4Addr::UNSPECIFIED,
        key: None,
        hop_limit: 0,
        cuts: false,
    };
    let mut keyed = false;
    let (mut discovers, mut ignores) = (true, false);
    for part in data {
        match part {
            InfoGre::Local(address) => gre.local = *address,
            InfoGre::Remote(address) => gre.remote = *address,
            InfoGre::OKey(key) => gre.key = Some(*key),
            InfoGre::OFlags(flags) => keyed = flags.contains(GreIOFlags::Key),
            InfoGre::Ttl(ttl) => gre.hop_limit = *ttl,
            InfoGre::PathMTUDiscovery(on) => discovers = *on,
            InfoGre::Other(other) => {
                use netlink_packet_core::Nla;
                let mut value = [0];
                if other.kind() == IGNORE_DF && other.value_len() == 1 {
                    other.emit_value(&mut value);
                    ignores = value[0] != 0;
                }
            }
            _ => {}
        }
    }
    gre.key = gre.key.filter(|_| keyed);
    gre.cuts = !discovers && ignores;
    Some(gre)
}

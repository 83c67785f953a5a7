//! VXLAN devices (RFC 7348).

use super::netlink::{Answer, Netlink};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo as Info, LinkMessage,
};
use std::net::IpAddr;
use tsumugi_core::id::{IfName, Vni};

/// The UDP port of VXLAN (RFC 7348 5).
const PORT: u16 = 4789;

/// What a VXLAN device was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VxlanInfo {
    pub vni: Vni,
    /// The outer source.
    pub local: Option<IpAddr>,
    /// Whether the rest is as [`Netlink::add_vxlan`] makes it.
    pub plain: bool,
}

impl Netlink {
    /// Made where its outer packets travel. It learns nothing and has no remote of its own: what it
    /// sends where, its forwarding entries say.
    ///
    /// # Errors
    /// EEXIST if the name is taken, or the VNI by another device.
    pub fn add_vxlan(&mut self, name: &IfName, vni: Vni, local: IpAddr) -> Answer<()> {
        let local = match local {
            IpAddr::V4(local) => InfoVxlan::Local(local),
            IpAddr::V6(local) => InfoVxlan::Local6(local),
        };
        let settings = vec![InfoVxlan::Id(vni.0), local, InfoVxlan::Port(PORT), InfoVxlan::Learning(false)];
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.as_str().into()),
            LinkAttribute::LinkInfo(vec![Info::Kind(InfoKind::Vxlan), Info::Data(InfoData::Vxlan(settings))]),
        ];
        self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }
}

pub(super) fn info_of(settings: &[InfoVxlan]) -> VxlanInfo {
    let mut info = VxlanInfo { vni: Vni(0), local: None, plain: true };
    for setting in settings {
        match setting {
            InfoVxlan::Id(vni) => info.vni = Vni(*vni),
            InfoVxlan::Local(local) => info.local = Some(IpAddr::V4(*local)),
            InfoVxlan::Local6(local) => info.local = Some(IpAddr::V6(*local)),
            InfoVxlan::Port(port) => info.plain &= *port == PORT,
            InfoVxlan::Group(_) | InfoVxlan::Group6(_) => info.plain = false,
            InfoVxlan::Learning(on)
            | InfoVxlan::CollectMetadata(on)
            | InfoVxlan::Proxy(on)
            | InfoVxlan::Rsc(on)
            | InfoVxlan::Vnifilter(on) => info.plain &= !on,
            _ => {}
        }
    }
    info
}

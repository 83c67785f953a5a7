//! How bridges and their ports are set, and what a port has learned.

use super::link::message_for;
use super::netlink::{Answer, Netlink};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind,
    LinkAttribute, LinkInfo as Info,
};

/// After which a MAC that is not heard any more is forgotten, in hundredths of a second.
const AGEING: u32 = 300 * 100;

/// Whether a bridge is as [`Netlink::tune_bridge`] sets it. What a kernel does not tell of, it lacks.
pub(super) fn is_tuned(settings: &[InfoBridge]) -> bool {
    settings.iter().all(|setting| match setting {
        InfoBridge::StpState(state) => *state == BridgeStpState::Disabled,
        InfoBridge::MulticastSnooping(snoops) => !snoops,
        InfoBridge::AgeingTime(time) => *time == AGEING,
        _ => true,
    })
}

/// Whether a port is as [`Netlink::tune_port`] sets it.
pub(super) fn is_port_tuned(settings: &[InfoBridgePort]) -> bool {
    settings.iter().all(|setting| match setting {
        InfoBridgePort::Learning(learns) => !learns,
        InfoBridgePort::NeighSupress(suppresses) => *suppresses,
        _ => true,
    })
}

impl Netlink {
    /// No spanning tree, no multicast snooping, MACs forgotten after 300 s.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn tune_bridge(&mut self, index: u32) -> Answer<()> {
        let mut message = message_for(index);
        message.attributes = vec![LinkAttribute::LinkInfo(vec![
            Info::Kind(InfoKind::Bridge),
            Info::Data(InfoData::Bridge(vec![
                InfoBridge::StpState(BridgeStpState::Disabled),
                InfoBridge::MulticastSnooping(false),
                InfoBridge::AgeingTime(AGEING),
            ])),
        ])];
        self.request(RouteNetlinkMessage::NewLink(message), 0)
    }

    /// For the port towards other routers: it learns nothing, and neighbour questions that the bridge
    /// can answer do not leave by it.
    ///
    /// # Errors
    /// EINVAL for what is no port of a bridge.
    pub fn tune_port(&mut self, index: u32) -> Answer<()> {
        self.set_port(index, vec![InfoBridgePort::Learning(false), InfoBridgePort::NeighSupress(true)])
    }

    /// Forgets all that was learned on a port of a bridge; what was set there stays.
    ///
    /// # Errors
    /// EINVAL for what is no port of a bridge.
    pub fn flush_port(&mut self, index: u32) -> Answer<()> {
        self.set_port(index, vec![InfoBridgePort::Flush])
    }

    fn set_port(&mut self, index: u32, settings: Vec<InfoBridgePort>) -> Answer<()> {
        let mut message = message_for(index);
        message.attributes = vec![LinkAttribute::LinkInfo(vec![
            Info::PortKind(InfoPortKind::Bridge),
            Info::PortData(InfoPortData::BridgePort(settings)),
        ])];
        self.request(RouteNetlinkMessage::NewLink(message), 0)
    }
}

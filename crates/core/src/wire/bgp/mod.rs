//! BGP-4 messages (RFC 4271) with multiprotocol routes (RFC 4760, RFC 8950), four-octet AS numbers
//! (RFC 6793), communities (RFC 1997, RFC 4360, RFC 8092), route refresh (RFC 2918, RFC 7313), extended messages
//! (RFC 8654) and path identifiers of unicast routes (RFC 7911).
//!
//! Error handling by RFC 7606 decides the shape: what decodes is returned with typed errors beside
//! it, and only what makes the rest unreadable ends the session. Every session of ours is between
//! autonomous systems, so attributes that have no place there are discarded while decoding.
//!
//! Not here: families other than IPv4 unicast, IPv6 unicast and EVPN (their routes are skipped), path
//! identifiers of EVPN routes.

mod as_path;
mod attributes;
mod community;
mod error;
mod evpn;
mod evpn_nlri;
mod message;
mod nlri;
mod notification;
mod open;
mod stored;
mod update;

#[cfg(test)]
mod evpn_tests;
#[cfg(test)]
mod path_id_tests;
#[cfg(test)]
mod tests;

pub use as_path::{AsPath, Segment};
pub use attributes::{Aggregator, Attributes, Origin, Partial, UnknownAttribute, code};
pub use community::{Community, ExtendedCommunity, LargeCommunity, Meaning};
pub use error::{Approach, AttributeError, AttributeFault, MessageError};
pub use evpn::{Esi, EvpnBody, EvpnRoute, InvalidIdentifier, PmsiTunnel, RouteDistinguisher, RouteTarget};
pub use evpn_nlri::{EvpnFault, EvpnNlri};
pub use message::{
    EXTENDED_MESSAGE_MAX, Frame, HEADER_LEN, MESSAGE_MAX, Message, MessageKind, Refresh, emit_keepalive,
    frame,
};
pub use nlri::{AfiSafi, Nlri, PathIds, UnicastNlri};
pub use notification::Notification;
pub use open::{AddPath, BgpRole, Capability, GracefulRestart, Open};
pub use stored::{DecodedStored, Stored};
pub use update::{
    Context, DecodedUpdate, MpNextHop, MpReach, MpUnreach, NoRoom, Update, announce, room_for_routes,
    withdraw,
};

//! BGP-4 messages (RFC 4271) with multiprotocol routes (RFC 4760, RFC 8950), four-octet AS numbers
//! (RFC 6793), communities (RFC 1997, RFC 4360, RFC 8092) and route refresh (RFC 2918).
//!
//! Error handling by RFC 7606 decides the shape: what decodes is returned with typed errors beside
//! it, and only what makes the rest unreadable ends the session.
//!
//! Not here: extended messages (RFC 8654), ADD-PATH (RFC 7911), families other than IPv4 and IPv6
//! unicast (their routes are skipped).

mod error;
mod notification;

pub use error::{Approach, AttributeError, AttributeFault, MessageError};
pub use notification::Notification;

//! What of an earlier life of the process the kernel still forwards by, and how long neighbours and we wait for
//! each other (RFC 4724).

use crate::kernel::dynamic;
use crate::kernel::fdb::FdbOwner;
use crate::kernel::netlink::Answer;
use crate::kernel::{Namespace, Netlink};
use netlink_packet_route::AddressFamily;
use tsumugi_core::bgp::config::Family;
use tsumugi_core::bgp::{Forwarding, Waits, Within};
use tsumugi_core::evpn::config::{EvpnConfig, Stretch};
use tsumugi_core::time::Duration;

/// In this time we are back: a supervisor needs a second or two, and we call every neighbour at once. Inside, whoever
/// has other ways does not wait for long; outside, some neighbours take no call for half a minute.
const BACK: Within = Within { inside: Duration::from_secs(15), outside: Duration::from_secs(60) };

/// A session inside comes back within the hold time (3 s), a retry and a handshake: who is not back after three times
/// that is gone, and a route by it may lead nowhere. Outside, see above.
const WAITS: Waits = Waits {
    link: Duration::from_secs(1),
    session: Within { inside: Duration::from_secs(10), outside: Duration::from_secs(40) },
    telling: Duration::from_secs(120),
    quiet: Duration::from_secs(20),
    // FRR begins to tell more than a second after the session stands.
    pause: Duration::from_secs(3),
};

/// Asks the kernel. What it does not answer is taken not to be there.
pub fn forwarding(space: &Namespace, evpn: &EvpnConfig) -> Forwarding {
    let ask = |what, answer: Answer<bool>| {
        answer.unwrap_or_else(|error| {
            tracing::warn!(what, %error, "the kernel does not say what an earlier life left");
            false
        })
    };
    let ipv4 = ask("IPv4", dynamic::found(space, AddressFamily::Inet));
    let ipv6 = ask("IPv6", dynamic::found(space, AddressFamily::Inet6));
    let mut families = vec![(Family::Ipv4Unicast, ipv4), (Family::Ipv6Unicast, ipv6)];
    // A port of a shared LAN closes within a second of the process's end, so that a standby may begin: others must
    // not take this router for one that forwards on.
    let mut ports = evpn.segments.iter().flat_map(|segment| &segment.ports);
    if ports.all(|port| port.lan.is_none()) {
        let stretches: Vec<&Stretch> = evpn.segments.iter().filter_map(|it| it.stretch.as_ref()).collect();
        // Who carries no segment forwards others' by IP alone.
        let found = if stretches.is_empty() { ipv4 || ipv6 } else { ask("EVPN", leads(space, &stretches)) };
        families.push((Family::Evpn, found));
    }
    Forwarding { families, back: BACK, waits: WAITS }
}

/// Whether a VXLAN device of these leads anywhere.
fn leads(space: &Namespace, stretches: &[&Stretch]) -> Answer<bool> {
    let mut netlink = Netlink::open_in(space)?;
    let fdb = netlink.fdb()?;
    let indexes: Vec<u32> = stretches.iter().filter_map(|it| netlink.index(&it.vxlan).ok()).collect();
    let remote = |owner: FdbOwner| matches!(owner, FdbOwner::Device { vtep: Some(_) });
    Ok(fdb.iter().any(|entry| remote(entry.owner) && indexes.contains(&entry.link)))
}

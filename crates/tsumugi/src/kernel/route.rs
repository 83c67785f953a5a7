//! Routes of the main table.

use super::netlink::{Answer, Netlink, NetlinkError, encode};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::net::IpAddr;
use tsumugi_core::id::Prefix;

/// `RTAX_MTU` as a bit of `RTAX_LOCK`.
const LOCK_MTU: u32 = 1 << 2;
/// What the kernel takes for an IPv6 route that states no metric (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;

/// One route in the kernel's own terms: interfaces by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    pub prefix: Prefix,
    pub target: TargetInfo,
    pub source: Option<IpAddr>,
    /// A locked path MTU in bytes.
    pub mtu: Option<u32>,
    /// `None`: the kernel's default for the family.
    pub metric: Option<u32>,
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetInfo {
    /// Sorted, never empty.
    NextHops(Vec<NextHopInfo>),
    /// A next-hop object by its number.
    Object(u32),
    /// RTN_BLACKHOLE.
    Discard,
    /// RTN_UNREACHABLE.
    Unreachable,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHopInfo {
    /// Index of its interface.
    pub link: u32,
    /// Of either family, whatever the prefix's (RFC 8950).
    pub via: Option<IpAddr>,
}

impl Netlink {
    /// Every route of the main table that `protocol` made, of both families.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn routes(&mut self, protocol: u8) -> Answer<Vec<RouteInfo>> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let found = self.dump(routes_request(family, protocol))?;
            routes.extend(found.iter().filter_map(route_of).filter(|route| route.protocol == protocol));
        }
        Ok(routes)
    }

    /// Whether the main table holds a route for exactly this prefix that `protocol` made and that packets
    /// take now.
    ///
    /// # Errors
    /// Those of netlink, but for the answer that no route leads there.
    pub fn holds(&mut self, prefix: &Prefix, protocol: u8) -> Answer<bool> {
        let mut request = RouteMessage::default();
        request.header.address_family =
            if prefix.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        request.header.destination_prefix_length = prefix.max_prefix_len();
        // The route itself is wanted, not what it gives this destination.
        request.header.flags = RouteFlags::FibMatch;
        request.attributes.push(RouteAttribute::Destination(prefix.addr().into()));
        let unreachable =
            |error: &NetlinkError| error.is(Errno::ENETUNREACH) || error.is(Errno::EHOSTUNREACH);
        let found = match self.get(RouteNetlinkMessage::GetRoute(request)) {
            Err(error) if unreachable(&error) => return Ok(false),
            found => found?,
        };
        let Some(RouteNetlinkMessage::NewRoute(found)) = found else { return Ok(false) };
        let header = &found.header;
        Ok(header.destination_prefix_length == prefix.prefix_len()
            && header.protocol == RouteProtocol::from(protocol))
    }

    /// Sets a route, in place of whatever stands there for the prefix and the metric.
    ///
    /// # Errors
    /// ENETUNREACH for a next hop that is on no link; EINVAL for a source that is no address of ours;
    /// ENETDOWN for a link that is down.
    pub fn set_route(&mut self, route: &RouteInfo) -> Answer<()> {
        let (message, flags) = set_message(route);
        self.request(message, flags)
    }

    /// # Errors
    /// ESRCH if it is not there.
    pub fn delete_route(&mut self, route: &RouteInfo) -> Answer<()> {
        self.request(delete_message(route), 0)
    }
}

/// Asks for the routes that `protocol` made. The kernel filters by it where it checks strictly; who reads has to
/// as well.
pub fn routes_request(family: AddressFamily, protocol: u8) -> RouteNetlinkMessage {
    let mut request = RouteMessage::default();
    request.header.address_family = family;
    request.header.protocol = RouteProtocol::from(protocol);
    RouteNetlinkMessage::GetRoute(request)
}

/// The request that sets a route, for a batch.
pub fn set_message(route: &RouteInfo) -> (RouteNetlinkMessage, u16) {
    let mut message = message_for(route);
    let ipv4 = route.prefix.addr().is_ipv4();
    match &route.target {
        TargetInfo::NextHops(next_hops) => {
            message.header.kind = RouteType::Unicast;
            if ipv4 && next_hops.iter().all(|next_hop| next_hop.via.is_none()) {
                message.header.scope = RouteScope::Link;
            }
            match next_hops.as_slice() {
                [one] => {
                    message.attributes.push(RouteAttribute::Oif(one.link));
                    message.attributes.extend(one.via.map(|via| gateway(ipv4, via)));
                }
                several => {
                    let several = several.iter().map(|next_hop| multipath_hop(ipv4, next_hop)).collect();
                    message.attributes.push(RouteAttribute::MultiPath(several));
                }
            }
            message.attributes.extend(preferred(route));
            if let Some(mtu) = route.mtu {
                let metrics = vec![RouteMetric::Lock(LOCK_MTU), RouteMetric::Mtu(mtu)];
                message.attributes.push(RouteAttribute::Metrics(metrics));
            }
        }
        TargetInfo::Object(id) => {
            message.header.kind = RouteType::Unicast;
            message.attributes.push(RouteAttribute::NhId(*id));
            message.attributes.extend(preferred(route));
        }
        TargetInfo::Discard => message.header.kind = RouteType::BlackHole,
        TargetInfo::Unreachable => message.header.kind = RouteType::Unreachable,
    }
    (RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// The request that removes a route, with all its next hops, for a batch.
pub fn delete_message(route: &RouteInfo) -> RouteNetlinkMessage {
    let mut message = message_for(route);
    message.header.scope = RouteScope::NoWhere;
    RouteNetlinkMessage::DelRoute(message)
}

/// A request about one route that is made of others of its family as well, by the hundred thousand: what is
/// the same for all prefixes is encoded once.
pub struct RouteTemplate(Vec<u8>);

/// Where a message has `rtm_dst_len` and the value of its first attribute, which is `RTA_DST`.
const DESTINATION_LENGTH: usize = 17;
const DESTINATION: usize = 32;

impl RouteTemplate {
    /// Sets a route as this one is.
    pub fn set(route: &RouteInfo) -> RouteTemplate {
        let (message, flags) = set_message(route);
        let mut bytes = Vec::new();
        encode(message, flags, &mut bytes);
        RouteTemplate(bytes)
    }

    /// Removes a route as this one is.
    pub fn delete(route: &RouteInfo) -> RouteTemplate {
        let mut bytes = Vec::new();
        encode(delete_message(route), 0, &mut bytes);
        RouteTemplate(bytes)
    }

    /// Appends the request for a prefix of the same family.
    pub fn write(&self, prefix: &Prefix, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&self.0);
        let message = &mut bytes[start..];
        message[DESTINATION_LENGTH] = prefix.prefix_len();
        match prefix.network() {
            IpAddr::V4(it) => message[DESTINATION..DESTINATION + 4].copy_from_slice(&it.octets()),
            IpAddr::V6(it) => message[DESTINATION..DESTINATION + 16].copy_from_slice(&it.octets()),
        }
    }
}

fn message_for(route: &RouteInfo) -> RouteMessage {
    let address = route.prefix.network();
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 },
        destination_prefix_length: route.prefix.prefix_len(),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::from(route.protocol),
        scope: RouteScope::Universe,
        ..RouteHeader::default()
    };
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
    message.attributes.extend(route.metric.map(RouteAttribute::Priority));
    message
}

fn preferred(route: &RouteInfo) -> Option<RouteAttribute> {
    route.source.map(|source| RouteAttribute::PrefSource(source.into()))
}

fn gateway(prefix_is_ipv4: bool, via: IpAddr) -> RouteAttribute {
    if via.is_ipv4() == prefix_is_ipv4 {
        RouteAttribute::Gateway(via.into())
    } else {
        RouteAttribute::Via(RouteVia::from(via))
    }
}

fn multipath_hop(prefix_is_ipv4: bool, next_hop: &NextHopInfo) -> RouteNextHop {
    let mut hop = RouteNextHop::default();
    hop.interface_index = next_hop.link;
    hop.attributes = next_hop.via.map(|via| gateway(prefix_is_ipv4, via)).into_iter().collect();
    hop
}

pub(super) fn route_of(message: &RouteNetlinkMessage) -> Option<RouteInfo> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let header = &message.header;
    let ipv4 = header.address_family == AddressFamily::Inet;
    let mut address: IpAddr = if ipv4 { [0; 4].into() } else { [0; 16].into() };
    let mut table = u32::from(header.table);
    let mut first = NextHopInfo { link: 0, via: None };
    let mut next_hops = Vec::new();
    let (mut source, mut mtu, mut lock, mut metric, mut object) = (None, None, 0, 0, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => address = ip(to)?,
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Oif(index) => first.link = *index,
            // What it holds may be said as well.
            RouteAttribute::NhId(id) => object = Some(*id),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => first.via = via_of(attribute),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Metrics(metrics) => {
                for metric in metrics {
                    match metric {
                        RouteMetric::Mtu(bytes) => mtu = Some(*bytes),
                        RouteMetric::Lock(bits) => lock = *bits,
                        _ => {}
                    }
                }
            }
            RouteAttribute::MultiPath(several) => {
                next_hops.extend(several.iter().map(|hop| NextHopInfo {
                    link: hop.interface_index,
                    via: hop.attributes.iter().find_map(via_of),
                }));
            }
            _ => {}
        }
    }
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    let target = match header.kind {
        RouteType::BlackHole => TargetInfo::Discard,
        RouteType::Unreachable => TargetInfo::Unreachable,
        RouteType::Unicast if object.is_some() => TargetInfo::Object(object?),
        RouteType::Unicast => {
            if next_hops.is_empty() {
                next_hops.push(first);
            }
            next_hops.sort();
            TargetInfo::NextHops(next_hops)
        }
        _ => return None,
    };
    let default_metric = if ipv4 { 0 } else { IPV6_METRIC };
    Some(RouteInfo {
        prefix: Prefix::new(address, header.destination_prefix_length).ok()?,
        target,
        source,
        mtu: mtu.filter(|_| lock & LOCK_MTU != 0),
        metric: Some(metric).filter(|metric| *metric != default_metric),
        protocol: header.protocol.into(),
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn via_of(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_says_what_a_message_of_its_own_would() {
        let hop = |via: &str| NextHopInfo { link: 7, via: Some(via.parse().unwrap()) };
        let two = vec![hop("2001:db8::1"), hop("2001:db8::2")];
        let targets = [
            TargetInfo::NextHops(vec![hop("fe80::1")]),
            TargetInfo::NextHops(two),
            TargetInfo::Object(7),
            TargetInfo::Discard,
        ];
        let of = |prefix: &str, target: &TargetInfo, source: &str| RouteInfo {
            prefix: prefix.parse().unwrap(),
            target: target.clone(),
            source: Some(source.parse().unwrap()),
            mtu: None,
            metric: Some(20),
            protocol: 85,
        };
        let families = [
            ("192.0.2.1", ["0.0.0.0/0", "198.51.100.0/24", "203.0.113.7/32"]),
            ("2001:db8::9", ["::/0", "2001:db8::/32", "2001:db8::7/128"]),
        ];
        for target in &targets {
            for (source, prefixes) in families {
                let first = of(prefixes[0], target, source);
                for prefix in prefixes {
                    let route = of(prefix, target, source);
                    let (set, flags) = set_message(&route);
                    let (mut alone, mut written) = (Vec::new(), Vec::new());
                    encode(set, flags, &mut alone);
                    encode(delete_message(&route), 0, &mut alone);
                    RouteTemplate::set(&first).write(&route.prefix, &mut written);
                    RouteTemplate::delete(&first).write(&route.prefix, &mut written);
                    assert_eq!(written, alone, "{prefix}");
                }
            }
        }
    }
}

//! What FRR says of itself, in the words of the embedded speaker.

use super::configuration::key;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::bgp::config::{NeighbourConfig, Relation, SpeakerConfig, Transport};
use tsumugi_core::bgp::{FamilyCounts, NeighbourStatus, SessionEnd, SessionState, SpeakerStatus};
use tsumugi_core::id::Prefix;
use tsumugi_core::wire::bgp::Notification;

/// `show bgp neighbors json`: by interface or address.
pub type Neighbours = BTreeMap<String, Neighbour>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Neighbour {
    bgp_neighbor_addr: Option<String>,
    remote_router_id: Option<Ipv4Addr>,
    bgp_state: String,
    bgp_timer_up_msec: Option<u64>,
    bgp_timer_hold_time_msecs: u32,
    bgp_timer_keep_alive_interval_msecs: u32,
    message_stats: MessageStats,
    address_family_info: BTreeMap<String, AddressFamily>,
    neighbor_capabilities: Capabilities,
    connections_established: u32,
    last_reset_timer_msecs: Option<u64>,
    last_reset_due_to: Option<String>,
    last_error_code_subcode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MessageStats {
    updates_sent: u64,
    updates_recv: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Capabilities {
    /// `advertised`, `received`, or both in one word.
    route_refresh: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AddressFamily {
    packet_queue_length: u32,
    accepted_prefix_counter: u32,
    sent_prefix_counter: u32,
}

/// `show bgp summary json`: by family.
pub type Summary = BTreeMap<String, FamilySummary>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FamilySummary {
    rib_count: u32,
}

/// `show ip route summary json` of zebra.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteSummary {
    routes: Vec<RouteKind>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RouteKind {
    fib: u32,
    rib: u32,
    #[serde(rename = "type")]
    kind: String,
}

impl RouteSummary {
    /// Routes by BGP that should stand in the kernel, and those that do.
    pub fn bgp(&self) -> (u32, u32) {
        let bgp = self.routes.iter().filter(|kind| kind.kind == "ebgp" || kind.kind == "ibgp");
        bgp.fold((0, 0), |(rib, fib), kind| (rib + kind.rib, fib + kind.fib))
    }
}

/// `links_up`: whether a link has its carrier. `announced`: what of the conditional prefixes is announced.
pub fn speaker(
    config: &SpeakerConfig,
    neighbours: &Neighbours,
    summary: &Summary,
    links_up: impl Fn(&NeighbourConfig) -> bool,
    announced: impl Fn(&Prefix) -> bool,
) -> SpeakerStatus {
    let count = |family: &str| summary.get(family).map_or(0, |family| family.rib_count);
    let prefixes = config.originate.iter().map(|origination| origination.prefix);
    let (originated, held_back) = prefixes.partition(|prefix| announced(prefix));
    SpeakerStatus {
        router_id: config.router_id,
        asn: config.asn,
        public_asn: config.public_asn,
        neighbours: config
            .neighbours
            .iter()
            .map(|neighbour| {
                neighbour_status(neighbour, neighbours.get(&key(&neighbour.transport)), links_up(neighbour))
            })
            .collect(),
        prefixes: FamilyCounts {
            ipv4: count("ipv4Unicast"),
            ipv6: count("ipv6Unicast"),
            evpn: count("l2VpnEvpn"),
        },
        originated,
        held_back,
        own_validity: Vec::new(),
        restart: None,
    }
}

fn neighbour_status(config: &NeighbourConfig, said: Option<&Neighbour>, link_up: bool) -> NeighbourStatus {
    let none = Neighbour::default();
    let said = said.unwrap_or(&none);
    let state = state(&said.bgp_state, link_up);
    let established = state == SessionState::Established;
    let heard = said.bgp_neighbor_addr.as_deref().and_then(|it| it.parse::<IpAddr>().ok());
    let remote = match &config.transport {
        Transport::Numbered { remote, .. } => Some(*remote),
        Transport::Unnumbered { remote, .. } => heard.or(remote.map(IpAddr::V6)),
    };
    let counts = |of: fn(&AddressFamily) -> u32| {
        let family = |name: &str| said.address_family_info.get(name).map_or(0, of);
        FamilyCounts { ipv4: family("ipv4Unicast"), ipv6: family("ipv6Unicast"), evpn: family("l2VpnEvpn") }
    };
    NeighbourStatus {
        name: config.name.clone(),
        link: config.transport.link().clone(),
        remote,
        remote_asn: config.remote_asn,
        role: match &config.relation {
            Relation::Inside { .. } => None,
            Relation::Outside(policy) => Some(policy.role),
        },
        state,
        established_for_ms: said.bgp_timer_up_msec.filter(|_| established),
        down_for_ms: said.last_reset_timer_msecs.filter(|_| !established),
        established_count: said.connections_established,
        hold_ms: if established { said.bgp_timer_hold_time_msecs } else { 0 },
        // What it has agreed on of several paths it says of no family by itself.
        paths_received: Vec::new(),
        paths_sent: Vec::new(),
        keepalive_ms: if established { said.bgp_timer_keep_alive_interval_msecs } else { 0 },
        router_id: said.remote_router_id.filter(|_| established),
        last_end: if link_up { last_end(said) } else { Some(SessionEnd::LinkDown) },
        accepted: counts(|family| family.accepted_prefix_counter),
        announced: counts(|family| family.sent_prefix_counter),
        pending: said.address_family_info.values().map(|family| family.packet_queue_length).sum(),
        updates_in: said.message_stats.updates_recv,
        updates_out: said.message_stats.updates_sent,
        // FRR does not say why it refused what.
        refused: Vec::new(),
        refused_count: 0,
        refused_now: FamilyCounts::default(),
        refused_beyond: 0,
        held: 0,
        evpn_refused: Vec::new(),
        attribute_errors: Vec::new(),
        route_refresh: established
            && said.neighbor_capabilities.route_refresh.to_lowercase().contains("received"),
        // FRR judges again by itself, at once.
        judging: false,
        kept_ms: None,
        stale: FamilyCounts::default(),
        waits: Vec::new(),
    }
}

fn state(said: &str, link_up: bool) -> SessionState {
    match said {
        "Established" => SessionState::Established,
        _ if !link_up => SessionState::AwaitLink,
        "Connect" => SessionState::AwaitConnection,
        "Active" => SessionState::AwaitRetry,
        "OpenSent" => SessionState::AwaitOpen,
        "OpenConfirm" => SessionState::AwaitKeepalive,
        // Of an interface of whose far end nothing is known yet.
        _ => SessionState::AwaitStart,
    }
}

/// FRR's own words for why a session was reset, as far as they say what ours say.
fn last_end(said: &Neighbour) -> Option<SessionEnd> {
    let words = said.last_reset_due_to.as_deref()?;
    let notification = || {
        let code = said.last_error_code_subcode.as_deref()?;
        let (code, subcode) = (code.get(0..2)?, code.get(2..4)?);
        let hexadecimal = |digits| u8::from_str_radix(digits, 16).ok();
        Some(Notification::new(hexadecimal(code)?, hexadecimal(subcode)?))
    };
    let lower = words.to_ascii_lowercase();
    let end = if lower.contains("notification received") {
        SessionEnd::NotificationReceived { notification: notification()? }
    } else if lower.contains("notification sen") {
        SessionEnd::NotificationSent { notification: notification()? }
    } else if lower.contains("hold") {
        SessionEnd::HoldExpired
    } else if lower.contains("interface down") {
        SessionEnd::LinkDown
    } else if lower.contains("closed") {
        SessionEnd::Closed
    } else if lower.contains("config") {
        // It does not say what of it.
        SessionEnd::ConfigurationChanged { terms: Vec::new() }
    } else {
        // Before the first attempt it says that nothing is activated, or nothing.
        return None;
    };
    Some(end)
}

//! A tunnel as one process describes it to the other.

use super::message::{TunnelState, counted, named};
use crate::datapath::keepalive::Keeping;
use crate::datapath::status::milliseconds;
use crate::datapath::tunnel::{Inside, Tunnel, shim_of};
use crate::datapath::wireguard::{Keys, WireGuard};
use crate::kernel::tun::Offloads;
use crate::observe::status::Chosen;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What the other process needs to go on; the descriptors are those of [`descriptors`].
pub fn of(tunnel: &Tunnel, now: Instant) -> TunnelState {
    TunnelState {
        plan: tunnel.plan.clone(),
        chosen: tunnel.chosen.clone(),
        device: tunnel.device.is_some(),
        device_index: tunnel.device_index,
        udp: tunnel.offloads.udp,
        received: tunnel.received,
        sent: tunnel.sent,
        by_shortcut: tunnel.by_shortcut,
        drops: named(&tunnel.drops),
        last_heard_ms: tunnel.last_heard.map(|heard| milliseconds(now.saturating_duration_since(heard))),
        lives: tunnel.keeping.as_ref().and_then(Keeping::lives),
        keepalive: tunnel.keeping.as_ref().map(|keeping| keeping.status(now)),
        silence_ms: tunnel.keeping.as_ref().map_or(0, |keeping| milliseconds(keeping.silence(now))),
        wireguard: tunnel.wireguard().map(WireGuard::state),
    }
}

/// In the order in which [`adopt`] takes them.
pub fn descriptors(tunnel: &Tunnel) -> impl Iterator<Item = &OwnedFd> {
    let socket = tunnel.wireguard().and_then(|wireguard| wireguard.socket.as_ref());
    tunnel.device.iter().chain(socket)
}

/// A tunnel over the line in slot `line` that another process has run. `None` if it is not what it says, or
/// if there are no keys for it.
pub fn adopt(
    state: &TunnelState,
    keys: Option<Keys>,
    line: usize,
    descriptors: Vec<OwnedFd>,
    now: Instant,
) -> Option<Tunnel> {
    let mut descriptors = descriptors.into_iter();
    let device = if state.device { Some(descriptors.next()?) } else { None };
    let inside = match (&state.chosen, &state.wireguard, shim_of(&state.plan.encapsulation)) {
        (Chosen::Kernel, ..) => Inside::Kernel,
        (_, None, Some(shim)) => Inside::Shim(shim),
        (_, Some(wireguard), None) => {
            let socket = if wireguard.socket { Some(descriptors.next()?) } else { None };
            let mut own = WireGuard::new(&state.plan, keys.as_ref()?)?;
            // What the far end calls their sessions by has to tell the two from each other.
            while own.index() == wireguard.index {
                own = WireGuard::new(&state.plan, keys.as_ref()?)?;
            }
            own.adopt(wireguard, socket);
            Inside::WireGuard(Box::new(own))
        }
        _ => return None,
    };
    let mut tunnel = Tunnel::new(state.plan.clone(), keys, state.chosen.clone(), inside, line);
    // Setting it up changes nothing that is right, and tells the index.
    tunnel.is_set_up = device.is_some() && state.device_index.is_some();
    tunnel.device_index = state.device_index.filter(|_| device.is_some());
    tunnel.kernel_device_is_there = matches!(tunnel.inside, Inside::Kernel);
    tunnel.device = device;
    tunnel.offloads = Offloads { udp: state.udp };
    go_on(&mut tunnel, state, now);
    descriptors.next().is_none().then_some(tunnel)
}

/// Goes on counting where the other process stands now.
pub fn go_on(tunnel: &mut Tunnel, state: &TunnelState, now: Instant) {
    tunnel.received = state.received;
    tunnel.sent = state.sent;
    tunnel.by_shortcut = state.by_shortcut;
    tunnel.drops = counted(&state.drops);
    tunnel.has_carrier = state.lives != Some(false);
    if let Some(keeping) = &mut tunnel.keeping {
        keeping.go_on(now, &state.known_of_far_end(), Duration::from_millis(state.silence_ms));
    }
    tunnel.last_heard = state.last_heard_ms.and_then(|since| now.checked_sub(Duration::from_millis(since)));
}

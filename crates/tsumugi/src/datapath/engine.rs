//! Who moves a tunnel's packets, and why.

use serde::Serialize;
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};

/// Why the kernel does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum WhyUserspace {
    /// The file says so.
    Stated,
    /// Linux has no such device (EtherIP), or we do not drive it (GREtap).
    NoDevice,
    /// The kernel's GRE over IPv6 cannot fragment its outer packets.
    CannotFragment,
    /// The kernel was asked and refused.
    Refused { error: String },
}

/// The engine of one tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "engine")]
pub enum Chosen {
    Kernel,
    Userspace(WhyUserspace),
}

/// Why the kernel cannot move this tunnel's packets, whatever machine this is.
pub fn never_the_kernel(plan: &Tunnel) -> Option<WhyUserspace> {
    match plan.encapsulation {
        _ if plan.engine == Engine::Userspace => Some(WhyUserspace::Stated),
        Encapsulation::EtherIp | Encapsulation::Gretap { .. } => Some(WhyUserspace::NoDevice),
        Encapsulation::Gre { .. } if plan.outer_ipv6 => Some(WhyUserspace::CannotFragment),
        Encapsulation::Gre { .. } | Encapsulation::WireGuard { .. } => None,
    }
}

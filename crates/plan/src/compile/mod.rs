//! What it means: from a checked declaration to what each router must be.
//!
//! Everything is derived from stated ids and names, never from the order of routers, so that
//! adding one changes no other's identity.

mod bmp;
mod bogons;
mod ends;
mod fabric;
mod identity;
mod lines;
mod management;
mod names;
mod paths;
mod reach;
mod rpki;
mod segments;
mod speaker;
mod subjects;
mod survey;
mod sysctls;
mod watch;

pub use crate::hash::{hash_of, seal};
pub use bogons::bogons;
pub use segments::MTU_BYTES as SEGMENT_MTU;
pub use subjects::{LineSize, Subject, Subjects, Where};

use crate::declaration::Declaration;
use crate::lists::Lists;
use crate::problem::Problem;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use survey::Survey;
use tsumugi_core::desired::Desired;
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::KeyName;
use tsumugi_core::router_plan::{Encapsulation, RouterPlan, SCHEMA};

/// What the whole network must be.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkPlan {
    /// In the order of the file.
    pub routers: Vec<RouterPlan>,
    /// Of persons: the management part only.
    pub laptops: Vec<RouterPlan>,
    pub devices: Vec<DevicePlan>,
    /// Every key of every machine, in the order of the file.
    pub keys: Vec<MachineKeys>,
}

impl NetworkPlan {
    /// The plan of a router or a laptop.
    pub fn machine(&self, name: &str) -> Option<&RouterPlan> {
        self.routers.iter().chain(&self.laptops).find(|plan| plan.name == name)
    }
}

/// What somebody must set on a device of a management switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    pub name: String,
    pub site: String,
    /// In the switch's /64.
    pub address: Ipv6Addr,
    /// Where it sends what is for elsewhere; `None`: no router of the site has a line for it.
    pub gateway: Option<Ipv6Addr>,
}

/// The keys whose private half one machine keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineKeys {
    pub machine: String,
    pub keys: Vec<KeyName>,
}

/// Compiles what `check` has found nothing wrong with.
///
/// # Errors
/// What the arithmetic of packet sizes refuses, with the arithmetic: a full inside packet that
/// would need three outer ones, a segment whose frames fit no link.
pub fn compile(declaration: &Declaration) -> Result<NetworkPlan, Vec<Problem>> {
    compile_with(declaration, &Lists::default())
}

/// The same, with the list files that `check` was given.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(declaration: &Declaration, lists: &Lists) -> Result<NetworkPlan, Vec<Problem>> {
    let (mut survey, problems) = Survey::build(declaration);
    survey.lists = Some(lists);
    if !problems.is_empty() {
        return Err(problems);
    }
    let routers: Vec<RouterPlan> = (0..survey.machines.len()).map(|index| router(&survey, index)).collect();
    let laptops: Vec<RouterPlan> = declaration
        .persons
        .iter()
        .map(|person| {
            let mut plan = empty(&survey, &person.name, (*person.id).into());
            plan.management = management::laptop(&survey, person);
            seal(&mut plan);
            plan
        })
        .collect();
    let keys = routers.iter().chain(&laptops).map(keys_of).collect();
    Ok(NetworkPlan { devices: devices(&survey), routers, laptops, keys })
}

/// What `compile` would refuse, without compiling.
pub fn refusals(declaration: &Declaration) -> Vec<Problem> {
    Survey::build(declaration).1
}

fn router(survey: &Survey<'_>, index: usize) -> RouterPlan {
    let machine = &survey.machines[index];
    let mut plan = empty(survey, &machine.router.name, machine.id.into());
    plan.site = machine.site.name.get().clone();
    plan.routing = machine.router.routing();
    let mut far_ends = lines::FarEnds::new();
    plan.management = management::router(survey, index, &mut far_ends);
    plan.tunnels = fabric::tunnels(survey, machine);
    lines::add_tunnels(machine, &plan.tunnels, &mut far_ends);
    plan.underlay = lines::underlay(machine, &plan.tunnels, &far_ends);
    plan.fabric = fabric::fabric(survey, machine);
    plan.evpn = segments::evpn(survey, machine);
    let speaker = speaker::speaker(survey, machine);
    plan.rpki = rpki::rpki(survey, &speaker);
    plan.bmp = bmp::bmp(survey);
    plan.speaker = Some(speaker);
    seal(&mut plan);
    plan
}

fn empty(survey: &Survey<'_>, name: &str, id: u32) -> RouterPlan {
    RouterPlan {
        schema: SCHEMA,
        generation: 0,
        hash: String::new(),
        network: survey.network().name.get().clone(),
        public_asn: *survey.network().asn,
        name: name.to_owned(),
        id,
        site: String::new(),
        management: management::nothing(survey),
        underlay: Desired::default(),
        fabric: Desired::default(),
        tunnels: Vec::new(),
        speaker: None,
        routing: tsumugi_core::router_plan::Routing::default(),
        rpki: None,
        bmp: None,
        evpn: EvpnConfig::default(),
    }
}

fn devices(survey: &Survey<'_>) -> Vec<DevicePlan> {
    let of = |device: &crate::declaration::Device| {
        let site = survey.site(&device.site)?;
        let gateway = survey.gateway_of(&device.site).map(|index| &survey.machines[index]);
        Some(DevicePlan {
            name: device.name.get().clone(),
            site: site.name.get().clone(),
            address: survey.space.device(*site.id, *device.id),
            gateway: gateway.map(|machine| survey.space.router_on_switch(*site.id, machine.id)),
        })
    };
    survey.declaration.devices.iter().filter_map(of).collect()
}

/// The names of the private keys that a machine keeps, without repetition.
fn keys_of(plan: &RouterPlan) -> MachineKeys {
    let mut keys: BTreeSet<KeyName> =
        plan.management.overlay.lines.iter().map(|line| line.key.clone()).collect();
    for tunnel in &plan.tunnels {
        if let Encapsulation::WireGuard { local_key, .. } = &tunnel.encapsulation {
            keys.insert(local_key.clone());
        }
    }
    MachineKeys { machine: plan.name.clone(), keys: keys.into_iter().collect() }
}

#[cfg(test)]
mod tests;

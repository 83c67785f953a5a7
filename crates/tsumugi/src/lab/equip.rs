//! Gives every machine its state directory: its plan, its private keys, everybody's public ones.

use super::{Doing, Lab, Trouble};
use crate::state::{KeyBytes, KeyRing, StateDir};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use tsumugi_core::id::KeyName;
use tsumugi_core::router_plan::{Encapsulation, RouterPlan};

/// The names of the keys that a machine itself holds.
fn own_keys(plan: &RouterPlan) -> impl Iterator<Item = &KeyName> {
    let overlay = plan.management.overlay.lines.iter().map(|line| &line.key);
    overlay.chain(plan.tunnels.iter().filter_map(|tunnel| match &tunnel.encapsulation {
        Encapsulation::WireGuard { local_key, .. } => Some(local_key),
        _ => None,
    }))
}

/// What both ends of a signed session have in a lab, where nobody has agreed on anything.
pub(super) fn lab_secret(name: &KeyName) -> String {
    format!("lab {name}")
}

/// New keys for every name, and with the plan into every machine's directory.
pub(super) fn equip(lab: &Lab) -> Result<(), Trouble> {
    let mut ring = KeyRing::default();
    let mut secrets: BTreeMap<&str, Vec<(&KeyName, KeyBytes)>> = BTreeMap::new();
    for (machine, plan) in &lab.plans {
        for name in own_keys(plan) {
            let secret = StaticSecret::from(rand::random::<KeyBytes>());
            ring.0.insert(name.clone(), PublicKey::from(&secret).to_bytes());
            secrets.entry(machine).or_default().push((name, secret.to_bytes()));
        }
    }
    for (name, plan) in &lab.plans {
        let Some(machine) = lab.machines.get(name) else { continue };
        let write = || -> io::Result<()> {
            fs::create_dir_all(machine.state_dir())?;
            let state = StateDir::open(&machine.state_dir())?;
            fs::write(state.path().join("plan.json"), serde_json::to_vec(plan)?)?;
            state.write_keyring(&ring)?;
            for (key, secret) in secrets.get(name.as_str()).into_iter().flatten() {
                state.write_private_key(key, secret)?;
            }
            let neighbours = plan.speaker.iter().flat_map(|speaker| &speaker.neighbours);
            for name in neighbours.filter_map(|neighbour| neighbour.terms.password.as_ref()) {
                state.write_secret(name, &lab_secret(name))?;
            }
            Ok(())
        };
        write().map_err(Trouble::doing(Doing::WritingState { machine: name.to_string() }))?;
    }
    Ok(())
}

//! The secrets with which sessions are signed (RFC 2385): read when they are needed, so that a file that
//! comes later is enough.

use crate::peering::socket::Guard;
use crate::state::StateDir;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use tsumugi_core::bgp::config::{NeighbourConfig, Terms, Transport};
use tsumugi_core::id::KeyName;

#[derive(Debug, Default)]
pub struct Secrets {
    /// Those whose absence the log has heard of.
    missing: BTreeSet<KeyName>,
}

impl Secrets {
    /// What is asked of a neighbour's connection.
    ///
    /// # Errors
    /// Its secret cannot be read: nobody is called without.
    pub fn guard(&mut self, state: &StateDir, terms: &Terms) -> io::Result<Guard> {
        let secret = terms.password.as_ref().map(|name| self.read(state, name)).transpose()?;
        Ok(Guard { gtsm: terms.gtsm, secret })
    }

    /// Who must sign, and with what, as far as the secrets are there.
    pub fn signing<'a>(
        &mut self,
        state: &StateDir,
        neighbours: impl Iterator<Item = &'a NeighbourConfig>,
    ) -> BTreeMap<IpAddr, Vec<u8>> {
        let mut signing = BTreeMap::new();
        for neighbour in neighbours {
            let (Some(name), Transport::Numbered { remote, .. }) =
                (&neighbour.terms.password, &neighbour.transport)
            else {
                continue;
            };
            if let Ok(secret) = self.read(state, name) {
                signing.insert(*remote, secret);
            }
        }
        signing
    }

    /// The secrets of these neighbours as text, as far as they are there and are text.
    pub fn passwords(
        &mut self,
        state: &StateDir,
        neighbours: &[NeighbourConfig],
    ) -> BTreeMap<KeyName, String> {
        let names = neighbours.iter().filter_map(|neighbour| neighbour.terms.password.as_ref());
        let read =
            |name: &KeyName| Some((name.clone(), String::from_utf8(self.read(state, name).ok()?).ok()?));
        names.filter_map(read).collect()
    }

    fn read(&mut self, state: &StateDir, name: &KeyName) -> io::Result<Vec<u8>> {
        let read = state.secret(name);
        match &read {
            Ok(_) => {
                self.missing.remove(name);
            }
            Err(error) => {
                if self.missing.insert(name.clone()) {
                    tracing::warn!(secret = %name, %error, "a session waits for its secret, the file secrets/NAME of the state folder");
                }
            }
        }
        read
    }
}

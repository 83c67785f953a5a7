//! The table and the machine, against the RFCs' words, a naive model, and a scripted cache.

mod paths;
mod random;
mod sessions;
mod slurm;
mod validity;

use super::{Vrp, VrpTable};
use crate::id::Asn;

fn vrp(prefix: &str, max_length: u8, asn: u32) -> Vrp {
    Vrp { prefix: prefix.parse().unwrap(), max_length, asn: Asn(asn) }
}

fn table(vrps: &[Vrp]) -> VrpTable {
    vrps.iter().copied().collect()
}

//! Each peer hears exactly what it should, and what it announces is taken or refused as it should be.

mod carried;
mod heard;
mod taken;
mod withdrawn;

use super::Context;
use crate::lab::report::{Finding, ProofId, Row};

pub fn prove(context: &Context) -> Vec<Row> {
    if context.lab.peers.is_empty() {
        return vec![Row::new(ProofId::Outside, &context.lab.name, Ok(Finding::NothingToProve))];
    }
    let mut rows = heard::prove(context);
    let well = rows.iter().all(Row::holds);
    rows.extend(taken::prove(context));
    rows.extend(carried::prove(context));
    rows.extend(withdrawn::prove(context, well));
    rows
}

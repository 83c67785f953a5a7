//! The verb `lab verify`: all proofs, one after another, in a lab that stands.

use super::proofs::{Context, prove};
use super::report::{Lang, ProofId, Report, Row, row_line};
use super::{Lab, changes, stand_in};
use crate::observe::say;
use std::time::Instant;

/// Makes the proofs named in `only`, or all of them; what each found is said on stderr as it is found.
/// `began` is when the building of the lab began.
pub fn verify(lab: &Lab, only: &[ProofId], lang: Lang, began: Instant) -> Report {
    let context = Context { lab };
    let mut rows: Vec<Row> = Vec::new();
    if let Err(error) = changes::put_back_when_interrupted() {
        rows.push(Row::new(ProofId::Cut, &lab.name, Err(error.into())));
    }
    if let Err(error) = stand_in::start_all(lab) {
        rows.push(Row::new(ProofId::Outside, &lab.name, Err(error.into())));
    }
    for id in ProofId::ALL {
        if !only.is_empty() && !only.contains(&id) {
            continue;
        }
        say::err(&format!("{}: {} ...", id.name(), id.title(lang)));
        for row in prove(id, &context) {
            if !row.holds() {
                say::err(&format!("  {}", row_line(&row, lang)));
            }
            rows.push(row);
        }
    }
    Report { rows, took: began.elapsed() }
}

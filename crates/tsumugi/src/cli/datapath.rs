//! `tsumugi datapath`.

use super::{Failure, Outcome};
use std::path::Path;
use std::process::ExitCode;

pub fn run(state: &Path) -> Outcome {
    match crate::datapath::run(state) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::Said(format!("datapath: {}: {error}", state.display()))),
    }
}

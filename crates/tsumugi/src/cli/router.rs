//! `tsumugi router`: see [`crate::node`].

use super::{Failure, Outcome};
use crate::node;
use std::path::Path;
use std::process::ExitCode;

pub fn run(state: &Path) -> Outcome {
    node::run(state).map(|()| ExitCode::SUCCESS).map_err(|error| {
        Failure::Said(format!("the router process cannot run in {}: {error}", state.display()))
    })
}

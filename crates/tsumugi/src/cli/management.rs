//! `tsumugi management`: see [`crate::management`].

use super::{Failure, Outcome};
use crate::management;
use std::path::Path;
use std::process::ExitCode;

pub fn run(state: &Path) -> Outcome {
    management::run(state).map(|()| ExitCode::SUCCESS).map_err(|error| {
        Failure::Said(format!("the management process cannot run in {}: {error}", state.display()))
    })
}

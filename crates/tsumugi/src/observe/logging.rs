//! The log: one event per change of state, on standard error.

use super::words;
use crate::state::PlanRefused;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tsumugi_plan::explain::Lang;

/// Starts the log of a long-running process: text on a terminal, JSON lines otherwise.
/// `TSUMUGI_LOG` takes a filter (`debug`, `tsumugi=trace`); without it, `info` and above. `process`
/// is named in the first line. May be called again: the first call stays in force.
pub fn init(process: &'static str) {
    let filter =
        EnvFilter::try_from_env("TSUMUGI_LOG").unwrap_or_else(|_| EnvFilter::new("info,boringtun=off"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_target(false).try_init()
    };
    if started.is_ok() {
        tracing::info!(process, pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "started");
    }
}

/// Notes that a plan is refused; said if it was not refused for the same reason `before`.
pub fn refuse_plan(before: &mut Option<PlanRefused>, refused: PlanRefused) {
    if before.as_ref() != Some(&refused) {
        tracing::error!(reason = words::plan_refused(&refused, Lang::En), "plan refused, what runs is kept");
    }
    *before = Some(refused);
}

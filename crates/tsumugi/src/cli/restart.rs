//! `tsumugi restart`: has the router process end in the way of a graceful restart (RFC 4724), for another one to be
//! started in its place: neighbours keep its routes, the kernel forwards on.

use super::{Failure, Outcome, print};
use crate::observe::serve;
use crate::observe::words::plan_refused;
use crate::state::{PlanRefused, StateDir};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tsumugi_core::router_plan::{RouterPlan, Routing};
use tsumugi_plan::explain::Lang;

/// How long the process may take to end, and another one to be there.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Fails, with the old process untouched, if another one could not speak by the plan that lies there; and if nobody
/// takes its place in time.
pub fn run(state: &Path, lang: Lang) -> Outcome {
    could_begin(state, lang)?;
    let socket = state.join("router.sock");
    let Some(old) = listener(&socket) else {
        return Err(Failure::Said(lang.pick(
            format!("no router process listens on {}", socket.display()),
            format!("{}で待ち受けているrouterプロセスがありません", socket.display()),
        )));
    };
    kill(old, Signal::SIGUSR1).map_err(|error: Errno| {
        Failure::Said(lang.pick(
            format!("process {old} could not be told: {}", error.desc()),
            format!("プロセス{old}に伝えられませんでした: {}", error.desc()),
        ))
    })?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // One that is about to end may still be there, and one that has ended leaves its socket behind.
        if let Some(new) = listener(&socket).filter(|new| *new != old && runs(&socket)) {
            let words = lang.pick(
                format!("process {new} has taken the place of {old}\n"),
                format!("プロセス{new}が{old}に代わりました\n"),
            );
            return print(&words).map(|()| ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Err(Failure::Said(lang.pick(
        format!(
            "process {old} was told to make room, and no other speaks in its place within {} s: \
             neighbours forget its routes soon",
            PATIENCE.as_secs()
        ),
        format!(
            "プロセス{old}に交代を伝えましたが、{}秒以内に代わりが現れません。隣はまもなく経路を捨てます",
            PATIENCE.as_secs()
        ),
    )))
}

/// Whether the plan in the state folder is one that another process would run by, and that knows of restarts.
fn could_begin(state: &Path, lang: Lang) -> Result<(), Failure> {
    let of = |what: String| Failure::Said(format!("{}: {what}", state.display()));
    let folder = StateDir::open(state).map_err(|error| of(error.to_string()))?;
    let plan = folder.plan().map_err(|refused| of(plan_refused(&refused, lang)))?;
    match plan {
        RouterPlan { speaker: None, .. } => Err(of(plan_refused(&PlanRefused::NoSpeaker, lang))),
        RouterPlan { routing: Routing::Frr, .. } => Err(of(lang
            .pick(
                "FRR speaks BGP here, and says goodbye to every neighbour when it ends: stop the router process and start it again",
                "ここのBGPはFRRで、終わるときにすべての隣に別れを告げます。ルータープロセスを止めて、もう一度起動してください",
            )
            .into())),
        _ => Ok(()),
    }
}

/// Whether a process has a plan in force, and not only a socket.
fn runs(socket: &Path) -> bool {
    let answer = serve::ask(socket, LOOK_AGAIN * 50).unwrap_or_default();
    let document: Value = serde_json::from_str(&answer).unwrap_or_default();
    document["running"].is_object()
}

/// The process that listens on a socket; `None`: nobody.
fn listener(socket: &Path) -> Option<Pid> {
    let stream = UnixStream::connect(socket).ok()?;
    let found = getsockopt(&stream, sockopt::PeerCredentials).ok()?;
    // Of another PID namespace it is zero, which stands for a whole group of processes.
    (found.pid() > 0).then(|| Pid::from_raw(found.pid()))
}

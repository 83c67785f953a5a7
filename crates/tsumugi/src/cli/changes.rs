//! `tsumugi changes`: what a file that has changed does to the sessions that there are.

use super::file::{compiled, read, refuse};
use super::{Failure, Outcome, print};
use crate::observe::page::change;
use crate::observe::words::{frr_decides, plan_refused, session_change};
use crate::state::{PlanRefused, StateDir};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use tsumugi_core::bgp::change::{SessionChange, session_changes};
use tsumugi_core::router_plan::{RouterPlan, Routing};
use tsumugi_plan::explain::Lang;

/// Of one router: what becomes of each session.
struct OfRouter {
    name: String,
    engine: Engine,
    sessions: Vec<SessionChange>,
}

/// Who carries the change out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Speaker,
    /// FRR, which has its own view of what a session survives.
    Frr,
    /// Nobody until a restart: another one than speaks now.
    Other,
}

impl Engine {
    /// Its name in JSON, and what is to be said of it.
    fn said(self, lang: Lang) -> (&'static str, Option<String>) {
        match self {
            Engine::Speaker => ("embedded", None),
            Engine::Frr => ("frr", Some(frr_decides(lang).into())),
            Engine::Other => ("other", Some(plan_refused(&PlanRefused::OtherEngine, lang))),
        }
    }
}

/// `from`: the file as it is now; else the plan in the state directory.
pub fn run(file: &Path, from: Option<&Path>, state: Option<&Path>, json: bool, lang: Lang) -> Outcome {
    let Some(new) = routers(file, lang)? else { return Ok(ExitCode::FAILURE) };
    let old = match (from, state) {
        (Some(from), _) => match routers(from, lang)? {
            Some(old) => old,
            None => return Ok(ExitCode::FAILURE),
        },
        (None, Some(state)) => vec![of_machine(state, lang)?],
        (None, None) => return Err(Failure::Said(nothing_to_compare(lang).into())),
    };
    let found: Vec<OfRouter> = old.iter().map(|old| of_router(old, &new)).collect();
    // Who is new has no session yet; a machine knows of itself only.
    let is_known = |it: &&RouterPlan| old.iter().any(|old| old.id == it.id);
    let begins: Vec<&str> = match from {
        Some(_) => new.iter().filter(|it| !is_known(it)).map(|it| it.name.as_str()).collect(),
        None => Vec::new(),
    };
    print(&if json { document(&found, &begins, lang) } else { page(&found, &begins, lang) })?;
    Ok(ExitCode::SUCCESS)
}

/// What each router of a file must be; `None`: the file is refused, which was said.
fn routers(file: &Path, lang: Lang) -> Result<Option<Vec<RouterPlan>>, Failure> {
    let text = read(file)?;
    match compiled(file, &text) {
        Ok((_, network)) => Ok(Some(network.routers)),
        Err(problems) => {
            refuse(&problems, &text, file, lang);
            Ok(None)
        }
    }
}

fn of_machine(state: &Path, lang: Lang) -> Result<RouterPlan, Failure> {
    let plan = StateDir::open(state).map_err(|error| error.to_string());
    let plan = plan.and_then(|state| state.plan().map_err(|reason| plan_refused(&reason, lang)));
    plan.map_err(|error| Failure::Said(format!("{}: {error}", state.display())))
}

/// A router is the same by its id, which stands in the file, whatever it is called.
fn of_router(old: &RouterPlan, new: &[RouterPlan]) -> OfRouter {
    let new = new.iter().find(|new| new.id == old.id);
    let name = new.map_or(&old.name, |new| &new.name).clone();
    let engine = match new.map_or(old.routing, |new| new.routing) {
        routing if routing != old.routing => Engine::Other,
        Routing::Frr => Engine::Frr,
        Routing::Embedded => Engine::Speaker,
    };
    // With another engine no session is what it was.
    let before = old.speaker.as_ref().filter(|_| engine != Engine::Other);
    let Some(before) = before else { return OfRouter { name, engine, sessions: Vec::new() } };
    let after = new.and_then(|new| new.speaker.clone());
    // Who is no router any more has no neighbours.
    let after = after.unwrap_or_else(|| {
        let mut nobody = before.clone();
        nobody.neighbours.clear();
        nobody
    });
    OfRouter { name, engine, sessions: session_changes(before, &after) }
}

fn page(found: &[OfRouter], begins: &[&str], lang: Lang) -> String {
    let mut page = String::new();
    for OfRouter { name, engine, sessions } in found {
        page.push_str(name);
        page.push('\n');
        if let Some(words) = engine.said(lang).1 {
            page.push_str(&format!("  {words}\n"));
        }
        if *engine == Engine::Other {
            continue;
        }
        change::changes(&mut page, 1, sessions, |_| None, lang);
    }
    for name in begins {
        page.push_str(&match lang {
            Lang::En => format!("{name}: a new router\n"),
            Lang::Ja => format!("{name}: 新しいルーターです\n"),
        });
    }
    page
}

/// A list of routers, each with its sessions, what is another with when it comes into force, and words.
fn document(found: &[OfRouter], begins: &[&str], lang: Lang) -> String {
    let session = |it: &SessionChange| {
        let terms = it.terms.iter().map(|term| json!({ "what": term, "effect": term.effect() }));
        json!({
            "neighbour": it.neighbour,
            "session": it.session,
            "terms": terms.collect::<Vec<Value>>(),
            "words": session_change(it, None, lang),
        })
    };
    let of = |it: &OfRouter| {
        let sessions: Vec<Value> = it.sessions.iter().map(session).collect();
        let (engine, words) = it.engine.said(lang);
        json!({ "router": it.name, "new": false, "engine": engine, "words": words, "sessions": sessions })
    };
    let new = begins.iter().map(|name| json!({ "router": name, "new": true, "sessions": [] }));
    format!("{}\n", Value::from_iter(found.iter().map(of).chain(new)))
}

fn nothing_to_compare(lang: Lang) -> &'static str {
    lang.pick(
        "say what the file is to be compared with: the file as it is now by --from, or a router's state directory by --state",
        "比べる相手を指定してください: --fromで今のファイル、または--stateでルーターの状態フォルダー",
    )
}

//! `tsumugi plan` and `tsumugi explain mtu`: what a file means.

use super::file::{compiled, lists, read};
use super::{Failure, Outcome, print};
use crate::observe::words::plan_refused;
use crate::state::StateDir;
use std::path::Path;
use std::process::ExitCode;
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_plan::explain::{self, Lang};
use tsumugi_plan::{Declaration, Problem, ProblemKind, Severity, declaration};

/// What one router or all of them must be.
pub fn plan(file: &Path, router: Option<&str>, json: bool, lang: Lang) -> Outcome {
    let text = read(file)?;
    let network = match compiled(file, &text) {
        Ok((_, network)) => network,
        Err(problems) => return refuse(&problems, &text, file, lang),
    };
    let chosen: Vec<&RouterPlan> = match router {
        Some(name) => match network.machine(name) {
            Some(plan) => vec![plan],
            None => return Err(nobody(name, file, lang)),
        },
        None => network.routers.iter().chain(&network.laptops).collect(),
    };
    if json {
        // One router is an object, all of them a list.
        let printed = match (router, chosen.as_slice()) {
            (Some(_), [one]) => serde_json::to_string_pretty(one),
            _ => serde_json::to_string_pretty(&chosen),
        };
        let printed = printed.map_err(|error| Failure::Said(format!("cannot print the plan: {error}")))?;
        print(&format!("{printed}\n"))?;
    } else {
        let summaries: Vec<String> = chosen.iter().map(|plan| explain::plan::summary(plan, lang)).collect();
        print(&summaries.join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The arithmetic of packet sizes.
pub fn explain_mtu(file: &Path, link: Option<&str>, lang: Lang) -> Outcome {
    let text = read(file)?;
    let declaration = match explainable(file, &text) {
        Ok(declaration) => declaration,
        Err(problems) => return refuse(&problems, &text, file, lang),
    };
    match explain::mtu::explain(&declaration, link, lang) {
        Ok(words) => {
            print(&words)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(known) => Err(Failure::Said(unknown_link(link.unwrap_or_default(), &known, lang))),
    }
}

/// A peer's policy, from the plans that a file compiles to, or from this machine's.
pub fn explain_policy(
    peer: &str,
    file: Option<&Path>,
    state: Option<&Path>,
    json: bool,
    lang: Lang,
) -> Outcome {
    let routers = match (file, state) {
        (Some(file), _) => {
            let text = read(file)?;
            match compiled(file, &text) {
                Ok((_, network)) => network.routers,
                Err(problems) => return refuse(&problems, &text, file, lang),
            }
        }
        (None, Some(state)) => {
            let plan = StateDir::open(state).map_err(|error| error.to_string());
            let plan = plan.and_then(|state| state.plan().map_err(|reason| plan_refused(&reason, lang)));
            vec![plan.map_err(|error| Failure::Said(format!("{}: {error}", state.display())))?]
        }
        (None, None) => return Err(Failure::Said(nothing_to_explain(lang).into())),
    };
    let plans: Vec<&RouterPlan> = routers.iter().collect();
    let policy = explain::policy::policy(&plans, peer)
        .map_err(|known| Failure::Said(unknown_peer(peer, &known.join(", "), lang)))?;
    print(&if json { format!("{}\n", policy.to_json()) } else { policy.words(lang) })?;
    Ok(ExitCode::SUCCESS)
}

fn nothing_to_explain(lang: Lang) -> &'static str {
    lang.pick(
        "name the network's file, or a router's state directory by --state",
        "ネットワークのファイルか、--stateでルーターの状態フォルダーを指定してください",
    )
}

fn unknown_peer(name: &str, known: &str, lang: Lang) -> String {
    match lang {
        Lang::En => format!("no peer is called {name}; there are: {known}"),
        Lang::Ja => format!("{name}というピアはありません。あるのは: {known}"),
    }
}

/// A file in which nothing is wrong, or nothing but the arithmetic that somebody asks about.
fn explainable(file: &Path, text: &str) -> Result<Declaration, Vec<Problem>> {
    let problems = match tsumugi_plan::check_with(text, &lists(file, text)) {
        Ok(checked) => return Ok(checked.declaration),
        Err(problems) => problems,
    };
    let is_arithmetic = |problem: &Problem| {
        problem.severity() == Severity::Warning
            || matches!(
                problem.kind,
                ProblemKind::TooManyPackets { .. } | ProblemKind::SegmentTooSmall { .. }
            )
    };
    match declaration::parse(text).0 {
        Some(declaration) if problems.iter().all(is_arithmetic) => Ok(declaration),
        _ => Err(problems),
    }
}

fn refuse(problems: &[Problem], text: &str, file: &Path, lang: Lang) -> Outcome {
    super::file::refuse(problems, text, file, lang);
    Ok(ExitCode::FAILURE)
}

fn nobody(name: &str, file: &Path, lang: Lang) -> Failure {
    Failure::Said(match lang {
        Lang::En => format!("{} has no router and no person called {name}", file.display()),
        Lang::Ja => format!("{}に{name}というルーターも人もありません", file.display()),
    })
}

fn unknown_link(name: &str, known: &[String], lang: Lang) -> String {
    let known = known.join(", ");
    match lang {
        Lang::En => format!("no link is called {name}; there are: {known}"),
        Lang::Ja => format!("{name}というリンクはありません。あるのは: {known}"),
    }
}

//! `tsumugi plan` and `tsumugi explain mtu`: what a file means.

use super::{Failure, Outcome};
use std::path::Path;
use std::process::ExitCode;
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_plan::compile::compile;
use tsumugi_plan::explain::{self, Lang};
use tsumugi_plan::{Declaration, Problem};

/// What one router or all of them must be.
pub fn plan(file: &Path, router: Option<&str>, json: bool, lang: Lang) -> Outcome {
    let text = read(file)?;
    let network = match declaration(&text).and_then(|declaration| compile(&declaration)) {
        Ok(network) => network,
        Err(problems) => return Ok(refused(&problems, &text, file, lang)),
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
        println!("{}", printed.map_err(|error| Failure(error.to_string()))?);
    } else {
        let summaries: Vec<String> = chosen.iter().map(|plan| explain::plan::summary(plan, lang)).collect();
        print!("{}", summaries.join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The arithmetic of packet sizes.
pub fn explain_mtu(file: &Path, link: Option<&str>, lang: Lang) -> Outcome {
    let text = read(file)?;
    let declaration = match declaration(&text) {
        Ok(declaration) => declaration,
        Err(problems) => return Ok(refused(&problems, &text, file, lang)),
    };
    match explain::mtu::explain(&declaration, link, lang) {
        Ok(words) => {
            print!("{words}");
            Ok(ExitCode::SUCCESS)
        }
        Err(known) => Err(Failure(unknown_link(link.unwrap_or_default(), &known, lang))),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure(format!("{}: {error}", file.display())))
}

fn declaration(text: &str) -> Result<Declaration, Vec<Problem>> {
    tsumugi_plan::check(text).map(|checked| checked.declaration)
}

fn refused(problems: &[Problem], text: &str, file: &Path, lang: Lang) -> ExitCode {
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    eprint!("{}", explain::render(problems, text, &file.display().to_string(), lang, colour));
    ExitCode::FAILURE
}

fn nobody(name: &str, file: &Path, lang: Lang) -> Failure {
    Failure(match lang {
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

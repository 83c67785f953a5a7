//! The verbs.

mod changes;
mod datapath;
mod dump;
mod file;
mod irr;
mod lab;
mod management;
mod plan;
mod probe;
mod replay;
mod restart;
mod router;
mod show;
mod status;
mod verify;

use crate::lab::Trouble;
use crate::observe::say;
use crate::state::STATE_VARIABLE;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tsumugi_plan::explain::Lang;

#[derive(Parser)]
#[command(name = "tsumugi", version, about = "Runs a real autonomous system from one file")]
struct Cli {
    /// Language of what is printed; else the locale decides.
    #[arg(long, global = true, value_parser = languages())]
    lang: Option<Lang>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything that is wrong with a file, and what to write instead.
    Check {
        file: PathBuf,
        /// One JSON document for machines.
        #[arg(long)]
        json: bool,
    },
    /// Prints a file back in its one form.
    Fmt {
        file: PathBuf,
        /// Into the file itself.
        #[arg(long)]
        write: bool,
    },
    /// The JSON schema of the file.
    Schema,
    /// What each router must be.
    Plan {
        file: PathBuf,
        #[arg(long)]
        router: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// What a changed file does to each BGP session, before anything is done: which are reset and why, which
    /// neighbours are asked or told again, what waits for the next session.
    Changes {
        /// The network's file as it is to be.
        file: PathBuf,
        /// The file as it is now; else the plan that this machine has.
        #[arg(long)]
        from: Option<PathBuf>,
        /// The machine's state directory; in a lab it is known.
        #[arg(long, env = STATE_VARIABLE)]
        state: Option<PathBuf>,
        /// One JSON document for machines.
        #[arg(long)]
        json: bool,
    },
    /// Why things are as they are.
    #[command(subcommand)]
    Explain(Explain),
    /// Asks the IRR by bgpq4 for every peer with an `as-set`, and refreshes the list files.
    Irr {
        file: PathBuf,
        /// Also takes a list that has lost more than half of what it had.
        #[arg(long)]
        accept_shrunk: bool,
        /// Asks this IRR server, `HOST` or `HOST:PORT`, and not the one that bgpq4 would.
        #[arg(long, value_name = "HOST[:PORT]")]
        server: Option<String>,
        /// Seconds that bgpq4 may take for one AS-SET and family.
        #[arg(long, value_name = "SECONDS", default_value_t = irr::PATIENCE,
            value_parser = clap::value_parser!(u64).range(1..=86_400))]
        patience: u64,
        /// One JSON document for machines.
        #[arg(long)]
        json: bool,
    },
    /// A whole network of one file on this machine.
    Lab {
        #[command(subcommand)]
        verb: lab::LabVerb,
    },
    /// The process that plays an outside peer in a lab.
    #[command(hide = true)]
    LabStandIn { machine: String },
    /// The process that moves a router's packets through its tunnels.
    Datapath {
        /// The machine's state directory.
        #[arg(long)]
        state: PathBuf,
    },
    /// The process that speaks BGP and owns the fabric of this machine.
    Router {
        /// The machine's state directory.
        #[arg(long)]
        state: PathBuf,
    },
    /// Has the router process make room for a new one (an upgrade): neighbours keep its routes meanwhile. Whoever
    /// supervises it starts the new one.
    Restart {
        /// The machine's state directory; in a lab it is known.
        #[arg(long, env = STATE_VARIABLE)]
        state: PathBuf,
    },
    /// The process that keeps the overlay over which people repair.
    Management {
        /// The machine's state directory.
        #[arg(long)]
        state: PathBuf,
    },
    /// How good the path under a tunnel is: sizes, fragments, loss, jitter, measured now and kept.
    Probe {
        /// The tunnel's interface, or who is at its far end.
        link: String,
        /// The machine's state directory; in a lab it is known.
        #[arg(long, env = STATE_VARIABLE)]
        state: PathBuf,
        /// One JSON document for machines.
        #[arg(long)]
        json: bool,
    },
    /// Why BGP of this machine does what it does: where paths lost, what is refused, who hears what.
    Show {
        #[command(subcommand)]
        what: show::What,
        /// The machine's state directory; in a lab it is known.
        #[arg(long, global = true, env = STATE_VARIABLE)]
        state: Option<PathBuf>,
        /// One JSON document for machines.
        #[arg(long, global = true)]
        json: bool,
    },
    /// The table of this machine's BGP as an MRT file (RFC 6396), written while it goes on.
    Dump {
        /// Where to; `-` is standard output.
        file: PathBuf,
        /// The machine's state directory; in a lab it is known.
        #[arg(long, env = STATE_VARIABLE)]
        state: PathBuf,
        /// What was written, as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Tells a table dump (MRT) to a speaker, as its neighbour outside: for tests with real tables.
    Replay(replay::Replay),
    /// What this machine's processes say of themselves.
    Status {
        /// The machine's state directory; in a lab it is known.
        #[arg(long, env = STATE_VARIABLE)]
        state: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum Explain {
    /// How large packets become on the way: every header, how many outer packets, which MSS.
    Mtu {
        file: PathBuf,
        /// `a-b`, an interface, a peer, `management` or `segments`; else everything.
        link: Option<String>,
    },
    /// All that is accepted from a peer, changed, refused, and announced to it, in order.
    Policy {
        /// The peer's name, or that of one of its sessions.
        peer: String,
        /// The network's file; else the plan that this machine has.
        file: Option<PathBuf>,
        /// The machine's state directory; in a lab it is known.
        #[arg(long, env = STATE_VARIABLE)]
        state: Option<PathBuf>,
        /// One JSON document for machines.
        #[arg(long)]
        json: bool,
    },
}

/// What a verb could not do, in words for the person who typed it.
#[derive(Debug)]
pub enum Failure {
    Said(String),
    Lab(Trouble),
}

impl Failure {
    fn words(&self, lang: Lang) -> String {
        match self {
            Failure::Said(words) => words.clone(),
            Failure::Lab(trouble) => trouble.words(lang),
        }
    }
}

/// What every verb returns: the exit status, or the reason why it could not begin.
pub type Outcome = Result<ExitCode, Failure>;

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let lang = cli.lang.unwrap_or_else(lang_of_locale);
    match run(cli.verb, lang) {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure.words(lang));
            ExitCode::from(2)
        }
    }
}

fn languages() -> impl TypedValueParser<Value = Lang> {
    let codes = PossibleValuesParser::new(Lang::ALL.map(Lang::code));
    codes.map(|code| Lang::of_locale(&code))
}

/// The language of the environment: LC_ALL, LC_MESSAGES, LANG, the first that is set (locale(7)).
fn lang_of_locale() -> Lang {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
    Lang::of_locale(&locale.unwrap_or_default())
}

/// What went wrong, on standard error.
fn complain(what: &str) {
    say::err(&format!("tsumugi: {what}"));
}

/// On standard output.
///
/// # Errors
/// That it cannot be written; whoever closed the pipe has seen enough.
fn print(text: &str) -> Result<(), Failure> {
    say::out(text).map_err(|error| Failure::Said(format!("cannot write: {error}")))
}

fn run(verb: Verb, lang: Lang) -> Outcome {
    match verb {
        Verb::Lab { verb } => lab::run(verb, lang),
        Verb::LabStandIn { machine } => verify::stand_in(&machine),
        Verb::Datapath { state } => datapath::run(&state),
        Verb::Plan { file, router, json } => plan::plan(&file, router.as_deref(), json, lang),
        Verb::Changes { file, from, state, json } => {
            changes::run(&file, from.as_deref(), state.as_deref(), json, lang)
        }
        Verb::Explain(Explain::Mtu { file, link }) => plan::explain_mtu(&file, link.as_deref(), lang),
        Verb::Explain(Explain::Policy { peer, file, state, json }) => {
            plan::explain_policy(&peer, file.as_deref(), state.as_deref(), json, lang)
        }
        Verb::Irr { file, accept_shrunk, server, patience, json } => {
            let how = irr::How { server, patience, accept_shrunk };
            irr::run(&file, &how, json, lang)
        }
        Verb::Check { file, json } => file::check(&file, json, lang),
        Verb::Fmt { file, write } => file::fmt(&file, write, lang),
        Verb::Schema => file::schema(),
        Verb::Management { state } => management::run(&state),
        Verb::Router { state } => router::run(&state),
        Verb::Restart { state } => restart::run(&state, lang),
        Verb::Probe { link, state, json } => probe::run(&link, &state, json, lang),
        Verb::Show { what, state, json } => show::run(&what, state.as_deref(), json, lang),
        Verb::Dump { file, state, json } => dump::run(&file, &state, json, lang),
        Verb::Replay(replay) => replay::run(&replay, lang),
        Verb::Status { state, json } => status::run(&state, json, lang),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_verbs_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_language_is_one_of_ours() {
        let lang = |code| Cli::try_parse_from(["tsumugi", "schema", "--lang", code]).map(|cli| cli.lang);
        assert_eq!(lang("ja").ok().flatten(), Some(Lang::Ja));
        assert_eq!(lang("en").ok().flatten(), Some(Lang::En));
        assert!(lang("ja_JP.UTF-8").is_err() && lang("fr").is_err());
    }
}
